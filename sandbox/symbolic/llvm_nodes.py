"""Writes operations of a program as straight-line LLVM code, LANES futures to a vector.

Only operations with one right answer are vector instructions (IEEE 754 arithmetic, comparisons,
square roots); nothing is contracted, reordered or approximated. Elementary functions call the C
library once a lane, so that a lane's result cannot depend on its position.
"""

import struct
from collections.abc import Sequence

from sandbox.symbolic.program import LEVELS, Program

LANES = 8
VECTOR = f"<{LANES} x double>"
BITS = f"<{LANES} x i1>"

ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "fmod": "frem"}
COMPARISONS = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
INTRINSICS = {"sqrt": 1, "fabs": 1, "floor": 1, "ceil": 1, "copysign": 2}
# By operation: the C function and its number of arguments.
LIBRARY = {
    "exp": ("exp", 1), "log": ("log", 1), "pow": ("pow", 2), "constpow": ("pow", 2),
    "sin": ("sin", 1), "cos": ("cos", 1), "tan": ("tan", 1), "asin": ("asin", 1),
    "acos": ("acos", 1), "atan": ("atan", 1), "sinh": ("sinh", 1), "cosh": ("cosh", 1),
    "tanh": ("tanh", 1), "asinh": ("asinh", 1), "acosh": ("acosh", 1), "atanh": ("atanh", 1),
    "atan2": ("atan2", 2), "expm1": ("expm1", 1), "log1p": ("log1p", 1), "hypot": ("hypot", 2),
}  # fmt: skip
INPUTS = {"x": "T", "u": "U", "p": "P"}  # the section that holds each input


def splat(value: float) -> str:
    """A constant in every lane, spelled by its bits."""
    bits = struct.unpack("<Q", struct.pack("<d", value))[0]
    return "<" + ", ".join([f"double 0x{bits:016X}"] * LANES) + ">"


ONE, ZERO = splat(1.0), splat(0.0)


