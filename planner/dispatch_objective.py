"""Cost terms of the problem, each in its native unit, and the objective they add up to."""

import numpy as np

from planner.dispatch_calendar import days_left_in_month, local_dates
from planner.dispatch_comfort import comfort_band
from planner.dispatch_constraints import Rows, sliced
from planner.dispatch_options import AIR_TIEBREAK, COST_TIEBREAK, START_TIEBREAK_KWH
from planner.dispatch_prices import Rates
from planner.milp import INF, Array, Milp

COST_PARTS = ("energy_cost", "carbon_cost", "demand_charge", "wear", "storage_value")
ALWAYS = ("penalty", "start_tiebreak", "air_tiebreak")


def add_terms(rows: Rows, quantities: frozenset[str], rates: Rates) -> None:
    """Every term that the objective or the report needs."""
    data, hub, build = rows.data, rows.hub, rows.builder
    h, tariff = data.hours, data.site.tariff
    build.cost("energy_cost", hub.imported, h * data.import_price)
    build.cost("energy_cost", hub.exported, -h * data.export_price)
    build.cost("carbon_cost", hub.imported, h * data.carbon * tariff.carbon_price_per_t / 1000.0)
    build.cost("import_kwh", hub.imported, h)
    build.cost("emissions_kg", hub.imported, h * data.carbon)
    build.constant("penalty", 0.0)
    build.constant("start_tiebreak", 0.0)
    for battery in data.parts.batteries:
        worn = h * battery.wear_cost_per_kwh
        for columns in (hub.charge[battery.id], hub.discharge[battery.id]):
            build.cost("wear", columns, worn)
            build.cost("throughput_kwh", columns, h)
    _storage_value(rows)
    _demand_charge(rows)
    if hub.heat is not None:
        build.cost("start_tiebreak", hub.heat.start, START_TIEBREAK_KWH * rates.energy)
    if hub.air is not None:
        # Where electricity is worth nothing, heating against cooling must still not be free.
        for columns in (*hub.air.heating, *hub.air.cooling):
            build.cost("air_tiebreak", columns, h * AIR_TIEBREAK * rates.energy)
    if "peak" in quantities:
        highest = build.columns(1, 0.0, INF)
        same = np.repeat(highest, data.steps)
        build.rows([(hub.imported, 1.0), (same, -1.0)], -INF, 0.0)
        build.cost("peak_kw", highest, 1.0)
    if "comfort" in quantities:
        _comfort(rows)
    if "reliability" in quantities:
        for battery in data.parts.batteries:
            room = data.hub.batteries[battery.id].capacity_kwh * battery.soc_max_pct / 100.0
            build.cost("empty_kwh", hub.energy[battery.id], -1.0 / data.steps)
            build.constant("empty_kwh", room)


def _storage_value(rows: Rows) -> None:
    """Less the worth of the change of stored energy, by the rule of `graph.kpis`.

    A battery's kWh: the cheapest import price / sqrt(round-trip efficiency). A kWh of heat: that
    price / nominal COP.
    """
    data, hub, build = rows.data, rows.hub, rows.builder
    for battery in data.parts.batteries:
        worth = data.storage_price / battery.round_trip_efficiency**0.5
        # The rule counts nameplate kWh; the twin's capacity may differ.
        share = battery.capacity_kwh / data.hub.batteries[battery.id].capacity_kwh
        build.cost("storage_value", hub.energy[battery.id][-1:], -worth * share)
        build.constant("storage_value", worth * share * data.energy0[battery.id])
    pump, tank = data.parts.pump, data.parts.tank
    if pump is not None and tank is not None and hub.heat is not None:
        from graph.kpis import WATER_KWH_PER_LITRE_K

        worth = data.storage_price / pump.nominal_cop * tank.volume_l * WATER_KWH_PER_LITRE_K
        build.cost("storage_value", hub.heat.tank[-1:], -worth)
        build.constant("storage_value", worth * data.tank0)


def _demand_charge(rows: Rows) -> None:
    """Charge x (highest import - month's peak so far), prorated over the days left in the month.

    A peak set today is paid once, and the days still to come would likely have set one too; so
    the horizon bears the share (its days in the month) / (days left in the month). A month that
    begins inside the horizon starts from no peak.
    """
    data, hub, build, tariff = rows.data, rows.hub, rows.builder, rows.data.site.tariff
    if tariff.demand_charge_per_kw == 0.0:
        return
    zone = data.site.zone_info
    dates = local_dates(data.starts, zone)
    window = tariff.demand_window
    counted = np.array([window is None or window.covers(t.astimezone(zone)) for t in data.starts])
    for month in sorted({(d.year, d.month) for d in dates}):
        here = np.array([(d.year, d.month) == month for d in dates])
        days = sorted({d for d, yes in zip(dates, here, strict=True) if yes})
        share = min(1.0, float(here.sum()) * data.hours / 24.0 / days_left_in_month(days[0]))
        floor = data.snapshot.prices.peak_so_far_kw if here[0] else 0.0
        steps = np.flatnonzero(here & counted)
        if not len(steps):
            continue
        above = build.columns(1, 0.0, INF)
        same = np.repeat(above, len(steps))
        build.rows([(hub.imported[steps], 1.0), (same, -1.0)], -INF, floor)
        build.cost("demand_charge", above, share * tariff.demand_charge_per_kw)


