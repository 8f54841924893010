"""Runs of coupled FMUs: as fast as they go, paced by a clock, replayed, or branched for a what-if.

A run moves in steps of one length; within a step the macro step is that length or, with a
tolerance, adaptive. Whatever a run was fed is kept: it can be replayed to the same bytes, and where
FMUs cannot hand over their state, a branch is such a replay in new processes.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graph.clock import Clock
from graph.errors import InputError
from sandbox.fmi.adaptive import StepSize, advance, require_adaptive
from sandbox.fmi.hosted import FmuError
from sandbox.fmi.limits import FmuLimits
from sandbox.fmi.master import CoupledState, FmuMaster, PackedState, Scheme
from sandbox.fmi.system import FmuSystem

Array = NDArray[np.float64]
BranchedBy = Literal["state", "snapshot", "replay"]


@dataclass(frozen=True)
class Recording:
    """What a run was fed and what came out. Row k is the step that ends at `times[k]`.

    start_s: begin of the first step; times: (N,); inputs: by name (N,), held during the step;
    outputs: by name (N,), at its end; macro_steps: how many macro steps it took in all.
    """

    start_s: float
    step_s: float
    times: Array
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    macro_steps: int = 0

    def __len__(self) -> int:
        return len(self.times)

    @property
    def digest(self) -> str:
        """sha256 over names and bits of every number; equal runs have equal digests."""
        head = json.dumps([self.start_s, self.step_s, list(self.inputs), list(self.outputs)])
        total = hashlib.sha256(head.encode())
        for column in (self.times, *self.inputs.values(), *self.outputs.values()):
            total.update(np.ascontiguousarray(column, dtype="<f8").tobytes())
        return f"sha256:{total.hexdigest()}"


@dataclass(frozen=True)
class RunPoint:
    """A kept point of one run, valid in its processes only."""

    state: CoupledState
    steps: int
    macro_steps: int
    next_s: float | None
    means: Mapping[str, float]


@dataclass
class Pace:
    """Real time: the end of each step is not told before the clock has come so far.

    speed: seconds of the run per second of the clock. worst_late_s: how far the FMUs fell behind.
    """

    clock: Clock
    speed: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    worst_late_s: float = 0.0
    _began: float | None = field(default=None, repr=False)

    def begin(self) -> None:
        """The run starts now."""
        self._began = self.clock.monotonic()

    def wait(self, elapsed_s: float) -> None:
        """Sleep until the clock has reached `elapsed_s` of the run's time."""
        assert self._began is not None
        due = self._began + elapsed_s / self.speed
        while (left := due - self.clock.monotonic()) > 0:
            self.sleep(left)
        self.worst_late_s = max(self.worst_late_s, -left)


