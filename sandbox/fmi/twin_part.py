"""FMUs as a part of a twin: F futures of N steps in one call.

An FMU cannot be vectorised: every future is a run of its own. One after the other they go through
one set of processes, put back to the start by a snapshot where the FMUs keep one and started anew
where they do not or where parameters differ; `workers` sets of processes share the futures. The
rollout says what that cost. A future's numbers do not depend on F or on the number of workers.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from sandbox.fmi.coupling import split_name
from sandbox.fmi.limits import FmuLimits
from sandbox.fmi.master import PackedState, Scheme
from sandbox.fmi.runs import FmuRun, RunPoint, record
from sandbox.fmi.system import FmuSystem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FmuRollout:
    """What the FMUs did. traces: watched outputs by name, (F, N), at the end of each step.

    seconds: wall time; starts: how often the FMUs' processes were started.
    """

    traces: dict[str, Array]
    seconds: float
    starts: int

    @property
    def steps_per_s(self) -> float:
        """Steps of all futures per second of wall time."""
        return next((a.size for a in self.traces.values()), 0) / self.seconds


class FmuTwinPart:
    """A system of FMUs that simulates futures. It keeps no processes between two calls."""

    def __init__(
        self, system: FmuSystem, *, step_s: float, tolerance: float | None = None,
        scheme: Scheme = "gauss_seidel", workers: int = 1, limits: FmuLimits | None = None,
    ) -> None:  # fmt: skip
        if workers < 1:
            raise InputError(f"{workers} workers", "expected at least 1")
        self.system, self.step_s, self.tolerance = system, step_s, tolerance
        self.scheme, self.workers, self.limits = scheme, workers, limits

    def simulate(
        self,
        futures: int,
        steps: int,
        inputs: Mapping[str, Array | Sequence[float]],
        parameters: Mapping[str, Array | Sequence[float]] | None = None,
        state: PackedState | None = None,
    ) -> FmuRollout:
        """Simulate.

        Args:
            inputs: by `component.variable`, (N,) or (F, N), held during each step.
            parameters: by `component.variable`, (F,): start values that differ between futures.
            state: where to begin (`FmuMaster.packed` of the same system); else at the FMUs' start.

        Raises:
            InputError: a wrong shape or name; a state together with parameters.
            FmuError: an FMU failed; the future is named.
        """
        table = {n: _rows(n, v, futures, steps) for n, v in inputs.items()}
        draws = {n: _column(n, v, futures) for n, v in (parameters or {}).items()}
        if draws and state is not None:
            raise InputError("a state holds its parameters already", "give one or the other")
        began = time.monotonic()
        shares = [range(w, futures, self.workers) for w in range(min(self.workers, futures))]
        job = _Job(self, steps, table, draws, state)
        with ThreadPoolExecutor(max(len(shares), 1)) as pool:
            done = [r for share in pool.map(job.run, shares) for r in share]
        traces = {n: np.empty((futures, steps)) for n in self.system.watch}
        for future, outputs, _ in done:
            for name, values in outputs.items():
                traces[name][future] = values
        return FmuRollout(traces, time.monotonic() - began, sum(s for _, _, s in done))


@dataclass(frozen=True)
class _Job:
    part: FmuTwinPart
    steps: int
    inputs: dict[str, Array]
    draws: dict[str, Array]
    state: PackedState | None

    def run(self, share: range) -> list[tuple[int, Mapping[str, Array], int]]:
        """(future, outputs, starts) of each future of a share, through one set of processes."""
        done: list[tuple[int, Mapping[str, Array], int]] = []
        run: FmuRun | None = None
        home: RunPoint | None = None
        try:
            for future in share:
                starts = 0
                if run is None or home is None:
                    if run is not None:
                        run.close()
                    run, starts = self._open(future), 1
                    able = all(p.interface.can_snapshot for p in run.master.processes.values())
                    home = run.keep() if able and not self.draws else None
                else:
                    run.return_to(home)
                rows = {n: table[future] for n, table in self.inputs.items()}
                done.append((future, record(run, rows, self.steps).outputs, starts))
        finally:
            if run is not None:
                run.close()
        return done

    def _open(self, future: int) -> FmuRun:
        part, system = self.part, self.part.system
        parts = dict(system.parts)
        for name, values in self.draws.items():
            component, variable = split_name(name, parts)
            own = {**parts[component].parameters, variable: float(values[future])}
            parts[component] = replace(parts[component], parameters=own)
        start_s = self.state.time_s if self.state else 0.0
        run = FmuRun(
            replace(system, parts=parts), step_s=part.step_s, tolerance=part.tolerance,
            scheme=part.scheme, start_s=start_s, limits=part.limits,
        )  # fmt: skip
        if self.state is not None:
            run.take_state(self.state)
        return run


def _rows(name: str, values: Array | Sequence[float], futures: int, steps: int) -> Array:
    table = np.asarray(values, dtype=np.float64)
    if table.shape not in ((steps,), (futures, steps)):
        raise InputError(
            f"input {name} has shape {table.shape}", f"expected ({steps},) or ({futures}, {steps})"
        )
    return np.broadcast_to(table, (futures, steps))


def _column(name: str, values: Array | Sequence[float], futures: int) -> Array:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (futures,):
        raise InputError(f"parameter {name} has shape {column.shape}", f"expected ({futures},)")
    return column
