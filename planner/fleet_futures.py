"""What may come of several houses' net loads: levels of each, rises and paths of their sum.

All three add errors that forecasts of one hour ahead have made to what is expected: nobody will
know a load better than that when its hour comes, and hardly anybody much worse until then.

- levels: quantiles of a house's errors at that hour of the day and the hours beside it, grown or
  shrunk to the size of what is expected, because great loads miss by more than small ones.
- rises: quantiles of the change of the sum from hour to hour.
- paths: whole days of errors added to the sum, so that neighbouring hours err together as they did.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ERROR_DAYS = 35
PATH_DAYS = 21
BESIDE_H = 2
LEAST_DAYS = 5  # with fewer, the errors of the first days are taken from below
SIZE_EXPONENT = 0.75
SIZE_KW, SIZE_OF_PV = 0.25, 0.3  # a house of load l and PV p misses by (l + 0.25 + 0.3 p) ** 0.75
# Errors of one hour ahead where none are known yet: quantiles at 0.1, 0.3, ... of a house, and the
# spread of five houses' sum (of houses 6 to 17 of CityLearn 2022).
PRIOR_LEVELS_KW = (-0.73, -0.28, -0.08, 0.13, 0.86)
PRIOR_PATH_KW = 1.9
DAY = 24


@dataclass(frozen=True)
class FleetFutures:
    """levels (B, T, J): a house's net load. rises (J, T): the sum's change from the hour before; in
    the first hour the sum itself. paths (S, T): the sum. All kW, all of one kind equally likely."""

    levels: Array
    rises: Array
    paths: Array


class ForecastErrors:
    """Errors of one-hour forecasts of B houses: true less forecast net load, kW."""

    def __init__(self, houses: int) -> None:
        self._errors: list[Array] = []
        self._sizes: list[Array] = []
        self._expected: Array | None = None
        self._size = np.ones(houses)

    def observe(self, net_kw: Array, next_load_kw: Array, next_pv_kw: Array) -> None:
        """A row's true net load, and what is now expected of the next row, (B,) each."""
        missed = np.zeros_like(net_kw) if self._expected is None else net_kw - self._expected
        keep = (ERROR_DAYS + 1) * DAY
        self._errors = [*self._errors, missed][-keep:]
        self._sizes = [*self._sizes, self._size][-keep:]
        self._expected, self._size = next_load_kw - next_pv_kw, _size(next_load_kw, next_pv_kw)

    def futures(
        self, load_kw: Array, pv_kw: Array, levels: int, paths: int, seed: int
    ) -> FleetFutures:
        """About the expected loads and PV of the next hours, (B, T <= 24) each."""
        expected, steps = load_kw - pv_kw, load_kw.shape[1]
        total = expected.sum(axis=0)
        known = np.array(self._errors).T
        days = min(known.shape[1] // DAY, ERROR_DAYS)
        if days < LEAST_DAYS:
            return _first_futures(expected, levels, paths, seed)
        rows = self._rows_beside(known.shape[1], days, steps)
        quantiles = (np.arange(levels) + 0.5) / levels
        relative = known[:, rows] / np.array(self._sizes).T[:, rows]
        spread = np.quantile(relative, quantiles, axis=2).transpose(1, 2, 0)
        summed = known.sum(axis=0)
        changes = np.diff(summed, prepend=0.0)[rows]
        changes[0] = summed[rows[0]]
        rises = np.quantile(changes, quantiles, axis=1)
        picked = np.linspace(1, min(days, PATH_DAYS), paths).round().astype(int)
        whole = np.array([summed[len(summed) - DAY * d :][:steps] for d in picked])
        return FleetFutures(
            levels=expected[:, :, None] + _size(load_kw, pv_kw)[:, :, None] * spread,
            rises=np.diff(total, prepend=0.0) + rises - rises.mean(axis=0),
            paths=total + whole - whole.mean(axis=0),
        )

    @staticmethod
    def _rows_beside(rows: int, days: int, steps: int) -> NDArray[np.int64]:
        """Known rows at each hour of the horizon and beside it, (T, days x 5)."""
        begins = rows - DAY * np.arange(1, days + 1)
        beside = np.arange(-BESIDE_H, BESIDE_H + 1)
        at = np.arange(steps)[:, None, None] + begins[:, None] + beside
        return np.asarray(np.clip(at, 1, rows - 1).reshape(steps, -1))


def _size(load_kw: Array, pv_kw: Array) -> Array:
    return np.asarray((load_kw + SIZE_KW + SIZE_OF_PV * pv_kw) ** SIZE_EXPONENT)


def _first_futures(expected: Array, levels: int, paths: int, seed: int) -> FleetFutures:
    """Before there are errors to draw from."""
    places = np.linspace(0.0, len(PRIOR_LEVELS_KW) - 1.0, levels)
    spread = np.interp(places, np.arange(len(PRIOR_LEVELS_KW)), PRIOR_LEVELS_KW)
    noise = np.random.default_rng(seed).standard_normal((paths, expected.shape[1]))
    total = expected.sum(axis=0)
    rises = np.diff(total, prepend=0.0) + PRIOR_PATH_KW * spread[:, None] / np.std(spread)
    return FleetFutures(expected[:, :, None] + spread, rises, total + PRIOR_PATH_KW * noise)
