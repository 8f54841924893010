"""Constraints as excess functions: how far each future goes beyond each bound.

A check returns the greatest excess over the horizon, (F,), in its unit; a future violates when the
excess is above the check's tolerance, the resolution of the sensor that would show it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph import kpis
from graph.errors import InputError
from graph.intent import (
    Band,
    Intent,
    KeepOff,
    MinimumTime,
    RateLimit,
    StartLimit,
    TotalLimit,
    Window,
)
from graph.site import Site
from graph.snapshot import Snapshot
from graph.units import canonical_unit, convert
from sandbox.budgets import budgets
from sandbox.pace import greatest_rate, shortest_stay
from sandbox.reserves import reserve_bounds
from sandbox.windows import constraint_mask, local_days, value_at_end, window_mask

Array = NDArray[np.float64]
Traces = Mapping[str, Array]
# What the site's sensors resolve: less than this nobody could see.
TOLERANCE = {"degC": 0.1, "percent": 0.5, "kW": 0.1, "W/m^2": 5.0}
RESERVE_CHANCE = 0.05  # of a battery's reserve being touched: what soft wishes are held to
TOTAL_UNITS = {"energy": "kWh", "emissions": "kg"}
SHOWN_UNITS = {"degC": "°C", "percent": "%"}


@dataclass(frozen=True)
class Check:
    """One side of one constraint."""

    id: str
    label: str
    signal: str | None
    hard: bool
    allowed: float
    unit: str
    tolerance: float
    excess: Callable[[Traces], Array]


def site_checks(
    site: Site, snapshot: Snapshot, modelled: frozenset[str], checked_steps: int | None = None
) -> list[Check]:
    """The site's own limits and its limits on starts, always hard; its reserves, softly.

    checked_steps: only the horizon's first so many steps count; None means all.

    Raises:
        InputError: a limit on a signal that the twin does not model cannot be checked.
    """
    bounds: dict[tuple[str, str], float] = {}
    for limit in site.limits:
        if limit.signal not in modelled:
            raise InputError(
                f"the site limits {limit.signal}, which its twin does not predict",
                "limit a signal that the energy hub models, or leave the limit to the gate",
            )
        for side, value in (("min", limit.minimum), ("max", limit.maximum)):
            if value is not None:
                tighter = max if side == "min" else min
                bounds[limit.signal, side] = tighter(bounds.get((limit.signal, side), value), value)
    mask = first_steps(snapshot, checked_steps)
    checks = [
        _bound(site, f"site:{signal}:{side}", signal, side, value, mask, True, 0.0)
        for (signal, side), value in bounds.items()
    ]
    checks += [
        _bound(site, f"site:{r.signal}:reserve", r.signal, "min", r.least, r.mask & mask, False,
               RESERVE_CHANCE)
        for r in reserve_bounds(site, snapshot)
    ]  # fmt: skip
    for spec in site.setpoints:
        if spec.max_starts_per_day is not None:
            most = spec.max_starts_per_day
            checks.append(_starts(site, snapshot, f"site:{spec.id}", spec.id, most, mask, True))
    return checks


def intent_checks(
    site: Site, snapshot: Snapshot, intent: Intent, modelled: frozenset[str],
    checked_steps: int | None = None,
) -> list[Check]:  # fmt: skip
    """The intent's constraints, inside the intent's own span and the first `checked_steps`."""
    start, step_s, steps = snapshot.as_of, snapshot.step_s, snapshot.horizon_steps
    zone = site.zone_info
    span = window_mask(_span(intent), start, step_s, steps, zone)
    span &= first_steps(snapshot, checked_steps)
    checks: list[Check] = []
    for i, item in enumerate(intent.constraints):
        ends = isinstance(item, Band) and value_at_end(site.signal(item.signals[0]))
        mask = span & constraint_mask(item.window, site, snapshot, at_ends=ends)
        name = f"intent:{i}"
        if isinstance(item, Band):
            checks += _band(site, name, item, mask, modelled)
        elif isinstance(item, StartLimit):
            checks.append(_starts(site, snapshot, name, item.point, item.maximum, mask, item.hard))
        elif isinstance(item, TotalLimit):
            checks.append(_total(site, snapshot, name, item, intent, mask))
        elif isinstance(item, RateLimit):
            checks += [_rate(site, snapshot, name, item, s, mask, modelled) for s in item.signals]
        elif isinstance(item, MinimumTime):
            checks += [_stay(site, snapshot, name, item, p, mask) for p in item.points]
        else:
            checks.append(_keep_off(site, name, item, mask))
    return checks


def first_steps(snapshot: Snapshot, checked_steps: int | None) -> NDArray[np.bool_]:
    """Mask (N,) of the steps that count."""
    steps = snapshot.horizon_steps
    return np.arange(steps) < (steps if checked_steps is None else checked_steps)


def signal_label(site: Site, signal: str) -> str:
    """What an operator calls a signal."""
    spec = site.signal(signal)
    asset = next((a.label for a in site.assets if a.id == spec.asset), "")
    return spec.label or asset or signal


def _span(intent: Intent) -> Window:
    return Window(start=intent.start, end=intent.end)


def _shown(value: float, unit: str) -> str:
    return f"{value:g} {SHOWN_UNITS.get(unit, unit)}"


def _bound(
    site: Site, name: str, signal: str, side: str, value: float, mask: NDArray[np.bool_],
    hard: bool, allowed: float,
) -> Check:  # fmt: skip
    unit = canonical_unit(site.signal(signal).unit)
    words = "at least" if side == "min" else "at most"
    sign = 1.0 if side == "max" else -1.0

    def excess(traces: Traces) -> Array:
        beyond = sign * (traces[signal] - value)
        if not mask.any():
            return np.full(beyond.shape[0], -np.inf)
        return np.asarray(beyond[:, mask].max(axis=1))

    text = f"{signal_label(site, signal)} {words} {_shown(value, unit)}"
    return Check(name, text, signal, hard, allowed, unit, TOLERANCE.get(unit, 0.0), excess)


def _band(
    site: Site, name: str, item: Band, mask: NDArray[np.bool_], modelled: frozenset[str]
) -> list[Check]:
    checks = []
    allowed = 0.0 if item.hard or item.chance is None else round(1.0 - item.chance, 12)
    for signal in item.signals:
        if signal not in modelled:
            raise InputError(
                f"the intent bounds {signal}, which the twin does not predict",
                "bound a room, tank, battery or power signal of the site",
            )
        unit = canonical_unit(site.signal(signal).unit)
        for side, bound in (("min", item.minimum), ("max", item.maximum)):
            if bound is not None:
                value = convert(bound, item.unit, unit)
                ident = f"{name}:{signal}:{side}"
                checks.append(_bound(site, ident, signal, side, value, mask, item.hard, allowed))
    return checks


def _starts(
    site: Site, snapshot: Snapshot, name: str, point: str, most: int, mask: NDArray[np.bool_],
    hard: bool,
) -> Check:  # fmt: skip
    asset = site.signal(point).asset
    signal, threshold = running_signal(site, point)
    reading = snapshot.readings.get(signal)
    on_before = bool(reading and reading.value is not None and reading.value > threshold)
    days = local_days(snapshot.as_of, snapshot.step_s, snapshot.horizon_steps, site.zone_info)
    today = snapshot.starts_today.get(point, 0)

    def excess(traces: Traces) -> Array:
        power = np.abs(traces[signal])
        worst = np.full(power.shape[0], -np.inf)
        before: Array = np.full(power.shape[0], float(on_before))
        for i, day in enumerate(days):
            part = power[:, day]
            begun = _starts_in(part, threshold, before, mask[day])
            counted = begun + (today if i == 0 else 0)
            if mask[day].any():
                worst = np.maximum(worst, counted - most)
            before = (part[:, -1] > threshold).astype(float)
        return worst

    label = next((a.label or a.id for a in site.assets if a.id == asset), asset)
    text = f"{label}: at most {most} starts a day"
    return Check(f"{name}:{point}:starts" if name.startswith("intent") else f"{name}:starts",
                 text, signal, hard, 0.0 if hard else 0.05, "1", 0.5, excess)  # fmt: skip


def _starts_in(part: Array, threshold: float, before: Array, mask: NDArray[np.bool_]) -> Array:
    """Starts in the masked steps of a day; the step before a start may lie outside the mask."""
    if mask.all():
        return kpis.starts(part, threshold, before > 0)
    on = part > threshold
    was = np.concatenate([(before > 0)[:, None], on[:, :-1]], axis=1)
    return np.asarray((on & ~was & mask).sum(axis=1), dtype=float)


def running_signal(site: Site, point: str) -> tuple[str, float]:
    """The power that shows whether a point's asset runs, and the power above which it does."""
    asset = next(a for a in site.assets if a.id == site.signal(point).asset)
    return f"{asset.id}.power_kw", 0.5 * float(getattr(asset, "min_power_kw", 0.2))


