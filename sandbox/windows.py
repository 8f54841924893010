"""Which steps of a horizon a constraint's window covers."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from graph.intent import Window
from graph.signals import Role, SignalSpec
from graph.tariff import DAYS, MINUTES, minutes
from graph.units import canonical_unit

Bools = NDArray[np.bool_]
AT_END = frozenset({"degC", "%"})  # units of states


def window_mask(
    window: Window,
    start: datetime,
    step_s: float,
    steps: int,
    zone: ZoneInfo,
    *,
    at_ends: bool = False,
) -> Bools:
    """True for each step whose middle lies in `window`; shape (steps,).

    A daily span whose end is not after its start runs past midnight and belongs to the day it
    began on.

    Args:
        at_ends: for values at the end of each step (temperatures, charge): the step at whose end
            the window opens counts too. Who wants 20 degC from 08:00 wants it at 08:00.
    """
    middle = [start + timedelta(seconds=step_s * (k + 0.5)) for k in range(steps)]
    mask = np.array([_covers(window, t, zone) for t in middle], dtype=bool)
    if at_ends:
        half = timedelta(seconds=step_s / 2)
        mask |= np.array([_covers(window, t + half, zone) for t in middle], dtype=bool)
    return mask


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
