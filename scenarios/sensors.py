"""What instruments make of the truth when they work, and how they break."""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graph.errors import InputError

# Fault of any plant's sensors and setpoints -> its parameters with the kind of thing each names.
SENSOR_FAULTS: dict[str, dict[str, str]] = {
    "sensor_bias": {"point": "measurement", "size": "number"},
    "sensor_drift": {"point": "measurement", "per_h": "number"},
    "sensor_spike": {"point": "measurement", "size": "number", "probability": "share"},
    "sensor_stuck": {"point": "measurement"},
    "sensor_lost": {"point": "measurement"},
    "command_ignored": {"point": "setpoint"},
}


@dataclass(slots=True)
class SensorFaults:
    """What is broken just now between the plant's truth and its image."""

    bias: dict[str, float] = field(default_factory=dict)  # signal -> units of the signal
    drift: dict[str, tuple[float, float]] = field(default_factory=dict)  # signal -> (1/s, since)
    spike: dict[str, tuple[float, float]] = field(default_factory=dict)  # -> (size, probability)
    stuck: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)  # setpoints
    seed: int = 0

    def offset(self, signal: str, now: float) -> float:
        """What is added to the true value of a sample taken at `now` (epoch s)."""
        added = self.bias.get(signal, 0.0)
        if signal in self.drift:
            rate, since = self.drift[signal]
            added += rate * (now - since)
        if signal in self.spike:
            size, probability = self.spike[signal]
            # Drawn from the sample's own stream: no sample depends on which came before.
            stream = [self.seed, int(now), zlib.crc32(signal.encode())]
            added += size * (np.random.default_rng(stream).random() < probability)
        return added

    def inject(self, name: str, given: Mapping[str, Any], now: float) -> None:
        """Add one of `SENSOR_FAULTS`, whose parameters have been checked."""
        point = given["point"]
        if name == "sensor_bias":
            self.bias[point] = float(given["size"])
        elif name == "sensor_drift":
            self.drift[point] = (float(given["per_h"]) / 3600.0, now)
        elif name == "sensor_spike":
            self.spike[point] = (float(given["size"]), float(given["probability"]))
        elif name == "sensor_stuck":
            self.stuck.add(point)
        elif name == "sensor_lost":
            self.lost.add(point)
        else:
            self.ignored.add(point)


def check_fault(
    known: Mapping[str, Mapping[str, str]],
    name: str,
    given: Mapping[str, Any],
    names: Mapping[str, set[str]],
) -> None:
    """Whether a fault may be injected. `names`: the ids of each kind of thing that it can name.

    Raises:
        InputError: unknown fault, a parameter missing, unknown or out of its range.
    """
    if name not in known:
        raise InputError(f"unknown fault {name!r}", f"known: {', '.join(known)}")
    expected = known[name]
    if set(given) != set(expected):
        wanted = ", ".join(expected) or "none"
        raise InputError(f"{name} has parameters {sorted(given)}", f"expected: {wanted}")
    for parameter, kind in expected.items():
        value = given[parameter]
        if kind in names:
            if value not in names[kind]:
                there = ", ".join(sorted(names[kind]))
                raise InputError(f"{name}: {value!r} is no {kind}", f"known: {there}")
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or value != value or (kind == "share" and not 0.0 <= value <= 1.0):
            raise InputError(
                f"{name}: {parameter} = {value!r}",
                "expected a number from 0 to 1" if kind == "share" else "expected a number",
            )


Instrument = Callable[[str, float, float, float], float]


def exact(signal: str, true: float, offset: float, z: float) -> float:
    """An instrument without noise: the true value and what a fault adds."""
    del signal, z
    return true + offset


class Sensors:
    """The measurements' last values. A stuck sensor keeps its own, a lost one gives None.

    instrument(signal, true value, fault's offset, standard normal draw) gives the sample.
    """

    def __init__(self, signals: tuple[str, ...], instrument: Instrument = exact) -> None:
        self.signals = signals
        self.values: dict[str, float | None] = dict.fromkeys(signals)
        self._instrument = instrument

    def measure(
        self, truth: Mapping[str, float], noise: Sequence[float], faults: SensorFaults, now: float
    ) -> None:
        """Take one sample of every measurement. `noise`: standard normal, one a signal.

        A truth that is no finite number is a sample that was not to be had.
        """
        for signal, z in zip(self.signals, noise, strict=True):
            if signal in faults.lost:
                self.values[signal] = None
            elif signal not in faults.stuck or self.values[signal] is None:
                offset = faults.offset(signal, now)
                sample = self._instrument(signal, truth[signal], offset, z)
                self.values[signal] = sample if math.isfinite(sample) else None
