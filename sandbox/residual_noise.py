"""What healthy residuals look like: the reference that a monitor holds the present against.

From the days of errors that a fit left (`report["model_errors"]`, days that the fit had not seen):

- a standard deviation by hour of the day and channel: rooms are quiet at night;
- a correlation between channels: a cloud errs in all rooms at once;
- a correlation in time, by lag, averaged over the channels: an error lasts for hours.

Residuals are divided by the first and freed of the other two, so that what is left of healthy ones
is white: a hypothesis is then judged by least squares.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.model_errors import HOURS, TEMPERATURE, ModelErrors

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST_DAYS = 5
SHRINK = 0.2  # of the correlations towards none: a few weeks do not tell them better
LEAST_STD_KW = 0.02  # a smaller error is of no interest, and meters are no better
LAGS = 48
CLIP = 6.0  # standard deviations: beyond it an hour of the record is a glitch, not noise


@dataclass(frozen=True)
class ReferenceNoise:
    """std (24, C) by local hour, space (C, C) and time (LAGS,) correlations of healthy residuals.

    names: the channels in order.
    """

    names: tuple[str, ...]
    std: Array
    space: Array
    time: Array

    def scaled(self, values: Array, hour: Ints, more: Array | float = 0.0) -> Array:
        """Residuals or directions (H, C, ...) in standard deviations of their hour (H,).

        more: standard deviations (H, C) that these hours have besides.
        """
        std = np.hypot(self.std[hour], more)
        return np.asarray(values / std.reshape(*std.shape, *[1] * (values.ndim - 2)))


@dataclass(frozen=True)
class Whitener:
    """Frees scaled rows (H, C, ...) of their correlations; rows that are missing are left out."""

    known: NDArray[np.bool_]
    time_root: Array
    space_root: Array

    def __call__(self, scaled: Array) -> Array:
        """White rows (known hours, C, ...)."""
        from scipy.linalg import solve_triangular

        rows = scaled[self.known]
        flat = rows.reshape(len(rows), -1)
        in_time = solve_triangular(self.time_root, flat, lower=True).reshape(rows.shape)
        moved = np.moveaxis(in_time, 1, 0)
        in_space = solve_triangular(self.space_root, moved.reshape(len(moved), -1), lower=True)
        return np.asarray(np.moveaxis(in_space.reshape(moved.shape), 0, 1))


def reference_noise(
    errors: ModelErrors | None, extra: Sequence[tuple[str, float]] = ()
) -> ReferenceNoise | None:
    """The reference of a fit's record; None with too few days of it.

    extra: further channels with a standard deviation each, independent of all others.
    """
    if errors is None or len(errors.days) < LEAST_DAYS:
        return None
    names = tuple(sorted(n for n in errors.paths if not n.endswith(TEMPERATURE)))
    table = np.stack([errors.paths[n] for n in names], axis=-1)  # (D, 24, C)
    square = np.nan_to_num(table) ** 2
    near = (np.roll(square, 1, axis=1) + square + np.roll(square, -1, axis=1)) / 3.0
    std = np.maximum(np.sqrt(near.mean(axis=0)), LEAST_STD_KW)
    z = np.clip(np.nan_to_num(table) / std, -CLIP, CLIP).reshape(-1, len(names))
    size = len(names) + len(extra)
    space = np.eye(size)
    inside = np.corrcoef(z.T) if len(names) > 1 else np.ones((1, 1))
    space[: len(names), : len(names)] = (1.0 - SHRINK) * inside + SHRINK * np.eye(len(names))
    wide = np.concatenate([std, np.tile([s for _, s in extra], (HOURS, 1))], axis=1)
    return ReferenceNoise((*names, *(n for n, _ in extra)), wide, space, _correlogram(z))


def _correlogram(z: Array) -> Array:
    """Correlation by lag, averaged over channels, tapered so that any matrix of it is positive."""
    energy = float(np.mean(z**2))
    raw = [float(np.mean(z[lag:] * z[: len(z) - lag])) / energy for lag in range(LAGS)]
    taper = 1.0 - np.arange(LAGS) / LAGS
    found = np.clip(raw, 0.0, 1.0) * taper * (1.0 - SHRINK)
    found[0] = 1.0
    return np.asarray(found)


def whitener(noise: ReferenceNoise, known: NDArray[np.bool_]) -> Whitener:
    """For hours of which `known` (H,) are there."""
    at = np.flatnonzero(known)
    lag = np.abs(at[:, None] - at[None])
    time = np.where(lag < LAGS, noise.time[np.minimum(lag, LAGS - 1)], 0.0)
    return Whitener(known, _root(time), _root(noise.space))


def _root(matrix: Array) -> Array:
    """Lower Cholesky root, with as much added to the diagonal as rounding asks for."""
    for more in (0.0, 1e-6, 1e-3, 1e-1):
        try:
            return np.asarray(np.linalg.cholesky(matrix + more * np.eye(len(matrix))))
        except np.linalg.LinAlgError:
            continue
    return np.eye(len(matrix))
