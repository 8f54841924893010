"""The canary: the order through the gate's own core, with the twin as the plant.

1. A gate configured from the site claims the twin plant; the order must be admitted.
2. The first stage runs for its duration in cycles of a minute: ramps, leases, read-back, following
   and guardrails are judged by the code that will judge them at the plant.
3. A guardrail is tripped on purpose: its signal is shown beyond its bound until the gate acts.
   Without a guardrail that can be shown broken, the order is aborted.
4. The rollback runs until every point is back with the local law and the gate has seen it.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from graph.canonical import digest
from graph.evaluation import CanaryMetric, CanaryResult
from graph.plant import Readings
from graph.proposal import Guardrail
from graph.signals import Owner, Quality, Reading
from graph.site import Site
from graph.snapshot import Snapshot
from safety.gate import core
from safety.gate.commands import Command, Refusal, Release, Report, Write
from safety.gate.config import GateConfig, config_from_site
from safety.gate.guardrails import Outcome, applies, assess
from safety.gate.order import Order
from safety.gate.state import GateState, MetricTrack, Mode, active_points, local_day, with_track
from sandbox.twin import Twin
from sandbox.twin_plant import TwinPlant

CYCLE_S = 60.0
BEYOND = 0.01  # how far past its bound a guardrail's signal is shown, as a share of its range
SETTLE_CYCLES = 30  # after the trip: far more than a release needs


@dataclass
class _Trial:
    """The gate's memory, the plant and what was counted on the way."""

    config: GateConfig
    plant: TwinPlant
    state: GateState
    seq: int = 0
    cycles: int = 0
    writes: int = 0
    wall_s: float = 0.0
    shown: dict[str, float] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)


@dataclass(frozen=True)
class _Drill:
    """The exercised rollback: why it began, what was wanted of it, and how it went."""

    early: str
    wanted: str
    reason: str
    restored: bool
    took_s: float
    commands: list[Command]

    @property
    def exercised(self) -> bool:
        """Whether the gate rolled back for the reason that was staged."""
        return not self.early and bool(self.reason) and self.wanted in self.reason


def run_canary(site: Site, twin: Twin, snapshot: Snapshot, order: Order, seed: int) -> CanaryResult:
    """Try `order` and its rollback in the twin. Deterministic in its arguments."""
    config = config_from_site(site, stepped=True, lab=True)
    # The trial tests schedule, rails and rollback; a standing authorisation is the gate's to check.
    order = order.model_copy(update={"under": None, "standing": None, "lab": True})
    start = max(snapshot.as_of, order.not_before)
    plant = TwinPlant(twin, snapshot, start, seed)
    state = core.claimed(core.initial_state(config, Mode.APPROVE), plant.claim())
    trial = _Trial(config, plant, _remember(state, config, snapshot))
    admitted = core.engage(trial.state, config, order, plant.read())
    if isinstance(admitted, Refusal):
        return _refused(order, admitted)
    trial.state = admitted.state
    stage = order.rollout.stages[0]
    for _ in range(int(stage.duration_s / CYCLE_S)):
        _cycle(trial)
        if trial.state.engaged is None:
            break
        plant.advance(CYCLE_S)
    metrics = _metrics(trial, order)
    early = "" if trial.state.engaged else _ending_reason(trial.state)
    return _roll_back(trial, order, metrics, early)


def _remember(state: GateState, config: GateConfig, snapshot: Snapshot) -> GateState:
    """What the real gate would know of today: starts and last changes."""
    for point in config.by_point:
        read_back = snapshot.points.get(point)
        changes: dict[str, Any] = {"applied": read_back.applied if read_back else None}
        if point in snapshot.starts_today:
            changes["starts"] = snapshot.starts_today[point]
            changes["starts_day"] = local_day(config, snapshot.as_of)
        if point in snapshot.last_change:
            changes["changed_at"] = snapshot.last_change[point]
        state = with_track(state, point, **changes)
    return state


