"""Turns a reference building into a plant's input: its place, its calendar, its fuels.

What is changed, and why:
- one run period with explicit years, so that weekdays are those of the calendar; the building's own
  run periods, holidays and reports go (a site's schedules know days of the week only);
- daylight saving by the United States' rule, so that schedules follow the site's wall clock while
  the weather stays in standard time;
- with `design_days: weather`, location, design days, ground and mains water of the weather file's
  place: the equipment is sized for where it stands;
- fuel-fired heating coils and water heaters become electric resistance of the same capacity: a site
  has one meter;
- all zones and units follow one schedule: the occupied-standby variants of some zones (setpoints
  relaxed, ventilation off in hours of vacancy) go. What happens in these rooms stays as it is;
- programs that move the thermostats' schedules by the weather (optimum start) go: a site's law is a
  schedule.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from graph.errors import InputError
from scenarios.energyplus.epw import DesignConditions, Place
from scenarios.energyplus.idf import Idf, IdfObject

STANDBY = "_w_SB"  # ends the names of the schedules of occupied standby
HEATER_EFFICIENCY, HEATER_FUELS = 11, (10, 14, 17)  # fields of WaterHeater:Mixed
CONTROLLED = ("thermostatsetpoint:", "airloophvac:", "fan:", "availabilitymanager:", "controller:")
REPORTS = ("output:", "outputcontrol:")  # custom meters stay: transformers work on them


@dataclass(frozen=True)
class Preparation:
    """How a building is run: first and last day, zone steps an hour, where it is sized for."""

    first: date
    last: date
    steps_per_hour: int
    sized_for: Literal["building", "weather"]


def prepare(idf: Idf, place: Place, how: Preparation) -> Idf:
    """Change `idf` in place, as this module's heading says, and return it.

    Raises:
        InputError: the weather file has no design conditions to size the equipment for.
    """
    idf.remove(lambda o: o.kind.lower().startswith(REPORTS))
    set_calendar(idf, how)
    if how.sized_for == "weather":
        _move(idf, place)
    _electrify(idf)
    _one_schedule(idf)
    _fixed_schedules(idf)
    return idf


def set_calendar(idf: Idf, how: Preparation) -> None:
    """One run period, its steps, weekdays of the calendar, daylight saving."""
    idf.remove(
        lambda o: o.is_a(
            "RunPeriod", "RunPeriodControl:SpecialDays", "RunPeriodControl:DaylightSavingTime",
            "SimulationControl", "Timestep",
        )
    )  # fmt: skip
    idf.add("SimulationControl", "Yes", "Yes", "Yes", "No", "Yes", "No", 1)
    idf.add("Timestep", how.steps_per_hour)
    begin = (how.first.month, how.first.day, how.first.year)
    end = (how.last.month, how.last.day, how.last.year)
    idf.add("RunPeriod", "plant", *begin, *end, "", "No", "No", "No", "Yes", "Yes")
    idf.add("RunPeriodControl:DaylightSavingTime", "2nd Sunday in March", "1st Sunday in November")
    for limits in idf.of("ConvergenceLimits"):
        minutes = 60 // how.steps_per_hour
        limits.fields[0] = str(min(float(limits.fields[0] or minutes), minutes))


def _move(idf: Idf, place: Place) -> None:
    design = place.design
    if design is None:
        raise InputError(
            "the weather file has no design conditions", "use design_days: building, or another one"
        )
    idf.remove(
        lambda o: (
            o.is_a("Site:Location", "SizingPeriod:DesignDay", "Site:WaterMainsTemperature")
            # Without these the engine takes the ground temperatures of the weather file.
            or o.kind.lower().startswith("site:groundtemperature:")
        )
    )
    set_location(idf, place)
    idf.add("Site:WaterMainsTemperature", "Correlation", "", f"{place.annual_mean_degc:.2f}",
            f"{place.monthly_spread_k:.2f}")  # fmt: skip
    _design_days(idf, design, place.pressure_pa)


def set_location(idf: Idf, place: Place) -> None:
    """Where the sun is seen from."""
    idf.add("Site:Location", place.name, place.latitude_deg, place.longitude_deg,
            place.utc_offset_h, place.elevation_m)  # fmt: skip


def _design_days(idf: Idf, d: DesignConditions, pressure_pa: float) -> None:
    """One heating day at night's temperature without sun, one cooling day with a clear sky."""
    days = (
        ("winter", d.heating_month, "WinterDesignDay", d.heating_degc, 0.0, d.heating_degc,
         d.heating_wind_m_s, d.heating_wind_deg, 0.0),
        ("summer", d.cooling_month, "SummerDesignDay", d.cooling_degc, d.cooling_range_k,
         d.cooling_wet_bulb_degc, d.cooling_wind_m_s, d.cooling_wind_deg, 1.0),
    )  # fmt: skip
    for name, month, kind, degc, spread, wet_bulb, wind, from_deg, clearness in days:
        idf.add(
            "SizingPeriod:DesignDay", f"design day {name}", month, 21, kind, degc, spread,
            "DefaultMultipliers", "", "Wetbulb", wet_bulb, "", "", "", "", f"{pressure_pa:.0f}",
            wind, from_deg, "No", "No", "No", "ASHRAEClearSky", "", "", "", "", clearness,
        )  # fmt: skip