def _total(
    site: Site, snapshot: Snapshot, name: str, item: TotalLimit, intent: Intent,
    checked: NDArray[np.bool_],
) -> Check:  # fmt: skip
    grid = f"{site.of_kind('grid_connection')[0].id}.power_kw"
    signal = item.signal or grid
    unit = site.currency if item.quantity == "cost" else TOTAL_UNITS[item.quantity]
    limits = [
        (
            b.mask & checked,
            b.maximum if unit == site.currency else convert(b.maximum, item.unit, unit),
        )
        for b in budgets(item, intent, site, snapshot)
    ]
    prices, step_s = snapshot.prices, float(snapshot.step_s)

    def used(traces: Traces, mask: NDArray[np.bool_]) -> Array:
        power = np.where(mask, traces[signal], 0.0)
        if item.quantity == "cost":
            return kpis.energy_cost(power, prices.import_price, prices.export_price, step_s)
        if item.quantity == "emissions":
            return kpis.carbon_kg(power, prices.carbon_g_per_kwh, step_s)
        return kpis.imported_kwh(power, step_s)

    def excess(traces: Traces) -> Array:
        worst = np.full(traces[signal].shape[0], -np.inf)
        for mask, limit in limits:
            worst = np.maximum(worst, used(traces, mask) - limit)
        return worst

    words = {"cost": "Energy cost", "energy": "Imported energy", "emissions": "CO2"}[item.quantity]
    words = f"Energy of {signal_label(site, signal)}" if item.signal else words
    shown = item.maximum if unit == site.currency else convert(item.maximum, item.unit, unit)
    text = f"{words} at most {shown:g} {unit}" + (" a day" if item.daily else "")
    ident = f"{name}:{item.signal or item.quantity}:total"
    return Check(ident, text, signal, item.hard, 0.0 if item.hard else 0.05, unit, 0.01, excess)


