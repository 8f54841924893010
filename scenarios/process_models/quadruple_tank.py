"""The quadruple-tank process: four tanks, two pumps, each pump feeding a lower and an upper tank.

Source: K. H. Johansson, The quadruple-tank process: a multivariable laboratory process with an
adjustable zero, IEEE Transactions on Control Systems Technology 8(3) (2000) 456-465,
doi:10.1109/87.845876. Levels in cm, flows in cm3/s, pumps in V:

    A1 dh1/dt = -a1 sqrt(2 g h1) + a3 sqrt(2 g h3) + gamma1 k1 v1
    A2 dh2/dt = -a2 sqrt(2 g h2) + a4 sqrt(2 g h4) + gamma2 k2 v2
    A3 dh3/dt = -a3 sqrt(2 g h3) + (1 - gamma2) k2 v2
    A4 dh4/dt = -a4 sqrt(2 g h4) + (1 - gamma1) k1 v1

The tanks are 20 cm high and overflow. Not of the paper: electric power, by the affinity law for a
pump whose speed follows its voltage, P = P_nominal (v / v_nominal)^3.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scenarios.process_models.model import State, runge_kutta

GRAVITY_CM_S2 = 981.0
HEIGHT_CM = 20.0
VOLTS = ("pump1.voltage_v", "pump2.voltage_v")
LEVELS = ("tank1.level_cm", "tank2.level_cm", "tank3.level_cm", "tank4.level_cm")


@dataclass(frozen=True)
class QuadrupleTank:
    """One setting of the valves. Areas in cm2, pump gains in cm3/(V s); volts as published."""

    gamma1: float
    gamma2: float
    k1: float
    k2: float
    volts: float
    area: tuple[float, ...] = (28.0, 32.0, 28.0, 32.0)
    outlet: tuple[float, ...] = (0.071, 0.057, 0.071, 0.057)
    pump_kw: float = 0.05  # at the published voltage: a small laboratory pump with its drive
    substep_s: float = 6.0  # the fastest time constant is 23 s; RK4 errs by 1e-4 cm at most

    @property
    def inputs(self) -> Mapping[str, float]:
        """See `ProcessModel.inputs`."""
        return dict.fromkeys(VOLTS, self.volts)

    def rest(self, inputs: Mapping[str, float]) -> State:
        """Steady levels in closed form: each tank passes on what flows in,
        h = (inflow / a)^2 / (2 g)."""
        lower1, lower2, upper3, upper4 = self.inflows(inputs)
        through = (lower1 + upper3, lower2 + upper4, upper3, upper4)
        return tuple(
            (q / a) ** 2 / (2.0 * GRAVITY_CM_S2) for q, a in zip(through, self.outlet, strict=True)
        )

    def inflows(self, inputs: Mapping[str, float]) -> tuple[float, float, float, float]:
        """What the pumps send into each tank, cm3/s."""
        q1, q2 = self.k1 * inputs[VOLTS[0]], self.k2 * inputs[VOLTS[1]]
        return (
            self.gamma1 * q1, self.gamma2 * q2, (1 - self.gamma2) * q2, (1 - self.gamma1) * q1
        )  # fmt: skip

    def move(self, state: State, inputs: Mapping[str, float], dt_s: float) -> State:
        """See `ProcessModel.move`."""
        pumped = self.inflows(inputs)
        (a1, a2, a3, a4), (o1, o2, o3, o4) = self.area, self.outlet

        def derivative(h: State) -> State:
            h1, h2, h3, h4 = h
            f3, f4 = o3 * _speed(h3), o4 * _speed(h4)
            return (
                (f3 - o1 * _speed(h1) + pumped[0]) / a1, (f4 - o2 * _speed(h2) + pumped[1]) / a2,
                (pumped[2] - f3) / a3, (pumped[3] - f4) / a4,
            )  # fmt: skip

        moved = runge_kutta(derivative, state, dt_s)
        return tuple(min(max(level, 0.0), HEIGHT_CM) for level in moved)

    def signals(self, state: State, inputs: Mapping[str, float]) -> dict[str, float]:
        """See `ProcessModel.signals`."""
        powers = {
            f"pump{i}.power_kw": self.pump_kw * (inputs[v] / self.volts) ** 3
            for i, v in enumerate(VOLTS, start=1)
        }
        return {**dict(zip(LEVELS, state, strict=True)), **powers}

    def time_constants_s(self, levels: State) -> tuple[float, ...]:
        """T_i = (A_i / a_i) sqrt(2 h_i / g) of the process linearised at `levels`."""
        return tuple(
            area / outlet * math.sqrt(2.0 * h / GRAVITY_CM_S2)
            for area, outlet, h in zip(self.area, self.outlet, levels, strict=True)
        )

    def zeros_per_s(self, levels: State) -> tuple[float, float]:
        """The two transmission zeros there, the greater first.

        Roots of (1 + s T3)(1 + s T4) = (1 - gamma1)(1 - gamma2) / (gamma1 gamma2).
        """
        _, _, t3, t4 = self.time_constants_s(levels)
        eta = (1 - self.gamma1) * (1 - self.gamma2) / (self.gamma1 * self.gamma2)
        half = (t3 + t4) / (2 * t3 * t4)
        root = math.sqrt(half**2 - (1 - eta) / (t3 * t4))
        return -half + root, -half - root


def _speed(level: float) -> float:
    """Torricelli's law, cm/s."""
    return math.sqrt(2.0 * GRAVITY_CM_S2 * level) if level > 0.0 else 0.0


# Both operating points of the paper (its Table 2 and section IV).
MINIMUM_PHASE = QuadrupleTank(gamma1=0.70, gamma2=0.60, k1=3.33, k2=3.35, volts=3.00)
NONMINIMUM_PHASE = QuadrupleTank(gamma1=0.43, gamma2=0.34, k1=3.14, k2=3.29, volts=3.15)
