"""Shadow evaluation: candidate, do-nothing and runner-up on the same sampled futures.

1. Refuse plans that no solver stands behind.
2. Draw futures (common random numbers) and simulate all candidates side by side, block by block.
3. KPIs per future, differences future by future, constraints per future.
4. A hard constraint passes when the candidate breaks it in no future in which doing nothing
   keeps it; a soft band passes at its chance level, or when it is no worse than doing nothing.
5. Stop when the decision is clear (see `sequential`); bounds hold at whichever block one stopped.
6. Play some futures with a broken sensor; they widen the bounds by their prior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, RefusedError
from graph.evaluation import Outcome, ShadowResult, Violation
from graph.intent import Intent
from graph.plan import Plan
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.calibration import Correction, correction_of
from sandbox.checks import Check, intent_checks, site_checks
from sandbox.futures import Futures, sample_futures
from sandbox.outcomes import ALPHA, bands, cvar, estimates, kpis_of, violations
from sandbox.scenario import roll_out_plans
from sandbox.sensor_faults import STRATUM, prior, with_sensor_faults
from sandbox.sequential import Tally, planned_looks, unclear, upper_bound
from sandbox.twin import Twin

Array = NDArray[np.float64]
Excess = list[list[Array]]
BASELINE = "baseline"
FAULT_ALPHA = (
    0.01  # the part of the error allowed to bounds that the futures with broken sensors may spend
)
# The KPI by which a candidate is better or not: that of the first thing asked for.
ASKED_KPI = {
    "cost": "settled_cost", "energy": "energy", "emissions": "carbon", "peak": "peak",
    "comfort": "comfort", "wear": "starts",
}  # fmt: skip


@dataclass(frozen=True)
class _Trial:
    """What is tried, on what."""

    site: Site
    twin: Twin
    snapshot: Snapshot
    intent: Intent
    plans: dict[str, Plan | None]
    chosen: int
    least: int


@dataclass(frozen=True)
class _Finding:
    """What the futures so far show: the stretch that is proven, and how."""

    steps: int
    checks: list[Check]
    excess: Excess
    passed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Seen:
    """The futures used, the error that their bounds may spend, and what is still open."""

    used: int
    alpha: float
    traces: list[dict[str, Array]]
    tables: list[dict[str, Array]]
    found: _Finding
    better: NDArray[np.bool_]
    still: str


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

    n: the most futures that are drawn; fewer are used when the decision is clear before.
    least_steps: the candidate passes if it keeps its constraints at least so long. The longest
    stretch in which it does is `proven_steps`: who follows the plan must end or plan anew by then.
    None demands the whole horizon. KPIs and traces always cover the whole horizon.

    Raises:
        RefusedError: a plan's solve is not usable.
        InputError: no candidate, two plans of one name, or a plan off the snapshot's grid.
    """
    plans = _line_up(candidates, runner_up)
    chosen = list(plans).index(candidates[0].source)
    least = least_steps or snapshot.horizon_steps
    trial = _Trial(site, twin, snapshot, intent, plans, chosen, least)
    futures = sample_futures(twin, snapshot, n, seed)
    seen = _play_until_clear(trial, futures)
    found, tables = seen.found, seen.tables
    delta = {k: v - tables[0][k] for k, v in tables[chosen].items()}
    return ShadowResult(
        futures=seen.used,
        asked=n,
        stopped=_stopped(seen, n),
        sensor_fault_prior=_fault_prior(trial),
        seed=seed,
        horizon_steps=snapshot.horizon_steps,
        step_s=snapshot.step_s,
        outcomes=_outcomes(trial, seen, futures.part(0, min(STRATUM, n)), seed),
        kpi_delta=estimates(site, delta, seen.alpha),
        candidate=candidates[0].source,
        runner_up=runner_up.source if runner_up else None,
        probability_better=float(seen.better.mean()),
        proven_steps=found.steps if found.passed else 0,
        passed=found.passed,
        reasons=found.reasons,
    )


def _play_until_clear(trial: _Trial, futures: Futures) -> _Seen:
    """Block after block of futures until the decision is clear or there are no more."""
    plans = list(trial.plans.values())
    traces: list[dict[str, Array]] = [{} for _ in plans]
    begin = 0
    correction = correction_of(trial.twin.parameters.report)
    looks = planned_looks(futures.count, ALPHA - FAULT_ALPHA)
    for look in looks:
        block = futures.part(begin, look.count)
        more = roll_out_plans(trial.twin, trial.snapshot, block, plans)
        traces = [_joined(t, m) for t, m in zip(traces, more, strict=True)]
        begin = look.count
        used = futures.part(0, look.count)
        tables = [kpis_of(trial.site, trial.snapshot, used, t) for t in traces]
        found = _longest_proven(trial, traces)
        chosen = trial.chosen
        better = _asked(trial, tables[chosen], traces[chosen]) <= _asked(
            trial, tables[0], traces[0]
        )
        still = unclear(
            _tallies(trial, found), better, found.passed, look.alpha, correction.probability
        )
        if not still:
            break
    return _Seen(look.count, look.alpha, traces, tables, found, better, still)


