"""Watches a twin's residuals: is it the model, a sensor, or has the plant changed?

Residuals are hourly, of several channels at once (heat balances, powers, meters). Every few hours:

1. The last WINDOW_H hours are freed of what is usual in them (`residual_noise`).
2. Each named cause has a shape in all channels (`Signs`); their evidence is compared, hour of
   onset by hour of onset (`residual_causes`). Probabilities sum to one, nothing and "something
   else" among them.
3. The sequential test is a window-limited generalised likelihood ratio (Willsky and Jones 1976,
   doi:10.1109/TAC.1976.1101146; Lai 1998, doi:10.1109/18.669166): it alarms when the greatest
   ratio over all causes and onsets passes LIMIT without the few hours that speak loudest for it.
4. A cause that is all but certain for a day is confirmed. From then on it is known: it is part of
   what is expected, so that it hides nothing new, and its evidence cannot change sides once its
   beginning has left the window. A confirmed error of the whole model is different: until the twin
   is fitted again, nothing else can be told.

Once the test alarms, hours at which the best cause acts strongly count for less: its shape comes
from the twin and is no truer than the twin is, which must not decide between causes alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sandbox.residual_causes import (
    OVERDISPERSION,
    UNKNOWN,
    Cause,
    Place,
    Weighed,
    White,
    weigh,
)
from sandbox.residual_noise import ReferenceNoise, whitener

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW_H = 96
EVERY_H = 3
ONSET_STEP_H = 12  # onsets are tried so far apart, and where residuals jump
JUMPS = 3
LEAST_H = 6  # an effect that is younger cannot be told from noise
# Twice the ratio is chi-squared: for white Gaussian residuals one test passes 10 once in a hundred
# thousand times. Healthy residuals are neither, and hundreds of causes and onsets are tried: that
# is what OVERDISPERSION of `residual_causes` is for. The design is at most one false alarm a month
# a building; what was measured stands in the documentation.
LIMIT = 10.0
CERTAIN = 0.95
SURE_H = 24  # a cause is confirmed once it has been all but certain for so long
SIGN_ACCURACY = 0.15  # shapes come from a twin: they are no truer than it is
GONE_H = 48  # a confirmed cause that explains nothing of the last hours has ended
GONE = 5.0  # log likelihood ratio
KINDS = ("none", "sensor_fault", "process_fault", "model_error", UNKNOWN)


class Signs(Protocol):
    """Residuals of one stretch of telemetry and how each cause would show in them."""

    @property
    def names(self) -> tuple[str, ...]:
        """The channels."""
        ...

    @property
    def values(self) -> Array:
        """Hourly residuals (H, C), NaN where unknown."""
        ...

    @property
    def begins(self) -> tuple[datetime, ...]:
        """Begin of each hour, in the site's zone."""
        ...

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What may be wrong."""
        ...

    def direction(self, cause: str, onset: int | None) -> Array:
        """(H, C, K): residuals a unit of each size of the cause, begun at an hour or long ago.

        0 where unknown.
        """
        ...

    def usual(self) -> tuple[Array, tuple[float, ...]]:
        """Directions (H, C, K) that mean nothing, and how large they usually are."""
        ...

    @property
    def spread(self) -> Array:
        """What the model may be off by at such an hour (H, C), besides what its record shows."""
        ...


@dataclass(frozen=True)
class Confirmed:
    """A cause that is known. since: hour; None for longer than the window."""

    cause: Cause
    since: int | None
    named_at: int
    sizes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What the residuals up to hour `at` (exclusive) say.

    weighed: all causes, the most probable first, summing to one; ratio: the test's statistic.
    """

    at: int
    time: datetime
    weighed: tuple[Weighed, ...]
    ratio: float
    known: tuple[Confirmed, ...] = ()

    @property
    def alarm(self) -> bool:
        """Whether something new is going on."""
        return self.ratio >= LIMIT

    @property
    def kinds(self) -> dict[str, float]:
        """Probability by kind: none, sensor_fault, process_fault, model_error, unknown."""
        total = dict.fromkeys(KINDS, 0.0)
        for w in self.weighed:
            total[w.kind] = total.get(w.kind, 0.0) + w.probability
        return total

    @property
    def top(self) -> Weighed:
        """The most probable cause."""
        return self.weighed[0]


