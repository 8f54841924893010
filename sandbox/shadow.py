"""Shadow evaluation: candidate, do-nothing and runner-up on the same sampled futures.

1. Refuse plans that no solver stands behind.
2. Draw futures (common random numbers) and simulate all candidates side by side.
3. KPIs per future, differences future by future, constraints per future.
4. A hard constraint passes when the candidate breaks it in no future in which doing nothing
   keeps it; a soft band passes at its chance level, or when it is no worse than doing nothing.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, RefusedError
from graph.evaluation import BandTrace, Estimate, Outcome, ShadowResult, Violation
from graph.intent import Intent
from graph.kpis import KPI_UNITS, kpi_table
from graph.plan import Plan
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.checks import Check, intent_checks, site_checks
from sandbox.futures import Futures, sample_futures
from sandbox.scenario import roll_out_plans
from sandbox.twin import Twin

Array = NDArray[np.float64]
BASELINE = "baseline"
CONFIDENCE = 0.95
TAIL = 0.05
# The KPI by which a candidate is better or not: that of the first thing asked for.
ASKED_KPI = {
    "cost": "settled_cost", "energy": "energy", "emissions": "carbon", "peak": "peak",
    "comfort": "comfort", "wear": "starts",
}  # fmt: skip
TRACE_DECIMALS = 4  # significant decimals of charted quantiles; nothing is decided on them


def evaluate(
    site: Site,
    twin: Twin,
    snapshot: Snapshot,
    intent: Intent,
    candidates: Sequence[Plan],
    n: int,
    seed: int,
    runner_up: Plan | None = None,
    least_steps: int | None = None,
) -> ShadowResult:
    """Try `candidates` (the first is the one proposed) and `runner_up` against doing nothing.

    least_steps: the candidate passes if it keeps its constraints at least so long. The longest
    stretch in which it does is `proven_steps`: who follows the plan must end or plan anew by then.
    None demands the whole horizon. KPIs and traces always cover the whole horizon.

    Raises:
        RefusedError: a plan's solve is not usable.
        InputError: no candidate, two plans of one name, or a plan off the snapshot's grid.
    """
    plans = _line_up(candidates, runner_up)
    futures = sample_futures(twin, snapshot, n, seed)
    traces = roll_out_plans(twin, snapshot, futures, list(plans.values()))
    chosen = list(plans).index(candidates[0].source)
    proven, checks, excess, (passed, reasons) = _longest_proven(
        site, snapshot, intent, traces, chosen, least_steps or snapshot.horizon_steps
    )
    tables = [kpis_of(site, snapshot, futures, t) for t in traces]
    asked = ASKED_KPI[intent.objectives[0].quantity]
    outcomes = tuple(
        Outcome(
            source=name,
            kpis=estimates(site, tables[i]),
            violations=violations(checks, excess[i], excess[0]),
            traces=bands(site, twin, snapshot, traces[i]),
            cvar_cost=cvar(tables[i]["settled_cost"]),
        )
        for i, name in enumerate(plans)
    )
    return ShadowResult(
        futures=n,
        seed=seed,
        horizon_steps=snapshot.horizon_steps,
        step_s=snapshot.step_s,
        outcomes=outcomes,
        kpi_delta=estimates(site, {k: v - tables[0][k] for k, v in tables[chosen].items()}),
        candidate=candidates[0].source,
        runner_up=runner_up.source if runner_up else None,
        probability_better=float((tables[chosen][asked] <= tables[0][asked]).mean()),
        proven_steps=proven if passed else 0,
        passed=passed,
        reasons=reasons,
    )


def _longest_proven(
    site: Site, snapshot: Snapshot, intent: Intent, traces: Sequence[Mapping[str, Array]],
    chosen: int, least: int,
) -> tuple[int, list[Check], list[list[Array]], tuple[bool, tuple[str, ...]]]:  # fmt: skip
    """The longest stretch in which the candidate passes, with the checks over that stretch.

    Stretches are tried from the whole horizon down to `least` steps, each about three quarters of
    the one before; when none passes, what the shortest one says is the reason.
    """
    modelled = frozenset(traces[0])
    steps = snapshot.horizon_steps
    while True:
        checks = site_checks(site, snapshot, modelled, steps)
        checks += intent_checks(site, snapshot, intent, modelled, steps)
        excess = [[c.excess(t) for c in checks] for t in traces]
        verdict = _judge(checks, excess[chosen], excess[0])
        if verdict[0] or steps <= least:
            return steps, checks, excess, verdict
        steps = max(least, steps * 3 // 4)


def _line_up(candidates: Sequence[Plan], runner_up: Plan | None) -> dict[str, Plan | None]:
    """Plans by source, do-nothing first; None stands for do-nothing."""
    if not candidates:
        raise InputError("no candidate to evaluate", "doing nothing alone needs no shadow run")
    plans: dict[str, Plan | None] = {BASELINE: None}
    for plan in (*candidates, *((runner_up,) if runner_up else ())):
        if not plan.status.usable:
            raise RefusedError(
                "unusable_plan",
                f"the plan of {plan.source} ended as {plan.status.value}",
                "a failed, late or loose solve is never a candidate",
            )
        if plan.source in plans and plan.source != BASELINE:
            raise InputError(f"two plans are called {plan.source}", "give each its own source")
        if plan.source != BASELINE:
            plans[plan.source] = plan
    return plans


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


def estimates(site: Site, table: Mapping[str, Array]) -> dict[str, Estimate]:
    """Mean and 90 % interval over futures of each KPI, in the site's currency where it is money."""
    found = {}
    for name, values in table.items():
        unit = KPI_UNITS[name]
        low, high = np.quantile(values, (0.05, 0.95))
        found[name] = Estimate(
            mean=float(values.mean()),
            low=float(low),
            high=float(high),
            unit=site.currency if unit == "money" else unit,
        )
    return found


