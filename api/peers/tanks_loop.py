"""The closed loop of several nonlinear predictive controllers, each on its own four tanks.

A minute a step, 24 steps ahead, targets of the two lower levels that jump every quarter of an hour
and are known in advance, measurements with noise; the same for all. Two costs are counted, because
planners minimise one or the other: the squared distance from the targets at the ends of the steps,
and its mean along them. Hard moves are left out, which the peers do not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api.bench_planner import STAGES, Task, tanks
from api.peers.dispatch_loop import ANSWER_LIMIT_S
from api.peers.peer_process import PeerError, PeerProcess, numbers
from sandbox.symbolic.batch import BatchSimulator

Array = NDArray[np.float64]
PARTS = 6  # of a step, at whose ends the plant is looked at
LEAST_CM = 0.05  # the least level that equations with a root can be asked about
MOVE = 1e-2 / 9.0  # of a squared move in V: a hundredth of the pump's nominal 3 V, squared
OUTSIDE_CM = 1e-3
SAME_PLANT = 1e-9
WEAK_V = 1.0  # with pumps this weak no control keeps the lower levels above 5 cm


@dataclass(frozen=True)
class TanksCase:
    """The bench's four tanks over so many steps."""

    task: Task
    steps: int

    def statement(self, greatest_v: float | None = None) -> dict[str, Any]:
        """What a controller is told once; `greatest_v` states weaker pumps than there are."""
        task = self.task
        symbolic = task.model.symbolic
        known = dict(zip(symbolic.parameter_names, map(float, symbolic.defaults), strict=True))
        greatest = task.greatest if greatest_v is None else np.full(2, greatest_v)
        return {
            "step_s": task.step_s, "stages": STAGES, "x0": task.x0.tolist(), "u0": task.u0.tolist(),
            "parameters": {n: known[n] for n in ("k1", "k2", "gamma1", "gamma2")},
            "track": task.track.tolist(), "move": MOVE,
            "low": np.maximum(task.low, LEAST_CM).tolist(), "high": task.high.tolist(),
            "least": task.least.tolist(), "greatest": greatest.tolist(),
        }  # fmt: skip

    def question(self, k: int, seen: Array) -> dict[str, Any]:
        """What a controller is asked at step k: measured levels, targets of the coming steps."""
        return {"k": k, "x": seen.tolist(), "target": self.task.target[k : k + STAGES].tolist()}

    def plant(self) -> BatchSimulator:
        """The tanks, looked at `PARTS` times a step."""
        return BatchSimulator(self.task.model.symbolic, self.task.step_s / PARTS, 4)


def tanks_case(steps: int) -> TanksCase:
    """The bench's four tanks over `steps` steps."""
    return TanksCase(tanks(steps), steps)


@dataclass
class TanksRun:
    """One controller's run. `gave_up` says why it ended early; then its costs mean nothing."""

    x: Array
    u: Array
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    at_ends: float = 0.0
    along: float = 0.0
    violations: int = 0
    failures: int = 0
    handed_on: int = 0  # controls that came with a failed solve
    last_failure: str = ""
    gave_up: str = ""
    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)


def check_same_plant(case: TanksCase, about: Mapping[str, Any]) -> None:
    """Raises PeerError where the peer's equations are not the plant's."""
    import casadi

    task = case.task
    written = task.model.symbolic.written
    flow = casadi.Function("flow", [written.x, written.u, written.p], [written.flow])
    inputs = [*task.u0, float(task.w[0, 0])]
    ours = np.asarray(flow(task.x0, inputs, task.model.symbolic.defaults), dtype=float).ravel()
    theirs = numbers(dict(about), "rates", len(ours), len(ours))
    if not np.allclose(ours, theirs, rtol=0, atol=SAME_PLANT):
        raise PeerError(f"states another plant: rates {theirs}, not {ours.tolist()}")


def run_tanks(case: TanksCase, controllers: Mapping[str, PeerProcess]) -> dict[str, TanksRun]:
    """Control the tanks by every controller in turn, step by step. They must have been told."""
    plant = case.plant()
    runs = {name: TanksRun(case.task.x0, case.task.u0) for name in controllers}
    for k in range(case.steps):
        for name, process in controllers.items():
            run = runs[name]
            if run.gave_up:
                continue
            try:
                _ask(case, process, k, run)
            except PeerError as error:
                run.gave_up = f"step {k}: {error}"
                continue
            _move(case, plant, k, run)
    return runs


def _ask(case: TanksCase, process: PeerProcess, k: int, run: TanksRun) -> None:
    """Without a control in the answer the pumps stay as they are."""
    noise = case.task.noise * run.generator.standard_normal(len(run.x))
    answer = process.ask(case.question(k, run.x + noise), ANSWER_LIMIT_S)
    if answer.get("ok") is not True:
        run.failures += 1
        run.handed_on += "u" in answer
        run.last_failure = str(answer.get("status", "says nothing"))[:80]
    if answer.get("ok") is True or "u" in answer:
        run.u = np.array(numbers(answer, "u", 2, 2))
    for name, times in (("cpu_ms", run.cpu_ms), ("wall_ms", run.wall_ms)):
        times += numbers({name: [answer.get(name)]}, name, 1, 1)


def _move(case: TanksCase, plant: BatchSimulator, k: int, run: TanksRun) -> None:
    """A step of the plant; a pump does not follow a command beyond its range."""
    task = case.task
    u = np.clip(run.u, task.least, task.greatest)
    row = np.array([*u, task.w[k, 0]])
    states, _ = plant.run(run.x[None], np.repeat(row[None], PARTS, axis=0))
    off = ((states[0, :, :2] - task.target[k]) ** 2) @ task.track
    run.x = states[0, -1]
    run.at_ends += float(off[-1])
    run.along += float(np.mean(off))
    outside = max(float(np.max(task.low - run.x)), float(np.max(run.x - task.high)))
    commanded = float(np.max(np.abs(run.u - u)))
    run.violations += outside > OUTSIDE_CM or commanded > OUTSIDE_CM


def ask_the_impossible(case: TanksCase, process: PeerProcess) -> tuple[bool, bool, str]:
    """Whether a controller told of weak pumps calls its solve good, whether it hands on a control,
    and its status. Raises PeerError."""
    answer = process.ask(case.question(0, case.task.x0), ANSWER_LIMIT_S)
    return answer.get("ok") is True, "u" in answer, str(answer.get("status", "says nothing"))[:80]
