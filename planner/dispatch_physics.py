"""The hub's physics as columns and rows: balance, batteries, heat pump and tank; see
`dispatch_rooms` for rooms, `dispatch_air` for air units.

State columns hold the value at the END of a step; flows hold the mean over it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.assets import Battery
from planner.dispatch_air import AirColumns, add_air_units, greatest_power, power_terms
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_rooms import add_rooms
from planner.hub_model import ZoneNumbers
from planner.milp import INF, About, Index, MilpBuilder, Switch, Term

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Expression:
    """An affine function of the columns a step: sum of coefficient x column + constant, (N,)."""

    terms: tuple[Term, ...]
    constant: Array

    def at(self, x: Array) -> Array:
        """Its values at a point, (N,)."""
        total = self.constant.copy()
        for columns, coefficients in self.terms:
            total = total + np.asarray(coefficients) * x[columns]
        return np.asarray(total, dtype=float)


@dataclass(frozen=True)
class CopPoint:
    """Where heat = COP(outdoor, tank) x power is linearised. Arrays (N,).

    heat = cop P + slope power (T - tank_degc), with T the tank's mean over the step. At a power of
    0 (the first solve) this is a COP at fixed temperatures.
    """

    cop: Array
    slope: Array
    power: Array
    tank_degc: Array

    @property
    def gain(self) -> Array:
        """kW of heat per K of tank temperature."""
        return self.slope * self.power


@dataclass(frozen=True)
class HeatColumns:
    """Heat pump, tank and rooms. `heat[z]`, `temps[s]` are (N,) column indices."""

    power: Index
    on: Index
    start: Index
    tank: Index
    heat: tuple[Index, ...]
    temps: tuple[Index, ...]
    cop: Array


@dataclass(frozen=True)
class HubColumns:
    """Where each quantity sits in the problem, and every signal as an expression.

    On a grid with long periods a room's temperature is, within a period, that at its end.
    """

    imported: Index
    exported: Index
    charge: dict[str, Index]
    discharge: dict[str, Index]
    energy: dict[str, Index]
    heat: HeatColumns | None
    signals: dict[str, Expression]
    balance: Index  # rows: their multipliers are the marginal price of electricity
    air: AirColumns | None = None
    switches: tuple[Switch, ...] = ()


def add_physics(builder: MilpBuilder, data: DispatchInputs, cop: CopPoint) -> HubColumns:
    """Columns and rows of the whole hub."""
    zero = np.zeros(data.steps)
    signals: dict[str, Expression] = {}
    balance: list[Term] = []
    charge, discharge, energy = {}, {}, {}
    switches: list[Switch] = []
    for battery in data.parts.batteries:
        c, d, e = _battery(builder, data, battery, switches)
        charge[battery.id], discharge[battery.id], energy[battery.id] = c, d, e
        balance += [(c, 1.0), (d, -1.0)]
        flow = Expression(((c, 1.0), (d, -1.0)), zero)
        capacity = data.hub.batteries[battery.id].capacity_kwh
        signals[f"{battery.id}.power_kw"] = flow
        signals[f"{battery.id}.power_set_kw"] = flow
        signals[f"{battery.id}.soc_pct"] = Expression(((e, 100.0 / capacity),), zero)
    heat = _heating(builder, data, cop, signals) if data.parts.pump else None
    if heat is not None:
        balance.append((heat.power, 1.0))
    air = _air(builder, data, signals, balance) if data.hub.units else None
    imported, exported, rows = _grid(builder, data, balance, switches)
    signals[f"{data.parts.grid}.power_kw"] = Expression(((imported, 1.0), (exported, -1.0)), zero)
    switches += air.switches if air else ()
    return HubColumns(
        imported, exported, charge, discharge, energy, heat, signals, rows, air, tuple(switches)
    )


def uncontrolled(data: DispatchInputs) -> Array:
    """Load, and what air units draw regardless, less PV, (N,) kW."""
    total = np.zeros(data.steps)
    for load in data.load.values():
        total = total + load
    for unit in data.units.values():
        total = total + unit.base_kw
    for pv in data.pv.values():
        total = total - pv
    return total


def _air(
    builder: MilpBuilder,
    data: DispatchInputs,
    signals: dict[str, Expression],
    balance: list[Term],
) -> AirColumns:
    zones, zero = data.hub.zones, np.zeros(data.steps)
    assert zones is not None
    columns = add_air_units(builder, data)
    for unit in data.hub.units:
        power = power_terms(data, columns, unit)
        balance += power
        signals[f"{unit.id}.power_kw"] = Expression(tuple(power), data.units[unit.id].base_kw)
    for z, zone in enumerate(zones.zones):
        heating, cooling = columns.zones[z]
        signals[f"{zone}.heat_kw"] = Expression(((heating, 1.0), (cooling, -1.0)), zero)
        temp = columns.temps[zones.air[z]]
        signals[f"{zone}.temp_degc"] = Expression(((temp, 1.0),), zero)
    return columns


def _grid(
    builder: MilpBuilder, data: DispatchInputs, flows: list[Term], switches: list[Switch]
) -> tuple[Index, Index, Index]:
    """Import - export = load - PV + controlled flows. Where exporting pays more than importing
    costs, a binary keeps the two apart; elsewhere no optimum has both."""
    n, tariffs = data.steps, (data.import_price, data.export_price)
    imported = builder.columns(n, 0.0, INF)
    exported = builder.columns(n, 0.0, INF)
    terms: list[Term] = [(imported, 1.0), (exported, -1.0)]
    terms += [(columns, -np.asarray(value)) for columns, value in flows]
    net = uncontrolled(data)
    rows = builder.rows(terms, net, net)
    both_pay = np.flatnonzero(tariffs[1] >= tariffs[0])
    if len(both_pay):
        controlled = sum(b.max_charge_kw + b.max_discharge_kw for b in data.parts.batteries)
        pump = data.parts.pump.max_power_kw if data.parts.pump else 0.0
        # the greatest net flow there can be
        big = np.abs(net[both_pay]) + controlled + pump + greatest_power(data)[both_pay]
        side = builder.columns(len(both_pay), 0.0, 1.0, integer=True)
        builder.rows([(imported[both_pay], 1.0), (side, -big)], -INF, 0.0)
        builder.rows([(exported[both_pay], 1.0), (side, big)], -INF, big)
        switches.append(Switch(side, imported[both_pay], exported[both_pay]))
    return imported, exported, rows


def _battery(
    builder: MilpBuilder, data: DispatchInputs, battery: Battery, switches: list[Switch]
) -> tuple[Index, Index, Index]:
    """Charge, discharge (kW) and energy (kWh) with e+ = e + h (eta c - d / eta - standby).

    c / c_max + d / d_max <= 1 is the convex hull of "either charges or discharges"; where energy
    is paid to be wasted (a negative price), a binary keeps the two apart.
    """
    n, h, numbers = data.steps, data.hours, data.hub.batteries[battery.id]
    charge = builder.columns(n, 0.0, battery.max_charge_kw)
    discharge = builder.columns(n, 0.0, battery.max_discharge_kw)
    energy = builder.columns(n, -INF, INF)
    known = np.zeros(n)
    known[0] = data.energy0[battery.id]
    rows = builder.rows(
        [
            (energy, 1.0),
            (charge, -h * numbers.eta_charge),
            (discharge, h / numbers.eta_discharge),
        ],
        known - h * numbers.standby_kw,
        known - h * numbers.standby_kw,
    )
    builder.add(rows[1:], energy[:-1], -1.0)
    share = [(charge, 1 / battery.max_charge_kw), (discharge, 1 / battery.max_discharge_kw)]
    builder.rows(share, -INF, 1.0)
    paid = np.flatnonzero(np.minimum(data.import_price, data.export_price) < 0)
    if len(paid):
        side = builder.columns(len(paid), 0.0, 1.0, integer=True)
        builder.rows([(charge[paid], 1.0), (side, -battery.max_charge_kw)], -INF, 0.0)
        full = battery.max_discharge_kw
        builder.rows([(discharge[paid], 1.0), (side, full)], -INF, full)
        switches.append(Switch(side, charge[paid], discharge[paid]))
    return charge, discharge, energy


def _heating(
    builder: MilpBuilder, data: DispatchInputs, cop: CopPoint, signals: dict[str, Expression]
) -> HeatColumns:
    pump, tank, zones = data.parts.pump, data.parts.tank, data.hub.zones
    assert pump is not None
    assert tank is not None
    assert zones is not None
    power, on, start = _heat_pump(builder, data)
    tank_temp = builder.columns(data.steps, -INF, INF)
    heat = tuple(builder.columns(data.steps, 0.0, INF) for _ in zones.zones)
    temps, _ = add_rooms(builder, data, tuple(((q, 1.0),) for q in heat))
    _tank(builder, data, cop, power, tank_temp, heat)
    _emitters(builder, data, zones, heat, temps, tank_temp)
    zero = np.zeros(data.steps)
    signals[f"{pump.id}.power_kw"] = Expression(((power, 1.0),), zero)
    signals[f"{pump.id}.power_set_kw"] = signals[f"{pump.id}.power_kw"]
    signals[f"{pump.id}.heat_kw"] = _made_heat(data, cop, power, tank_temp)
    signals[f"{tank.id}.temp_degc"] = Expression(((tank_temp, 1.0),), zero)
    for zone, air in zip(zones.zones, zones.air, strict=True):
        signals[f"{zone}.temp_degc"] = Expression(((temps[air], 1.0),), zero)
    return HeatColumns(power, on, start, tank_temp, heat, temps, cop.cop)


def _heat_pump(builder: MilpBuilder, data: DispatchInputs) -> tuple[Index, Index, Index]:
    """Semi-continuous power, on/off and starts with minimum times.

    The start columns need not be integer: with `on` whole, start[k] >= on[k] - on[k-1] and the
    turn-on inequalities below leave nothing else. The minimum-time rows are the convex hull of
    those times (Rajan and Takriti 2005, IBM RC23628).
    """
    pump = data.parts.pump
    assert pump is not None
    n, step = data.steps, data.site.step_s
    held = ~np.isnan(data.held.get(f"{pump.id}.power_set_kw", np.full(n, np.nan)))
    power = builder.columns(n, 0.0, pump.max_power_kw)
    on = builder.columns(n, 0.0, 1.0, integer=True)
    start = builder.columns(n, 0.0, 1.0)
    builder.rows([(power, 1.0), (on, -pump.min_power_kw)], 0.0, INF)
    builder.rows([(power, 1.0), (on, -pump.max_power_kw)], -INF, 0.0)
    was = np.zeros(n)
    was[0] = float(data.on0)
    rows = builder.rows([(start, 1.0), (on, -1.0)], -was, INF)  # start >= on - on_before
    builder.add(rows[1:], on[:-1], 1.0)
    up = max(1, int(np.ceil(pump.min_on_s / step)))
    down = max(1, int(np.ceil(pump.min_off_s / step)))
    _minimum_times(builder, data, on, start, held, up, down)
    return power, on, start


def _minimum_times(
    builder: MilpBuilder,
    data: DispatchInputs,
    on: Index,
    start: Index,
    held: NDArray[np.bool_],
    up: int,
    down: int,
) -> None:
    """Starts of the last `up` steps <= on; starts of the last `down` steps <= 1 - on before them.

    Steps within reach of a hold are free: a person may stop the machine at any time.
    """
    pump, n, step = data.parts.pump, data.steps, data.site.step_s
    assert pump is not None
    for k in range(n):
        first = max(0, k - up + 1)
        if not held[first : k + 1].any():
            builder.row([(start[first : k + 1], 1.0), (on[k : k + 1], -1.0)], -INF, 0.0)
        before = k - down
        if before < -1 or held[max(before, 0) : k + 1].any():
            continue
        window = start[before + 1 : k + 1]
        if before == -1:
            builder.row([(window, 1.0)], -INF, 1.0 - float(data.on0))
        else:
            builder.row([(window, 1.0), (on[before : before + 1], 1.0)], -INF, 1.0)
    least = pump.min_on_s if data.on0 else pump.min_off_s
    remaining = int(np.ceil(max(0.0, least - data.since_change_s) / step))
    for k in range(min(remaining, n)):
        if not held[k]:
            about = About(f"{pump.id}.minimum_time", "least running or standing time")
            value = float(data.on0)
            builder.row([(on[k : k + 1], 1.0)], value, value, about=about)


def _tank(
    builder: MilpBuilder,
    data: DispatchInputs,
    cop: CopPoint,
    power: Index,
    tank: Index,
    heat: tuple[Index, ...],
) -> None:
    """C (T+ - T) / h = heat - sum q - loss ((T + T+) / 2 - ambient): trapezoidal."""
    numbers = data.hub.tank
    assert numbers is not None
    rate = numbers.capacity_kwh_k / data.hours
    half = (numbers.loss_kw_k - cop.gain) / 2.0
    known = numbers.loss_kw_k * numbers.ambient_degc - cop.gain * cop.tank_degc
    known[0] += (rate - half[0]) * data.tank0
    terms: list[Term] = [(tank, rate + half), (power, -cop.cop)]
    terms += [(q, 1.0) for q in heat]
    rows = builder.rows(terms, known, known)
    builder.add(rows[1:], tank[:-1], -(rate - half[1:]))


def _made_heat(data: DispatchInputs, cop: CopPoint, power: Index, tank: Index) -> Expression:
    """The heat pump's heat, as linearised."""
    before = np.concatenate([tank[:1], tank[:-1]])  # its first coefficient is 0: see `known`
    later = np.concatenate([[0.0], cop.gain[1:] / 2.0])
    known = -cop.gain * cop.tank_degc
    known[0] += cop.gain[0] / 2.0 * data.tank0
    return Expression(((power, cop.cop), (tank, cop.gain / 2.0), (before, later)), known)


