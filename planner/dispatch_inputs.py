"""What a snapshot gives to the dispatch problem, checked and as arrays."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import numpy as np
from numpy.typing import NDArray

from graph.assets import AirUnit, Battery, BufferTank, HeatPump, Zone
from graph.errors import InputError
from graph.signals import Quality
from graph.site import Site
from graph.snapshot import Snapshot
from planner.dispatch_calendar import local_dates
from planner.held import held_values
from planner.hub_model import HubNumbers
from planner.series import forecast_series, usable_series
from planner.time_grid import TimeGrid, time_grid

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Equipment:
    """The site's parts by their role. `zones` are all on the tank, or all on `units`."""

    grid: str
    batteries: tuple[Battery, ...]
    pump: HeatPump | None
    tank: BufferTank | None
    zones: tuple[str, ...]
    pvs: tuple[str, ...]
    loads: tuple[str, ...]
    weather: str | None
    units: tuple[AirUnit, ...] = ()


@dataclass(frozen=True)
class UnitSeries:
    """An air unit over the horizon, each (N,): heat per electric power, its other power (kW), and
    what it can give over what it can give at rating conditions."""

    cop_heating: Array
    cop_cooling: Array
    base_kw: Array
    heating_share: Array
    cooling_share: Array


@dataclass(frozen=True)
class DispatchInputs:
    """All numbers of one dispatch problem. Arrays of shape (N,) unless said otherwise.

    Powers in kW, prices in currency a kWh, carbon in kg a kWh, temperatures in degC. `zone_state`
    is (S,), `forcing` (S, N) what acts on it besides the rooms' heat, `energy0` kWh by battery.
    `held[point]` is (N,) with NaN where nobody holds the point. `grid` says which steps share one
    decision on the rooms' heat.
    """

    site: Site
    snapshot: Snapshot
    hub: HubNumbers
    parts: Equipment
    steps: int
    hours: float
    starts: tuple[datetime, ...]
    import_price: Array
    export_price: Array
    carbon: Array
    outdoor: Array
    ghi: Array
    pv: dict[str, Array]
    load: dict[str, Array]
    units: dict[str, UnitSeries]
    zone_state: Array
    forcing: Array
    grid: TimeGrid
    tank0: float
    energy0: dict[str, float]
    on0: bool
    since_change_s: float
    held: dict[str, Array]

    @property
    def days(self) -> tuple[int, ...]:
        """The local day (ordinal) of each step."""
        return tuple(d.toordinal() for d in local_dates(self.starts, self.site.zone_info))

    @property
    def storage_price(self) -> float:
        """Price of the cheapest hour: what a stored kWh would cost to replace; see graph/kpis."""
        return float(np.min(self.import_price))

    @property
    def mean_price(self) -> float:
        """Mean import price over the horizon: what objectives other than cost are weighed with."""
        return float(np.mean(self.import_price))

    def applied(self, point: str) -> float | None:
        """The value in force at a setpoint, if its read-back is known."""
        state = self.snapshot.points.get(point)
        return None if state is None else state.applied


def equipment(site: Site) -> Equipment:
    """The parts of an energy hub or of a building.

    Raises:
        InputError: not one grid connection; more than one heat pump, tank or weather station; a
            zone without what serves it, or zones on both a tank and air units.
    """
    count = {k: len(site.of_kind(k)) for k in ("grid_connection", "heat_pump", "buffer_tank")}
    if count["grid_connection"] != 1:
        raise InputError(
            f"site {site.id} has {count['grid_connection']} grid connections",
            "the dispatch planner balances one grid connection a site",
        )
    if count["heat_pump"] > 1 or count["heat_pump"] != count["buffer_tank"]:
        raise InputError(
            f"site {site.id} has {count['heat_pump']} heat pumps and {count['buffer_tank']} tanks",
            "the dispatch planner knows none, or one heat pump with its one tank",
        )
    pumps = [cast(HeatPump, a) for a in site.of_kind("heat_pump")]
    units = tuple(cast(AirUnit, a) for a in site.of_kind("air_unit"))
    zones = tuple(a.id for a in site.of_kind("zone"))
    _check_served(site, bool(pumps), units)
    weather = site.of_kind("weather")
    sources = [pumps[0].source] if pumps else [u.source for u in units] or [w.id for w in weather]
    return Equipment(
        grid=site.of_kind("grid_connection")[0].id,
        batteries=tuple(cast(Battery, a) for a in site.of_kind("battery")),
        pump=pumps[0] if pumps else None,
        tank=cast(BufferTank, site.of_kind("buffer_tank")[0]) if pumps else None,
        zones=zones,
        pvs=tuple(a.id for a in site.of_kind("pv")),
        loads=tuple(a.id for a in site.of_kind("load")),
        weather=sources[0] if sources else None,
        units=units,
    )


