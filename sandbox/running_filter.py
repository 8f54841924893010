"""A filter that runs along with the plant: missing, bad and late samples.

Missing samples are skipped. A sample beyond GATE standard deviations of its innovation is kept as
a residual and not used, so a glitch does not bend the state; after PATIENCE such samples in a row
the plant is believed (an open window is no glitch).

Late samples: each step keeps the belief before it, its inputs and its samples for `lag_s`. A
sample that arrives later is put into its step, and everything since is filtered again from the
belief before it. The result is the same bytes as if the sample had come in time.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from sandbox.filters import Belief, Method, Step, innovation, predict, update, widened

Array = NDArray[np.float64]
GATE = 6.0
PATIENCE = 4
LAG_S = 6 * 3600.0

# (begin of the step, its length in seconds, inputs by signal) -> the model's step.
Model = Callable[[datetime, float, Mapping[str, float]], Step]


@dataclass(frozen=True)
class Noise:
    """process: covariance (S, S) over `step_s` seconds. sensors: variance by signal."""

    process: Array
    sensors: Mapping[str, float]
    step_s: float


@dataclass(frozen=True)
class Believed:
    """A belief and, by signal, how many samples in a row were refused."""

    belief: Belief
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One step: what was believed before it, what drove it, what was seen at its end."""

    before: Believed
    begin: datetime
    step_s: float
    inputs: Mapping[str, float]
    samples: Mapping[str, float]
    innovations: Mapping[str, float]

    @property
    def end(self) -> datetime:
        """When the step ends."""
        return self.begin + timedelta(seconds=self.step_s)


class RunningFilter:
    """The state of one twin along the plant's time.

    Args:
        model: makes the step function of given inputs.
        start: what is believed at the beginning.
        noise: of process and sensors; `sensors` names the signals that are used.
        shows: index of the state that each signal shows.
        method: extended or unscented.
        lag_s: how late a sample may come.
    """

    def __init__(
        self, model: Model, start: Belief, noise: Noise, shows: Mapping[str, int],
        method: Method = "ekf", lag_s: float = LAG_S,
    ) -> None:  # fmt: skip
        self._model, self._noise, self._shows = model, noise, dict(shows)
        self._method: Method = method
        self._lag_s = lag_s
        self._now = Believed(start)
        self._rows: deque[Row] = deque()

    @property
    def belief(self) -> Belief:
        """What is believed at the end of the last step."""
        return self._now.belief

    def take(
        self, begin: datetime, step_s: float, inputs: Mapping[str, float],
        samples: Mapping[str, float],
    ) -> Mapping[str, float]:  # fmt: skip
        """One step of the plant: what drove it, what was seen at its end (NaN or absent: missing).

        Returns the innovations by signal, refused samples among them.
        """
        row = Row(self._now, begin, step_s, dict(inputs), dict(samples), {})
        return self._filter(row).innovations

    def late(self, signal: str, time: datetime, value: float) -> Mapping[str, float]:
        """A sample of the past: of the step that ends at `time`, or that `time` lies in.

        Returns the innovations of that step as they are now. A sample that is already there stays.

        Raises:
            InputError: nobody uses the signal, or its step is no longer, or not yet, kept.
        """
        if signal not in self._shows:
            raise InputError(
                f"the filter does not use {signal}", f"it uses {', '.join(self._shows)}"
            )
        at = next((k for k, r in enumerate(self._rows) if r.begin < time <= r.end), None)
        if at is None:
            kept = f"{self._rows[0].begin} to {self._rows[-1].end}" if self._rows else "nothing yet"
            raise InputError(
                f"the sample of {signal} at {time} is outside what can be filtered again",
                f"kept: {kept}",
            )
        if np.isfinite(self._rows[at].samples.get(signal, np.nan)):
            return self._rows[at].innovations
        again = list(self._rows)[at:]
        again[0] = replace(again[0], samples={**again[0].samples, signal: value})
        for _ in again:
            self._rows.pop()
        self._now = again[0].before
        done = [self._filter(replace(row, before=self._now)) for row in again]
        return done[0].innovations

    def _filter(self, row: Row) -> Row:
        """Predict and update over `row`, and keep it for late samples."""
        step = self._model(row.begin, row.step_s, row.inputs)
        share = row.step_s / self._noise.step_s
        belief = predict(row.before.belief, step, self._noise.process * share, self._method)
        self._now, seen = self._updated(Believed(belief, row.before.refused), row.samples)
        row = replace(row, innovations=seen)
        self._rows.append(row)
        while (row.end - self._rows[0].end).total_seconds() > self._lag_s:
            self._rows.popleft()
        return row

    def _updated(
        self, now: Believed, samples: Mapping[str, float]
    ) -> tuple[Believed, dict[str, float]]:
        """Sequential scalar updates: sensor noise is independent by sensor."""
        belief, refused, seen = now.belief, dict(now.refused), {}
        for signal, index in self._shows.items():
            value = samples.get(signal, np.nan)
            if not np.isfinite(value):
                continue
            variance = self._noise.sensors[signal]
            found = innovation(belief, index, value, variance)
            seen[signal] = found.value
            count = refused.get(signal, 0)
            # Once believed, stay until the model is close again.
            limit = GATE / 2.0 if count > PATIENCE else GATE
            if found.value**2 > limit**2 * found.variance:
                refused[signal] = count + 1
                if count < PATIENCE:
                    continue
                belief = widened(belief, index, found.value**2)
            else:
                refused[signal] = 0
            belief = update(belief, index, value, variance)
        return Believed(belief, refused), seen
