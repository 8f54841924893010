"""Faults that a simulated hub can carry: hypotheses for diagnosis and for stress."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError

Array = NDArray[np.float64]
FaultKind = Literal[
    "heat_pump_dead", "heat_pump_stuck", "heat_pump_weak", "sensor_bias", "battery_derate"
]


@dataclass(frozen=True)
class Fault:
    """A fault from `start_step` on.

    kinds: `heat_pump_dead` (no power, no heat), `heat_pump_stuck` (runs at `size` kW whatever it
    is told), `heat_pump_weak` (heat is `size` times the healthy one), `sensor_bias` (`signal`
    reads `size` too high; local controls see the wrong value too), `battery_derate` (power limits
    are `size` times the nameplate's).
    """

    kind: FaultKind
    size: float = 0.0
    signal: str = ""
    start_step: int = 0


@dataclass(frozen=True)
class FaultSignals:
    """Faults as series over the horizon, each (N,); a signal without bias is absent."""

    dead: NDArray[np.bool_]
    stuck_kw: Array
    heat_factor: Array
    battery_factor: Array
    bias: dict[str, Array] = field(default_factory=dict)


def fault_signals(sensors: tuple[str, ...], faults: tuple[Fault, ...], steps: int) -> FaultSignals:
    """Spread `faults` over `steps`. Raises InputError for a bias on a signal that has no sensor."""
    dead = np.zeros(steps, dtype=bool)
    stuck = np.full(steps, np.nan)
    heat, battery = np.ones(steps), np.ones(steps)
    bias: dict[str, Array] = {}
    for fault in faults:
        when = slice(max(0, fault.start_step), None)
        if fault.kind == "heat_pump_dead":
            dead[when] = True
        elif fault.kind == "heat_pump_stuck":
            stuck[when] = fault.size
        elif fault.kind == "heat_pump_weak":
            heat[when] *= fault.size
        elif fault.kind == "battery_derate":
            battery[when] *= fault.size
        elif fault.signal in sensors:
            bias.setdefault(fault.signal, np.zeros(steps))[when] += fault.size
        else:
            raise InputError(
                f"sensor_bias on {fault.signal!r}, which the twin does not measure",
                f"one of {', '.join(sensors)}",
            )
    return FaultSignals(dead, stuck, heat, battery, bias)