def _comfort(rows: Rows) -> None:
    """K.h away from the middle of the comfort band (or from the local law's setpoint), mean over
    rooms."""
    from planner.dispatch_bounds import local_setpoints

    data, hub, build = rows.data, rows.hub, rows.builder
    zones, comfort = data.parts.zones, data.site.comfort
    if hub.air is not None:
        _comfort_on_units(rows)
        return
    if comfort is not None:
        middle = np.full(data.steps, (comfort.lower_degc + comfort.upper_degc) / 2.0)
    else:
        middle = local_setpoints(data.site, data.starts)
    for zone in zones:
        below, above = (build.columns(data.steps, 0.0, INF) for _ in range(2))
        terms = [*hub.signals[f"{zone}.temp_degc"].terms, (below, 1.0), (above, -1.0)]
        build.rows(terms, middle, middle)
        for columns in (below, above):
            build.cost("comfort_kh", columns, data.hours / len(zones))


def _comfort_on_units(rows: Rows) -> None:
    """The same for rooms on air units: away from the middle of the edges that are in force, at
    the ends of the grid's periods; nothing outside the comfort band's hours."""
    data, hub, build, grid = rows.data, rows.hub, rows.builder, rows.data.grid
    for zone in data.parts.zones:
        edges = comfort_band(data.site, zone, data.snapshot.as_of, data.steps)
        at = grid.ends[np.isfinite(edges.low[grid.ends])]
        middle = (edges.low[at] + edges.high[at]) / 2.0
        below, above = (build.columns(len(at), 0.0, INF) for _ in range(2))
        terms = [*sliced(hub.signals[f"{zone}.temp_degc"], at), (below, 1.0), (above, -1.0)]
        build.rows(terms, middle, middle)
        hours = data.hours * grid.lengths[grid.period[at]] / len(data.parts.zones)
        for columns in (below, above):
            build.cost("comfort_kh", columns, hours)


def native_terms(quantity: str, wear_priced: bool) -> tuple[str, ...]:
    """The terms that make up a quantity."""
    parts: dict[str, tuple[str, ...]] = {
        "cost": COST_PARTS,
        "energy": ("import_kwh",),
        "emissions": ("emissions_kg",),
        "peak": ("peak_kw",),
        "comfort": ("comfort_kh",),
        "wear": ("wear",) if wear_priced else ("throughput_kwh",),
        "reliability": ("empty_kwh",),
    }
    return parts[quantity]


def quantity_cost(milp: Milp, quantity: str, rates: Rates, wear_priced: bool) -> Array:
    """A quantity in currency, as coefficients over the columns, (columns,)."""
    rate = {
        "cost": 1.0, "energy": rates.energy, "emissions": rates.emissions, "peak": rates.peak,
        "comfort": rates.comfort, "wear": 1.0 if wear_priced else rates.wear_by_default,
        "reliability": rates.energy,
    }[quantity]  # fmt: skip
    total = np.zeros(milp.columns)
    for name in native_terms(quantity, wear_priced):
        if name in milp.costs:
            total += rate * milp.costs[name]
    if quantity in ("energy", "emissions") and "storage_value" in milp.costs:
        total += milp.costs["storage_value"]  # or the horizon's end would drain the storage
    return total


def quantity_constant(milp: Milp, quantity: str, rates: Rates) -> float:
    """The part of a quantity that no column moves, in currency."""
    if quantity == "reliability":
        return rates.energy * milp.constants.get("empty_kwh", 0.0)
    named = milp.constants.get("storage_value", 0.0)
    return named if quantity in ("cost", "energy", "emissions") else 0.0


def objective(
    milp: Milp, weights: dict[str, float], rates: Rates, wear_priced: bool
) -> tuple[Array, float]:
    """Coefficients (columns,) and constant of the weighted sum, penalties and tie-breaks in it."""
    total, constant = np.zeros(milp.columns), 0.0
    if not {"cost", "energy", "emissions"} & weights.keys():
        weights = {**weights, "cost": COST_TIEBREAK}
    for quantity, weight in weights.items():
        total += weight * quantity_cost(milp, quantity, rates, wear_priced)
        constant += weight * quantity_constant(milp, quantity, rates)
    for name in ALWAYS:
        if name in milp.costs:
            total += milp.costs[name]
    return total, constant
