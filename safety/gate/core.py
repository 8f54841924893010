"""The gate's core: pure functions from (state, image) to (state, commands). No I/O, no clock.

A driver reads the plant, calls `cycle`, carries out the commands in order and hands what the
plant answered to `settle`. The sandbox drives the same functions against the twin.
"""

from collections.abc import Sequence
from datetime import datetime

from graph.plant import Readings, WriteResult
from graph.signals import Quality
from safety.gate.admission import engage, loops_of
from safety.gate.commands import Alarm, Command, Refusal, Release, Report, Step, Write
from safety.gate.config import GateConfig
from safety.gate.ending import end_order, finish_ending, step_down
from safety.gate.guardrails import Outcome, applies, assess, measure, trip_reason
from safety.gate.inputs import bad_clock, bad_input
from safety.gate.modes import (
    abort,
    all_local,
    claimed,
    hand_back,
    look,
    lost_contact,
    operator_hold,
    restarted,
    set_mode,
)
from safety.gate.observe import observe
from safety.gate.state import (
    Engaged,
    GateState,
    Hold,
    MetricTrack,
    active_points,
    evolve,
    initial_state,
    phase,
    with_hold,
    with_track,
)
from safety.gate.writes import due_writes

__all__ = [
    "Alarm", "Refusal", "Release", "Report", "Step", "Write",
    "abort", "all_local", "claimed", "cycle", "engage", "hand_back", "initial_state",
    "look", "lost_contact", "operator_hold", "phase", "restarted", "set_mode", "settle",
]  # fmt: skip


def cycle(
    state: GateState,
    config: GateConfig,
    readings: Readings,
    wall_s: float,
    service_alive: bool,
) -> Step:
    """One cycle: look, judge, and only then write.

    1 another gate's epoch: step down; 2 see who has each point; 3 finish giving back;
    4 end the order on anything that speaks against it; 5 service lost: freeze, let the leases run;
    6 otherwise promote when the stage is proven, and write what is due.

    Args:
        wall_s: monotonic wall seconds, to notice a plant clock that stands still.
        service_alive: whether the service's heartbeat is in time.
    """
    now = readings.time
    if state.fenced:
        return Step(state)
    if readings.epoch > state.epoch:
        return step_down(state, config, now, readings.epoch)
    clock_is_bad = bad_clock(state, config, readings, wall_s)
    state, commands, lost = observe(state, config, readings)
    dt_s = 0.0
    if state.cycled_at is not None:
        dt_s = max((now - state.cycled_at).total_seconds(), 0.0)
    moved_s = wall_s if now != state.cycled_at else state.clock_moved_s
    state = evolve(state, cycled_at=now, clock_moved_s=moved_s)
    state, said = finish_ending(state, readings)
    commands += said
    if state.engaged is None:
        return Step(state, commands)
    step = _against(state, config, readings, "plant_clock" if clock_is_bad else "", lost)
    if step is None:
        state, reason = _judge(state, config, readings)
        step = end_order(state, "rolled_back", reason, now) if reason else None
    if step is None:
        step = _carry_on(state, config, readings, dt_s, service_alive)
    return Step(step.state, commands + step.commands)


def _against(
    state: GateState, config: GateConfig, readings: Readings, clock: str, lost: str
) -> Step | None:
    """The end of the order, if its time, the plant, an input or a person's mode ends it."""
    engaged, now = state.engaged, readings.time
    assert engaged is not None
    if clock:
        return end_order(state, "shed", clock, now)
    if now >= engaged.ends:
        return end_order(state, "completed", "expired", now)
    if not readings.remote_allowed:
        return end_order(state, "rolled_back", "local_only", now)
    if not readings.watchdog_healthy:
        return end_order(state, "rolled_back", "watchdog", now)
    if readings.epoch < state.epoch:
        return end_order(state, "rolled_back", "epoch_lost", now)
    if not all(state.modes[loop].writes for loop in loops_of(config, engaged.order)):
        return end_order(state, "rolled_back", "mode", now)
    bad = bad_input(config, readings)
    if bad:
        return end_order(state, "shed", f"bad_input:{bad}", now)
    if lost:
        return end_order(state, "rolled_back", lost, now)
    return None


def _judge(state: GateState, config: GateConfig, readings: Readings) -> tuple[GateState, str]:
    """Does the process follow, and what do the guardrails say? The reason to roll back, if any."""
    state, reason = _following(state, config, readings)
    if reason or state.engaged is None:
        return state, reason
    engaged, active = state.engaged, active_points(state)
    metrics = dict(engaged.metrics)
    for rail in engaged.order.rollout.guardrails:
        if not applies(rail, active):
            continue
        written = state.track(rail.point).written if rail.point else None
        track = metrics.get(rail.name, MetricTrack())
        track = measure(rail, track, readings, engaged.order.not_before, written)
        metrics[rail.name] = track
        reason = reason or trip_reason(rail, track)
    return evolve(state, engaged=engaged.model_copy(update={"metrics": metrics})), reason


