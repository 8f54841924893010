"""Which cause explains the residuals: hypotheses compared by the evidence for each.

A hypothesis says in which directions residuals move once it is true: y = X theta + e, with
theta ~ N(0, prior^2) and e white noise. The log evidence against theta = 0 is closed (Kass and
Raftery 1995, doi:10.1080/01621459.1995.10476572):

    log B = 1/2 b' A^-1 b - 1/2 log det(I + S X'X S),  b = X'y, A = X'X + S^-2, S = diag(prior),

averaged over the hours at which it may have begun. What is known already (confirmed causes, masses
whose start nobody saw) is uncertain in size and integrated out of everything first. An effect too
small to matter is no cause: log B is corrected by how likely the size is beyond `least` after and
before the data. "Something else" is that the noise has grown, in all channels or in one: whatever
it is, no named cause has its shape. Posterior probabilities over all sum to one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

NOTHING, UNKNOWN = "nothing", "unknown"
HEALTHY = 0.95  # prior probability that nothing is wrong; the families share the rest evenly
# Reference days never span all that health can look like: noise counts as so much larger.
OVERDISPERSION = 1.7
LOUD_H = 6
GROWN = (2.0, 4.0)  # of the noise: what "something else" looks like
CLIP = 4.0  # standard deviations: one hour alone is not "something else"


@dataclass(frozen=True)
class Cause:
    """A hypothesis. kind as in `Finding.kind`; causes of one family share its prior evenly.

    prior: standard deviation of each size; least: a smaller (single) size does not matter;
    one_sided: a single size, positive; always: it began before the window, whenever that begins.
    """

    name: str
    kind: str
    family: str
    subject: str
    text: str
    prior: tuple[float, ...]
    unit: str = ""
    least: float = 0.0
    one_sided: bool = False
    always: bool = False


@dataclass(frozen=True)
class Place:
    """Where a cause that began at some hour has its directions among a window's columns."""

    cause: str
    onset: int
    columns: slice


@dataclass(frozen=True)
class White:
    """White residuals (M,), the channel and the hour of each, and white directions (M, K).

    columns: of all causes and onsets side by side, `places` says whose they are. known: of what is
    known already with the standard deviations of its sizes. onsets: how many hours there were to
    choose from.
    """

    y: Array
    channel: Ints
    hour: Ints
    columns: Array
    places: tuple[Place, ...]
    known: Array
    known_prior: tuple[float, ...]
    onsets: int


@dataclass(frozen=True)
class Weighed:
    """A cause with its evidence; `onset` and `sizes` where it fits best.

    likelihood_ratio: log of the greatest likelihood against nothing new (GLR), without the hours
    that speak loudest for it: one cold morning is no fault.
    """

    name: str
    kind: str
    log_bayes_factor: float
    probability: float = 0.0
    onset: int | None = None
    sizes: tuple[float, ...] = ()
    likelihood_ratio: float = 0.0
    cause: Cause | None = None


def weigh(causes: Sequence[Cause], white: White) -> tuple[Weighed, ...]:
    """All causes, nothing and something else among them, the most probable first."""
    free = _freed(white)
    found = [_weighed(c, white, free) for c in causes]
    found.append(Weighed(UNKNOWN, UNKNOWN, _grown(free.y, white.channel)))
    families = {c.family for c in causes} | {UNKNOWN}
    count = {f: max(1, sum(c.family == f for c in causes)) for f in families}
    share = math.log((1.0 - HEALTHY) / len(families))
    logs = [math.log(HEALTHY)]
    logs += [
        share - math.log(count[w.cause.family if w.cause else UNKNOWN]) + w.log_bayes_factor
        for w in found
    ]
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()
    named = [replace(w, probability=float(p)) for w, p in zip(found, weights[1:], strict=True)]
    every = [Weighed(NOTHING, "none", 0.0, float(weights[0])), *named]
    return tuple(sorted(every, key=lambda w: (-w.probability, w.name)))


@dataclass(frozen=True)
class _Free:
    """With P = I - B (B'B + S^-2)^-1 B' for known directions B: P y, X, P X and X'P y."""

    y: Array
    x: Array
    px: Array
    match: Array