class FmuRun:
    """Coupled FMUs that run in steps of `step_s` and remember what they were fed.

    Args:
        tolerance: adaptive macro steps within each step (see `adaptive`); fixed without it.
        inputs: initial values of inputs from outside.

    Raises:
        InputError: as `FmuMaster`, or an adaptive step with FMUs that cannot; they are named.
        FmuError: an FMU does not start.
    """

    def __init__(
        self, system: FmuSystem, *, step_s: float, tolerance: float | None = None,
        scheme: Scheme = "gauss_seidel", start_s: float = 0.0,
        inputs: Mapping[str, float] | None = None, limits: FmuLimits | None = None,
    ) -> None:  # fmt: skip
        if not (math.isfinite(step_s) and step_s > 0):
            raise InputError(f"a macro step of {step_s} s", "expected more than 0")
        self.system, self.step_s, self.tolerance = system, step_s, tolerance
        self.scheme, self.limits, self.start_s = scheme, limits, start_s
        self.initial_inputs = dict(inputs or {})
        self.history: list[dict[str, float]] = []
        self.macro_steps = 0
        self._failure: FmuError | InputError | None = None
        self._size = StepSize()
        if tolerance is not None:
            require_adaptive(system.interfaces(limits))
        self.master = FmuMaster(
            system, scheme=scheme, start_s=start_s, inputs=inputs, limits=limits
        )
        self.means: dict[str, float] = dict(self.master.values)

    @property
    def time_s(self) -> float:
        """Where all FMUs stand."""
        return self.master.time_s

    @property
    def values(self) -> Mapping[str, float]:
        """Watched and connected outputs at `time_s`."""
        return self.master.values

    def step(self, inputs: Mapping[str, float]) -> dict[str, float]:
        """One step with `inputs` held (those not given stay); all outputs at its end.

        `means` then holds each output's mean over the step: of the values at the ends of its macro
        steps, weighted by their lengths.

        Raises:
            InputError: an unknown input.
            FmuError: an FMU failed; the run is over.
        """
        if self._failure is not None:  # some FMUs have stepped and some have not
            raise self._failure
        self.master.hold(inputs)
        try:
            parts = self._macro_steps(self.start_s + (len(self.history) + 1) * self.step_s)
        except (FmuError, InputError) as error:
            self._failure = error
            raise
        self.history.append(dict(inputs))
        self.macro_steps += len(parts)
        total = math.fsum(length for length, _ in parts)
        self.means = {n: math.fsum(w * v[n] for w, v in parts) / total for n in self.master.values}
        return dict(self.master.values)

    def _macro_steps(self, end_s: float) -> list[tuple[float, dict[str, float]]]:
        if self.tolerance is not None:
            return advance(self.master, end_s, self.tolerance, self._size)
        self.master.step_to(end_s)
        return [(self.step_s, dict(self.master.values))]

    # --- branches -----------------------------------------------------------------------------

    def branch(self) -> tuple["FmuRun", BranchedBy]:
        """An independent run at the same point, in processes of its own, and how it got there.

        With all FMUs able to serialise their state, by that; else by a replay from the start.
        """
        able = all(p.interface.can_serialise for p in self.master.processes.values())
        other = self._fresh()
        try:
            if able:
                other.take_state(self.master.packed())
                other.history, other._size = list(self.history), StepSize(self._size.next_s)
                other.macro_steps, other.means = self.macro_steps, dict(self.means)
                return other, "state"
            for inputs in self.history:
                other.step(inputs)
        except BaseException:
            other.close()
            raise
        return other, "replay"

    def take_state(self, state: PackedState) -> None:
        """Continue from another run's `master.packed()` of the same system."""
        self.master.unpack(state)

    def what_if(
        self, inputs: Mapping[str, Array | Sequence[float]], steps: int
    ) -> tuple[Recording, BranchedBy]:
        """What the next `steps` would be with other inputs; this run stays where it is.

        FMUs that keep snapshots but cannot hand them over run the branch themselves and return.
        """
        processes = self.master.processes.values()
        keep = all(p.interface.can_snapshot for p in processes)
        if not keep or all(p.interface.can_serialise for p in processes):
            other, how = self.branch()
            try:
                return record(other, inputs, steps), how
            finally:
                other.close()
        here = self.keep()
        try:
            return record(self, inputs, steps), "snapshot"
        finally:
            self.return_to(here)
            self.master.release(here.state)

    def keep(self) -> "RunPoint":
        """This point, to return to. Raises InputError where an FMU keeps no snapshots."""
        return RunPoint(
            self.master.snapshot(), len(self.history), self.macro_steps, self._size.next_s,
            dict(self.means),
        )  # fmt: skip

    def return_to(self, point: "RunPoint") -> None:
        """Back to a kept point of this run; what came after it is forgotten."""
        self.master.restore(point.state)
        del self.history[point.steps :]
        self.macro_steps, self.means = point.macro_steps, dict(point.means)
        self._size, self._failure = StepSize(point.next_s), None

    def _fresh(self) -> "FmuRun":
        return FmuRun(
            self.system, step_s=self.step_s, tolerance=self.tolerance, scheme=self.scheme,
            start_s=self.start_s, inputs=self.initial_inputs, limits=self.limits,
        )  # fmt: skip

    def close(self) -> None:
        """End all processes. A second call does nothing."""
        self.master.close()

    def __enter__(self) -> "FmuRun":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def record(
    run: FmuRun, inputs: Mapping[str, Array | Sequence[float]], steps: int,
    pace: Pace | None = None,
) -> Recording:  # fmt: skip
    """Run `steps` steps, as fast as they go or at a pace.

    Args:
        inputs: by name, (n,) with n >= steps; row k is held during step k.

    Raises:
        InputError: too few rows, an unknown input, a number that is not finite.
        FmuError: an FMU failed.
    """
    table = {n: np.asarray(column, dtype=np.float64) for n, column in inputs.items()}
    short = [n for n, column in table.items() if column.ndim != 1 or len(column) < steps]
    if short:
        raise InputError(f"inputs {', '.join(short)} have too few rows", f"expected {steps}")
    begin_s, before, rows = run.time_s, run.macro_steps, []
    if pace is not None:
        pace.begin()
    for k in range(steps):
        rows.append(run.step({n: float(column[k]) for n, column in table.items()}))
        if pace is not None:
            pace.wait((k + 1) * run.step_s)
    watched = run.system.watch
    return Recording(
        start_s=begin_s,
        step_s=run.step_s,
        times=begin_s + run.step_s * np.arange(1, steps + 1, dtype=np.float64),
        inputs={n: column[:steps].copy() for n, column in table.items()},
        outputs=_columns(watched, rows),
        macro_steps=run.macro_steps - before,
    )


def replay(run: FmuRun, recording: Recording) -> Recording:
    """The same inputs again, in a run that stands where the recording began.

    Raises:
        InputError: the run stands elsewhere or steps differently.
    """
    if (run.time_s, run.step_s) != (recording.start_s, recording.step_s):
        raise InputError(
            f"the run stands at t = {run.time_s:g} s with steps of {run.step_s:g} s",
            f"expected t = {recording.start_s:g} s and {recording.step_s:g} s",
        )
    return record(run, recording.inputs, len(recording))


def _columns(names: Iterable[str], rows: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    return {n: np.array([row[n] for row in rows], dtype=np.float64) for n in names}
