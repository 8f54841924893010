"""Below which outdoor temperature a unit's crankcase heater works, read off its standing hours.

While a unit stands still and nothing ventilates, the heater is all that changes. A few kelvins
amiss, and a closed winter day is stated at some times what it costs.
"""

import numpy as np
from numpy.typing import NDArray

from sandbox.building.rows import Rows

Array = NDArray[np.float64]
LEAST_ROWS = 12  # on either side
STANDING_KW = 0.005  # of coil heat: less is a meter's noise
LEAST_HEATER_KW = 0.005
LEAST_PARTED = 0.3  # of the variance of a standing unit's power, or no cut-out is believed
LEVELS_DEGC = (-5.0, 15.0)  # where a cut-out is looked for
LEVEL_STEP_K = 0.2


def crankcase_cutout(rows: Rows, unit: str, coil: dict[str, Array], part: slice) -> float | None:
    """The outdoor temperature (degC) that parts the standing unit's power best into two levels.

    None where it never stands still on both sides, or the colder side does not draw clearly more.
    """
    still = rows.usable & (rows.shared["ventilating"] < 0.5)
    for heat in coil.values():
        still &= np.isfinite(heat) & (np.abs(np.nan_to_num(heat)) < STANDING_KW)
    power, outdoor = rows.power[unit][part], rows.shared["outdoor_degc"][part]
    use = still[part] & np.isfinite(power)
    power, outdoor = power[use], outdoor[use]
    if len(power) < 2 * LEAST_ROWS:
        return None
    cutout: float | None = None
    best = (1.0 - LEAST_PARTED) * float(np.sum((power - power.mean()) ** 2))
    low, high = LEVELS_DEGC
    for level in np.linspace(low, high, round((high - low) / LEVEL_STEP_K) + 1).round(1).tolist():
        cold, warm = power[outdoor < level], power[outdoor >= level]
        if min(len(cold), len(warm)) < LEAST_ROWS or cold.mean() <= warm.mean() + LEAST_HEATER_KW:
            continue
        left = float(np.sum((cold - cold.mean()) ** 2) + np.sum((warm - warm.mean()) ** 2))
        if left < best:
            best, cutout = left, level
    return cutout
