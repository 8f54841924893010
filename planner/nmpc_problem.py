"""A model's equations over a horizon as a nonlinear programme, by multiple shooting.

    min  sum_k sum_b 1/B [ c_k y_k + q ((y_k - r_k)/s)^2 + m (du_k)^2 ] + price_k e_k
    s.t. x_{k+1} = F(x_k, u_k, w_k, p_b)      low_k - e_k <= y_k <= high_k + e_k,  e_k >= 0
         |u_k - u_{k-1}| <= move              F(x_n, u_n) = x_n + e  at the last stage: at rest

Stages k may be longer than a step. Branches b differ in the parameters and share their inputs in
the first `shared` stages (a scenario tree: S. Lucia, T. Finkler, S. Engell, J. Process Control 23
(2013) 1306, doi:10.1016/j.jprocont.2013.08.008). e are the exact L1 penalties of every bound
(E. C. Kerrigan, J. M. Maciejowski, Soft constraints and exact penalty functions in model predictive
control, UKACC Control 2000), so a point always exists; hard are only the inputs' ranges and moves.
Variables are divided by the model's nominal values. The order of variables and rows is that of an
optimal control problem, stage by stage, with the last input as a part of the state.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.nmpc_stage import Group, StageModel, stage_function
from sandbox.symbolic.casadi_sx import Expr, casadi

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """A signal to be held between bounds; `tier` tells apart rows of one signal."""

    signal: str
    tier: int
    low: bool
    high: bool
    unit_size: float  # what a violation is divided by


@dataclass(frozen=True)
class Shape:
    """What a programme looks like; its numbers (bounds, prices, state) are set at each solve.

    groups: stages of equal length, in order. rows: bounded signals. tracked: signals with targets.
    rest: the last stage ends where it began.
    """

    groups: tuple[Group, ...]
    rows: tuple[Row, ...] = ()
    tracked: tuple[str, ...] = ()
    branches: int = 1
    rest: bool = True

    @property
    def stages(self) -> int:
        """Number of stages, N."""
        return sum(g.count for g in self.groups)


@dataclass(frozen=True)
class Places:
    """Where things lie among the variables z and the rows g: indices, first axis the stage.

    x (N + 1, B, S), last (N + 1, B, U) the inputs before a node, u (N, B, U), e (N, B, R),
    rest_e (2, B, S); g_move (N, B, U), g_tree (N, B - 1, U), g_low and g_high (N, B, R), -1 where
    a row has no such side, g_rest (B, S). `equality`: which rows of g are equations.
    """

    x: Index
    last: Index
    u: Index
    e: Index
    rest_e: Index
    g_move: Index
    g_tree: Index
    g_low: Index
    g_high: Index
    g_rest: Index
    equality: NDArray[np.bool_]
    variables: int


@dataclass(frozen=True)
class Programme:
    """The programme's expressions and their places. `nlp`: CasADi's x, p, f, g.

    `sizes`: the parts of p: theta (P, B), drift (S, 1) per second, w (D, N), price_y (Y, N),
    target and track (T, N), move (U, 1), price (R, N), price_rest (1, 1).
    """

    model: StageModel
    shape: Shape
    nlp: dict[str, Expr]
    at: Places
    sizes: dict[str, tuple[int, int]]

    def parameters(self, **values: Any) -> Array:
        """The vector p from its parts by name, each broadcast to its size."""
        parts = []
        for name, size in self.sizes.items():
            given = np.broadcast_to(np.asarray(values[name], dtype=float), size)
            parts.append(np.asarray(given).ravel(order="F"))
        return np.concatenate(parts)


@dataclass(frozen=True)
class _Matrices:
    """Variables as matrices, one column a stage; x and last have one more. Branches are stacked."""

    x: Expr
    last: Expr
    u: Expr
    e: Expr
    rest: Expr


def build(model: StageModel, shape: Shape) -> Programme:
    """Write the programme. Nothing is solved or compiled here.

    The expressions are few operations on whole matrices: code that is written for them stays short
    however many stages there are.
    """
    ca = casadi()
    n, b, s = shape.stages, shape.branches, len(model.states)
    sizes = _sizes(model, shape)
    given = {name: ca.MX.sym(name, *size) for name, size in sizes.items()}
    places, block, total = _variable_places(model, shape)
    z = ca.MX.sym("z", total)
    v = _matrices(z, model, shape, block)
    end, y = _stages(model, shape, v, given)
    rows = [
        v.x[:, 1:] - end,  # this way round, as fatrop wants its equations
        v.last[:, 1:] - v.u,
        v.u - v.last[:, :-1],
        *(v.u[i * len(model.points) : (i + 1) * len(model.points), :] - v.u[: len(model.points), :]
          for i in range(1, b)),
        *_bounds(model, shape, v, y),
    ]  # fmt: skip
    rest = []
    if shape.rest:
        rest = [end[:, -1] - v.x[:, n - 1] - v.rest[: b * s] + v.rest[b * s :]]
    g = ca.vertcat(ca.vec(ca.vertcat(*rows)), *rest)
    p = ca.vertcat(*(ca.vec(part) for part in given.values()))
    nlp = {"x": z, "p": p, "f": _cost(model, shape, v, y, given), "g": g}
    found: dict[str, Any] = {**places, **_row_places(model, shape)}
    at = Places(**found, variables=total)
    return Programme(model, shape, nlp, at, sizes)


def _sizes(model: StageModel, shape: Shape) -> dict[str, tuple[int, int]]:
    n, tracked = shape.stages, len(shape.tracked)
    return {
        "theta": (len(model.symbolic.parameters), shape.branches),
        "drift": (len(model.states), 1), "w": (len(model.disturbances), n),
        "price_y": (len(model.outputs), n), "target": (tracked, n), "track": (tracked, n),
        "move": (len(model.points), 1), "price": (len(shape.rows), n), "price_rest": (1, 1),
    }  # fmt: skip


def _variable_places(model: StageModel, shape: Shape) -> tuple[dict[str, Index], int, int]:
    """Indices by name, the length of a stage's block, and the number of variables."""
    n, b, s, u = shape.stages, shape.branches, len(model.states), len(model.points)
    r, widths = len(shape.rows), (b * s, b * u, b * u, b * len(shape.rows))
    block, firsts = sum(widths), np.cumsum((0, *widths))
    k = block * np.arange(n)[:, None]
    x, last, inputs, e = (k + firsts[i] + np.arange(widths[i]) for i in range(4))
    after = n * block
    rest = after + np.arange(2 * b * s if shape.rest else 0)
    after += len(rest)
    x = np.vstack([x, after + np.arange(b * s)])
    last = np.vstack([last, after + b * s + np.arange(b * u)])
    places = {
        "x": x.reshape(n + 1, b, s), "last": last.reshape(n + 1, b, u),
        "u": inputs.reshape(n, b, u), "e": e.reshape(n, b, r),
        "rest_e": rest.reshape(2, b, s) if shape.rest else rest.reshape(0, b, s),
    }  # fmt: skip
    return places, block, after + b * (s + u)


