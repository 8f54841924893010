"""Whether stated probabilities come true and intervals hold what they say, and what to do if not.

Cases of one day share their weather and are no independent evidence: every interval here comes from
resampling whole days (Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x).

Scores: Brier (1950); its decomposition after Murphy (1973), doi:10.1175/1520-0450(1973)012<0595:
ANVPOT>2.0.CO;2; interval score after Gneiting and Raftery (2007), doi:10.1198/016214506000001437.

Corrections are fitted on earlier days than those that judge them:
- intervals that miss their level: split conformal with normalised scores (Lei et al. 2018,
  doi:10.1080/01621459.2017.1307116): every interval is stretched around its mean by one factor, so
  that a wide day stays wider than a narrow one;
- probabilities: bent by at most three numbers, as far as days ask for it (`probability_fit`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from sandbox.probability_fit import IDENTITY, Bend

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
RESAMPLES = 2000
CONFIDENCE = 0.95  # of the intervals around every figure
TINY = 1e-12
LEVEL = 0.90  # of the intervals that are judged
EDGES = (0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.0)  # of stated probabilities in the table
FORMAT = 2  # of a stored correction


@dataclass(frozen=True)
class Score:
    """A figure with its 95 % interval from resampled days."""

    value: float
    low: float
    high: float

    def holds(self, target: float) -> bool:
        """Whether the target lies in the interval."""
        return self.low <= target <= self.high


@dataclass(frozen=True)
class Bin:
    """Cases whose stated probability lies in [low, high), the last bin with its end."""

    low: float
    high: float
    cases: int
    days: int
    stated: float
    happened: Score


@dataclass(frozen=True)
class Reliability:
    """How stated probabilities compare with what happened."""

    cases: int
    days: int
    brier: Score
    skill: Score
    reliability: float
    resolution: float
    uncertainty: float
    error: Score
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Coverage:
    """How intervals compare with what happened, beside those of climatology."""

    cases: int
    days: int
    inside: Score
    width: float
    climatology_width: float
    width_ratio: Score
    interval_score: float
    climatology_score: float


@dataclass(frozen=True)
class Correction:
    """Probabilities bent; intervals of a KPI stretched around the mean."""

    bend: Bend = IDENTITY
    stretch: dict[str, float] = field(default_factory=dict)

    def probability(self, stated: float) -> float:
        """The corrected probability."""
        return float(self.probabilities(np.array([stated]))[0])

    def probabilities(self, stated: Array) -> Array:
        """Corrected probabilities, any shape; the identity leaves them to the bit."""
        return self.bend.apply(stated)


def correction_of(report: Mapping[str, Any]) -> Correction:
    """The correction that a twin's report holds; the identity without one.

    Raises:
        InputError: a later format than this, or numbers that no correction has.
    """
    found = report.get("calibration")
    if not found:
        return Correction()
    version = found.get("format", 1)
    if version not in (1, FORMAT):
        raise InputError(f"the twin's calibration has format {version!r}", f"known: 1, {FORMAT}")
    # Format 1 bent both ends alike.
    low, high = ("slope", "slope") if version == 1 else ("low", "high")
    intercept = _number(found, "intercept", -np.inf)
    bend = Bend(intercept, _number(found, low, 0.0), _number(found, high, 0.0))
    stretch = found.get("stretch", {})
    return Correction(bend, {k: _number(stretch, k, 0.0) for k in stretch})


def to_report(correction: Correction) -> dict[str, Any]:
    """What `correction_of` reads."""
    return {
        "format": FORMAT,
        **{k: round(v, 6) for k, v in correction.bend._asdict().items()},
        "stretch": {k: round(v, 6) for k, v in correction.stretch.items()},
    }


def _number(found: Mapping[str, Any], name: str, above: float) -> float:
    value = found.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and above < value < np.inf:
        return float(value)
    raise InputError(
        f"the twin's calibration has {name} {value!r}",
        "run `pilothouse bench calibration --store` again, or fit the twin again",
    )


def reliability(
    stated: Array, happened: Array, days: Ints, climatology: Array, seed: int = 0
) -> Reliability:
    """Judge stated probabilities (n,) against outcomes 0 or 1 (n,), clustered by `days` (n,).

    climatology: what somebody who knows only the past frequency would state for each case, (n,).
    """
    bins = np.clip(np.searchsorted(EDGES, stated, side="right") - 1, 0, len(EDGES) - 2)
    ones = np.ones(len(stated))
    mine, other = (stated - happened) ** 2, (climatology - happened) ** 2
    used = np.unique(bins)
    gaps = [np.where(bins == k, stated - happened, 0.0) for k in used]
    base = float(happened.mean())
    parts = [(bins == k, float(happened[bins == k].mean())) for k in used]
    return Reliability(
        cases=len(stated),
        days=len(np.unique(days)),
        brier=clustered([mine, ones], lambda s: s[0] / s[1], days, seed),
        skill=clustered([mine, other], lambda s: 1.0 - s[0] / np.maximum(s[1], TINY), days, seed),
        reliability=sum(m.mean() * (float(stated[m].mean()) - f) ** 2 for m, f in parts),
        resolution=sum(m.mean() * (f - base) ** 2 for m, f in parts),
        uncertainty=base * (1.0 - base),
        error=clustered(
            [ones, *gaps], lambda s: np.abs(s[1:]).sum(axis=0) / np.maximum(s[0], 1.0), days, seed
        ),
        bins=tuple(_bin(stated, happened, days, bins, int(k), seed) for k in used),
    )


def coverage(
    low: Array, high: Array, actual: Array, days: Ints, climate_low: Array, climate_high: Array,
    seed: int = 0,
) -> Coverage:  # fmt: skip
    """Judge intervals (n,) against what came (n,), clustered by `days`, beside climatology's."""
    inside = ((actual >= low) & (actual <= high)).astype(float)
    width, other = high - low, climate_high - climate_low
    return Coverage(
        cases=len(actual),
        days=len(np.unique(days)),
        inside=clustered([inside, np.ones(len(inside))], lambda s: s[0] / s[1], days, seed),
        width=float(width.mean()),
        climatology_width=float(other.mean()),
        width_ratio=clustered([width, other], lambda s: s[0] / s[1], days, seed),
        interval_score=float(interval_score(low, high, actual).mean()),
        climatology_score=float(interval_score(climate_low, climate_high, actual).mean()),
    )


