"""What trajectories over futures amount to: KPIs, how often constraints break, bands for charts."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from graph.evaluation import BandTrace, Estimate, Violation
from graph.kpis import KPI_UNITS, kpi_table
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.calibration import Correction
from sandbox.checks import Check
from sandbox.futures import Futures
from sandbox.sequential import upper_bound
from sandbox.twin import Twin

Array = NDArray[np.float64]
ALPHA = 0.05  # how often a bound or an interval of a mean may be wrong
TAIL = 0.05
TRACE_DECIMALS = 4  # significant decimals of charted quantiles; nothing is decided on them


def kpis_of(
    site: Site, snapshot: Snapshot, futures: Futures, traces: Mapping[str, Array]
) -> dict[str, Array]:
    """KPIs (n,) of traces (n, N), each future settled from its own initial state."""
    # Settlement starts from each future's own state, or the estimate's error would be sold.
    names = snapshot.estimate.names
    initial: dict[str, Array | float] = {}
    for name, column in zip(names, futures.x0.T, strict=True):
        asset, quantity = name.split(".", 1)
        if quantity in ("temp", "soc_pct"):
            initial[f"{asset}.temp_degc" if quantity == "temp" else name] = column
    for unit in site.of_kind("heat_pump"):
        reading = snapshot.readings.get(f"{unit.id}.power_kw")
        initial[f"{unit.id}.power_kw"] = float((reading and reading.value) or 0.0)
    given = cast(Mapping[str, float], initial)  # each entry broadcasts over the futures
    return kpi_table(site, traces, snapshot.prices, snapshot.step_s, given, snapshot.as_of)


def estimates(
    site: Site,
    table: Mapping[str, Array],
    alpha: float = ALPHA,
    correction: Correction | None = None,
) -> dict[str, Estimate]:
    """Each KPI's mean, 90 % interval over futures, and interval of the mean at 1 - alpha.

    The mean's interval is Student's t; of differences taken future by future it is the paired one.
    `correction` stretches the interval over futures to what it must be to hold what it says.
    Money is in the site's currency.
    """
    found = {}
    for name, values in table.items():
        unit = KPI_UNITS[name]
        mean = float(values.mean())
        low, high = np.quantile(values, (0.05, 0.95))
        half = t_half_width(values, alpha)
        factor = 1.0 if correction is None else correction.stretch.get(name, 1.0)
        found[name] = Estimate(
            mean=mean,
            low=mean + factor * (float(low) - mean),
            high=mean + factor * (float(high) - mean),
            unit=site.currency if unit == "money" else unit,
            mean_low=mean - half,
            mean_high=mean + half,
        )
    return found


def t_half_width(values: Array, alpha: float) -> float:
    """Half the width of Student's two-sided interval of the mean at 1 - alpha; 0 for one value."""
    from scipy.special import stdtrit

    n = len(values)
    spread = float(values.std(ddof=1)) if n > 1 else 0.0
    return float(stdtrit(n - 1, 1.0 - alpha / 2.0)) * spread / n**0.5 if spread > 0.0 else 0.0


def cvar(cost: Array) -> float:
    """Mean of the worst 5 % of futures (at least one)."""
    worst = np.sort(cost)[-max(1, int(np.ceil(TAIL * len(cost)))) :]
    return float(worst.mean())


def violations(
    checks: Sequence[Check], excess: Sequence[Array], baseline: Sequence[Array],
    alpha: float = ALPHA,
) -> tuple[Violation, ...]:  # fmt: skip
    """How often each check is broken, bounded at 1 - alpha, beside how often inaction breaks it."""
    found = []
    for check, mine, other in zip(checks, excess, baseline, strict=True):
        broken = int((mine > check.tolerance).sum())
        n = len(mine)
        found.append(
            Violation(
                id=check.id,
                label=check.label,
                signal=check.signal,
                hard=check.hard,
                probability=broken / n,
                upper=upper_bound(broken, n, alpha),
                allowed=check.allowed,
                worst=max(0.0, float(mine.max())),
                unit=check.unit,
                baseline_probability=float((other > check.tolerance).mean()),
            )
        )
    return tuple(found)


def bands(
    site: Site, twin: Twin, snapshot: Snapshot, traces: Mapping[str, Array]
) -> tuple[BandTrace, ...]:
    """Quantiles of the main signals over futures."""
    bands = []
    for signal in twin.layout.main_signals:
        rows = np.quantile(traces[signal], (0.05, 0.5, 0.95), axis=0)
        low, mid, high = (tuple(_significant(r)) for r in rows)
        bands.append(
            BandTrace(
                signal=signal,
                unit=site.signal(signal).unit,
                step_s=snapshot.step_s,
                q05=low,
                q50=mid,
                q95=high,
            )
        )
    return tuple(bands)


def _significant(values: Array) -> list[float]:
    """Rounded to four significant decimals: charts and bundles need no more."""
    return [float(f"{v:.{TRACE_DECIMALS}g}") + 0.0 for v in values]
