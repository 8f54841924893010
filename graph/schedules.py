"""Wall-clock schedules of a site: hours in which something holds, values from a time of day on."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from graph.record import Record
from graph.tariff import DAYS, minutes

MINUTES_A_DAY = 24 * 60


def _known_days(days: tuple[str, ...]) -> tuple[str, ...]:
    for day in days:
        if day not in DAYS:
            raise ValueError(f"unknown day {day!r}; expected one of {', '.join(DAYS)}")
    return days


class Hours(Record):
    """A stretch of wall-clock time on some days of the week."""

    days: tuple[str, ...] = DAYS
    start: str = Field("00:00", description="HH:MM local")
    end: str = Field("24:00", description="HH:MM local, exclusive; 24:00 is midnight")

    _days_exist = field_validator("days")(_known_days)

    @field_validator("start", "end")
    @classmethod
    def _is_clock_time(cls, text: str) -> str:
        minutes(text)
        return text

    def covers(self, local: datetime) -> bool:
        """Whether `local` (wall time) falls into it."""
        now = local.hour * 60 + local.minute
        return DAYS[local.weekday()] in self.days and minutes(self.start) <= now < minutes(self.end)


class StartSchedule(Record):
    """A value that holds from a wall-clock time on, on some days of the week."""

    at: str
    value: float
    days: tuple[str, ...] = DAYS

    _days_exist = field_validator("days")(_known_days)

    @field_validator("at")
    @classmethod
    def _is_clock_time(cls, text: str) -> str:
        minutes(text)
        return text


def covered(hours: Sequence[Hours], times: Sequence[datetime], zone: ZoneInfo) -> NDArray[np.bool_]:
    """Which of `times` fall into any of `hours`; shape (len(times),)."""
    local = [t.astimezone(zone) for t in times]
    return np.array([any(h.covers(t) for h in hours) for t in local], dtype=bool)


def scheduled(
    rules: Sequence[StartSchedule], times: Sequence[datetime], zone: ZoneInfo
) -> NDArray[np.float64]:
    """The value in force at each of `times`; shape (len(times),).

    Before the first rule of a day, the last one of an earlier day still holds.

    Raises:
        ValueError: no rule.
    """
    if not rules:
        raise ValueError("a schedule needs at least one rule")
    week = sorted(
        (DAYS.index(day) * MINUTES_A_DAY + minutes(rule.at), index)
        for index, rule in enumerate(rules)
        for day in rule.days
    )
    begins = np.array([at for at, _ in week])
    values = np.array([rules[index].value for _, index in week], dtype=float)
    local = [t.astimezone(zone) for t in times]
    now = np.array([t.weekday() * MINUTES_A_DAY + t.hour * 60 + t.minute for t in local])
    # Index -1 wraps round to the week's last rule, which still holds before the week's first.
    return np.asarray(values[np.searchsorted(begins, now, side="right") - 1])
