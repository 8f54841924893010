"""The battery: open-circuit voltage and inner resistance over the charge, an inverter, ageing.

Charging is positive. The charge counter integrates current, so the round trip's efficiency falls
with the power. The management system tapers the power at both ends of the charge.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

CELLS = 208
# Lithium iron phosphate, cell volts at rest by charge in %.
OCV = (
    (0.0, 2.85), (5.0, 3.05), (10.0, 3.18), (20.0, 3.23), (40.0, 3.275),
    (60.0, 3.30), (80.0, 3.325), (95.0, 3.36), (100.0, 3.46),
)  # fmt: skip
NOMINAL_CELL_V = 3.28
HEALTH = 0.93  # of the nameplate's capacity is left
COULOMB = 0.998
INVERTER = (0.05, 0.017, 0.0005)  # kW: standing, proportional, quadratic
STANDBY_KW = 0.03


@dataclass(slots=True)
class BatteryState:
    """Charge in % of the present capacity; energies since the start in kWh."""

    soc_pct: float
    nameplate_kwh: float
    power_kw: float = 0.0
    ac_kwh: float = 0.0
    lost_kwh: float = 0.0

    @property
    def capacity_ah(self) -> float:
        """What is left of the nameplate."""
        return 1000.0 * self.nameplate_kwh / (CELLS * NOMINAL_CELL_V) * HEALTH

    @property
    def stored_kwh(self) -> float:
        """Energy at rest above empty: the integral of the voltage over the charge."""
        total, soc = 0.0, self.soc_pct
        for (a, va), (b, vb) in pairwise(OCV):
            top = min(soc, b)
            if top <= a:
                break
            v = va + (vb - va) * (top - a) / (b - a)
            total += (top - a) / 100.0 * 0.5 * (va + v)
        return total * CELLS * self.capacity_ah / 1000.0


def voltage(soc_pct: float) -> float:
    """Pack volts at rest."""
    i = min(max(bisect_right(OCV, (soc_pct, 9.9)), 1), len(OCV) - 1)
    (a, va), (b, vb) = OCV[i - 1], OCV[i]
    return CELLS * (va + (vb - va) * (soc_pct - a) / (b - a))


def power_limits(soc_pct: float, rated_kw: float) -> tuple[float, float]:
    """Greatest (discharge, charge) in kW, both positive."""
    charge = rated_kw * min(max((97.5 - soc_pct) / 3.5, 0.0), 1.0)
    discharge = rated_kw * min(max((soc_pct - 8.0) / 3.5, 0.0), 1.0)
    return discharge, charge


def step_battery(s: BatteryState, dt: float, command_kw: float, rated_kw: float) -> None:
    """Move the battery by `dt` seconds; `power_kw` then holds the mean AC power of the step."""
    discharge, charge = power_limits(s.soc_pct, rated_kw)
    power = min(max(command_kw, -discharge), charge)
    if abs(power) < 0.05:
        s.power_kw = 0.0
        return
    standing, proportional, quadratic = INVERTER
    dc = power - (standing + proportional * abs(power) + quadratic * power * power)
    ohm = 0.30 + 0.10 * max(20.0 - s.soc_pct, 0.0) / 20.0
    rest = voltage(s.soc_pct)
    amps = (sqrt(rest * rest + 4000.0 * ohm * dc) - rest) / (2.0 * ohm)
    stored_amps = amps * COULOMB if amps > 0 else amps
    s.soc_pct += 100.0 * stored_amps * dt / 3600.0 / s.capacity_ah
    s.power_kw = power
    inner_kw = (amps * amps * ohm + rest * (amps - stored_amps)) / 1000.0
    s.ac_kwh += power * dt / 3600.0
    s.lost_kwh += (power - dc + inner_kw) * dt / 3600.0
