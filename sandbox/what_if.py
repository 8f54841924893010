"""What if: the same futures with one or more things changed, beside the futures as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graph.errors import InputError
from graph.evaluation import Outcome
from graph.plan import Plan
from graph.snapshot import Snapshot
from sandbox.ab import Comparison, compare_tables
from sandbox.checks import site_checks
from sandbox.faults import Fault
from sandbox.futures import Futures, sample_futures
from sandbox.outcomes import bands, cvar, estimates, kpis_of, violations
from sandbox.scenario import aligned, roll_out
from sandbox.twin import Twin

KEYS = ("outdoor_add_k", "price_factor", "set", "off")


@dataclass(frozen=True)
class _Case:
    """A snapshot, futures, setpoints and faults to play."""

    snapshot: Snapshot
    futures: Futures
    setpoints: dict[str, tuple[float, ...]]
    faults: tuple[Fault, ...] = ()


def what_if(
    twin: Twin,
    snapshot: Snapshot,
    changes: Mapping[str, Any],
    futures: int,
    seed: int,
    plan: Plan | None = None,
) -> tuple[Outcome, Outcome, Comparison]:
    """Outcomes as things are and with `changes`, on the same futures, and their difference.

    changes: any of `outdoor_add_k` (K), `price_factor` (times the import price), `set`
    (point -> value held over the horizon), `off` (assets that stand still: heat pump, battery,
    PV or load). `plan`: what is commanded in both cases; None leaves all to the local law.

    Raises:
        InputError: an unknown change, point or asset, or a value out of its range.
    """
    unknown = sorted(set(changes) - set(KEYS))
    if unknown or not changes:
        raise InputError(
            f"unknown change {', '.join(unknown) or '(none given)'}", f"known: {', '.join(KEYS)}"
        )
    drawn = sample_futures(twin, snapshot, futures, seed)
    as_is = _Case(snapshot, drawn, aligned(snapshot, plan) if plan else {})
    changed = as_is
    if "outdoor_add_k" in changes:
        changed = _warmer(twin, changed, _number(changes, "outdoor_add_k", -40.0, 40.0))
    if "price_factor" in changes:
        changed = _dearer(changed, _number(changes, "price_factor", 0.0, 100.0))
    for point, value in dict(changes.get("set", {})).items():
        changed = _set(twin, changed, point, value)
    for asset in changes.get("off", ()):
        changed = _off(twin, changed, asset)
    return _outcomes(twin, as_is, changed, seed)


def _outcomes(
    twin: Twin, as_is: _Case, changed: _Case, seed: int
) -> tuple[Outcome, Outcome, Comparison]:
    site = twin.site
    found, tables = [], []
    reference = None
    for name, case in (("as-is", as_is), ("what-if", changed)):
        rollout = roll_out(twin, case.snapshot, case.futures, case.setpoints, case.faults)
        checks = site_checks(site, case.snapshot, frozenset(rollout.traces))
        excess = [c.excess(rollout.traces) for c in checks]
        reference = reference or excess
        table = kpis_of(site, case.snapshot, case.futures, rollout.traces)
        tables.append(table)
        found.append(
            Outcome(
                source=name,
                kpis=estimates(site, table),
                violations=violations(checks, excess, reference),
                traces=bands(site, twin, case.snapshot, rollout.traces),
                cvar_cost=cvar(table["settled_cost"]),
            )
        )
    return (
        found[0],
        found[1],
        compare_tables(("as-is", "what-if"), tables[0], tables[1], site.currency, seed),
    )


def _number(changes: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = changes[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InputError(f"{key} is {value!r}", f"expected a number from {low:g} to {high:g}")
    return float(value)


def _warmer(twin: Twin, case: _Case, kelvin: float) -> _Case:
    signal = twin.layout.outdoor_signal
    w = case.futures.w | {signal: case.futures.w[signal] + kelvin}
    return replace(case, futures=replace(case.futures, w=w))


def _dearer(case: _Case, factor: float) -> _Case:
    prices = case.snapshot.prices
    moved = prices.model_copy(
        update={"import_price": tuple(p * factor for p in prices.import_price)}
    )
    return replace(case, snapshot=case.snapshot.model_copy(update={"prices": moved}))


def _set(twin: Twin, case: _Case, point: str, value: Any) -> _Case:
    if point not in twin.layout.points:
        raise InputError(
            f"there is no setpoint {point!r}", f"known: {', '.join(twin.layout.points)}"
        )
    spec = twin.site.signal(point)
    held = _number({point: value}, point, spec.minimum, spec.maximum)
    steps = case.snapshot.horizon_steps
    return replace(case, setpoints=case.setpoints | {point: (held,) * steps})


def _off(twin: Twin, case: _Case, asset: str) -> _Case:
    layout = twin.layout
    fault = layout.off(asset)
    if fault is not None:
        return replace(case, faults=(*case.faults, fault))
    if asset in (*layout.pvs, *layout.loads):
        signal = f"{asset}.power_kw"
        w = case.futures.w | {signal: np.zeros_like(case.futures.w[signal])}
        return replace(case, futures=replace(case.futures, w=w))
    known = [a.id for a in twin.site.assets if layout.off(a.id)] + [*layout.pvs, *layout.loads]
    raise InputError(f"asset {asset!r} cannot be switched off here", f"one of {', '.join(known)}")
