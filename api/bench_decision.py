"""`bench decision`: how fast a decision is, how it grows, and what it is worth over a fortnight."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agents.decision import LEAST_MARGINS
from agents.inprocess_dispatch import InProcessDispatcher
from agents.ray_dispatch import RayDispatcher
from api.bench_figure import Figure
from api.closed_loop import Loop, loop_result, open_loop, run_loop
from api.demo import SENTENCE
from api.demo_stack import Stack
from api.references import baseline_day, captured_share, emulated, foresight_days
from api.shadow import run_shadow
from graph.plan import Plan
from graph.record import parse_iso
from graph.sitepack import load_site
from planner.dispatch import plan_dispatch
from planner.dispatch_options import SolveOptions
from sandbox.shadow import evaluate

Say = Callable[[str], None]
START = parse_iso("2026-01-13T00:00:00-08:00")
SHADOW_START = parse_iso("2026-01-09T00:00:00-08:00")


def run_bench(folder: Path, *, quick: bool, say: Say) -> list[Figure]:
    """Everything, one after the other."""
    found: list[Figure] = []
    for name, part in (
        ("start-up", _start_up), ("decisions", _decisions), ("planning and sandbox", _parts),
        ("growth", _growth), ("plant", _plant), ("fortnight", _fortnight),
    ):  # fmt: skip
        say(f"measuring {name}")
        found += part(folder, quick, say)
    return found


def _quantiles(name: str, seconds: list[float], target: float, note: str) -> list[Figure]:
    return [
        Figure(f"{name}, median", float(np.median(seconds)), "s", target, note=note),
        Figure(f"{name}, p95", float(np.quantile(seconds, 0.95)), "s", note=f"of {len(seconds)}"),
    ]


def _start_up(folder: Path, quick: bool, _: Say) -> list[Figure]:
    helps = []
    for _run in range(3 if quick else 7):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "api.cli", "--help"], check=True,
                       capture_output=True, cwd=Path(__file__).resolve().parents[1])  # fmt: skip
        helps.append(time.perf_counter() - began)
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "work").mkdir()
        with Stack(load_site(folder), Path(work), START, 1) as stack:
            ready = stack.service_ready_s
            began = time.perf_counter()
            stack.wait_agents()
            agents = time.perf_counter() - began + ready
    return [
        *_quantiles("pilothouse --help", helps, 0.7, "a new process each"),
        Figure("service ready", ready, "s", 10.0, note="answers requests; agents still warming"),
        Figure("agents warm", agents, "s", note="Ray actors, after the service's start"),
    ]


@contextmanager
def laboratory(folder: Path, start: datetime, dispatcher: Any) -> Iterator[Loop]:
    """A closed loop in a temporary folder."""
    with tempfile.TemporaryDirectory() as work:
        loop = open_loop(folder, start, 1, Path(work) / "loop", dispatcher)
        try:
            yield loop
        finally:
            loop.operations.close()


def _decisions(folder: Path, quick: bool, _: Say) -> list[Figure]:
    """Sentence to signed proposal, with the agents as Ray actors."""
    dispatcher = RayDispatcher()
    seconds = []
    try:
        dispatcher.wait()
        with laboratory(folder, START, dispatcher) as loop:
            copilot = loop.operations.copilot
            for _run in range(4 if quick else 13):
                began = time.perf_counter()
                decision, snapshot = copilot.decide(SENTENCE, "bench")
                assert decision.proposal is not None, decision.reasons
                assert snapshot is not None
                copilot.bundle_file(copilot.sign(decision, snapshot), ())
                seconds.append(time.perf_counter() - began)
                loop.plant.advance(3600)
    finally:
        dispatcher.close()
    return [
        Figure("sentence to signed proposal, first", seconds[0], "s", 5.0, note="200 futures"),
        *_quantiles("sentence to signed proposal, warm", seconds[1:], 3.0, "200 futures, hourly"),
    ]


def _parts(folder: Path, quick: bool, _: Say) -> list[Figure]:
    """Planning to a 1 % gap, cold and with the incumbent; the shadow run."""
    cold: list[float] = []
    warm: list[float] = []
    sandbox: list[float] = []
    with laboratory(folder, START, InProcessDispatcher()) as loop:
        copilot = loop.operations.copilot
        last: Plan | None = None
        context, site = copilot.plant.context, copilot.site
        for _run in range(3 if quick else 10):
            image = copilot.observe()
            reading = copilot.compile(SENTENCE, "bench", image.time)
            assert reading.intent is not None
            snapshot = copilot.snapshot(image, reading.intent.end)
            for record, incumbent in ((cold, None), (warm, last)):
                began = time.perf_counter()
                plan = plan_dispatch(
                    site, context.twin, snapshot, reading.intent, margin=LEAST_MARGINS,
                    incumbent=incumbent, options=SolveOptions(),
                )  # fmt: skip
                if record is cold or incumbent is not None:
                    record.append(time.perf_counter() - began)
                assert plan.status.usable, plan.notes
            last = plan
            began = time.perf_counter()
            evaluate(site, context.twin, snapshot, reading.intent, [plan], 200, 1, None, 8)
            sandbox.append(time.perf_counter() - began)
            loop.plant.advance(3600)
    return [
        *_quantiles("planning to a 1 % gap, cold", cold, 3.0, "24 to 42 h at 15 min"),
        *_quantiles("planning to a 1 % gap, warm", warm, 1.0, "last hour's plan as incumbent"),
        *_quantiles("sandbox, shadow run", sandbox, 1.0, "200 futures, candidate and inaction"),
    ]


def _growth(folder: Path, quick: bool, _: Say) -> list[Figure]:
    """Whole decisions over recorded telemetry at three numbers of futures and of hours."""
    hours = 3 if quick else 8
    rows = []
    for futures in (50, 100, 200):
        seconds = _shadow_seconds(folder, hours, futures)
        rows.append(
            Figure(f"shadow decision, {futures} futures", seconds / hours, "s", note="a decision")
        )
    for count in (2, 4, 6) if quick else (8, 16, 24):
        seconds = _shadow_seconds(folder, count, 50)
        rows.append(Figure(f"shadow run, {count} decisions", seconds, "s", note="50 futures"))
    day = rows[-1].value * 24 / (6 if quick else 24)
    note = "hourly decisions, 50 futures, one core, nothing skipped"
    return [*rows, Figure("shadow run, a site-day", day, "s", 30.0, note=note)]


def _shadow_seconds(folder: Path, hours: int, futures: int) -> float:
    end = SHADOW_START + timedelta(hours=hours)
    return run_shadow(folder, SHADOW_START, end, SENTENCE, futures, 0).seconds


def _plant(folder: Path, quick: bool, _: Say) -> list[Figure]:
    plant = emulated(load_site(folder), START, 1)
    days = 1 if quick else 3
    began = time.perf_counter()
    plant.advance(days * 86_400)
    return [
        Figure("plant alone, a day", (time.perf_counter() - began) / days, "s", note="emulator")
    ]


def _fortnight(folder: Path, quick: bool, say: Say) -> list[Figure]:
    """The saving over the baseline, and the share of it that perfect forecasts would have given."""
    days = 1 if quick else 14
    end = START + timedelta(days=days)
    with laboratory(folder, START, InProcessDispatcher()) as loop:
        run_loop(loop, SENTENCE, end, None, say)
        result, _ = loop_result(loop, START, end)
        reading = loop.operations.copilot.compile(SENTENCE, "bench", START)
    assert reading.intent is not None
    say("measuring the plans with hindsight")
    lasting = reading.intent.model_copy(update={"end": end})
    best = foresight_days(folder, START, days * 24.0, 1, lasting)["plant"].kpis
    baseline = baseline_day(folder, START, days * 24.0, 1).kpis
    share = captured_share(result.kpis, baseline, best)
    note = f"{days} days; cost is settled"
    return [
        Figure("cost, copilot", result.kpis["settled_cost"], "USD", note=note),
        Figure("cost, the plant's own law", baseline["settled_cost"], "USD", note=note),
        Figure("cost, perfect forecasts on the plant", best["settled_cost"], "USD", note=note),
        Figure("share of that saving captured", share, "1", note=note),
        Figure("discomfort, copilot", result.kpis["comfort"], "K.h", note=note),
        Figure("discomfort, the plant's own law", baseline["comfort"], "K.h", note=note),
        Figure("starts a day, copilot", result.kpis["starts"] / days, "1", note=note),
        Figure("starts a day, the plant's own law", baseline["starts"] / days, "1", note=note),
        Figure("hours without a new plan", float(len(result.missed_replans)), "1", note=note),
        Figure("rollbacks", float(len(result.rollbacks)), "1", note="; ".join(result.rollbacks)),
    ]