def _rate(
    site: Site, snapshot: Snapshot, name: str, item: RateLimit, signal: str,
    mask: NDArray[np.bool_], modelled: frozenset[str],
) -> Check:  # fmt: skip
    if signal not in modelled:
        raise InputError(
            f"the intent limits the rate of {signal}, which the twin does not predict",
            "limit a room, tank, battery or power signal of the site",
        )
    unit = canonical_unit(site.signal(signal).unit)
    reading = snapshot.readings.get(signal)
    before = reading.value if reading and value_at_end(site.signal(signal)) else None

    def excess(traces: Traces) -> Array:
        found = greatest_rate(
            traces[signal], snapshot.step_s / 3600.0, mask, item.direction, before
        )
        return found - item.maximum

    # What a step's change must be for the sensor to show it.
    tolerance = TOLERANCE.get(unit, 0.0) * 3600.0 / snapshot.step_s
    shown = "K" if unit == "degC" else SHOWN_UNITS.get(unit, unit)
    text = f"{signal_label(site, signal)} changes by at most {item.maximum:g} {shown} an hour"
    allowed = 0.0 if item.hard else 0.05
    return Check(f"{name}:{signal}:rate", text, signal, item.hard, allowed, f"{shown}/h", tolerance,
                 excess)  # fmt: skip


def _stay(
    site: Site, snapshot: Snapshot, name: str, item: MinimumTime, point: str,
    mask: NDArray[np.bool_],
) -> Check:  # fmt: skip
    signal, threshold = (point, 0.0) if item.state == "same" else running_signal(site, point)
    changed = snapshot.last_change.get(point)
    held_s = np.inf if changed is None else (snapshot.as_of - changed).total_seconds()
    reading = snapshot.readings.get(signal)
    on_before = bool(reading and reading.value is not None and reading.value > threshold)

    def excess(traces: Traces) -> Array:
        shortest = shortest_stay(
            traces[signal], item.state, threshold, float(snapshot.step_s), mask, on_before, held_s
        )
        return (item.minimum_s - shortest) / 60.0

    label = signal_label(site, signal)
    word = {"on": "runs", "off": "stands still", "same": "keeps a value"}[item.state]
    text = f"{label} {word} for at least {item.minimum_s / 60:g} minutes"
    return Check(f"{name}:{point}:{item.state}", text, signal, item.hard, 0.0, "min",
                 0.5 * snapshot.step_s / 60.0, excess)  # fmt: skip


def _keep_off(site: Site, name: str, item: KeepOff, mask: NDArray[np.bool_]) -> Check:
    if item.point.endswith("ing_setpoint_degc"):
        return _side_off(site, name, item, mask)
    signal, _ = running_signal(site, item.point)

    def excess(traces: Traces) -> Array:
        return np.asarray(np.where(mask, np.abs(traces[signal]), 0.0).max(axis=1))

    label = signal_label(site, signal)
    ident = f"{name}:{item.point}:keep_off"
    allowed = 0.0 if item.hard else 0.05
    return Check(ident, f"{label} stays off", signal, item.hard, allowed, "kW",
                 TOLERANCE["kW"], excess)  # fmt: skip


def _side_off(site: Site, name: str, item: KeepOff, mask: NDArray[np.bool_]) -> Check:
    """Heating or cooling of a room stays off while its setpoint is at the far end of its range."""
    spec = site.signal(item.point)
    side = item.point.split(".", 1)[1].removesuffix("_setpoint_degc")
    far, sign = (spec.minimum, 1.0) if side == "heating" else (spec.maximum, -1.0)

    def excess(traces: Traces) -> Array:
        return np.asarray(np.where(mask, sign * (traces[item.point] - far), 0.0).max(axis=1))

    label = next((a.label for a in site.assets if a.id == spec.asset), "") or spec.asset
    ident = f"{name}:{item.point}:keep_off"
    allowed = 0.0 if item.hard else 0.05
    return Check(ident, f"{label}: {side} stays off", item.point, item.hard, allowed, "degC",
                 TOLERANCE["degC"], excess)  # fmt: skip
