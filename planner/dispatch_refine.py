"""Corrects a plan for the COP's dependence on the tank's temperature.

The search takes the COP at one tank temperature. Here the heat pump's pattern is kept, heat is
linearised about the plan in power and temperature, and the powers are solved for again: sequential
linear programming, two iterations. The certificate (bound and gap) stays that of the search.
"""

from dataclasses import replace

import numpy as np

from graph.intent import Intent
from graph.plan import SolveStatus
from planner.dispatch_objective import objective
from planner.dispatch_options import REFINEMENTS, SolveOptions
from planner.dispatch_problem import DispatchProblem, build_problem, refined_cop
from planner.dispatch_search import Found
from planner.margins import Margins
from planner.milp_highs import LinearSession


def refine(
    problem: DispatchProblem, found: Found, intent: Intent, margins: Margins, options: SolveOptions
) -> tuple[DispatchProblem, Found]:
    """The problem linearised about the plan, and its solution with the same integers.

    Returns the inputs unchanged where there is no heat pump, no usable plan, or where the pattern
    does not carry the corrected physics.
    """
    if problem.hub.heat is None or not found.status.usable or found.x is None:
        return problem, found
    whole = np.round(found.x)
    before = found.session
    current, point = problem, found
    for _ in range(REFINEMENTS):
        assert point.x is not None
        closer = build_problem(problem.data, intent, margins, cop=refined_cop(current, point.x))
        for row in problem.extra:
            closer = closer.with_row(*row)
        cost, offset = objective(closer.milp, closer.weights, closer.rates, closer.wear_priced)
        session = LinearSession(closer.milp, cost, offset, options.limits)
        if before is not None:
            session.start_from(before)
        at = np.flatnonzero(closer.milp.integer)
        fixed = closer.milp.fixed(at, whole[at])
        solved = session.solve(fixed.lower, fixed.upper)
        if solved.x is None or solved.status is not SolveStatus.OPTIMAL:
            return current, point
        before, current = session, closer
        point = replace(
            found, x=solved.x, fixed=fixed, row_dual=solved.row_dual,
            column_dual=solved.column_dual, iterations=point.iterations + solved.iterations,
        )  # fmt: skip
    return current, point