def _freed(white: White) -> _Free:
    """Everything in units of the noise, and what is known integrated out."""
    y, x, b = (v / OVERDISPERSION for v in (white.y, white.columns, white.known))
    if not white.known_prior:
        return _Free(y, x, x, x.T @ y)
    inner = np.linalg.inv(b.T @ b + np.diag(np.array(white.known_prior) ** -2.0))
    py = y - b @ (inner @ (b.T @ y))
    return _Free(py, x, x - b @ (inner @ (b.T @ x)), x.T @ py)


def _weighed(cause: Cause, white: White, free: _Free) -> Weighed:
    """Evidence over all onsets."""
    places = [p for p in white.places if p.cause == cause.name]
    found = [_evidence(cause, free, p.columns) for p in places]
    best = int(np.argmax([f.log for f in found]))
    # Hours that were not tried count as if they explained nothing.
    log = float(np.logaddexp.reduce([f.log for f in found]))
    log -= math.log(max(len(found), 1 if cause.always else white.onsets))
    ratio = max(0.0, *(f.ratio - _loudest(f, free, p, white.hour)
                       for f, p in zip(found, places, strict=True)))  # fmt: skip
    return Weighed(
        cause.name, cause.kind, log, 0.0, places[best].onset, found[best].sizes, ratio, cause
    )


def _loudest(found: "_Evidence", free: _Free, place: Place, hour: Ints) -> float:
    """The most that any LOUD_H hours in a row contribute to the ratio."""
    if found.ratio <= 0.0:
        return 0.0
    size = np.array(found.sizes)
    moved, freed = free.x[:, place.columns] @ size, free.px[:, place.columns] @ size
    each = moved * free.y - 0.5 * moved * freed
    by_hour = np.bincount(hour - hour.min(), weights=each)
    total = np.concatenate([[0.0], np.cumsum(by_hour)])
    blocks = total[min(LOUD_H, len(by_hour)) :] - total[: max(1, len(total) - LOUD_H)]
    return max(0.0, float(blocks.max()))


@dataclass(frozen=True)
class _Evidence:
    """Log evidence, sizes that fit best, and log likelihood ratio of a single size.

    Many sizes together fit anything: their evidence stands for the ratio.
    """

    log: float
    sizes: tuple[float, ...]
    ratio: float


def _evidence(cause: Cause, free: _Free, columns: slice) -> _Evidence:
    if len(cause.prior) > 1:
        return _evidence_of_many(cause, free, columns)
    gram = float(free.x[:, columns.start] @ free.px[:, columns.start])
    match, prior = float(free.match[columns.start]), cause.prior[0]
    variance = 1.0 / (gram + prior**-2.0)
    mean, std = variance * match, math.sqrt(variance)
    log = 0.5 * match * mean - 0.5 * math.log1p(prior**2 * gram)
    # Only sizes that matter, on the side that is allowed, make this cause.
    after = _beyond(mean, std, cause.least, cause.one_sided)
    log += math.log(max(after, 1e-300)) - math.log(
        _beyond(0.0, prior, cause.least, cause.one_sided)
    )
    beyond = mean if cause.one_sided else abs(mean)
    ratio = match * mean - 0.5 * gram * mean**2 if beyond >= cause.least else 0.0
    return _Evidence(log, (mean,), ratio)


def _evidence_of_many(cause: Cause, free: _Free, columns: slice) -> _Evidence:
    std = np.array(cause.prior)
    gram, match = free.x[:, columns].T @ free.px[:, columns], free.match[columns]
    mean = np.linalg.solve(gram + np.diag(std**-2.0), match)
    _, volume = np.linalg.slogdet(np.eye(len(std)) + std[:, None] * gram * std[None])
    log = 0.5 * float(match @ mean) - 0.5 * float(volume)
    return _Evidence(log, tuple(float(v) for v in mean), log)


def _beyond(mean: float, std: float, least: float, one_sided: bool) -> float:
    above = 0.5 * math.erfc((least - mean) / std / math.sqrt(2.0))
    return above if one_sided else above + 0.5 * math.erfc((least + mean) / std / math.sqrt(2.0))


def _grown(free: Array, channel: Ints) -> float:
    """Log evidence that the noise is larger than ever: everywhere, or in one channel."""
    y = np.clip(free, -CLIP, CLIP)
    groups = [channel >= 0, *(channel == c for c in np.unique(channel))]
    logs = [
        0.5 * float(y[at] @ y[at]) * (1.0 - size**-2.0) - int(at.sum()) * math.log(size)
        for at in groups
        for size in GROWN
    ]
    return float(np.logaddexp.reduce(logs) - math.log(len(logs)))
