"""Which steps of a horizon a constraint's window covers.

Planner and sandbox ask the same function, `constraint_mask`: what is planned is what is judged.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.intent import Condition, Window
from graph.signals import Role, SignalSpec
from graph.site import Site
from graph.snapshot import Snapshot
from graph.tariff import DAYS, MINUTES, minutes
from graph.units import canonical_unit, convert

Bools = NDArray[np.bool_]
AT_END = frozenset({"degC", "percent"})  # units of states
PRICES = ("import_price", "export_price", "carbon")  # what a condition reads besides forecasts


def window_mask(
    window: Window,
    start: datetime,
    step_s: float,
    steps: int,
    zone: ZoneInfo,
    *,
    at_ends: bool = False,
    held: Callable[[Condition], Bools] | None = None,
) -> Bools:
    """True for each step whose middle lies in `window`, and in none of its exceptions; (steps,).

    A daily span whose end is not after its start runs past midnight and belongs to the day it
    began on.

    Args:
        at_ends: for values at the end of each step (temperatures, charge): the step at whose end
            the window opens counts too. Who wants 20 degC from 08:00 wants it at 08:00.
        held: says in which steps a condition holds; without it none ever does (beyond a forecast
            nobody knows, and what holds without a condition goes on).
    """
    middle = [start + timedelta(seconds=step_s * (k + 0.5)) for k in range(steps)]
    mask = np.array([_covers(window, t, zone) for t in middle], dtype=bool)
    if at_ends:
        half = timedelta(seconds=step_s / 2)
        mask |= np.array([_covers(window, t + half, zone) for t in middle], dtype=bool)
    if window.condition is not None:
        now = held(window.condition) if held else np.zeros(steps, dtype=bool)
        mask &= now | np.append(now[1:], now[-1:]) if at_ends else now
    for exception in window.exceptions:
        mask &= ~window_mask(exception, start, step_s, steps, zone, held=held)
    return mask


def constraint_mask(
    window: Window, site: Site, snapshot: Snapshot, *, at_ends: bool = False
) -> Bools:
    """`window_mask` over the snapshot's horizon, with its conditions on the snapshot's forecasts.

    Raises:
        InputError: a condition on what the snapshot does not forecast, or in another unit.
    """
    return window_mask(
        window, snapshot.as_of, snapshot.step_s, snapshot.horizon_steps, site.zone_info,
        at_ends=at_ends, held=lambda c: condition_mask(c, site, snapshot),
    )  # fmt: skip


def condition_mask(condition: Condition, site: Site, snapshot: Snapshot) -> Bools:
    """The steps (N,) in which the expected value of a forecast lies beyond the condition's.

    Raises:
        InputError: as `constraint_mask`.
    """
    prices, steps, source = snapshot.prices, snapshot.horizon_steps, condition.source
    value = condition.value
    if source in PRICES:
        series = prices.carbon_g_per_kwh if source == "carbon" else getattr(prices, source)
    elif source in {f.signal for f in snapshot.forecasts}:
        series = snapshot.forecast(source).values
        value = convert(value, condition.unit, site.signal(source).unit)
    else:
        raise InputError(
            f"a condition on {source}, of which the snapshot has no forecast",
            f"known: {', '.join((*PRICES, *(f.signal for f in snapshot.forecasts)))}",
        )
    known = np.asarray(series, dtype=float)[:steps]
    compare = {
        "above": np.greater, "at_least": np.greater_equal,
        "below": np.less, "at_most": np.less_equal,
    }[condition.op]  # fmt: skip
    return np.asarray(compare(known, value), dtype=bool)


def value_at_end(spec: SignalSpec) -> bool:
    """Whether a signal's value in a step is the one at its end: a measured temperature or charge.

    A setpoint is in force during its step; a power is the mean over it.
    """
    return spec.role is Role.MEASUREMENT and canonical_unit(spec.unit) in AT_END


def _covers(window: Window, when: datetime, zone: ZoneInfo) -> bool:
    if window.start is not None and when < window.start:
        return False
    if window.end is not None and when >= window.end:
        return False
    local = when.astimezone(zone)
    now = local.hour * 60 + local.minute
    begin = minutes(window.daily_from) if window.daily_from else 0
    end = minutes(window.daily_to) if window.daily_to else MINUTES
    past_midnight = end <= begin
    after = past_midnight and now < end
    inside = now >= begin or after if past_midnight else begin <= now < end
    day = (local - timedelta(days=1)) if after else local
    return inside and (not window.days or DAYS[day.weekday()] in window.days)


def local_days(start: datetime, step_s: float, steps: int, zone: ZoneInfo) -> list[Bools]:
    """One mask (steps,) for each local day that the horizon touches, in order."""
    dates = [(start + timedelta(seconds=step_s * k)).astimezone(zone).date() for k in range(steps)]
    return [np.array([d == day for d in dates]) for day in sorted(set(dates))]