def interval_score(low: Array, high: Array, actual: Array, level: float = LEVEL) -> Array:
    """Width plus 2 / (1 - level) times what lies outside; smaller is better, (n,)."""
    outside = np.maximum(low - actual, 0.0) + np.maximum(actual - high, 0.0)
    return np.asarray(high - low + 2.0 / (1.0 - level) * outside)


def pit(samples: Array, actual: Array) -> Array:
    """Where what came (n,) ranks among sampled values (n, m): uniform on [0, 1] if calibrated.

    Ties count half.
    """
    below = (samples < actual[:, None]).mean(axis=1)
    return np.asarray(below + 0.5 * (samples == actual[:, None]).mean(axis=1))


def conformal_stretch(
    mean: Array, low: Array, high: Array, actual: Array, days: Ints, level: float = LEVEL
) -> float:
    """The factor that makes intervals around their means hold `level` of the cases given.

    The score of a case is by how much its interval must be stretched to hold what came; the factor
    is the scores' quantile at level (1 + 1/D), with D the number of days, not of cases: the
    correction for a finite sample must not count a day's cases as many.
    """
    below = (mean - actual) / np.maximum(mean - low, 1e-9)
    above = (actual - mean) / np.maximum(high - mean, 1e-9)
    scores = np.maximum(below, above)
    wanted = min(1.0, level * (1.0 + 1.0 / len(np.unique(days))))
    return float(np.quantile(scores, wanted, method="higher"))


def needed_stretch(
    mean: Array, low: Array, high: Array, actual: Array, days: Ints, level: float = LEVEL
) -> float:
    """`conformal_stretch` where the days show that the intervals miss their level, else 1.

    A few weeks of days always ask for some other width; what chance explains is left alone. Where
    no case lies outside, drawing days again cannot show it: D days are then all inside with
    probability level^D even if the intervals are right.
    """
    inside = ((actual >= low) & (actual <= high)).astype(float)
    share = clustered([inside, np.ones(len(inside))], lambda s: s[0] / s[1], days)
    by_chance = level ** len(np.unique(days)) > 0.5 * (1.0 - CONFIDENCE)
    if share.holds(level) or (inside.all() and by_chance):
        return 1.0
    return conformal_stretch(mean, low, high, actual, days, level)


def clustered(
    columns: Sequence[Array], statistic: Callable[[Array], Array], days: Ints, seed: int = 0
) -> Score:
    """A statistic of sums over cases, with its interval from days drawn with replacement.

    columns: what is summed, each (n,). statistic: sums (K, R) -> (R,), R resamples at once.
    """
    _, member = np.unique(days, return_inverse=True)
    count = int(member.max()) + 1
    sums = np.array([np.bincount(member, weights=c, minlength=count) for c in columns])
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    drawn = generator.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES)
    found = statistic(sums @ drawn.T)
    low, high = np.quantile(found, (0.5 * (1.0 - CONFIDENCE), 0.5 * (1.0 + CONFIDENCE)))
    whole = statistic(sums.sum(axis=1)[:, None])
    return Score(float(whole[0]), float(low), float(high))


def _bin(stated: Array, happened: Array, days: Ints, bins: Ints, k: int, seed: int) -> Bin:
    rows = bins == k
    mine = happened[rows]
    score = clustered([mine, np.ones(len(mine))], lambda s: s[0] / s[1], days[rows], seed)
    count = len(np.unique(days[rows]))
    return Bin(EDGES[k], EDGES[k + 1], len(mine), count, float(stated[rows].mean()), score)
