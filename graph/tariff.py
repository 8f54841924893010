"""Tariffs in the site's own time zone: what a kWh costs, earns and emits at each instant.

Periods are declared in local wall time; across a clock change the wall clock decides, so a
16:00-21:00 peak stays five wall hours long on every day.
"""

from collections.abc import Sequence
from datetime import datetime, time
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from graph.errors import MisplacedError
from graph.record import Record

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES = 24 * 60


class Period(Record):
    """A price that holds in some months, on some days, between two wall-clock times."""

    name: str
    months: tuple[int, ...] = tuple(range(1, 13))
    days: tuple[str, ...] = DAYS
    start: str = Field("00:00", description="HH:MM local")
    end: str = Field("24:00", description="HH:MM local, exclusive; 24:00 is midnight")
    price: float = Field(description="currency a kWh")

    @field_validator("days")
    @classmethod
    def _days_exist(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        for day in days:
            if day not in DAYS:
                raise ValueError(f"unknown day {day!r}; expected one of {', '.join(DAYS)}")
        return days

    @field_validator("start", "end")
    @classmethod
    def _is_clock_time(cls, text: str) -> str:
        minutes(text)
        return text

    def covers(self, local: datetime) -> bool:
        """Whether `local` (wall time) falls into the period."""
        now = local.hour * 60 + local.minute
        return (
            local.month in self.months
            and DAYS[local.weekday()] in self.days
            and minutes(self.start) <= now < minutes(self.end)
        )


def minutes(text: str) -> int:
    """Minutes after midnight of `HH:MM`; 24:00 is allowed."""
    if text == "24:00":
        return MINUTES
    try:
        parsed = time.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time of day; expected HH:MM") from error
    return parsed.hour * 60 + parsed.minute


class Tariff(Record):
    """Import and export prices, the demand charge and the price of carbon."""

    source: str = Field(description="where the figures are published")
    import_periods: tuple[Period, ...] = Field(min_length=1)
    export_periods: tuple[Period, ...] = Field(min_length=1)
    demand_charge_per_kw: float = Field(
        0.0, ge=0, description="currency per kW of the month's highest 15-minute import"
    )
    demand_window: Period | None = Field(None, description="when the demand charge counts")
    carbon_price_per_t: float = Field(0.0, ge=0, description="currency a tonne of CO2")

    @model_validator(mode="after")
    def _no_gap_no_overlap(self) -> "Tariff":
        for name in ("import_periods", "export_periods"):
            _check_cover(name, getattr(self, name))
        return self


def _check_cover(name: str, periods: Sequence[Period]) -> None:
    for month in range(1, 13):
        for day in DAYS:
            _check_day(name, periods, month, day)


def _check_day(name: str, periods: Sequence[Period], month: int, day: str) -> None:
    owner = np.full(MINUTES, -1)
    for index, p in enumerate(periods):
        if month not in p.months or day not in p.days:
            continue
        span = slice(minutes(p.start), minutes(p.end))
        taken = owner[span] >= 0
        if taken.any():
            at = minutes(p.start) + int(np.argmax(taken))
            other = periods[int(owner[at])].name
            raise MisplacedError(
                f"{name} has an overlap in {_when(month, day, at)}: {p.name!r} and {other!r}",
                (name, index),
                "each minute belongs to one period",
            )
        owner[span] = index
    if (owner < 0).any():
        at = int(np.argmax(owner < 0))
        # The period before the gap is the one that ends too early, if there is one that day.
        place = (name, int(owner[at - 1])) if at else (name,)
        raise MisplacedError(
            f"{name} has a gap in {_when(month, day, at)}",
            place,
            "each minute belongs to one period",
        )


def _when(month: int, day: str, minute: int) -> str:
    return f"month {month} on {day} at {minute // 60:02d}:{minute % 60:02d}"


def period_at(periods: Sequence[Period], when: datetime, zone: ZoneInfo) -> Period:
    """The period that holds at `when`."""
    local = when.astimezone(zone)
    return next(p for p in periods if p.covers(local))


def prices(
    periods: Sequence[Period], times: Sequence[datetime], zone: ZoneInfo
) -> NDArray[np.float64]:
    """Price at each of `times`; shape (len(times),), currency a kWh."""
    return np.array([period_at(periods, t, zone).price for t in times], dtype=float)
