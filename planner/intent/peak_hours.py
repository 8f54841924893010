"""Peak hours are the hours of the tariff's dearest import price; off-peak is the rest."""

from datetime import datetime, timedelta

import numpy as np

from graph.site import Site
from graph.tariff import DAYS, MINUTES, minutes

Hours = tuple[str, str]


def tariff_hours(
    site: Site, local: datetime, dearest: bool
) -> tuple[Hours | None, tuple[str, ...], str]:
    """Daily window and days of the dearest (or all other) import prices in the next days.

    Returns:
        hours (HH:MM, HH:MM), days (empty: every day), and a question where there is no one answer.
    """
    tables = {(local + timedelta(days=d)).month: None for d in (0, 7)}
    answers = [_in_month(site, month, dearest) for month in tables]
    name = "peak" if dearest else "off-peak"
    if answers[0] is None or any(a != answers[0] for a in answers):
        return None, (), f"The tariff names no single span of {name} hours: from when to when?"
    hours, days = answers[0]
    return hours, days, ""


def _in_month(site: Site, month: int, dearest: bool) -> tuple[Hours, tuple[str, ...]] | None:
    prices = np.stack([_day_prices(site, month, day) for day in DAYS])
    top = prices.max()
    if top == prices.min():
        return None
    chosen = (prices == top) == dearest
    rows = [i for i in range(len(DAYS)) if chosen[i].any()]
    if any((chosen[i] != chosen[rows[0]]).any() for i in rows):
        return None
    hours = _one_span(chosen[rows[0]])
    if hours is None:
        return None
    return hours, () if len(rows) == len(DAYS) else tuple(DAYS[i] for i in rows)


def _day_prices(site: Site, month: int, day: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    table = np.zeros(MINUTES)
    for period in site.tariff.import_periods:
        if month in period.months and day in period.days:
            table[minutes(period.start) : minutes(period.end)] = period.price
    return table


def _one_span(mask: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Hours | None:
    """Start and end of the one circular run of True, or None."""
    if mask.all():
        return "00:00", "24:00"
    begins = np.flatnonzero(mask & ~np.roll(mask, 1))
    ends = np.flatnonzero(mask & ~np.roll(mask, -1)) + 1
    if len(begins) != 1:
        return None
    first, last = int(begins[0]), int(ends[0])
    return f"{first // 60:02d}:{first % 60:02d}", f"{last // 60:02d}:{last % 60:02d}"
