"""What stops a rollout and what voids an approval, derived from the site and the evaluation.

The gate evaluates these itself and knows nothing else, so everything it needs travels in them.
"""

from collections.abc import Sequence

from graph.evaluation import BandTrace
from graph.plan import Plan
from graph.proposal import Guardrail, Rollout, Stage, VoidGuard
from graph.signals import Role, SignalSpec
from graph.site import Site
from graph.snapshot import Snapshot
from graph.units import canonical_unit
from sandbox.checks import TOLERANCE

# A temperature may leave the sampled 90 % band by this much before the plan counts as broken:
# five times the 0.2 K that a calibrated room sensor may be off (EN 60751 class B at 20 degC).
PREDICTION_MARGIN = {"degC": 1.0, "%": 8.0}
# An opened window is over in half an hour; and a plan is made anew every hour, which begins the
# count again, so a longer wait would never trip.
PREDICTION_FOR_S = 1800.0
LIMIT_FOR_S = 300.0
CANARY_S = 1800.0
# How far the process may have moved since the snapshot before an approval no longer fits.
VOID_TOLERANCE = {"degC": 2.0, "%": 15.0}


def build_rollout(site: Site, plan: Plan, traces: Sequence[BandTrace], valid_s: float) -> Rollout:
    """Canary on the fastest asset to take back, then everything; guardrails for all stages."""
    points = tuple(sorted(plan.setpoints))
    canary = canary_points(site, points)
    rest = max(valid_s - CANARY_S, CANARY_S)
    stages: tuple[Stage, ...] = (Stage(name="canary", points=canary, duration_s=CANARY_S),)
    stages += (Stage(name="full", points=points, duration_s=rest),)
    return Rollout(stages=stages, guardrails=build_guardrails(site, points, traces))


def canary_points(site: Site, points: Sequence[str]) -> tuple[str, ...]:
    """The part to try first: batteries, which can be taken back in seconds, else one asset."""
    batteries = {a.id for a in site.of_kind("battery")}
    chosen = tuple(p for p in points if p.split(".", 1)[0] in batteries)
    return chosen or tuple(p for p in points if p.split(".", 1)[0] == points[0].split(".", 1)[0])


def build_guardrails(
    site: Site, points: Sequence[str], traces: Sequence[BandTrace]
) -> tuple[Guardrail, ...]:
    """Site limits, process following, predicted bands and freshness of critical signals."""
    return (
        *_limit_rails(site),
        *(_follow_rail(site.signal(p)) for p in points if site.signal(p).follows),
        *_predicted_rails(site, points, traces),
        *(
            Guardrail(
                name=f"fresh:{s.id}", kind="stale", signal=s.id, for_s=s.stale_after_s,
                interval_s=60.0,
            )
            for s in site.signals
            if s.critical
        ),
    )  # fmt: skip


def _limit_rails(site: Site) -> list[Guardrail]:
    """The site's limits, beyond what its sensors resolve: a battery that rests at its lower limit
    reads a little below it half of the time. The shadow run judges with the same tolerance.
    """
    rails = []
    for k, limit in enumerate(site.limits):
        spec = site.signal(limit.signal)
        if spec.role is Role.SETPOINT:
            continue
        slack = TOLERANCE.get(canonical_unit(spec.unit), 0.0)
        rails.append(
            Guardrail(
                name=f"limit:{limit.signal}:{k}", kind="range", signal=limit.signal,
                minimum=None if limit.minimum is None else limit.minimum - slack,
                maximum=None if limit.maximum is None else limit.maximum + slack,
                for_s=LIMIT_FOR_S,
            )
        )  # fmt: skip
    return rails


def _follow_rail(spec: SignalSpec) -> Guardrail:
    assert spec.follows is not None
    return Guardrail(
        name=f"follows:{spec.id}", kind="follow", signal=spec.follows, point=spec.id,
        tolerance=spec.follow_tolerance or 0.1 * (spec.maximum - spec.minimum),
        for_s=spec.follow_within_s or 600.0,
    )  # fmt: skip


def _predicted_rails(
    site: Site, points: Sequence[str], traces: Sequence[BandTrace]
) -> list[Guardrail]:
    """Bands of the rooms. One that is commanded is judged only while it is: in the canary the other
    rooms are still with the local law, under which nothing was predicted.
    """
    zones = {f"{a.id}.temp_degc" for a in site.of_kind("zone")}
    rails = []
    for trace in traces:
        if trace.signal not in zones:
            continue
        margin, room = PREDICTION_MARGIN["degC"], trace.signal.split(".", 1)[0]
        steps = range(1, len(trace.q50) + 1)
        rails.append(
            Guardrail(
                name=f"predicted:{trace.signal}", kind="predicted", signal=trace.signal,
                point=next((p for p in points if p.split(".", 1)[0] == room), None),
                t=tuple(float(k * trace.step_s) for k in steps),
                low=tuple(round(v - margin, 3) for v in trace.q05),
                high=tuple(round(v + margin, 3) for v in trace.q95),
                for_s=PREDICTION_FOR_S,
            )
        )  # fmt: skip
    return rails


def build_void_guards(site: Site, snapshot: Snapshot) -> tuple[VoidGuard, ...]:
    """Ranges around the snapshot's critical readings beyond which the approval is void."""
    guards = []
    for spec in site.signals:
        reading = snapshot.readings.get(spec.id)
        if not spec.critical or reading is None or reading.value is None:
            continue
        slack = VOID_TOLERANCE.get(spec.unit, 0.25 * (spec.maximum - spec.minimum))
        guards.append(
            VoidGuard(
                signal=spec.id,
                minimum=round(reading.value - slack, 6),
                maximum=round(reading.value + slack, 6),
            )
        )
    return tuple(guards)


def trace_of(traces: Sequence[BandTrace], signal: str) -> BandTrace | None:
    """The trace of `signal`, if the evaluation kept it."""
    return next((t for t in traces if t.signal == signal), None)
