"""Writes a program of scalar operations as one compiled loop over blocks of futures.

Futures are handled in blocks of LANES. A block's working memory is one flat array that holds, value
by value, the LANES futures side by side, so that every statement is one vector operation and
nothing else has to be known about the array (constant offsets: the compiler sees that rows do not
overlap). All lanes of a block take the same path: a future's result depends neither on its
neighbours nor on the block that it happens to be in, and no operation is contracted or reordered.

Phases: parameters once a block, inputs once a step, slope in every stage, jumps once a substep,
readings once a step. The last block is filled by repeating the last future.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial

from sandbox.symbolic.program import LEVELS, Program
from sandbox.symbolic.step import Stages

LANES = 16
MAX_EXPRESSION = 160  # characters; longer ones are given a name of their own

TEMPLATES = {
    "assign": "{0}", "add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})",
    "div": "({0} / {1})", "neg": "(-{0})", "exp": "math.exp({0})", "log": "math.log({0})",
    "pow": "({0} ** {1})", "constpow": "({0} ** {1})", "sqrt": "math.sqrt({0})",
    "sq": "({0} * {0})", "twice": "(2.0 * {0})", "sin": "math.sin({0})", "cos": "math.cos({0})",
    "tan": "math.tan({0})", "asin": "math.asin({0})", "acos": "math.acos({0})",
    "atan": "math.atan({0})", "lt": "pick({0} < {1}, 1.0, 0.0)", "le": "pick({0} <= {1}, 1.0, 0.0)",
    "eq": "pick({0} == {1}, 1.0, 0.0)", "ne": "pick({0} != {1}, 1.0, 0.0)",
    "not": "pick({0} == 0.0, 1.0, 0.0)", "and": "pick({0} != 0.0, pick({1} != 0.0, 1.0, 0.0), 0.0)",
    "or": "pick({0} != 0.0, 1.0, pick({1} != 0.0, 1.0, 0.0))", "floor": "np.floor({0})",
    "ceil": "np.ceil({0})", "fmod": "math.fmod({0}, {1})", "fabs": "math.fabs({0})",
    "sign": "pick({0} > 0.0, 1.0, pick({0} < 0.0, -1.0, {0}))",
    "copysign": "math.copysign({0}, {1})", "if_else_zero": "pick({0} != 0.0, {1}, 0.0)",
    # NaN stays visible, unlike in C's fmin and fmax.
    "fmin": "pick({1} < {0}, {1}, pick({1} != {1}, {1}, {0}))",
    "fmax": "pick({1} > {0}, {1}, pick({1} != {1}, {1}, {0}))",
    "inv": "(1.0 / {0})", "sinh": "math.sinh({0})", "cosh": "math.cosh({0})",
    "tanh": "math.tanh({0})", "asinh": "math.asinh({0})", "acosh": "math.acosh({0})",
    "atanh": "math.atanh({0})", "atan2": "math.atan2({0}, {1})", "expm1": "math.expm1({0})",
    "log1p": "math.log1p({0})", "hypot": "math.hypot({0}, {1})",
}  # fmt: skip
REPEATS = {"sq", "sign", "fmin", "fmax"}  # their templates write an argument more than once
JUMP = [
    "for i in range(NX * LANES):", "    w[X + i] = w[J + i]", "    w[T + i] = w[J + i]",
]  # fmt: skip

KERNEL = '''"""Generated from a model's equations; do not edit."""

import math

import numpy as np
from numba import njit
from numba.extending import intrinsic

inf, nan = math.inf, math.nan
$constants


@intrinsic
def pick(context, condition, then, otherwise):
    """`then` where the condition holds, without a branch."""

    def code(_, builder, __, args):
        return builder.select(*args)

    return then(condition, then, otherwise), code


@njit(
    "void(f8[:, ::1], f8[:, :, ::1], f8[:, ::1], f8, i8, i8, i8, f8[:, :, ::1], f8[:, :, ::1])",
    nogil=True, cache=True, error_model="numpy",
)
def run(x0, u, p, h, substeps, first, last, states, outputs):
    w = np.empty(SIZE)
    futures = x0.shape[0]
    for block in range(first, last):
        for j in range(LANES):
            f = min(block * LANES + j, futures - 1)
            g = f if p.shape[0] > 1 else 0
            for i in range(NX):
                w[X + LANES * i + j] = x0[f, i]
            for i in range(NP):
                w[P + LANES * i + j] = p[g, i]
        $once_a_rollout
        for k in range(states.shape[1]):
            for j in range(LANES):
                f = min(block * LANES + j, futures - 1) if u.shape[0] > 1 else 0
                for i in range(NU):
                    w[U + LANES * i + j] = u[f, k, i]
            $once_a_step
            for i in range(NM * LANES):
                w[M + i] = 0.0
            for _ in range(substeps):
                for i in range(NX * LANES):
                    w[T + i] = w[X + i]
                for i in range(NK * LANES):
                    w[A + i] = 0.0
                for stage in range(STAGES):
                    if stage > 0:
                        reach = NODES[stage] * h
                        for i in range(NX * LANES):
                            w[T + i] = w[X + i] + reach * w[K + i]
                    $slope
                    weight = WEIGHTS[stage]
                    for i in range(NK * LANES):
                        w[A + i] += weight * w[K + i]
                for i in range(NX * LANES):
                    w[X + i] += h * w[A + i]
                for i in range(NM * LANES):
                    w[M + i] += w[A + NX * LANES + i]
                for i in range(NX * LANES):
                    w[T + i] = w[X + i]
                $jumped
            $read
            for j in range(min(LANES, futures - block * LANES)):
                f = block * LANES + j
                for i in range(NX):
                    states[f, k, i] = w[X + LANES * i + j]
                for i in range(NM):
                    outputs[f, k, i] = w[M + LANES * i + j] / substeps
                for i in range(NY):
                    outputs[f, k, NM + i] = w[Y + LANES * i + j]
