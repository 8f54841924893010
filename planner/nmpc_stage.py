"""One stage of a nonlinear programme: a model's equations over a time, in scaled variables.

A stage of T seconds is n substeps of the method of `sandbox.symbolic.step`. States, inputs and
what is reported are divided by their nominal values. A jump that does nothing between a state's
bounds (a clip at a tank's brim) is made to give a little: beyond the bound the state still moves by
`LEAK` of what it would. An overflowing tank then tells the solver that pumping less helps.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sandbox.symbolic.casadi_sx import SymbolicFunction, casadi
from sandbox.symbolic.model import SymbolicModel
from sandbox.symbolic.step import STAGES, Method, output_order, step_equations

Array = NDArray[np.float64]
TRIALS = 8  # points at which a jump is tried for being idle
# Slopes are taken at least so far above a state's lower bound, in nominal values: an outflow with
# the square root of the level has an infinite gradient in an empty tank.
EDGE = 1e-3
LEAK = 0.05
ROOM = 1.0  # of nominal: how far beyond its bounds the programme lets such a state go
ACCURATE = 1e-3  # of nominal: what a stage may err by; sensors err by more
SUBSTEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24)


@dataclass(frozen=True)
class Group:
    """`count` stages of `seconds` each, in `substeps` substeps."""

    count: int
    seconds: float
    substeps: int


@dataclass(frozen=True)
class StageModel:
    """A symbolic model with its inputs sorted into setpoints and disturbances.

    `outputs`: everything that can be bounded, tracked or paid for: the model's outputs, then its
    states (at the stage's end). `input_scale`: nominal of each point, (U,).
    """

    symbolic: SymbolicModel
    points: tuple[str, ...]
    method: Method = "rk4"

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Names of x."""
        return self.symbolic.state_names

    @cached_property
    def disturbances(self) -> tuple[str, ...]:
        """Inputs that nobody commands."""
        return tuple(n for n in self.symbolic.input_names if n not in self.points)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of y."""
        reported = self.symbolic.output_names
        return (*reported, *(s for s in self.states if s not in reported))

    @cached_property
    def state_scale(self) -> Array:
        """Nominal value of each state, (S,)."""
        return np.array([v.nominal for v in self.symbolic.states], dtype=float)

    @cached_property
    def input_scale(self) -> Array:
        """Nominal value of each point, (U,)."""
        nominal = {v.name: v.nominal for v in self.symbolic.inputs}
        return np.array([nominal[p] for p in self.points], dtype=float)

    @cached_property
    def smooth(self) -> SymbolicModel:
        """The model without jumps that only hold states at their bounds; itself if it has none."""
        return _without_idle_jumps(self.symbolic)

    def state_bounds(self) -> tuple[Array, Array]:
        """Physical bounds of x, (S,) each."""
        states = self.symbolic.states
        return np.array([v.lower for v in states]), np.array([v.upper for v in states])

    def state_box(self) -> tuple[Array, Array]:
        """Where the programme looks for x, (S,) each."""
        low, high = self.state_bounds()
        room = ROOM * self.state_scale if self.smooth is not self.symbolic else 0.0
        return low - room, high + room


def stage_function(model: StageModel, group: Group) -> SymbolicFunction:
    """(x, u, w, p, drift) -> (x at the end, y), x, u and x' scaled, y in the signals' units.

    `drift` (S,): what the states move by each second besides the equations, in their units.
    """
    ca = casadi()
    symbolic = model.smooth
    step = _substep(model, group.seconds / group.substeps)
    names = symbolic.input_names
    sizes = {"x": len(model.states), "u": len(model.points), "w": len(model.disturbances),
             "p": len(symbolic.parameters), "d": len(model.states)}  # fmt: skip
    x, u, w, p, d = (ca.MX.sym(n, size) for n, size in sizes.items())
    table = ca.vertcat(u * ca.DM(model.input_scale), w)
    order = [(*model.points, *model.disturbances).index(n) for n in names]
    means = sum(o.mean for o in symbolic.outputs)
    start = ca.vertcat(x * ca.DM(model.state_scale), ca.DM.zeros(means))
    folded = step.fold(group.substeps) if group.substeps > 1 else step
    reached = folded(start, table[order], p, d)
    end, mean = reached[: sizes["x"]], reached[sizes["x"] :] / group.seconds
    read = _read(symbolic)(end, table[order], p)
    reported = ca.vertcat(mean, read)[list(output_order(symbolic))]
    kept = [i for i, s in enumerate(model.states) if s not in symbolic.output_names]
    y = ca.vertcat(reported, end[kept])
    name = f"stage_{group.seconds:g}_{group.substeps}".replace(".", "_").replace("+", "")
    return ca.Function(name, [x, u, w, p, d], [end / ca.DM(model.state_scale), y])


def _substep(of: StageModel, h: float) -> SymbolicFunction:
    """(x with integrals of the means, u, p, drift) -> the same one substep later, as one SX."""
    model, method = of.smooth, of.method
    ca, e = casadi(), step_equations(model, method)
    size, means = e.x.shape[0], e.slope.shape[0] - e.x.shape[0]
    slope = ca.Function("slope", [e.x, e.u, e.p, e.h], [e.slope])
    start, drift = ca.SX.sym("s", size + means), ca.SX.sym("d", size)
    moving = ca.vertcat(drift, ca.SX.zeros(means))
    least = [v.lower + EDGE * abs(v.nominal) for v in model.states]
    total, point, k = 0, start[:size], None
    for node, weight in zip(STAGES[method].nodes, STAGES[method].weights, strict=True):
        if k is not None:
            point = start[:size] + node * h * k[:size]
        k = slope(ca.fmax(point, least), e.u, e.p, h) + moving
        total = total + weight * k
    end = start + h * total
    if e.jumps:
        jump = ca.Function("jump", [e.x, e.u, e.p], [e.jumped])
        end = ca.vertcat(jump(end[:size], e.u, e.p), end[size:])
    elif model is not of.symbolic:
        low, high = ([getattr(v, b) for v in model.states] for b in ("lower", "upper"))
        x = end[:size]
        inside = ca.fmin(ca.fmax(x, low), high)
        end = ca.vertcat(inside + LEAK * (x - inside), end[size:])
    return ca.Function("substep", [start, e.u, e.p, drift], [ca.cse(end)])


def _read(model: SymbolicModel) -> SymbolicFunction:
    e = step_equations(model)
    return casadi().Function("read", [e.x, e.u, e.p], [e.read])


def _without_idle_jumps(model: SymbolicModel) -> SymbolicModel:
    """The model without jumps where none moves a state that is between its bounds."""
    written = model.written
    if not written.jumps:
        return model
    ca = casadi()
    jump = ca.Function("jump", [written.x, written.u, written.p], [written.jumped])
    generator = np.random.default_rng(0)
    low = np.array([max(v.lower, v.nominal - abs(v.nominal)) for v in model.states])
    high = np.array([min(v.upper, v.nominal + abs(v.nominal)) for v in model.states])
    u = np.array([v.nominal for v in model.inputs])
    for _ in range(TRIALS):
        x = low + (high - low) * generator.uniform(0.01, 0.99, len(low))
        if not np.array_equal(np.array(jump(x, u, model.defaults)).ravel(), x):
            return model
    equations = model.equations
    return replace(
        model, equations=lambda x, u, p: replace(equations(x, u, p), jumps={}, derivative={
            **dict.fromkeys(model.state_names, 0.0), **equations(x, u, p).derivative})
    )  # fmt: skip


def substeps_for(model: StageModel, seconds: float, theta: Array) -> int:
    """The fewest substeps of a stage within ACCURATE of four times the finest that is tried.

    Tried from the nominal state under inputs a fifth above and below nominal.
    """
    ca = casadi()
    truth = stage_function(model, Group(1, seconds, 4 * SUBSTEPS[-1]))
    w = np.array([v.nominal for v in model.symbolic.inputs if v.name not in model.points])
    zero = np.zeros(len(model.states))
    for count in SUBSTEPS[:-1]:
        tried = stage_function(model, Group(1, seconds, count))
        worst = 0.0
        for share in (0.8, 1.2):
            at = (np.ones(len(zero)), np.full(len(model.points), share), w, theta, zero)
            worst = max(worst, float(ca.norm_inf(tried(*at)[0] - truth(*at)[0])))
        if worst <= ACCURATE:
            return count
    return SUBSTEPS[-1]
