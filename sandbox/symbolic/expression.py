"""Formulas written as text by whoever made a site pack, read without running anything.

Python's own parser makes the tree; only the node kinds listed here are accepted, and each is turned
into symbolic arithmetic. There is no attribute access, no subscript, no call but to the functions
below: `a.b` is one name with a dot, or an unknown one.
"""

import ast
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from graph.errors import InputError
from sandbox.symbolic import casadi_sx as sx
from sandbox.symbolic.casadi_sx import Expr

MAX_TEXT = 4000
MAX_NODES = 1000
MAX_DEPTH = 60  # of the tree: bounds the recursion below
NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$")

FUNCTIONS: dict[str, tuple[Callable[..., Expr], int, int]] = {  # with least and most arguments
    "min": (sx.minimum, 2, 20), "max": (sx.maximum, 2, 20), "sqrt": (sx.sqrt, 1, 1),
    "exp": (sx.exp, 1, 1), "log": (sx.log, 1, 1), "abs": (sx.absolute, 1, 1),
    "sin": (sx.sin, 1, 1), "cos": (sx.cos, 1, 1), "tanh": (sx.tanh, 1, 1),
    "clip": (sx.clip, 3, 3), "if_else": (sx.where, 3, 3),
}  # fmt: skip
ARITHMETIC: dict[type[ast.AST], Callable[[Expr, Expr], Expr]] = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b, ast.Pow: lambda a, b: a**b,
}  # fmt: skip
COMPARISONS: dict[type[ast.AST], Callable[[Expr, Expr], Expr]] = {
    ast.Lt: lambda a, b: a < b, ast.LtE: lambda a, b: a <= b, ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}  # fmt: skip


def parse_formula(text: str, names: Mapping[str, Expr]) -> Expr:
    """The formula over `names` as an expression.

    Numbers, names, `+ - * / **`, `< <= > >=`, `and or not`, `a if c else b`, and the FUNCTIONS.
    A comparison is 1 or 0. Raises InputError that quotes what is refused.
    """
    if len(text) > MAX_TEXT:
        raise InputError(f"a formula of {len(text)} characters", f"at most {MAX_TEXT}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise InputError(
            f"not a formula: {_cut(text)}: {error.msg}", "check brackets and operators"
        ) from None
    except (RecursionError, MemoryError, ValueError):
        raise InputError(f"not a formula: {_cut(text)}", "simplify it") from None
    count = sum(1 for _ in ast.walk(tree))
    if count > MAX_NODES:
        raise InputError(f"a formula of {count} parts", f"at most {MAX_NODES}; name its parts")
    return _Reader(text.strip(), names).read(tree.body, 0)


class _Reader:
    def __init__(self, text: str, names: Mapping[str, Expr]) -> None:
        self.text, self.names = text, names

    def read(self, node: ast.expr, depth: int) -> Expr:
        if depth > MAX_DEPTH:
            raise InputError("a formula nested too deeply", f"at most {MAX_DEPTH} levels")
        reader = getattr(self, f"_{type(node).__name__}", None)
        if reader is None:
            raise self._refused(node)
        return reader(node, depth + 1)

    def _Constant(self, node: ast.Constant, _: int) -> Expr:  # noqa: N802 (named after the node)
        given = node.value
        if not isinstance(given, int | float) or isinstance(given, bool):
            raise self._refused(node)
        try:
            value = float(given)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self._refused(node, "the number is too large")
        return sx.constant(value)

    def _Name(self, node: ast.Name, _: int) -> Expr:  # noqa: N802
        return self._named(node, node.id)

    def _Attribute(self, node: ast.Attribute, _: int) -> Expr:  # noqa: N802
        parts, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise self._refused(node)
        return self._named(node, ".".join([inner.id, *reversed(parts)]))

    def _named(self, node: ast.expr, name: str) -> Expr:
        if name not in self.names:
            raise self._refused(node, f"known: {', '.join(sorted(self.names)) or 'none'}")
        return self.names[name]

    def _BinOp(self, node: ast.BinOp, depth: int) -> Expr:  # noqa: N802
        if type(node.op) not in ARITHMETIC:
            raise self._refused(node)
        left, right = self.read(node.left, depth), self.read(node.right, depth)
        return ARITHMETIC[type(node.op)](left, right)

    def _UnaryOp(self, node: ast.UnaryOp, depth: int) -> Expr:  # noqa: N802
        inner = self.read(node.operand, depth)
        if isinstance(node.op, ast.USub):
            return -inner
        if isinstance(node.op, ast.UAdd):
            return inner
        if isinstance(node.op, ast.Not):
            return sx.negated(inner)
        raise self._refused(node)

    def _BoolOp(self, node: ast.BoolOp, depth: int) -> Expr:  # noqa: N802
        join = sx.both if isinstance(node.op, ast.And) else sx.either
        found = self.read(node.values[0], depth)
        for value in node.values[1:]:
            found = join(found, self.read(value, depth))
        return found

    def _Compare(self, node: ast.Compare, depth: int) -> Expr:  # noqa: N802
        values = [self.read(v, depth) for v in (node.left, *node.comparators)]
        found: Any = None
        for op, a, b in zip(node.ops, values[:-1], values[1:], strict=True):
            if type(op) not in COMPARISONS:
                raise self._refused(node, "equality of computed numbers means nothing")
            holds = COMPARISONS[type(op)](a, b)
            found = holds if found is None else sx.both(found, holds)
        return found

    def _IfExp(self, node: ast.IfExp, depth: int) -> Expr:  # noqa: N802
        return sx.where(*(self.read(n, depth) for n in (node.test, node.body, node.orelse)))

    def _Call(self, node: ast.Call, depth: int) -> Expr:  # noqa: N802
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS or node.keywords:
            raise self._refused(node, f"functions: {', '.join(FUNCTIONS)}")
        function, least, most = FUNCTIONS[name]
        if not least <= len(node.args) <= most:
            raise self._refused(node, f"{name} takes {least} to {most} arguments")
        return function(*(self.read(a, depth) for a in node.args))

    def _refused(self, node: ast.expr, hint: str = "") -> InputError:
        said = ast.get_source_segment(self.text, node) or type(node).__name__
        return InputError(
            f"not allowed in a formula: {_cut(said)}",
            hint or "numbers, names, + - * / **, comparisons, if-else and known functions",
        )


def _cut(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
