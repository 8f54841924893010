"""What a process model offers to whoever steps it, and the integrator that they share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

State = tuple[float, ...]
Derivative = Callable[[State], State]


class ProcessModel(Protocol):
    """Equations of a process. States and inputs are in the model's own order and units."""

    @property
    def inputs(self) -> Mapping[str, float]:
        """Each setpoint's signal with its published value."""
        ...

    @property
    def substep_s(self) -> float:
        """Longest step of the integrator: well below the fastest time constant."""
        ...

    def rest(self, inputs: Mapping[str, float]) -> State:
        """The steady state in which a run begins, under constant `inputs`."""
        ...

    def move(self, state: State, inputs: Mapping[str, float], dt_s: float) -> State:
        """The state after `dt_s` seconds of constant `inputs`."""
        ...

    def signals(self, state: State, inputs: Mapping[str, float]) -> dict[str, float]:
        """What instruments show of a state, electric powers among it (kW), by signal."""
        ...


def runge_kutta(derivative: Derivative, state: State, dt: float) -> State:
    """One classical step of order 4 (W. Kutta, Z. Math. Phys. 46 (1901) 435)."""
    k1 = derivative(state)
    k2 = derivative(_shifted(state, k1, dt / 2))
    k3 = derivative(_shifted(state, k2, dt / 2))
    k4 = derivative(_shifted(state, k3, dt))
    return tuple(
        x + dt / 6 * (a + 2 * b + 2 * c + d)
        for x, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
    )


def _shifted(state: Sequence[float], slope: Sequence[float], by: float) -> State:
    return tuple(x + by * s for x, s in zip(state, slope, strict=True))
