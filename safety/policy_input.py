"""What the policies see of a proposal: integers and names, no times as text, nothing else.

Values are thousandths of the signal's unit, ramps millionths a second, probabilities parts per
million, times milliseconds (since 1970, or after `not_before` where the field is called `t_ms`).
Rounding to these is half the resolution of a command at most; the gate checks the exact values.
Text times are left out on purpose: some engines read `...Z` as undefined and never fire.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field

from graph.evaluation import CanaryResult, Outcome, ShadowResult
from graph.plan import SolveStatus
from graph.proposal import (
    Because,
    ControlProposal,
    PointSchedule,
    RequiredApprovals,
    Risk,
    Rollback,
)
from graph.record import Record, UtcTime
from graph.signals import SignalSpec
from graph.site import Site

SCHEMA = "pilothouse/policy-input/v1"
Mode = Literal["off", "shadow", "advise", "approve", "auto"]
NO_LIMIT = 1_000_000  # starts a day where the site sets no limit


class PolicyOverride(Record):
    """A person's leave to break one soft rule once; the caller has verified its signature."""

    rule: str
    person: str
    role: str
    reason: str = Field(min_length=1)
    not_after: UtcTime


class PolicyInput(Record):
    """The parts of a proposal that the rules judge, before the proposal itself exists."""

    not_before: UtcTime
    expires: UtcTime
    decide_by: UtcTime
    schedule: tuple[PointSchedule, ...]
    status: SolveStatus = Field(description="of the solve that the schedule came from")
    hard_slack: bool = Field(False, description="the solve used slack on a hard constraint")
    shadow: ShadowResult
    canary: CanaryResult
    rollback: Rollback
    risk: Risk
    because: tuple[Because, ...]
    required_approvals: RequiredApprovals
    mode: Mode
    holds: tuple[str, ...] = Field((), description="points that a person holds")
    starts_today: dict[str, int] = Field(default_factory=dict)
    under: str | None = Field(None, description="standing approval, verified by the caller")
    watchdog: bool = Field(description="the plant's own watchdog is healthy")
    remote_allowed: bool = Field(description="the plant's local/remote switch stands on remote")
    overrides: tuple[PolicyOverride, ...] = ()


def parts_of(proposal: ControlProposal, status: SolveStatus, **live: Any) -> PolicyInput:
    """The policy's view of a finished proposal, for a check after the fact.

    `live` gives what a proposal does not carry: mode, holds, starts_today, watchdog,
    remote_allowed, overrides.
    """
    return PolicyInput(
        not_before=proposal.not_before,
        expires=proposal.expires,
        decide_by=proposal.decide_by,
        schedule=proposal.proposed_policy.schedule,
        status=status,
        shadow=proposal.sandbox_results.shadow,
        canary=proposal.sandbox_results.canary,
        rollback=proposal.rollback,
        risk=proposal.risk,
        because=proposal.causal.because,
        required_approvals=proposal.required_approvals,
        under=proposal.under,
        **live,
    )


def policy_input(site: Site, parts: PolicyInput, now: datetime) -> dict[str, Any]:
    """The input document of the policies. Pure; raises nothing: what is missing fails its rule."""
    candidate = _candidate(parts.shadow)
    return {
        "schema": SCHEMA,
        "now_ms": epoch_ms(now),
        "not_before_ms": epoch_ms(parts.not_before),
        "expires_ms": epoch_ms(parts.expires),
        "decide_by_ms": epoch_ms(parts.decide_by),
        "mode": parts.mode,
        "standing": parts.under is not None,
        "plant": {"watchdog": parts.watchdog, "remote_allowed": parts.remote_allowed},
        "holds": sorted(parts.holds),
        "schedules": [_schedule(site, parts, s) for s in parts.schedule],
        "steps": _steps(site, parts),
        "starts": _starts(site, parts),
        "solve": {"status": parts.status.value, "hard_slack": parts.hard_slack},
        "shadow": _shadow(parts.shadow, candidate),
        "traces": _traces(candidate),
        "canary": _canary(parts.canary),
        "rollback": {
            "tested_digest": parts.rollback.tested_digest,
            "steps": len(parts.rollback.steps),
        },
        "risk": {"level": parts.risk.level, "upper_ppm": _risk_ppm(candidate)},
        "quorum": {
            "roles": sorted(parts.required_approvals.roles),
            "min_persons": parts.required_approvals.min_persons,
        },
        "because": [
            {"text": b.text, "source": b.source, "checked": b.checked} for b in parts.because
        ],
        "site": _site(site),
        "overrides": [
            {"rule": o.rule, "person": o.person, "role": o.role, "reason": o.reason,
             "not_after_ms": epoch_ms(o.not_after)}
            for o in parts.overrides
        ],
    }  # fmt: skip