'''


def kernel_source(program: Program, stages: Stages, jumps: bool) -> str:
    """Python source of `run(x0, u, p, h, substeps, first, last, states, outputs)` for numba.

    x0 (F, S), u (1 or F, N, U), p (1 or F, P + 1), blocks first .. last - 1; fills states
    (F, N, S) and outputs (F, N, means then readings).
    """
    held = (program.held(0), program.held(1))
    sizes = {
        "X": program.sizes["x"], "T": program.sizes["x"], "U": program.sizes["u"],
        "P": program.sizes["p"], "H0": len(held[0]), "H1": len(held[1]),
        "K": len(program.pieces["slope"]), "A": len(program.pieces["slope"]),
        "M": len(program.pieces["slope"]) - program.sizes["x"],
        "J": program.sizes["x"] if jumps else 0, "Y": len(program.pieces["read"]),
    }  # fmt: skip
    writer = _Writer(program, held)
    bodies = {
        "once_a_rollout": writer.loop(held[0], 0, "H0"),
        "once_a_step": writer.loop(held[1], 1, "H1"),
        "slope": writer.loop(program.pieces["slope"], 2, "K"),
        "jumped": writer.loop(program.pieces["jumped"], 2, "J") + JUMP if jumps else [],
        "read": writer.loop(program.pieces["read"], 2, "Y"),
    }
    text = KERNEL.replace("$constants", _constants(sizes, stages))
    for name, lines in bodies.items():
        text = re.sub(rf"^( *)\${name}\n", partial(_indented, lines), text, flags=re.MULTILINE)
    return text


def _constants(sizes: dict[str, int], stages: Stages) -> str:
    lines, size = [f"LANES = {LANES}"], 0
    for name, rows in sizes.items():
        lines.append(f"{name}, N{name} = {size}, {rows}")
        size += rows * LANES
    lines += [f"SIZE, STAGES = {size}, {len(stages.nodes)}"]
    return "\n".join([*lines, f"NODES = {stages.nodes!r}", f"WEIGHTS = {stages.weights!r}"])


def _indented(lines: list[str], found: re.Match[str]) -> str:
    return "".join(f"{found[1]}{line}\n" for line in lines)


class _Writer:
    """Writes loops over the lanes that evaluate some nodes and store them in a section."""

    def __init__(self, program: Program, held: tuple[list[int], list[int]]) -> None:
        self.nodes, self.program = program.nodes, program
        self.place = {k: f"H{level}" for level in (0, 1) for k in held[level]}
        self.row = {k: i for level in (0, 1) for i, k in enumerate(held[level])}

    def loop(self, rows: Sequence[int], level: int, section: str) -> list[str]:
        """Evaluates what of `rows` is of at least `level`; reads the rest from where it is held."""
        if not rows:
            return []
        order = [k for k in self.program.needed(tuple(rows), level) if self._computed(k, level)]
        uses = Counter(rows)
        for k in order:
            uses.update(self.nodes[k].args)
            if self.nodes[k].op in REPEATS:  # named, not written twice
                uses.update(self.nodes[k].args)
        text: dict[int, str] = {}
        lines = []
        for k in order:
            written = self._operation(k, level, text)
            if uses[k] > 1 or len(written) > MAX_EXPRESSION:
                lines.append(f"v{k} = {written}")
                written = f"v{k}"
            text[k] = written
        for i, k in enumerate(rows):
            lines.append(f"w[{section} + {LANES * i} + j] = {self._value(k, level, text)}")
        return ["for j in range(LANES):", *(f"    {line}" for line in lines)]

    def _computed(self, k: int, level: int) -> bool:
        return self.nodes[k].level >= level and self.nodes[k].op not in (*LEVELS, "constant")

    def _operation(self, k: int, level: int, text: dict[int, str]) -> str:
        node = self.nodes[k]
        return TEMPLATES[node.op].format(*(self._value(a, level, text) for a in node.args))

    def _value(self, k: int, level: int, text: dict[int, str]) -> str:
        node = self.nodes[k]
        if node.op == "constant":
            return f"({node.value!r})" if node.value < 0 else repr(node.value)
        if node.op in LEVELS:
            section = {"x": "T", "u": "U", "p": "P"}[node.op]
            return f"w[{section} + {LANES * node.index} + j]"
        if node.level < level:
            return f"w[{self.place[k]} + {LANES * self.row[k]} + j]"
        return text[k]
