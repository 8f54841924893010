"""Hours of the day and kinds of day in the site's own time, and values that recur with them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sandbox.building.structure import DAY_KINDS, Profile

Array = NDArray[np.float64]
HOURS = 24


def hour_kinds(begins: Sequence[datetime], zone: ZoneInfo) -> NDArray[np.int64]:
    """Index of each step in (kind of day, hour), 0 to 47: working days first; (len(begins),)."""
    local = [t.astimezone(zone) for t in begins]
    return np.array([HOURS * (t.weekday() >= 5) + t.hour for t in local], dtype=np.int64)


def profile_values(profile: Profile | None, kinds: NDArray[np.int64]) -> Array:
    """The recurring value in each step, (N,); 0 without a profile."""
    if not profile:
        return np.zeros(len(kinds))
    table = np.array([v for kind in DAY_KINDS for v in profile[kind]])
    return np.asarray(table[kinds])


def profile_from(table: Array) -> Profile:
    """48 values as a profile, to 4 decimals (0.1 W)."""
    parts = np.round(table, 4).reshape(len(DAY_KINDS), HOURS)
    return {kind: tuple(float(v) for v in row) for kind, row in zip(DAY_KINDS, parts, strict=True)}


def profile_table(profile: Mapping[str, Sequence[float]] | None) -> Array:
    """48 values, zeros without a profile."""
    if not profile:
        return np.zeros(len(DAY_KINDS) * HOURS)
    return np.array([float(v) for kind in DAY_KINDS for v in profile[kind]])
