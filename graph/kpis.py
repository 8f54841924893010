"""The one KPI code: what a trajectory cost, emitted, wore and felt like.

NumPy, batch friendly: trajectories have shape (..., N), results the leading shape (...).
grid power is import positive (kW); prices are currency a kWh; step_s is seconds.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.errors import InputError
from graph.schedules import covered

if TYPE_CHECKING:
    from graph.site import Site
    from graph.snapshot import PriceSeries

Array = NDArray[np.float64]

WATER_KWH_PER_LITRE_K = 4.18 * 0.99 / 3600.0  # specific heat kJ/(kg K) x density kg/l at 45 degC

# Unit of each KPI; "money" stands for the site's currency.
KPI_UNITS = {
    "cost": "money", "energy": "kWh", "carbon": "kg", "comfort": "K.h", "starts": "1",
    "peak": "kW", "storage_value": "money", "settled_cost": "money",
}  # fmt: skip


def energy_cost(
    grid_kw: ArrayLike, import_price: ArrayLike, export_price: ArrayLike, step_s: float
) -> Array:
    """Sum over steps of import x import price - export x export price; shape (...), currency."""
    grid = np.asarray(grid_kw, dtype=np.float64)
    rate = np.maximum(grid, 0.0) * import_price - np.maximum(-grid, 0.0) * export_price
    return _total(rate, step_s)


def imported_kwh(grid_kw: ArrayLike, step_s: float) -> Array:
    """Energy drawn from the grid; shape (...), kWh. Export is not subtracted."""
    return _total(np.maximum(np.asarray(grid_kw, dtype=np.float64), 0.0), step_s)


def carbon_kg(grid_kw: ArrayLike, carbon_g_per_kwh: ArrayLike, step_s: float) -> Array:
    """CO2 of the imported energy; shape (...), kg. Export earns no credit."""
    imported = np.maximum(np.asarray(grid_kw, dtype=np.float64), 0.0)
    return _total(imported * np.asarray(carbon_g_per_kwh) / 1000.0, step_s)


def comfort_kh(temps: ArrayLike, lower: ArrayLike, upper: ArrayLike, step_s: float) -> Array:
    """Degree hours outside [lower, upper], mean over zones; shape (...), K.h.

    temps: (..., Z, N) degC at the end of each step; lower, upper: scalar or (N,).
    """
    t = np.asarray(temps, dtype=np.float64)
    outside = np.maximum(np.asarray(lower) - t, 0.0) + np.maximum(t - np.asarray(upper), 0.0)
    return _total(outside.mean(axis=-2), step_s)


def starts(power_kw: ArrayLike, threshold: float, initial_on: ArrayLike = False) -> Array:
    """Changes from off (<= threshold) to on (> threshold); shape (...).

    initial_on: whether it ran just before the first step, scalar or (...).
    """
    on = np.asarray(power_kw, dtype=np.float64) > threshold
    before = np.broadcast_to(np.asarray(initial_on, dtype=bool), on.shape[:-1])[..., None]
    was_on = np.concatenate([before, on[..., :-1]], axis=-1)
    return np.asarray((on & ~was_on).sum(axis=-1), dtype=np.float64)


def peak_kw(grid_kw: ArrayLike) -> Array:
    """Highest import over the steps; shape (...), kW, never below 0."""
    return np.asarray(np.maximum(np.max(np.asarray(grid_kw, dtype=np.float64), axis=-1), 0.0))


def storage_settlement(
    battery_delta_kwh: ArrayLike,
    tank_delta_kwh: ArrayLike,
    replacement_price: float,
    round_trip_efficiency: float,
    nominal_cop: float,
) -> Array:
    """Value of the change of stored energy; shape (...), currency.

    A stored kWh is worth what it would cost to put it there in the cheapest hour: electricity at
    that price over sqrt(round-trip efficiency), heat at that price over the nominal COP. Storing
    for its own sake therefore earns nothing, and draining the stores is no saving. The same rule
    holds for every controller.
    """
    electric = np.asarray(battery_delta_kwh, dtype=np.float64) / np.sqrt(round_trip_efficiency)
    thermal = np.asarray(tank_delta_kwh, dtype=np.float64) / nominal_cop
    return np.asarray((electric + thermal) * replacement_price)


def kpi_table(
    site: "Site",
    trace: Mapping[str, ArrayLike],
    prices: "PriceSeries",
    step_s: float,
    initial: Mapping[str, float],
    start: datetime | None = None,
) -> dict[str, Array]:
    """All KPIs of a trajectory; each of shape (...).

    Args:
        site: declares which assets there are.
        trace: signal id -> (..., N): every grid connection's, heat pump's `power_kw`, each zone's
            `temp_degc`, each battery's `soc_pct`, each tank's `temp_degc`.
        prices: import, export, carbon over the same N steps.
        step_s: seconds a step.
        initial: the same signals just before the first step: `soc_pct`, tank `temp_degc`, heat
            pump `power_kw` (missing: off).
        start: beginning of the first step; needed where a demand window or comfort hours are
            declared.

    Returns:
        cost (energy, demand charge above the month's peak so far, priced carbon), energy (imported
        kWh), carbon (kg), comfort (K.h), starts, peak (kW), storage_value, settled_cost
        (= cost - storage_value).

    Raises:
        InputError: a signal is missing from `trace` or `initial`.
    """
    grid = np.add.reduce([_get(trace, f"{a.id}.power_kw") for a in site.of_kind("grid_connection")])
    n = grid.shape[-1]
    imports, exports = np.asarray(prices.import_price[:n]), np.asarray(prices.export_price[:n])
    carbon = carbon_kg(grid, prices.carbon_g_per_kwh[:n], step_s)
    cost = energy_cost(grid, imports, exports, step_s)
    cost = cost + carbon / 1000.0 * site.tariff.carbon_price_per_t
    cost = cost + _demand_charge(site, grid, prices.peak_so_far_kw, step_s, start)
    stored = storage_value(site, trace, initial, float(np.min(imports)))
    value = np.broadcast_to(stored, grid.shape[:-1])
    return {
        "cost": cost,
        "energy": imported_kwh(grid, step_s),
        "carbon": carbon,
        "comfort": _comfort(site, trace, step_s, grid.shape, start),
        "starts": _all_starts(site, trace, initial, grid.shape),
        "peak": peak_kw(grid),
        "storage_value": value,
        "settled_cost": cost - value,
    }


def _total(rate: NDArray[Any], step_s: float) -> Array:
    return np.asarray(rate.sum(axis=-1) * (step_s / 3600.0), dtype=np.float64)


def _get(values: Mapping[str, Any], signal: str) -> Array:
    if signal not in values:
        raise InputError(f"the KPIs need {signal}", f"there are: {', '.join(sorted(values))}")
    return np.asarray(values[signal], dtype=np.float64)


def _demand_charge(
    site: "Site", grid: Array, peak_so_far_kw: float, step_s: float, start: datetime | None
) -> Array | float:
    charge, window = site.tariff.demand_charge_per_kw, site.tariff.demand_window
    if charge == 0.0:
        return 0.0
    counted = np.maximum(grid, 0.0)
    if window is not None:
        if start is None:
            raise InputError("a demand window needs the time of the first step", "pass start")
        zone = site.zone_info
        steps = [start + timedelta(seconds=step_s * k) for k in range(grid.shape[-1])]
        counted = counted * np.array([window.covers(t.astimezone(zone)) for t in steps])
    return np.asarray(np.maximum(counted.max(axis=-1) - peak_so_far_kw, 0.0) * charge)


def _comfort(
    site: "Site", trace: Mapping[str, Any], step_s: float, shape: tuple[int, ...],
    start: datetime | None,
) -> Array:  # fmt: skip
    zones = site.of_kind("zone")
    if site.comfort is not None:
        zones = tuple(z for z in zones if getattr(z, "group", "") == site.comfort.group)
    if site.comfort is None or not zones:
        return np.zeros(shape[:-1])
    temps = np.stack([_get(trace, f"{z.id}.temp_degc") for z in zones], axis=-2)
    low, high = comfort_edges(site, start, step_s, shape[-1])
    return comfort_kh(temps, low, high, step_s)


def comfort_by_zone(
    site: "Site", trace: Mapping[str, ArrayLike], step_s: float, start: datetime | None = None
) -> dict[str, Array]:
    """Degree hours outside the comfort band by zone of its group, each (...), K.h.

    Empty where the site declares no band.

    Raises:
        InputError: a zone's temperature is missing, or the band has hours and `start` is not given.
    """
    if site.comfort is None:
        return {}
    found = {}
    for zone in site.of_kind("zone"):
        if getattr(zone, "group", "") == site.comfort.group:
            temps = _get(trace, f"{zone.id}.temp_degc")
            low, high = comfort_edges(site, start, step_s, temps.shape[-1])
            found[zone.id] = comfort_kh(temps[..., None, :], low, high, step_s)
    return found


def comfort_edges(
    site: "Site", start: datetime | None, step_s: float, steps: int
) -> tuple[Array, Array]:
    """Lower and upper edge of the comfort band over `steps` from `start`, each (N,) degC.

    Outside the band's hours the edges are infinite: nothing counts. A step's hours are those at
    its middle; temperatures are those at its end, so the step counts at whose end the hours begin.

    Raises:
        InputError: the band has hours and the time of the first step is not given.
    """
    comfort = site.comfort
    if comfort is None:
        return np.full(steps, -np.inf), np.full(steps, np.inf)
    counts = np.ones(steps, dtype=bool)
    if comfort.hours:
        if start is None:
            raise InputError("comfort hours need the time of the first step", "pass start")
        middles = [start + timedelta(seconds=step_s * (k + 0.5)) for k in range(steps)]
        ends = [start + timedelta(seconds=step_s * (k + 1.0)) for k in range(steps)]
        counts = covered(comfort.hours, middles, site.zone_info)
        counts |= covered(comfort.hours, ends, site.zone_info)
    low = np.where(counts, comfort.lower_degc, -np.inf)
    return low, np.where(counts, comfort.upper_degc, np.inf)


def _all_starts(
    site: "Site", trace: Mapping[str, Any], initial: Mapping[str, float], shape: tuple[int, ...]
) -> Array:
    total = np.zeros(shape[:-1])
    for pump in site.of_kind("heat_pump"):
        signal = f"{pump.id}.power_kw"
        # Half the least running power: above it the machine runs, below it is standby.
        threshold = 0.5 * float(getattr(pump, "min_power_kw", 0.0))
        before = float(initial.get(signal, 0.0)) > threshold
        total = total + starts(_get(trace, signal), threshold, before)
    return total


def storage_value(
    site: "Site",
    trace: Mapping[str, ArrayLike],
    initial: Mapping[str, ArrayLike],
    price: ArrayLike,
) -> Array:
    """What the stores' change over a trajectory is worth at a price; shape (...), currency.

    price: currency a kWh, a number or of shape (...); `trace` and `initial` as for `kpi_table`.
    Raises InputError where a store's signal is missing.
    """
    total: Array = np.zeros(())  # also where there is no store
    worth: Any = price
    for battery in site.of_kind("battery"):
        signal, size = f"{battery.id}.soc_pct", float(getattr(battery, "capacity_kwh", 0.0))
        delta = (_get(trace, signal)[..., -1] - _get(initial, signal)) / 100.0 * size
        efficiency = float(getattr(battery, "round_trip_efficiency", 1.0))
        total = total + storage_settlement(delta, 0.0, worth, efficiency, 1.0)
    for pump in site.of_kind("heat_pump"):
        tank = next(a for a in site.assets if a.id == getattr(pump, "sink", ""))
        signal, litres = f"{tank.id}.temp_degc", float(getattr(tank, "volume_l", 0.0))
        warmer = _get(trace, signal)[..., -1] - _get(initial, signal)
        heat = warmer * litres * WATER_KWH_PER_LITRE_K
        cop = float(getattr(pump, "nominal_cop", 1.0))
        total = total + storage_settlement(0.0, heat, worth, 1.0, cop)
    return np.asarray(total, dtype=np.float64)
