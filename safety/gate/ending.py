"""How an order ends: its points go back to the local law at once, and that is seen to happen."""

from datetime import datetime
from typing import Literal

from graph.plant import Readings
from graph.signals import Owner
from safety.gate.commands import Alarm, Command, Release, Report, Step
from safety.gate.config import GateConfig
from safety.gate.state import Ending, GateState, Mode, disowned, evolve

ALARMS = {
    "rolled_back": "The gate took its setpoints back",
    "shed": "The gate shed to the local law",
}


def end_order(
    state: GateState,
    outcome: Literal["rolled_back", "shed", "completed"],
    reason: str,
    now: datetime,
    *,
    by: str = "",
) -> Step:
    """Release every point that the gate owns, all in one command; an operator's points are not
    among them. Needs no service and no model: this is the rollback that was tried in the twin.

    The order is over with this; `finish_ending` sees to it that the plant agrees.
    """
    if state.engaged is None:
        return Step(state)
    digest = state.engaged.order.proposal_digest
    points = state.owned
    ending = Ending(proposal_digest=digest, outcome=outcome, reason=reason, at=now, points=points)
    state = disowned(evolve(state, engaged=None, ending=ending), points)
    commands: list[Command] = [Release(points=points)] if points else []
    if outcome in ALARMS and not by:
        text = f"{ALARMS[outcome]}: {reason}"
        commands.append(Alarm(name=reason, at=now, text=text, priority="high"))
    detail = {"outcome": outcome, "reason": reason, "released": list(points)}
    if by:
        detail["by"] = by
    commands.append(Report(kind="ending", at=now, proposal_digest=digest, detail=detail))
    return Step(state, tuple(commands))


def finish_ending(state: GateState, readings: Readings) -> Step:
    """Check that released points are back with the local law; release again what is not."""
    ending = state.ending
    if ending is None:
        return Step(state)
    left = tuple(
        p
        for p in ending.points
        if p not in state.holds
        and p in readings.points
        and readings.points[p].owner is Owner.REMOTE
    )
    if not left:
        done = ending.model_copy(update={"points": (), "at": readings.time})
        report = Report(
            kind=ending.outcome,
            at=readings.time,
            proposal_digest=ending.proposal_digest or None,
            detail={"reason": ending.reason, "since": ending.at.isoformat()},
        )
        return Step(evolve(state, ending=None, last=done), (report,))
    commands: list[Command] = [Release(points=left)]
    if readings.time > ending.at and not ending.stuck:
        text = f"The plant has not taken back {', '.join(left)}; the lease will end it"
        commands.append(Alarm(name="not_released", at=readings.time, text=text, priority="high"))
        ending = ending.model_copy(update={"stuck": True})
    return Step(evolve(state, ending=ending.model_copy(update={"points": left})), tuple(commands))


def step_down(state: GateState, config: GateConfig, now: datetime, epoch: int) -> Step:
    """Another gate has claimed the plant: touch nothing any more, not even to release."""
    digest = state.engaged.order.proposal_digest if state.engaged else None
    state = disowned(state, state.owned)
    state = evolve(
        state,
        fenced=True,
        engaged=None,
        ending=None,
        modes=dict.fromkeys(config.loops, Mode.OFF),
    )
    text = f"Another gate holds the plant (epoch {epoch}, ours was {state.epoch})"
    return Step(
        state,
        (
            Alarm(name="fenced", at=now, text=text, priority="high"),
            Report(kind="fenced", at=now, proposal_digest=digest, detail={"epoch": epoch}),
        ),
    )
