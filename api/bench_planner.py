"""`bench planner`: how long a plan takes, linear (`bench_dispatch`) and of equations.

Equations, by each route: how long, and whether the routes agree. Two closed loops, 24 stages each:
the four tanks of a laboratory (4 states, a minute a stage, targets that jump) and five rooms (10
states, a quarter of an hour, prices and weather that change). Every route controls the same
simulated plant with the same noise, starting each solve from its last solution, shifted by a stage.
Times are of the processor, so that a busy machine does not count. A route that fails `GIVE_UP`
times is not run further.
"""

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from api.bench_figure import Figure
from api.rollout_rivals import definition
from graph.errors import PilothouseError
from planner.nmpc_problem import Programme, Row, Shape, build
from planner.nmpc_routes import DEFAULT, ROUTES, Code, Numbers, Point, make_solver, route_of
from planner.nmpc_stage import Group, StageModel, substeps_for
from sandbox.symbolic.batch import BatchSimulator
from sandbox.symbolic.compiled_c import c_compiler

Array = NDArray[np.float64]
Say = Callable[[str], None]
STAGES = 24
BY_STATES = {4: 3.0, 10: 8.0}  # ms aimed at with a compiler, by the number of states
INTERPRETED_MS = 60.0  # and without one
PENALTY = 1000.0
GIVE_UP = 5
LIMIT_S = 2.0
AGREE = 1.02  # closed-loop cost over the best route's


@dataclass(frozen=True)
class Task:
    """A plant to be controlled. Arrays over the bench's steps and a horizon beyond, (K + N, ...).

    `low`, `high` bound `bounded` signals, (R,); `target` (K + N, T) of `tracked`, weighed `track`
    (T,); `price` of each output (K + N, Y).
    """

    name: str
    model: StageModel
    step_s: float
    x0: Array
    u0: Array
    least: Array
    greatest: Array
    move: Array
    bounded: tuple[str, ...]
    low: Array
    high: Array
    tracked: tuple[str, ...]
    target: Array
    track: Array
    price: Array
    w: Array
    noise: float


@dataclass(frozen=True)
class Tally:
    """One route on one task: seconds to make it ready, ms a solve, what the loop cost."""

    route: str
    ready_s: float
    first_ms: float
    ms: Array
    failures: int
    cost: float


def run_bench(*, quick: bool, say: Say) -> list[Figure]:
    """Every figure, in one run. Without a C compiler only the interpreter's routes."""
    from api.bench_dispatch import dispatch_figures

    figures = dispatch_figures(quick=quick, say=say)
    steps = 20 if quick else 60
    codes: list[Code] = ["interpreted", "compiled"] if c_compiler() else ["interpreted"]
    for task in (tanks(steps), rooms(steps)):
        tallies = []
        for code in codes:
            for name in ROUTES:
                if quick and code == "compiled" and name not in (DEFAULT, "ipopt"):
                    continue
                say(f"{task.name}: {name}, {code}")
                tally, why = _tried(task, name, code, steps)
                if tally is None:
                    figures.append(Figure(f"{task.name}: {name}, {code}", 0.0, "ms", note=why))
                else:
                    tallies.append((code, tally))
        figures += _figures(task, tallies)
    return [*figures, *_rival(steps, say)]


def _tried(task: Task, name: str, code: Code, steps: int) -> tuple[Tally | None, str]:
    try:
        return run_loop(task, name, code, steps), ""
    except (PilothouseError, RuntimeError) as error:
        return None, f"does not run: {str(error).strip().splitlines()[-1][:80]}"


def _figures(task: Task, tallies: list[tuple[Code, Tally]]) -> list[Figure]:
    whole = [t.cost for _, t in tallies if not t.failures]
    best = min(whole, default=float("nan"))
    found = []
    for code, tally in tallies:
        mine = tally.route == DEFAULT
        target = (
            (BY_STATES[len(task.model.states)] if code == "compiled" else INTERPRETED_MS)
            if mine else None
        )  # fmt: skip
        paid = "given up" if tally.failures == GIVE_UP else f"loop cost {tally.cost:.4g}"
        note = (
            f"p95 {np.percentile(tally.ms, 95):.1f}, first {tally.first_ms:.1f}; ready in "
            f"{tally.ready_s:.1f} s; {tally.failures} of {len(tally.ms) + 1} failed; {paid}"
        )
        name = f"{task.name}: {tally.route}, {code}"
        found.append(Figure(name, float(np.median(tally.ms)), "ms", target, note=note))
        if mine:
            worse = tally.cost / best
            found.append(Figure(f"{name}: loop cost over the best route's", worse, "1", AGREE))
    return found


