"""A jacketed stirred tank reactor with one exothermic first-order reaction and three steady states.

Source: B. W. Bequette, Process Dynamics: Modeling, Analysis and Simulation (Prentice Hall 1998),
module 9, case 2. Concentration c in kmol/m3, temperature T in K, time in h there (s here):

    dc/dt = (F/V) (c_f - c) - k0 exp(-E / (R T)) c
    dT/dt = (F/V) (T_f - T) + (-dH / (rho cp)) k0 exp(-E / (R T)) c - (UA / (V rho cp)) (T - T_j)

Not of the book: a volume of 1 m3 and a chiller with a COP of 4 that takes the jacket's heat away.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from scenarios.process_models.model import State, runge_kutta

ZERO_C = 273.0  # the book's own rounding: 25 degC are 298 K there
GAS_CONSTANT = 1.987  # kcal / (kmol K)
KCAL_H_IN_KW = 1.163e-3
JACKET = "jacket.temp_set_degc"
HOUR_S = 3600.0


@dataclass(frozen=True)
class Cstr:
    """The reactor of case 2. `begins`: concentration near which a run's steady state is sought."""

    flow_per_h: float = 1.0
    k0_per_h: float = 9703.0 * 3600.0
    activation: float = 11843.0  # kcal/kmol
    heat: float = 5960.0  # kcal/kmol, released
    rho_cp: float = 500.0  # kcal/(m3 K)
    ua: float = 150.0  # kcal/(m3 K h)
    feed_k: float = 298.0
    feed_kmol_m3: float = 10.0
    volume_m3: float = 1.0
    cop: float = 4.0
    begins: float = 8.5
    substep_s: float = 10.0  # the reaction's fastest mode takes minutes

    @property
    def inputs(self) -> Mapping[str, float]:
        """See `ProcessModel.inputs`."""
        return {JACKET: 298.0 - ZERO_C}

    def rate(self, c: float, t: float) -> float:
        """kmol/(m3 h)."""
        return self.k0_per_h * math.exp(-self.activation / (GAS_CONSTANT * t)) * c

    def derivative_per_h(self, state: State, jacket_k: float) -> State:
        """The book's right-hand side."""
        c, t = state
        rate = self.rate(c, t)
        return (
            self.flow_per_h * (self.feed_kmol_m3 - c) - rate,
            self.flow_per_h * (self.feed_k - t) + self.heat / self.rho_cp * rate
            - self.ua / self.rho_cp * (t - jacket_k),
        )  # fmt: skip

    def steady_states(self, jacket_k: float) -> tuple[State, ...]:
        """All of them, coldest first.

        At rest both balances are linear in the rate, so c follows from T and one equation in T is
        left, whose every change of sign between 250 and 500 K is bisected.
        """

        def balance(t: float) -> float:
            return self.derivative_per_h((self._concentration(t, jacket_k), t), jacket_k)[0]

        grid = [250.0 + 0.25 * k for k in range(1001)]
        found = []
        for low, high in pairwise(grid):
            if balance(low) * balance(high) <= 0.0:
                t = _bisect(balance, low, high)
                found.append((self._concentration(t, jacket_k), t))
        return tuple(found)

    def _concentration(self, t: float, jacket_k: float) -> float:
        """c at which the heat balance holds at T, from the reaction's rate put into the other."""
        removed = self.flow_per_h * (t - self.feed_k) + self.ua / self.rho_cp * (t - jacket_k)
        return self.feed_kmol_m3 - removed * self.rho_cp / self.heat / self.flow_per_h

    def rest(self, inputs: Mapping[str, float]) -> State:
        """The steady state nearest to `begins`."""
        states = self.steady_states(inputs[JACKET] + ZERO_C)
        return min(states, key=lambda s: abs(s[0] - self.begins))

    def move(self, state: State, inputs: Mapping[str, float], dt_s: float) -> State:
        """See `ProcessModel.move`."""
        jacket = inputs[JACKET] + ZERO_C
        return runge_kutta(lambda x: self.derivative_per_h(x, jacket), state, dt_s / HOUR_S)

    def signals(self, state: State, inputs: Mapping[str, float]) -> dict[str, float]:
        """See `ProcessModel.signals`."""
        c, t = state
        removed = self.ua * self.volume_m3 * (t - ZERO_C - inputs[JACKET]) * KCAL_H_IN_KW
        return {
            "reactor.conc_kmol_m3": c,
            "reactor.temp_degc": t - ZERO_C,
            "chiller.power_kw": max(removed, 0.0) / self.cop,
        }


def _bisect(f: Callable[[float], float], low: float, high: float) -> float:
    below = f(low) < 0.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if (f(middle) < 0.0) == below:
            low = middle
        else:
            high = middle
    return (low + high) / 2
