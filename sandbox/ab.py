"""A against B on the same futures, or on the same days: the difference, how sure it is, by chance?

Both meet the same futures (or days), so the difference is taken case by case and what both share
cancels out of it. Per KPI, B - A:

- interval of the mean difference: Student's t on the paired differences at 95 %;
- p-value: sign-flip permutation test of "no difference on average" (Fisher 1935, section 21): if it
  made no difference which is called A, each difference's sign were a coin's. Exact over all 2^n
  signs up to n = 16, otherwise 20 000 seeded ones, counting the observed one (Phipson and Smyth
  2010, doi:10.2202/1544-6115.1585), so it is never 0.

Closed-loop days of one run share weather and state, so a day, not an hour, is a case; runs of a few
days say little, and n is told.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from graph.errors import InputError, RefusedError
from graph.kpis import KPI_UNITS
from graph.plan import Plan
from graph.record import Record
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.futures import sample_futures
from sandbox.outcomes import ALPHA, kpis_of, t_half_width
from sandbox.scenario import roll_out_plans
from sandbox.twin import Twin

Array = NDArray[np.float64]
EXACT_UP_TO = 16
FLIPS = 20_000
CHUNK = 1000  # flips at a time: memory stays small for thousands of cases
SAME = 1e-9  # relative: differences of equal plans that only rounding tells apart


class PairedDifference(Record):
    """B - A over the same cases."""

    mean: float
    low: float = Field(description="95 % interval of the mean (Student's t, paired)")
    high: float
    p_value: float = Field(ge=0, le=1, description="sign-flip permutation test, two-sided")
    share_lower: float = Field(ge=0, le=1, description="share of cases in which B is lower")
    cases: int
    unit: str


class Comparison(Record):
    """Two plans or controllers, by KPI."""

    a: str
    b: str
    what: str = Field(description="futures or days")
    differences: dict[str, PairedDifference]


def compare_plans(
    site: Site,
    twin: Twin,
    snapshot: Snapshot,
    a: Plan | None,
    b: Plan | None,
    n: int,
    seed: int,
) -> Comparison:
    """Two plans (None: do nothing) on the same n futures over the whole horizon.

    Raises:
        RefusedError: a plan's solve is not usable.
        InputError: a plan is off the snapshot's grid or sets what the twin does not know.
    """
    for plan in (a, b):
        if plan is not None and not plan.status.usable:
            raise RefusedError(
                "unusable_plan",
                f"the plan of {plan.source} ended as {plan.status.value}",
                "a failed, late or loose solve is not compared",
            )
    futures = sample_futures(twin, snapshot, n, seed)
    traces = roll_out_plans(twin, snapshot, futures, [a, b])
    first, second = (kpis_of(site, snapshot, futures, t) for t in traces)
    names = ["doing nothing" if p is None else p.source for p in (a, b)]
    return compare_tables(names, first, second, site.currency, seed)


def compare_days(
    names: tuple[str, str],
    a: Sequence[Mapping[str, float]],
    b: Sequence[Mapping[str, float]],
    currency: str,
    seed: int = 0,
) -> Comparison:
    """Two controllers over the same days, KPIs a day each. Raises InputError for unequal days."""
    if len(a) != len(b) or not a:
        raise InputError(f"{len(a)} days against {len(b)}", "the same days of both are compared")
    shared = [k for k in a[0] if k in b[0] and k in KPI_UNITS]
    first, second = ({k: np.array([d[k] for d in days]) for k in shared} for days in (a, b))
    return compare_tables(names, first, second, currency, seed, "days")


def compare_tables(
    names: Sequence[str],
    a: Mapping[str, Array],
    b: Mapping[str, Array],
    currency: str,
    seed: int = 0,
    what: str = "futures",
) -> Comparison:
    """KPIs (n,) by name of A and of B over the same n cases."""
    units = {k: currency if KPI_UNITS[k] == "money" else KPI_UNITS[k] for k in a}
    differences = {k: paired(a[k], b[k], units[k], seed) for k in a}
    return Comparison(a=names[0], b=names[1], what=what, differences=differences)


def paired(a: Array, b: Array, unit: str, seed: int = 0) -> PairedDifference:
    """B - A for cases (n,) of both."""
    difference = b - a
    # Rounding must not make a difference of what is equal.
    scale = SAME * max(1.0, float(np.abs(a).max()), float(np.abs(b).max()))
    difference = np.where(np.abs(difference) < scale, 0.0, difference)
    mean, half = float(difference.mean()), t_half_width(difference, ALPHA)
    return PairedDifference(
        mean=mean,
        low=mean - half,
        high=mean + half,
        p_value=sign_flip_p(difference, seed),
        share_lower=float((difference < 0.0).mean()),
        cases=len(difference),
        unit=unit,
    )


def sign_flip_p(difference: Array, seed: int = 0) -> float:
    """Two-sided p-value of a mean this far from 0 if all signs were chance; 1 where all are 0."""
    size = np.abs(difference[difference != 0.0])
    if not size.size:
        return 1.0
    observed = abs(float(difference.sum())) * (1.0 - SAME)
    if size.size <= EXACT_UP_TO:
        bits = np.arange(1 << size.size)[:, None] >> np.arange(size.size)[None] & 1
        return float((np.abs((1 - 2 * bits) @ size) >= observed).mean())
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    beyond = 0
    for _ in range(FLIPS // CHUNK):
        signs = 1 - 2 * generator.integers(0, 2, size=(CHUNK, size.size), dtype=np.int8)
        beyond += int((np.abs(signs @ size) >= observed).sum())
    return (beyond + 1) / (FLIPS + 1)


def p_text(p: float) -> str:
    """A p-value to four decimals."""
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


def comparison_text(found: Comparison) -> str:
    """For a terminal."""
    cases = next(iter(found.differences.values())).cases
    lines = [f"{found.b} - {found.a}, {cases} {found.what}"]
    lines.append(f"{'':16}{'difference':>12}   {'95 % interval':24}{'p':>8}  {'lower in':>8}")
    for name, d in found.differences.items():
        interval = f"{d.low:+.2f} to {d.high:+.2f} {d.unit}"
        lines.append(
            f"{name:16}{d.mean:+12.2f}   {interval:24}{p_text(d.p_value):>8}  {d.share_lower:8.0%}"
        )
    return "\n".join(lines)
