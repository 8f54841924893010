"""How stated probabilities are bent so that they come true, as far as days ask for it.

    logit p' = c + a ln p - b ln(1 - p)

Beta calibration (Kull, Silva Filho and Flach 2017, PMLR 54:623) bends the two ends apart; with
a = b it is logistic recalibration (Cox 1958; Platt 1999), with a = b = 1 and c = 0 nothing changes.
Isotonic regression and Venn-Abers bend freely, which takes hundreds of independent cases.

1. Only probabilities between 0 and 1 are fitted. A share of none or all of the futures says that a
   probability is beyond what so many futures resolve; every bend leaves 0 and 1 where they are.
2. Each shape is fitted on all but some days and judged by the log loss on those (whole days that
   follow each other: their weather is one).
3. A shape with more numbers is taken only where it gains more than one standard error of the gain,
   days counting as cases. What chance explains is not corrected.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
FOLDS = 10
LEAST_DAYS = 10  # with probabilities between 0 and 1; fewer cannot tell one shape from another
PRIOR_STD = (3.0, 1.0, 1.0)  # of c, a, b around 0, 1, 1: keeps separated cases finite
NEWTON_STEPS = 60
NEWTON_TOLERANCE = 1e-10
SIZES = (2, 3)  # numbers of the shapes beyond the identity: logistic, beta


class Bend(NamedTuple):
    """c, a and b of the formula above."""

    intercept: float = 0.0
    low: float = 1.0
    high: float = 1.0

    def apply(self, stated: Array) -> Array:
        """Bent probabilities, any shape; the identity leaves them to the bit."""
        if self == IDENTITY:
            return stated
        inside = (stated > 0.0) & (stated < 1.0)
        p = np.where(inside, stated, 0.5)
        bent = sigmoid(self.intercept + self.low * np.log(p) - self.high * np.log1p(-p))
        return np.where(inside, bent, stated)


IDENTITY = Bend()


def fit_bend(stated: Array, happened: Array, days: Ints) -> Bend:
    """The bend that days ask for, from statements (n,), outcomes 0 or 1 (n,) and days (n,)."""
    inside = (stated > 0.0) & (stated < 1.0)
    p, y, day = stated[inside], happened[inside], days[inside]
    found = np.unique(day)
    if len(found) < LEAST_DAYS:
        return IDENTITY
    fold = np.searchsorted(found, day) * FOLDS // len(found)
    best, losses = 1, log_loss(p, y)
    for size in SIZES:
        other = np.empty_like(p)
        for k in range(FOLDS):
            mine = fold == k
            other[mine] = log_loss(fit_shape(p[~mine], y[~mine], size).apply(p[mine]), y[mine])
        if _surely_gains(losses - other, day):
            best, losses = size, other
    return IDENTITY if best == 1 else fit_shape(p, y, best)


def fit_shape(p: Array, happened: Array, size: int) -> Bend:
    """The bend of greatest posterior with 2 (a = b) or 3 numbers, by Newton steps.

    A bend that would turn the order of probabilities round is refused: the identity is returned.
    """
    low, high = np.log(p), -np.log1p(-p)
    columns = [np.ones(len(p)), low + high] if size == 2 else [np.ones(len(p)), low, high]
    x = np.stack(columns, axis=1)
    identity = np.array([0.0, 1.0, 1.0][:size])
    precision = np.diag(1.0 / np.square(PRIOR_STD[:size]))
    theta = identity.copy()
    for _ in range(NEWTON_STEPS):
        q = sigmoid(x @ theta)
        gradient = x.T @ (happened - q) - precision @ (theta - identity)
        hessian = (x * (q * (1.0 - q))[:, None]).T @ x + precision
        step = np.linalg.solve(hessian, gradient)
        theta = theta + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < NEWTON_TOLERANCE:
            break
    bend = Bend(float(theta[0]), float(theta[1]), float(theta[-1]))
    return bend if min(bend.low, bend.high) > 0.0 else IDENTITY


def log_loss(p: Array, happened: Array) -> Array:
    """-log of what was stated for what came, (n,), of probabilities between 0 and 1."""
    return np.asarray(-np.log(np.where(happened > 0.5, p, 1.0 - p)))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def _surely_gains(gain: Array, days: Ints) -> bool:
    """Whether the sum of gains is above its standard error, days taken as independent."""
    _, member = np.unique(days, return_inverse=True)
    by_day = np.bincount(member, weights=gain)
    error = float(by_day.std(ddof=1)) * float(np.sqrt(len(by_day)))
    return float(by_day.sum()) > error
