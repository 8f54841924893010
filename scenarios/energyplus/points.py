"""Which of the engine's variables make up each signal of the site, and what is commanded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graph.errors import InputError
from graph.signals import Role
from graph.simulators import EnergyPlusSimulator
from graph.site import Site
from scenarios.energyplus.idf import Idf
from scenarios.energyplus.prepare import component, thermostat_schedules

DEADBAND_K = 1.0
# Class of coil or fan -> its variables that together are its electric power, W.
ELECTRIC = {
    "coil:cooling:dx": ("Cooling Coil Electricity Rate",),
    "coil:heating:dx": (
        "Heating Coil Electricity Rate", "Heating Coil Defrost Electricity Rate",
        "Heating Coil Crankcase Heater Electricity Rate",
    ),
    "coil:heating:electric": ("Heating Coil Electricity Rate",),
    "fan:": ("Fan Electricity Rate",),
}  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """One of the engine's output variables; `mean`: averaged over the step, else at its end."""

    name: str
    key: str
    mean: bool


@dataclass(frozen=True)
class ZonePoints:
    """A zone's two setpoints: signals, the engine's zone, and the schedules of its own law."""

    heating: str
    cooling: str
    zone: str
    heating_schedule: str
    cooling_schedule: str


@dataclass(frozen=True)
class PointPlan:
    """What is read and commanded at each step.

    sums: signal -> (variable's index, factor) terms that are added up.
    """

    variables: tuple[Variable, ...]
    sums: Mapping[str, tuple[tuple[int, float], ...]]
    zones: tuple[ZonePoints, ...]

    def values(self, read: Sequence[float]) -> dict[str, float]:
        """Signals from the variables' values."""
        return {s: sum(read[i] * f for i, f in terms) for s, terms in self.sums.items()}


def point_plan(site: Site, simulator: EnergyPlusSimulator, idf: Idf) -> PointPlan:
    """The plan for a site on a prepared building.

    Raises:
        InputError: the site declares something that the building does not have, or the map leaves
            out a zone or unit of the site.
    """
    builder = _Builder()
    for asset, zone in simulator.zones.items():
        builder.zone(asset, zone)
    for asset, parts in simulator.units.items():
        for part in parts:
            builder.unit(asset, idf, part)
    grid, load, weather = (_only(site, k) for k in ("grid_connection", "load", "weather"))
    builder.add(f"{grid}.power_kw", "Facility Total Electricity Demand Rate", "Whole Building",
                0.001)  # fmt: skip
    units = [f"{asset}.power_kw" for asset in simulator.units]
    builder.rest(f"{load}.power_kw", f"{grid}.power_kw", units)
    builder.add(f"{weather}.temp_degc", "Site Outdoor Air Drybulb Temperature", "Environment", 1.0)
    plan = PointPlan(tuple(builder.variables), builder.sums, _zones(simulator, idf))
    _check(site, plan, f"{weather}.ghi_w_m2")
    return plan


class _Builder:
    def __init__(self) -> None:
        self.variables: list[Variable] = []
        self.sums: dict[str, tuple[tuple[int, float], ...]] = {}

    def add(self, signal: str, name: str, key: str, factor: float, mean: bool = True) -> None:
        self.variables.append(Variable(name, key, mean))
        term = (len(self.variables) - 1, factor)
        self.sums[signal] = (*self.sums.get(signal, ()), term)

    def zone(self, asset: str, zone: str) -> None:
        self.add(f"{asset}.temp_degc", "Zone Mean Air Temperature", zone, 1.0, mean=False)
        heat = f"{asset}.heat_kw"
        self.add(heat, "Zone Air System Sensible Heating Rate", zone, 0.001)
        self.add(heat, "Zone Air System Sensible Cooling Rate", zone, -0.001)
        for side in ("Heating", "Cooling"):
            signal = f"{asset}.{side.lower()}_setpoint_degc"
            self.add(signal, f"Zone Thermostat {side} Setpoint Temperature", zone, 1.0, mean=False)

    def unit(self, asset: str, idf: Idf, part: str) -> None:
        kind = component(idf, part).kind.lower()
        names = next((v for prefix, v in ELECTRIC.items() if kind.startswith(prefix)), None)
        if names is None:
            raise InputError(f"{part} is a {kind}, whose power is not known to be electric")
        for name in names:
            self.add(f"{asset}.power_kw", name, part, 0.001)

    def rest(self, signal: str, total: str, parts: Sequence[str]) -> None:
        minus = tuple((i, -f) for part in parts for i, f in self.sums[part])
        self.sums[signal] = (*self.sums[total], *minus)


def _zones(simulator: EnergyPlusSimulator, idf: Idf) -> tuple[ZonePoints, ...]:
    return tuple(
        ZonePoints(
            f"{asset}.heating_setpoint_degc", f"{asset}.cooling_setpoint_degc", zone,
            *thermostat_schedules(idf, zone),
        )
        for asset, zone in simulator.zones.items()
    )  # fmt: skip


def _only(site: Site, kind: str) -> str:
    found = site.of_kind(kind)
    if len(found) != 1:
        raise InputError(
            f"site {site.id} has {len(found)} assets of kind {kind}",
            "an EnergyPlus plant needs exactly one",
        )
    return found[0].id


def _check(site: Site, plan: PointPlan, ghi: str) -> None:
    given = {*plan.sums, ghi}
    missing = [s.id for s in site.signals if s.role is not Role.COUNTER and s.id not in given]
    if missing:
        raise InputError(
            f"the building gives no {', '.join(missing)}",
            "add the zone or unit to plant.simulator, or drop the signal",
        )
