"""What the gate learns from an image before it decides: starts, changes, who has each point."""

from datetime import datetime
from typing import NamedTuple

from graph.plant import Readings
from graph.signals import Owner, PointState
from safety.gate.commands import Alarm, Command, Report
from safety.gate.config import GateConfig, PointConfig
from safety.gate.limits import rounded, same, starts_on
from safety.gate.state import (
    GateState,
    Hold,
    PointTrack,
    evolve,
    local_day,
    with_hold,
    with_track,
)


class Seen(NamedTuple):
    """The state after looking. `lost` names why an owned point is no longer the gate's."""

    state: GateState
    commands: tuple[Command, ...]
    lost: str


def observe(state: GateState, config: GateConfig, readings: Readings) -> Seen:
    """Look at every configured point once.

    1 a hold that its time or the plant has ended is handed back;
    2 owner OPERATOR: the point is a person's;
    3 the gate's point, but the plant says LOCAL: lost (lease over, watchdog, switch);
    4 the gate's point, still at the value before the write: the write did not take, so lost;
    5 the gate's point with a value nobody here wrote: a person's;
    6 otherwise count starts and note changes, whoever made them.
    """
    commands: list[Command] = []
    lost = ""
    for point in config.points:
        seen = readings.points.get(point.point)
        state, said = _hand_back(state, point.point, seen, readings.time)
        commands += said
        if seen is None:
            if state.track(point.point).owned:
                lost = lost or f"no_read_back:{point.point}"
            continue
        if seen.owner is Owner.OPERATOR and point.point not in state.holds:
            hold = Hold(by=seen.by or "operator", since=readings.time, until=seen.until,
                        source="plant")  # fmt: skip
            state, said = _taken(state, point.point, hold, seen, readings.time)
            commands += said
        elif state.track(point.point).owned:
            track = state.track(point.point)
            if seen.owner is Owner.LOCAL:
                lost = lost or _why_lost(state, point.point, readings.time)
            elif not _foreign(point, track, seen):
                state = with_track(state, point.point, before=None)
            elif _unchanged(point, track, seen):
                lost = lost or f"write_not_taken:{point.point}"
            else:
                hold = Hold(by="unknown", since=readings.time, source="read_back")
                state, said = _taken(state, point.point, hold, seen, readings.time)
                commands += said
        state = _note(state, config, point, seen, readings.time)
    return Seen(state, tuple(commands), lost)


def _hand_back(
    state: GateState, point: str, seen: PointState | None, now: datetime
) -> tuple[GateState, list[Command]]:
    hold = state.holds.get(point)
    if hold is None:
        return state, []
    if hold.source == "plant":
        over = seen is not None and seen.owner is not Owner.OPERATOR
    else:
        over = hold.until is not None and now >= hold.until
    if not over:
        return state, []
    holds = {p: h for p, h in state.holds.items() if p != point}
    report = Report(kind="handed_back", at=now, detail={"point": point, "by": hold.by})
    return evolve(state, holds=holds), [report]


def _taken(
    state: GateState, point: str, hold: Hold, seen: PointState, now: datetime
) -> tuple[GateState, list[Command]]:
    track = state.track(point)
    digest = state.engaged.order.proposal_digest if state.engaged else None
    detail = {"point": point, "by": hold.by, "source": hold.source, "value": seen.applied}
    commands: list[Command] = [
        Report(kind="operator_hold", at=now, proposal_digest=digest, detail=detail)
    ]
    if hold.source == "read_back":
        text = f"{point} reads {seen.applied:g}, the gate wrote {track.written:g}: left alone"
        commands.append(Alarm(name="foreign_value", at=now, point=point, text=text))
    return with_hold(state, point, hold), commands


def _foreign(point: PointConfig, track: PointTrack, seen: PointState) -> bool:
    return track.written is not None and (
        abs(seen.applied - track.written) > point.readback_tolerance
    )


def _unchanged(point: PointConfig, track: PointTrack, seen: PointState) -> bool:
    return track.before is not None and (
        abs(seen.applied - track.before) <= point.readback_tolerance
    )


def _why_lost(state: GateState, point: str, now: datetime) -> str:
    until = state.track(point).lease_until
    if until is not None and until <= now:
        return "service_lost" if state.service_lost else f"lease_lapsed:{point}"
    return f"plant_took_local:{point}"


def _note(
    state: GateState, config: GateConfig, point: PointConfig, seen: PointState, now: datetime
) -> GateState:
    track = state.track(point.point)
    if track.applied == seen.applied:
        return state
    changes: dict[str, object] = {"applied": seen.applied}
    if track.applied is not None and not track.owned:  # our own were counted as they were written
        if not same(point, track.applied, seen.applied):
            changes["changed_at"] = now
        if rounded(point, track.applied) <= 0 < rounded(point, seen.applied):
            changes["starts"] = starts_on(config, track, now) + 1
            changes["starts_day"] = local_day(config, now)
    return with_track(state, point.point, **changes)
