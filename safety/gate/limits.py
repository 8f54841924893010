"""Range, ramp, dwell and starts: the same rules over a whole schedule and at each write."""

import math
from bisect import bisect_right
from datetime import datetime, timedelta
from typing import NamedTuple

from graph.proposal import PointSchedule
from safety.gate.config import GateConfig, PointConfig
from safety.gate.state import PointTrack, local_day

RELATIVE_SLACK = 1e-9  # float noise of a product of ramp and time


class Breach(NamedTuple):
    """A rule that a schedule breaks: its stable name and the account of it."""

    rule: str
    text: str


def value_at(schedule: PointSchedule, elapsed_s: float) -> float | None:
    """The schedule's last value with t_i <= elapsed (zero-order hold); None before the first."""
    k = bisect_right(schedule.t, elapsed_s) - 1
    return schedule.value[k] if k >= 0 else None


def rounded(point: PointConfig, value: float) -> float:
    """`value` on the point's resolution."""
    return round(round(value / point.resolution) * point.resolution, 9)


def in_range(point: PointConfig, value: float) -> bool:
    """Whether the rounded `value` may be commanded at all."""
    value = rounded(point, value)
    if not point.min <= value <= point.max:
        return False
    return point.zero_or_above is None or value == 0 or value >= point.zero_or_above


def same(point: PointConfig, a: float, b: float) -> bool:
    """Whether going from `a` to `b` is no change: within the deadband and not on or off."""
    if point.zero_or_above is not None and (a == 0) != (b == 0):
        return False
    return abs(a - b) <= max(point.deadband, point.resolution / 2)


def first_value(point: PointConfig, live: float) -> float | None:
    """The command that equals the live value, so that taking over is bumpless.

    None when no legal command equals it within the read-back tolerance.
    """
    value = rounded(point, live)
    if point.zero_or_above is not None and 0 < value < point.zero_or_above:
        # An asset caught between off and its least power goes to the nearer of the two.
        value = 0.0 if value < point.zero_or_above / 2 else rounded(point, point.zero_or_above)
    elif abs(value - min(max(value, point.min), point.max)) <= point.readback_tolerance:
        value = min(max(value, point.min), point.max)
    return value if in_range(point, value) else None


def ramp_of(point: PointConfig, schedule: PointSchedule) -> float | None:
    """The slower of the gate's ramp and the schedule's, unit a second."""
    ramps = [r for r in (point.ramp_per_s, schedule.ramp_per_s) if r is not None]
    return min(ramps) if ramps else None


def ramp_step(point: PointConfig, base: float, target: float, most: float | None) -> float:
    """The value that comes after `base` on the way to `target`, moving at most `most`.

    Between 0 and `zero_or_above` there is nothing to ramp through: that part is one step.
    """
    floor = point.zero_or_above
    if most is None or base == target:
        return target
    if floor is not None and target == 0 and base <= floor:
        return 0.0
    if floor is not None and base < floor <= target:
        return floor
    moved = base + min(max(target - base, -most), most)
    return max(moved, floor) if floor is not None and base >= floor else moved


def check_schedule(
    config: GateConfig,
    point: PointConfig,
    schedule: PointSchedule,
    track: PointTrack,
    not_before: datetime,
    now: datetime,
) -> Breach | None:
    """The first rule that `schedule` breaks anywhere, or None.

    1 finite and well formed; 2 range; 3 ramp; 4 dwell; 5 starts in each local day, on top of
    those already counted today.
    """
    return (
        _check_form(schedule)
        or _check_range(point, schedule)
        or _check_ramp(point, schedule)
        or _check_dwell(point, schedule)
        or _check_starts(config, point, schedule, track, not_before, now)
    )


def _check_form(schedule: PointSchedule) -> Breach | None:
    numbers = (*schedule.t, *schedule.value, schedule.min, schedule.max, schedule.ttl_s)
    if not all(math.isfinite(n) for n in numbers):
        return Breach("nan", f"{schedule.point}: the schedule holds a value that is not a number")
    if not schedule.t or len(schedule.t) != len(schedule.value):
        return Breach(
            "malformed", f"{schedule.point}: {len(schedule.t)} times, {len(schedule.value)} values"
        )
    if any(b <= a for a, b in zip(schedule.t, schedule.t[1:], strict=False)):
        return Breach("malformed", f"{schedule.point}: the schedule's times do not grow")
    return None


def _check_range(point: PointConfig, schedule: PointSchedule) -> Breach | None:
    for t, value in zip(schedule.t, schedule.value, strict=True):
        slack = point.resolution / 2
        if not in_range(point, value):
            least = f", 0 or >= {point.zero_or_above:g}" if point.zero_or_above else ""
            return Breach(
                "out_of_range",
                f"{point.point}: {value:g} {point.unit} at {t:g} s is outside the gate's own "
                f"[{point.min:g}, {point.max:g}]{least}",
            )
        if not schedule.min - slack <= value <= schedule.max + slack:
            return Breach(
                "out_of_range",
                f"{point.point}: {value:g} at {t:g} s leaves the order's own envelope "
                f"[{schedule.min:g}, {schedule.max:g}]",
            )
    return None


def _check_ramp(point: PointConfig, schedule: PointSchedule) -> Breach | None:
    ramp = ramp_of(point, schedule)
    if ramp is None:
        return None
    for k in range(1, len(schedule.t)):
        before, after = schedule.value[k - 1], schedule.value[k]
        if point.zero_or_above is not None:
            before, after = max(before, point.zero_or_above), max(after, point.zero_or_above)
        gap = schedule.t[k] - schedule.t[k - 1]
        if abs(after - before) > ramp * gap * (1 + RELATIVE_SLACK) + point.resolution:
            return Breach(
                "ramp",
                f"{point.point}: {before:g} to {after:g} at {schedule.t[k]:g} s needs more than "
                f"{gap:g} s at {ramp:g} {point.unit}/s",
            )
    return None


def _check_dwell(point: PointConfig, schedule: PointSchedule) -> Breach | None:
    held, since = schedule.value[0], None
    for t, value in zip(schedule.t[1:], schedule.value[1:], strict=True):
        if same(point, held, value):
            continue
        if since is not None and t - since < point.dwell_s:
            return Breach(
                "dwell",
                f"{point.point}: changes at {since:g} s and {t:g} s are closer than "
                f"{point.dwell_s:g} s",
            )
        held, since = value, t
    return None


def _check_starts(
    config: GateConfig,
    point: PointConfig,
    schedule: PointSchedule,
    track: PointTrack,
    not_before: datetime,
    now: datetime,
) -> Breach | None:
    if point.max_starts_per_day is None:
        return None
    elapsed = (now - not_before).total_seconds()
    counts = {local_day(config, now): starts_on(config, track, now)}
    present = value_at(schedule, elapsed)
    ahead = [(t, v) for t, v in zip(schedule.t, schedule.value, strict=True) if t > elapsed]
    if present is not None:
        ahead.insert(0, (elapsed, present))
    level = track.applied or 0.0
    for t, value in ahead:
        if rounded(point, level) <= 0 < rounded(point, value):
            day = local_day(config, not_before + timedelta(seconds=t))
            counts[day] = counts.get(day, 0) + 1
            if counts[day] > point.max_starts_per_day:
                return Breach(
                    "starts",
                    f"{point.point}: start number {counts[day]} on {day}; "
                    f"{point.max_starts_per_day} are allowed",
                )
        level = value
    return None


def starts_on(config: GateConfig, track: PointTrack, now: datetime) -> int:
    """Starts counted on the local day of `now`."""
    return track.starts if track.starts_day == local_day(config, now) else 0
