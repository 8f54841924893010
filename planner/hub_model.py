"""The numbers of a site that the dispatch problem needs, and where they come from.

The planner reads the twin through `HubModel` (heat pump, tank, battery) or `BuildingModel` (rooms
on air units) into `HubNumbers`, so that any twin with these accessors can be dispatched: how it
simulates is its own affair.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from graph.assets import AirUnit, Battery, HeatPump, Zone
from graph.errors import InputError
from graph.site import Site

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StorageNumbers:
    """A battery as the twin sees it: e+ = e + h (eta_charge c - d / eta_discharge - standby)."""

    capacity_kwh: float
    eta_charge: float
    eta_discharge: float
    standby_kw: float = 0.0


@dataclass(frozen=True)
class TankNumbers:
    """C dT/dt = heat in - heat out - loss (T - ambient); kWh/K, kW/K, degC.

    `emitter_kw_k[z]`, (Z,), bounds the heat of zone z by emitter_kw_k (T_tank - T_air).
    """

    capacity_kwh_k: float
    loss_kw_k: float
    ambient_degc: float
    emitter_kw_k: Array


@dataclass(frozen=True)
class ZoneNumbers:
    """The zones' exact zero-order-hold network over one step of the site.

    x+ = A x + B q + forcing; x as named in `states`, q in kW (cooling negative). Shapes for S
    states, Z zones: A (S, S), B (S, Z). `forcing(w, as_of, steps)` is (S, steps): all that acts
    besides q, from the disturbances w by signal, each (steps,). `air[z]` is the state that zone
    z's sensor reads.
    """

    states: tuple[str, ...]
    zones: tuple[str, ...]
    air: tuple[int, ...]
    A: Array
    B: Array
    forcing: Callable[[Mapping[str, Array], datetime, int], Array]


@dataclass(frozen=True)
class UnitNumbers:
    """An air unit. `zones` are places in `ZoneNumbers.zones`; the rest is aligned with them.

    `heating_kw`, `cooling_kw`: greatest heat to and from each zone, (len(zones),);
    `most_heating_kw` and `most_cooling_kw` bound their sums. `cop(outdoor, as_of)` gives heat per
    electric power when heating and when cooling, `base_kw(as_of, steps)` the power that it draws
    regardless, `capacity(outdoor, as_of)` what it can give when heating and when cooling over the
    figures above, each (N,).
    """

    id: str
    label: str
    zones: tuple[int, ...]
    heating_kw: Array
    cooling_kw: Array
    most_heating_kw: float
    most_cooling_kw: float
    cop: Callable[[Array, datetime], tuple[Array, Array]]
    base_kw: Callable[[datetime, int], Array]
    capacity: Callable[[Array, datetime], tuple[Array, Array]]


@dataclass(frozen=True)
class HubNumbers:
    """Everything the dispatch problem knows of the plant's physics.

    `cop(outdoor_degc, tank_degc)` of the heat pump broadcasts. `thermostat_tau_h`: a local
    thermostat closes its error with this time constant.
    """

    batteries: Mapping[str, StorageNumbers]
    tank: TankNumbers | None
    zones: ZoneNumbers | None
    cop: Callable[[Array, Array], Array]
    thermostat_tau_h: float
    units: tuple[UnitNumbers, ...] = ()


class ThermalLike(Protocol):
    """The zones' discrete network, as `sandbox.thermal.ThermalMatrices` has it."""

    @property
    def A(self) -> Array: ...  # noqa: N802
    @property
    def B(self) -> Array: ...  # noqa: N802
    @property
    def e_outdoor(self) -> Array: ...
    @property
    def e_ghi(self) -> Array: ...
    @property
    def e_load(self) -> Array: ...
    @property
    def constant(self) -> Array: ...


class HubModel(Protocol):
    """A twin that can be dispatched; `sandbox.energy_hub.HubTwin` is one."""

    @property
    def tank_capacity_kwh_k(self) -> float: ...
    @property
    def tank_loss_kw_k(self) -> float: ...
    @property
    def tank_ambient_degc(self) -> float: ...
    @property
    def thermostat_tau_h(self) -> float: ...
    @property
    def battery_charge_efficiency(self) -> float: ...
    @property
    def battery_discharge_efficiency(self) -> float: ...
    @property
    def battery_capacity_kwh(self) -> float: ...
    @property
    def battery_standby_kw(self) -> float: ...

    def emitter_ua_kw_k(self, zone: str) -> float: ...
    def cop(self, outdoor_degc: Array, tank_degc: Array) -> Array: ...
    def discrete_thermal(self, step_s: float) -> ThermalLike: ...


@runtime_checkable
class BuildingModel(Protocol):
    """A twin of zones on air units that can be dispatched; shapes as in `ZoneNumbers`.

    `zone_states`: names of the states as the estimate has them; `zone_air[z]`: place of zone z's
    air among them; zones in the site's order. `unit_cop`: heat per electric power when heating and
    when cooling, the fan that runs with the coil included.
    """

    @property
    def zone_states(self) -> tuple[str, ...]: ...
    @property
    def zone_air(self) -> tuple[int, ...]: ...
    @property
    def thermostat_tau_h(self) -> float: ...

    def zone_matrices(self, step_s: float) -> tuple[Array, Array]: ...
    def zone_forcing(self, w: Mapping[str, Array], as_of: datetime, steps: int) -> Array: ...
    def zone_heat_limits(self, zone: str) -> tuple[float, float]: ...
    def unit_capacity(
        self, unit: str, outdoor_degc: Array, as_of: datetime
    ) -> tuple[Array, Array]: ...
    def unit_cop(
        self, unit: str, outdoor_degc: Array, as_of: datetime | None = None
    ) -> tuple[Array, Array]: ...
    def unit_base_kw(self, unit: str, as_of: datetime, steps: int) -> Array: ...


