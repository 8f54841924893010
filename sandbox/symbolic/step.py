"""One step of a model: how its equations are advanced, the same for every user of the model.

A step of length T is made of n substeps of length h = T / n. Per substep:
1. Slopes of the states and of every output that is reported as a mean, by the method's stages.
2. x + h (weighted slopes). Means are integrated with the same weights, so any linear balance that
   the equations keep (grid = sum of its parts, heat in = heat stored) holds for the reported means
   to rounding.
3. Discrete states jump, from the values just reached.
At the step's end the other outputs are read.

Methods: `rk4` (classical, order 4), `euler` (order 1; one evaluation, for hybrid models whose
switching limits the order anyway), `implicit` (Rosenbrock, two stages, order 2, L-stable with
gamma = 1 - 1/sqrt(2): J. G. Verwer, E. J. Spee, J. G. Blom, W. Hundsdorfer, SIAM J. Sci. Comput.
20 (1999) 1456, doi:10.1137/S1064827597326651) for stiff models.
"""

import math
from dataclasses import dataclass
from typing import Literal

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr, SymbolicFunction, casadi
from sandbox.symbolic.model import SymbolicModel

Method = Literal["rk4", "euler", "implicit"]
GAMMA = 1.0 - 1.0 / math.sqrt(2.0)


@dataclass(frozen=True)
class Stages:
    """Where each stage's slope is taken (fraction of h along the last one) and its weight."""

    nodes: tuple[float, ...]
    weights: tuple[float, ...]


STAGES: dict[Method, Stages] = {
    "rk4": Stages((0.0, 0.5, 0.5, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
    "euler": Stages((0.0,), (1.0,)),
    "implicit": Stages((0.0,), (1.0,)),  # both its stages are inside the slope
}


@dataclass(frozen=True)
class StepEquations:
    """Symbols x, u, p, h and what a substep needs of them.

    `slope` (S + M,): of the states, then of the M outputs reported as means, per second.
    `jumped` (S,), `read` (Y - M,): the outputs reported at the step's end.
    """

    x: Expr
    u: Expr
    p: Expr
    h: Expr
    slope: Expr
    jumped: Expr
    read: Expr
    jumps: bool


def step_equations(model: SymbolicModel, method: Method = "rk4") -> StepEquations:
    """What one substep evaluates. Raises InputError on an unknown method."""
    if method not in STAGES:
        raise InputError(f"unknown method {method!r}", f"known: {', '.join(STAGES)}")
    ca, written = casadi(), model.written
    h = ca.SX.sym("h")
    means = [i for i, output in enumerate(model.outputs) if output.mean]
    ends = [i for i, output in enumerate(model.outputs) if not output.mean]
    mean = written.outputs[means] if means else ca.SX(0, 1)
    read = written.outputs[ends] if ends else ca.SX(0, 1)
    if method == "implicit":
        slope = _rosenbrock(written.x, written.flow, mean, h)
    else:
        slope = ca.vertcat(written.flow, mean)
    slope, jumped, read = (ca.densify(ca.cse(e)) for e in (slope, written.jumped, read))
    return StepEquations(
        written.x, written.u, written.p, h, slope, jumped, read, written.jumps
    )  # fmt: skip


def _rosenbrock(x: Expr, flow: Expr, mean: Expr, h: Expr) -> Expr:
    """Mean slope over a substep of the states and, by the same quadrature, of the means."""
    ca = casadi()
    jacobian, mean_jacobian = ca.jacobian(flow, x), ca.jacobian(mean, x)
    left = ca.SX.eye(x.shape[0]) - GAMMA * h * jacobian
    k1 = ca.solve(left, flow)
    q1 = mean + GAMMA * h * mean_jacobian @ k1
    there = x + h * k1
    k2 = ca.solve(left, ca.substitute(flow, x, there) - 2.0 * k1)
    q2 = ca.substitute(mean, x, there) - 2.0 * q1 + GAMMA * h * mean_jacobian @ k2
    return ca.vertcat(1.5 * k1 + 0.5 * k2, 1.5 * q1 + 0.5 * q2)


def output_order(model: SymbolicModel) -> tuple[int, ...]:
    """For each output its row in (means, then values at the end)."""
    means = sum(output.mean for output in model.outputs)
    rows, mean, end = [], 0, means
    for output in model.outputs:
        rows.append(mean if output.mean else end)
        mean, end = mean + output.mean, end + (not output.mean)
    return tuple(rows)


def step_function(
    model: SymbolicModel, step_s: float, substeps: int = 1, method: Method = "rk4"
) -> SymbolicFunction:
    """The CasADi function (x (S,), u (U,), p (P,)) -> (x at the step's end (S,), y (Y,)).

    Differentiable where the equations are. Call `.expand()` on it for speed in small models.
    Raises InputError on a step that is not positive.
    """
    check_step(step_s, substeps)
    ca, e, h = casadi(), step_equations(model, method), step_s / substeps
    slope = ca.Function("slope", [e.x, e.u, e.p, e.h], [e.slope])
    jump = ca.Function("jump", [e.x, e.u, e.p], [e.jumped])
    read = ca.Function("read", [e.x, e.u, e.p], [e.read])
    x0, u, p = (ca.MX.sym(n, s.shape[0]) for n, s in (("x", e.x), ("u", e.u), ("p", e.p)))
    size, x, total = x0.shape[0], x0, ca.MX.zeros(e.slope.shape[0] - x0.shape[0])
    for _ in range(substeps):
        point, summed, k = x, ca.MX.zeros(e.slope.shape[0]), None
        for node, weight in zip(STAGES[method].nodes, STAGES[method].weights, strict=True):
            if k is not None:
                point = x + node * h * k[:size]
            k = slope(point, u, p, h)
            summed = summed + weight * k
        x = x + h * summed[:size]
        total = total + summed[size:] / substeps
        x = jump(x, u, p) if e.jumps else x
    rows = ca.vertcat(total, read(x, u, p))
    y = rows[list(output_order(model))] if model.outputs else ca.MX(0, 1)
    return ca.Function("step", [x0, u, p], [x, y], ["x", "u", "p"], ["x_next", "y"])


def check_step(step_s: float, substeps: int) -> None:
    """Raises InputError unless step_s > 0 and substeps >= 1."""
    if not (step_s > 0 and math.isfinite(step_s) and substeps >= 1):
        raise InputError(
            f"a step of {step_s} s in {substeps} substeps", "expected a positive length and count"
        )
