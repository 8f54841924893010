"""The gate's whole memory: one immutable value, written to disk as it is."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from graph.proposal import StandingAuthorisation
from graph.record import Record, UtcTime
from safety.gate.config import GateConfig
from safety.gate.order import Order

NONCES_KEPT = 1000  # replay is already stopped by the growing sequence; this is the second lock


class Mode(StrEnum):
    """What a loop lets the copilot do."""

    OFF = "off"
    SHADOW = "shadow"
    ADVISE = "advise"
    APPROVE = "approve"
    AUTO = "auto"

    @property
    def writes(self) -> bool:
        """Whether orders are accepted and points may be written."""
        return self in (Mode.APPROVE, Mode.AUTO)


class PointTrack(Record):
    """What the gate knows of one point. `owned`: it holds the point's lease."""

    owned: bool = False
    written: float | None = Field(None, description="last value written, rounded")
    exact: float | None = Field(None, description="the same before rounding, so that ramps add up")
    target: float | None = Field(None, description="the schedule's value that is being ramped to")
    lease_until: UtcTime | None = None
    lease_s: float = 0.0
    applied: float | None = Field(None, description="value in force when last seen")
    before: float | None = Field(
        None, description="value in force before a write that was not read back yet"
    )
    changed_at: UtcTime | None = Field(None, description="last change by anybody, for the dwell")
    starts_day: str = Field("", description="local date of `starts`")
    starts: int = 0
    unfollowed_since: UtcTime | None = None


class Hold(Record):
    """A point that a person has; never written, skipped by a rollback."""

    by: str
    since: UtcTime
    until: UtcTime | None = None
    source: Literal["plant", "read_back", "override"]


class MetricTrack(Record):
    """One guardrail's tally in the present stage."""

    measurements: int = 0
    failures: int = 0
    inconclusive_run: int = Field(0, description="inconclusive measurements in a row")
    error_run: int = Field(0, description="errors in a row")
    last_at: UtcTime | None = None
    last: str = Field("", description="success, failure, pending, inconclusive or error")
    breached_since: UtcTime | None = None


class Engaged(Record):
    """The order in force."""

    order: Order
    engaged_at: UtcTime
    ends: UtcTime
    stage: int = 0
    stage_since: UtcTime
    held: bool = Field(False, description="the stage is over but its guardrails are not clear")
    metrics: dict[str, MetricTrack] = Field(default_factory=dict)


class Ending(Record):
    """An order that is over; its points are being given back or have been."""

    proposal_digest: str
    outcome: Literal["rolled_back", "shed", "completed", "left_to_lease"]
    reason: str
    at: UtcTime
    points: tuple[str, ...] = Field((), description="still to be seen back with the local law")
    stuck: bool = Field(False, description="a first release did not take; the alarm is out")


class StandingUse(Record):
    """A standing authorisation that a verified bundle carried, and how often it was used."""

    authorisation: StandingAuthorisation
    used: int = 0


class GateState(Record):
    """Everything the gate must not forget."""

    modes: dict[str, Mode]
    epoch: int = 0
    fenced: bool = Field(False, description="another gate has claimed the plant")
    last_seq: int = -1
    nonces: tuple[str, ...] = ()
    engaged: Engaged | None = None
    ending: Ending | None = None
    last: Ending | None = None
    tracks: dict[str, PointTrack] = Field(default_factory=dict)
    holds: dict[str, Hold] = Field(default_factory=dict)
    standing: dict[str, StandingUse] = Field(default_factory=dict)
    recent_orders: dict[str, tuple[UtcTime, ...]] = Field(
        default_factory=dict, description="by loop: when new orders came, for the breaker"
    )
    service_lost: bool = False
    cycled_at: UtcTime | None = Field(None, description="plant time of the last cycle")
    clock_moved_s: float = Field(0.0, description="wall time when plant time was last seen to move")

    def track(self, point: str) -> PointTrack:
        """The track of `point`; an empty one if it was never seen."""
        return self.tracks.get(point, PointTrack())

    @property
    def owned(self) -> tuple[str, ...]:
        """Points whose lease the gate holds, sorted."""
        return tuple(sorted(p for p, t in self.tracks.items() if t.owned))


def initial_state(config: GateConfig, mode: Mode = Mode.SHADOW) -> GateState:
    """A gate that has seen nothing yet."""
    return GateState(modes=dict.fromkeys(config.loops, mode))


def phase(state: GateState) -> str:
    """One word for where the gate stands: fenced, canary, full, rolling_back, or how the last
    order ended (rolled_back, shed, completed, left_to_lease), or idle.
    """
    if state.fenced:
        return "fenced"
    if state.engaged:
        return state.engaged.order.rollout.stages[state.engaged.stage].name
    if state.ending:
        return "rolling_back"
    return state.last.outcome if state.last else "idle"


def evolve(state: GateState, **changes: object) -> GateState:
    """`state` with some fields replaced."""
    return state.model_copy(update=changes)


def with_track(state: GateState, point: str, **changes: object) -> GateState:
    """`state` with some fields of one point's track replaced."""
    track = state.track(point).model_copy(update=changes)
    return evolve(state, tracks={**state.tracks, point: track})


def with_hold(state: GateState, point: str, hold: Hold) -> GateState:
    """`state` with `point` in a person's hands: the gate lets go of it without touching it."""
    state = evolve(state, holds={**state.holds, point: hold})
    return disowned(state, (point,))


def disowned(state: GateState, points: tuple[str, ...]) -> GateState:
    """`state` in which the gate no longer counts `points` as its own."""
    for point in points:
        state = with_track(
            state,
            point,
            owned=False,
            written=None,
            exact=None,
            target=None,
            lease_until=None,
            before=None,
            unfollowed_since=None,
        )
    return state


def active_points(state: GateState) -> tuple[str, ...]:
    """Points that the present stage covers and nobody holds."""
    if not state.engaged:
        return ()
    stages = state.engaged.order.rollout.stages[: state.engaged.stage + 1]
    covered = {p for stage in stages for p in stage.points}
    return tuple(p for p in state.engaged.order.points if p in covered and p not in state.holds)


def local_day(config: GateConfig, when: datetime) -> str:
    """The local date of `when`, ISO."""
    return when.astimezone(config.zone).date().isoformat()
