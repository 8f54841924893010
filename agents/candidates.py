"""Which of the plans on the table goes into the sandbox as candidate, and which as runner-up."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from graph.plan import Plan

BASELINE = "baseline"


@dataclass(frozen=True)
class Candidates:
    """The plan to try first and the one to compare it with; `best` is None when none is usable."""

    best: Plan | None
    runner_up: Plan | None
    reasons: tuple[str, ...] = ()

    def by_source(self, source: str) -> Plan:
        """The plan called `source`. Raises KeyError."""
        for plan in (self.best, self.runner_up):
            if plan is not None and plan.source == source:
                return plan
        raise KeyError(source)


def choose_candidates(plans: Sequence[Plan]) -> Candidates:
    """The first two usable plans in the given order; a lone plan runs against its battery part.

    A failed, late or loose solve is never a candidate: its status is the reason.
    """
    usable = [p for p in plans if p.status.usable and p.setpoints]
    if not usable:
        return Candidates(None, None, tuple(_why(p) for p in plans if p.source != BASELINE))
    best = usable[0]
    runner_up = usable[1] if len(usable) > 1 else electric_part(best)
    return Candidates(best, runner_up)


def electric_part(plan: Plan) -> Plan | None:
    """The plan with heating left to the local law: less to gain, less to go wrong."""
    kept = {p: v for p, v in plan.setpoints.items() if p.split(".", 1)[0].startswith("battery")}
    if not kept or len(kept) == len(plan.setpoints):
        return None
    return plan.model_copy(
        update={
            "setpoints": kept,
            "source": f"{plan.source}/battery-only",
            "notes": (*plan.notes, "heating stays with the local law"),
        }
    )


def without_points(plan: Plan, points: Collection[str]) -> Plan:
    """The plan without commands for `points`: what a person holds is never written."""
    if not plan.setpoints.keys() & set(points):
        return plan
    kept = {p: v for p, v in plan.setpoints.items() if p not in points}
    return plan.model_copy(update={"setpoints": kept})


def _why(plan: Plan) -> str:
    cures = "; ".join(c.text for c in plan.conflicts)
    notes = "; ".join(plan.notes)
    return f"{plan.source}: {plan.status.value}" + (f": {cures or notes}" if cures or notes else "")
