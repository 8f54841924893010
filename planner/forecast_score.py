"""How good a forecast with its errors is: pinball loss and coverage, beside the naive ones.

A forecast with error paths states quantiles: its value plus the quantile of its errors at that
lead. The naive rivals get quantiles in the same way, from their own errors at the same time of day
in the same weeks, so that only the point forecasts and how their errors are shaped differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.snapshot import Forecast

Array = NDArray[np.float64]
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
NAIVE_DAYS = 35  # of a naive forecast's own errors
HOUR_S = 3600


@dataclass(frozen=True)
class Score:
    """Means over all origins and the leads of one range.

    pinball: over `QUANTILES`, in the signal's unit; inside_90: share of truths between the 5 % and
    the 95 % quantile; width_90: how far the two are apart; mae: of the expected value; bias: of
    expected less actual.
    """

    pinball: float
    inside_90: float
    width_90: float
    mae: float
    bias: float


def stated_quantiles(forecast: Forecast, step_s: int) -> tuple[Array, Array]:
    """Expected values (H,) and quantiles (Q, H) of a forecast, as hourly means."""
    size = HOUR_S // step_s
    values = np.array(forecast.values)
    hours = len(values) // size
    expected = values[: hours * size].reshape(hours, size).mean(axis=1)
    errors = np.array(forecast.error_paths)[:, :hours]
    return expected, _clipped(expected + np.quantile(errors, QUANTILES, axis=0), forecast)


def _clipped(values: Array, forecast: Forecast) -> Array:
    return np.asarray(np.clip(values, forecast.minimum, forecast.maximum))


def naive_quantiles(
    series: Array, origin: int, hours: int, step_s: int, kind: str
) -> tuple[Array, Array]:
    """Expected values (H,) and quantiles (Q, H) of `persistence` or the `day before`, hourly.

    Args:
        series: the signal (R,) on the site's step; rows from `origin` on are not looked at.
    """
    size = HOUR_S // step_s
    day = 24 * size
    expected = _naive(series, origin, hours, size, kind)
    errors = []
    for k in range(1, NAIVE_DAYS + 1):
        past = origin - k * day
        if past < day:
            break
        if past + hours * size <= origin:
            truth = series[past : past + hours * size].reshape(hours, size).mean(axis=1)
            errors.append(truth - _naive(series, past, hours, size, kind))
    spread = np.nanquantile(np.array(errors), QUANTILES, axis=0)
    return expected, expected + spread


def _naive(series: Array, origin: int, hours: int, size: int, kind: str) -> Array:
    if kind == "persistence":
        return np.full(hours, np.nanmean(series[origin - size : origin]))
    day = 24 * size
    known = np.resize(series[origin - day : origin], hours * size)
    return np.asarray(known.reshape(hours, size).mean(axis=1))


def scored(
    truth: Sequence[Array], expected: Sequence[Array], quantiles: Sequence[Array], leads: slice
) -> Score:
    """Score forecasts of several origins: truths (H,), expected (H,), quantiles (Q, H) of each.

    Hours whose truth or forecast is unknown do not count.
    """
    y, e = np.array(truth)[:, leads], np.array(expected)[:, leads]
    q = np.array(quantiles)[:, :, leads]
    known = np.isfinite(y) & np.isfinite(e) & np.isfinite(q).all(axis=1)
    level = np.array(QUANTILES)[None, :, None]
    short = y[:, None, :] - q
    loss = np.maximum(level * short, (level - 1.0) * short).mean(axis=1)
    inside = (y >= q[:, 0]) & (y <= q[:, -1])
    return Score(
        pinball=float(loss[known].mean()),
        inside_90=float(inside[known].mean()),
        width_90=float((q[:, -1] - q[:, 0])[known].mean()),
        mae=float(np.abs(e - y)[known].mean()),
        bias=float((e - y)[known].mean()),
    )
