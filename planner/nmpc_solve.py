"""From checked numbers to a solved programme: stages, prices, bounds, where a solve begins."""

from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from graph.plan import SolveStatus
from planner.nmpc_data import Limit, NmpcData
from planner.nmpc_options import NmpcOptions
from planner.nmpc_problem import Programme, Row, Shape, build
from planner.nmpc_routes import (
    DEFAULT,
    FALLBACK,
    Numbers,
    Point,
    Solved,
    Solver,
    make_solver,
    route_of,
)
from planner.nmpc_stage import Group, StageModel, substeps_for
from planner.nmpc_tree import Branches, input_table, nominals

Array = NDArray[np.float64]
FINE_SHARE = 0.5  # of the stages have one step each; the rest share what remains of the reach
NEXT_TO_NOTHING = 0.01  # nothing at all would leave the inputs undetermined
FAILED = (SolveStatus.NUMERICAL_TROUBLE, SolveStatus.ITERATION_LIMIT, SolveStatus.INFEASIBLE)
_one_at_a_time = Lock()  # a solver keeps its last results in itself


@dataclass(frozen=True)
class Problem:
    """A programme with its numbers. `first[k]`: the step at which stage k begins, (N + 1,).

    `second`: where a solve begins
    that failed from `start`. `money`: what the programme's cost of one is in currency.
    """

    data: NmpcData
    branches: Branches
    solver: Solver
    numbers: Numbers
    start: Point
    second: Point
    first: NDArray[np.int64]
    money: float

    @property
    def programme(self) -> Programme:
        """What is solved."""
        return self.solver.programme


