"""CityLearn's 2022 score of five houses: (cost + emissions + grid) / 3 against no battery.

Cost and emissions count what each house imports, hour by hour, as a share of what it would have
imported without its battery; the mean over houses. Grid is the mean of four shares of the total:
upward steps, the days' mean of 1 - load factor, the days' mean peak, the peak of all. Lower is
better; 1 is doing nothing. Source: `CityLearnEnv.evaluate` of CityLearn 2.2b0; the grid terms' mean
after D. Voitekh's mpc-gap-citylearn.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DAY = 24
GRID = ("ramping", "load_factor", "daily_peak", "all_time_peak")


def score_terms(net_kw: Array, without_kw: Array, price: Array, carbon: Array) -> dict[str, float]:
    """Each term as a share of doing nothing. Net loads (B, hours); prices and carbon (hours,)."""

    def imported(net: Array, worth: Array) -> Array:
        return np.asarray((np.maximum(net, 0.0) * worth).sum(axis=1))

    def shares(worth: Array) -> float:
        return float(np.mean(imported(net_kw, worth) / imported(without_kw, worth)))

    terms = {"cost": shares(price), "emissions": shares(carbon)}
    mine, none = _grid(net_kw.sum(axis=0)), _grid(without_kw.sum(axis=0))
    return terms | {name: mine[name] / none[name] for name in GRID}


def _grid(total: Array) -> dict[str, float]:
    days = [total[k : k + DAY] for k in range(0, len(total), DAY)]
    return {
        "ramping": float(np.maximum(np.diff(total), 0.0).sum()),
        "load_factor": float(np.mean([1.0 - d.mean() / d.max() for d in days])),
        "daily_peak": float(np.mean([d.max() for d in days])),
        "all_time_peak": float(total.max()),
    }


def score(terms: Mapping[str, float]) -> float:
    """(cost + emissions + grid) / 3."""
    grid = sum(terms[name] for name in GRID) / len(GRID)
    return (terms["cost"] + terms["emissions"] + grid) / 3.0
