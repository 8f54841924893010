"""Air units that heat and cool rooms, as columns and rows.

A zone has two flows, heating and cooling, both >= 0 and bounded by what its unit can deliver to
it; zones that share a unit share its capacity. Electric power = heat / COP + cold / COP + base.

No optimum heats and cools a zone in one step while electricity is worth something: less of both
leaves the room alone and saves power. Where power is paid to be wasted (a negative price), a binary
keeps the two apart; `dispatch_reach` sees to what thermostats can ask for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_rooms import add_rooms, room_path
from planner.hub_model import UnitNumbers
from planner.milp import INF, About, Index, MilpBuilder, Switch, Term

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AirColumns:
    """`heating[z]`, `cooling[z]`, `temps[s]` are column indices (N,), equal within a period of the
    grid; `balances[s]` are the rows (P,) of state s."""

    heating: tuple[Index, ...]
    cooling: tuple[Index, ...]
    temps: tuple[Index, ...]
    balances: tuple[Index, ...]
    switches: tuple[Switch, ...]

    def path(self, data: DispatchInputs, x: Array) -> Array:
        """Room states at every step's end, (S, N), exact also within a period."""
        return room_path(data, np.stack([x[h] - x[c] for h, c in self.zones]))

    @property
    def zones(self) -> tuple[tuple[Index, Index], ...]:
        """Heating and cooling columns by zone."""
        return tuple(zip(self.heating, self.cooling, strict=True))


def add_air_units(builder: MilpBuilder, data: DispatchInputs) -> AirColumns:
    """Columns and rows of every air unit and of the rooms that they serve."""
    zones, period = data.hub.zones, data.grid.period
    assert zones is not None
    heating: dict[int, Index] = {}
    cooling: dict[int, Index] = {}
    switches: list[Switch] = []
    for unit in data.hub.units:
        series = data.units[unit.id]
        shares = (series.heating_share, series.cooling_share)
        for place, z in enumerate(unit.zones):
            zone, most = zones.zones[z], (unit.heating_kw[place], unit.cooling_kw[place])
            limits = [by_period(data, m * s) for m, s in zip(most, shares, strict=True)]
            heating[z] = _flow(builder, data, unit, zone, "heating", limits[0])[period]
            cooling[z] = _flow(builder, data, unit, zone, "cooling", limits[1])[period]
            switches += _either(builder, data, unit, z, heating[z], cooling[z])
        _share_capacity(builder, data, unit, heating, cooling)
    flows = [(heating[z], cooling[z]) for z in range(len(zones.zones))]
    terms = tuple(((heat, 1.0), (cold, -1.0)) for heat, cold in flows)
    temps, balances = add_rooms(builder, data, terms)
    return AirColumns(
        tuple(h for h, _ in flows), tuple(c for _, c in flows), temps, balances, tuple(switches)
    )


def by_period(data: DispatchInputs, values: Array) -> Array:
    """The least of `values` (N,) within each period of the grid, (P,)."""
    least = np.full(len(data.grid.ends), np.inf)
    np.minimum.at(least, data.grid.period, values)
    return least


def _flow(
    builder: MilpBuilder, data: DispatchInputs, unit: UnitNumbers, zone: str, word: str, most: Array
) -> Index:
    ends = tuple(int(k) for k in data.grid.ends)
    label = f"{unit.label}: {word} at full capacity"
    about = About(f"unit:{zone}:{word}", label, f"{zone}.heat_kw", "kW", ends)
    return builder.columns(len(ends), 0.0, most, about=about)


def _share_capacity(
    builder: MilpBuilder,
    data: DispatchInputs,
    unit: UnitNumbers,
    heating: dict[int, Index],
    cooling: dict[int, Index],
) -> None:
    """Zones on one unit get together at most what the unit can deliver."""
    ends = data.grid.ends
    for flows, each, most, word in (
        (heating, unit.heating_kw, unit.most_heating_kw, "heating"),
        (cooling, unit.cooling_kw, unit.most_cooling_kw, "cooling"),
    ):
        if len(unit.zones) < 2 or float(np.sum(each)) <= most:
            continue
        label = f"{unit.label}: {word} at full capacity"
        about = About(f"unit:{unit.id}:{word}", label, None, "kW", tuple(int(k) for k in ends))
        terms: list[Term] = [(flows[z][ends], 1.0) for z in unit.zones]
        series = data.units[unit.id]
        share = series.heating_share if word == "heating" else series.cooling_share
        builder.rows(terms, -INF, most * by_period(data, share), about=about)


def power_terms(data: DispatchInputs, columns: AirColumns, unit: UnitNumbers) -> list[Term]:
    """Electric power of a unit besides its base, (N,)."""
    series = data.units[unit.id]
    terms: list[Term] = [(columns.heating[z], 1.0 / series.cop_heating) for z in unit.zones]
    return terms + [(columns.cooling[z], 1.0 / series.cop_cooling) for z in unit.zones]


def greatest_power(data: DispatchInputs) -> Array:
    """The most that all units together can draw besides their base, (N,) kW."""
    total = np.zeros(data.steps)
    for unit in data.hub.units:
        series = data.units[unit.id]
        heating = min(float(unit.heating_kw.sum()), unit.most_heating_kw) / series.cop_heating
        cooling = min(float(unit.cooling_kw.sum()), unit.most_cooling_kw) / series.cop_cooling
        total = total + heating + cooling
    return total


def _either(
    builder: MilpBuilder, data: DispatchInputs, unit: UnitNumbers, z: int, heat: Index, cold: Index
) -> list[Switch]:
    """Binaries that keep heating and cooling apart in the periods in which power is paid for.

    heat / most + cold / most <= 1 is the convex hull of "either of the two".
    """
    paid = np.minimum(data.import_price, data.export_price) < 0
    at = data.grid.ends[np.unique(data.grid.period[paid])]
    if not len(at):
        return []
    place = unit.zones.index(z)
    warmest, coldest = float(unit.heating_kw[place]), float(unit.cooling_kw[place])
    heat, cold = heat[at], cold[at]
    side = builder.columns(len(at), 0.0, 1.0, integer=True)
    builder.rows([(heat, 1.0 / warmest), (cold, 1.0 / coldest)], -INF, 1.0)
    builder.rows([(heat, 1.0), (side, -warmest)], -INF, 0.0)
    builder.rows([(cold, 1.0), (side, coldest)], -INF, coldest)
    return [Switch(side, heat, cold)]
