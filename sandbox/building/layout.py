"""How a building is laid out: which asset of the site plays which part, checked once."""

from dataclasses import dataclass
from functools import cached_property

from graph.assets import AirUnit, GridConnection, Weather, Zone
from graph.errors import InputError
from graph.site import Site
from sandbox.faults import Fault

UNMODELLED = ("battery", "heat_pump", "buffer_tank")


@dataclass(frozen=True)
class BuildingLayout:
    """The assets of a site in the parts of the building model."""

    site: Site
    grid: GridConnection
    weather: Weather
    zones: tuple[Zone, ...]
    units: tuple[AirUnit, ...]
    pvs: tuple[str, ...]
    loads: tuple[str, ...]
    heat_metered: bool

    @cached_property
    def zones_of(self) -> dict[str, tuple[str, ...]]:
        """The zones that each unit serves, by ids."""
        return {u.id: tuple(z.id for z in self.zones if z.source == u.id) for u in self.units}

    @cached_property
    def area_share(self) -> dict[str, float]:
        """Each zone's share of the floor area that its unit serves."""
        area = {z.id: z.floor_area_m2 for z in self.zones}
        return {z: area[z] / sum(area[m] for m in mates) for mates in self.zones_of.values()
                for z in mates}  # fmt: skip

    @property
    def zone_signals(self) -> tuple[str, ...]:
        """Measured temperature of each zone."""
        return tuple(f"{z.id}.temp_degc" for z in self.zones)

    @property
    def heat_signals(self) -> tuple[str, ...]:
        """Heat that each zone's unit delivers, net of the outdoor air that it brings along."""
        return tuple(f"{z.id}.heat_kw" for z in self.zones)

    @property
    def power_signals(self) -> tuple[str, ...]:
        """Electric power of each unit."""
        return tuple(f"{u.id}.power_kw" for u in self.units)

    @property
    def heating_points(self) -> tuple[str, ...]:
        """Heating setpoint of each zone."""
        return tuple(f"{z.id}.heating_setpoint_degc" for z in self.zones)

    @property
    def cooling_points(self) -> tuple[str, ...]:
        """Cooling setpoint of each zone."""
        return tuple(f"{z.id}.cooling_setpoint_degc" for z in self.zones)

    @property
    def points(self) -> tuple[str, ...]:
        """Every setpoint that the model understands."""
        pairs = zip(self.heating_points, self.cooling_points, strict=True)
        return tuple(point for pair in pairs for point in pair)

    @property
    def outdoor_signal(self) -> str:
        """Outdoor temperature."""
        return f"{self.weather.id}.temp_degc"

    @property
    def ghi_signal(self) -> str:
        """Global horizontal irradiance."""
        return f"{self.weather.id}.ghi_w_m2"

    @property
    def grid_signal(self) -> str:
        """Power at the point of common coupling."""
        return f"{self.grid.id}.power_kw"

    @property
    def disturbance_signals(self) -> tuple[str, ...]:
        """What acts on the building and is forecast rather than modelled."""
        electric = (f"{a}.power_kw" for a in (*self.pvs, *self.loads))
        return (self.outdoor_signal, self.ghi_signal, *electric)

    @property
    def sensors(self) -> tuple[str, ...]:
        """Every measured signal that shows a state."""
        return self.zone_signals

    @property
    def state_of(self) -> dict[str, str]:
        """The state that each sensor shows."""
        return {f"{z.id}.temp_degc": f"{z.id}.air" for z in self.zones}

    @property
    def main_signals(self) -> tuple[str, ...]:
        """What charts show."""
        return (self.grid_signal, *self.power_signals, *self.zone_signals)

    @property
    def imposable(self) -> tuple[str, ...]:
        """Measured flows that may replace the model's own."""
        return (*(self.heat_signals if self.heat_metered else ()), *self.power_signals)

    def off(self, asset: str) -> Fault | None:
        """The fault that stands for an asset standing still."""
        return Fault("unit_dead", signal=asset) if asset in self.zones_of else None


def building_layout(site: Site) -> BuildingLayout:
    """Lay out `site` as a building.

    Raises:
        InputError: no zone, a zone that no air unit serves, not one grid and one weather station
            with its place, equipment that the model does not have, or a signal is missing.
    """
    _check_assets(site)
    units = tuple(u for u in site.of_kind("air_unit") if isinstance(u, AirUnit))
    zones = tuple(z for z in site.of_kind("zone") if isinstance(z, Zone))
    have = {s.id for s in site.signals}
    layout = BuildingLayout(
        site=site,
        grid=site.of_kind("grid_connection")[0],  # type: ignore[arg-type]
        weather=site.of_kind("weather")[0],  # type: ignore[arg-type]
        zones=zones,
        units=tuple(u for u in units if any(z.source == u.id for z in zones)),
        pvs=tuple(a.id for a in site.of_kind("pv")),
        loads=tuple(a.id for a in site.of_kind("load")),
        heat_metered=all(f"{z.id}.heat_kw" in have for z in zones),
    )
    need = (*layout.disturbance_signals, *layout.points, *layout.zone_signals,
            *layout.power_signals, layout.grid_signal)  # fmt: skip
    missing = [s for s in need if s not in have]
    if missing:
        raise InputError(
            f"site {site.id} lacks signals of a building: {', '.join(missing)}",
            "see the table of quantities by asset kind in the site-pack reference",
        )
    return layout


def _check_assets(site: Site) -> None:
    for kind in ("grid_connection", "weather"):
        count = len(site.of_kind(kind))
        if count != 1:
            raise InputError(
                f"site {site.id} has {count} assets of kind {kind}; a building has one",
                "the building twin has one grid connection and one weather station",
            )
    odd = [a.id for a in site.assets if a.kind in UNMODELLED]
    if odd:
        raise InputError(
            f"the building twin does not model {', '.join(odd)}",
            "declare twin.kind energy_hub, or leave the asset out of the pack",
        )
    served = {u.id for u in site.of_kind("air_unit")}
    zones = [z for z in site.of_kind("zone") if isinstance(z, Zone)]
    loose = [z.id for z in zones if z.source not in served]
    if not zones or loose:
        raise InputError(
            f"site {site.id}: "
            + (f"no air unit serves {', '.join(loose)}" if loose else "no zone"),
            "a building has one zone or more, each with an air_unit as its source",
        )
    weather = site.of_kind("weather")[0]
    if not (isinstance(weather, Weather) and weather.latitude_deg is not None
            and weather.longitude_deg is not None):  # fmt: skip
        raise InputError(
            f"asset {weather.id} has no place",
            "give latitude_deg and longitude_deg: the sun on the facades follows from them",
        )