def milli(value: float) -> int:
    """Thousandths, rounded to the nearest."""
    return round(value * 1000)


def ppm(probability: float) -> int:
    """Parts per million, rounded to the nearest."""
    return round(probability * 1_000_000)


def epoch_ms(when: datetime) -> int:
    """Milliseconds since 1970: nanoseconds would not fit the integers of canonical JSON."""
    return round(when.timestamp() * 1000)


def held_values(schedule: PointSchedule, times_s: Sequence[float]) -> list[float | None]:
    """The scheduled value in force at each time; None before the first one."""
    held: list[float | None] = []
    k = -1
    for t in times_s:
        while k + 1 < len(schedule.t) and schedule.t[k + 1] <= t:
            k += 1
        held.append(schedule.value[k] if k >= 0 else None)
    return held


def _candidate(shadow: ShadowResult) -> Outcome | None:
    return next((o for o in shadow.outcomes if o.source == shadow.candidate), None)


def _step_times(site: Site, parts: PolicyInput) -> list[float]:
    valid_s = (parts.expires - parts.not_before).total_seconds()
    count = max(0, -int(-valid_s // site.step_s))
    return [float(k * site.step_s) for k in range(count)]


def _steps(site: Site, parts: PolicyInput) -> list[dict[str, int]]:
    """Local minutes of the day that each step begins with and ends in: the wall clock's own."""
    steps = []
    for t in _step_times(site, parts):
        begin = parts.not_before + timedelta(seconds=t)
        last = begin + timedelta(seconds=site.step_s, microseconds=-1)
        steps.append(
            {
                "t_ms": milli(t),
                "from_minute": _minute(begin.astimezone(site.zone_info)),
                "to_minute": _minute(last.astimezone(site.zone_info)),
            }
        )
    return steps


def _minute(local: datetime) -> int:
    return local.hour * 60 + local.minute


def _spec(site: Site, point: str) -> SignalSpec | None:
    return next((s for s in site.setpoints if s.id == point), None)


def _schedule(site: Site, parts: PolicyInput, s: PointSchedule) -> dict[str, Any]:
    held = held_values(s, _step_times(site, parts))
    return {
        "point": s.point,
        "unit": s.unit,
        "t_ms": [milli(t) for t in s.t],
        "value_milli": [milli(v) for v in s.value],
        "held_milli": [None if v is None else milli(v) for v in held],
        "from_milli": milli(s.from_value),
        "ttl_ms": milli(s.ttl_s),
        "extremes": _extremes([milli(t) for t in s.t], [milli(v) for v in s.value]),
        "bounds": _bounds(_spec(site, s.point), s),
    }


def _bounds(spec: SignalSpec | None, s: PointSchedule) -> dict[str, int | None]:
    bounds: dict[str, int | None] = {"min_milli": milli(s.min), "max_milli": milli(s.max)}
    if spec is None:  # a point that the site does not know stays without range, and fails
        return bounds
    ramp, floor = spec.ramp_per_s, spec.zero_or_above
    return bounds | {
        "site_min_milli": milli(spec.minimum),
        "site_max_milli": milli(spec.maximum),
        "zero_or_above_milli": None if floor is None else milli(floor),
        "ramp_micro_per_s": None if ramp is None else round(ramp * 1_000_000),
        "dwell_ms": milli(spec.dwell_s),
    }


def _extremes(t_ms: Sequence[int], value_milli: Sequence[int]) -> dict[str, int | None]:
    """What range, rate and dwell are judged by; nothing where the series is not one."""
    gaps = [b - a for a, b in pairwise(t_ms)]
    if not value_milli or len(t_ms) != len(value_milli) or any(gap <= 0 for gap in gaps):
        return {}
    jumps = [abs(b - a) for a, b in pairwise(value_milli)]
    return {
        "least_milli": min(value_milli),
        "greatest_milli": max(value_milli),
        "least_above_zero_milli": min((v for v in value_milli if v > 0), default=None),
        "shortest_hold_ms": min(gaps, default=None),
        "fastest_micro_per_s": max(
            (-(-jump * 1_000_000 // gap) for jump, gap in zip(jumps, gaps, strict=True)), default=0
        ),
    }


def _starts(site: Site, parts: PolicyInput) -> list[dict[str, Any]]:
    entries = []
    for s in parts.schedule:
        spec = _spec(site, s.point)
        if spec is None or (spec.zero_or_above is None and spec.max_starts_per_day is None):
            continue
        days = _starts_by_day(site, parts, s)
        limit = spec.max_starts_per_day
        entries.append(
            {
                "point": s.point,
                "planned": sum(days.values()) - parts.starts_today.get(s.point, 0),
                "most_in_a_day": max(days.values()),
                "limit": NO_LIMIT if limit is None else limit,
                "marked": any(s.point in text for text in parts.rollback.irreversible),
            }
        )
    return entries


def _starts_by_day(site: Site, parts: PolicyInput, s: PointSchedule) -> Mapping[str, int]:
    first_day = parts.not_before.astimezone(site.zone_info).date().isoformat()
    days = {first_day: parts.starts_today.get(s.point, 0)}
    previous = s.from_value
    for t, value in zip(s.t, s.value, strict=True):
        if value > 0 and previous <= 0:
            local = (parts.not_before + timedelta(seconds=t)).astimezone(site.zone_info)
            day = local.date().isoformat()
            days[day] = days.get(day, 0) + 1
        previous = value
    return days


def _shadow(shadow: ShadowResult, candidate: Outcome | None) -> dict[str, Any]:
    return {
        "passed": shadow.passed,
        "futures": shadow.futures,
        "reasons": list(shadow.reasons),
        "constraints": [
            {
                "id": v.id,
                "label": v.label,
                "hard": v.hard,
                "probability_ppm": ppm(v.probability),
                "upper_ppm": ppm(v.upper),
                "baseline_ppm": ppm(v.baseline_probability),
            }
            for v in (candidate.violations if candidate else ())
        ],
    }


def _traces(candidate: Outcome | None) -> dict[str, Any]:
    return {
        t.signal: {
            "q05_milli": [milli(v) for v in t.q05],
            "q50_milli": [milli(v) for v in t.q50],
            "q95_milli": [milli(v) for v in t.q95],
        }
        for t in (candidate.traces if candidate else ())
    }


def _canary(canary: CanaryResult) -> dict[str, Any]:
    return {
        "passed": canary.passed,
        "reasons": list(canary.reasons),
        "rollback_exercised": canary.rollback_exercised,
        "rollback_restored": canary.rollback_restored,
        "rollback_digest": canary.rollback_digest,
    }


def _risk_ppm(candidate: Outcome | None) -> int:
    """Upper bound of the worst hard violation that doing nothing would not cause as often.

    Where there is none, the least bound that the number of futures can prove at all.
    """
    hard = [v for v in candidate.violations if v.hard] if candidate else []
    added = [v.upper for v in hard if v.probability > v.baseline_probability]
    return ppm(max(added) if added else min((v.upper for v in hard), default=0.0))


def _site(site: Site) -> dict[str, Any]:
    greatest = max(r.max_probability for r in site.autonomy.risk_rules)
    return {
        "max_valid_ms": milli(site.autonomy.proposal_valid_s),
        "risk_rules": [
            {
                "level": r.level,
                "max_ppm": ppm(r.max_probability),
                "roles": sorted(r.roles),
                "min_persons": r.min_persons,
                "greatest": r.max_probability == greatest,
            }
            for r in site.autonomy.risk_rules
        ],
    }
