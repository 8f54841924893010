"""The port to a program that simulates a plant: one step of its own at a time.

EnergyPlus, coupled FMUs, BOPTEST and the published processes are adapters of it. Owners, leases,
the watchdog, the log and broken sensors are not their business: `SimulatedPlant` adds them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class StepSimulator(Protocol):
    """A plant's physics and its own local law. Time only moves by `step`.

    Names are the site's signals, units theirs. The same start and commands give the same numbers,
    bit for bit, on the same machine.
    """

    @property
    def step_s(self) -> float:
        """Length of one own step, whole seconds."""
        ...

    @property
    def time(self) -> datetime:
        """Simulated time, aware."""
        ...

    @property
    def local_values(self) -> Mapping[str, float]:
        """What the plant's own law makes of each setpoint just now, as last seen."""
        ...

    def step(self, commands: Mapping[str, float]) -> dict[str, float]:
        """Run one step with `commands` in force from its beginning to its end.

        A setpoint that is not commanded follows the plant's own law, at once and bumplessly.

        Returns:
            Every measured signal (powers, heat, irradiance and outdoor temperature: mean over the
            step; states: at its end) and every setpoint's value in force during the step.

        Raises:
            InputError: a command for a point that is not there, or no finite number.
            UnavailableError: the program crashed, hung or gave up.
        """
        ...

    def close(self) -> None:
        """Let go of processes and files. A second call does nothing."""
        ...


@runtime_checkable
class ForetellingSimulator(Protocol):
    """A simulator whose disturbances are known in advance."""

    def truth(self, signal: str, start: datetime, steps: int, step_s: int) -> NDArray[np.float64]:
        """Means over `steps` intervals from `start`; shape (steps,).

        Raises:
            InputError: a signal that depends on what is commanded.
        """
        ...


@runtime_checkable
class BranchingSimulator(Protocol):
    """A simulator that can be copied in mid run."""

    def copy(self) -> "StepSimulator":
        """An independent simulator at the same time, in the same state."""
        ...
