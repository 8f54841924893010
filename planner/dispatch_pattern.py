"""A good on/off pattern for the heat pump, from the linear relaxation and dynamic programming.

The relaxation of the dispatch problem is tight (measured: within 0.5 % of the optimum), but its
`on` is fractional: it runs the machine a little all the time. What remains is to gather its heat
into few runs. Given the relaxation's heat demand, its marginal price of electricity (the balance
rows' multipliers) and the room that its tank trajectory leaves, that is a shortest path over

    (heat made so far less the relaxation's, steps on or off so far, starts made today)

which is solved exactly on a grid of heat, within milliseconds, where branch and bound takes many
seconds to find a first point. The pattern is only a proposal: the programme with these integers
fixed decides on powers, and its bound on quality.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.dispatch_calendar import local_dates
from planner.dispatch_problem import DispatchProblem

Array = NDArray[np.float64]
HEAT_GRID_KWH = 0.5  # a fifth of a kelvin in two cubic metres
POWER_LEVELS = 5
WINDOW_KWH = 60.0  # how far the heat made may run ahead of or behind the relaxation's
NEVER = 1e6  # stands for infinity, which interpolation would turn into NaN
BEHIND_PRICE = 5.0  # price of heat that the tank does not hold, over the dearest kWh of heat


@dataclass(frozen=True)
class PatternTask:
    """The shortest path's data. Arrays (N,): heat the relaxation makes (kWh), COP x h, price of
    a kW for one step, room above and below for the deviation (kWh), forced state (NaN free), day
    index. `worth` values a kWh of heat at the end."""

    heat: Array
    cop_h: Array
    price: Array
    above: Array
    below: Array
    forced: Array
    day: NDArray[np.int64]
    allowed: tuple[int, ...]
    powers: Array
    on0: bool
    min_on: int
    min_off: int
    start_cost: float
    behind_cost: float
    worth: float
    smooth: float = 0.0  # currency per kW^2 of straying from the relaxation's power in a step


def pattern_task(problem: DispatchProblem, x: Array, row_dual: Array) -> PatternTask:
    """The task from a solution of the relaxation and its multipliers."""
    data, heat, pump = problem.data, problem.hub.heat, problem.data.parts.pump
    assert heat is not None
    assert pump is not None
    assert data.hub.tank is not None
    step = data.site.step_s
    dates = np.array([d.toordinal() for d in local_dates(data.starts, data.site.zone_info)])
    above, below = _room(problem, x)
    dearest = problem.rates.dearest_kwh
    return PatternTask(
        heat=x[heat.power] * heat.cop * data.hours,
        cop_h=heat.cop * data.hours,
        price=row_dual[problem.hub.balance],
        above=above,
        below=below,
        forced=problem.forced_on,
        day=dates - dates[0],
        allowed=problem.starts_left,
        powers=np.linspace(pump.min_power_kw, pump.max_power_kw, POWER_LEVELS),
        on0=data.on0,
        min_on=max(1, int(np.ceil(pump.min_on_s / step))),
        min_off=max(1, int(np.ceil(pump.min_off_s / step))),
        start_cost=float(problem.milp.costs["start_tiebreak"][heat.start[0]]),
        behind_cost=BEHIND_PRICE * dearest / float(np.min(heat.cop)),
        worth=data.storage_price / pump.nominal_cop,
    )


def _room(problem: DispatchProblem, x: Array) -> tuple[Array, Array]:
    """kWh by which the tank may hold more, and less, than in the relaxation."""
    data, heat = problem.data, problem.hub.heat
    assert heat is not None
    assert data.hub.tank is not None
    assert data.hub.zones is not None
    assert data.parts.tank is not None
    signal, capacity = f"{data.parts.tank.id}.temp_degc", data.hub.tank.capacity_kwh_k
    temp = x[heat.tank]
    low, high = np.full(data.steps, -np.inf), np.full(data.steps, np.inf)
    for bound in problem.bounds:
        if bound.signal != signal:
            continue
        edge = (bound.value + bound.sense * bound.margin)[bound.mask]
        if bound.sense > 0:
            low[bound.mask] = np.maximum(low[bound.mask], edge)
        else:
            high[bound.mask] = np.minimum(high[bound.mask], edge)
    for z, air in enumerate(data.hub.zones.air):
        needed = x[heat.temps[air]] + x[heat.heat[z]] / data.hub.tank.emitter_kw_k[z]
        low = np.maximum(low, needed)
    return np.maximum(high - temp, 0.0) * capacity, np.maximum(temp - low, 0.0) * capacity


def best_pattern(task: PatternTask) -> NDArray[np.bool_]:
    """The cheapest on/off pattern, (N,).

    Dynamic programming backwards over (age, starts today, deviation). Ages 0..min_on-1 mean "on
    for age + 1 steps" (the last: or longer), the others likewise "off".
    """
    n, half = len(task.heat), int(WINDOW_KWH / HEAT_GRID_KWH)
    grid: Array = np.arange(-half, half + 1, dtype=np.float64) * HEAT_GRID_KWH
    ages, most = task.min_on + task.min_off, max(task.allowed)
    value = np.broadcast_to(-task.worth * grid, (ages, most + 1, len(grid))).copy()
    choice = np.zeros((n, ages, most + 1, len(grid)), dtype=np.int8)
    for k in range(n - 1, -1, -1):
        if k + 1 < n and task.day[k + 1] != task.day[k]:
            value = np.repeat(value[:, :1], most + 1, axis=1)
        value, choice[k] = _stage(task, k, grid, value)
    return _walk(task, grid, choice)


def _stage(task: PatternTask, k: int, grid: Array, after: Array) -> tuple[Array, NDArray[np.int8]]:
    """Cost to go before step k, and the best decision: 0 off, else 1 + the power's index."""
    on_age, off_age = task.min_on - 1, task.min_on + task.min_off - 1
    ways = np.stack(
        [
            task.price[k] * p
            + task.smooth * (p * task.cop_h[k] - task.heat[k]) ** 2
            + _next(task, k, grid, after, p * task.cop_h[k] - task.heat[k])
            for p in task.powers
        ]
    )
    level, run = ways.argmin(axis=0) + 1, ways.min(axis=0)
    rest = _next(task, k, grid, after, -task.heat[k]) + task.smooth * task.heat[k] ** 2
    value, choice = np.empty_like(after), np.empty(after.shape, dtype=np.int8)
    left = task.allowed[task.day[k]]
    for age in range(after.shape[0]):
        on, off = np.full_like(run[0], NEVER), np.full_like(run[0], NEVER)
        power = level[0]
        if age < task.min_on:
            on, power = run[min(age + 1, on_age)], level[min(age + 1, on_age)]
            off = rest[task.min_on] if age == on_age else off
        else:
            off = rest[min(age + 1, off_age)]
            if age == off_age and left > 0:  # a start, if one is left today
                on[:left] = run[0, 1 : left + 1] + task.start_cost
                power = np.vstack([level[0, 1:], level[0, -1:]])
        on = on + NEVER * (task.forced[k] == 0.0)
        off = off + NEVER * (task.forced[k] == 1.0)
        value[age] = np.minimum(on, off)
        choice[age] = np.where(on < off, power, 0)
    return value, choice


