"""Evaluates a program of scalar operations with NumPy, all futures of a chunk at once.

The reference for the compiled kernel, and what runs where numba is not installed. Chunks are
padded to whole CHUNK-wide rows, so that a future meets the same vector code whatever runs beside
it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.symbolic.program import LEVELS, Program
from sandbox.symbolic.step import Stages

Array = NDArray[np.float64]
CHUNK = 1024
PAD = 16


def _sign(a: Array, out: Array) -> None:
    np.sign(a, out=out)


def _compared(compare: Any) -> Callable[..., None]:
    def run(*arguments: Array, out: Array) -> None:
        out[...] = compare(*arguments)

    return run


def _if_else_zero(condition: Array, value: Array, out: Array) -> None:
    np.copyto(out, np.where(condition != 0.0, value, 0.0))


UFUNCS: dict[str, Callable[..., Any]] = {
    "assign": np.positive, "add": np.add, "sub": np.subtract, "mul": np.multiply,
    "div": np.divide, "neg": np.negative, "exp": np.exp, "log": np.log, "pow": np.power,
    "constpow": np.power, "sqrt": np.sqrt, "sq": np.square, "sin": np.sin,
    "twice": lambda a, out: np.multiply(2.0, a, out=out), "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "lt": _compared(np.less),
    "le": _compared(np.less_equal), "eq": _compared(np.equal), "ne": _compared(np.not_equal),
    "not": _compared(np.logical_not), "and": _compared(np.logical_and),
    "or": _compared(np.logical_or), "floor": np.floor, "ceil": np.ceil, "fmod": np.fmod,
    "fabs": np.absolute, "sign": np.sign, "copysign": np.copysign,
    "if_else_zero": _if_else_zero, "fmin": np.minimum, "fmax": np.maximum,
    "inv": lambda a, out: np.divide(1.0, a, out=out), "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "atan2": np.arctan2, "expm1": np.expm1, "log1p": np.log1p, "hypot": np.hypot,
}  # fmt: skip


class NumpyKernel:
    """`run` with the compiled kernel's signature, over chunks in place of blocks."""

    def __init__(self, program: Program, stages: Stages, jumps: bool) -> None:
        self.program, self.stages, self.jumps = program, stages, jumps
        self.once = self._operations(program.held(0), 0)
        self.hold = self._operations(program.held(1), 1)
        self.slope, self.jump, self.read = (
            self._operations(program.pieces[name], 2) for name in ("slope", "jumped", "read")
        )

    def run(self, x0: Array, u: Array, p: Array, h: float, substeps: int,
            states: Array, outputs: Array) -> None:  # fmt: skip
        """As the compiled `run`, for every future. Warnings of NaN and infinity are not raised."""
        with np.errstate(all="ignore"):
            for first in range(0, x0.shape[0], CHUNK):
                rows = slice(first, min(first + CHUNK, x0.shape[0]))
                some_u = u[rows] if u.shape[0] > 1 else u
                some_p = p[rows] if p.shape[0] > 1 else p
                self._chunk(x0[rows], some_u, some_p, h, substeps, states[rows], outputs[rows])

    def _chunk(self, x0: Array, u: Array, p: Array, h: float, substeps: int,
               states: Array, outputs: Array) -> None:  # fmt: skip
        futures, width = x0.shape[0], -(-x0.shape[0] // PAD) * PAD
        values = self._memory(p, width)
        self._evaluate(self.once, values)
        size, means = x0.shape[1], outputs.shape[2] - len(self.program.pieces["read"])
        x = _padded(x0.T, width)
        for k in range(states.shape[1]):
            self._put("u", _padded(u[:, k].T, width), values)
            self._evaluate(self.hold, values)
            total = np.zeros((means, width))
            for _ in range(substeps):
                slope = self._mean_slope(x, h, values)
                x = x + h * slope[:size]
                total += slope[size:]
                if self.jumps:
                    self._put("x", x, values)
                    self._evaluate(self.jump, values)
                    x = self._rows("jumped", values)
            self._put("x", x, values)
            self._evaluate(self.read, values)
            states[:, k] = x.T[:futures]
            outputs[:, k, :means] = total.T[:futures] / substeps
            outputs[:, k, means:] = self._rows("read", values).T[:futures]

    def _mean_slope(self, x: Array, h: float, values: list[Array]) -> Array:
        total: Array | None = None
        slope, point = np.empty(0), x
        for node, weight in zip(self.stages.nodes, self.stages.weights, strict=True):
            if total is not None:
                point = x + (node * h) * slope[: x.shape[0]]
            self._put("x", point, values)
            self._evaluate(self.slope, values)
            slope = self._rows("slope", values)
            total = weight * slope if total is None else total + weight * slope
        assert total is not None
        return total

    def _operations(self, rows: Any, level: int) -> list[tuple[Any, int, tuple[int, ...]]]:
        nodes, plain = self.program.nodes, (*LEVELS, "constant")
        chosen = [k for k in self.program.needed(tuple(rows), level) if nodes[k].op not in plain]
        return [(UFUNCS[nodes[k].op], k, nodes[k].args) for k in chosen]

    def _memory(self, p: Array, width: int) -> list[Array]:
        values = [np.full(width, node.value) for node in self.program.nodes]
        self._put("p", _padded(p.T, width), values)
        return values

    def _put(self, name: str, rows: Array, values: list[Array]) -> None:
        for k, node in enumerate(self.program.nodes):
            if node.op == name:
                values[k] = rows[node.index]

    def _rows(self, piece: str, values: list[Array]) -> Array:
        rows = self.program.pieces[piece]
        return np.stack([values[k] for k in rows]) if rows else np.empty((0, len(values[0])))

    def _evaluate(self, operations: Any, values: list[Array]) -> None:
        for ufunc, k, arguments in operations:
            ufunc(*(values[a] for a in arguments), out=values[k])


def _padded(rows: Array, width: int) -> Array:
    """(n, 1 or futures) as contiguous (n, width); the last column fills up."""
    have = rows.shape[1]
    if have == 1:
        return np.ascontiguousarray(np.broadcast_to(rows, (rows.shape[0], width)))
    fill = np.broadcast_to(rows[:, -1:], (rows.shape[0], width - have))
    return np.concatenate([rows, fill], axis=1)