def cvar(cost: Array) -> float:
    """Mean of the worst 5 % of futures (at least one)."""
    worst = np.sort(cost)[-max(1, int(np.ceil(TAIL * len(cost)))) :]
    return float(worst.mean())


def clopper_pearson_upper(failures: int, n: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound on a probability (Clopper and Pearson 1934, doi:10.2307/2331986)."""
    from scipy.special import betaincinv

    return 1.0 if failures >= n else float(betaincinv(failures + 1, n - failures, confidence))


def violations(
    checks: Sequence[Check], excess: Sequence[Array], baseline: Sequence[Array]
) -> tuple[Violation, ...]:
    """How often each check is broken, beside how often doing nothing breaks it."""
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
                upper=clopper_pearson_upper(broken, n),
                allowed=check.allowed,
                worst=max(0.0, float(mine.max())),
                unit=check.unit,
                baseline_probability=float((other > check.tolerance).mean()),
            )
        )
    return tuple(found)


def _judge(
    checks: Sequence[Check], excess: Sequence[Array], baseline: Sequence[Array]
) -> tuple[bool, tuple[str, ...]]:
    failures = []
    for check, mine, other in zip(checks, excess, baseline, strict=True):
        broken, theirs = mine > check.tolerance, other > check.tolerance
        own = int((broken & ~theirs).sum())
        rate, its = float(broken.mean()), float(theirs.mean())
        if check.hard and own:
            failures.append(
                f"{check.label}: broken in {own} of {len(broken)} futures in which doing nothing "
                f"keeps it (by up to {float(mine.max()):.3g} {check.unit})"
            )
        elif not check.hard and rate > check.allowed and rate > its:
            failures.append(
                f"{check.label}: broken with probability {rate:.3f}, allowed {check.allowed:g}, "
                f"doing nothing {its:.3f}"
            )
    if failures:
        return False, tuple(failures)
    hard = sum(c.hard for c in checks)
    n = len(excess[0]) if excess else 0
    return True, (f"{hard} hard and {len(checks) - hard} soft constraints kept in {n} futures",)


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
