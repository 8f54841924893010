"""Faults that can be put into the plant by name (the pack's faults.yaml lists them)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graph.errors import InputError


@dataclass(slots=True)
class Faults:
    """What is broken just now."""

    heat_pump_stuck_off: bool = False
    battery_fraction: float = 1.0  # of the rated power that is left
    valve: dict[str, float] = field(default_factory=dict)  # zone -> opening
    door: dict[str, float] = field(default_factory=dict)  # zone -> open share
    drift: dict[str, tuple[float, float]] = field(default_factory=dict)  # signal -> (K/s, since)
    stuck: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)  # setpoints


# Fault -> its parameters with the kind of thing each names.
KNOWN: dict[str, dict[str, str]] = {
    "heat_pump_stuck_off": {},
    "temperature_sensor_drift": {"point": "measurement", "k_per_h": "number"},
    "sensor_stuck": {"point": "measurement"},
    "sensor_lost": {"point": "measurement"},
    "battery_derate": {"fraction": "share"},
    "valve_stuck": {"zone": "zone", "opening": "share"},
    "door_left_open": {"zone": "zone", "opening": "share"},
    "command_ignored": {"point": "setpoint"},
}


def inject(
    faults: Faults, name: str, given: Mapping[str, Any], names: Mapping[str, set[str]], now: float
) -> None:
    """Add a fault. `names`: the plant's measurement, setpoint and zone ids; `now`: epoch s.

    Raises:
        InputError: unknown fault, a parameter missing, unknown or out of its range.
    """
    _check(name, given, names)
    if name == "heat_pump_stuck_off":
        faults.heat_pump_stuck_off = True
    elif name == "temperature_sensor_drift":
        faults.drift[given["point"]] = (float(given["k_per_h"]) / 3600.0, now)
    elif name == "sensor_stuck":
        faults.stuck.add(given["point"])
    elif name == "sensor_lost":
        faults.lost.add(given["point"])
    elif name == "battery_derate":
        faults.battery_fraction = float(given["fraction"])
    elif name == "valve_stuck":
        faults.valve[given["zone"]] = float(given["opening"])
    elif name == "door_left_open":
        faults.door[given["zone"]] = float(given["opening"])
    elif name == "command_ignored":
        faults.ignored.add(given["point"])


def _check(name: str, given: Mapping[str, Any], names: Mapping[str, set[str]]) -> None:
    if name not in KNOWN:
        raise InputError(f"unknown fault {name!r}", f"known: {', '.join(KNOWN)}")
    expected = KNOWN[name]
    if set(given) != set(expected):
        wanted = ", ".join(expected) or "none"
        raise InputError(f"{name} has parameters {sorted(given)}", f"expected: {wanted}")
    for parameter, kind in expected.items():
        value = given[parameter]
        if kind in names:
            if value not in names[kind]:
                known = ", ".join(sorted(names[kind]))
                raise InputError(f"{name}: {value!r} is no {kind}", f"known: {known}")
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or value != value or (kind == "share" and not 0.0 <= value <= 1.0):
            raise InputError(
                f"{name}: {parameter} = {value!r}",
                "expected a number from 0 to 1" if kind == "share" else "expected a number",
            )