def stage_lengths(steps: int, stages: int, dwell: int) -> tuple[tuple[int, int], ...]:
    """(count, steps each) of the fine and of the coarse stages; together at most `steps`.

    Args:
        dwell: least steps between two changes of a setpoint.
    """
    fine = min(stages, steps // dwell)
    if fine * dwell + dwell > steps:
        return ((max(fine, 1), min(dwell, steps)),)
    fine = max(1, int(stages * FINE_SHARE))
    length = max(dwell, (steps - fine * dwell) // (stages - fine))
    return ((fine, dwell), ((steps - fine * dwell) // length, length))


def make_problem(data: NmpcData, branches: Branches, options: NmpcOptions) -> Problem:
    """Everything but the solve. Raises InputError or UnavailableError for an unknown route."""
    step, model = data.site.step_s, data.model
    dwell = max((data.site.signal(p).dwell_s for p in model.points), default=0.0)
    lengths = stage_lengths(data.steps, options.stages, max(1, int(np.ceil(dwell / step))))
    counts = [length for count, length in lengths for _ in range(count)]
    first = np.concatenate([[0], np.cumsum(counts)])
    sizes, limits = nominals(data), _within(data.limits, first)
    data = replace(data, limits=limits)
    fine = _substeps(model, float(step), tuple(map(float, branches.theta[:, 0])))
    shape = Shape(
        groups=tuple(Group(n, float(step * length), fine * length) for n, length in lengths),
        rows=tuple(
            Row(m.signal, i, bool(np.isfinite(m.low).any()), bool(np.isfinite(m.high).any()),
                sizes[m.signal])
            for i, m in enumerate(limits)
        ),
        tracked=tuple(data.targets), branches=branches.count, rest=options.rest_price > 0,
    )  # fmt: skip
    solver = solver_for(model, shape, options)
    start, traces = _guess(solver.programme, data, branches, first, data.hold)
    second, _ = _guess(solver.programme, data, branches, first, data.law)
    grid = np.abs(traces[data.grid][0])
    paid = float(np.sum(np.abs(data.price))) / data.weight
    money = max(paid * max(float(grid.mean()), 1e-6), 1e-9)
    numbers = _numbers(solver.programme, data, branches, first, options, money)
    return Problem(data, branches, solver, numbers, start, second, first, money)


@lru_cache(maxsize=64)
def _substeps(model: StageModel, seconds: float, theta: tuple[float, ...]) -> int:
    return substeps_for(model, seconds, np.array(theta))


def solver_for(model: StageModel, shape: Shape, options: NmpcOptions) -> Solver:
    """The solver of a programme, kept for the next plan of the same shape."""
    return _solver_for(model, shape, options.route or DEFAULT, options.code)


@lru_cache(maxsize=32)
def _solver_for(model: StageModel, shape: Shape, route: str, code: str) -> Solver:
    return make_solver(build(model, shape), route_of(route), code)  # type: ignore[arg-type]


def solve(problem: Problem, options: NmpcOptions) -> Solved:
    """Solve by the chosen route; where that fails, from elsewhere, then by the other route.

    All in the time that the options give; the first failure is what is reported.
    """
    shape, model = problem.programme.shape, problem.programme.model
    left, first = options.abort_after_s, None
    with _one_at_a_time:
        for fallback, start in ((False, problem.start), (False, problem.second),
                                (True, problem.second)):  # fmt: skip
            if fallback and options.route:
                break
            solver = problem.solver
            if fallback:
                solver = _solver_for(model, shape, FALLBACK, options.code)
            found = solver.solve(problem.numbers, start, left)
            first, left = first or found, left - found.seconds
            if found.status not in FAILED:
                return found
            if left <= 0:
                break
    assert first is not None
    return first


def least_slack(problem: Problem, options: NmpcOptions, found: Point, left_s: float) -> Solved:
    """The same programme with next to no cost or target: the least use of penalties there is.

    It begins at what was `found`, which nothing but a smaller miss will leave.
    """
    programme, numbers = problem.programme, problem.numbers
    p, at = numbers.p.copy(), 0
    for name, size in programme.sizes.items():
        length = size[0] * size[1]
        if name in ("price_y", "track", "price_rest"):
            p[at : at + length] *= NEXT_TO_NOTHING
        at += length
    return solve(
        replace(problem, numbers=replace(numbers, p=p), start=found),
        options.model_copy(update={"abort_after_s": max(left_s, 1e-3)}),
    )


def _within(limits: tuple[Limit, ...], first: NDArray[np.int64]) -> tuple[Limit, ...]:
    """Limits that hold somewhere in the plan's stages."""
    end = first[-1]
    return tuple(
        m for m in limits if np.isfinite(m.low[:end]).any() or np.isfinite(m.high[:end]).any()
    )


def by_stage(values: Array, first: NDArray[np.int64], reduce: str) -> Array:
    """Steps (..., H) to stages (..., N): their mean, sum, minimum or maximum."""
    parts = np.split(values[..., : first[-1]], first[1:-1], axis=-1)
    return np.stack([getattr(np, reduce)(p, axis=-1) for p in parts], axis=-1)


def _guess(
    programme: Programme, data: NmpcData, branches: Branches, first: NDArray[np.int64],
    inputs: Array,
) -> tuple[Point, dict[str, Array]]:  # fmt: skip
    """`inputs` (U, H) played in the twin; what the bounds demand is left to the solve."""
    at, model = programme.at, programme.model
    hold = by_stage(inputs, first, "mean")
    hold = np.clip(hold, by_stage(data.least, first, "max"), by_stage(data.greatest, first, "min"))
    lengths = np.diff(first)
    steps = np.repeat(hold, lengths, axis=1)
    count = branches.count
    cut = replace(data, w=data.w[:, : first[-1]])
    table = np.tile(input_table(cut, steps)[None], (count, 1, 1))
    x0 = np.tile(data.x0, (count, 1))
    step_s = float(data.site.step_s)
    states, outputs = data.twin.simulator(step_s).run(x0, table, branches.theta.T)
    z = np.zeros(at.variables)
    low, high = (v / model.state_scale for v in model.state_box())
    nodes = np.concatenate([x0[:, None], states[:, first[1:] - 1]], axis=1) / model.state_scale
    z[at.x] = np.clip(nodes.transpose(1, 0, 2), low, high)
    scaled = (hold / model.input_scale[:, None]).T
    z[at.u] = scaled[:, None]
    z[at.last[1:]] = scaled[:, None]
    z[at.last[0]] = data.applied / model.input_scale
    names = model.symbolic.output_names
    shown = {n: outputs[:, :, i] for i, n in enumerate(names)}
    return Point(z, np.zeros(len(at.equality)), np.zeros(at.variables)), shown


def _numbers(
    programme: Programme, data: NmpcData, branches: Branches, first: NDArray[np.int64],
    options: NmpcOptions, money: float,
) -> Numbers:  # fmt: skip
    at, model = programme.at, programme.model
    low, high = np.full(at.variables, -np.inf), np.full(at.variables, np.inf)
    box = model.state_box()
    low[at.x], high[at.x] = (b / model.state_scale for b in box)
    low[at.x[0]] = high[at.x[0]] = np.clip(data.x0, *box) / model.state_scale
    low[at.last[0]] = high[at.last[0]] = data.applied / model.input_scale
    scale = model.input_scale[:, None]
    low[at.u] = (by_stage(data.least, first, "max") / scale).T[:, None]
    high[at.u] = (by_stage(data.greatest, first, "min") / scale).T[:, None]
    low[at.e] = low[at.rest_e] = 0.0
    rows = len(at.equality)
    low_g, high_g = np.full(rows, -np.inf), np.full(rows, np.inf)
    low_g[at.equality] = high_g[at.equality] = 0.0
    reach = _moves(data) / model.input_scale
    low_g[at.g_move], high_g[at.g_move] = -reach, reach
    shared = at.g_tree[: options.shared]
    low_g[shared] = high_g[shared] = 0.0
    for r, limit in enumerate(data.limits):
        size = programme.shape.rows[r].unit_size
        for places, values, sense in ((at.g_low, limit.low, 1), (at.g_high, limit.high, -1)):
            tight = by_stage(values, first, "max" if sense > 0 else "min")
            edge = (tight + sense * limit.margin) / size
            used = places[:, :, r] >= 0
            target = low_g if sense > 0 else high_g
            target[places[:, :, r][used]] = np.broadcast_to(edge[:, None], used.shape)[used]
    return Numbers(
        low, high, low_g, high_g, _parameters(programme, data, branches, first, options, money)
    )


def _moves(data: NmpcData) -> Array:
    """Greatest change from one stage to the next, (U,); none where a person moves the point."""
    held = {h.point for h in data.snapshot.holds}
    return np.where([p in held for p in data.model.points], np.inf, data.move)


def _parameters(
    programme: Programme, data: NmpcData, branches: Branches, first: NDArray[np.int64],
    options: NmpcOptions, money: float,
) -> Array:  # fmt: skip
    model, shape, n = programme.model, programme.shape, programme.shape.stages
    share = np.diff(first) / first[-1]
    price_y = np.zeros((len(model.outputs), n))
    price_y[model.outputs.index(data.grid)] = by_stage(data.price, first, "sum") / money
    targets = np.array([data.targets[s][: first[-1]] for s in shape.tracked])
    targets = targets.reshape(len(shape.tracked), first[-1])
    # A stage is tracked where its end is.
    ends = targets[:, first[1:] - 1]
    sizes = nominals(data)
    track = np.array([options.track_price / sizes[s] ** 2 for s in shape.tracked])
    weight = np.where(np.isfinite(ends), track[:, None] * np.maximum(share, 1.0 / n), 0.0)
    prices = options.prices
    tiers = np.array([prices[m.tier] * (m.rank if m.tier == "wish" else 1.0) for m in data.limits])
    return programme.parameters(
        theta=branches.theta, drift=data.drift[:, None],
        w=by_stage(data.w, first, "mean"), price_y=price_y,
        target=np.nan_to_num(ends), track=weight, move=options.move_price * data.moves_weigh,
        price=tiers.reshape(-1, 1) * np.maximum(share, 1.0 / n), price_rest=options.rest_price,
    )  # fmt: skip
