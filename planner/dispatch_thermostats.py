"""From planned room temperatures and heat to the two setpoints of each room's thermostat.

1. A step in which the plan heats: the heating setpoint leads to the planned temperature (see
   `_lead`: the thermostat closes only a part of its error in a step, and the unit may be at its
   limit), the cooling one keeps away. Cooling is the mirror image.
2. A step in which the room floats: both setpoints stand at the edges that hold there (wishes,
   comfort, setback, limits). An error of the forecast then starts nothing while the room is inside
   them, and at an edge the plant's own thermostat guards it.
3. A side that is to stay off stands at the far end of its range.
4. Range, resolution, dwell, ramp and what a person holds; the heating setpoint always stays
   `DEADBAND_K` below the cooling one, and where the two are in each other's way the one that acts
   keeps its place.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.intent import Intent, KeepOff
from graph.signals import SignalSpec
from planner.dispatch_air import AirColumns
from planner.dispatch_bounds import mask_of, setpoint_range
from planner.dispatch_comfort import tightest_ahead
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_problem import DispatchProblem

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
GUARD_AHEAD_S = 1800.0  # what a unit needs to move a room by two kelvin
ACTS_KW = 0.05  # a room that gets less than this floats
LEAD_LIMIT_K = 1.5  # a setpoint is at most so far beyond the planned temperature
LEAD_ITERATIONS = 30  # Newton's method: quadratic, and linear in the limit of no spare capacity
DEADBAND_K = 1.0  # the plant's shell keeps the setpoints so far apart


@dataclass(frozen=True)
class _Wanted:
    """Both setpoints of a room before pace and deadband, each (N,), and where it is cooled."""

    heating: Array
    cooling: Array
    cools: Bools


def thermostat_setpoints(
    problem: DispatchProblem, intent: Intent, air: AirColumns, x: Array
) -> dict[str, Array]:
    """Both setpoints of every room on an air unit, each (N,), ready to be commanded."""
    data, found = problem.data, dict[str, Array]()
    path = air.path(data, x)
    for z, zone in enumerate(data.parts.zones):
        points = (f"{zone}.heating_setpoint_degc", f"{zone}.cooling_setpoint_degc")
        wanted = _wanted(problem, intent, air, z, path, x)
        heating, cooling = _finish(data, intent, points, wanted)
        found |= {points[0]: heating, points[1]: cooling}
    return found


def _wanted(
    problem: DispatchProblem, intent: Intent, air: AirColumns, z: int, path: Array, x: Array
) -> _Wanted:
    data, zones = problem.data, problem.data.hub.zones
    assert zones is not None
    zone, state = zones.zones[z], zones.air[z]
    end = path[state]
    begin = np.concatenate([[data.zone_state[state]], end[:-1]])
    low, high = _guards(problem, zone)
    heats, cools = x[air.heating[z]] > ACTS_KW, x[air.cooling[z]] > ACTS_KW
    gain = float(zones.B[state, z])
    spare = [most - x[flow] for most, flow in zip(_most(data, z), air.zones[z], strict=True)]
    warmer, colder = (
        _lead(data, sense * (end - begin), gain * left)
        for sense, left in zip((1, -1), spare, strict=True)
    )
    heating = np.where(heats, end + warmer, np.minimum(end, low))
    cooling = np.where(cools, end - colder, np.maximum(end, high))
    heating[~heats & _kept_off(data, intent, f"{zone}.heating_setpoint_degc")] = -np.inf
    cooling[~cools & _kept_off(data, intent, f"{zone}.cooling_setpoint_degc")] = np.inf
    return _Wanted(heating, cooling, _latest(heats, cools, end, low, high))


def _lead(data: DispatchInputs, rise: Array, spare: Array) -> Array:
    """How far a setpoint is beyond the planned end of a step, (N,) K.

    The room's rise T' = min((setpoint - T) / tau, r) is to be `rise` after the step h; r = (rise +
    spare) / h is what full capacity gives. Where capacity does not bind, rise / (1 - exp(-h / tau))
    from the begin on. Where it does, the room rises at r first, and u = lead / (r tau) solves
    u exp(-u) = exp(-1 - (h - rise / r) / tau), by Newton's method.
    """
    h, tau = data.hours, data.hub.thermostat_tau_h
    whole = rise / -np.expm1(-h / tau)
    fastest = np.maximum(rise + np.maximum(spare, 0.0), 1e-9) / h
    late = np.maximum(h - rise / fastest, 0.0) / tau
    u = np.zeros_like(rise)
    for _ in range(LEAD_ITERATIONS):
        slope = np.maximum(1.0 - np.exp(u - 1.0 - late), 1e-6)
        u = np.clip(u - (u - np.exp(u - 1.0 - late)) / slope, 0.0, 1.0)
    lead = np.where(whole / tau > fastest, u * fastest * tau, whole - rise)
    return np.clip(lead, -LEAD_LIMIT_K, LEAD_LIMIT_K)


def _most(data: DispatchInputs, z: int) -> tuple[Array, Array]:
    """Greatest heating and cooling of a zone, each (N,) kW."""
    unit = next(u for u in data.hub.units if z in u.zones)
    place = unit.zones.index(z)
    series = data.units[unit.id]
    heating, cooling = float(unit.heating_kw[place]), float(unit.cooling_kw[place])
    return heating * series.heating_share, cooling * series.cooling_share


def _guards(problem: DispatchProblem, zone: str) -> tuple[Array, Array]:
    """The tightest edges on a room's temperature within `GUARD_AHEAD_S` of each step, each (N,)
    degC: a thermostat that begins to guard only when the band begins to count has the room there
    too late.
    """
    low, high = np.full(problem.data.steps, -np.inf), np.full(problem.data.steps, np.inf)
    for bound in problem.bounds:
        if bound.signal != f"{zone}.temp_degc":
            continue
        if bound.sense > 0:
            low[bound.mask] = np.maximum(low[bound.mask], bound.value[bound.mask])
        else:
            high[bound.mask] = np.minimum(high[bound.mask], bound.value[bound.mask])
    steps = int(GUARD_AHEAD_S // problem.data.site.step_s)
    return tightest_ahead(low, steps, 1.0), tightest_ahead(high, steps, -1.0)


def _kept_off(data: DispatchInputs, intent: Intent, point: str) -> Bools:
    off = np.zeros(data.steps, dtype=bool)
    for item in intent.constraints:
        if isinstance(item, KeepOff) and item.point == point:
            off |= mask_of(data, item.window)
    return off


def _latest(heats: Bools, cools: Bools, end: Array, low: Array, high: Array) -> Bools:
    """Whether cooling goes before heating where the two setpoints are in each other's way: what
    acts, and while nothing does, the edge that the room is nearer to."""
    return np.where(heats | cools, cools & ~heats, np.abs(high - end) < np.abs(end - low))


def _finish(
    data: DispatchInputs, intent: Intent, points: tuple[str, str], wanted: _Wanted
) -> tuple[Array, Array]:
    """Walk through the steps: each setpoint moves within what range and pace allow it there."""
    specs = [data.site.signal(p) for p in points]
    ranges = [setpoint_range(data, intent, p) for p in points]
    goals = [
        rounded(spec, np.clip(goal, *edges))
        for spec, edges, goal in zip(specs, ranges, (wanted.heating, wanted.cooling), strict=True)
    ]
    value = np.empty((2, data.steps))
    before = [data.applied(p) for p in points]
    for k in range(data.steps):
        boxes = [_box(data, specs[i], points[i], before[i], k) for i in range(2)]
        heating, cooling = (min(max(float(goals[i][k]), low), high)
                            for i, (low, high) in enumerate(boxes))  # fmt: skip
        heating, cooling = _apart(heating, cooling, boxes, keep_cooling=bool(wanted.cools[k]))
        value[:, k] = heating, cooling
        before = [heating, cooling]
    return value[0], value[1]


def _box(
    data: DispatchInputs, spec: SignalSpec, point: str, before: float | None, k: int
) -> tuple[float, float]:
    """Where a setpoint may be in step k after it was at `before`."""
    held = data.held.get(point)
    if held is not None and not np.isnan(held[k]):
        return float(held[k]), float(held[k])
    block = max(1, int(np.ceil(spec.dwell_s / data.site.step_s)))
    if before is not None and k % block:
        return before, before
    if before is None or spec.ramp_per_s is None:
        return spec.minimum, spec.maximum
    most = spec.ramp_per_s * data.site.step_s
    reach = np.array([max(spec.minimum, before - most), min(spec.maximum, before + most)])
    low, high = rounded(spec, reach)
    return float(low), float(high)


def _apart(
    heating: float,
    cooling: float,
    boxes: list[tuple[float, float]],
    *,
    keep_cooling: bool,
) -> tuple[float, float]:
    """Keep the deadband: first the side that does not act gives way, then the other."""
    for side in (keep_cooling, not keep_cooling):
        if heating + DEADBAND_K <= cooling:
            break
        if side:
            heating = max(boxes[0][0], round(cooling - DEADBAND_K, 9))
        else:
            cooling = min(boxes[1][1], round(heating + DEADBAND_K, 9))
    return heating, cooling


def rounded(spec: SignalSpec, value: Array) -> Array:
    """To the resolution, in decimals that JSON shows as such, never out of the range."""
    steps = np.round(value / spec.resolution)
    decimals = max(0, int(np.ceil(-np.log10(spec.resolution))) + 2)
    return np.clip(np.round(steps * spec.resolution, decimals), spec.minimum, spec.maximum)