def _following(state: GateState, config: GateConfig, readings: Readings) -> tuple[GateState, str]:
    """Read-back is not enough: a stuck valve acknowledges every setpoint."""
    for name in state.owned:
        point, track = config.by_point[name], state.track(name)
        if point.follows is None or point.follow_tolerance is None or track.written is None:
            continue
        reading = readings.values.get(point.follows)
        if reading is None or reading.value is None or reading.quality is Quality.BAD:
            continue
        since = None
        if not abs(reading.value - track.written) <= point.follow_tolerance:
            since = track.unfollowed_since or readings.time
            late = (readings.time - since).total_seconds() >= (point.follow_within_s or 0.0)
            if late:
                return state, f"not_following:{name}"
        if since != track.unfollowed_since:
            state = with_track(state, name, unfollowed_since=since)
    return state, ""


def _carry_on(
    state: GateState, config: GateConfig, readings: Readings, dt_s: float, service_alive: bool
) -> Step:
    state, commands = _service(state, readings.time, service_alive)
    if not service_alive:
        return Step(state, commands)
    state, said = _promote(state, readings.time)
    commands += said
    written = due_writes(state, config, readings, dt_s)
    if written.trip:
        step = end_order(state, "rolled_back", written.trip, readings.time)
        return Step(step.state, commands + step.commands)
    if written.setpoints:
        commands += (Write(setpoints=written.setpoints),)
    if written.changed and state.engaged:
        detail = {
            "written": {p: written.state.track(p).written for p in written.changed},
            "read_back": {p: readings.points[p].applied for p in written.changed},
        }
        digest = state.engaged.order.proposal_digest
        commands += (
            Report(kind="applied", at=readings.time, proposal_digest=digest, detail=detail),
        )
    return Step(written.state, commands)


def _service(state: GateState, now: datetime, alive: bool) -> tuple[GateState, tuple[Command, ...]]:
    """Note that the service went or came. While it is gone nothing is renewed or promoted: each
    point holds to the end of its lease, then `observe` finds it local and the order ends.
    """
    if alive is not state.service_lost or state.engaged is None:
        return state, ()
    digest = state.engaged.order.proposal_digest
    state = evolve(state, service_lost=not alive)
    if alive:
        return state, (Report(kind="service_back", at=now, proposal_digest=digest),)
    text = "The service is silent: the stage is frozen and ends with its leases"
    return state, (
        Alarm(name="service_lost", at=now, text=text),
        Report(kind="service_lost", at=now, proposal_digest=digest),
    )


def _promote(state: GateState, now: datetime) -> tuple[GateState, tuple[Command, ...]]:
    """On to the next stage when this one has lasted and every guardrail is successful."""
    engaged = state.engaged
    if engaged is None or engaged.stage + 1 >= len(engaged.order.rollout.stages):
        return state, ()
    stage = engaged.order.rollout.stages[engaged.stage]
    if (now - engaged.stage_since).total_seconds() < stage.duration_s:
        return state, ()
    digest = engaged.order.proposal_digest
    unclear = _unclear(engaged, active_points(state))
    if unclear:
        if engaged.held:
            return state, ()
        detail = {"stage": stage.name, "unclear": list(unclear)}
        state = evolve(state, engaged=engaged.model_copy(update={"held": True}))
        return state, (Report(kind="stage_held", at=now, proposal_digest=digest, detail=detail),)
    onward = engaged.model_copy(
        update={"stage": engaged.stage + 1, "stage_since": now, "held": False, "metrics": {}}
    )
    detail = {"from": stage.name, "to": engaged.order.rollout.stages[onward.stage].name}
    report = Report(kind="promoted", at=now, proposal_digest=digest, detail=detail)
    return evolve(state, engaged=onward), (report,)


def _unclear(engaged: Engaged, active: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        rail.name
        for rail in engaged.order.rollout.guardrails
        if applies(rail, active)
        and assess(rail, engaged.metrics.get(rail.name, MetricTrack())) is not Outcome.SUCCESSFUL
    )


def settle(
    state: GateState, config: GateConfig, results: Sequence[WriteResult], readings: Readings
) -> Step:
    """Take in what the plant answered to a Write or a Release.

    A stale epoch fences the gate; a point that a person took in between is theirs; any other
    refusal of a write is an alarm and the rollback.
    """
    commands: tuple[Command, ...] = ()
    now = readings.time
    for result in results:
        if result.accepted:
            continue
        if result.reason == "stale_epoch" and readings.epoch < state.epoch:
            continue  # the plant itself was restarted and has forgotten: nobody else is there
        if result.reason == "stale_epoch":
            down = step_down(state, config, now, max(readings.epoch, state.epoch + 1))
            return Step(down.state, commands + down.commands)
        if result.reason == "operator_hold":
            hold = Hold(by="operator", since=now, source="plant")
            state = with_hold(state, result.point, hold)
            detail = {"point": result.point, "by": "operator", "source": "plant"}
            commands += (Report(kind="operator_hold", at=now, detail=detail),)
        elif state.engaged is not None and result.point in state.owned:
            reason = f"write_refused:{result.point}:{result.reason or 'no reason given'}"
            step = end_order(state, "rolled_back", reason, now)
            state, commands = step.state, commands + step.commands
    return Step(state, commands)
