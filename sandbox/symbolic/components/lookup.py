"""Tables: piecewise linear in one variable, bilinear in two; held at their edges.

Written with hat functions, phi_i(x) = t_i - t_(i+1), t_i = clip((x - x_(i-1)) / (x_i - x_(i-1))),
so that they expand to plain arithmetic and differentiate everywhere but at the knots:

    y = sum_i z_i phi_i(x)        y = sum_ij z_ij phi_i(x) psi_j(y)
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr, clip, constant
from sandbox.symbolic.model import Equations, Names, Output, SymbolicModel, Variable

MOST_KNOTS = 200  # a table with more becomes an expression that takes long to compile


def table(
    knots: Sequence[float], values: ArrayLike, second: Sequence[float] | None = None,
    units: tuple[str, str, str] = ("1", "1", "1"),
) -> SymbolicModel:  # fmt: skip
    """Input `x` (and `y` with `second`), output `value`; units of x, y and value. Static.

    Raises InputError unless knots increase and the values' shape is theirs.
    """
    z = np.asarray(values, dtype=float)
    axes = [_knots(knots)] + ([] if second is None else [_knots(second)])
    if z.shape != tuple(len(a) for a in axes) or not np.isfinite(z).all():
        raise InputError(
            f"a table of shape {z.shape} over {[len(a) for a in axes]} knots",
            "give one finite number a knot",
        )
    inputs = [Variable("x", units[0])] + ([] if second is None else [Variable("y", units[1])])

    def equations(_: Names, u: Names, __: Names) -> Equations:
        return Equations({}, {"value": interpolate([u[v.name] for v in inputs], axes, z)})

    return SymbolicModel(
        "table", states=(), inputs=tuple(inputs), parameters=(),
        outputs=(Output("value", units[2], mean=True),), equations=equations,
        source="linear and bilinear interpolation",
    )  # fmt: skip


def interpolate(at: Sequence[Expr], axes: Sequence[NDArray[np.float64]], z: ArrayLike) -> Expr:
    """The table's value at one or two expressions."""
    grid = np.asarray(z, dtype=float)
    weights = [_hats(x, knots) for x, knots in zip(at, axes, strict=True)]
    total = constant(0.0)
    for index in np.ndindex(grid.shape):
        term = constant(float(grid[index]))
        for axis, i in enumerate(index):
            term = term * weights[axis][i]
        total = total + term
    return total


def _hats(x: Expr, knots: NDArray[np.float64]) -> list[Expr]:
    passed = [constant(1.0)]
    for low, high in pairwise(knots):
        passed.append(clip((x - low) / (high - low), 0.0, 1.0))
    passed.append(constant(0.0))
    return [passed[i] - passed[i + 1] for i in range(len(knots))]


def _knots(values: Sequence[float]) -> NDArray[np.float64]:
    knots = np.asarray(values, dtype=float)
    if knots.ndim != 1 or not 2 <= len(knots) <= MOST_KNOTS or not (np.diff(knots) > 0).all():
        raise InputError(
            f"the knots {list(values)[:5]}... of a table", f"expected 2 to {MOST_KNOTS}, increasing"
        )
    return knots
