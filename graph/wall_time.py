"""Wall-clock stamps without a zone to UTC, with the two hours that a clock change makes doubtful.

In autumn an hour is on the clock twice, in spring one is not there at all. Stamps of the doubled
hour are told apart by their order in the file: the clock runs through it, steps back once, and
runs through it again. Where the file does not show that, the rows are named and nobody guesses.
Offsets of the two readings of a stamp: PEP 495.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError

Array = NDArray[np.float64]
QUARTER_S = 900.0  # no zone has ever changed its clock off the quarter hour since 1972


@dataclass(frozen=True)
class ClockChange:
    """Rows whose stamps a clock change makes doubtful.

    kind: `repeated` (each stamp is on the clock twice) or `skipped` (never). rows: their indices.
    order: for a repeated hour, whether the order of the rows tells the two passes apart.
    alone: a repeated hour that the file runs through once only, as a clock without change would.
    """

    kind: str
    date: str
    rows: NDArray[np.int64]
    order: bool = False
    alone: bool = False


def parse_zone(name: str) -> tzinfo:
    """A zone by its name, or a fixed offset such as -08:00. Raises InputError."""
    text = name.strip()
    if text.upper() in ("UTC", "Z"):
        return UTC
    fixed = re.fullmatch(r"(?:UTC)?([+-])(\d\d):?(\d\d)", text)
    if fixed:
        minutes = int(fixed[2]) * 60 + int(fixed[3])
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=minutes if fixed[1] == "+" else -minutes))
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"unknown time zone {name!r}", "expected e.g. America/Los_Angeles, UTC or -08:00"
        ) from error


def to_utc(wall: Array, zone: tzinfo) -> tuple[Array, list[ClockChange]]:
    """UTC seconds of wall-clock stamps (rows,), in the order of the file, and what is doubtful.

    A stamp of a repeated hour whose pass the order does not tell is taken as the first one; a
    skipped stamp as if the clock had not been changed yet. Both stand in the list.
    """
    first, second = _offsets(wall, zone)
    utc = wall - first
    changes = []
    for index in _stretches(np.flatnonzero(first > second), wall):
        change = _repeated(index, wall)
        if change.order:
            passes = np.flatnonzero(np.diff(wall[index]) < 0)
            late = index[passes[0] + 1 :] if passes.size else index[1:]
            utc[late] = wall[late] - second[late]
        changes.append(change)
    changes += [
        ClockChange("skipped", _date(wall[index[0]]), index)
        for index in _stretches(np.flatnonzero(first < second), wall)
    ]
    return utc, changes


def _repeated(index: NDArray[np.int64], wall: Array) -> ClockChange:
    """How the rows of one repeated hour lie in the file."""
    stamps = wall[index]
    back = int((np.diff(stamps) < 0).sum())
    distinct = len(np.unique(stamps))
    # A step of an hour or more shows each stamp at most twice in a row: that is its order.
    one_stamp_twice = distinct == 1 and len(stamps) == 2
    twice = back == 1 and len(stamps) > distinct
    alone = back == 0 and len(stamps) == distinct
    return ClockChange("repeated", _date(stamps[0]), index, twice or one_stamp_twice, alone)


def _offsets(wall: Array, zone: tzinfo) -> tuple[Array, Array]:
    """Offsets from UTC in seconds if each stamp is the first, and the second, of its kind."""
    quarter, inverse = np.unique(np.floor(wall / QUARTER_S), return_inverse=True)
    both = np.empty((2, len(quarter)))
    for k, q in enumerate(quarter):
        naive = datetime.fromtimestamp(q * QUARTER_S, UTC).replace(tzinfo=zone)
        for fold in (0, 1):
            offset = naive.replace(fold=fold).utcoffset()
            both[fold, k] = 0.0 if offset is None else offset.total_seconds()
    return both[0][inverse], both[1][inverse]


def _stretches(rows: NDArray[np.int64], wall: Array) -> list[NDArray[np.int64]]:
    """`rows` by the day of their stamp."""
    days = np.floor(wall[rows] / 86_400.0)
    return [rows[days == d] for d in np.unique(days)]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).date().isoformat()
