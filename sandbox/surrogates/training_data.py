"""Futures to learn from and to be measured on: random plans, recorded weather, scattered states.

Of each CYCLE days of the record, KEPT are kept apart: nothing of them is learned from, and every
error is measured on them, with the weather as it was recorded.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.canonical import digest_bytes
from graph.errors import InputError
from graph.telemetry import Frame
from sandbox.surrogates.plans import random_errors, random_schedules, scattered, varied
from sandbox.surrogates.replaced import ModelTwin, Replaced
from sandbox.symbolic.batch import Simulates

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
CYCLE, KEPT = 10, 2  # of ten days, the last two are for measuring
PLANS = 4  # different plans from the same moment
DAY_S = 86400.0


@dataclass(frozen=True)
class Futures:
    """x0 (F, S), u (F, N, U) and what the replaced model did: states (F, N, S), outputs."""

    x0: Array
    u: Array
    states: Array
    outputs: Array

    @property
    def digest(self) -> str:
        """Digest of every number of it."""
        parts = (self.x0, self.u, self.states, self.outputs)
        return digest_bytes(b"".join(np.ascontiguousarray(a, dtype="<f8").tobytes() for a in parts))

    @property
    def befores(self) -> Array:
        """The state before each step, (F, N, S)."""
        return np.concatenate([self.x0[:, None], self.states[:, :-1]], axis=1)

    @staticmethod
    def joined(parts: "list[Futures]") -> "Futures":
        """All of them."""
        return Futures(*(np.concatenate([getattr(p, n) for p in parts])
                         for n in ("x0", "u", "states", "outputs")))  # fmt: skip


class _Recorder:
    """Simulates and keeps what it was asked and answered."""

    def __init__(self, inner: Simulates) -> None:
        self.inner = inner
        self.last: Futures | None = None

    def run(self, x0: ArrayLike, u: ArrayLike, p: ArrayLike | None = None) -> tuple[Array, Array]:
        """See `Simulates`."""
        states, outputs = self.inner.run(x0, u, p)
        start, table = np.asarray(x0, dtype=float), np.asarray(u, dtype=float)
        table = np.broadcast_to(table, (len(start), *table.shape[-2:]))
        self.last = Futures(start, np.array(table), states, outputs)
        return states, outputs


def futures_of_twin(
    twin: ModelTwin, replaced: Replaced, frame: Frame, generator: np.random.Generator,
    futures: int, hours: float = 24.0, *, kept: bool = False,
) -> Futures:  # fmt: skip
    """Futures of the twin under random plans from random moments of the record.

    Args:
        kept: draw from the days that are kept apart, else from all others.

    Raises:
        InputError: the record has no stretch that is long and complete enough.
    """
    recorder = _Recorder(replaced.simulator)
    recorded = twin.with_simulator(replaced.step_s, recorder)
    steps = max(1, round(hours * 3600.0 / replaced.step_s))
    moments = usable_rows(frame, twin.layout.disturbance_signals, steps, kept)
    parts: list[Futures] = []
    for first in range(0, futures, PLANS):
        count = min(PLANS, futures - first)
        row = int(moments[int(generator.integers(len(moments)))])
        start = frame.start + timedelta(seconds=frame.step_s * (row - 1))
        w = {s: frame.column(s)[row : row + steps] for s in twin.layout.disturbance_signals}
        x0 = scattered(recorded, replaced, frame, row, generator, count)
        if not kept:
            w = varied(twin, w, generator, count)
        # A warm-up under another plan brings hidden states to where such plans leave them.
        x0 = _moved(recorded, x0, w, start, generator, recorder)
        x0 = scattered(recorded, replaced, frame, row, generator, count, around=x0)
        _moved(recorded, x0, w, start, generator, recorder)
        assert recorder.last is not None
        parts.append(recorder.last)
    return Futures.joined(parts)


def _moved(
    twin: ModelTwin, x0: Array, w: dict[str, Array], start: datetime,
    generator: np.random.Generator, recorder: _Recorder,
) -> Array:  # fmt: skip
    steps = next(iter(w.values())).shape[-1]
    schedules = random_schedules(twin, generator, len(x0), steps)
    extra = random_errors(twin, generator, len(x0), steps)
    recorder.last = None
    twin.simulate(x0, w | extra, schedules, start)
    assert recorder.last is not None
    return np.asarray(recorder.last.states[:, -1])


def usable_rows(frame: Frame, signals: tuple[str, ...], steps: int, kept: bool) -> Ints:
    """Rows from which `steps` rows are complete and all on kept days, or all on others."""
    complete = np.all([np.isfinite(frame.column(s)) for s in signals], axis=0)
    days = np.floor(np.arange(len(frame)) * frame.step_s / DAY_S).astype(int)
    # A window of a day fits into the days kept only because KEPT is two.
    good = complete & ((days % CYCLE >= CYCLE - KEPT) == kept)
    broken = np.concatenate([[0], np.cumsum(~good)])
    starts = np.arange(1, len(frame) - steps + 1)
    found = starts[broken[starts + steps] == broken[starts]]
    if not len(found):
        raise InputError(
            f"the telemetry has no {steps} complete rows in a row "
            f"on days {'to measure on' if kept else 'to learn from'}",
            f"record at least {CYCLE} days of weather and loads",
        )
    return np.asarray(found)
