"""Which half of the day an hour of 1 to 12 means, where another time beside it says so."""

from dataclasses import replace

from planner.intent.moments import DAY_S, Moment

_HALF = DAY_S // 2


def settled(first: Moment, second: Moment) -> tuple[Moment, Moment]:
    """Both moments of a span, an open one settled by the other.

    1. A 24-hour time settles the other as it stands: from 8 to 17. 2. A time with am, pm, a part
    of the day, noon or midnight is less than half a day from the other: from 4 to 9 pm, 9 pm to 5.
    """
    if first.bare == second.bare or None in (first.seconds, second.seconds):
        return first, second
    if any(m.day is not None and m.seconds is None for m in (first, second)):
        return first, second
    known = second if first.bare else first
    if not (known.half or known.midnight):
        return replace(first, bare=False), replace(second, bare=False)
    start, end = first.seconds or 0, second.seconds or 0
    if first.bare:
        start = _near(start, end, back=True)
        return replace(first, seconds=start, bare=False), second
    return first, replace(second, seconds=_near(end, start, back=False), bare=False)


def _near(clock: int, other: int, back: bool) -> int:
    """The reading of `clock` that lies less than half a day before (or after) `other`."""
    for candidate in (clock % _HALF, clock % _HALF + _HALF):
        gap = (other - candidate if back else candidate - other) % DAY_S
        if 0 < gap < _HALF:
            return candidate
    return clock


def in_working_day(start: int, end: int) -> tuple[int, int] | None:
    """8 to 6 in a working day: begins in the morning, ends on the same day."""
    first = start % _HALF
    last = end % _HALF if end % _HALF > first else end % _HALF + _HALF
    early = first >= 5 * 3600
    if not early:
        first, last = first + _HALF, end % _HALF + _HALF
    return (first, last) if first < last <= 20 * 3600 else None


def in_part(start: int, end: int, part: str) -> tuple[int, int] | None:
    """Ten to six at night, six to nine in the evening."""
    if part == "morning":
        first, last = start % _HALF, end % _HALF or _HALF
    elif part in ("afternoon", "evening"):
        first, last = start % _HALF + _HALF, end % _HALF + _HALF
    elif start % _HALF >= 6 * 3600:
        first, last = start % _HALF + _HALF, end % _HALF
    else:
        first, last = start % _HALF, end % _HALF
    return (first, last) if first != last else None