def judge(
    signs: Signs, noise: ReferenceNoise, stop: int, known: Sequence[Confirmed] = (),
    window_h: int = WINDOW_H,
) -> Judgement | None:  # fmt: skip
    """Judge the hours before `stop`; None where too few of them are known."""
    first = max(0, stop - window_h)
    hours = slice(first, stop)
    there = _known(signs.values[hours])
    if there.sum() < LEAST_H:
        return None
    view = _View(signs, noise, first, stop, there)
    told, taken = tuple(known), {c.cause.name for c in known}
    causes = [c for c in signs.causes if c.name not in taken]
    if any(c.cause.kind == "model_error" for c in known):
        # A twin that is off everywhere says nothing of single parts: only whether it still is.
        causes = [c for c in signs.causes if c.kind == "model_error"]
        known = [c for c in known if c.cause.kind != "model_error"]
    weighed = weigh(causes, view.white(causes, known))
    ratio = max(w.likelihood_ratio for w in weighed)
    if ratio >= LIMIT:
        doubted = replace(view, doubt=SIGN_ACCURACY * view.effect(weighed))
        weighed = weigh(causes, doubted.white(causes, known))
    end = signs.begins[stop - 1] + timedelta(hours=1)
    return Judgement(stop, end, weighed, ratio, told)


@dataclass
class _View:
    """One window of the residuals, ready to be whitened."""

    signs: Signs
    noise: ReferenceNoise
    first: int
    stop: int
    there: NDArray[np.bool_]
    doubt: Array | float = 0.0
    hour: Ints = field(init=False)

    def __post_init__(self) -> None:
        begins = self.signs.begins[self.first : self.stop]
        self.hour = np.array([t.hour for t in begins], dtype=np.int64)

    def white(self, causes: Sequence[Cause], known: Sequence[Confirmed]) -> White:
        """All directions whitened in one go."""
        usual, prior = self.signs.usual()
        blocks = [usual[self.first : self.stop]]
        for one in known:
            blocks.append(self._direction(one.cause.name, one.since))
            prior = (*prior, *(3.0 * p for p in one.cause.prior))
        size, places = 0, []
        for cause in causes:
            for onset in self._onsets(cause):
                began = None if onset <= self.first else onset
                blocks.append(self._direction(cause.name, began))
                wide = blocks[-1].shape[2]
                places.append(Place(cause.name, onset, slice(size, size + wide)))
                size += wide
        values = np.nan_to_num(self.signs.values[self.first : self.stop])[..., None]
        table = self._whitened(np.concatenate([values, *blocks], axis=2))
        channels = len(self.signs.names)
        hours = np.flatnonzero(self.there)
        channel, hour = np.tile(np.arange(channels), len(hours)), np.repeat(hours, channels)
        split = 1 + len(prior)
        return White(
            table[:, 0], channel, hour, table[:, split:], tuple(places), table[:, 1:split], prior,
            self.stop - self.first,
        )  # fmt: skip

    def effect(self, weighed: Sequence[Weighed]) -> Array:
        """What the best named cause adds to the residuals (H, C), without its sign."""
        best = max(weighed, key=lambda w: w.log_bayes_factor if w.cause else -math.inf)
        assert best.onset is not None
        began = None if best.onset <= self.first else best.onset
        return np.asarray(np.abs(self._direction(best.name, began) @ np.array(best.sizes)))

    def _direction(self, cause: str, onset: int | None) -> Array:
        return self.signs.direction(cause, onset)[self.first : self.stop]

    def _whitened(self, table: Array) -> Array:
        spread = np.hypot(self.signs.spread[self.first : self.stop], self.doubt)
        scaled = self.noise.scaled(table, self.hour, spread)
        return whitener(self.noise, self.there)(scaled).reshape(-1, table.shape[2])

    def _onsets(self, cause: Cause) -> list[int]:
        """Hours to try: long ago, a coarse grid, and where the cause's channel jumps."""
        if cause.always:
            return [self.first]
        grid = range(self.first - self.first % -ONSET_STEP_H, self.stop - LEAST_H + 1, ONSET_STEP_H)
        found = {self.first, *(k for k in grid if k > self.first)}
        mine = [i for i, n in enumerate(self.signs.names) if n.split(".", 1)[0] == cause.subject]
        values = np.nan_to_num(self.signs.values[self.first : self.stop])
        scaled = np.abs(self.noise.scaled(values, self.hour)[:, mine]).sum(axis=1)
        for k in np.argsort(-scaled, kind="stable")[:JUMPS]:
            found.add(self.first + int(k))
        return sorted(k for k in found if k <= self.stop - min(LEAST_H, self.stop - self.first))


