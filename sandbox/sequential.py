"""When enough futures have been tried: looks, the alpha that each may spend, and what is clear.

Futures are evaluated in blocks, and after each block one may stop. A bound that is looked at K
times is wrong more often than once, so the error allowed in all, alpha, is spent over the looks
(Lan and DeMets 1983, doi:10.1093/biomet/70.3.659): half on the last look, the rest in equal parts
on those before it. Each look uses the exact bound of Clopper and Pearson (1934,
doi:10.2307/2331986) at its own share. By the union bound all looks hold together with probability
1 - alpha or more, so the bound at whichever look one stopped holds too. No model of the outcomes
is needed, only that futures are drawn independently. Half on the last look keeps the price of
looking small where all futures are used: none broken in 200 bounds the probability at 1.8 % in
place of 1.5 %.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
BLOCK = 100  # futures: a look at fewer can prove no probability below 5 % and costs as much


@dataclass(frozen=True)
class Look:
    """After how many futures one looks, and the error that this look may spend."""

    count: int
    alpha: float


def planned_looks(n: int, alpha: float, block: int = BLOCK) -> tuple[Look, ...]:
    """Looks after every `block` of n futures, the last one after all n; their alphas sum to alpha.

    A rest of less than a block is no block of its own.
    """
    counts = [*range(block, n - block + 1, block), n]
    if len(counts) == 1:
        return (Look(n, alpha),)
    early = alpha / 2.0 / (len(counts) - 1)
    return (*(Look(c, early) for c in counts[:-1]), Look(n, alpha / 2.0))


def upper_bound(failures: int, n: int, alpha: float) -> float:
    """One-sided Clopper-Pearson upper bound on a probability: wrong at most in `alpha` of cases."""
    from scipy.special import betaincinv

    return 1.0 if failures >= n else float(betaincinv(failures + 1, n - failures, 1.0 - alpha))


def lower_bound(failures: int, n: int, alpha: float) -> float:
    """One-sided Clopper-Pearson lower bound."""
    return 1.0 - upper_bound(n - failures, n, alpha)


@dataclass(frozen=True)
class Tally:
    """One constraint over the futures so far.

    mine, theirs: (n,) whether the candidate breaks it, and whether doing nothing does.
    allowed: the probability that is accepted; of a hard constraint the site's lowest level of risk.
    """

    label: str
    hard: bool
    mine: Bools
    theirs: Bools
    allowed: float

    @property
    def own(self) -> int:
        """Futures in which the candidate breaks what doing nothing keeps."""
        return int((self.mine & ~self.theirs).sum())


def unclear(
    tallies: Sequence[Tally], better: Bools, passed: bool, alpha: float,
    corrected: Callable[[float], float] = float,
) -> str:  # fmt: skip
    """What still keeps the decision open, in words; empty when nothing does.

    Failed: clear as soon as a hard constraint broke where doing nothing keeps it, since further
    futures cannot mend that; or a soft one surely breaks more often than allowed and than inaction.
    Passed: clear when every constraint surely breaks by the plan's own doing no more often than
    allowed, and it is sure whether the plan is better than doing nothing more often than not.
    `corrected` is what calibration makes of a bound.
    """
    n = len(better)
    if not passed:
        if any(t.hard and t.own for t in tallies):
            return ""
        return "" if any(_surely_worse(t, alpha) for t in tallies) else "whether it fails"
    for tally in tallies:
        bound = upper_bound(tally.own, n, alpha)
        if max(bound, corrected(bound)) > tally.allowed:
            return tally.label
    wins = int(better.sum())
    sure = lower_bound(wins, n, alpha / 2.0) > 0.5 or upper_bound(wins, n, alpha / 2.0) < 0.5
    return "" if sure else "whether it is better than doing nothing"


def _surely_worse(tally: Tally, alpha: float) -> bool:
    """A soft constraint broken more often than allowed, and more often alone than by inaction.

    The second is the exact sign test on the futures in which only one of the two breaks it.
    """
    if tally.hard:
        return False
    broken, only_theirs = int(tally.mine.sum()), int((tally.theirs & ~tally.mine).sum())
    if lower_bound(broken, len(tally.mine), alpha / 2.0) <= tally.allowed:
        return False
    return lower_bound(tally.own, max(tally.own + only_theirs, 1), alpha / 2.0) > 0.5