def _matrices(z: Expr, model: StageModel, shape: Shape, block: int) -> _Matrices:
    ca, n, b = casadi(), shape.stages, shape.branches
    s, u = b * len(model.states), b * len(model.points)
    stages = ca.reshape(z[: n * block], block, n)
    x, last, inputs, e = ca.vertsplit(stages, [0, s, s + u, s + 2 * u, block])
    rest, x_end, last_end = ca.vertsplit(
        z[n * block :], np.cumsum([0, 2 * s if shape.rest else 0, s, u]).tolist()
    )
    return _Matrices(ca.horzcat(x, x_end), ca.horzcat(last, last_end), inputs, e, rest)


def _stages(
    model: StageModel, shape: Shape, v: _Matrices, given: dict[str, Expr]
) -> tuple[Expr, Expr]:
    """Ends (B S, N) and outputs (B Y, N) of all stages: one mapped call a group."""
    ca, b, ends, shown, first = casadi(), shape.branches, [], [], 0
    for group in shape.groups:
        cut, count = slice(first, first + group.count), group.count * b
        function = stage_function(model, group)
        x, y = (function.map(count) if count > 1 else function)(
            ca.reshape(v.x[:, cut], len(model.states), count),
            ca.reshape(v.u[:, cut], len(model.points), count),
            _each(given["w"][:, cut], b),
            ca.repmat(given["theta"], 1, group.count),
            ca.repmat(given["drift"], 1, count),
        )
        ends.append(ca.reshape(x, b * len(model.states), group.count))
        shown.append(ca.reshape(y, b * len(model.outputs), group.count))
        first += group.count
    return ca.horzcat(*ends), ca.horzcat(*shown)


