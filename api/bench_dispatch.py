"""`bench planner`, the linear part: the demonstration site's dispatch, and a battery alone.

- A battery alone, 6 N + 1 variables: prices, load and charge are new at every solve.
- The demonstration site as it is planned: its linear relaxation, solved again an hour later from
  the last basis, and the whole decision problem with on and off, starts a day and the corrected
  COP, to a gap of 1 %.
Both linear programmes are solved through cvxpy as well, where it is installed: written a second
time, compiled once, with parameters; its optimum is compared with ours in the same run. Times are
of the processor, so that a busy machine counts less.
"""

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from agents.decision import LEAST_MARGINS
from agents.snapshot_builder import build_snapshot
from agents.telemetry_feed import TelemetryFeed
from api.assemble import load_context
from api.bench_figure import Figure
from api.demo import SENTENCE
from api.local_gate import DirectReader
from api.references import commands_at, emulated
from api.sites import DEMO_SITE
from graph.intent import Intent
from graph.plan import Plan, SolveStatus
from graph.record import parse_iso
from graph.site import Site
from graph.snapshot import Snapshot
from planner.dispatch import plan_dispatch
from planner.dispatch_constraints import SlackKind
from planner.dispatch_inputs import DispatchInputs, dispatch_inputs
from planner.dispatch_objective import objective
from planner.dispatch_problem import DispatchProblem, build_problem
from planner.hub_model import HubNumbers, hub_numbers
from planner.intent.second_reader import read_twice
from planner.margins import Margins
from planner.milp import INF, Milp, MilpBuilder
from planner.milp_highs import LinearSession, SolverLimits, solve

Array = NDArray[np.float64]
Say = Callable[[str], None]
START = parse_iso("2026-01-13T00:00:00-08:00")
STEPS, STEP_H = 96, 0.25
DIRECT_MS, CVXPY_MS = 1.5, 8.0
COLD_S, WARM_S = 1.5, 0.3
AGREE = 1e-6  # relative: both solvers' own tolerance
ALONE = SolverLimits(gap=0.01, absolute_gap=0.1, nodes=10**6, checks=10**6, abort_after_s=30.0)


@dataclass(frozen=True)
class Hour:
    """One hour's problem of the demonstration site."""

    intent: Intent
    data: DispatchInputs
    problem: DispatchProblem


def dispatch_figures(*, quick: bool, say: Say) -> list[Figure]:
    """Every figure of the linear part, in one run."""
    say("a battery alone")
    figures = _battery(10 if quick else 60)
    say("the demonstration site, hour by hour")
    hours, plans = _hours(5 if quick else 24)
    figures += _relaxations(hours)
    figures += plans
    say("on and off by HiGHS alone")
    return [*figures, _branch_and_bound(hours[:1] if quick else hours[:18:6])]


def _battery(count: int) -> list[Figure]:
    """Ours and cvxpy's on the same numbers."""
    generator = np.random.default_rng(0)
    days = [_battery_day(generator) for _ in range(count + 1)]
    first = battery_problem(*days[0])
    session = LinearSession(first, first.costs["cost"], 0.0, SolverLimits())
    found = [session.solve().objective or 0.0]
    ours = []
    for day in days[1:]:
        problem = battery_problem(*day)
        began = time.process_time()
        session.renew(problem, problem.costs["cost"], 0.0)
        found.append(session.solve().objective or 0.0)
        ours.append(time.process_time() - began)
    name = f"battery alone, {first.columns} columns"
    figures = [_spread(f"{name}: HiGHS, new data", ours, DIRECT_MS)]
    if not _has_cvxpy():
        return [*figures, _no_cvxpy(name)]
    from api.cvxpy_rival import BatteryOracle

    for solver in ("HIGHS", "CLARABEL"):
        oracle = BatteryOracle(STEPS, STEP_H)
        theirs, took = [oracle.solve(*days[0], solver)], []
        for day in days[1:]:
            began = time.process_time()
            theirs.append(oracle.solve(*day, solver))
            took.append(time.process_time() - began)
        target = CVXPY_MS if solver == "HIGHS" else None
        figures.append(_spread(f"{name}: cvxpy, {solver}, new data", took, target))
        figures.append(_agreement(f"{name}: optimum off cvxpy's, {solver}", found, theirs))
    return figures


