"""Turns what the agents and the sandbox found into the predicate that gets signed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.learned import is_learned
from agents.safeguards import build_rollout, build_void_guards
from graph.canonical import digest
from graph.evaluation import CanaryResult, Outcome, ShadowResult
from graph.intent import Reading
from graph.plan import Plan
from graph.proposal import (
    Causal,
    ControlProposal,
    Counterfactuals,
    ModelProvenance,
    PointSchedule,
    PolicyResult,
    ProposedPolicy,
    Provenance,
    RequiredApprovals,
    Risk,
    Rollback,
    Rollout,
    SandboxResults,
    TwinEvidence,
    VoidGuard,
)
from graph.record import Record, UtcTime
from graph.site import RiskRule, Site
from graph.snapshot import Snapshot
from safety.policy_input import Mode


class ProposalFrame(Record):
    """What is given from outside: identity, times, seed. A replay takes it from the bundle."""

    id: str
    seq: int
    nonce: str
    not_before: UtcTime
    expires: UtcTime
    decide_by: UtcTime
    actor: str = "optimisation-agent"
    seed: int
    mode: Mode = "approve"
    under: str | None = None


@dataclass(frozen=True)
class Draft:
    """A proposal before compliance and explanation: what the canary and the policies look at."""

    frame: ProposalFrame
    plan: Plan
    schedule: tuple[PointSchedule, ...]
    rollout: Rollout
    void_if: tuple[VoidGuard, ...]
    revert_to: str


def draft(
    site: Site, snapshot: Snapshot, frame: ProposalFrame, reading: Reading, plan: Plan,
    shadow: ShadowResult,
) -> Draft:  # fmt: skip
    """The schedule, its envelope and its safeguards."""
    outcome = outcome_of(shadow, shadow.candidate)
    valid_s = (frame.expires - frame.not_before).total_seconds()
    return Draft(
        frame=frame,
        plan=plan,
        schedule=point_schedules(site, snapshot, reading, plan, valid_s),
        rollout=build_rollout(site, plan, outcome.traces, valid_s),
        void_if=build_void_guards(site, snapshot),
        revert_to=f"policy://{site.id}/baseline",
    )


def outcome_of(shadow: ShadowResult, source: str) -> Outcome:
    """The outcome of one candidate. Raises KeyError."""
    for outcome in shadow.outcomes:
        if outcome.source == source:
            return outcome
    raise KeyError(source)


def point_schedules(
    site: Site, snapshot: Snapshot, reading: Reading, plan: Plan, valid_s: float
) -> tuple[PointSchedule, ...]:
    """One trajectory a point over the proposal's validity, inside the narrowest range that site and
    intent allow.
    """
    steps = math.ceil(valid_s / plan.step_s)
    schedules = []
    for point in sorted(plan.setpoints):
        spec = site.signal(point)
        low, high = envelope(site, reading, point)
        values = plan.setpoints[point][:steps]
        t, kept = compress(values, plan.step_s)
        schedules.append(
            PointSchedule(
                point=point, unit=spec.unit, t=t, value=kept,
                from_value=snapshot.points[point].applied,
                min=min(low, *values), max=max(high, *values),
                ramp_per_s=spec.ramp_per_s, ttl_s=site.autonomy.lease_s,
            )
        )  # fmt: skip
    return tuple(schedules)


def compress(values: Sequence[float], step_s: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Times and values of the changes only: the schedule holds between them."""
    t: list[float] = []
    kept: list[float] = []
    for k, value in enumerate(values):
        if not kept or value != kept[-1]:
            t.append(float(k * step_s))
            kept.append(value)
    return tuple(t), tuple(kept)


def envelope(site: Site, reading: Reading, point: str) -> tuple[float, float]:
    """Range in which a point may be commanded: the signal's own, cut to the intent's bands that
    always hold. A band of some hours binds the schedule, not the hours outside it.
    """
    spec = site.signal(point)
    low, high = spec.minimum, spec.maximum
    for limit in site.limits:
        if limit.signal == point:
            low = low if limit.minimum is None else max(low, limit.minimum)
            high = high if limit.maximum is None else min(high, limit.maximum)
    measured = f"{spec.asset}.temp_degc"
    for constraint in reading.intent.constraints if reading.intent else ():
        if constraint.kind != "band" or measured not in constraint.signals or spec.unit != "degC":
            continue
        if constraint.window.always:
            low = low if constraint.minimum is None else max(low, constraint.minimum - 1.0)
            high = high if constraint.maximum is None else min(high, constraint.maximum)
    return low, high


def risk_of(site: Site, shadow: ShadowResult, limits: Sequence[str]) -> tuple[Risk, RiskRule]:
    """Risk level from the worst upper bound on a hard violation that inaction would not cause."""
    outcome = outcome_of(shadow, shadow.candidate)
    hard = [v for v in outcome.violations if v.hard]
    added = max((v.upper for v in hard if v.probability > v.baseline_probability), default=None)
    worst = added if added is not None else min((v.upper for v in hard), default=0.0)
    rules = sorted(site.autonomy.risk_rules, key=lambda r: r.max_probability)
    rule = next((r for r in rules if worst <= r.max_probability), rules[-1])
    breach = max((v.probability for v in outcome.violations if not v.hard), default=0.0)
    risk = Risk(
        level=rule.level,
        prob_violate={v.id: v.probability for v in outcome.violations},
        prob_sla_breach=breach,
        cvar=outcome.cvar_cost,
        knowledge_limits=tuple(limits),
    )
    return risk, rule