def _check_served(site: Site, pumped: bool, units: tuple[AirUnit, ...]) -> None:
    """Every zone hangs on the tank, or every zone on an air unit."""
    zones = [cast(Zone, a) for a in site.of_kind("zone")]
    on_units = [z for z in zones if z.source in {u.id for u in units}]
    if zones and not pumped and not units:
        raise InputError(f"site {site.id} has heated zones and no heat pump", "declare both")
    if units and (pumped or len(on_units) < len(zones)):
        other = next((z.id for z in zones if z not in on_units), "the tank")
        raise InputError(
            f"site {site.id} has air units, and {other} is not on one",
            "the dispatch planner heats zones from one tank, or all of them from air units",
        )
    if len({u.source for u in units}) > 1:
        raise InputError(
            f"the air units of site {site.id} name several weather stations",
            "the dispatch planner knows one weather a site",
        )


def dispatch_inputs(site: Site, hub: HubNumbers, snapshot: Snapshot) -> DispatchInputs:
    """Check the snapshot and lay it out.

    Raises:
        InputError: another step than the site's, a forecast or price series that is missing,
            shorter than the horizon or not finite, a state that the estimate lacks.
    """
    parts, steps = equipment(site), snapshot.horizon_steps
    if snapshot.step_s != site.step_s:
        raise InputError(
            f"the snapshot's step is {snapshot.step_s} s, the site's {site.step_s} s",
            "take the snapshot on the site's step",
        )
    prices = snapshot.prices
    state = dict(zip(snapshot.estimate.names, snapshot.estimate.mean, strict=True))
    starts = tuple(snapshot.as_of + timedelta(seconds=site.step_s * k) for k in range(steps))
    outdoor, ghi = _weather(site, snapshot, parts.weather)
    return DispatchInputs(
        site=site,
        snapshot=snapshot,
        hub=hub,
        parts=parts,
        steps=steps,
        hours=site.step_s / 3600.0,
        starts=starts,
        import_price=usable_series("import price", prices.import_price, steps),
        export_price=usable_series("export price", prices.export_price, steps),
        carbon=usable_series("carbon intensity", prices.carbon_g_per_kwh, steps) / 1000.0,
        outdoor=outdoor,
        ghi=ghi,
        pv={a: forecast_series(snapshot, f"{a}.power_kw") for a in parts.pvs},
        load={a: forecast_series(snapshot, f"{a}.power_kw") for a in parts.loads},
        units=_units(hub, outdoor, snapshot),
        zone_state=np.array([_state(state, n) for n in _states(hub)], dtype=float),
        forcing=_forcing(hub, snapshot),
        grid=time_grid(starts, site.step_s, _joined_rooms(parts), site.zone_info),
        tank0=_state(state, f"{parts.tank.id}.temp") if parts.tank else 0.0,
        energy0={b.id: _stored(state, b.id, hub) for b in parts.batteries},
        on0=_running(snapshot, parts.pump),
        since_change_s=_since_change(snapshot, parts.pump),
        held=_held(site, snapshot),
    )


def _states(hub: HubNumbers) -> tuple[str, ...]:
    return hub.zones.states if hub.zones else ()


def _joined_rooms(parts: Equipment) -> int:
    """How many rooms may share decisions over time: only those on air units."""
    return len(parts.zones) if parts.units else 0


def _stored(state: dict[str, float], battery: str, hub: HubNumbers) -> float:
    """kWh in a battery."""
    return _state(state, f"{battery}.soc_pct") / 100.0 * hub.batteries[battery].capacity_kwh