class NodeWriter:
    """Writes one function `void name(ptr w)` that evaluates nodes and stores them in w."""

    def __init__(self, program: Program, held: dict[int, int], sections: dict[str, int]) -> None:
        """`held`: by node, the row of w that keeps it; `sections`: first row of each."""
        self.nodes, self.program = program.nodes, program
        self.held, self.sections = held, sections
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.count = 0

    def function(self, name: str, rows: Sequence[int], level: int, section: str) -> str:
        """Evaluates what of `rows` is of at least `level`; the rest is read from where it is."""
        self.lines, self.names, self.count = [], {}, 0
        for k in self.program.needed(tuple(rows), level):
            self._name(k, level)
        for i, k in enumerate(rows):
            value = self._name(k, level)
            self.lines.append(
                f"store {VECTOR} {value}, ptr {self._row(self.sections[section] + i)}, align 64"
            )
        body = "\n".join(f"  {line}" for line in self.lines)
        return f"define internal void @{name}(ptr %w) noinline {{\n{body}\n  ret void\n}}\n"

    def _row(self, row: int) -> str:
        return self._new(f"getelementptr {VECTOR}, ptr %w, i64 {row}")

    def _new(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"%t{self.count} = {text}")
        return f"%t{self.count}"

    def _name(self, k: int, level: int) -> str:
        if k not in self.names:
            self.names[k] = self._evaluate(k, level)
        return self.names[k]

    def _evaluate(self, k: int, level: int) -> str:
        node = self.nodes[k]
        if node.op == "constant":
            return splat(node.value)
        if node.op in LEVELS:
            row = self.sections[INPUTS[node.op]] + node.index
        elif node.level < level:
            row = self.held[k]
        else:
            return self._operation(node.op, [self._name(a, level) for a in node.args])
        return self._new(f"load {VECTOR}, ptr {self._row(row)}, align 64")

    def _operation(self, op: str, a: list[str]) -> str:
        if op in ARITHMETIC:
            return self._new(f"{ARITHMETIC[op]} {VECTOR} {a[0]}, {a[1]}")
        if op in COMPARISONS:
            return self._pick(self._test(COMPARISONS[op], a[0], a[1]), ONE, ZERO)
        if op in INTRINSICS:
            typed = ", ".join(f"{VECTOR} {x}" for x in a)
            return self._new(f"call {VECTOR} @llvm.{op}.v{LANES}f64({typed})")
        if op in LIBRARY:
            typed = ", ".join(f"{VECTOR} {x}" for x in a)
            return self._new(f"call {VECTOR} @each.{LIBRARY[op][0]}({typed})")
        written: str = getattr(self, f"_op_{op}")(*a)
        return written

    def _test(self, how: str, a: str, b: str) -> str:
        return self._new(f"fcmp {how} {VECTOR} {a}, {b}")

    def _pick(self, condition: str, then: str, otherwise: str) -> str:
        return self._new(f"select {BITS} {condition}, {VECTOR} {then}, {VECTOR} {otherwise}")

    def _op_assign(self, a: str) -> str:
        return a

    def _op_neg(self, a: str) -> str:
        return self._new(f"fneg {VECTOR} {a}")

    def _op_sq(self, a: str) -> str:
        return self._new(f"fmul {VECTOR} {a}, {a}")

    def _op_twice(self, a: str) -> str:
        return self._new(f"fadd {VECTOR} {a}, {a}")

    def _op_inv(self, a: str) -> str:
        return self._new(f"fdiv {VECTOR} {ONE}, {a}")

    def _op_sign(self, a: str) -> str:
        negative = self._pick(self._test("olt", a, ZERO), splat(-1.0), a)
        return self._pick(self._test("ogt", a, ZERO), ONE, negative)

    def _op_not(self, a: str) -> str:
        return self._pick(self._test("oeq", a, ZERO), ONE, ZERO)

    def _op_and(self, a: str, b: str) -> str:
        return self._pick(self._joined("and", a, b), ONE, ZERO)

    def _op_or(self, a: str, b: str) -> str:
        return self._pick(self._joined("or", a, b), ONE, ZERO)

    def _joined(self, how: str, a: str, b: str) -> str:
        first, second = self._test("une", a, ZERO), self._test("une", b, ZERO)
        return self._new(f"{how} {BITS} {first}, {second}")

    def _op_if_else_zero(self, condition: str, value: str) -> str:
        return self._pick(self._test("une", condition, ZERO), value, ZERO)

    def _op_fmin(self, a: str, b: str) -> str:
        return self._extreme("olt", a, b)

    def _op_fmax(self, a: str, b: str) -> str:
        return self._extreme("ogt", a, b)

    def _extreme(self, how: str, a: str, b: str) -> str:
        """b where it is the extreme or not a number, so that NaN stays visible; else a."""
        wins, nan = self._test(how, b, a), self._test("uno", b, b)
        return self._pick(self._new(f"or {BITS} {wins}, {nan}"), b, a)


def helpers(program: Program) -> str:
    """Declarations of what the nodes call: intrinsics, and one function a lane for the library."""
    used = {node.op for node in program.nodes}
    parts = []
    for op in sorted(used & set(INTRINSICS)):
        typed = ", ".join([VECTOR] * INTRINSICS[op])
        parts.append(f"declare {VECTOR} @llvm.{op}.v{LANES}f64({typed})\n")
    for name, count in sorted({LIBRARY[op] for op in used & set(LIBRARY)}):
        parts.append(_each(name, count))
    return "\n".join(parts)


def _each(name: str, count: int) -> str:
    letters = "ab"[:count]
    scalars, vectors = ", ".join(["double"] * count), ", ".join(f"{VECTOR} %{c}" for c in letters)
    lines, last = [], "undef"
    for j in range(LANES):
        lines += [f"%{c}{j} = extractelement {VECTOR} %{c}, i32 {j}" for c in letters]
        given = ", ".join(f"double %{c}{j}" for c in letters)
        lines.append(f"%y{j} = call double @{name}({given})")
        lines.append(f"%v{j} = insertelement {VECTOR} {last}, double %y{j}, i32 {j}")
        last = f"%v{j}"
    body = "\n".join(f"  {line}" for line in lines)
    return (
        f"declare double @{name}({scalars}) nounwind readnone\n"
        f"define internal {VECTOR} @each.{name}({vectors}) noinline {{\n{body}\n"
        f"  ret {VECTOR} {last}\n}}\n"
    )


def library_functions(program: Program) -> list[str]:
    """The C functions that the code of this program calls."""
    return sorted({LIBRARY[node.op][0] for node in program.nodes if node.op in LIBRARY})
