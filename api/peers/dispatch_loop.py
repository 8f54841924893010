"""The closed loop of several dispatch planners, each on its own copy of one battery.

Every hour each planner in turn is asked for a plan from where its own battery stands, and its first
hour is followed. So they meet the same minutes of a busy machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from api.peers import neutral_simulator as simulator
from api.peers.dispatch_case import DispatchCase, Forecasts
from api.peers.peer_process import PeerError, PeerProcess, numbers

EVERY = 4  # steps of a plan that are followed
ANSWER_LIMIT_S = 60.0


@dataclass
class Run:
    """One planner's run. `gave_up` says why it ended early; then its score means nothing."""

    score: simulator.Score
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)
    failures: int = 0
    last_failure: str = ""
    gave_up: str = ""


def run_side_by_side(
    case: DispatchCase,
    planners: Mapping[str, PeerProcess],
    forecasts: Forecasts,
    every: int = EVERY,
) -> dict[str, Run]:
    """Run every planner over the case, `every` steps of each plan being followed.

    Processes must have been told the case's statement.
    """
    runs = {name: Run(simulator.start(case)) for name in planners}
    for k in range(0, case.steps, every):
        for name, process in planners.items():
            if not runs[name].gave_up:
                _decide(case, process, forecasts, k, min(every, case.steps - k), runs[name])
    return runs


def _decide(
    case: DispatchCase, process: PeerProcess, forecasts: Forecasts, k: int, ahead: int, run: Run
) -> None:
    """Ask once and follow. An answer without powers leaves the battery idle, and is a failure."""
    try:
        question = case.question(k, run.score.stored_kwh, forecasts)
        answer = process.ask(question, ANSWER_LIMIT_S)
        if answer.get("ok") is not True:
            run.failures += 1
            run.last_failure = str(answer.get("status", "says nothing"))[:80]
        # What it hands on with a failed solve is followed, as its users' batteries would.
        idle = answer.get("ok") is not True and "power_kw" not in answer
        powers = [0.0] * ahead if idle else numbers(answer, "power_kw", ahead, case.horizon)
        for name, times in (("cpu_ms", run.cpu_ms), ("wall_ms", run.wall_ms)):
            times += numbers({name: [answer.get(name)]}, name, 1, 1)
    except PeerError as error:
        run.gave_up = f"step {k}: {error}"
        return
    for j in range(ahead):
        simulator.step(case, run.score, k + j, powers[j])