def _next(task: PatternTask, k: int, grid: Array, after: Array, moved: float) -> Array:
    """Cost to go after the deviation moves by `moved` kWh, linear between grid points."""
    deviation = grid + moved
    position = (deviation - grid[0]) / HEAT_GRID_KWH
    left = np.clip(np.floor(position).astype(np.int64), 0, len(grid) - 2)
    weight = np.clip(position - left, 0.0, 1.0)
    value = after[..., left] * (1.0 - weight) + after[..., left + 1] * weight
    over = np.maximum(deviation - task.above[k], 0.0)
    under = np.maximum(-deviation - task.below[k], 0.0)
    return np.asarray(value + task.behind_cost * (over + under))


def _walk(task: PatternTask, grid: Array, choice: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Follow the decisions forward from no deviation."""
    age = task.min_on - 1 if task.on0 else task.min_on + task.min_off - 1
    begun, deviation = 0, 0.0
    pattern = np.zeros(len(task.heat), dtype=bool)
    for k in range(len(task.heat)):
        if k and task.day[k] != task.day[k - 1]:
            begun = 0
        at = int(np.clip(round((deviation - grid[0]) / HEAT_GRID_KWH), 0, len(grid) - 1))
        decision = int(choice[k, age, begun, at])
        pattern[k] = decision > 0
        made = task.powers[decision - 1] * task.cop_h[k] if decision else 0.0
        deviation += made - task.heat[k]
        if decision:
            begun += int(age >= task.min_on)
            age = min(age + 1, task.min_on - 1) if age < task.min_on else 0
        else:
            last = task.min_on + task.min_off - 1
            age = min(age + 1, last) if age >= task.min_on else task.min_on
    return pattern
