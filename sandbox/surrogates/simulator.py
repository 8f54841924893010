"""A surrogate where a simulator was: in range by the network, outside by the model it replaces."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.errors import IntegrityError
from sandbox.surrogates.manifest import (
    MANIFEST_FILE,
    NETWORK_FILE,
    SurrogateManifest,
    load_manifest,
)
from sandbox.surrogates.onnx_runtime import StepNetwork, padded, read_network
from sandbox.surrogates.replaced import Replaced

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass
class Usage:
    """How many futures were asked for and how many the replaced model had to simulate, and why.

    parameters: other than the point that was learned; inputs: outside the box (a fault, a command
    or weather never seen); states: left the range on the way.
    """

    futures: int = 0
    parameters: int = 0
    inputs: int = 0
    states: int = 0

    @property
    def replaced(self) -> int:
        """Futures that the replaced model simulated."""
        return self.parameters + self.inputs + self.states


@dataclass(frozen=True)
class SurrogateSimulator:
    """`Simulates` for the model that `replaced` names. `usage` counts; see `Usage`."""

    manifest: SurrogateManifest
    network: StepNetwork
    replaced: Replaced
    usage: Usage = field(default_factory=Usage)

    def run(self, x0: ArrayLike, u: ArrayLike, p: ArrayLike | None = None) -> tuple[Array, Array]:
        """See `BatchSimulator.run`. A future's numbers do not depend on its neighbours."""
        start = np.ascontiguousarray(x0, dtype=float)
        table = np.asarray(u, dtype=float)
        table = np.broadcast_to(table, (len(start), *table.shape[-2:]))
        states, outputs, inside = self.attempt(start, table, p)
        rows = np.flatnonzero(~inside)
        if len(rows):
            point = self.replaced.point if p is None else np.asarray(p, dtype=float)
            if point is not None and point.ndim == 2 and len(point) > 1:
                point = point[rows]
            own = self.replaced.simulator.run(start[rows], table[rows], point)
            states[rows], outputs[rows] = own
        return states, outputs

    def attempt(
        self, x0: Array, u: Array, p: ArrayLike | None = None
    ) -> tuple[Array, Array, Bools]:
        """States, outputs and whether each future was in range; others hold nothing of use."""
        futures, steps = u.shape[:2]
        size, made = len(self.manifest.states), len(self.manifest.outputs)
        states, outputs = np.zeros((futures, steps, size)), np.zeros((futures, steps, made))
        point = self._at_point(p, futures)
        inside = point & self.manifest.guard.inputs_inside(u)
        allowed = int(inside.sum())
        rows = np.flatnonzero(inside)
        if len(rows):
            states[rows], outputs[rows] = self._roll(x0[rows], u[rows])
            before = np.concatenate([x0[rows, None], states[rows, :-1]], axis=1)
            guard = self.manifest.guard
            inside[rows] = guard.states_inside(before) & guard.near(before, u[rows])
            inside &= np.isfinite(states).all(axis=(1, 2)) & np.isfinite(outputs).all(axis=(1, 2))
        usage, known = self.usage, int(point.sum())
        usage.futures += futures
        usage.parameters += futures - known
        usage.inputs += known - allowed
        usage.states += allowed - int(inside.sum())
        return states, outputs, inside

    def _at_point(self, p: ArrayLike | None, futures: int) -> Bools:
        """(F,) whether a future has the parameters that were learned."""
        if p is None or self.replaced.point is None:
            return np.full(futures, p is None)
        same = (np.atleast_2d(np.asarray(p, dtype=float)) == self.replaced.point).all(axis=1)
        return np.array(np.broadcast_to(same, (futures,)))

    def _roll(self, x0: Array, u: Array) -> tuple[Array, Array]:
        futures, steps = u.shape[:2]
        rows = padded(futures)
        given = list(self.manifest.given)
        # Time first, and rows in whole blocks: each step then reads one piece of memory.
        inputs = np.zeros((steps, rows, len(given)), dtype=np.float32)
        inputs[:, :futures] = u[:, :, given].transpose(1, 0, 2)
        inputs[:, futures:] = inputs[:, :1]
        x = np.empty((rows, x0.shape[1]), dtype=np.float32)
        x[:futures], x[futures:] = x0, x0[0]
        states, outputs = [], []
        for k in range(steps):
            x, y = self.network.step(x, inputs[k])
            states.append(x)
            outputs.append(y)
        kept = (np.stack(a)[:, :futures].transpose(1, 0, 2) for a in (states, outputs))
        path, shown = (np.ascontiguousarray(a, dtype=float) for a in kept)
        return path, shown


def load_surrogate(folder: Path, replaced: Replaced) -> SurrogateSimulator:
    """The surrogate that a folder holds, proven to be one of `replaced`.

    Raises:
        InputError: no manifest, or a wrong one.
        IntegrityError: it replaces another model, or the network is not the one it was.
    """
    manifest = load_manifest(folder / MANIFEST_FILE)
    data = read_network(folder / NETWORK_FILE, manifest.network_digest)
    return surrogate_of(manifest, data, replaced)


def surrogate_of(
    manifest: SurrogateManifest, data: bytes, replaced: Replaced
) -> SurrogateSimulator:
    """A surrogate from its parts. Raises IntegrityError where they do not belong together."""
    for what, claimed, actual in (
        ("model", manifest.replaces_digest, replaced.digest),
        ("step", manifest.step_s, replaced.step_s),
        ("states", manifest.states, replaced.states),
        ("inputs", manifest.inputs, replaced.inputs),
        ("outputs", manifest.outputs, replaced.outputs),
    ):
        if claimed != actual:
            raise IntegrityError(
                f"the surrogate is of another {what} than the {replaced.name} "
                f"({str(claimed)[:40]}, now {str(actual)[:40]})",
                "train it again with `pilothouse site surrogate`",
            )
    sizes = len(manifest.states), len(manifest.given), len(manifest.outputs)
    guard, width = manifest.guard, len(manifest.states) + len(manifest.inputs)
    sound = (
        len(guard.low) == len(guard.high) == width
        and all(0 <= i < width for i in guard.active)
        and all(0 <= i < len(manifest.inputs) for i in manifest.given)
        and len(guard.mean) == len(guard.root) == len(guard.active)
        and all(len(row) == len(guard.active) for row in guard.root)
    )
    if not sound:
        raise IntegrityError("the surrogate's valid range does not fit its quantities",
                             "train it again with `pilothouse site surrogate`")  # fmt: skip
    return SurrogateSimulator(manifest, StepNetwork(data, *sizes), replaced)
