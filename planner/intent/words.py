"""Numbers, units and times as the restatement writes them; the grammar reads them back."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from graph.intent import Condition, Window

_SIGNS = {"degC": "°C", "degF": "°F", "percent": "%", "delta_degC": "K"}
_ALL = {"mon": "Mondays", "tue": "Tuesdays", "wed": "Wednesdays", "thu": "Thursdays",
        "fri": "Fridays", "sat": "Saturdays", "sun": "Sundays"}  # fmt: skip


def number(value: float) -> str:
    """The shortest decimal that reads back as the same number."""
    return np.format_float_positional(value + 0.0, trim="-")


def unit_sign(unit: str) -> str:
    """°C for degC, % for percent."""
    return _SIGNS.get(unit, unit)


def instant(when: datetime, zone: ZoneInfo, year: bool = True) -> str:
    """Tue 20 Jan 2026 18:00, in local time; the zone's name where the hour comes twice."""
    local = when.astimezone(zone)
    clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    day = f"{local:%a} {local.day} {local:%b}" + (f" {local.year}" if year else "")
    both = {local.replace(fold=f).utcoffset() for f in (0, 1)}
    twice = len(both) == 2 and when == local.astimezone(when.tzinfo)
    return f"{day} {clock} {local.tzname()}" if twice else f"{day} {clock}"


_OPS = {"above": "above", "at_least": "at least", "below": "below", "at_most": "at most"}
_SOURCES = {"import_price": "the import price", "export_price": "the export price",
            "carbon": "the carbon intensity"}  # fmt: skip


def condition_words(window: Window, zone: ZoneInfo) -> str:
    """What a window's condition and exceptions add: if ..., unless ..., except ..., or nothing."""
    words = ""
    if window.condition:
        words += f" if {_condition(window.condition)}"
    for exception in window.exceptions:
        if exception.condition:
            words += f" unless {_condition(exception.condition)}"
        else:
            words += f" except{window_words(exception, zone, True)}"
    return words


def _condition(condition: Condition) -> str:
    source = _SOURCES.get(condition.source, condition.source)
    return f"{source} is {_OPS[condition.op]} {number(condition.value)} {unit_sign(condition.unit)}"


def window_words(window: Window, zone: ZoneInfo, every_day: bool) -> str:
    """from ... until ..., from 16:00 to 21:00 every day, on weekdays; empty for no window."""
    parts = []
    if window.start and window.end:
        parts.append(f"from {instant(window.start, zone)} until {instant(window.end, zone)}")
    elif window.start:
        parts.append(f"from {instant(window.start, zone)} on")
    elif window.end:
        parts.append(f"until {instant(window.end, zone)}")
    if window.daily_from:
        always = "every day " if every_day and not window.days else ""
        parts.append(f"{always}from {window.daily_from} to {window.daily_to}")
    if window.days == ("mon", "tue", "wed", "thu", "fri"):
        parts.append("on weekdays")
    elif window.days == ("sat", "sun"):
        parts.append("on weekends")
    elif window.days:
        parts.append("on " + " and ".join(_ALL[d] for d in window.days))
    return "".join(f" {p}" for p in parts)
