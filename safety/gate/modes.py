"""What people and the driver may do to the gate at any time, besides sending an order."""

from datetime import datetime

from graph.plant import Readings
from graph.signals import Owner
from safety.gate.admission import loops_of
from safety.gate.commands import Alarm, Refusal, Release, Report, Step
from safety.gate.config import GateConfig
from safety.gate.ending import end_order
from safety.gate.observe import observe
from safety.gate.state import (
    Ending,
    GateState,
    Hold,
    Mode,
    disowned,
    evolve,
    with_hold,
    with_track,
)


def look(state: GateState, config: GateConfig, readings: Readings) -> Step:
    """Take in who has each point just now. Come here first: a point that a person took since the
    last cycle is then not released by `abort` or `operator_hold`.
    """
    seen = observe(state, config, readings)
    return Step(seen.state, seen.commands)


def abort(state: GateState, now: datetime, *, reason: str = "aborted", by: str = "") -> Step:
    """Roll back the order in force, if there is one. `look` first."""
    return end_order(state, "rolled_back", reason, now, by=by)


def all_local(state: GateState, config: GateConfig, readings: Readings, *, by: str = "") -> Step:
    """Give back every point that anybody commands remotely, and switch every loop OFF.

    Points that a person holds are left with them. Only an explicit `set_mode` leaves OFF.
    """
    state, seen, _ = observe(state, config, readings)
    state, commands = end_order(state, "rolled_back", "all_local", readings.time, by=by)
    remote = tuple(
        p.point
        for p in config.points
        if p.point in readings.points
        and readings.points[p.point].owner is Owner.REMOTE
        and p.point not in state.holds
    )
    if remote and not state.fenced:
        commands = tuple(c for c in commands if not isinstance(c, Release))
        commands = (Release(points=remote), *commands)
        old = state.ending
        ending = Ending(
            proposal_digest=old.proposal_digest if old else "",
            outcome="rolled_back",
            reason="all_local",
            at=readings.time,
            points=remote,
        )
        state = evolve(disowned(state, state.owned), ending=ending)
    state = evolve(state, modes=dict.fromkeys(config.loops, Mode.OFF))
    report = Report(
        kind="mode", at=readings.time, detail={"loops": list(config.loops), "mode": "off", "by": by}
    )
    return Step(state, (*seen, *commands, report))


def set_mode(
    state: GateState,
    config: GateConfig,
    mode: Mode,
    readings: Readings,
    *,
    loop: str | None = None,
    by: str = "",
) -> Step | Refusal:
    """Set one loop's mode, or every loop's. Leaving APPROVE or AUTO rolls back an order there.

    AUTO is refused on a plant without watchdog and local/remote ownership.
    """
    loops = config.loops if loop is None else (loop,)
    if loop is not None and loop not in config.loops:
        known = ", ".join(config.loops)
        return Refusal("unknown_loop", f"there is no loop {loop!r}", f"known: {known}", state)
    if state.fenced and mode is not Mode.OFF:
        return Refusal("epoch", "another gate holds the plant", "restart this gate to claim", state)
    if mode is Mode.AUTO and not (config.has_watchdog and readings.watchdog_healthy):
        hint = "use APPROVE, or clear the plant's watchdog"
        return Refusal("no_watchdog", "AUTO needs a plant with a healthy watchdog", hint, state)
    state, commands, _ = observe(state, config, readings)
    state = evolve(state, modes={**state.modes, **dict.fromkeys(loops, mode)})
    if not mode.writes and state.engaged:
        touched = set(loops_of(config, state.engaged.order))
        if touched.intersection(loops):
            state, said = end_order(state, "rolled_back", "mode", readings.time, by=by)
            commands += said
    detail = {"loops": list(loops), "mode": mode.value, "by": by}
    return Step(state, (*commands, Report(kind="mode", at=readings.time, detail=detail)))


def operator_hold(
    state: GateState,
    config: GateConfig,
    point: str,
    now: datetime,
    *,
    by: str,
    until: datetime | None = None,
) -> Step | Refusal:
    """Put `point` into a person's hands: given back if it is the gate's, and not written again
    until it is handed back or `until` has passed. `look` first.
    """
    if point not in config.by_point:
        return Refusal("unknown_point", f"{point} is not in the gate's configuration", "", state)
    release = (Release(points=(point,)),) if state.track(point).owned else ()
    digest = state.engaged.order.proposal_digest if state.engaged else None
    state = with_hold(state, point, Hold(by=by, since=now, until=until, source="override"))
    detail = {"point": point, "by": by, "source": "override",
              "until": until.isoformat() if until else None}  # fmt: skip
    report = Report(kind="operator_hold", at=now, proposal_digest=digest, detail=detail)
    return Step(state, (*release, report))


def hand_back(state: GateState, point: str, now: datetime, *, by: str = "") -> Step | Refusal:
    """Let the copilot use `point` again. A hold at the plant's own panel ends only there."""
    hold = state.holds.get(point)
    if hold is None:
        return Refusal("not_held", f"nobody holds {point}", "", state)
    if hold.source == "plant":
        hint = "hand it back at the plant's own panel"
        return Refusal("operator_hold", f"{hold.by} holds {point} at the plant", hint, state)
    holds = {p: h for p, h in state.holds.items() if p != point}
    report = Report(kind="handed_back", at=now, detail={"point": point, "by": by or hold.by})
    return Step(evolve(state, holds=holds), (report,))


def claimed(state: GateState, epoch: int) -> GateState:
    """The plant's side has given this gate a new epoch."""
    return evolve(state, epoch=epoch, fenced=False)


def lost_contact(state: GateState) -> GateState:
    """A write got no answer, so nobody knows what is in force: start again from read-back."""
    for point in state.owned:
        state = with_track(state, point, written=None, exact=None, target=None, before=None)
    return state


def restarted(state: GateState, now: datetime) -> Step:
    """The gate's process has come up again: every loop that is not OFF stands in SHADOW, and an
    order that was in force is reported, not resumed. Its leases run out at the plant.
    """
    modes = {k: m if m is Mode.OFF else Mode.SHADOW for k, m in state.modes.items()}
    was, points = state.engaged, state.owned
    state = evolve(state, modes=modes, service_lost=False, cycled_at=None, clock_moved_s=0.0)
    if was is None:
        return Step(state, (Report(kind="restarted", at=now, detail={"in_force": None}),))
    digest = was.order.proposal_digest
    detail = {
        "in_force": digest,
        "points": {p: state.track(p).written for p in points},
        "leases_until": {
            p: until.isoformat() for p in points if (until := state.track(p).lease_until)
        },
    }
    ending = Ending(proposal_digest=digest, outcome="left_to_lease", reason="restart", at=now)
    state = disowned(evolve(state, engaged=None, last=ending), points)
    text = "The gate restarted with an order in force; its leases run out, nothing is resumed"
    return Step(
        state,
        (
            Alarm(name="restarted", at=now, text=text, priority="high"),
            Report(kind="restarted", at=now, proposal_digest=digest, detail=detail),
        ),
    )