def _cycle(trial: _Trial) -> None:
    """One cycle of the gate and what the plant answers."""
    trial.cycles += 1
    trial.wall_s += CYCLE_S
    image = _image(trial)
    step = core.cycle(trial.state, trial.config, image, trial.wall_s, True)
    trial.state = step.state
    _carry_out(trial, step.commands)


def _carry_out(trial: _Trial, commands: tuple[Command, ...]) -> None:
    trial.commands.extend(commands)
    for command in commands:
        if isinstance(command, (Write, Release)):
            trial.seq += 1
            epoch = trial.state.epoch
            if isinstance(command, Write):
                results = trial.plant.write(epoch, trial.seq, command.setpoints)
                trial.writes += len(command.setpoints)
            else:
                results = trial.plant.release(epoch, trial.seq, command.points)
            answer = core.settle(trial.state, trial.config, results, trial.plant.read())
            trial.state = answer.state
            _carry_out(trial, answer.commands)


def _image(trial: _Trial) -> Readings:
    """The plant's image, with the signals that are shown otherwise on purpose."""
    image = trial.plant.read()
    if not trial.shown:
        return image
    values = dict(image.values)
    for signal, value in trial.shown.items():
        values[signal] = Reading(value=value, time=image.time, quality=Quality.GOOD)
    return image.model_copy(update={"values": values})


def _roll_back(
    trial: _Trial, order: Order, metrics: tuple[CanaryMetric, ...], early: str
) -> CanaryResult:
    """Trip on purpose (unless the order ended by itself) and wait until all points are local."""
    first = len(trial.commands)
    wanted = "" if early else _trip(trial, order)
    tripped = trial.plant.time
    reason = "" if trial.state.engaged else _ending_reason(trial.state)
    trial.shown.clear()
    restored = False
    for _ in range(SETTLE_CYCLES):
        trial.plant.advance(CYCLE_S)
        _cycle(trial)
        local = all(trial.plant.points[p].owner is not Owner.REMOTE for p in order.points)
        restored = local and trial.state.engaged is None and trial.state.ending is None
        if restored:
            break
    took = max(0.0, (trial.plant.time - tripped) / timedelta(seconds=1))
    drill = _Drill(early, wanted, reason, restored, took, trial.commands[first:])
    return _result(trial, order, metrics, drill)


def _trip(trial: _Trial, order: Order) -> str:
    """Show a guardrail broken until the gate rolls back; returns the name that should be blamed."""
    chosen = _breakable(trial, order)
    if chosen is None:
        step = core.abort(trial.state, trial.plant.time, reason="canary_drill")
        trial.state = step.state
        _carry_out(trial, step.commands)
        return "canary_drill"
    rail, value = chosen
    trial.shown[rail.signal] = value
    patience = int((rail.for_s + (rail.failure_limit + 2) * rail.interval_s) / CYCLE_S) + 2
    for _ in range(patience):
        _cycle(trial)
        if trial.state.engaged is None:
            break
        trial.plant.advance(CYCLE_S)
    return rail.name


def _breakable(trial: _Trial, order: Order) -> tuple[Guardrail, float] | None:
    """The range guardrail that trips soonest and a value beyond it that a sensor could show.

    Rather one whose signal follows no setpoint: there the following check would trip first.
    """
    site = trial.plant.twin.site
    followed = {p.follows for p in trial.config.points}
    specs = {s.id: s for s in site.signals}
    found: list[tuple[bool, float, str, Guardrail, float]] = []
    for rail in order.rollout.guardrails:
        spec = specs.get(rail.signal)
        if rail.kind != "range" or spec is None:
            continue
        margin = BEYOND * (spec.maximum - spec.minimum)
        for bound, sign in ((rail.maximum, 1.0), (rail.minimum, -1.0)):
            value = None if bound is None else bound + sign * margin
            if value is not None and spec.minimum <= value <= spec.maximum:
                found.append((rail.signal in followed, rail.for_s, rail.name, rail, value))
                break
    if not found:
        return None
    *_, rail, value = min(found, key=lambda f: f[:3])
    return rail, value


