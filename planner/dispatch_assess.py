"""Is a returned point a plan? Residuals and slack are checked here, whatever the solver said."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.plan import SolveStatus
from planner.dispatch_constraints import Slack, SlackKind
from planner.dispatch_options import (
    PENALTY_FACTOR,
    RESIDUAL_TOLERANCE,
    SLACK_TOLERANCE,
    SolveOptions,
)
from planner.dispatch_problem import DispatchProblem
from planner.dispatch_search import Found
from planner.dispatch_setpoints import balance_error
from planner.milp_highs import LinearSession

Array = NDArray[np.float64]
NAMED_ALIKE = 3  # so many rooms that miss the same are each named
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
    notes = _notes(standing, found.x)
    if _unavoidable(problem, found, options):
        words = "no plan does better from the present state under what else is asked"
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


def _notes(slacks: list[Slack], x: Array) -> tuple[str, ...]:
    """One note a constraint; where many rooms miss the same, the worst of them and how many."""
    alike: dict[str, list[Slack]] = {}
    for slack in slacks:
        asset = slack.bound.signal.split(".", 1)[0] if slack.bound else ""
        alike.setdefault(slack.id.replace(asset, "*") if asset else slack.id, []).append(slack)
    notes: list[str] = []
    for group in alike.values():
        if len(group) <= NAMED_ALIKE:
            notes += [_note(s, x) for s in group]
        else:
            worst = max(group, key=lambda s: _worst(s, x))
            notes.append(f"{_note(worst, x)}; {len(group) - 1} others alike by less")
    return tuple(notes)


def _note(slack: Slack, x: Array) -> str:
    worst = int(np.argmax(x[slack.columns]))
    amount = float(x[slack.columns[worst]])
    unit = "K" if slack.unit == "degC" else "%" if slack.unit == "percent" else slack.unit
    return f"{slack.label}: missed by up to {amount:.2g} {unit}"


def _unavoidable(problem: DispatchProblem, found: Found, options: SolveOptions) -> bool:
    """Whether no plan could do with noticeably less slack than this one uses.

    1. The least priced slack of the relaxation bounds every plan's from below.
    2. Where that proves too little: a soft bound costs `PENALTY_FACTOR` times what breaking it can
       save, so of the distance between objective and bound at most PENALTY_FACTOR /
       (PENALTY_FACTOR - 1) can be slack that another plan avoids. That must be small against the
       plan's own cost, without the penalties.
    """
    assert found.x is not None
    milp = problem.milp
    cost = np.zeros(milp.columns)
    for slack in problem.slacks:
        if slack.kind in COUNTED:
            cost[slack.columns] = milp.costs["penalty"][slack.columns]
    used = float(cost @ found.x)
    total = found.objective or 0.0
    allowed = options.gap * abs(total - used) + options.absolute_gap
    session = LinearSession(milp, cost, 0.0, options.limits)
    if problem.hub.air is not None and (basis := found.session and found.session.basis()):
        session.start_at(basis)  # the same programme at another cost: from nothing it takes longer
    least = session.solve()
    if least.objective is not None and used <= least.objective + allowed:
        return True
    if found.objective is None or found.bound is None:
        return False
    avoidable = (found.objective - found.bound) * PENALTY_FACTOR / (PENALTY_FACTOR - 1.0)
    return avoidable <= 2.0 * allowed
