"""The next value of each point: from read-back, ramped, dwelt, counted, under a lease."""

from datetime import datetime, timedelta
from typing import NamedTuple

from graph.plant import LeasedSetpoint, Readings
from graph.proposal import PointSchedule
from safety.gate.config import GateConfig, PointConfig
from safety.gate.limits import (
    first_value,
    in_range,
    ramp_of,
    ramp_step,
    rounded,
    same,
    starts_on,
    value_at,
)
from safety.gate.state import (
    Engaged,
    GateState,
    PointTrack,
    active_points,
    evolve,
    local_day,
)


class Writing(NamedTuple):
    """The state after writing, the setpoints that are due, and why nothing may be written."""

    state: GateState
    setpoints: tuple[LeasedSetpoint, ...] = ()
    changed: tuple[str, ...] = ()
    trip: str = ""


def due_writes(state: GateState, config: GateConfig, readings: Readings, dt_s: float) -> Writing:
    """All writes of this cycle. `dt_s`: plant time since the last cycle.

    A ramp uses at most one regular cycle of it: after a gap nothing jumps. A point whose value
    stays is renewed before half its lease is over.
    """
    engaged = state.engaged
    if engaged is None:
        return Writing(state)
    now, tracks = readings.time, dict(state.tracks)
    elapsed = (now - engaged.order.not_before).total_seconds()
    setpoints, changed = [], []
    for name in active_points(state):
        point, schedule = config.by_point[name], engaged.order.of_point(name)
        want = value_at(schedule, elapsed)
        if want is None or name not in readings.points:
            continue
        before = state.track(name)
        track = next_track(
            config, point, schedule, before, want, readings, min(dt_s, config.cycle_s)
        )
        if isinstance(track, str):
            return Writing(state, trip=f"{track}:{name}")
        ttl = _lease(config, schedule, engaged, now)
        if track.written != before.written or _renewal_due(config, before, now, ttl, dt_s):
            until = now + timedelta(seconds=ttl)
            track = track.model_copy(update={"lease_until": until, "lease_s": ttl})
            setpoints.append(LeasedSetpoint(point=name, value=track.written or 0.0, ttl_s=ttl))
        if track.written != before.written:
            changed.append(name)
        tracks[name] = track
    return Writing(evolve(state, tracks=tracks), tuple(setpoints), tuple(changed))


def next_track(
    config: GateConfig,
    point: PointConfig,
    schedule: PointSchedule,
    track: PointTrack,
    want: float,
    readings: Readings,
    dt_s: float,
) -> PointTrack | str:
    """The point's track with its next value, or the name of the limit that forbids it.

    The first write repeats the live value; from there it moves towards `want`.
    """
    now = readings.time
    if not track.owned or track.exact is None or track.written is None:
        value = first_value(point, readings.points[point.point].applied)
        if value is None:
            return "not_bumpless"
        return track.model_copy(
            update={"owned": True, "written": value, "exact": value, "target": value,
                    "applied": value}
        )  # fmt: skip
    target, changed_at = _adopt(point, track, rounded(point, want), now)
    ramp = ramp_of(point, schedule)
    exact = ramp_step(point, track.exact, target, None if ramp is None else ramp * dt_s)
    value = rounded(point, exact)
    if not in_range(point, value):
        return "out_of_range"
    changes: dict[str, object] = {
        "target": target, "changed_at": changed_at, "exact": exact, "written": value,
        "applied": value,
    }  # fmt: skip
    if value != track.written:
        changes["before"] = readings.points[point.point].applied
    if point.zero_or_above is not None and (track.written == 0) != (value == 0):
        changes["changed_at"] = now  # after a ramp it goes off later than it was told to
    if track.written <= 0 < value:
        starts = starts_on(config, track, now) + 1
        if point.max_starts_per_day is not None and starts > point.max_starts_per_day:
            return "starts"
        changes |= {"starts": starts, "starts_day": local_day(config, now)}
    return track.model_copy(update=changes)


def _adopt(
    point: PointConfig, track: PointTrack, want: float, now: datetime
) -> tuple[float, datetime | None]:
    """The value to ramp to: `want`, unless it is no change or comes before the dwell is over."""
    target = want if track.target is None else track.target
    if same(point, target, want):
        return target, track.changed_at
    since = track.changed_at
    if since is not None and (now - since).total_seconds() < point.dwell_s:
        return target, since
    return want, now


def _lease(config: GateConfig, schedule: PointSchedule, engaged: Engaged, now: datetime) -> float:
    """Never longer than the gate allows, than the order asks, or than the order lives."""
    return min(config.lease_s, schedule.ttl_s, (engaged.ends - now).total_seconds())


def _renewal_due(
    config: GateConfig, track: PointTrack, now: datetime, ttl: float, dt_s: float
) -> bool:
    if track.lease_until is None:
        return True
    left = (track.lease_until - now).total_seconds()
    return left - max(config.cycle_s, dt_s) < ttl / 2
