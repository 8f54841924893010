"""Faults that a simulated hub can carry: hypotheses for diagnosis and for stress."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
FaultKind = Literal[
    "heat_pump_dead", "heat_pump_stuck", "heat_pump_weak", "sensor_bias", "sensor_stuck",
    "battery_derate", "unit_dead", "unit_weak",
]  # fmt: skip
NEVER = 1 << 30  # a start step that no horizon reaches


@dataclass(frozen=True)
class Fault:
    """A fault from `start_step` on.

    kinds: `heat_pump_dead` (no power, no heat), `heat_pump_stuck` (runs at `size` kW whatever it
    is told), `heat_pump_weak` (heat is `size` times the healthy one), `sensor_bias` (`signal`
    reads `size` too high; local controls see the wrong value too), `sensor_stuck` (`signal` repeats
    what it showed before), `battery_derate` (power limits are `size` times the nameplate's),
    `unit_dead` (air unit `signal` neither heats, cools nor ventilates), `unit_weak` (air unit
    `signal` has `size` times its capacity and efficiency).

    Of a sensor's fault, `size` and `start_step` may differ by future: arrays (F,).
    """

    kind: FaultKind
    size: float | Array = 0.0
    signal: str = ""
    start_step: int | Ints = 0


@dataclass(frozen=True)
class FaultSignals:
    """Faults as series over the horizon, (N,); of sensors (N, 1) or (N, F), absent where sound."""

    dead: NDArray[np.bool_]
    stuck_kw: Array
    heat_factor: Array
    battery_factor: Array
    bias: dict[str, Array] = field(default_factory=dict)
    stuck: dict[str, NDArray[np.bool_]] = field(default_factory=dict)


def fault_signals(sensors: tuple[str, ...], faults: tuple[Fault, ...], steps: int) -> FaultSignals:
    """Spread `faults` over `steps`. Raises InputError for a fault of a sensor that is not there."""
    dead = np.zeros(steps, dtype=bool)
    stuck = np.full(steps, np.nan)
    heat, battery = np.ones(steps), np.ones(steps)
    found = FaultSignals(dead, stuck, heat, battery)
    for fault in faults:
        # (N, 1) or (N, F); the machines' faults are the same in every future.
        when = np.arange(steps)[:, None] >= np.atleast_1d(fault.start_step)[None]
        if fault.kind == "heat_pump_dead":
            dead[when[:, 0]] = True
        elif fault.kind == "heat_pump_stuck":
            stuck[when[:, 0]] = fault.size
        elif fault.kind == "heat_pump_weak":
            heat[when[:, 0]] *= fault.size
        elif fault.kind == "battery_derate":
            battery[when[:, 0]] *= fault.size
        elif fault.signal not in sensors:
            raise InputError(
                f"{fault.kind} on {fault.signal!r}, which the twin does not measure",
                f"one of {', '.join(sensors)}",
            )
        elif fault.kind == "sensor_stuck":
            found.stuck[fault.signal] = found.stuck.get(fault.signal, False) | when
        else:
            size = np.atleast_1d(np.asarray(fault.size, dtype=float))[None]
            found.bias[fault.signal] = found.bias.get(fault.signal, 0.0) + when * size
    return found
