"""Residuals of the twin in units of their own spread, lined up with what drove them.

Innovations of the state estimate (rooms, tank, charge) and direct residuals (metered heat against
COP, balance at the grid, following of commands), each less its mean and over its standard deviation
on the fit's held-back week.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.snapshot import Snapshot
from sandbox.twin import Twin

Array = NDArray[np.float64]

WINDOW_S = 12 * 3600  # a sensor that drifts by half a kelvin an hour shows in so many hours
CLIP = 6.0  # standard deviations: a single glitch must not decide
# Residuals smaller than this are of no interest, however regular: a meter that is 0.1 kW off, a
# defrost of a few minutes, a sensor within its class.
MATERIAL = {"kW": 0.5, "degC": 0.1, "%": 0.2}
SLACK = 0.5  # of the CUSUM: half the smallest shift that matters (Page, 1954)
# Autocorrelation of healthy residuals at least: the model errs for hours, not for samples.
LEAST_RHO = 0.5


@dataclass(frozen=True)
class ResidualWindow:
    """The last hours. z, rho by channel; columns by signal: (n,), newest last, NaN missing.

    rho: lag-one autocorrelation before the window, by which samples count for less.
    """

    z: dict[str, Array]
    rho: dict[str, float]
    columns: dict[str, Array]


def residual_window(twin: Twin, snapshot: Snapshot) -> ResidualWindow:
    """Normalised residuals of the snapshot's last hours."""
    size = min(WINDOW_S // snapshot.history.step_s, _rows(snapshot))
    columns = _columns(twin, snapshot)
    raw = {s: np.asarray(v, dtype=float) for s, v in snapshot.estimate.residuals.items()}
    direct = twin.direct_residuals(columns) if _rows(snapshot) else {}
    raw |= direct  # the same numbers, but in line with the columns
    mean = twin.parameters.report.get("residual_mean", {})
    units = {spec.id: spec.unit for spec in twin.site.signals}
    z, rho = {}, {}
    for channel, series in sorted(raw.items()):
        known = snapshot.estimate.residual_std.get(channel, 0.0)
        std = max(known, MATERIAL.get(units.get(channel, ""), 0.0))
        if std <= 0 or not len(series):
            continue
        scaled = np.clip((series - float(mean.get(channel, 0.0))) / std, -CLIP, CLIP)
        z[channel] = scaled[-size:]
        rho[channel] = _autocorrelation(scaled[:-size])
    return ResidualWindow(z, rho, {s: v[-size:] for s, v in columns.items()})


def cusum(z: Array) -> float:
    """Greatest two-sided CUSUM of `z` (Page, 1954, doi:10.1093/biomet/41.1-2.100)."""
    high = low = greatest = 0.0
    for value in z[np.isfinite(z)]:
        high = max(0.0, high + float(value) - SLACK)
        low = max(0.0, low - float(value) - SLACK)
        greatest = max(greatest, high, low)
    return greatest


def _rows(snapshot: Snapshot) -> int:
    return max((len(v) for v in snapshot.history.signals.values()), default=0)


def _columns(twin: Twin, snapshot: Snapshot) -> dict[str, Array]:
    """Every signal of the site over the whole history; one that was not recorded is missing."""
    empty: tuple[float | None, ...] = (None,) * _rows(snapshot)
    recorded = snapshot.history.signals
    return {s.id: np.array(recorded.get(s.id, empty), dtype=float) for s in twin.site.signals}


def _autocorrelation(z: Array) -> float:
    before = z[np.isfinite(z)]
    if len(before) < 12:
        return LEAST_RHO
    centred = before - before.mean()
    energy = float(centred @ centred)
    if energy <= 0:
        return LEAST_RHO
    return float(np.clip(centred[1:] @ centred[:-1] / energy, LEAST_RHO, 0.9))