def run_loop(task: Task, route: str, code: Code, steps: int) -> Tally:
    """Control the task's plant for `steps` steps by one route.

    Raises UnavailableError for a route or a compiler that is not there.
    """
    begun = time.perf_counter()
    programme = build(task.model, _shape(task))
    solver = make_solver(programme, route_of(route), code)
    ready = time.perf_counter() - begun
    plant = BatchSimulator(task.model.symbolic, task.step_s, 24)
    generator = np.random.default_rng(0)
    x, u, times, failures, cost = task.x0, task.u0, [], 0, 0.0
    start = _first_guess(programme, x, u)
    for k in range(steps):
        seen = x + task.noise * generator.standard_normal(len(x))
        numbers = _numbers(task, programme, k, seen, u)
        begun_cpu = time.process_time()
        found = solver.solve(numbers, start, LIMIT_S)
        times.append(1e3 * (time.process_time() - begun_cpu))
        failures += not found.status.usable
        if failures == GIVE_UP:
            break
        if found.point is not None and found.status.usable:
            u = found.point.z[programme.at.u[0, 0]] * task.model.input_scale
            start = shifted(programme, found.point)
        named = dict(zip(task.model.points, u, strict=True))
        named |= dict(zip(task.model.disturbances, task.w[k], strict=True))
        row = np.array([[named[n] for n in task.model.symbolic.input_names]])
        states, outputs = plant.run(x[None], row[None], task.model.symbolic.defaults)
        x = states[0, 0]
        cost += _paid(task, k, x, outputs[0, 0])
    return Tally(route, ready, times[0], np.array(times[1:]), failures, cost)


def _shape(task: Task) -> Shape:
    theta = task.model.symbolic.defaults
    group = Group(STAGES, task.step_s, substeps_for(task.model, task.step_s, theta))
    scale = dict(zip(task.model.states, task.model.state_scale, strict=True))
    rows = tuple(
        Row(s, 0, bool(np.isfinite(low)), bool(np.isfinite(high)), float(scale[s]))
        for s, low, high in zip(task.bounded, task.low, task.high, strict=True)
    )
    return Shape((group,), rows, task.tracked, rest=False)


def _first_guess(programme: Programme, x: Array, u: Array) -> Point:
    at, model = programme.at, programme.model
    z = np.zeros(at.variables)
    z[at.x] = x / model.state_scale
    z[at.u] = z[at.last] = u / model.input_scale
    return Point(z, np.zeros(len(at.equality)), np.zeros(at.variables))


def shifted(programme: Programme, point: Point) -> Point:
    """The solution a stage later, its end repeated; multipliers move with their stages."""
    at, z, lam_z, lam_g = programme.at, point.z.copy(), point.lam_z.copy(), point.lam_g.copy()
    for place in (at.x, at.last, at.u, at.e):
        z[place[:-1]], lam_z[place[:-1]] = point.z[place[1:]], point.lam_z[place[1:]]
    block = len(at.equality) // programme.shape.stages
    lam_g[:-block] = point.lam_g[block:]
    return Point(z, lam_g, lam_z)


def _numbers(task: Task, programme: Programme, k: int, x: Array, u: Array) -> Numbers:
    at, model, n = programme.at, programme.model, STAGES
    low, high = np.full(at.variables, -np.inf), np.full(at.variables, np.inf)
    box = model.state_box()
    low[at.x], high[at.x] = (b / model.state_scale for b in box)
    low[at.x[0]] = high[at.x[0]] = np.clip(x, *box) / model.state_scale
    low[at.last[0]] = high[at.last[0]] = u / model.input_scale
    low[at.u], high[at.u] = task.least / model.input_scale, task.greatest / model.input_scale
    low[at.e] = 0.0
    low_g, high_g = (np.full(len(at.equality), v) for v in (-np.inf, np.inf))
    low_g[at.equality] = high_g[at.equality] = 0.0
    reach = task.move / model.input_scale
    low_g[at.g_move], high_g[at.g_move] = -reach, reach
    for r, row in enumerate(programme.shape.rows):
        if row.low:
            low_g[at.g_low[:, :, r]] = task.low[r] / row.unit_size
        if row.high:
            high_g[at.g_high[:, :, r]] = task.high[r] / row.unit_size
    ahead = slice(k, k + n)
    p = programme.parameters(
        theta=model.symbolic.defaults[:, None], drift=0.0, w=task.w[ahead].T,
        price_y=task.price[ahead].T, target=task.target[ahead].T,
        track=np.repeat(task.track[:, None], n, axis=1), move=1e-2, price=PENALTY / n,
        price_rest=0.0,
    )  # fmt: skip
    return Numbers(low, high, low_g, high_g, p)


