"""Times as people give them on the command line."""

from datetime import datetime

from graph.errors import InputError
from graph.record import parse_iso


def parse_time(text: str) -> datetime:
    """ISO 8601 with an offset. Raises InputError saying what is missing."""
    try:
        return parse_iso(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise InputError(
            f"{text!r} is not a usable time: {error}", "e.g. 2026-01-20T18:00:00-08:00"
        ) from error


def parse_local(text: str, zone: str) -> datetime:
    """A date or a time; without an offset it is taken in the site's zone, and only then."""
    from zoneinfo import ZoneInfo

    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is not a date or time", "e.g. 2026-01-20 or 2026-01-20T06:00"
        ) from error
    if value.tzinfo is None:
        value = value.replace(tzinfo=ZoneInfo(zone))
    return parse_iso(value.isoformat())