def _battery_day(generator: np.random.Generator) -> tuple[Array, Array, Array, float]:
    """Prices to buy and sell, load less sun, kWh stored: the demonstration's order of size."""
    hour = np.arange(STEPS) * STEP_H
    buy = np.where((hour >= 16) & (hour < 21), 0.5, 0.21) + 0.05 * generator.random(STEPS)
    sun = np.maximum(np.sin((hour - 7.0) / 10.0 * np.pi), 0.0) * (hour < 17)
    load = 8.0 + 10.0 * np.exp(-(((hour - 12.0) / 4.0) ** 2)) + generator.normal(0.0, 1.0, STEPS)
    net = load - 22.0 * generator.uniform(0.3, 1.0) * sun
    return buy, np.full(STEPS, 0.04), net, float(generator.uniform(20.0, 70.0))


def battery_problem(buy: Array, sell: Array, net: Array, first_kwh: float) -> Milp:
    """Charge, discharge, import, export, what is thrown away, and energy at N + 1 instants."""
    n, h, build = STEPS, STEP_H, MilpBuilder()
    charge, discharge = build.columns(n, 0.0, 30.0), build.columns(n, 0.0, 30.0)
    imported, exported = build.columns(n, 0.0, 60.0), build.columns(n, 0.0, 40.0)
    lost, energy = build.columns(n, 0.0, INF), build.columns(n + 1, 8.0, 76.0)
    build.rows(
        [(imported, 1.0), (exported, -1.0), (charge, -1.0), (discharge, 1.0), (lost, -1.0)],
        net, net,
    )  # fmt: skip
    flows = [(energy[1:], 1.0), (energy[:-1], -1.0), (charge, -0.95 * h), (discharge, h / 0.95)]
    build.rows(flows, 0.0, 0.0)
    build.row([(energy[:1], 1.0)], first_kwh, first_kwh)
    build.cost("cost", imported, h * buy)
    build.cost("cost", exported, -h * sell)
    for columns in (charge, discharge):
        build.cost("cost", columns, 0.01 * h)
    build.cost("cost", energy[-1:], -0.2)
    return build.freeze()


