"""How an energy hub is laid out: which asset of the site plays which part, checked once."""

from dataclasses import dataclass
from functools import cached_property

from graph.assets import Battery, BufferTank, GridConnection, HeatPump, Zone
from graph.errors import InputError
from graph.site import Site
from sandbox.faults import Fault

# One of each: the model has one bus, one tank node, one battery and one weather station.
SINGLE = ("grid_connection", "battery", "heat_pump", "buffer_tank", "weather")


@dataclass(frozen=True)
class HubLayout:
    """The assets of a site in the parts of the energy-hub model."""

    site: Site
    grid: GridConnection
    battery: Battery
    heat_pump: HeatPump
    tank: BufferTank
    weather: str
    zones: tuple[Zone, ...]
    pvs: tuple[str, ...]
    loads: tuple[str, ...]

    @cached_property
    def state_names(self) -> tuple[str, ...]:
        """Air and mass of each zone, then the tank, then the battery."""
        nodes = [f"{z.id}.{node}" for z in self.zones for node in ("air", "mass")]
        return (*nodes, f"{self.tank.id}.temp", f"{self.battery.id}.soc_pct")

    @property
    def zone_signals(self) -> tuple[str, ...]:
        """Measured temperature of each zone."""
        return tuple(f"{z.id}.temp_degc" for z in self.zones)

    @property
    def zone_points(self) -> tuple[str, ...]:
        """Setpoint of each zone."""
        return tuple(f"{z.id}.setpoint_degc" for z in self.zones)

    @property
    def tank_signal(self) -> str:
        """Measured temperature of the tank."""
        return f"{self.tank.id}.temp_degc"

    @property
    def soc_signal(self) -> str:
        """Measured state of charge."""
        return f"{self.battery.id}.soc_pct"

    @property
    def heat_pump_point(self) -> str:
        """Setpoint of the heat pump's electric power."""
        return f"{self.heat_pump.id}.power_set_kw"

    @property
    def battery_point(self) -> str:
        """Setpoint of the battery's power."""
        return f"{self.battery.id}.power_set_kw"

    @property
    def outdoor_signal(self) -> str:
        """Outdoor temperature."""
        return f"{self.weather}.temp_degc"

    @property
    def ghi_signal(self) -> str:
        """Global horizontal irradiance."""
        return f"{self.weather}.ghi_w_m2"

    @property
    def disturbance_signals(self) -> tuple[str, ...]:
        """What acts on the hub and is forecast rather than modelled."""
        electric = (f"{a}.power_kw" for a in (*self.pvs, *self.loads))
        return (self.outdoor_signal, self.ghi_signal, *electric)

    @property
    def points(self) -> tuple[str, ...]:
        """Every setpoint the model understands."""
        return (self.battery_point, self.heat_pump_point, *self.zone_points)

    @property
    def sensors(self) -> tuple[str, ...]:
        """Every measured signal that shows a state."""
        return tuple(self.state_of)

    @property
    def state_of(self) -> dict[str, str]:
        """The state that each sensor shows."""
        zones = {s: f"{z.id}.air" for s, z in zip(self.zone_signals, self.zones, strict=True)}
        return {**zones, self.tank_signal: f"{self.tank.id}.temp", self.soc_signal: self.soc_signal}

    @property
    def heat_errors(self) -> dict[str, str]:
        """Heat that no model explains, by the temperature that it moves."""
        zones = {
            s: f"{z.id}.unexplained_kw" for s, z in zip(self.zone_signals, self.zones, strict=True)
        }
        return {**zones, self.tank_signal: f"{self.tank.id}.unexplained_kw"}

    @property
    def main_signals(self) -> tuple[str, ...]:
        """What charts show."""
        unit, battery = self.heat_pump.id, self.battery.id
        powers = (f"{self.grid.id}.power_kw", f"{unit}.power_kw", f"{unit}.heat_kw")
        stores = (f"{battery}.power_kw", self.soc_signal, self.tank_signal)
        return (*powers, *stores, *self.zone_signals)

    @property
    def imposable(self) -> tuple[str, ...]:
        """Measured flows that may replace the model's own."""
        unit = self.heat_pump.id
        return (f"{unit}.power_kw", f"{unit}.heat_kw", f"{self.battery.id}.power_kw")

    def off(self, asset: str) -> Fault | None:
        """The fault that stands for an asset standing still."""
        if asset == self.heat_pump.id:
            return Fault("heat_pump_dead")
        return Fault("battery_derate", 0.0) if asset == self.battery.id else None


def hub_layout(site: Site) -> HubLayout:
    """Lay out `site` as an energy hub.

    Raises:
        InputError: the site has not exactly one of each single part, no zone, or lacks a signal.
    """
    for kind in SINGLE:
        count = len(site.of_kind(kind))
        if count != 1:
            raise InputError(
                f"site {site.id} has {count} assets of kind {kind}; an energy hub has one",
                "the energy_hub twin fits one grid, battery, heat pump, tank and weather station",
            )
    if not site.of_kind("zone"):
        raise InputError(f"site {site.id} has no zone", "an energy hub heats one zone or more")
    parts = {kind: site.of_kind(kind)[0] for kind in SINGLE}
    layout = HubLayout(
        site=site,
        grid=parts["grid_connection"],  # type: ignore[arg-type]
        battery=parts["battery"],  # type: ignore[arg-type]
        heat_pump=parts["heat_pump"],  # type: ignore[arg-type]
        tank=parts["buffer_tank"],  # type: ignore[arg-type]
        weather=parts["weather"].id,
        zones=tuple(z for z in site.of_kind("zone") if isinstance(z, Zone)),
        pvs=tuple(a.id for a in site.of_kind("pv")),
        loads=tuple(a.id for a in site.of_kind("load")),
    )
    _check_signals(layout)
    return layout


def _check_signals(layout: HubLayout) -> None:
    have = {s.id for s in layout.site.signals}
    need = (
        *layout.disturbance_signals,
        *layout.points,
        *layout.zone_signals,
        layout.tank_signal,
        layout.soc_signal,
        f"{layout.grid.id}.power_kw",
        f"{layout.battery.id}.power_kw",
        f"{layout.heat_pump.id}.power_kw",
        f"{layout.heat_pump.id}.heat_kw",
    )
    missing = [s for s in need if s not in have]
    if missing:
        raise InputError(
            f"site {layout.site.id} lacks signals of an energy hub: {', '.join(missing)}",
            "see the table of quantities by asset kind in the site-pack reference",
        )