def _joined(before: dict[str, Array], more: dict[str, Array]) -> dict[str, Array]:
    """Traces of one plan with those of further futures below."""
    return {s: np.concatenate([before[s], v]) if before else v for s, v in more.items()}


def _tallies(trial: _Trial, found: _Finding) -> list[Tally]:
    """The constraints as the stopping rule sees them."""
    level = min(r.max_probability for r in trial.site.autonomy.risk_rules)
    rows = zip(found.checks, found.excess[trial.chosen], found.excess[0], strict=True)
    return [
        Tally(c.label, c.hard, mine > c.tolerance, theirs > c.tolerance,
              level if c.hard else c.allowed)
        for c, mine, theirs in rows
    ]  # fmt: skip


def _stopped(seen: _Seen, n: int) -> str:
    """Why no more futures were used."""
    if seen.used < n:
        return f"clear after {seen.used} of {n} futures"
    return f"all {n} used; not clear: {seen.still}" if seen.still else f"all {n} used"


def _asked(trial: _Trial, table: Mapping[str, Array], traces: Mapping[str, Array]) -> Array:
    """What was asked for first, the smaller the better, (n,): a KPI, or the charge that batteries
    lack when reliability was (kWh on the mean)."""
    quantity = trial.intent.objectives[0].quantity
    if quantity in ASKED_KPI:
        return table[ASKED_KPI[quantity]]
    lacking = np.zeros(len(table["settled_cost"]))
    for battery in trial.site.of_kind("battery"):
        share = 1.0 - traces[f"{battery.id}.soc_pct"].mean(axis=1) / 100.0
        lacking += float(getattr(battery, "capacity_kwh", 0.0)) * share
    return lacking


def _outcomes(trial: _Trial, seen: _Seen, some: Futures, seed: int) -> tuple[Outcome, ...]:
    """Every plan over the futures seen, its bounds widened by futures with a broken sensor."""
    correction = correction_of(trial.twin.parameters.report)
    faulty = _with_broken_sensors(trial, some, seed, seen.found)
    checks, excess = seen.found.checks, seen.found.excess
    return tuple(
        Outcome(
            source=name,
            kpis=estimates(trial.site, seen.tables[i], seen.alpha, correction),
            violations=tuple(
                _widened(v, b, trial, correction)
                for v, b in zip(
                    violations(checks, excess[i], excess[0], seen.alpha), faulty[i], strict=True
                )
            ),
            traces=bands(trial.site, trial.twin, trial.snapshot, seen.traces[i]),
            cvar_cost=cvar(seen.tables[i]["settled_cost"]),
        )
        for i, name in enumerate(trial.plans)
    )


def _with_broken_sensors(
    trial: _Trial, some: Futures, seed: int, found: _Finding
) -> list[list[NDArray[np.bool_]]]:
    """By plan and check, (m,): whether it breaks, judged by true temperatures."""
    steps = trial.snapshot.horizon_steps
    broken = with_sensor_faults(trial.twin, some, steps, seed)
    plans = list(trial.plans.values())
    truths = roll_out_plans(trial.twin, trial.snapshot, broken, plans, truth=True)
    return [[c.excess(t) > c.tolerance for c in found.checks] for t in truths]


def _fault_prior(trial: _Trial) -> float:
    hours = trial.snapshot.horizon_steps * trial.snapshot.step_s / 3600.0
    return prior(trial.site, trial.twin.layout.sensors, hours)


def _widened(
    violation: Violation, faulty: NDArray[np.bool_], trial: _Trial, correction: Correction
) -> Violation:
    """The bound over sound and broken sensors together, at least what calibration demands.

    P = (1 - q) P(sound) + q P(broken); both bounds hold together at 1 - alpha by the union bound.
    """
    q, count = _fault_prior(trial), int(faulty.sum())
    both = (1.0 - q) * violation.upper + q * upper_bound(count, len(faulty), FAULT_ALPHA)
    upper = max(both, correction.probability(both))
    share = count / len(faulty)
    return violation.model_copy(update={"upper": upper, "faulty_probability": share})


def _longest_proven(trial: _Trial, traces: Sequence[Mapping[str, Array]]) -> _Finding:
    """The longest stretch in which the candidate passes, with the checks over that stretch.

    Stretches are tried from the whole horizon down to the least one, each about three quarters of
    the one before; when none passes, what the shortest one says is the reason.
    """
    site, snapshot, modelled = trial.site, trial.snapshot, frozenset(traces[0])
    steps = snapshot.horizon_steps
    while True:
        checks = site_checks(site, snapshot, modelled, steps)
        checks += intent_checks(site, snapshot, trial.intent, modelled, steps)
        excess = [[c.excess(t) for c in checks] for t in traces]
        passed, reasons = _judge(checks, excess[trial.chosen], excess[0])
        if passed or steps <= trial.least:
            return _Finding(steps, checks, excess, passed, reasons)
        steps = max(trial.least, steps * 3 // 4)


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