def _hours(count: int) -> tuple[list[Hour], list[Figure]]:
    """The demonstration's own snapshots, an hour apart, planned as the service plans them; each
    plan's first hour is carried out on the plant."""
    pack, context = load_context(DEMO_SITE)
    plant = emulated(pack, START, 1)
    reader, feed = DirectReader(plant), TelemetryFeed(pack.site, pack.telemetry())
    epoch, step, hub = plant.claim("bench"), pack.site.step_s, hub_numbers(pack.site, context.twin)
    hours = list[Hour]()
    cold, warm = list[float](), list[float]()
    last: Plan | None = None
    for _ in range(count):
        image = reader.read()
        feed.update(reader, image.time)
        snapshot = build_snapshot(context, image, feed, STEPS)
        intent = _intent(pack.site, snapshot)
        hours.append(_posed(snapshot, intent, hub, pack.site))
        for record, incumbent in ((cold, None), (warm, last)):
            began = time.process_time()
            plan = plan_dispatch(
                pack.site, context.twin, snapshot, intent, margin=LEAST_MARGINS, incumbent=incumbent
            )
            if record is cold or incumbent is not None:
                record.append(time.process_time() - began)
            assert plan.status.usable, plan.notes
        last = plan
        for k in range(3600 // step):
            plant.write(epoch, 4 * len(hours) + k, commands_at(last, plant.time, step))
            plant.advance(step)
    name = "demonstration site: on/off, starts, 1 % gap"
    return hours, [
        _spread(f"{name}, cold", cold, COLD_S, "s"),
        _spread(f"{name}, last hour's plan", warm, WARM_S, "s"),
    ]


def _intent(site: Site, snapshot: Snapshot) -> Intent:
    """The demonstration's sentence over the whole horizon."""
    reading = read_twice(SENTENCE, site, snapshot.as_of, "bench", None)
    assert reading.intent is not None
    end = snapshot.as_of + timedelta(hours=STEPS * STEP_H)
    return reading.intent.model_copy(update={"end": end})


def _posed(snapshot: Snapshot, intent: Intent, hub: HubNumbers, site: Site) -> Hour:
    data = dispatch_inputs(site, hub, snapshot)
    return Hour(intent, data, build_problem(data, intent, Margins()))


def _relaxations(hours: list[Hour]) -> list[Figure]:
    """The linear relaxation again, an hour later, from the last basis; ours and cvxpy's.

    Around midnight the horizon has one local day more or fewer, and so has the limit on starts:
    these hours begin a new session, whose solve is not counted.
    """
    session: LinearSession | None = None
    again, anew, found, shape = list[float](), list[float](), list[float](), (0, 0)
    for hour in hours:
        milp = hour.problem.milp
        cost, offset = _objective(hour.problem)
        began = time.process_time()
        same = shape == (shape := (milp.columns, len(milp.row_lower)))
        if session is None or not same:
            session = LinearSession(milp, cost, offset, SolverLimits())
        else:
            session.renew(milp, cost, offset)
        found.append(session.solve().objective or np.nan)
        (again if same else anew).append(time.process_time() - began)
    milp = hours[-1].problem.milp
    name = f"demonstration site, {milp.columns} columns"
    figures = [
        _spread(f"{name}: HiGHS, new data", again, DIRECT_MS),
        _spread(f"{name}: HiGHS, from nothing", anew),
    ]
    return [*figures, *_oracle(name, hours, found)]


def _oracle(name: str, hours: list[Hour], found: list[float]) -> list[Figure]:
    if not _has_cvxpy():
        return [_no_cvxpy(name)]
    from api.cvxpy_rival import HubOracle, Wish

    oracle: HubOracle | None = None
    took, ours, theirs = list[float](), list[float](), list[float]()
    for hour, value in zip(hours, found, strict=True):
        if any(s.kind is SlackKind.RECOVERY for s in hour.problem.slacks):
            continue  # the plant begins outside a bound: how it comes back is not in the textbook
        known = oracle is not None
        oracle = oracle or HubOracle(hour.data, Wish(), whole=False)
        began = time.process_time()
        theirs.append(oracle.solve(hour.data))
        ours.append(value)
        if known:
            took.append(time.process_time() - began)
    return [
        _spread(f"{name}: cvxpy, HIGHS, new data", took, CVXPY_MS),
        _agreement(f"{name}: optimum off cvxpy's", ours, theirs),
    ]


def _branch_and_bound(hours: list[Hour]) -> Figure:
    """What the search is for: the same problems left to the solver's own branch and bound."""
    took, open_ = [], 0
    for hour in hours:
        cost, offset = _objective(hour.problem)
        began = time.process_time()
        ended = solve(hour.problem.milp, cost, offset, ALONE)
        took.append(time.process_time() - began)
        open_ += ended.status is SolveStatus.TIME_LIMIT
    note = f"one solve a plan; {open_} of {len(hours)} not within the gap after 30 s"
    return _spread("demonstration site: on/off by HiGHS alone, 1 % gap", took, None, "s", note)


def _objective(problem: DispatchProblem) -> tuple[Array, float]:
    return objective(problem.milp, problem.weights, problem.rates, problem.wear_priced)


def _spread(
    name: str, seconds: list[float], target: float | None = None, unit: str = "ms", note: str = ""
) -> Figure:
    """Median beside the target, p95 and the number of solves in the note."""
    if not seconds:
        return Figure(name, float("nan"), unit, note="not measured: no hour began as the last did")
    times = np.array(seconds) * (1e3 if unit == "ms" else 1.0)
    text = f"p95 {np.percentile(times, 95):.3g} of {len(times)}"
    return Figure(
        name, float(np.median(times)), unit, target, note=f"{text}; {note}" if note else text
    )


def _agreement(name: str, ours: list[float], theirs: list[float]) -> Figure:
    """Greatest relative distance of two lists of optima."""
    if not ours:
        return Figure(name, float("nan"), "1", note="no problem to compare")
    a, b = np.array(ours), np.array(theirs)
    worst = float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1.0)))
    return Figure(name, worst, "1", AGREE, note=f"worst of {len(a)}")


def _has_cvxpy() -> bool:
    return importlib.util.find_spec("cvxpy") is not None


def _no_cvxpy(name: str) -> Figure:
    return Figure(f"{name}: cvxpy", float("nan"), "ms", note="not installed: pip install cvxpy")
