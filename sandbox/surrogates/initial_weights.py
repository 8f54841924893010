"""What a network knows before it has learned: scales of its data, the known step, random layers."""

import numpy as np
from numpy.typing import NDArray

from sandbox.surrogates.networks import Kind
from sandbox.surrogates.replaced import Physics
from sandbox.surrogates.training_data import Futures

Array = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]
LEAST_SPREAD = 1e-6
FAR = 10.0
FIT_RIDGE = 1e-4  # of each variance, in the linear fits


def initial_weights(
    kind: Kind, data: Futures, active: NDArray[np.int64], physics: Physics | None, bounds: Array,
    hidden: int, substeps: int, generator: np.random.Generator,
) -> Weights:  # fmt: skip
    """Weights to start from; `active`: the inputs (of all U) that the network is given."""
    before = data.befores.reshape(-1, data.x0.shape[1])
    u_all = data.u.reshape(-1, data.u.shape[-1])
    z = np.concatenate([before, u_all[:, active]], axis=1)
    after = data.states.reshape(before.shape)
    y = data.outputs.reshape(len(z), -1)
    spread, dx = _spread(z), _spread(after - before)
    found = {"z_scale": 1.0 / spread, "z_shift": -z.mean(axis=0) / spread,
             "y_scale": _spread(y), "y_mean": y.mean(axis=0), "dx_scale": dx}  # fmt: skip
    seen = (z - z.mean(axis=0)) / spread
    left = (after - before) / dx
    if kind == "residual":
        known, free = _known_step(before, u_all, after, y, active, physics)
        found |= known
        left = (after - free) / dx
        if "feature" in known:
            switch = z @ known["feature"] + known["feature0"]
            seen = np.concatenate([seen, switch, np.maximum(switch, 0.0)], axis=1)
    else:
        # Stages are summed with weights 1, 2, 2, 1 over all substeps.
        found["half"] = np.full(len(dx), 0.5 / substeps)
        found["whole"], found["sixth"] = 2 * found["half"], found["half"] / 3
        found["y_scale"] = found["y_scale"] / (6 * substeps)
    found |= _edges(after, bounds)
    found |= _layers(seen, left, (y - y.mean(axis=0)) / _spread(y), hidden, kind, generator)
    return {n: np.ascontiguousarray(v, dtype=np.float32) for n, v in found.items()}


def _known_step(
    before: Array, u: Array, after: Array, y: Array, active: NDArray[np.int64],
    physics: Physics | None,
) -> tuple[dict[str, Array], Array]:  # fmt: skip
    """Weights of the linear step, and where it leads, (rows, S). Fitted where none is known."""
    size = before.shape[1]
    keep = np.concatenate([np.arange(size), size + active])
    if physics is None:
        z = np.concatenate([before, u[:, active]], axis=1)
        weight, offset = _linear_fit(z, after - before)
        heat = np.zeros((y.shape[1], size))
        known = {"drift": weight, "drift0": offset, "heat": heat, "heat0": np.zeros(size)}
        return known, before + z @ weight + offset
    matrix = np.concatenate([physics.A - np.eye(size), physics.B], axis=1)
    every = np.concatenate([before, u], axis=1)
    # Inputs that never move are not given to the network; what they do is constant.
    still = np.setdiff1d(np.arange(every.shape[1]), keep)
    offset = physics.c + matrix[:, still] @ every[0, still]
    free = before + every[:, keep] @ matrix[:, keep].T + offset
    known = {
        "drift": matrix[:, keep].T, "drift0": offset, "heat": physics.heat.T,
        "heat0": np.zeros(size), "feature": physics.features[:, keep].T,
        "feature0": physics.offset + physics.features[:, still] @ every[0, still],
    }  # fmt: skip
    return known, free + y @ physics.heat.T


def _layers(
    seen: Array, left: Array, y: Array, hidden: int, kind: Kind, generator: np.random.Generator
) -> dict[str, Array]:
    """Random hidden layers (Glorot and Bengio 2010) and readouts that begin as linear fits."""
    width = seen.shape[1]

    def glorot(rows: int, columns: int) -> Array:
        edge = np.sqrt(6.0 / (rows + columns))
        return generator.uniform(-edge, edge, (rows, columns))

    found = {"w1": glorot(width, hidden), "b1": np.zeros(hidden),
             "w2": glorot(hidden, hidden), "b2": np.zeros(hidden)}  # fmt: skip
    for name, target in (("y", y), ("r", left)):
        direct, offset = _linear_fit(seen, target)
        if name == "r" and kind == "residual":
            direct, offset = np.zeros_like(direct), np.zeros_like(offset)
        found[f"w{name}"] = np.concatenate([np.zeros((hidden, target.shape[1])), direct])
        found[f"b{name}"] = offset
    return found


def _edges(after: Array, bounds: Array) -> dict[str, Array]:
    """Where states are clipped: bounds (S, 2) that some state reached; {} where none did."""
    low, high = after.min(axis=0), after.max(axis=0)
    reached = (low <= bounds[:, 0]) | (high >= bounds[:, 1])
    if not reached.any():
        return {}
    # A state that reached no bound is left alone: its edges are far beyond its data.
    far = FAR * (high - low) + 1.0
    low = np.where(low <= bounds[:, 0], bounds[:, 0], low - far)
    high = np.where(high >= bounds[:, 1], bounds[:, 1], high + far)
    return {"low": low, "minus_low": -low, "span": high - low, "high": high,
            "minus_one": np.full(len(low), -1.0)}  # fmt: skip


def _linear_fit(z: Array, target: Array) -> tuple[Array, Array]:
    """Ridge regression: weight (D, T), offset (T,)."""
    middle, mean = z.mean(axis=0), target.mean(axis=0)
    moved = z - middle
    gram = moved.T @ moved
    gram[np.diag_indices(len(gram))] *= 1.0 + FIT_RIDGE
    weight = np.linalg.lstsq(gram, moved.T @ (target - mean), rcond=None)[0]
    return weight, mean - middle @ weight


def _spread(values: Array) -> Array:
    return np.asarray(np.maximum(values.std(axis=0), LEAST_SPREAD))
