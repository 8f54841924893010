"""The rows of the battery: what each planner came to above the least cost in hindsight."""

from contextlib import ExitStack

import numpy as np

from api.bench_figure import Figure
from api.peers.dispatch_case import DispatchCase, Forecasts, microgrid_case, published_case
from api.peers.dispatch_floor import floor_cost
from api.peers.dispatch_loop import Run, run_side_by_side
from api.peers.peer_list import DISPATCH, DRIVERS, OURS, PYMGRID, Peer, Places, Say
from api.peers.peer_process import PeerError, PeerProcess
from api.peers.peer_rows import NAN, missing_rows, time_row, told
from graph.errors import UnavailableError

ABOVE_FLOOR_PCT = 0.05  # with perfect forecasts there is nothing else to lose
ABOVE_BEST_PCT = 0.1  # with the same wrong forecasts plans differ by luck, not by more
OWN_MS = 50.0


def dispatch_rows(
    days: int,
    places: Places,
    say: Say,
    peers: tuple[Peer, ...] = DISPATCH,
    kinds: tuple[Forecasts, ...] = ("perfect", "persistence"),
) -> list[Figure]:
    """The battery of the microgrid pack under each kind of forecast."""
    case, what = microgrid_case(96 * days), f"battery {days} d"
    floor, _ = floor_cost(case)
    figures = [Figure(f"{what}: least cost in hindsight", floor, "USD")]
    with ExitStack() as stack:
        planners, missing = told(peers, places, case.statement(), stack)
        figures += missing_rows(what, missing, "%")
        for kind in kinds:
            say(f"{what}, {kind} forecasts: {'; '.join(planners)}")
            runs = run_side_by_side(case, planners, kind)
            figures += _column(case, f"{what}, {kind}", runs, floor, foreseen=kind == "perfect")
            planners = {name: p for name, p in planners.items() if not runs[name].gave_up}
    return figures


def published_rows(steps: int, places: Places, say: Say) -> list[Figure]:
    """python-microgrid's own first microgrid, planned every hour by its MPC and by ours."""
    what = "microgrid 0"
    place = places[PYMGRID.pins]
    try:
        if isinstance(place, UnavailableError):
            raise place
        with PeerProcess((place.python, DRIVERS / "pymgrid_data.py"), {}) as rows:
            case = published_case(rows, steps)
    except (UnavailableError, PeerError) as error:
        return [Figure(f"{what}: its data", NAN, "1", note=f"not to be had: {error}")]
    floor, _ = floor_cost(case)
    figures = [Figure(f"{what}, {steps} h: least cost in hindsight", floor, "1")]
    with ExitStack() as stack:
        planners, missing = told((DISPATCH[0], PYMGRID), places, case.statement(), stack)
        say(f"{what}, {steps} h: {', '.join(planners)}")
        runs = run_side_by_side(case, planners, "perfect", every=1)
    figures += missing_rows(what, missing, "%")
    return figures + _column(case, what, runs, floor, foreseen=True)


def _column(
    case: DispatchCase, what: str, runs: dict[str, Run], floor: float, *, foreseen: bool
) -> list[Figure]:
    """What each came to above the floor, and what a plan took it."""
    whole = {name: run.score.settled(case) for name, run in runs.items() if not run.gave_up}
    best = min((c for name, c in whole.items() if not name.startswith(OURS)), default=NAN)
    figures = []
    for name, run in runs.items():
        title, ours = f"{what}: {name}", name.startswith(OURS)
        if run.gave_up:
            figures.append(Figure(title, NAN, "%", note=f"gave up at {run.gave_up}"))
            continue
        target = ABOVE_FLOOR_PCT if ours and foreseen else None
        paid = f"{whole[name]:.2f}, {run.score.cost:.2f} before what is stored is settled"
        note = f"above the floor; {paid}; {_trouble(run)}"
        figures.append(Figure(title, 100.0 * (whole[name] / floor - 1.0), "%", target, note=note))
        figures.append(time_row(title, run.cpu_ms, run.wall_ms, OWN_MS if ours else None))
        if ours and not foreseen and np.isfinite(best):
            over = 100.0 * (whole[name] / best - 1.0)
            figures.append(Figure(f"{title}: over the best peer", over, "%", ABOVE_BEST_PCT))
    return figures


def _trouble(run: Run) -> str:
    why = f" ({run.last_failure})" if run.failures else ""
    return (
        f"{run.score.battery_violations} battery and {run.score.grid_violations} grid violations; "
        f"{run.failures} of {len(run.cpu_ms)} failed{why}"
    )