def confidence_of(shadow: ShadowResult) -> float:
    """Share of futures in which the candidate is no worse than inaction on what was asked for."""
    return shadow.probability_better


@dataclass(frozen=True)
class Parts:
    """All that a finished proposal is put together from."""

    draft: Draft
    reading: Reading
    shadow: ShadowResult
    canary: CanaryResult
    policy: PolicyResult
    causal: Causal
    counterfactuals: Counterfactuals
    alternatives: tuple[str, ...]
    models: tuple[ModelProvenance, ...]
    plugins: tuple[str, ...]
    fidelity_gaps: tuple[str, ...]
    fingerprint: Mapping[str, str]
    code: str


def assemble(site: Site, snapshot: Snapshot, parts: Parts) -> ControlProposal:
    """The predicate. Every field is a function of the inputs, so a replay gets the same bytes."""
    frame, plan, reading = parts.draft.frame, parts.draft.plan, parts.reading
    assert reading.intent is not None
    risk, rule = risk_of(site, parts.shadow, parts.fidelity_gaps)
    schedule = parts.draft.schedule
    single = schedule[0].value[0] if len(schedule) == 1 and len(schedule[0].value) == 1 else None
    return ControlProposal(
        **frame.model_dump(exclude={"seed"}),
        target=f"asset://{site.id}",
        intent=reading.text,
        compiled_intent=reading.intent,
        restatement=reading.restatement,
        twin=TwinEvidence(
            id=f"twin://{site.id}/{site.twin.kind}",
            snapshot_digest=snapshot.digest,
            site_digest=snapshot.site_digest,
            twin_digest=snapshot.twin_digest,
            as_of=snapshot.as_of,
            fidelity_gaps=parts.fidelity_gaps,
        ),
        baseline_digest=digest(site.baseline),
        proposed_policy=ProposedPolicy(
            setpoint=single,
            schedule=schedule,
            valid_for=iso_duration(frame.not_before, frame.expires),
        ),
        technical_basis=basis(plan),
        confidence=confidence_of(parts.shadow),
        causal=parts.causal,
        counterfactuals=parts.counterfactuals,
        alternatives=parts.alternatives,
        risk=risk,
        sandbox_results=SandboxResults(
            shadow=parts.shadow,
            canary=parts.canary,
            kpi_delta={k: e.mean for k, e in parts.shadow.kpi_delta.items()},
        ),
        policy=parts.policy,
        rollout=parts.draft.rollout,
        rollback=rollback_plan(site, parts.draft, parts.canary),
        void_if=parts.draft.void_if,
        provenance=Provenance(
            models=parts.models,
            code=parts.code,
            sbom=tuple(sorted(f"{k}=={v}" for k, v in parts.fingerprint.items() if k != "cpu")),
            plugins=parts.plugins,
            seeds={"futures": frame.seed},
            fingerprint=dict(parts.fingerprint),
        ),
        required_approvals=RequiredApprovals(roles=rule.roles, min_persons=rule.min_persons),
    )


def basis(plan: Plan) -> str:
    """The solve in one line, or that there was none."""
    if is_learned(plan):
        return f"{plan.source}: a learned policy behind the safety filter, no solve; " + "; ".join(
            plan.notes
        )
    gap = "" if plan.gap is None else f", gap {plan.gap:.4f}"
    return (
        f"{plan.source}: {plan.status.value}{gap}, {plan.nodes} nodes, {plan.iterations} iterations"
    )


def rollback_plan(site: Site, drafted: Draft, canary: CanaryResult) -> Rollback:
    """The way back, as the canary exercised it."""
    points = tuple(s.point for s in drafted.schedule)
    counted = tuple(
        f"starts of {p} are counted and cannot be undone"
        for p in points
        if site.signal(p).zero_or_above is not None
    )
    return Rollback(
        revert_to=drafted.revert_to,
        trigger=tuple(g.name for g in drafted.rollout.guardrails),
        steps=tuple(f"release {p} to the plant's local law" for p in points),
        ttl=f"PT{int(site.autonomy.lease_s)}S",
        tested_digest=canary.rollback_digest,
        irreversible=counted,
    )


def iso_duration(start: datetime, end: datetime) -> str:
    """ISO 8601 duration in hours, minutes and seconds."""
    seconds = round((end - start) / timedelta(seconds=1))
    hours, rest = divmod(seconds, 3600)
    minutes, secs = divmod(rest, 60)
    text = "".join(f"{n}{u}" for n, u in ((hours, "H"), (minutes, "M"), (secs, "S")) if n)
    return f"PT{text or '0S'}"