def _paid(task: Task, k: int, x: Array, outputs: Array) -> float:
    """What the step cost: prices, squared distance from targets, and breaks as penalised."""
    model = task.model
    shown = dict(zip(model.symbolic.output_names, outputs, strict=True))
    shown |= dict(zip(model.states, x, strict=True))
    scale = dict(zip(model.states, model.state_scale, strict=True))
    y = np.array([shown[n] for n in model.outputs])
    cost = float(task.price[k] @ y)
    off = np.array([shown[s] for s in task.tracked]) - task.target[k]
    cost += float(task.track @ off**2) if len(off) else 0.0
    for r, signal in enumerate(task.bounded):
        broken = max(task.low[r] - shown[signal], shown[signal] - task.high[r], 0.0)
        cost += PENALTY / STAGES * broken / scale[signal]
    return cost


def tanks(steps: int) -> Task:
    """The four tanks as their pack has them; targets of the lower two jump every 15 minutes."""
    from api.assemble import load_context
    from api.sites import PROCESS_SITE

    _, context = load_context(PROCESS_SITE)
    model = StageModel(context.twin.model, tuple(context.twin.layout.points))  # type: ignore[attr-defined]
    levels = model.states
    turns = np.array([(12.4, 12.7), (14.0, 11.5), (11.0, 13.5), (16.0, 9.0)])
    target = turns[(np.arange(steps + STAGES) // 15) % len(turns)]
    return Task(
        "four tanks", model, 60.0, np.array([12.3, 12.8, 1.6, 1.4]), np.array([3.0, 3.0]),
        np.zeros(2), np.full(2, 5.0), np.full(2, 1.0), levels,
        np.array([5.0, 5.0, -np.inf, -np.inf]), np.full(4, 18.0), levels[:2], target,
        np.full(2, 0.07), np.zeros((steps + STAGES, len(model.outputs))),
        np.full((steps + STAGES, 1), 0.3), 0.04,
    )  # fmt: skip


def rooms(steps: int) -> Task:
    """Five rooms kept between 20 and 24 degC at a price of heat that doubles by day."""
    symbolic = definition()
    points = tuple(n for n in symbolic.input_names if n.startswith("heat"))
    model = StageModel(symbolic, points)
    hour = np.arange(steps + STAGES) / 4.0
    day = (hour % 24 > 6) & (hour % 24 < 20)
    sun = 0.4 * np.maximum(0.0, np.sin((hour % 24 - 7.0) / 10.0 * np.pi))
    w = np.stack([2.0 + 5.0 * np.sin((hour - 9.0) / 12.0 * np.pi), sun], axis=1)
    price = np.zeros((steps + STAGES, len(model.outputs)))
    price[:, model.outputs.index("heat_kw")] = np.where(day, 0.02, 0.01)
    air = tuple(s for s in model.states if s.startswith("air"))
    return Task(
        "five rooms", model, 900.0, np.linspace(19.5, 21.5, 10), np.full(5, 1.0), np.zeros(5),
        np.full(5, 6.0), np.full(5, 3.0), air, np.full(5, 20.0), np.full(5, 24.0), (),
        np.zeros((steps + STAGES, 0)), np.zeros(0), price, w, 0.05,
    )  # fmt: skip


def _rival(steps: int, say: Say) -> list[Figure]:
    """do-mpc as it is shipped, on the tanks; its absence is said."""
    name = "four tanks: do-mpc as shipped"
    if importlib.util.find_spec("do_mpc") is None:
        return [Figure(name, float("nan"), "ms", note="not installed: pip install do-mpc")]
    from api.do_mpc_rival import do_mpc_loop

    say(name)
    ms, failures, cost = do_mpc_loop(tanks(steps), steps, _paid)
    note = (f"p95 {np.percentile(ms, 95):.1f}; {failures} of {len(ms)} failed; "
            f"loop cost {cost:.4g}, without the limit on moves")  # fmt: skip
    return [Figure(name, float(np.median(ms)), "ms", note=note)]
