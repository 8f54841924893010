"""A controller's run over hours that were observed, on our battery model instead of CityLearn's."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from api.citylearn.environment import Hour
from planner.lead_forecast import Observed
from sandbox.curve_battery import BatteryCurves, CurveBattery

Array = NDArray[np.float64]
Controller = Callable[[Hour], Array]
# The rule: charge in the hours of the sun, discharge in those of the dear tariff.
CHARGE_HOURS, DISCHARGE_HOURS = range(10, 16), range(16, 21)


def replay(
    rows: Sequence[Observed], batteries: Sequence[BatteryCurves], most_action: Array,
    controller: Controller,
) -> Array:  # fmt: skip
    """Net loads (B, hours) under a controller; the first hour is without one, as in CityLearn."""
    models = [CurveBattery(b) for b in batteries]
    most = most_action * np.array([b.capacity_kwh for b in batteries])
    net = [rows[0].load_kw - rows[0].pv_kw]
    for row, following in pairwise(rows):
        charge = np.array([m.energy_kwh for m in models])
        asked = np.clip(controller(Hour(row, charge, net[-1])), -most, most)
        flows = np.array([m.step(p) for m, p in zip(models, asked, strict=True)])
        net.append(following.load_kw - following.pv_kw + flows)
    return np.array(net).T


class TimeOfUseRule:
    """Charges evenly from 10:00 to 16:00, discharges evenly from 16:00 to 21:00."""

    def __init__(self, capacity_kwh: Array) -> None:
        self._capacity, self._row = capacity_kwh, 0

    def __call__(self, hour: Hour) -> Array:
        """Powers in the hour to come, (B,) kW; the first row begins at midnight."""
        self._row += 1
        begins = self._row % 24
        if begins in CHARGE_HOURS:
            return self._capacity / len(CHARGE_HOURS)
        if begins in DISCHARGE_HOURS:
            return -self._capacity / len(DISCHARGE_HOURS)
        return np.zeros(len(hour.charge_kwh))
