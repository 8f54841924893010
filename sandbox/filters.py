"""Kalman filters for any model that can be run as a batch: extended and unscented.

The step is a function of states, (B, S) -> (B, S); all points that a prediction needs go through
it at once. Measurements are single states, so that both filters share one update, and the
unscented one equals it exactly (the unscented transform of a linear function is exact).

Extended: the Jacobian by central differences. Unscented: 2S + 1 points at the mean and at
sqrt(S + lambda) columns of a root of the covariance (scaled transform: Julier 2002,
doi:10.1109/ACC.2002.1025369; weights as Wan and van der Merwe 2000,
doi:10.1109/ASSPCC.2000.882463).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Step = Callable[[Array], Array]
Method = Literal["ekf", "ukf"]

DIFFERENCE = 0.01  # K or %: small against any state, large against rounding
# alpha = 1 spreads the points by sqrt(S) standard deviations: they feel the curvature where the
# state may be, and no weight is negative. beta = 2 is best for Gaussians (Julier 2002).
ALPHA, BETA, KAPPA = 1.0, 2.0, 0.0


@dataclass(frozen=True)
class Belief:
    """Mean (S,) and covariance (S, S)."""

    x: Array
    P: Array


@dataclass(frozen=True)
class Innovation:
    """Measured less predicted, and its variance."""

    value: float
    variance: float


def predict(belief: Belief, step: Step, noise: Array, method: Method = "ekf") -> Belief:
    """One step ahead. `noise`: process noise covariance (S, S) of this step."""
    if method == "ukf":
        return _unscented(belief, step, noise)
    size = len(belief.x)
    spread = DIFFERENCE * np.eye(size)
    end = step(np.concatenate([belief.x[None], belief.x + spread, belief.x - spread]))
    jacobian = ((end[1 : size + 1] - end[size + 1 :]) / (2.0 * DIFFERENCE)).T
    return Belief(end[0], jacobian @ belief.P @ jacobian.T + noise)


def _unscented(belief: Belief, step: Step, noise: Array) -> Belief:
    points, mean_weights, spread_weights = sigma_points(belief)
    end = step(points)
    mean = mean_weights @ end
    apart = end - mean
    return Belief(mean, (spread_weights[:, None] * apart).T @ apart + noise)


def sigma_points(
    belief: Belief, alpha: float = ALPHA, beta: float = BETA, kappa: float = KAPPA
) -> tuple[Array, Array, Array]:
    """Points (2S + 1, S), their weights in the mean and in the covariance (2S + 1,)."""
    size = len(belief.x)
    scale = alpha**2 * (size + kappa)  # S + lambda
    root = np.sqrt(scale) * _root(belief.P)
    points = np.concatenate([belief.x[None], belief.x + root.T, belief.x - root.T])
    weights = np.full(2 * size + 1, 0.5 / scale)
    weights[0] = 1.0 - size / scale
    spread = weights.copy()
    spread[0] += 1.0 - alpha**2 + beta
    return points, weights, spread


def _root(covariance: Array) -> Array:
    """A square root (columns) of a covariance that rounding may have made slightly indefinite."""
    symmetric = (covariance + covariance.T) / 2.0
    try:
        return np.asarray(np.linalg.cholesky(symmetric))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(symmetric)
        return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None)))


def innovation(belief: Belief, index: int, value: float, variance: float) -> Innovation:
    """What a sample of state `index` with sensor noise `variance` says against the belief."""
    return Innovation(float(value - belief.x[index]), float(belief.P[index, index] + variance))


def update(belief: Belief, index: int, value: float, variance: float) -> Belief:
    """Take in one sample, in Joseph's form so that the covariance stays symmetric."""
    seen = innovation(belief, index, value, variance)
    gain = belief.P[:, index] / seen.variance
    keep = np.eye(len(belief.x))
    keep[:, index] -= gain
    return Belief(
        belief.x + gain * seen.value,
        keep @ belief.P @ keep.T + variance * np.outer(gain, gain),
    )


def widened(belief: Belief, index: int, variance: float) -> Belief:
    """The belief with `variance` more doubt about state `index`."""
    wider = belief.P.copy()
    wider[index, index] += variance
    return Belief(belief.x, wider)