def _metrics(trial: _Trial, order: Order) -> tuple[CanaryMetric, ...]:
    """Each guardrail's tally at the end of the first stage."""
    engaged = trial.state.engaged
    if engaged is None:
        return ()
    active = active_points(trial.state)
    return tuple(
        _metric(rail, engaged.metrics.get(rail.name, MetricTrack()))
        for rail in order.rollout.guardrails
        if applies(rail, active)
    )


def _metric(rail: Guardrail, track: MetricTrack) -> CanaryMetric:
    return CanaryMetric(
        name=rail.name,
        outcome=assess(rail, track).value,
        measurements=track.measurements,
        failures=track.failures,
        detail=f"last: {track.last or 'never measured'}",
    )


def _ending_reason(state: GateState) -> str:
    ending = state.ending or state.last
    return ending.reason if ending else "unknown"


def _result(
    trial: _Trial, order: Order, metrics: tuple[CanaryMetric, ...], drill: _Drill
) -> CanaryResult:
    problems = _problems(trial, order, metrics, drill)
    good = f"admitted, {trial.cycles} cycles, rolled back and every point seen local"
    return CanaryResult(
        points=order.rollout.stages[0].points,
        duration_s=int(order.rollout.stages[0].duration_s),
        cycles=trial.cycles,
        writes=trial.writes,
        metrics=metrics,
        rollback_exercised=drill.exercised,
        rollback_restored=drill.restored,
        rollback_seconds=drill.took_s,
        rollback_digest=digest([_plain(c) for c in drill.commands if _matters(c)]),
        passed=not problems,
        reasons=tuple(problems) or (good,),
    )


def _problems(
    trial: _Trial, order: Order, metrics: tuple[CanaryMetric, ...], drill: _Drill
) -> list[str]:
    found = []
    if drill.early:
        found.append(f"the gate ended the first stage by itself: {drill.early}")
    found += [
        f"guardrail {m.name} was {m.outcome} at the end of the first stage ({m.detail})"
        for m in metrics
        if m.outcome != Outcome.SUCCESSFUL.value
    ]
    if not drill.early and not drill.exercised:
        ended = f"ended by {drill.reason}" if drill.reason else "did not end the order"
        found.append(f"the drill should have tripped {drill.wanted} and {ended}")
    if not drill.restored:
        left = [p for p in order.points if trial.plant.points[p].owner is Owner.REMOTE]
        found.append(f"not back with the local law: {', '.join(left) or 'unconfirmed'}")
    return found


def _matters(command: Command) -> bool:
    """The command sequence is what touches the plant and what is said about the ending."""
    return isinstance(command, Release) or (
        isinstance(command, Report) and command.kind in ("ending", "rolled_back")
    )


def _plain(command: Command) -> dict[str, Any]:
    """A command without its time: the same rollback at another hour has the same digest."""
    if isinstance(command, Release):
        return {"release": list(command.points)}
    assert isinstance(command, Report)
    detail = {k: v for k, v in command.detail.items() if k != "since"}
    return {"report": command.kind, "detail": detail}


def _refused(order: Order, refusal: Refusal) -> CanaryResult:
    stage = order.rollout.stages[0] if order.rollout.stages else None
    return CanaryResult(
        points=stage.points if stage else (),
        duration_s=int(stage.duration_s) if stage else 0,
        cycles=0,
        writes=0,
        metrics=(),
        rollback_exercised=False,
        rollback_restored=False,
        rollback_seconds=0.0,
        rollback_digest=digest([]),
        passed=False,
        reasons=(f"the gate refused the order: {refusal.reason}: {refusal.message}",),
    )
