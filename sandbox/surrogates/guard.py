"""Where a surrogate may speak: a box around every quantity, and a distance from what it saw.

The box alone would let through cold air in a room at noon in July. The Mahalanobis distance
(z - mean)' C^-1 (z - mean) of states and inputs together says how far a step is from the cloud of
steps that the network learned from. A future is inside if each of its steps is.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from graph.record import Record

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
MARGIN = 0.02  # of each quantity's span, around the box
DISTANCE_MARGIN = 1.1  # on the greatest distance among the training steps
RIDGE = 1e-6  # of each variance, so that sums of others do not make the covariance singular
CONSTANT = 1e-9  # what never moved must be equal to this, relative


class Guard(Record):
    """The valid range over z = (states, inputs), D quantities of which `active` moved.

    low, high (D,); mean (A,) and root (A, A) of the active ones: distance = |root (z - mean)|.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    active: tuple[int, ...]
    mean: tuple[float, ...]
    root: tuple[tuple[float, ...], ...]
    limit: float = Field(gt=0)

    @cached_property
    def _box(self) -> tuple[Array, Array]:
        return np.array(self.low), np.array(self.high)

    @cached_property
    def _whitening(self) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        root = np.array(self.root)
        shift = root @ np.array(self.mean)
        return np.array(self.active), root.T.astype(np.float32), shift.astype(np.float32)

    def inputs_inside(self, u: Array) -> Bools:
        """(F,) whether every input of every step is in its box; u (F, N, U)."""
        low, high = (edge[-u.shape[-1] :] for edge in self._box)
        # One reduction over the steps before the comparison: far fewer numbers to compare.
        return np.asarray(((u.min(axis=1) >= low) & (u.max(axis=1) <= high)).all(axis=1))

    def states_inside(self, before: Array) -> Bools:
        """(F,) whether the state before each step is in its box; before (F, N, S)."""
        low, high = (edge[: before.shape[-1]] for edge in self._box)
        return np.asarray(((before.min(axis=1) >= low) & (before.max(axis=1) <= high)).all(axis=1))

    def near(self, before: Array, u: Array) -> Bools:
        """(F,) whether each step of states and inputs is near enough to those learned from."""
        active, root, shift = self._whitening
        futures, steps, size = before.shape
        z = np.empty((futures, steps, len(active)), dtype=np.float32)
        own = active < size
        z[..., own] = before[..., active[own]]
        z[..., ~own] = u[..., active[~own] - size]
        # Step by step of every future with a fixed shape: a future's verdict is its own.
        distance = np.stack([_squared(row, root, shift) for row in z])
        return np.asarray((distance <= self.limit).all(axis=1))


def _squared(rows: NDArray[np.float32], root: NDArray[np.float32], shift: NDArray[np.float32]) -> (
    NDArray[np.float32]
):  # fmt: skip
    white = rows @ root - shift
    return np.asarray(np.einsum("nd,nd->n", white, white))


def fit_guard(before: Array, u: Array) -> Guard:
    """The range of training data: states before each step (F, N, S), inputs (F, N, U)."""
    z = np.concatenate([before, u], axis=-1).reshape(-1, before.shape[-1] + u.shape[-1])
    low, high = z.min(axis=0), z.max(axis=0)
    scale = np.maximum(np.abs(high), 1.0)
    moves = high - low > CONSTANT * scale
    active = np.flatnonzero(moves)
    margin = np.where(moves, MARGIN * (high - low), CONSTANT * scale)
    part = z[:, active]
    mean = part.mean(axis=0)
    covariance = np.cov(part, rowvar=False).reshape(len(active), len(active))
    covariance[np.diag_indices(len(active))] *= 1.0 + RIDGE
    root = np.linalg.inv(np.linalg.cholesky(covariance))
    white = (part - mean) @ root.T
    limit = DISTANCE_MARGIN**2 * float((white * white).sum(axis=1).max())
    return Guard(
        low=_floats(low - margin), high=_floats(high + margin),
        active=tuple(int(i) for i in active), mean=_floats(mean),
        root=tuple(_floats(row) for row in root), limit=limit,
    )  # fmt: skip


def _floats(values: Array | Sequence[float]) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