def _each(columns: Expr, times: int) -> Expr:
    """Every column so many times over, side by side."""
    ca = casadi()
    return ca.reshape(ca.repmat(columns, times, 1), columns.shape[0], columns.shape[1] * times)


def _bounds(model: StageModel, shape: Shape, v: _Matrices, y: Expr) -> list[Expr]:
    """Rows y + e >= low, then y - e <= high, branch by branch."""
    found = []
    for b in range(shape.branches):
        for r, row in enumerate(shape.rows):
            shown = y[b * len(model.outputs) + model.outputs.index(row.signal), :] / row.unit_size
            slack = v.e[b * len(shape.rows) + r, :]
            found += [shown + slack] * row.low + [shown - slack] * row.high
    return found


def _cost(model: StageModel, shape: Shape, v: _Matrices, y: Expr, given: dict[str, Expr]) -> Expr:
    ca, b = casadi(), shape.branches
    cost = ca.dot(ca.repmat(given["price_y"], b, 1), y)
    for t, name in enumerate(shape.tracked):
        for branch in range(b):
            row = y[branch * len(model.outputs) + model.outputs.index(name), :]
            cost += ca.dot(given["track"][t, :], (row - given["target"][t, :]) ** 2)
    moves = (v.u - v.last[:, :-1]) ** 2
    cost += ca.dot(ca.repmat(given["move"], b, shape.stages), moves)
    if shape.rows:
        cost += ca.dot(ca.repmat(given["price"], b, 1), v.e)
    if shape.rest:
        cost += given["price_rest"] * ca.sum1(v.rest)
    return cost / b


def _row_places(model: StageModel, shape: Shape) -> dict[str, Any]:
    n, b, s, u = shape.stages, shape.branches, len(model.states), len(model.points)
    sides = sum(r.low + r.high for r in shape.rows)
    gaps, block = b * (s + u), b * (s + 2 * u) + (b - 1) * u + b * sides
    k = block * np.arange(n)[:, None]
    low = np.full((n, b, len(shape.rows)), -1)
    high, place = low.copy(), gaps + b * u + (b - 1) * u
    for branch in range(b):
        for r, row in enumerate(shape.rows):
            for side, used in ((low, row.low), (high, row.high)):
                if used:
                    side[:, branch, r], place = k[:, 0] + place, place + 1
    rest = n * block + np.arange(b * s if shape.rest else 0)
    equality = np.concatenate([np.tile(np.arange(block) < gaps, n), np.ones(len(rest), bool)])
    return {
        "g_move": (k + gaps + np.arange(b * u)).reshape(n, b, u),
        "g_tree": (k + gaps + b * u + np.arange((b - 1) * u)).reshape(n, b - 1, u),
        "g_low": low, "g_high": high, "g_rest": rest.reshape(-1, s), "equality": equality,
    }  # fmt: skip
