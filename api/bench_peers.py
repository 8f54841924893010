"""`bench peers`: our planner beside the peers, each as shipped, on the same problem and machine.

Every planner, ours too, runs in a process of its own with one thread and is asked over the same
pipe; the peers have environments of their own with pinned versions. Processor milliseconds are
counted inside each process from the question to the answer, the first answer apart for all of them.
"""

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from api.bench_figure import Figure
from api.peers.dispatch_case import DispatchCase, Forecasts, microgrid_case
from api.peers.dispatch_floor import floor_cost
from api.peers.dispatch_loop import START_LIMIT_S, Run, run_side_by_side
from api.peers.neutral_simulator import Score
from api.peers.peer_list import DISPATCH, OURS, Peer, Places, installed, open_peer
from api.peers.peer_process import PeerError, PeerProcess
from graph.errors import UnavailableError

Say = Callable[[str], None]
DAYS, QUICK_DAYS = 7, 1
ABOVE_FLOOR_PCT = 0.05  # with perfect forecasts there is nothing else to lose
ABOVE_BEST_PCT = 0.1  # with the same wrong forecasts plans differ by luck, not by more
OWN_MS = 50.0
NAN = float("nan")


def run_bench(*, quick: bool, say: Say) -> list[Figure]:
    """Every figure, in one run. A peer that is not to be had is a row with its reason."""
    places = installed(DISPATCH, say)
    return dispatch_figures(QUICK_DAYS if quick else DAYS, places, say)


def dispatch_figures(days: int, places: Places, say: Say) -> list[Figure]:
    """The battery of the microgrid pack, with perfect forecasts and with persistence."""
    case = microgrid_case(96 * days)
    floor, _ = floor_cost(case)
    figures = [Figure(f"dispatch, {days} d: least cost in hindsight", floor, "USD")]
    with ExitStack() as stack:
        planners, missing = _told(DISPATCH, places, case, stack)
        figures += [
            Figure(f"dispatch: {name}", NAN, "%", note=why) for name, why in missing.items()
        ]
        kinds: tuple[Forecasts, ...] = ("perfect", "persistence")
        for kind in kinds:
            say(f"dispatch, {days} d, {kind} forecasts: {', '.join(planners)}")
            runs = run_side_by_side(case, planners, kind)
            figures += _column(case, kind, runs, floor)
            planners = {name: p for name, p in planners.items() if not runs[name].gave_up}
    return figures


def _told(
    peers: tuple[Peer, ...], places: Places, case: DispatchCase, stack: ExitStack
) -> tuple[dict[str, PeerProcess], dict[str, str]]:
    """The planners that run, told the problem; and of the others, why not."""
    running: dict[str, PeerProcess] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            process = stack.enter_context(open_peer(peer, places))
            about = process.ask(case.statement(), START_LIMIT_S)
        except (UnavailableError, PeerError) as error:
            missing[peer.name] = f"does not run: {error}"
            continue
        name = peer.name if peer.ours else f"{peer.name} {str(about.get('version', '?'))[:20]}"
        running[name] = process
    return running, missing


def _column(
    case: DispatchCase, kind: Forecasts, runs: dict[str, Run], floor: float
) -> list[Figure]:
    """What each came to above the floor, and what a plan took it."""
    whole = {name: run for name, run in runs.items() if not run.gave_up}
    best = min((r.score.settled(case) for n, r in whole.items() if n != OURS), default=NAN)
    figures = []
    for name, run in runs.items():
        title = f"dispatch, {kind}: {name}"
        if run.gave_up:
            figures.append(Figure(title, NAN, "%", note=f"gave up at {run.gave_up}"))
            continue
        cost = run.score.settled(case)
        target = ABOVE_FLOOR_PCT if name == OURS and kind == "perfect" else None
        note = f"above the floor; {cost:.2f} USD; {_trouble(run.score, run)}"
        figures.append(Figure(title, 100.0 * (cost / floor - 1.0), "%", target, note=note))
        figures.append(_time(title, run, OWN_MS if name == OURS else None))
        if name == OURS and kind == "persistence" and np.isfinite(best):
            over = 100.0 * (cost / best - 1.0)
            figures.append(Figure(f"{title}: over the best peer", over, "%", ABOVE_BEST_PCT))
    return figures


def _trouble(score: Score, run: Run) -> str:
    why = f" ({run.last_failure})" if run.failures else ""
    return (
        f"{score.battery_violations} battery and {score.grid_violations} grid violations; "
        f"{run.failures} of {len(run.cpu_ms)} failed{why}"
    )


def _time(title: str, run: Run, target: float | None) -> Figure:
    later, wall = np.array(run.cpu_ms[1:]), np.array(run.wall_ms[1:])
    note = (f"p95 {np.percentile(later, 95):.1f}, first {run.cpu_ms[0]:.0f}; "
            f"on the clock {np.median(wall):.1f}")  # fmt: skip
    return Figure(f"{title}: a plan", float(np.median(later)), "ms", target, note=note)
