"""Keeps a plan to what its thermostats can ask for.

A thermostat heats a room only while it is below the heating setpoint, which has a greatest value,
or one that a person holds; likewise cooling. The linear programme does not know: it may heat a room
beyond that, to be warm when power is dear. "Not heated, or not above" is a choice at each step.
Most plans never come near it, so it is made afterwards:

1. Find the steps in which a room is heated beyond the greatest setpoint, or cooled below the least.
2. There the room's temperature is bounded by that setpoint: who heated it meant to store heat.
3. Solve again from the last basis; repeat until no such step is left, `ROUNDS` times at most.

The certificate (the distance of bound and objective) stays that of the search.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graph.plan import SolveStatus
from planner.dispatch_problem import DispatchProblem
from planner.dispatch_search import Found
from planner.milp import Index, Milp

Array = NDArray[np.float64]
ROUNDS = 5
BEYOND_K = 0.05  # beyond a setpoint by less is at it
ACTS_KW = 0.05


def within_reach(problem: DispatchProblem, found: Found) -> Found:
    """The best solution whose heating and cooling thermostats can ask for.

    Returns `found` unchanged where there are no air units, no usable plan, or nothing beyond; and
    the last solution where the bounds leave no other.
    """
    session = found.session
    if problem.hub.air is None or session is None or not found.status.usable:
        return found
    for _ in range(ROUNDS):
        assert found.x is not None
        bounded = _bounded(problem, found.fixed, found.x)
        if bounded is None:
            break
        solved = session.solve(bounded.lower, bounded.upper)
        if solved.x is None or solved.status is not SolveStatus.OPTIMAL:
            break
        loose = (found.objective or 0.0) - (found.bound or 0.0)
        found = replace(
            found, x=solved.x, fixed=bounded, objective=solved.objective,
            bound=(solved.objective or 0.0) - loose, row_dual=solved.row_dual,
            column_dual=solved.column_dual, iterations=found.iterations + solved.iterations,
        )  # fmt: skip
    return found


def _bounded(problem: DispatchProblem, milp: Milp, x: Array) -> Milp | None:
    """The problem with room temperatures bounded where the point goes beyond; None if nowhere."""
    air, zones = problem.hub.air, problem.data.hub.zones
    assert air is not None
    assert zones is not None
    lower, upper = milp.lower.copy(), milp.upper.copy()
    for z, zone in enumerate(zones.zones):
        temps = air.temps[zones.air[z]]
        ceiling, floor = thermostat_range(problem, zone)
        _tighten(upper, x, temps, air.heating[z], ceiling, 1)
        _tighten(lower, x, temps, air.cooling[z], floor, -1)
    same = np.array_equal(lower, milp.lower) and np.array_equal(upper, milp.upper)
    return None if same else replace(milp, lower=lower, upper=upper)


def _tighten(bounds: Array, x: Array, temps: Index, flow: Index, edge: Array, sense: int) -> None:
    beyond = (x[flow] > ACTS_KW) & (sense * (x[temps] - edge) > BEYOND_K)
    bounds[temps[beyond]] = edge[beyond]


def thermostat_range(problem: DispatchProblem, zone: str) -> tuple[Array, Array]:
    """Greatest heating and least cooling setpoint of a room at each step, (N,): held, or what the
    range leaves."""
    data = problem.data
    found = []
    for side, end in (("heating", "maximum"), ("cooling", "minimum")):
        point = f"{zone}.{side}_setpoint_degc"
        usual = np.full(data.steps, getattr(data.site.signal(point), end))
        held = data.held.get(point)
        found.append(usual if held is None else np.where(np.isnan(held), usual, held))
    return found[0], found[1]
