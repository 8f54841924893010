"""Why nothing is feasible, and the least that would cure it.

Every hard constraint of the intent is given one elastic variable, which may loosen it as a whole;
the site's own limits and what people hold are never loosened. The weighted sum of the loosening
is made as small as it can be: what remains is the conflict, by constraint.
"""

import numpy as np

from graph.intent import Intent
from graph.plan import Conflict
from planner.conflict_text import conflict_at
from planner.conflicts import Elastic, told
from planner.dispatch_constraints import Mode, SlackKind
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_objective import objective
from planner.dispatch_options import SolveOptions
from planner.dispatch_problem import DispatchProblem, build_problem
from planner.dispatch_search import search
from planner.margins import Margins
from planner.milp import Array

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
    pairs = [(s, c) for s in elastic if (c := conflict_at(problem, s, found.x)) is not None]
    conflicts = tuple(c for _, c in pairs)
    if options.explain and pairs:
        priced = cost + scale * problem.milp.costs["elastic"]
        conflicts = told(Elastic(problem, intent, priced, cost, offset, loose, found.x), pairs)
    heat = problem.hub.heat
    pattern = np.round(found.x[heat.on]) if heat is not None else None
    return conflicts, pattern


def rescue_problem(data: DispatchInputs, intent: Intent) -> DispatchProblem:
    """The problem with the site's bounds on states opened at a price, to report the least break.

    Its answer is a report, never a plan: a hard bound is not kept.
    """
    return build_problem(data, intent, Margins(), Mode.RESCUE)
