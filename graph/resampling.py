"""Samples onto the site's step: means of flows, last values of stocks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.site import Site

Array = NDArray[np.float64]
STATE_SUFFIXES = ("temp_degc", "soc_pct")


def is_state(site: Site, signal: str) -> bool:
    """Whether a row holds the value at the end of the step (stocks) and not the mean (flows)."""
    kinds = {a.id: a.kind for a in site.assets}
    asset, quantity = signal.split(".", 1)
    if kinds.get(asset) == "equipment":  # a level, a concentration: all but powers and flows
        return not (quantity.endswith("_kw") or "flow" in quantity)
    return quantity in STATE_SUFFIXES and kinds.get(asset) != "weather"


def step_index(seconds: Array, start: float, step_s: float) -> NDArray[np.int64]:
    """Which step after `start` each sample belongs to: step k covers (k, k + 1] times step_s."""
    return np.asarray(np.ceil((seconds - start) / step_s - 1e-9), dtype=np.int64) - 1


def binned(
    index: NDArray[np.int64], values: Array | Sequence[Any], rows: int, *, last: bool
) -> Array:
    """Samples in the order of time, gathered by step, (rows,).

    A step with one sample keeps it bit for bit; one with none, or only NaN, is NaN.

    Args:
        index: the step of each sample, as `step_index` gives it; others than 0..rows-1 are ignored.
        last: take the last sample that is not NaN, else the mean of those that are not.
    """
    array = np.asarray(values, dtype=np.float64)
    keep = np.isfinite(array) & (index >= 0) & (index < rows)
    out = np.full(rows, np.nan)
    at, kept = index[keep], array[keep]
    if not at.size:
        return out
    out[at] = kept  # numpy assigns in order: the last one stays
    count = np.bincount(at, minlength=rows)
    several = count > 1
    if not last and several.any():
        total = np.bincount(at, weights=kept, minlength=rows)
        out[several] = total[several] / count[several]
    return out
