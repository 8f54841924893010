"""The few symbolic operations that model definitions use; the only importer of CasADi here.

Each takes and returns scalar symbolic expressions (or plain numbers, which become constants).
Import is deferred to the first call: a command that builds no model does not pay for the library.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from graph.errors import UnavailableError

# CasADi ships no types; an expression is anything that its operators accept.
Expr = Any
SymbolicFunction = Any


@cache
def casadi() -> Any:
    """The library. Raises UnavailableError when it is not installed."""
    try:
        import casadi as library
    except ImportError as error:
        raise UnavailableError(
            f"symbolic models need CasADi: {error}", "install it with `pip install casadi`"
        ) from error
    return library


def symbol(name: str) -> Expr:
    """A free scalar."""
    return casadi().SX.sym(name)


def symbols(names: Sequence[str]) -> list[Expr]:
    """One free scalar a name."""
    return [symbol(name) for name in names]


def constant(value: float) -> Expr:
    """A number as an expression."""
    return casadi().SX(value)


def free_symbols(a: Expr) -> list[Expr]:
    """The symbols that an expression rests on."""
    ca = casadi()
    return list(ca.symvar(ca.SX(a)))


def substituted(a: Expr, values: Sequence[tuple[Expr, Expr]]) -> Expr:
    """The expression with (symbol, replacement) carried out."""
    ca = casadi()
    if not values:
        return a
    return ca.substitute(ca.SX(a), *(ca.vertcat(*column) for column in zip(*values, strict=True)))


def column(values: Sequence[Expr]) -> Expr:
    """The expressions as one dense column; (0, 1) for none."""
    ca = casadi()
    return ca.densify(ca.vertcat(*values)) if values else ca.SX(0, 1)


def sqrt(a: Expr) -> Expr:
    """Square root."""
    return casadi().sqrt(a)


def exp(a: Expr) -> Expr:
    """e to the power of a."""
    return casadi().exp(a)


def log(a: Expr) -> Expr:
    """Natural logarithm."""
    return casadi().log(a)


def sin(a: Expr) -> Expr:
    """Sine of an angle in radians."""
    return casadi().sin(a)


def cos(a: Expr) -> Expr:
    """Cosine of an angle in radians."""
    return casadi().cos(a)


def tanh(a: Expr) -> Expr:
    """Hyperbolic tangent."""
    return casadi().tanh(a)


def absolute(a: Expr) -> Expr:
    """Magnitude."""
    return casadi().fabs(a)


def minimum(a: Expr, *others: Expr) -> Expr:
    """The smallest of the arguments."""
    for b in others:
        a = casadi().fmin(a, b)
    return a


def maximum(a: Expr, *others: Expr) -> Expr:
    """The largest of the arguments."""
    for b in others:
        a = casadi().fmax(a, b)
    return a


def clip(a: Expr, low: Expr, high: Expr) -> Expr:
    """a held inside [low, high]; low wins where they cross, as in numpy.clip's mirror image."""
    return maximum(minimum(a, high), low)


def where(condition: Expr, then: Expr, otherwise: Expr) -> Expr:
    """`then` where the condition is not zero. Both are evaluated; the other's NaN does not leak."""
    return casadi().if_else(condition, then, otherwise)


def both(a: Expr, b: Expr) -> Expr:
    """1 where both conditions hold."""
    return casadi().logic_and(a, b)


def either(a: Expr, b: Expr) -> Expr:
    """1 where one of the conditions holds."""
    return casadi().logic_or(a, b)


def negated(a: Expr) -> Expr:
    """1 where the condition does not hold."""
    return casadi().logic_not(a)
