"""Faults that can be put into the plant by name (the pack's faults.yaml lists them)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scenarios.sensors import SENSOR_FAULTS, SensorFaults, check_fault


@dataclass(slots=True)
class Faults(SensorFaults):
    """What is broken just now."""

    heat_pump_stuck_off: bool = False
    battery_fraction: float = 1.0  # of the rated power that is left
    valve: dict[str, float] = field(default_factory=dict)  # zone -> opening
    door: dict[str, float] = field(default_factory=dict)  # zone -> open share


# Fault -> its parameters with the kind of thing each names.
KNOWN: dict[str, dict[str, str]] = {
    "heat_pump_stuck_off": {},
    "temperature_sensor_drift": {"point": "measurement", "k_per_h": "number"},
    "battery_derate": {"fraction": "share"},
    "valve_stuck": {"zone": "zone", "opening": "share"},
    "door_left_open": {"zone": "zone", "opening": "share"},
    **SENSOR_FAULTS,
}


def inject(
    faults: Faults, name: str, given: Mapping[str, Any], names: Mapping[str, set[str]], now: float
) -> None:
    """Add a fault. `names`: the plant's measurement, setpoint and zone ids; `now`: epoch s.

    Raises:
        InputError: unknown fault, a parameter missing, unknown or out of its range.
    """
    check_fault(KNOWN, name, given, names)
    if name == "heat_pump_stuck_off":
        faults.heat_pump_stuck_off = True
    elif name == "temperature_sensor_drift":
        faults.drift[given["point"]] = (float(given["k_per_h"]) / 3600.0, now)
    elif name == "battery_derate":
        faults.battery_fraction = float(given["fraction"])
    elif name == "valve_stuck":
        faults.valve[given["zone"]] = float(given["opening"])
    elif name == "door_left_open":
        faults.door[given["zone"]] = float(given["opening"])
    else:
        SensorFaults.inject(faults, name, given, now)
