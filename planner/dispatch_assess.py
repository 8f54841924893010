"""Is a returned point a plan? Residuals and slack are checked here, whatever the solver said."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graph.plan import SolveStatus
from planner.dispatch_constraints import Slack, SlackKind
from planner.dispatch_options import RESIDUAL_TOLERANCE, SLACK_TOLERANCE, SolveOptions
from planner.dispatch_problem import DispatchProblem
from planner.dispatch_search import Found
from planner.dispatch_setpoints import balance_error
from planner.milp_highs import LinearSession

Array = NDArray[np.float64]
COUNTED = (SlackKind.SOFT, SlackKind.RECOVERY, SlackKind.HOLD)


@dataclass(frozen=True)
class Assessment:
    """The status after the checks, the use of slack by constraint, and what a person should know.

    `slack` sums over the horizon: K.h, %.h, kWh for bounds over time, else the constraint's unit.
    """

    status: SolveStatus
    slack: dict[str, float]
    notes: tuple[str, ...]


def assess(problem: DispatchProblem, found: Found, options: SolveOptions) -> Assessment:
    """Check a point.

    1. It meets every row, bound and integer, and the power balance, within RESIDUAL_TOLERANCE.
    2. No slack beyond what the sensors resolve, unless no plan could do with less: then it is
       noted, and the plan stands.
    """
    if found.x is None:
        return Assessment(found.status, {}, ())
    residual = max(found.fixed.residual(found.x), balance_error(problem, found.x))
    if residual > RESIDUAL_TOLERANCE:
        note = f"the point breaks a constraint by {residual:.2g}; it is not a plan"
        return Assessment(SolveStatus.NUMERICAL_TROUBLE, {}, (note,))
    used = {s.id: s for s in problem.slacks if _worst(s, found.x) > _tolerance(s)}
    slack = _sums(problem, found.x)
    standing = [s for s in used.values() if s.kind in COUNTED]
    if not standing:
        return Assessment(found.status, slack, ())
    notes = tuple(_note(s, found.x) for s in standing)
    if _unavoidable(problem, found, options):
        words = "no plan does better from the present state"
        return Assessment(found.status, slack, tuple(f"{n}; {words}" for n in notes))
    status = SolveStatus.ON_SLACK if found.status.usable else found.status
    return Assessment(status, slack, notes)


def _worst(slack: Slack, x: Array) -> float:
    return float(np.max(x[slack.columns], initial=0.0))


def _tolerance(slack: Slack) -> float:
    return SLACK_TOLERANCE.get(slack.unit, 0.01)


def _sums(problem: DispatchProblem, x: Array) -> dict[str, float]:
    sums: dict[str, float] = {}
    for slack in problem.slacks:
        over_time = len(slack.columns) == len(slack.steps) and len(slack.columns) > 1
        total = float(np.sum(x[slack.columns])) * (problem.data.hours if over_time else 1.0)
        if total > RESIDUAL_TOLERANCE:
            name = f"{slack.id}:margin" if slack.kind is SlackKind.MARGIN else slack.id
            sums[name] = sums.get(name, 0.0) + total
    return sums


def _note(slack: Slack, x: Array) -> str:
    worst = int(np.argmax(x[slack.columns]))
    amount = float(x[slack.columns[worst]])
    unit = "K" if slack.unit == "degC" else "%" if slack.unit == "percent" else slack.unit
    return f"{slack.label}: missed by up to {amount:.2g} {unit}"


def _unavoidable(problem: DispatchProblem, found: Found, options: SolveOptions) -> bool:
    """Whether the least slack that any plan needs is as much as this one uses.

    The relaxation bounds it from below; where that proves too little, the same is asked with this
    plan's own on/off pattern. Both are priced as in the objective. The tolerance is the gap.
    """
    assert found.x is not None
    milp = problem.milp
    cost = np.zeros(milp.columns)
    for slack in problem.slacks:
        if slack.kind in COUNTED:
            cost[slack.columns] = milp.costs["penalty"][slack.columns]
    used = float(cost @ found.x)
    allowed = options.gap * max(abs(found.objective or 0.0), used) + options.absolute_gap
    limits = replace(options.limits, gap=options.gap)
    least = LinearSession(milp, cost, 0.0, limits).solve()
    if least.objective is None:
        return False
    if used <= least.objective + allowed:
        return True
    from planner.milp_highs import solve

    whole = solve(milp, cost, 0.0, limits, found.x)
    return whole.bound is not None and used <= whole.bound + allowed
