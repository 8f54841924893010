"""Of the plans that cost the same, the one whose batteries work most evenly.

With a tariff of a few steps a linear programme has many best plans: whether a battery fills in two
hours or in ten is the same money, if the forecast comes true. It does not, and then they differ. A
battery that fills evenly takes up more of a surplus that nobody foresaw, and one that empties
evenly sells less of what it saved when the load stays away. `bench peers` measures by how much.

Everything but the powers' sizes is kept: the integers are fixed, and power above each of `LEVELS`
of the rating costs `LEVEL_TIEBREAK`, less than any price difference that a tariff has. Below the
first level a kWh that waits is preferred, so that there, too, the power does not jump about.
"""

from dataclasses import replace

import numpy as np

from graph.assets import Battery
from graph.plan import SolveStatus
from planner.dispatch_objective import objective
from planner.dispatch_options import HOLDING_SHARE, LEVEL_TIEBREAK, LEVELS, SolveOptions
from planner.dispatch_problem import DispatchProblem
from planner.dispatch_search import Found
from planner.milp import INF, Array, Milp
from planner.milp_highs import Basis, LinearSession


def levelled(problem: DispatchProblem, found: Found, options: SolveOptions) -> Found:
    """The even solution; `found` where there is no battery, no plan, or objectives in order.

    Multipliers stay those of `found`: they price every solution that costs the same.
    """
    batteries, session = problem.data.parts.batteries, found.session
    ordered = problem.intent.lexicographic and len(problem.weights) > 1
    if not batteries or ordered or session is None or found.x is None or not found.status.usable:
        return found
    cost, offset = objective(problem.milp, problem.weights, problem.rates, problem.wear_priced)
    whole = np.flatnonzero(problem.milp.integer)
    wider = found.fixed.fixed(whole, np.round(found.x[whole]))
    price = problem.data.hours * LEVEL_TIEBREAK * problem.rates.energy
    dear = cost
    for battery in batteries:
        wider, dear = _with_levels(problem, battery, wider, dear, price)
    even = LinearSession(wider, dear, offset, options.limits)
    known = session.basis()
    if known is not None and len(known.columns) == problem.milp.columns:
        logical = Basis.logical(wider)
        logical.columns[: len(known.columns)] = known.columns
        logical.rows[: len(known.rows)] = known.rows
        even.start_at(logical)
    solved = even.solve()
    if solved.x is None or solved.status is not SolveStatus.OPTIMAL:
        return found
    x = solved.x[: problem.milp.columns]
    if float(cost @ (x - found.x)) > options.absolute_gap:
        return found
    return replace(found, x=x, iterations=found.iterations + solved.iterations)


def _with_levels(
    problem: DispatchProblem, battery: Battery, milp: Milp, cost: Array, price: float
) -> tuple[Milp, Array]:
    """Columns above >= charge / rating + discharge / rating - level, (N,) for each level, priced;
    and the price of holding energy."""
    charge, discharge = problem.hub.charge[battery.id], problem.hub.discharge[battery.id]
    steps = len(charge)
    each = price * max(battery.max_charge_kw, battery.max_discharge_kw)
    cost = cost.copy()
    cost[problem.hub.energy[battery.id]] += price * HOLDING_SHARE
    for level in LEVELS:
        row = len(milp.row_lower) + np.arange(steps)
        above = milp.columns + np.arange(steps)
        ratings = (1.0 / battery.max_charge_kw, 1.0 / battery.max_discharge_kw, -1.0)
        milp = replace(
            milp,
            lower=np.append(milp.lower, np.zeros(steps)),
            upper=np.append(milp.upper, np.full(steps, INF)),
            integer=np.append(milp.integer, np.zeros(steps, dtype=bool)),
            rows=np.append(milp.rows, np.repeat(row, 3)),  # sorted by row, as HiGHS is given them
            cols=np.append(milp.cols, np.stack([charge, discharge, above], axis=1)),
            values=np.append(milp.values, np.tile(ratings, steps)),
            row_lower=np.append(milp.row_lower, np.full(steps, -INF)),
            row_upper=np.append(milp.row_upper, np.full(steps, level)),
        )
        cost = np.append(cost, np.full(steps, each))
    return milp, cost
