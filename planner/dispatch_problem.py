"""Puts the dispatch problem together: physics, bounds, limits, holds, objective."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graph.intent import Intent
from planner.dispatch_after import add_after
from planner.dispatch_bounds import Bound, collect_bounds
from planner.dispatch_calendar import local_dates
from planner.dispatch_constraints import Mode, Rows, Slack, add_bound, add_holds
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_limits import add_limits
from planner.dispatch_objective import add_terms
from planner.dispatch_physics import CopPoint, HubColumns, add_physics
from planner.dispatch_prices import Rates, objective_weights, rates
from planner.margins import Margins
from planner.milp import About, Milp, MilpBuilder

Array = NDArray[np.float64]
MANY_STARTS = 12


@dataclass(frozen=True)
class DispatchProblem:
    """A problem ready to solve, and what is needed to read its answer."""

    milp: Milp
    hub: HubColumns
    data: DispatchInputs
    intent: Intent
    bounds: tuple[Bound, ...]
    slacks: tuple[Slack, ...]
    weights: dict[str, float]
    rates: Rates
    notes: tuple[str, ...]
    forced_on: Array  # (N,) 1 the heat pump runs, 0 it stands still, NaN free
    starts_left: tuple[int, ...]  # by local day of the horizon
    starts_firm: tuple[int, ...]  # the same without the limits that give way
    extra: tuple[tuple[About, Array, float], ...] = ()  # rows that earlier objectives left

    def with_row(self, about: About, coefficients: Array, maximum: float) -> "DispatchProblem":
        """The same problem with coefficients x <= maximum."""
        milp = self.milp.bounded(about, coefficients, maximum)
        return replace(self, milp=milp, extra=(*self.extra, (about, coefficients, maximum)))

    @property
    def wear_priced(self) -> bool:
        """Whether the site says what a kWh of battery throughput costs."""
        return any(b.wear_cost_per_kwh > 0 for b in self.data.parts.batteries)


def reference_cop(data: DispatchInputs, tank_degc: float | None = None) -> CopPoint:
    """The COP at one tank temperature, by default the middle of the local law's hysteresis.

    COP x power is bilinear; one temperature for the whole horizon makes it linear without inviting
    the search to chase the hours that the last plan left cool. `refined_cop` corrects the plan.
    """
    middle = 0.0
    if data.parts.pump is not None:
        law = data.site.baseline.tank_hysteresis
        middle = (law.on_below_degc + law.off_above_degc) / 2.0
    tank = np.full(data.steps, middle if tank_degc is None else tank_degc)
    return CopPoint(_cop(data, tank), np.zeros(data.steps), np.zeros(data.steps), tank)


def refined_cop(problem: DispatchProblem, x: Array) -> CopPoint:
    """The COP linearised in power and tank temperature about a solution."""
    data, heat = problem.data, problem.hub.heat
    assert heat is not None
    end = x[heat.tank]
    tank = (np.concatenate([[data.tank0], end[:-1]]) + end) / 2.0
    slope = _cop(data, tank + 0.5) - _cop(data, tank - 0.5)
    return CopPoint(_cop(data, tank), slope, x[heat.power], tank)


def _cop(data: DispatchInputs, tank_degc: Array) -> Array:
    if data.parts.pump is None:
        return np.ones(data.steps)
    return np.asarray(data.hub.cop(data.outdoor, tank_degc), dtype=float)


def build_problem(
    data: DispatchInputs,
    intent: Intent,
    margins: Margins,
    mode: Mode = Mode.PLAN,
    cop: CopPoint | None = None,
) -> DispatchProblem:
    """The dispatch problem of one snapshot and one intent.

    Args:
        cop: where the COP is linearised; None takes the reference.

    Raises:
        InputError: the intent bounds what no setpoint moves, or in a unit of another kind.
    """
    builder = MilpBuilder()
    hub = add_physics(builder, data, cop or reference_cop(data))
    exchange = rates(data, weights := objective_weights(intent))
    rows = Rows(builder, data, hub, mode, exchange.dearest_kwh)
    bounds = collect_bounds(data, intent, margins, frozenset(hub.signals))
    for bound in bounds:
        add_bound(rows, bound)
    add_limits(rows, intent)
    add_holds(rows)
    add_after(rows, intent)
    add_terms(rows, frozenset(weights), exchange)
    return DispatchProblem(
        milp=builder.freeze(),
        hub=hub,
        data=data,
        intent=intent,
        bounds=bounds,
        slacks=tuple(rows.slacks),
        weights=weights,
        rates=exchange,
        notes=tuple(dict.fromkeys(rows.notes)),
        forced_on=_with_minimum_times(data, rows.forced_on),
        starts_left=_starts_left(data, rows.starts_left),
        starts_firm=_starts_left(data, rows.starts_firm),
    )


def _with_minimum_times(data: DispatchInputs, forced: Array) -> Array:
    """The heat pump's remaining least running or standing time forces its first steps too."""
    pump = data.parts.pump
    if pump is None:
        return forced
    least = pump.min_on_s if data.on0 else pump.min_off_s
    left = int(np.ceil(max(0.0, least - data.since_change_s) / data.site.step_s))
    first = forced[:left]
    first[np.isnan(first)] = float(data.on0)
    return forced


def _starts_left(data: DispatchInputs, left: dict[int, int]) -> tuple[int, ...]:
    """Starts left in each local day; a day without a limit has as many as anyone could want."""
    days = sorted({d.toordinal() for d in local_dates(data.starts, data.site.zone_info)})
    return tuple(min(left.get(d, MANY_STARTS), MANY_STARTS) for d in days)
