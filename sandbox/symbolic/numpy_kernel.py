"""Evaluates a program of scalar operations with NumPy, all futures of a chunk at once.

The reference for the compiled kernel, and what runs where numba is not installed. Chunks are
padded to whole CHUNK-wide rows, so that a future meets the same vector code whatever runs beside
it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.symbolic.program import LEVELS, Program
from sandbox.symbolic.step import Stages

Array = NDArray[np.float64]
CHUNK = 1024
PAD = 16


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


@dataclass(frozen=True)
class _Piece:
    """Calls (function, slots read, slot written) and the slots that hold the rows afterwards."""

    calls: list[tuple[Callable[..., Any], tuple[int, ...], int]]
    rows: list[int]


class NumpyKernel:
    """`run` with the compiled kernel's meaning, over chunks in place of blocks.

    Memory is one slot a node for what lasts (constants, inputs, held operations) and a pool of
    slots, reused as soon as a value was read for the last time, for the rest.
    """

    def __init__(self, program: Program, stages: Stages, jumps: bool) -> None:
        self.program, self.stages, self.jumps = program, stages, jumps
        self.pool = 0
        once, hold = program.held(0), program.held(1)
        self.lasting = {k for k, n in enumerate(program.nodes) if n.op in (*LEVELS, "constant")}
        self.lasting |= {*once, *hold}
        self.once, self.hold = self._piece(once, 0), self._piece(hold, 1)
        self.slope, self.jump, self.read = (
            self._piece(program.pieces[name], 2) for name in ("slope", "jumped", "read")
        )
        self.inputs = {
            name: [(k, n.index) for k, n in enumerate(program.nodes) if n.op == name]
            for name in LEVELS
        }

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
        memory = self._memory(p, width)
        self._evaluate(self.once, memory, width)
        x, means = _padded(x0.T, width), outputs.shape[2] - len(self.read.rows)
        for k in range(states.shape[1]):
            self._put("u", _padded(u[:, k].T, width), memory)
            self._evaluate(self.hold, memory, width)
            total = np.zeros((means, width))
            for _ in range(substeps):
                slope = self._mean_slope(x, h, memory)
                x = x + h * slope[: x.shape[0]]
                total += slope[x.shape[0] :]
                if self.jumps:
                    self._put("x", x, memory)
                    x = self._evaluate(self.jump, memory, width)
            self._put("x", x, memory)
            states[:, k] = x.T[:futures]
            outputs[:, k, :means] = total.T[:futures] / substeps
            outputs[:, k, means:] = self._evaluate(self.read, memory, width).T[:futures]

    def _mean_slope(self, x: Array, h: float, memory: list[Any]) -> Array:
        total: Array | None = None
        slope, point = np.empty(0), x
        for node, weight in zip(self.stages.nodes, self.stages.weights, strict=True):
            if total is not None:
                point = x + (node * h) * slope[: x.shape[0]]
            self._put("x", point, memory)
            slope = self._evaluate(self.slope, memory, x.shape[1])
            total = weight * slope if total is None else total + weight * slope
        assert total is not None
        return total

    def _piece(self, rows: Sequence[int], level: int) -> _Piece:
        """Plan the evaluation of `rows`: which function writes which slot, reading which."""
        nodes, size = self.program.nodes, len(self.program.nodes)
        order = [k for k in self.program.needed(tuple(rows), level) if nodes[k].args]
        last = {a: i for i, k in enumerate(order) for a in nodes[k].args}
        last.update(dict.fromkeys(rows, len(order)))
        slots = {k: k for k in self.lasting}
        free: list[int] = []
        calls = []
        for i, k in enumerate(order):
            read = tuple(slots[a] for a in nodes[k].args)
            if k not in slots:
                if not free:
                    free, self.pool = [size + self.pool], self.pool + 1
                slots[k] = free.pop()
            calls.append((UFUNCS[nodes[k].op], read, slots[k]))
            free += [slots[a] for a in set(nodes[k].args) - self.lasting if last[a] == i]
        return _Piece(calls, [slots[k] for k in rows])

    def _memory(self, p: Array, width: int) -> list[Any]:
        memory: list[Any] = [None] * (len(self.program.nodes) + self.pool)
        for k in self.lasting:
            node = self.program.nodes[k]
            memory[k] = node.value if node.op == "constant" else np.empty(width)
        for k in range(len(self.program.nodes), len(memory)):
            memory[k] = np.empty(width)
        self._put("p", _padded(p.T, width), memory)
        return memory

    def _put(self, name: str, rows: Array, memory: list[Any]) -> None:
        for k, index in self.inputs[name]:
            memory[k] = rows[index]

    def _evaluate(self, piece: _Piece, memory: list[Any], width: int) -> Array:
        """Evaluate a piece; returns its rows (n, width)."""
        for function, read, written in piece.calls:
            function(*[memory[a] for a in read], out=memory[written])
        rows = np.empty((len(piece.rows), width))
        for i, slot in enumerate(piece.rows):
            rows[i] = memory[slot]
        return rows


def _padded(rows: Array, width: int) -> Array:
    """(n, 1 or futures) as contiguous (n, width); the last column fills up."""
    have = rows.shape[1]
    if have == 1:
        return np.ascontiguousarray(np.broadcast_to(rows, (rows.shape[0], width)))
    fill = np.broadcast_to(rows[:, -1:], (rows.shape[0], width - have))
    return np.concatenate([rows, fill], axis=1)
