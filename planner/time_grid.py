"""Which steps of a horizon share one decision on the rooms' heat.

A building of many rooms over two days is a large programme, and its far end is planned again many
times before it comes. So beyond the first hours its rooms' heat is one value an hour; a small
building keeps the site's step throughout. Powers, prices and storage always keep it. Transitions
over an hour are exact: the heat is constant and every step's weather is in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
ROOM_STEPS = 1000  # rooms x decisions that a decision's time allows: five rooms for two days
FINE_H = 6.0  # a plan in force is replaced within the hour; weather errors are hourly means


@dataclass(frozen=True)
class TimeGrid:
    """`period[k]`, (N,), is the period of step k; `ends[p]`, (P,), the last step of period p."""

    period: Index
    ends: Index

    @property
    def steps(self) -> int:
        """Number of steps, N."""
        return len(self.period)

    @property
    def coarse(self) -> bool:
        """Whether any period has more than one step."""
        return len(self.ends) < len(self.period)

    @property
    def lengths(self) -> Index:
        """Steps in each period, (P,)."""
        return np.diff(self.ends, prepend=-1)


def time_grid(starts: Sequence[datetime], step_s: int, rooms: int, zone: ZoneInfo) -> TimeGrid:
    """The grid of a horizon whose steps begin at `starts`.

    Each step is a period of its own unless there are more than `ROOM_STEPS` decisions; then those
    that begin after `FINE_H` are joined by the local clock's hour, so that tariffs and working
    hours fall on the edges of periods.
    """
    steps = len(starts)
    period = np.arange(steps)
    fine = int(FINE_H * 3600 / step_s)
    if rooms * steps > ROOM_STEPS and steps > fine:
        local = [t.astimezone(zone) for t in starts]
        new_hour = np.array([k <= fine or local[k].minute * 60 < step_s for k in range(steps)])
        period = np.cumsum(new_hour) - 1
    ends = np.append(np.flatnonzero(np.diff(period)), steps - 1)
    return TimeGrid(period.astype(np.int64), ends.astype(np.int64))
