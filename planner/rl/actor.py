"""A policy's network as plain arrays: normalise, two hidden layers of tanh, one number a point.

action = W3 tanh(W2 tanh(W1 (obs + shift) * scale + b1) + b2) + b3, clipped to [-1, 1] by who uses
it. Training, export and the checks of an export all start from these arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError

Floats = NDArray[np.float32]
LEAST_SPREAD = 1e-3  # of what never moved in training: its scale is 1


@dataclass(frozen=True)
class Actor:
    """shift, scale (D,); layers: weights (in, out) and offsets (out,), the last one linear."""

    shift: Floats
    scale: Floats
    layers: tuple[tuple[Floats, Floats], ...]

    def act(self, observed: NDArray[np.float64]) -> NDArray[np.float64]:
        """Actions (F, U) in [-1, 1] of observations (F, D)."""
        value = (observed.astype(np.float32) + self.shift) * self.scale
        for i, (weight, offset) in enumerate(self.layers):
            value = value @ weight + offset
            if i + 1 < len(self.layers):
                value = np.tanh(value)
        return np.clip(value.astype(np.float64), -1.0, 1.0)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return tuple(int(w.shape[1]) for w, _ in self.layers[:-1])

    def named(self) -> dict[str, Floats]:
        """All arrays by name."""
        found = {"shift": self.shift, "scale": self.scale}
        for i, (weight, offset) in enumerate(self.layers):
            found |= {f"w{i}": weight, f"b{i}": offset}
        return found


def from_named(arrays: dict[str, Floats]) -> Actor:
    """The actor of `Actor.named`. Raises InputError where a part is missing."""
    count = sum(name.startswith("w") for name in arrays)
    try:
        layers = tuple((arrays[f"w{i}"], arrays[f"b{i}"]) for i in range(count))
        return Actor(arrays["shift"], arrays["scale"], layers)
    except KeyError as error:
        raise InputError(f"the policy's file lacks {error}", "train it again") from error


def save_actor(path: Path, actor: Actor) -> None:
    """Write the arrays."""
    with path.open("wb") as stream:
        np.savez(stream, **actor.named())  # type: ignore[arg-type]


def load_actor(path: Path) -> Actor:
    """Read them. Raises InputError where they cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return from_named({n: file[n].astype(np.float32) for n in file.files})
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})", "train it again") from error


def normalisation(observed: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Shift and scale that bring observations (n, D) to mean 0 and spread 1."""
    spread = observed.std(axis=0)
    scale = np.where(spread > LEAST_SPREAD, 1.0 / np.maximum(spread, LEAST_SPREAD), 1.0)
    return (-observed.mean(axis=0)).astype(np.float32), scale.astype(np.float32)


def constant_actor(size: int, action: Sequence[float]) -> Actor:
    """An actor that says the same whatever it sees: for tests and as a plain beginning."""
    offset = np.asarray(action, dtype=np.float32)
    zero = np.zeros((size, 4), np.float32), np.zeros(4, np.float32)
    last = np.zeros((4, len(offset)), np.float32), offset
    ones = np.ones(size, np.float32)
    return Actor(np.zeros(size, np.float32), ones, (zero, last))
