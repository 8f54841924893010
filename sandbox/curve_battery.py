"""A battery whose losses follow its power and whose power follows its charge, as curves tell.

Charging stores energy x sqrt(eta), discharging takes energy / sqrt(eta), with eta read off a curve
over power / nominal power; the greatest power is read off a curve over charge / capacity. Every kWh
moved takes a little of the capacity. Source: the equations of `Battery` in CityLearn 2.2b0
(`energy_model.py`; Vazquez-Canteli et al. 2019), reproduced so that a plan can be replayed without
it; a recorded run of CityLearn is the test.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BatteryCurves:
    """Nameplate and curves. `efficiency` (2, n): power / nominal, round-trip efficiency; `power`
    (2, m): charge / capacity, greatest power / nominal. `fade`: capacity lost a full cycle, as a
    share."""

    capacity_kwh: float
    nominal_kw: float
    efficiency: Array
    power: Array
    fade: float
    start_efficiency: float


class CurveBattery:
    """One battery's course, an hour a step."""

    def __init__(self, curves: BatteryCurves) -> None:
        self._curves = curves
        self.energy_kwh = 0.0
        self.capacity_kwh = curves.capacity_kwh
        self._efficiency = curves.start_efficiency

    def step(self, power_kw: float) -> float:
        """Ask for a power (charging positive) for an hour; returns what the meter sees, kW."""
        c, held = self._curves, self.energy_kwh
        most = c.nominal_kw * float(np.interp(held / c.capacity_kwh, *c.power))
        if power_kw >= 0.0:
            asked = min(most, c.nominal_kw, self.capacity_kwh - held, power_kw)
        else:
            asked = max(-most, -held * math.sqrt(self._efficiency), power_kw)
        share = min(abs(power_kw), most) / c.nominal_kw
        self._efficiency = float(np.interp(share, *c.efficiency))
        way = math.sqrt(self._efficiency)
        if asked >= 0.0:
            self.energy_kwh = min(held + asked * way, c.capacity_kwh)
            flow = (self.energy_kwh - held) / way
        else:
            self.energy_kwh = max(0.0, held + asked / way)
            flow = (self.energy_kwh - held) * way
        worn = c.fade * c.capacity_kwh * abs(flow) / (2.0 * max(self.capacity_kwh, 1e-9))
        self.capacity_kwh = max(self.capacity_kwh - worn, 0.0)
        return flow
