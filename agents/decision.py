"""One decision, from a compiled intent to a complete predicate. Plain functions of a snapshot.

1. The router runs diagnostics, market and optimisation through the dispatcher.
2. A bad critical input, or no usable candidate, ends the decision with its reason.
3. Shadow: candidates and doing nothing on the same futures; the best that passes is chosen.
4. Canary: the gate's own code against the twin, rollback exercised.
5. Explanation: claims tried by intervention, effects, flip point.
6. Compliance: the rules over everything above; a missing verdict is a failure.
7. The predicate. Signing, the ledger and approval are not here: agents hold no keys.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from agents.candidates import BASELINE, Candidates, choose_candidates, without_points
from agents.compliance import check_policies
from agents.explanation import counterfactuals, explain, play
from agents.fidelity import fidelity_gaps
from agents.fingerprint import code_digest, fingerprint
from agents.interventions import Problem, Replan
from agents.learned import LEARNED, is_learned, learned_plans, policy_provenance, told_honestly
from agents.messages import RunRecord
from agents.ports import Dispatcher
from agents.proposal_builder import (
    Draft,
    Parts,
    ProposalFrame,
    assemble,
    draft,
    outcome_of,
    risk_of,
    rollback_plan,
)
from agents.router import run_router
from graph.evaluation import CanaryResult, Finding, MarketView, ShadowResult
from graph.intent import Intent, Reading
from graph.plan import Plan
from graph.proposal import ControlProposal, ModelProvenance, PolicyResult, RequiredApprovals
from graph.record import Record
from graph.site import Site
from graph.snapshot import Snapshot
from planner.chance import chance_margins
from planner.dispatch_options import SolveOptions
from planner.margins import Margins, margins_of_spread
from planner.plan import make_plan
from planner.rl.onnx_policy import ControlPolicy
from safety.gate.order import Order
from safety.policy import RuleSpec, rule_bands
from safety.policy_input import PolicyInput
from sandbox.canary import run_canary
from sandbox.shadow import ASKED_KPI, evaluate
from sandbox.twin import Twin

Progress = Callable[[str, Mapping[str, Any]], None]

# Plans stay this far inside their bounds; when the shadow run breaks one all the same, the decision
# is planned once more with margins as wide as the futures spread within the stretch that must be
# proven, and a last time with those that the stated chances need (`planner.chance`). A third of a
# kelvin is what a thermostat and a room sensor leave between them (EN 60751 class B), three are
# what the tank's one node leaves of its layers.
LEAST_MARGINS = Margins(comfort_k=0.3, tank_k=3.0, soc_pct=1.0, import_kw=2.0)
TRIES = 3
CHANCE_FUTURES = 200
CHANCE_SEED = 1_000_003  # beside the shadow run's: margins must not know the futures they meet
# A proposal is good for as long as its constraints are proven, and at least for two hours: the plan
# is made anew every hour, and one missed re-planning must not end it.
LEAST_S = 7200
PLUGIN = "plugin:"  # how the source of a plugin's plan begins
# How long a hard problem is searched before a wider gap is taken: some seconds' work, counted in
# the solver's own steps, so that a replay stops at the same place.
PLANNING = SolveOptions(checks=30)
# An intervention asks which way the plan moves: it keeps the plan's starts where it can and takes
# the first powers that fit, within whatever gap, so it costs a linear programme and not a search.
INTERVENTION = SolveOptions(
    gap=0.9, nodes=0, explain=False, rescue=False, refine=False, keep_pattern=True
)


def silent(_: str, __: Mapping[str, Any]) -> None:
    """No progress."""


@dataclass(frozen=True)
class World:
    """What a decision stands on besides its snapshot; all but the learned policy travels in the
    bundle."""

    site: Site
    twin: Twin
    policies: Mapping[str, str]
    rules: tuple[RuleSpec, ...]
    policy: ControlPolicy | None = None  # learned, signed, checked: a second source of candidates


class Decision(Record):
    """How a decision ended, and everything it went through."""

    outcome: str
    reasons: tuple[str, ...] = ()
    reading: Reading
    steps: tuple[dict[str, Any], ...] = ()
    findings: tuple[Finding, ...] = ()
    market: MarketView | None = None
    plans: tuple[Plan, ...] = ()
    shadow: ShadowResult | None = None
    canary: CanaryResult | None = None
    policy: PolicyResult | None = None
    proposal: ControlProposal | None = None


@dataclass
class _Run:
    """What is known so far; becomes a Decision at any point."""

    reading: Reading
    known: dict[str, Any] = field(default_factory=dict)

    def end(self, outcome: str, *reasons: str) -> Decision:
        return Decision(outcome=outcome, reasons=reasons, reading=self.reading, **self.known)


@dataclass(frozen=True)
class _Trial:
    """Candidates, what the sandbox found of them, and the run that made them."""

    found: Candidates
    shadow: ShadowResult
    record: RunRecord


def decide(
    world: World,
    snapshot: Snapshot,
    reading: Reading,
    frame: ProposalFrame,
    dispatcher: Dispatcher,
    futures: int,
    progress: Progress = silent,
    extra_plans: tuple[Plan, ...] = (),
) -> Decision:
    """Run the whole decision. The same inputs give the same bytes, whoever dispatches.

    Args:
        extra_plans: candidates from elsewhere (plugins); they go the same way as ours.
    """
    run = _Run(reading)
    if reading.intent is None:
        return run.end("needs_answer", *reading.questions)
    wanted = planning_intent(world, snapshot, reading.intent)
    held = {h.point for h in snapshot.holds}
    learned = learned_plans(world.policy, world.twin, snapshot)
    trial: _Trial | None = None
    margin = LEAST_MARGINS
    for _ in range(TRIES):
        record = run_router(
            dispatcher, world.site, world.twin, snapshot, wanted, margin=margin, options=PLANNING
        )
        _note(run, record, learned)
        progress("agents", {"findings": len(record.findings), "plans": len(record.plans)})
        if record.verdict == "shed":
            return run.end("shed", record.reason)
        found = choose_candidates(
            [without_points(p, held) for p in (*record.plans, *learned, *extra_plans)]
        )
        if found.best is None:
            return run.end("infeasible", *found.reasons)
        shadow = evaluate(
            world.site, world.twin, snapshot, reading.intent, [found.best], futures, frame.seed,
            found.runner_up, least_steps(snapshot),
        )  # fmt: skip
        trial = _Trial(found, shadow, record)
        run.known["shadow"] = shadow
        progress("shadow", {"passed": shadow.passed, "candidate": shadow.candidate})
        if shadow.passed:
            break
        margin = wider_margins(world, snapshot, reading.intent, found.best, shadow, margin)
    assert trial is not None
    if not trial.shadow.passed or _outdone(trial, reading.intent):
        trial = _second_choice(world, snapshot, reading.intent, trial, futures, frame.seed)
        run.known["shadow"] = trial.shadow
    if not trial.shadow.passed:
        return run.end("not_proven", *trial.shadow.reasons)
    if changes_nothing(trial.shadow):
        return run.end("no_gain", "the best plan does just what doing nothing does")
    if trial.shadow.probability_better < 0.5 and not mends(trial.shadow):
        return run.end("no_gain", "doing nothing is expected to be at least as good")
    plan = trial.found.by_source(trial.shadow.candidate)
    frame = shortened(frame, snapshot, trial.shadow)
    drafted = draft(world.site, snapshot, frame, reading, plan, trial.shadow)
    canary = run_canary(world.site, world.twin, snapshot, order_of(drafted), frame.seed)
    run.known["canary"] = canary
    progress("canary", {"passed": canary.passed, "cycles": canary.cycles})
    if not canary.passed:
        return run.end("not_proven", *canary.reasons)
    extra = tuple(p.source for p in extra_plans)
    return _finish(world, snapshot, run, drafted, wanted, dispatcher, progress, extra)


def wider_margins(
    world: World, snapshot: Snapshot, intent: Intent, plan: Plan, shadow: ShadowResult,
    margin: Margins,
) -> Margins:  # fmt: skip
    """After the first try as wide as the futures spread; after that, as the stated chances need."""
    steps = least_steps(snapshot)
    if margin == LEAST_MARGINS or world.site.twin.kind == "ode":
        spread = outcome_of(shadow, shadow.candidate).traces
        return margins_of_spread(world.site, spread, steps, margin)
    return chance_margins(
        world.twin, snapshot, intent, plan, LEAST_MARGINS, futures=CHANCE_FUTURES,
        seed=shadow.seed + CHANCE_SEED, reach_steps=steps,
    )  # fmt: skip


def changes_nothing(shadow: ShadowResult) -> bool:
    """Whether the candidate differs from doing nothing in no future and no KPI.

    There would be nothing to explain, and nothing to approve.
    """
    return all(e.low == e.high == e.mean == 0.0 for e in shadow.kpi_delta.values())


def mends(shadow: ShadowResult) -> bool:
    """Whether the candidate keeps a wish that doing nothing breaks more often than it may.

    Such a plan may cost more than doing nothing: the wish was asked for.
    """
    return any(
        v.probability <= v.allowed < v.baseline_probability
        for v in outcome_of(shadow, shadow.candidate).violations
    )


def least_steps(snapshot: Snapshot) -> int:
    """The shortest stretch for which a plan must be proven."""
    return min(snapshot.horizon_steps, LEAST_S // snapshot.step_s)


def shortened(frame: ProposalFrame, snapshot: Snapshot, shadow: ShadowResult) -> ProposalFrame:
    """The frame cut to the stretch in which the plan is proven."""
    end = snapshot.as_of + timedelta(seconds=shadow.proven_steps * snapshot.step_s)
    expires = min(frame.expires, end)
    return frame.model_copy(update={"expires": expires, "decide_by": min(frame.decide_by, expires)})


def planning_intent(world: World, snapshot: Snapshot, intent: Intent) -> Intent:
    """The operator's intent and, after it, the bounds that the site's rules declare."""
    end = snapshot.as_of + timedelta(seconds=snapshot.step_s * snapshot.horizon_steps)
    signals = [s.id for s in world.site.signals]
    bands = rule_bands(world.rules, snapshot.as_of, end, snapshot.step_s, signals)
    return intent.model_copy(update={"constraints": (*intent.constraints, *bands)})


def plan_again(twin: Twin, problem: Problem, plan: Plan) -> Plan:
    """Plan a changed problem with the starts of `plan`."""
    site, snapshot, intent = problem
    return make_plan(
        site, twin, snapshot, intent, margin=LEAST_MARGINS, incumbent=plan, options=INTERVENTION
    )


def _note(run: _Run, record: RunRecord, learned: tuple[Plan, ...]) -> None:
    run.known.update(
        steps=tuple(s.model_dump(mode="json") for s in record.steps),
        findings=record.findings,
        market=record.market,
        plans=(*record.plans, *learned),
    )


def _outdone(trial: _Trial, intent: Intent) -> bool:
    """Whether a plan from elsewhere does better on what was asked for first."""
    other = trial.found.runner_up
    if other is None or not other.source.startswith((PLUGIN, LEARNED)):
        return False
    asked = ASKED_KPI.get(intent.objectives[0].quantity)
    if asked is None:
        return False  # no KPI shows it: the first candidate stands
    mine, theirs = (
        outcome_of(trial.shadow, s).kpis[asked].mean for s in (trial.shadow.candidate, other.source)
    )
    return theirs < mine


def _second_choice(
    world: World, snapshot: Snapshot, intent: Intent, trial: _Trial, futures: int, seed: int
) -> _Trial:
    """The runner-up in the candidate's place, on the same futures; as it was without one."""
    found = trial.found
    if found.runner_up is None or found.best is None:
        return trial
    shadow = evaluate(
        world.site, world.twin, snapshot, intent, [found.runner_up], futures, seed, found.best,
        least_steps(snapshot),
    )  # fmt: skip
    return replace(trial, shadow=shadow) if shadow.passed else trial


