"""Keeps a plan to what its thermostats can ask for.

A thermostat heats a room only up to the heating setpoint, and cools it only down to the cooling
setpoint. The linear programme knows neither: it may heat a room beyond the greatest setpoint of its
range, to be warm when power is dear, and it may cool a room whose setpoint a person holds high.
"Not acting, or at the setpoint" is a choice at each step. Most plans never come near it, so it is
made afterwards, from the plan found:

1. Where a room is heated beyond its setpoint's range: it is not to be above the range there. Who
   heated it meant to store heat, and may store that much.
2. Where a person holds a setpoint: what its thermostat would do is played forward, everything else
   as planned. Where it acts, the room is at the setpoint; where it does not, it gives nothing.
3. Solve again from the last basis; repeat until nothing changes, `ROUNDS` times at most.

The certificate (the distance of bound and objective) stays that of the search.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graph.plan import SolveStatus
from planner.dispatch_air import AirColumns
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_problem import DispatchProblem
from planner.dispatch_search import Found
from planner.milp import Index, Milp

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
ROUNDS = 5
BEYOND_K = 0.05  # beyond a setpoint by less is at it
ACTS_KW = 0.05


@dataclass(frozen=True)
class _Side:
    """One side of a zone's thermostat: sense +1 heats, -1 cools. Arrays (N,)."""

    zone: int
    sense: int
    flow: Index
    temps: Index
    last: float  # the end of its setpoint's range
    held: Array  # NaN where nobody holds it


def within_reach(problem: DispatchProblem, found: Found) -> Found:
    """The best solution whose heating and cooling thermostats can ask for.

    Returns `found` unchanged where there are no air units, no usable plan, or nothing beyond; and
    the last solution where the choices leave no other.
    """
    session, air = found.session, problem.hub.air
    if air is None or session is None or not found.status.usable:
        return found
    sides, base = _sides(problem, air), found.fixed
    stored = np.zeros(base.columns, dtype=bool)
    for _ in range(ROUNDS):
        assert found.x is not None
        bounded = _chosen(problem.data, base, sides, stored, found.x)
        if _equal(bounded, found.fixed):
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


def _sides(problem: DispatchProblem, air: AirColumns) -> list[_Side]:
    data, zones, found = problem.data, problem.data.hub.zones, []
    assert zones is not None
    for z, zone in enumerate(zones.zones):
        for sense, word, flow in zip((1, -1), ("heating", "cooling"), air.zones[z], strict=True):
            point = f"{zone}.{word}_setpoint_degc"
            spec = data.site.signal(point)
            held = data.held.get(point, np.full(data.steps, np.nan))
            last = spec.maximum if sense > 0 else spec.minimum
            found.append(_Side(z, sense, flow, air.temps[zones.air[z]], last, held))
    return found


def _chosen(data: DispatchInputs, base: Milp, sides: list[_Side], stored: Bools, x: Array) -> Milp:
    """The problem with each side's choice as bounds. `stored` remembers steps of 1."""
    lower, upper = base.lower.copy(), base.upper.copy()
    path = _played(data, sides, x) if any(np.isfinite(s.held).any() for s in sides) else {}
    for side in sides:
        free = np.isnan(side.held)
        beyond = side.sense * (x[side.temps] - side.last) > BEYOND_K
        stored[side.flow[free & beyond & (x[side.flow] > ACTS_KW)]] = True
        kept = free & stored[side.flow]
        against = next(s for s in sides if s.zone == side.zone and s.sense != side.sense)
        alone = np.isnan(against.held)
        bounds = upper if side.sense > 0 else lower
        bounds[side.temps[kept & alone]] = side.last
        # Nobody heats a room towards the setpoint from which it is cooled.
        upper[side.flow[kept & ~alone]] = 0.0
        if not free.all():
            acts = path[side.zone, side.sense]
            bounds[side.temps[~free & acts]] = side.held[~free & acts]
            upper[side.flow[~free & ~acts]] = 0.0
    return replace(base, lower=lower, upper=upper)


def _played(data: DispatchInputs, sides: list[_Side], x: Array) -> dict[tuple[int, int], Bools]:
    """Whether each held side acts, (N,) by zone and sense, all other flows as at x, as far as their
    own setpoints reach."""
    zones = data.hub.zones
    assert zones is not None
    heat = np.zeros((len(zones.zones), data.steps))
    for side in sides:
        heat[side.zone] += np.where(np.isnan(side.held), side.sense * x[side.flow], 0.0)
    most = {(side.zone, side.sense): _greatest(data, side) for side in sides}
    acts = {key: np.zeros(data.steps, dtype=bool) for key in most}
    state = data.zone_state
    for k in range(data.steps):
        q = heat[:, k].copy()
        free = zones.A @ state + zones.B @ q + data.forcing[:, k]
        for side in sides:
            air = zones.air[side.zone]
            beyond = side.sense * (free[air] - side.last) / zones.B[air, side.zone]
            if np.isnan(side.held[k]) and side.sense * q[side.zone] > 0.0 and beyond > 0.0:
                q[side.zone] -= side.sense * min(beyond, side.sense * q[side.zone])
        free = free + zones.B @ (q - heat[:, k])
        for side in sides:
            air = zones.air[side.zone]
            missing = side.sense * (side.held[k] - free[air]) / zones.B[air, side.zone]
            if missing > 0:  # never for NaN
                acts[side.zone, side.sense][k] = True
                given = side.sense * min(missing, most[side.zone, side.sense][k])
                free = free + zones.B[:, side.zone] * given
        state = free
    return acts


def _greatest(data: DispatchInputs, side: _Side) -> Array:
    """What the side's unit can give its zone in each step, (N,) kW."""
    unit = next(u for u in data.hub.units if side.zone in u.zones)
    each = unit.heating_kw if side.sense > 0 else unit.cooling_kw
    series = data.units[unit.id]
    share = series.heating_share if side.sense > 0 else series.cooling_share
    return float(each[unit.zones.index(side.zone)]) * share


def _equal(a: Milp, b: Milp) -> bool:
    return np.array_equal(a.lower, b.lower) and np.array_equal(a.upper, b.upper)