def _electrify(idf: Idf) -> None:
    """Coil:Heating:Fuel -> Coil:Heating:Electric, in every reference too."""
    for item in idf.of("Coil:Heating:Fuel"):
        name, available, _fuel, _efficiency, *rest = item.fields
        item.kind, item.fields = "Coil:Heating:Electric", [name, available, "1.0", *rest[:4]]
    for item in idf.of("WaterHeater:Mixed"):
        item.fields[HEATER_EFFICIENCY] = "1.0"
        for fuel in HEATER_FUELS:
            item.fields[fuel] = "Electricity"
    for item in idf.objects:
        item.fields = [
            "Coil:Heating:Electric" if f.lower() == "coil:heating:fuel" else f for f in item.fields
        ]


def _one_schedule(idf: Idf) -> None:
    for item in idf.objects:
        if item.kind.lower().startswith(CONTROLLED):
            item.fields = [f.removesuffix(STANDBY) for f in item.fields]


def _fixed_schedules(idf: Idf) -> None:
    schedules = {f.lower() for o in idf.of("ThermostatSetpoint:DualSetpoint") for f in o.fields[1:]}
    moved = [
        o.name.lower() for o in idf.of("EnergyManagementSystem:Actuator")
        if o.fields[1].lower() in schedules
    ]  # fmt: skip
    programs = {
        o.name.lower() for o in idf.of("EnergyManagementSystem:Program")
        if any(f"set {name} " in line.lower() for line in o.fields for name in moved)
    }  # fmt: skip
    idf.remove(
        lambda o: (
            (o.is_a("EnergyManagementSystem:Actuator") and o.name.lower() in moved)
            or (o.is_a("EnergyManagementSystem:Program") and o.name.lower() in programs)
            or (
                o.is_a("EnergyManagementSystem:ProgramCallingManager")
                and programs.issuperset(f.lower() for f in o.fields[2:])
            )
        )
    )


def thermostat_schedules(idf: Idf, zone: str) -> tuple[str, str]:
    """Names of a zone's heating and cooling setpoint schedules. Raises InputError without any."""
    for control in idf.of("ZoneControl:Thermostat"):
        if control.fields[1].lower() != zone.lower():
            continue
        for setpoint in idf.named(control.fields[4], "ThermostatSetpoint:DualSetpoint"):
            return setpoint.fields[1], setpoint.fields[2]
    known = ", ".join(o.fields[1] for o in idf.of("ZoneControl:Thermostat"))
    raise InputError(f"the building has no zone {zone!r} with a thermostat", f"it has: {known}")


def component(idf: Idf, name: str) -> IdfObject:
    """The coil or fan of this name. Raises InputError if there is none."""
    found = [o for prefix in ("Coil:", "Fan:") for o in idf.named(name, prefix)]
    if not found:
        known = [o.name for o in idf.objects if o.kind.startswith(("Coil:", "Fan:"))]
        raise InputError(f"the building has no coil or fan {name!r}", f"it has: {', '.join(known)}")
    return found[0]
