"""Why nothing is feasible, and the least that would cure it.

Every hard constraint of the intent is given one elastic variable, which may loosen it as a whole;
the site's own limits and what people hold are never loosened. The weighted sum of the loosening
is made as small as it can be: what remains is the conflict, by constraint.
"""

import numpy as np

from graph.intent import Intent
from graph.plan import Conflict
from planner.dispatch_constraints import Mode, Slack, SlackKind
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_objective import objective
from planner.dispatch_options import SolveOptions
from planner.dispatch_problem import DispatchProblem, build_problem
from planner.dispatch_search import search
from planner.explain_solve import SPOKEN_UNITS
from planner.margins import Margins
from planner.milp import Array

LEAST_AMOUNT = 1e-3  # in the constraint's unit; less is the solver's tolerance
CURE_GAP = 0.02  # a cure named a fiftieth too large is still a cure
# Loosening over money: enough that no saving pays for it, little enough that a hard wish is
# loosened before soft ones are broken. A cure must leave a plan that can be used.
WEIGHT = 300.0


def explain_infeasible(
    data: DispatchInputs, intent: Intent, options: SolveOptions
) -> tuple[tuple[Conflict, ...], Array | None]:
    """The conflicts of an infeasible intent, and the on/off pattern of the plan that cures them.

    No conflicts and a pattern: the intent can be met, by that pattern. Neither: the intent has no
    hard constraint, or what is in the way is not the intent's.

    Raises:
        InputError: as `build_problem`.
    """
    problem = build_problem(data, intent, Margins(), Mode.ELASTIC)
    elastic = [s for s in problem.slacks if s.kind is SlackKind.ELASTIC]
    if not elastic:
        return (), None
    cost, offset = objective(problem.milp, problem.weights, problem.rates, problem.wear_priced)
    scale = WEIGHT * problem.rates.dearest_kwh
    loose = options.model_copy(update={"gap": max(options.gap, CURE_GAP)})
    found = search(
        problem, cost + scale * problem.milp.costs["elastic"], offset, loose, branch=False
    )
    if found.x is None:
        return (), None
    conflicts = [_conflict(problem, s, found.x) for s in elastic]
    heat = problem.hub.heat
    pattern = np.round(found.x[heat.on]) if heat is not None else None
    return tuple(c for c in conflicts if c is not None), pattern


def _conflict(problem: DispatchProblem, slack: Slack, x: Array) -> Conflict | None:
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


def rescue_problem(data: DispatchInputs, intent: Intent) -> DispatchProblem:
    """The problem with the site's bounds on states opened at a price, to report the least break.

    Its answer is a report, never a plan: a hard bound is not kept.
    """
    return build_problem(data, intent, Margins(), Mode.RESCUE)
