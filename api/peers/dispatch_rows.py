"""The rows of the battery: what each planner came to above the least cost in hindsight."""

from contextlib import ExitStack

import numpy as np

from api.bench_figure import Figure
from api.peers.dispatch_case import DispatchCase, Forecasts, microgrid_case
from api.peers.dispatch_floor import floor_cost
from api.peers.dispatch_loop import Run, run_side_by_side
from api.peers.peer_list import DISPATCH, OURS, Places, Say
from api.peers.peer_rows import NAN, missing_rows, time_row, told

ABOVE_FLOOR_PCT = 0.05  # with perfect forecasts there is nothing else to lose
ABOVE_BEST_PCT = 0.1  # with the same wrong forecasts plans differ by luck, not by more
OWN_MS = 50.0


def dispatch_rows(days: int, places: Places, say: Say) -> list[Figure]:
    """The battery of the microgrid pack, with perfect forecasts and with persistence."""
    case = microgrid_case(96 * days)
    floor, _ = floor_cost(case)
    figures = [Figure(f"battery, {days} d: least cost in hindsight", floor, "USD")]
    with ExitStack() as stack:
        planners, missing = told(DISPATCH, places, case.statement(), stack)
        figures += missing_rows("battery", missing, "%")
        kinds: tuple[Forecasts, ...] = ("perfect", "persistence")
        for kind in kinds:
            say(f"battery, {days} d, {kind} forecasts: {', '.join(planners)}")
            runs = run_side_by_side(case, planners, kind)
            figures += _column(case, kind, runs, floor)
            planners = {name: p for name, p in planners.items() if not runs[name].gave_up}
    return figures


def _column(
    case: DispatchCase, kind: Forecasts, runs: dict[str, Run], floor: float
) -> list[Figure]:
    """What each came to above the floor, and what a plan took it."""
    whole = {name: run.score.settled(case) for name, run in runs.items() if not run.gave_up}
    best = min((c for name, c in whole.items() if not name.startswith(OURS)), default=NAN)
    figures = []
    for name, run in runs.items():
        title, ours = f"battery, {kind}: {name}", name.startswith(OURS)
        if run.gave_up:
            figures.append(Figure(title, NAN, "%", note=f"gave up at {run.gave_up}"))
            continue
        target = ABOVE_FLOOR_PCT if ours and kind == "perfect" else None
        note = f"above the floor; {whole[name]:.2f} USD; {_trouble(run)}"
        figures.append(Figure(title, 100.0 * (whole[name] / floor - 1.0), "%", target, note=note))
        figures.append(time_row(title, run.cpu_ms, run.wall_ms, OWN_MS if ours else None))
        if ours and kind == "persistence" and np.isfinite(best):
            over = 100.0 * (whole[name] / best - 1.0)
            figures.append(Figure(f"{title}: over the best peer", over, "%", ABOVE_BEST_PCT))
    return figures


def _trouble(run: Run) -> str:
    why = f" ({run.last_failure})" if run.failures else ""
    return (
        f"{run.score.battery_violations} battery and {run.score.grid_violations} grid violations; "
        f"{run.failures} of {len(run.cpu_ms)} failed{why}"
    )
