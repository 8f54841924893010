"""From a solution to setpoints that the plant takes, and to the trajectories they should give."""

import numpy as np
from numpy.typing import NDArray

from graph.intent import Intent
from graph.signals import Role
from planner.dispatch_bounds import setpoint_range
from planner.dispatch_physics import uncontrolled
from planner.dispatch_problem import DispatchProblem
from planner.dispatch_thermostats import rounded, thermostat_setpoints

Array = NDArray[np.float64]
HEATS_KW = 0.05  # a room that gets less than this is not heated
LEAD_LIMIT_K = 1.5  # a setpoint runs at most so far ahead of the planned temperature
IDLE_OFFSET_K = 0.3  # how far below the plan a room may fall before its thermostat helps itself


def setpoints(problem: DispatchProblem, intent: Intent, x: Array) -> dict[str, Array]:
    """Every setpoint that the plan commands, each (N,), within range, ramp, dwell, resolution.

    - Battery: charge - discharge. Heat pump: electric power, 0 or from its least power up.
    - Rooms on a tank: see `_room_setpoint`; rooms on air units: see `dispatch_thermostats`.
    - A point that a person holds has the held value while it is held.
    """
    found: dict[str, Array] = {}
    for battery in problem.data.parts.batteries:
        point = f"{battery.id}.power_set_kw"
        found[point] = _finish(problem, intent, point, problem.hub.signals[point].at(x))
    pump, heat = problem.data.parts.pump, problem.hub.heat
    if pump is not None and heat is not None:
        point = f"{pump.id}.power_set_kw"
        power = np.where(x[heat.on] > 0.5, x[heat.power], 0.0)
        found[point] = _finish(problem, intent, point, power)
        for z, zone in enumerate(problem.data.parts.zones):
            point = f"{zone}.setpoint_degc"
            wanted = _room_setpoint(problem, z, x)
            found[point] = _paced(problem, point, _finish(problem, intent, point, wanted))
    if problem.hub.air is not None:
        found |= thermostat_setpoints(problem, intent, problem.hub.air, x)
    return found


def _room_setpoint(problem: DispatchProblem, z: int, x: Array) -> Array:
    """What to ask of a room's thermostat, (N,).

    While the plan heats: the thermostat closes only the fraction 1 - exp(-h / tau) of its error in
    a step, so the setpoint leads the planned rise by the inverse of it (by `LEAD_LIMIT_K` at most)
    and the room is where the plan has it at the step's end.

    While the plan does not heat: a setpoint at or below the planned temperature, low enough that
    an error of the forecast does not start unplanned heating (`IDLE_OFFSET_K`), but not below the
    room's lower bound, so that the thermostat still guards comfort.
    """
    data, heat, zones = problem.data, problem.hub.heat, problem.data.hub.zones
    assert heat is not None
    assert zones is not None
    end = x[heat.temps[zones.air[z]]]
    begin = np.concatenate([[data.zone_state[zones.air[z]]], end[:-1]])
    closed = -np.expm1(-data.hours / data.hub.thermostat_tau_h)
    lead = np.clip((end - begin) / closed, -LEAD_LIMIT_K, LEAD_LIMIT_K)
    idle = np.minimum(end, np.maximum(end - IDLE_OFFSET_K, _lower_edge(problem, z)))
    return np.where(x[heat.heat[z]] > HEATS_KW, begin + lead, idle)


def _lower_edge(problem: DispatchProblem, z: int) -> Array:
    """The highest lower bound on a room at each step, (N,) degC."""
    edge = np.full(problem.data.steps, -np.inf)
    signal = f"{problem.data.parts.zones[z]}.temp_degc"
    for bound in problem.bounds:
        if bound.signal == signal and bound.sense > 0:
            edge[bound.mask] = np.maximum(edge[bound.mask], bound.value[bound.mask])
    return edge


def _finish(problem: DispatchProblem, intent: Intent, point: str, wanted: Array) -> Array:
    """Clip to the range, snap to 0-or-above, round to the resolution, put the held values in."""
    data, spec = problem.data, problem.data.site.signal(point)
    lower, upper = setpoint_range(data, intent, point)
    value = np.clip(wanted, lower, upper)
    value = rounded(spec, value)
    if spec.zero_or_above is not None:
        value = np.where(
            value < spec.zero_or_above / 2.0, 0.0, np.maximum(value, spec.zero_or_above)
        )
    held = data.held.get(point)
    return value if held is None else np.where(np.isnan(held), value, held)


def _paced(problem: DispatchProblem, point: str, wanted: Array) -> Array:
    """A room's setpoint with its declared ramp and, when longer than a step, its dwell kept."""
    data, spec = problem.data, problem.data.site.signal(point)
    held = data.held.get(point)
    most = (spec.ramp_per_s or np.inf) * data.site.step_s
    block = max(1, int(np.ceil(spec.dwell_s / data.site.step_s)))
    value, before = wanted.copy(), data.applied(point)
    for k in range(data.steps):
        if held is None or np.isnan(held[k]):
            if before is not None and k % block:
                value[k] = before
            elif before is not None and abs(value[k] - before) > most:
                value[k] = rounded(spec, np.array([before + np.sign(value[k] - before) * most]))[0]
        before = float(value[k])
    return value


def predicted(problem: DispatchProblem, x: Array) -> dict[str, Array]:
    """Expected trajectory of every measured signal, each (N,)."""
    data, found = problem.data, {}
    weather = data.parts.weather
    given = {f"{a}.power_kw": v for a, v in (*data.pv.items(), *data.load.items())}
    if weather is not None:
        given |= {f"{weather}.temp_degc": data.outdoor, f"{weather}.ghi_w_m2": data.ghi}
    for spec in data.site.signals:
        if spec.role is Role.SETPOINT:
            continue
        if spec.id in given:
            found[spec.id] = given[spec.id]
        elif spec.id in problem.hub.signals:
            found[spec.id] = problem.hub.signals[spec.id].at(x)
    if problem.hub.air is not None and data.hub.zones is not None:
        path = problem.hub.air.path(data, x)
        for zone, air in zip(data.hub.zones.zones, data.hub.zones.air, strict=True):
            found[f"{zone}.temp_degc"] = path[air]
    return found


def balance_error(problem: DispatchProblem, x: Array) -> float:
    """Greatest mismatch of the predicted grid power with load, PV and what is commanded, kW."""
    hub, data = problem.hub, problem.data
    total = uncontrolled(data)
    for battery in data.parts.batteries:
        total = total + hub.signals[f"{battery.id}.power_kw"].at(x)
    if hub.heat is not None:
        total = total + x[hub.heat.power]
    for unit in data.hub.units:  # their base is in `uncontrolled`
        total = total + hub.signals[f"{unit.id}.power_kw"].at(x) - data.units[unit.id].base_kw
    grid = hub.signals[f"{data.parts.grid}.power_kw"].at(x)
    return float(np.max(np.abs(grid - total)))


def margins_by_hour(problem: DispatchProblem) -> dict[str, tuple[float, ...]]:
    """The widest margin of each hour from the plan's start, by bound; none where there is none."""
    an_hour = max(1, round(1.0 / problem.data.hours))
    found: dict[str, tuple[float, ...]] = {}
    for bound in problem.bounds:
        margin = np.where(bound.mask, np.broadcast_to(bound.margin, bound.mask.shape), 0.0)
        if margin.any():
            hours = [margin[k : k + an_hour].max() for k in range(0, len(margin), an_hour)]
            found[bound.id] = tuple(round(float(v), 4) for v in hours)
    return found
