"""The rows of the four tanks: what each controller's loop cost, what a plan took, and what it does
where no control keeps the bounds."""

from contextlib import ExitStack

import numpy as np

from api.bench_figure import Figure
from api.peers.peer_list import OURS, TANKS, Places, Say
from api.peers.peer_process import PeerError
from api.peers.peer_rows import NAN, missing_rows, time_row, told
from api.peers.tanks_loop import (
    WEAK_V,
    TanksCase,
    TanksRun,
    ask_the_impossible,
    check_same_plant,
    run_tanks,
    tanks_case,
)

OVER_BEST = 1.02  # of the cost at the ends of steps, over the best peer's
OVER_FASTEST = 1.0  # of a plan's median time, over the fastest peer's


def tanks_rows(steps: int, places: Places, say: Say) -> list[Figure]:
    """The four tanks in closed loop, then the same with pumps too weak for the bounds."""
    case = tanks_case(steps)

    def same_plant(about: object) -> None:
        check_same_plant(case, about)  # type: ignore[arg-type]

    with ExitStack() as stack:
        controllers, missing = told(TANKS, places, case.statement(), stack, same_plant)
        say(f"four tanks, {steps} steps: {', '.join(controllers)}")
        runs = run_tanks(case, controllers)
    figures = missing_rows("four tanks", missing, "cm2") + _loop_rows(runs)
    say("four tanks with weak pumps")
    return figures + _impossible_rows(case, places)


def _loop_rows(runs: dict[str, TanksRun]) -> list[Figure]:
    peers = [r for n, r in runs.items() if not n.startswith(OURS) and not r.gave_up]
    best = min((r.at_ends for r in peers), default=NAN)
    fastest = min((float(np.median(r.cpu_ms[1:])) for r in peers), default=NAN)
    figures = []
    for name, run in runs.items():
        title = f"four tanks: {name}"
        if run.gave_up:
            figures.append(Figure(title, NAN, "cm2", note=f"gave up at {run.gave_up}"))
            continue
        why = f" ({run.last_failure}; {run.handed_on} handed on)" if run.failures else ""
        note = (f"at the ends of steps; {run.along:.3f} along them; {run.violations} violations; "
                f"{run.failures} of {len(run.cpu_ms)} failed{why}")  # fmt: skip
        figures.append(Figure(title, run.at_ends, "cm2", note=note))
        figures.append(time_row(title, run.cpu_ms, run.wall_ms, None))
        if name == f"{OURS} compiled" and peers:
            figures.append(
                Figure(f"{title}: over the best peer", run.at_ends / best, "1", OVER_BEST)
            )
            own = float(np.median(run.cpu_ms[1:]))
            figures.append(
                Figure(f"{title}: time over the fastest peer", own / fastest, "1", OVER_FASTEST)
            )
    return figures


def _impossible_rows(case: TanksCase, places: Places) -> list[Figure]:
    """1 where a control comes with a solve that its own solver calls failed."""
    figures = []
    with ExitStack() as stack:
        controllers, _ = told(TANKS, places, case.statement(WEAK_V), stack)
        for name, process in controllers.items():
            title = f"four tanks, no solution: {name}"
            try:
                good, handed, status = ask_the_impossible(case, process)
            except PeerError as error:
                figures.append(Figure(title, NAN, "1", note=str(error)))
                continue
            says = "solved, its bounds being soft" if good else "failed"
            gives = "a control is handed on" if handed else "no control is handed on"
            target = 0.0 if name.startswith(OURS) else None
            failed = float(handed and not good)
            figures.append(Figure(title, failed, "1", target, note=f"{says} ({status}); {gives}"))
    return figures