def hub_numbers(site: Site, twin: object) -> HubNumbers:
    """The twin's numbers on the site's step: a `BuildingModel` for air units, else a `HubModel`.

    Raises:
        InputError: the twin has no numbers for the site's equipment.
    """
    if site.of_kind("air_unit"):
        return _building(site, twin)
    if site.of_kind("zone") and not hasattr(twin, "discrete_thermal"):
        raise InputError(
            f"the twin of {site.id} ({type(twin).__name__}) says nothing of its heated rooms",
            "the dispatch planner needs a twin of kind energy_hub here",
        )
    hub = cast(HubModel, twin)
    pumps = [cast(HeatPump, a) for a in site.of_kind("heat_pump")]
    zones = tuple(a.id for a in site.of_kind("zone"))
    tank = None
    if pumps:
        emitters = np.array([hub.emitter_ua_kw_k(zone) for zone in zones])
        tank = TankNumbers(
            hub.tank_capacity_kwh_k, hub.tank_loss_kw_k, hub.tank_ambient_degc, emitters
        )
    return HubNumbers(
        batteries=_batteries(site, twin),
        tank=tank,
        zones=_rooms_on_tank(site, zones, hub, pumps[0].source) if pumps else None,
        cop=hub.cop,
        thermostat_tau_h=hub.thermostat_tau_h,
    )


def _batteries(site: Site, twin: object) -> dict[str, StorageNumbers]:
    """A twin identifies one battery's parameters; a further battery has its nameplate's."""
    found: dict[str, StorageNumbers] = {}
    for asset in site.assets:
        if not isinstance(asset, Battery):
            continue
        if not found and hasattr(twin, "battery_capacity_kwh"):
            hub = cast(HubModel, twin)
            found[asset.id] = StorageNumbers(
                hub.battery_capacity_kwh,
                hub.battery_charge_efficiency,
                hub.battery_discharge_efficiency,
                hub.battery_standby_kw,
            )
        else:
            one_way = asset.round_trip_efficiency**0.5
            found[asset.id] = StorageNumbers(asset.capacity_kwh, one_way, one_way)
    return found


def _rooms_on_tank(site: Site, zones: tuple[str, ...], twin: HubModel, weather: str) -> ZoneNumbers:
    thermal = twin.discrete_thermal(site.step_s)
    loads = tuple(f"{a.id}.power_kw" for a in site.of_kind("load"))

    def forcing(w: Mapping[str, Array], _as_of: datetime, steps: int) -> Array:
        load = np.add.reduce([w[name] for name in loads]) if loads else np.zeros(steps)
        return np.asarray(
            np.outer(thermal.e_outdoor, w[f"{weather}.temp_degc"])
            + np.outer(thermal.e_ghi, w[f"{weather}.ghi_w_m2"])
            + np.outer(thermal.e_load, load)
            + thermal.constant[:, None]
        )

    return ZoneNumbers(
        states=tuple(f"{zone}.{node}" for zone in zones for node in ("air", "mass")),
        zones=zones,
        air=tuple(range(0, 2 * len(zones), 2)),
        A=thermal.A,
        B=thermal.B,
        forcing=forcing,
    )


def _building(site: Site, twin: object) -> HubNumbers:
    if not isinstance(twin, BuildingModel):
        raise InputError(
            f"the twin of {site.id} ({type(twin).__name__}) says nothing of its air units",
            "the dispatch planner needs a twin of kind building here",
        )
    zones = [cast(Zone, a) for a in site.of_kind("zone")]
    A, B = twin.zone_matrices(site.step_s)
    return HubNumbers(
        batteries=_batteries(site, twin),
        tank=None,
        zones=ZoneNumbers(
            states=twin.zone_states,
            zones=tuple(z.id for z in zones),
            air=twin.zone_air,
            A=A,
            B=B,
            forcing=twin.zone_forcing,
        ),
        cop=_no_heat_pump,
        thermostat_tau_h=twin.thermostat_tau_h,
        units=tuple(_unit(cast(AirUnit, a), zones, twin) for a in site.of_kind("air_unit")),
    )


def _unit(unit: AirUnit, zones: list[Zone], twin: BuildingModel) -> UnitNumbers:
    served = tuple(z for z, zone in enumerate(zones) if zone.source == unit.id)
    limits = np.array([twin.zone_heat_limits(zones[z].id) for z in served]).reshape(-1, 2)
    return UnitNumbers(
        id=unit.id,
        label=unit.label or unit.id,
        zones=served,
        heating_kw=limits[:, 0],
        cooling_kw=limits[:, 1],
        most_heating_kw=unit.heating_kw,
        most_cooling_kw=unit.cooling_kw,
        cop=lambda outdoor, as_of: twin.unit_cop(unit.id, outdoor, as_of),
        capacity=lambda outdoor, as_of: twin.unit_capacity(unit.id, outdoor, as_of),
        base_kw=lambda as_of, steps: twin.unit_base_kw(unit.id, as_of, steps),
    )


def _no_heat_pump(outdoor_degc: Array, tank_degc: Array) -> Array:
    return np.ones(np.broadcast(outdoor_degc, tank_degc).shape)