def order_of(drafted: Draft) -> Order:
    """The draft as the gate would see it; unsigned, so only the sandbox's gate takes it."""
    frame = drafted.frame
    return Order(
        proposal_digest=f"draft:{frame.id}",
        seq=frame.seq,
        nonce=frame.nonce,
        not_before=frame.not_before,
        expires=frame.expires,
        schedule=drafted.schedule,
        rollout=drafted.rollout,
        void_if=drafted.void_if,
        revert_to=drafted.revert_to,
        lab=True,
    )


def _finish(
    world: World, snapshot: Snapshot, run: _Run, drafted: Draft, wanted: Intent,
    dispatcher: Dispatcher, progress: Progress, extra: tuple[str, ...],
) -> Decision:  # fmt: skip
    problem: Problem = (world.site, snapshot, wanted)
    plan, shadow, canary = drafted.plan, run.known["shadow"], run.known["canary"]
    seed = drafted.frame.seed
    trials = play(world.twin, snapshot, plan, seed)
    causal = explain(problem, plan, trials, replanner(world, plan))
    if is_learned(plan):
        causal = told_honestly(causal)
    flips = counterfactuals(world.site, snapshot, trials, shadow)
    progress("explanation", {"because": len(causal.because), "refuted": len(causal.refutations)})
    risk, rule = risk_of(world.site, shadow, fidelity_gaps(world.twin))
    parts = PolicyInput(
        not_before=drafted.frame.not_before,
        expires=drafted.frame.expires,
        decide_by=drafted.frame.decide_by,
        schedule=drafted.schedule,
        status=plan.status,
        shadow=shadow,
        canary=canary,
        rollback=rollback_plan(world.site, drafted, canary),
        risk=risk,
        because=causal.because,
        required_approvals=RequiredApprovals(roles=rule.roles, min_persons=rule.min_persons),
        mode=drafted.frame.mode,
        holds=tuple(h.point for h in snapshot.holds),
        starts_today=snapshot.starts_today,
        under=drafted.frame.under,
        watchdog=snapshot.watchdog_healthy,
        remote_allowed=snapshot.remote_allowed,
    )
    policy = check_policies(
        dispatcher, world.site, world.policies, parts, drafted.frame.not_before, world.rules
    )
    run.known["policy"] = policy
    progress("policy", {"allowed": policy.allowed, "rules": len(policy.verdicts)})
    if not policy.allowed:
        failed = [v for v in policy.verdicts if v.verdict == "fail"]
        return run.end("not_compliant", *(f"{v.rule}: {v.reason}" for v in failed))
    run.known["proposal"] = assemble(
        world.site,
        snapshot,
        Parts(
            draft=drafted, reading=run.reading, shadow=shadow, canary=canary, policy=policy,
            causal=causal, counterfactuals=flips,
            alternatives=alternatives(run.known["plans"], plan, shadow, extra),
            models=models_of(world), plugins=extra,
            fidelity_gaps=fidelity_gaps(world.twin), fingerprint=fingerprint(), code=code_digest(),
        ),
    )  # fmt: skip
    return run.end("proposal")


