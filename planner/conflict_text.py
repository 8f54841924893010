"""A wish that cannot be kept, by how much and what would do, in the operator's words and units."""

import numpy as np

from graph.plan import Conflict
from planner.dispatch_constraints import Slack, SlackKind
from planner.dispatch_problem import DispatchProblem
from planner.explain_solve import SPOKEN_UNITS
from planner.milp import Array

LEAST_AMOUNT = 1e-3  # in the constraint's unit; less is the solver's tolerance


def conflict_at(problem: DispatchProblem, slack: Slack, x: Array) -> Conflict | None:
    """What an elastic constraint gives way at `x`; None where it is kept."""
    amount = float(np.max(x[slack.columns]))
    if amount < LEAST_AMOUNT:
        return None
    data, unit = problem.data, SPOKEN_UNITS.get(slack.unit, slack.unit)
    sense, limit, at = -1, slack.value, None
    if slack.bound is not None:
        sense, step = slack.bound.sense, _worst_step(problem, slack, x)
        limit, at = float(slack.bound.value[step]), data.starts[step]
        at = at + (data.starts[1] - data.starts[0]) if len(data.starts) > 1 else at
    relaxed = None if limit is None else limit - sense * amount
    when = f" (worst at {at.astimezone(data.site.zone_info):%a %H:%M})" if at else ""
    shown = slack.unit if slack.unit != "percent" else "%"
    cure = "" if relaxed is None else f"; with {relaxed:.4g} {shown} there is a plan"
    return Conflict(
        id=slack.id,
        label=slack.label,
        amount=amount,
        unit=unit,
        relaxed_to=relaxed,
        at=at,
        text=f"{slack.label} cannot be kept: {amount:.3g} {unit} beyond reach{when}{cure}.",
    )


def _worst_step(problem: DispatchProblem, slack: Slack, x: Array) -> int:
    bound = slack.bound
    assert bound is not None
    signal = problem.hub.signals[bound.signal].at(x)
    short = np.where(bound.mask, bound.sense * (bound.value - signal), -np.inf)
    for other in problem.slacks:  # what a start outside the bound excuses is not the conflict
        if other.id == slack.id and other.kind is SlackKind.RECOVERY:
            short[list(other.steps)] -= x[other.columns]
    return int(np.argmax(short))