def _emitters(
    builder: MilpBuilder,
    data: DispatchInputs,
    zones: ZoneNumbers,
    heat: tuple[Index, ...],
    temps: tuple[Index, ...],
    tank: Index,
) -> None:
    """q <= UA (T_tank - T_air), with both temperatures' means over the step.

    While the tank has not had time to become warmer than the room, nothing can flow: there the
    row, which would demand a negative heat, gives way to q = 0.
    """
    pump, numbers = data.parts.pump, data.hub.tank
    assert pump is not None
    assert numbers is not None
    rise = data.hours * pump.max_power_kw * float(np.max(data.hub.cop(data.outdoor, _cold(data))))
    reach = data.tank0 + np.arange(data.steps) * rise / numbers.capacity_kwh_k
    for z, (q, air) in enumerate(zip(heat, zones.air, strict=True)):
        ua, temp = numbers.emitter_kw_k[z], temps[air]
        warm = reach > data.zone_state[air] + 1.0
        known = np.zeros(data.steps)
        known[0] = ua / 2 * (data.tank0 - data.zone_state[air])
        terms: list[Term] = [(q, 1.0), (tank, -ua / 2 * warm), (temp, ua / 2 * warm)]
        rows = builder.rows(terms, -INF, np.where(warm, known, 0.0))
        builder.add(rows[1:], tank[:-1], -ua / 2 * warm[1:])
        builder.add(rows[1:], temp[:-1], ua / 2 * warm[1:])


def _cold(data: DispatchInputs) -> Array:
    return np.full(data.steps, data.tank0)