def _weather(site: Site, snapshot: Snapshot, weather: str | None) -> tuple[Array, Array]:
    """Outdoor temperature and irradiance, 0 where the site has no weather station or no sensor."""
    known = {s.id for s in site.signals}
    nothing = np.zeros(snapshot.horizon_steps)
    names = (f"{weather}.temp_degc", f"{weather}.ghi_w_m2") if weather else ()
    found = [forecast_series(snapshot, n) if n in known else nothing for n in names]
    return (found[0], found[1]) if found else (nothing, nothing)


def _forcing(hub: HubNumbers, snapshot: Snapshot) -> Array:
    """What acts on the zones besides their heat, (S, N), checked."""
    steps = snapshot.horizon_steps
    if hub.zones is None:
        return np.zeros((0, steps))
    w = {f.signal: np.asarray(f.values, dtype=float)[:steps] for f in snapshot.forecasts}
    try:
        forcing = np.asarray(hub.zones.forcing(w, snapshot.as_of, steps), dtype=float)
    except KeyError as missing:
        name = missing.args[0]
        raise InputError(f"the snapshot has no forecast of {name}", "forecast it first") from None
    if forcing.shape != (len(hub.zones.states), steps) or not np.all(np.isfinite(forcing)):
        raise InputError(
            "what acts on the rooms is not a number at every step of the horizon",
            "mend the forecasts",
        )
    return forcing


def _units(hub: HubNumbers, outdoor: Array, snapshot: Snapshot) -> dict[str, UnitSeries]:
    steps, found = snapshot.horizon_steps, {}
    for unit in hub.units:
        heating, cooling = unit.cop(outdoor, snapshot.as_of)
        base = unit.base_kw(snapshot.as_of, steps)
        shares = unit.capacity(outdoor, snapshot.as_of)
        series = [np.broadcast_to(np.asarray(v, dtype=float), (steps,))
                  for v in (heating, cooling, base, *shares)]  # fmt: skip
        if not all(np.all(np.isfinite(v)) for v in series) or min(map(np.min, series[:2])) <= 0:
            raise InputError(f"the twin's figures of {unit.id} are no usable numbers", "fit it")
        found[unit.id] = UnitSeries(*series)
    return found


def _state(state: dict[str, float], name: str) -> float:
    value = state.get(name)
    if value is None or not np.isfinite(value):
        raise InputError(f"the state estimate lacks {name}", f"it has: {', '.join(state)}")
    return value


def _running(snapshot: Snapshot, pump: HeatPump | None) -> bool:
    """Whether the heat pump runs: by its measured power, else by its setpoint's read-back."""
    if pump is None:
        return False
    half = 0.5 * pump.min_power_kw
    reading = snapshot.readings.get(f"{pump.id}.power_kw")
    if reading is not None and reading.value is not None and reading.quality is Quality.GOOD:
        return reading.value > half
    point = snapshot.points.get(f"{pump.id}.power_set_kw")
    return point is not None and point.applied > half


def _since_change(snapshot: Snapshot, pump: HeatPump | None) -> float:
    """Seconds since the heat pump went on or off; infinite when nobody knows."""
    changed = snapshot.last_change.get(f"{pump.id}.power_set_kw") if pump else None
    return float("inf") if changed is None else (snapshot.as_of - changed).total_seconds()


def _held(site: Site, snapshot: Snapshot) -> dict[str, Array]:
    """Values that people hold, by point; what they leave to a scheduled law has the law's."""
    held: dict[str, Array] = {}
    known = {s.id for s in site.setpoints}
    steps = range(snapshot.horizon_steps)
    starts = [snapshot.as_of + timedelta(seconds=site.step_s * k) for k in steps]
    for hold in snapshot.holds:
        if hold.point not in known:
            raise InputError(f"a hold on {hold.point}, which is no setpoint of {site.id}")
        ours = held_values(site, hold, starts)
        if ours is not None:
            values = held.setdefault(hold.point, np.full(len(starts), np.nan))
            held[hold.point] = np.where(np.isnan(ours), values, ours)
    return held
