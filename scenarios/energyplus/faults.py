"""Faults inside the building: EnergyPlus simulates what they do, nothing is painted on afterwards.

Each is an object of the input file that a schedule of ours switches on: 0 while all is well (and
while the equipment is sized), the fault's own level from its time on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from graph.errors import InputError
from graph.simulators import EnergyPlusSimulator
from scenarios.energyplus.idf import Idf
from scenarios.energyplus.prepare import component

Kind = Literal["thermostat_offset", "open_window", "degraded_heat_pump", "internal_load"]


@dataclass(frozen=True)
class EnergyPlusFault:
    """One thing that is broken or changed in the building.

    kind, what `at` names and what `size` means:
    - thermostat_offset: a zone asset; K. The thermostat reads that much too warm (negative: too
      cold), so the room is kept as much too cold. A sensor fault: FaultModel:ThermostatOffset. The
      site's room temperature is the thermostat's own reading, so it shows nothing.
    - open_window: a zone asset; m3/s of outdoor air. A process fault: ZoneInfiltration.
    - degraded_heat_pump: a unit asset; share from 0 to below 1 by which capacity and COP of its
      heat pump fall. A process fault: the capacity and energy-input curves of its DX coils.
    - internal_load: a zone asset; kW of electric equipment that is new. A change of use.

    since: plant time from which it holds, rounded up to the step; None: from the run's begin.
    """

    kind: Kind
    at: str
    size: float
    since: datetime | None = None


class Switch(NamedTuple):
    """An actuator of the engine (type, control, key) and its value once the fault is there."""

    actuator: tuple[str, str, str]
    value: float


def install(idf: Idf, fault: EnergyPlusFault, number: int, s: EnergyPlusSimulator) -> list[Switch]:
    """Add the fault's objects to a prepared building and say what switches it on.

    Raises:
        InputError: unknown kind or asset, a size out of its range.
    """
    makers: dict[str, Callable[[Idf, EnergyPlusFault, str, EnergyPlusSimulator], list[Switch]]] = {
        "thermostat_offset": _thermostat_offset,
        "open_window": _open_window,
        "degraded_heat_pump": _degraded_heat_pump,
        "internal_load": _internal_load,
    }
    if fault.kind not in makers:
        raise InputError(f"unknown fault {fault.kind!r}", f"known: {', '.join(makers)}")
    return makers[fault.kind](idf, fault, f"fault {number} {fault.kind}", s)


def _schedule(idf: Idf, name: str) -> tuple[str, str, str]:
    """A schedule that stands at 0 until the worker moves it."""
    if not idf.named("fault level"):
        idf.add("ScheduleTypeLimits", "fault level")
    idf.add("Schedule:Constant", name, "fault level", 0)
    return ("Schedule:Constant", "Schedule Value", name)


def _zone(fault: EnergyPlusFault, s: EnergyPlusSimulator) -> str:
    if fault.at not in s.zones:
        raise InputError(f"{fault.kind}: no zone {fault.at!r}", f"known: {', '.join(s.zones)}")
    return s.zones[fault.at]


def _positive(fault: EnergyPlusFault, below: float = float("inf")) -> float:
    if not 0.0 < fault.size < below:
        raise InputError(f"{fault.kind}: size {fault.size}", f"expected more than 0, below {below}")
    return fault.size


def _thermostat_offset(
    idf: Idf, fault: EnergyPlusFault, name: str, s: EnergyPlusSimulator
) -> list[Switch]:
    zone = _zone(fault, s).lower()
    control = next(
        o for o in idf.of("ZoneControl:Thermostat") if o.fields[1].lower() == zone
    )  # `point_plan` has found it before
    # Availability and severity both follow the level; the offset is read - true.
    switch = _schedule(idf, name)
    idf.add("FaultModel:ThermostatOffset", f"{name} model", control.name, name, "", fault.size)
    return [Switch(switch, 1.0)]


def _open_window(
    idf: Idf, fault: EnergyPlusFault, name: str, s: EnergyPlusSimulator
) -> list[Switch]:
    size = _positive(fault)
    switch = _schedule(idf, name)
    idf.add("ZoneInfiltration:DesignFlowRate", f"{name} air", _zone(fault, s), name, "Flow/Zone",
            size, "", "", "", 1, 0, 0, 0)  # fmt: skip
    return [Switch(switch, 1.0)]


def _internal_load(
    idf: Idf, fault: EnergyPlusFault, name: str, s: EnergyPlusSimulator
) -> list[Switch]:
    watts = 1000.0 * _positive(fault)
    switch = _schedule(idf, name)
    idf.add("ElectricEquipment", f"{name} equipment", _zone(fault, s), name, "EquipmentLevel",
            watts, "", "", 0, 0.5, 0, "added")  # fmt: skip
    return [Switch(switch, 1.0)]


# Coil class -> fields that name its capacity and energy-input curves over the flow fraction.
_FLOW_CURVES = {
    "coil:cooling:dx:singlespeed": (11, 13),
    "coil:heating:dx:singlespeed": (10, 12),
}


def _degraded_heat_pump(
    idf: Idf, fault: EnergyPlusFault, name: str, s: EnergyPlusSimulator
) -> list[Switch]:
    """The coils get curves of their own over the flow fraction, which is 1 at these units: the
    engine's curve results are then overridden by 1 - size and 1 / (1 - size)."""
    left = 1.0 - _positive(fault, below=1.0)
    switches: list[Switch] = []
    for part in _parts(fault, s):
        coil = component(idf, part)
        fields = _FLOW_CURVES.get(coil.kind.lower())
        for index, value in zip(fields or (), (left, 1.0 / left), strict=False):
            curve = _own_curve(idf, coil.fields[index], f"{name} {part} {index}")
            coil.fields[index] = curve
            switches.append(Switch(("Curve", "Curve Result", curve), value))
    if not switches:
        raise InputError(f"{fault.kind}: {fault.at} has no single-speed DX coil")
    return switches


def _parts(fault: EnergyPlusFault, s: EnergyPlusSimulator) -> Sequence[str]:
    if fault.at not in s.units:
        raise InputError(f"{fault.kind}: no unit {fault.at!r}", f"known: {', '.join(s.units)}")
    return s.units[fault.at]


def _own_curve(idf: Idf, shared: str, name: str) -> str:
    original = idf.named(shared, "Curve:")[0]
    idf.add(original.kind, name, *original.fields[1:])
    return name
