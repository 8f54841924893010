"""Calendar helpers of the horizon: local days, and how much of a month is left."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo


def local_dates(starts: Sequence[datetime], zone: ZoneInfo) -> list[date]:
    """The local calendar day in which each step begins."""
    return [t.astimezone(zone).date() for t in starts]


def days_left_in_month(day: date) -> int:
    """Days from `day` to the end of its month, itself included."""
    following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (following - day).days
