"""What may come of several houses' net loads: levels a house and hour, and paths of their sum.

Levels are the expected net load plus quantiles of the errors that forecasts of one hour ahead have
made at that hour of the day and the hours beside it, over the last weeks: nobody will know a load
better than that when its hour comes, and hardly anybody worse until then. Paths add whole days of
such errors to the sum, so that neighbouring hours err together as they did.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ERROR_DAYS = 21
LEAST_DAYS = 5  # with fewer, the errors of the first days are taken from below
# Errors of one hour ahead where none are known yet: quantiles at 0.1, 0.3, ... of a
# house, and the spread of five houses' sum (of houses 6 to 17 of CityLearn 2022).
PRIOR_LEVELS_KW = (-0.73, -0.28, -0.08, 0.13, 0.86)
PRIOR_PATH_KW = 1.9
DAY = 24


class ForecastErrors:
    """Errors of one-hour forecasts, (B, rows): true less forecast net load, kW."""

    def __init__(self, houses: int) -> None:
        self._rows: list[Array] = []
        self._houses = houses
        self._expected: Array | None = None

    def observe(self, net_kw: Array, expected_next_kw: Array) -> None:
        """A row's true net load, and what is now expected of the next row, (B,) each."""
        missed = net_kw - self._expected if self._expected is not None else np.zeros(self._houses)
        self._rows.append(missed)
        self._rows = self._rows[-(ERROR_DAYS + 2) * DAY :]
        self._expected = expected_next_kw

    def futures(
        self, expected_kw: Array, levels: int, paths: int, seed: int
    ) -> tuple[Array, Array]:
        """Levels (B, T, levels) and paths (paths, T) about the expected net loads (B, T <= 24)."""
        steps = expected_kw.shape[1]
        known = np.array(self._rows).T
        days = min(known.shape[1] // DAY, ERROR_DAYS)
        total = expected_kw.sum(axis=0)
        if days < LEAST_DAYS:
            at = np.linspace(0.0, len(PRIOR_LEVELS_KW) - 1.0, levels)
            spread = np.interp(at, np.arange(len(PRIOR_LEVELS_KW)), PRIOR_LEVELS_KW)
            noise = np.random.default_rng(seed).standard_normal((paths, steps))
            return expected_kw[:, :, None] + spread, total + PRIOR_PATH_KW * noise
        # Row 0 of `table` is the latest day; column h the error h hours into the horizon's day.
        table = known[:, -days * DAY :].reshape(len(known), days, DAY)[:, ::-1, :steps]
        beside = self._beside(known, days, steps)
        at = (np.arange(levels) + 0.5) / levels
        spread = np.quantile(beside, at, axis=1).transpose(1, 2, 0)
        picked = np.linspace(0, days - 1, paths).round().astype(int)
        errors = table[:, picked].sum(axis=0)
        return expected_kw[:, :, None] + spread, total + errors - errors.mean(axis=0)

    @staticmethod
    def _beside(known: Array, days: int, steps: int) -> Array:
        """Errors at each hour of the horizon and at the hours beside it, (B, 3 days, T)."""
        rows = known.shape[1]
        begins = rows - DAY * np.arange(1, days + 1)
        at = begins[:, None] + np.arange(steps)
        three = np.concatenate([at - 1, at, at + 1])
        return known[:, np.clip(three, 0, rows - 1)]
