"""What a total allows within one horizon: by day, or its share of a longer window.

What was used before the plan begins is not metered against the wish, and a window may end beyond
what is planned. In both cases the plan gets the share of its hours, at an even pace.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.intent import Intent, TotalLimit, Window
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.windows import constraint_mask, local_days, window_mask


@dataclass(frozen=True)
class Budget:
    """At most `maximum` (in the total's unit) over the steps of `mask`, (N,)."""

    mask: NDArray[np.bool_]
    maximum: float


def budgets(item: TotalLimit, intent: Intent, site: Site, snapshot: Snapshot) -> tuple[Budget, ...]:
    """The budgets of one horizon: one in all, or one for each local day that it touches.

    Raises:
        InputError: as `sandbox.windows.constraint_mask`.
    """
    start, step_s, steps = snapshot.as_of, snapshot.step_s, snapshot.horizon_steps
    span = Window(start=intent.start, end=intent.end)
    mask = constraint_mask(item.window, site, snapshot)
    mask &= window_mask(span, start, step_s, steps, site.zone_info)
    plain = item.window.model_copy(update={"condition": None})
    if not item.daily:
        first = max(t for t in (intent.start, item.window.start) if t)
        last = min(t for t in (intent.end, item.window.end) if t)
        whole = _steps_of(plain, first, last, site, step_s)
        return (Budget(mask, item.maximum * _share(_here(plain, site, snapshot, span), whole)),)
    found = []
    for day in local_days(start, step_s, steps, site.zone_info):
        if not (mask & day).any():
            continue
        begin = start + timedelta(seconds=step_s * (int(np.argmax(day)) + 0.5))
        midnight = begin.astimezone(site.zone_info).replace(hour=0, minute=0, second=0)
        following = midnight + timedelta(days=1)  # wall time: a day of 23 or 25 hours is one
        whole = _steps_of(plain, midnight, following, site, step_s)
        here = _here(plain, site, snapshot, Window()) * day
        found.append(Budget(mask & day, item.maximum * _share(here, whole)))
    return tuple(found)


def _here(plain: Window, site: Site, snapshot: Snapshot, span: Window) -> NDArray[np.bool_]:
    start, step_s, steps = snapshot.as_of, snapshot.step_s, snapshot.horizon_steps
    mask = window_mask(plain, start, step_s, steps, site.zone_info)
    return mask & window_mask(span, start, step_s, steps, site.zone_info)


def _steps_of(window: Window, start: datetime, end: datetime, site: Site, step_s: int) -> int:
    """Number of the site's steps of `window` between two instants."""
    first = start.astimezone(site.zone_info).timestamp()
    count = max(0, round((end.timestamp() - first) / step_s))
    return int(window_mask(window, start, step_s, count, site.zone_info).sum())


def _share(here: NDArray[np.bool_], whole: int) -> float:
    return min(1.0, float(here.sum()) / whole) if whole else 1.0