def replanner(world: World, plan: Plan) -> Replan:
    """Who is asked again when a cause is changed: the policy for its own plan, else the planner."""
    policy = world.policy
    if policy is None or not is_learned(plan):
        return partial(plan_again, world.twin)

    def ask_again(problem: Problem, _: Plan) -> Plan:
        return learned_plans(policy, world.twin, problem[1])[0]

    return ask_again


def models_of(world: World) -> tuple[ModelProvenance, ...]:
    """The twin, and the learned policy where one was asked."""
    learned = () if world.policy is None else (policy_provenance(world.policy),)
    return (world.twin.parameters.provenance(), *learned)


def alternatives(
    plans: Sequence[Plan], plan: Plan, shadow: ShadowResult, extra: tuple[str, ...]
) -> tuple[str, ...]:
    """Every other plan and what became of it."""
    tried = {o.source: o.kpis["settled_cost"].mean for o in shadow.outcomes}
    status = {p.source: p.status.value for p in plans} | dict.fromkeys(extra, "given")
    names = [*status, *(s for s in tried if s not in status and s != BASELINE)]
    lines = [
        f"{name}: {status.get(name, 'part of another plan')}, "
        + (f"expected settled cost {tried[name]:.2f}" if name in tried else "not tried")
        for name in names
        if name != plan.source
    ]
    return (*lines, f"doing nothing: expected settled cost {tried[BASELINE]:.2f}")
