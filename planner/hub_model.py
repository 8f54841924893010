"""The numbers of an energy hub that the dispatch problem needs, and where they come from.

The planner reads the twin through `HubModel` into `HubNumbers`, so that any twin with these
accessors can be dispatched: how it simulates is its own affair.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from graph.assets import Battery
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
    """C dT/dt = heat in - heat out - loss (T - ambient); kWh/K, kW/K, degC."""

    capacity_kwh_k: float
    loss_kw_k: float
    ambient_degc: float


@dataclass(frozen=True)
class ZoneNumbers:
    """The zones' exact zero-order-hold network over one step of the site.

    x+ = A x + B q + e_outdoor To + e_ghi G + e_load L + constant; x as named in `states`.
    Shapes for S states, Z zones: A (S, S), B (S, Z), the rest (S,); q kW, To degC, G W/m2, L kW.
    `air[z]` is the state that zone z's sensor reads; `emitter_kw_k[z]` bounds its heat by
    emitter_kw_k (T_tank - T_air).
    """

    states: tuple[str, ...]
    zones: tuple[str, ...]
    air: tuple[int, ...]
    A: Array
    B: Array
    e_outdoor: Array
    e_ghi: Array
    e_load: Array
    constant: Array
    emitter_kw_k: Array


@dataclass(frozen=True)
class HubNumbers:
    """Everything the dispatch problem knows of the plant's physics.

    `cop(outdoor_degc, tank_degc)` broadcasts. `thermostat_tau_h`: a local thermostat closes its
    error with this time constant.
    """

    batteries: Mapping[str, StorageNumbers]
    tank: TankNumbers | None
    zones: ZoneNumbers | None
    cop: Callable[[Array, Array], Array]
    thermostat_tau_h: float


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


def hub_numbers(site: Site, twin: HubModel) -> HubNumbers:
    """The twin's numbers on the site's step.

    The twin identifies one battery's parameters; a further battery of the site has its nameplate's.
    """
    batteries: dict[str, StorageNumbers] = {}
    for i, asset in enumerate(a for a in site.assets if isinstance(a, Battery)):
        one_way = asset.round_trip_efficiency**0.5
        batteries[asset.id] = (
            StorageNumbers(
                twin.battery_capacity_kwh,
                twin.battery_charge_efficiency,
                twin.battery_discharge_efficiency,
                twin.battery_standby_kw,
            )
            if i == 0
            else StorageNumbers(asset.capacity_kwh, one_way, one_way)
        )
    heated = bool(site.of_kind("heat_pump"))
    tank = TankNumbers(twin.tank_capacity_kwh_k, twin.tank_loss_kw_k, twin.tank_ambient_degc)
    zones = tuple(a.id for a in site.of_kind("zone"))
    return HubNumbers(
        batteries=batteries,
        tank=tank if heated else None,
        zones=_zones(zones, twin, site.step_s) if heated else None,
        cop=twin.cop,
        thermostat_tau_h=twin.thermostat_tau_h,
    )


def _zones(zones: tuple[str, ...], twin: HubModel, step_s: int) -> ZoneNumbers:
    thermal = twin.discrete_thermal(step_s)
    return ZoneNumbers(
        states=tuple(f"{zone}.{node}" for zone in zones for node in ("air", "mass")),
        zones=zones,
        air=tuple(range(0, 2 * len(zones), 2)),
        A=thermal.A,
        B=thermal.B,
        e_outdoor=thermal.e_outdoor,
        e_ghi=thermal.e_ghi,
        e_load=thermal.e_load,
        constant=thermal.constant,
        emitter_kw_k=np.array([twin.emitter_ua_kw_k(zone) for zone in zones]),
    )