def watch(
    signs: Signs, noise: ReferenceNoise, first: int = 24, every_h: int = EVERY_H,
    known: Sequence[Confirmed] = (),
) -> list[Judgement]:  # fmt: skip
    """Judge a whole stretch of telemetry as it comes in, every few hours from hour `first` on."""
    made: list[Judgement] = []
    now = list(known)
    for stop in range(first, len(signs.values) + 1, every_h):
        found = judge(signs, noise, stop, now)
        if found is None:
            continue
        now = [c for c in now if not _gone(signs, noise, c, stop)]
        made.append(found)
        top = found.top
        if _agreed(made) and top.name not in {c.cause.name for c in now}:
            assert top.cause is not None
            since = None if top.onset is None or top.onset <= stop - WINDOW_H else top.onset
            now.append(Confirmed(top.cause, since, stop, top.sizes))
        made[-1] = replace(found, known=tuple(now))
    return made


def _agreed(made: Sequence[Judgement]) -> bool:
    """Whether every judgement of the last hours alarms and names the same cause, all but certain.

    Causes that begin alike part only as hours pass: a room that its thermostat keeps too cold
    draws heat from its walls, which for half a day looks like equipment that somebody switched on.
    """
    now = made[-1]
    last = [j for j in made if j.at > now.at - SURE_H]
    if len(last) == len(made) or now.top.cause is None:
        return False
    return all(
        j.top.name == now.top.name and j.top.probability >= CERTAIN and j.alarm for j in last
    )


def _gone(signs: Signs, noise: ReferenceNoise, known: Confirmed, stop: int) -> bool:
    """Whether the last hours speak against a confirmed cause of the size that it had."""
    first = stop - GONE_H
    if first < known.named_at or known.cause.kind == "model_error":
        return False
    there = _known(signs.values[first:stop])
    if there.sum() < LEAST_H:
        return False
    view = _View(signs, noise, first, stop, there)
    cause = replace(known.cause, always=True)
    white = view.white([cause], ())
    y, x = white.y / OVERDISPERSION, white.columns @ np.array(known.sizes) / OVERDISPERSION
    return bool(x @ y - 0.5 * x @ x < -GONE)


def _known(values: Array) -> NDArray[np.bool_]:
    """Hours (H,) of which every channel is known."""
    return np.asarray(np.isfinite(values).all(axis=1), dtype=np.bool_)


def confirmed(judgements: Sequence[Judgement]) -> tuple[Confirmed, ...]:
    """Every cause that was ever confirmed, in order."""
    found: dict[tuple[str, int], Confirmed] = {}
    for judgement in judgements:
        for one in judgement.known:
            found.setdefault((one.cause.name, one.named_at), one)
    return tuple(sorted(found.values(), key=lambda c: c.named_at))


def false_alarm_bound(alarms: int, weeks: float, confidence: float = 0.95) -> float:
    """Upper bound on alarms a week after `alarms` in `weeks` (exact Poisson; Garwood 1936)."""
    from scipy.stats import chi2

    return float(chi2.ppf(confidence, 2 * (alarms + 1))) / 2.0 / weeks


def shares(judgement: Judgement) -> Mapping[str, float]:
    """Probabilities by cause, those below a hundredth in one sum called `others`."""
    shown = {w.name: w.probability for w in judgement.weighed if w.probability >= 0.01}
    rest = math.fsum(w.probability for w in judgement.weighed if w.name not in shown)
    return {**shown, "others": rest} if rest > 0 else shown
