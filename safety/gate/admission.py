"""Whether an order may come into force: everything is checked before anything is written."""

from datetime import datetime, timedelta

from graph.plant import Readings
from graph.signals import Quality
from safety.gate.commands import Command, Refusal, Release, Report, Step
from safety.gate.config import GateConfig
from safety.gate.ending import end_order
from safety.gate.inputs import bad_input
from safety.gate.limits import Breach, check_schedule, first_value
from safety.gate.observe import observe
from safety.gate.order import RISK_ORDER, Order
from safety.gate.state import (
    NONCES_KEPT,
    Engaged,
    GateState,
    Mode,
    StandingUse,
    active_points,
    disowned,
    evolve,
)

HINTS = {
    "mode": "a person sets the loop to APPROVE, or to AUTO for orders under standing leave",
    "breaker": "find out why orders come so fast, then set the loop's mode again",
    "operator_hold": "plan with the held point as given, or have it handed back",
    "out_of_range": "the gate's limits are in its own configuration",
    "void_guard": "the plant has moved on; make a new proposal",
    "replayed": "each order needs a fresh nonce and a higher sequence",
    "standing_exceeded": "ask for approval of this proposal itself",
}


def engage(
    state: GateState, config: GateConfig, order: Order, readings: Readings
) -> Step | Refusal:
    """Bring `order` into force, or say by name why not. The first write comes with the next cycle.

    The caller has verified the bundle. Checked here, in this order:
    1 the gate is the plant's present writer; 2 lab keys; 3 points known; 4 modes; 5 window;
    6 replay; 7 standing authorisation; 8 schedule against the gate's own limits; 9 holds;
    10 the plant lets us; 11 inputs; 12 void guards; 13 bumpless; 14 the action-rate breaker.

    An engaged order is replaced without a detour over the local law. One under the same standing
    authorisation goes on in the stage that its predecessor had reached.
    """
    seen = observe(state, config, readings)
    breach = (
        _check_writer(seen.state, order, config, readings)
        or _check_points(config, order, readings)
        or _check_modes(seen.state, config, order)
        or _check_window(order, readings.time)
        or _check_replay(seen.state, order)
        or _check_standing(seen.state, order, readings.time)
        or _check_schedules(seen.state, config, order, readings.time)
        or _check_plant(seen.state, config, order, readings)
        or _check_void_guards(order, readings)
        or _check_bumpless(config, order, readings)
    )
    if breach:
        return Refusal(breach.rule, breach.text, HINTS.get(breach.rule, ""), state)
    tripped = _breaker_trips(seen.state, config, order, readings.time)
    if tripped:
        return _drop_to_advise(seen.state, tripped, readings.time)
    state, commands = _install(seen.state, config, order, readings.time)
    return Step(state, seen.commands + commands)


def _check_writer(
    state: GateState, order: Order, config: GateConfig, readings: Readings
) -> Breach | None:
    if state.fenced or readings.epoch != state.epoch:
        return Breach(
            "epoch", f"the plant is at epoch {readings.epoch}, this gate holds {state.epoch}"
        )
    if state.ending:
        return Breach("busy", "the last order's points are not all back with the local law yet")
    if order.lab and not config.lab:
        return Breach("lab_key", "the order was approved by a demonstration key")
    return None


def _check_points(config: GateConfig, order: Order, readings: Readings) -> Breach | None:
    points = order.points
    if not points or not order.rollout.stages:
        return Breach("malformed", "the order has no schedule or no stage")
    if len(set(points)) != len(points):
        return Breach("malformed", "the order schedules a point twice")
    for point in points:
        if point not in config.by_point:
            return Breach("unknown_point", f"{point} is not in the gate's configuration")
        if point not in readings.points:
            return Breach("unknown_point", f"the plant gives no read-back of {point}")
        if order.of_point(point).unit != config.by_point[point].unit:
            unit = config.by_point[point].unit
            return Breach(
                "malformed", f"{point} is in {unit}, the order says {order.of_point(point).unit}"
            )
    strange = {p for stage in order.rollout.stages for p in stage.points} - set(points)
    if strange:
        return Breach("unknown_point", f"stages name unscheduled {', '.join(sorted(strange))}")
    return None


def _check_modes(state: GateState, config: GateConfig, order: Order) -> Breach | None:
    for loop in loops_of(config, order):
        mode = state.modes.get(loop, Mode.OFF)
        if not mode.writes or (order.under and mode is not Mode.AUTO):
            needed = "AUTO" if order.under else "APPROVE or AUTO"
            return Breach("mode", f"loop {loop} is in {mode.upper()}, the order needs {needed}")
    return None


def _check_window(order: Order, now: datetime) -> Breach | None:
    if now >= order.expires:
        return Breach("expired", f"the order ended at {order.expires.isoformat()}")
    if now < order.not_before:
        return Breach("not_yet", f"the order starts at {order.not_before.isoformat()}")
    return None


def _check_replay(state: GateState, order: Order) -> Breach | None:
    if order.nonce in state.nonces:
        return Breach("replayed", f"nonce {order.nonce} was used before")
    if order.seq <= state.last_seq:
        return Breach("out_of_order", f"sequence {order.seq} after {state.last_seq}")
    return None


def _check_standing(state: GateState, order: Order, now: datetime) -> Breach | None:
    if order.under is None:
        return None
    use = _standing_of(state, order)
    if use is None:
        return Breach("standing_exceeded", f"no standing authorisation from {order.under[:19]}")
    leave = use.authorisation
    if now >= leave.until:
        return Breach("standing_exceeded", f"it ended at {leave.until.isoformat()}")
    if use.used >= leave.max_bundles:
        return Breach("standing_exceeded", f"all {leave.max_bundles} of its orders are used")
    if RISK_ORDER[order.risk] > RISK_ORDER[leave.max_risk]:
        return Breach("standing_exceeded", f"risk {order.risk} is above {leave.max_risk}")
    for schedule in order.schedule:
        low, high = leave.points.get(schedule.point, (float("inf"), float("-inf")))
        if not all(low <= v <= high for v in schedule.value):
            return Breach("standing_exceeded", f"{schedule.point} leaves the range it allows")
    return None


def _standing_of(state: GateState, order: Order) -> StandingUse | None:
    """The authorisation that covers the order, as the gate knows it or else as it came along."""
    known = state.standing.get(order.under or "")
    if known or order.under is None or order.standing is None:
        return known
    return StandingUse(authorisation=order.standing)


def _check_schedules(
    state: GateState, config: GateConfig, order: Order, now: datetime
) -> Breach | None:
    for schedule in order.schedule:
        if schedule.ttl_s < 2 * config.cycle_s:
            return Breach(
                "malformed", f"{schedule.point}: a lease of {schedule.ttl_s:g} s is under 2 cycles"
            )
        point = config.by_point[schedule.point]
        track = state.track(schedule.point)
        breach = check_schedule(config, point, schedule, track, order.not_before, now)
        if breach:
            return breach
    return None


def _check_plant(
    state: GateState, config: GateConfig, order: Order, readings: Readings
) -> Breach | None:
    for point in order.points:
        if point in state.holds:
            return Breach("operator_hold", f"{point} is held by {state.holds[point].by}")
    if not readings.remote_allowed:
        return Breach("local_only", "the plant's own switch is on local")
    if not readings.watchdog_healthy:
        return Breach("watchdog", "the plant's watchdog has tripped and was not cleared")
    bad = bad_input(config, readings)
    return Breach("bad_input", bad) if bad else None


def _check_void_guards(order: Order, readings: Readings) -> Breach | None:
    for guard in order.void_if:
        reading = readings.values.get(guard.signal)
        if reading is None or reading.value is None or reading.quality is Quality.BAD:
            return Breach("void_guard", f"{guard.signal} cannot be read")
        if not guard.minimum <= reading.value <= guard.maximum:
            return Breach(
                "void_guard",
                f"{guard.signal} is {reading.value:g}, outside "
                f"[{guard.minimum:g}, {guard.maximum:g}]",
            )
    return None


def _check_bumpless(config: GateConfig, order: Order, readings: Readings) -> Breach | None:
    for point in order.points:
        live = readings.points[point].applied
        if first_value(config.by_point[point], live) is None:
            return Breach("not_bumpless", f"{point} stands at {live:g}, which may not be commanded")
    return None


def loops_of(config: GateConfig, order: Order) -> tuple[str, ...]:
    """The loops that an order touches."""
    return tuple(dict.fromkeys(config.by_point[p].loop for p in order.points))


def _recent(state: GateState, config: GateConfig, loop: str, now: datetime) -> tuple[datetime, ...]:
    since = now - timedelta(seconds=config.breaker.within_s)
    return tuple(t for t in state.recent_orders.get(loop, ()) if t > since)


def _breaker_trips(
    state: GateState, config: GateConfig, order: Order, now: datetime
) -> tuple[str, ...]:
    return tuple(
        loop
        for loop in loops_of(config, order)
        if len(_recent(state, config, loop, now)) + 1 >= config.breaker.orders
    )


def _drop_to_advise(state: GateState, loops: tuple[str, ...], now: datetime) -> Refusal:
    state = evolve(state, modes={**state.modes, **dict.fromkeys(loops, Mode.ADVISE)})
    state, commands = end_order(state, "rolled_back", "breaker", now)
    names = ", ".join(loops)
    text = f"too many new orders in a short time; {names} dropped to ADVISE"
    report = Report(kind="mode", at=now, detail={"loops": list(loops), "mode": "advise",
                                                 "by": "breaker"})  # fmt: skip
    return Refusal("breaker", text, HINTS["breaker"], state, (*commands, report))


def _install(
    state: GateState, config: GateConfig, order: Order, now: datetime
) -> tuple[GateState, tuple[Command, ...]]:
    old = state.engaged
    goes_on = old is not None and order.under is not None and order.under in (
        old.order.proposal_digest,
        old.order.under,
    )  # fmt: skip
    stage, since = 0, now
    if goes_on and old is not None and old.stage < len(order.rollout.stages):
        stage, since = old.stage, old.stage_since
    ends = order.expires
    standing = {d: u for d, u in state.standing.items() if u.authorisation.until > now}
    use = _standing_of(state, order)
    if order.under and use:
        standing[order.under] = use.model_copy(update={"used": use.used + 1})
        ends = min(ends, use.authorisation.until)
    elif order.standing:
        standing[order.proposal_digest] = StandingUse(authorisation=order.standing)
    recent = {loop: (*_recent(state, config, loop, now), now) for loop in loops_of(config, order)}
    state = evolve(
        state,
        engaged=Engaged(order=order, engaged_at=now, ends=ends, stage=stage, stage_since=since),
        last_seq=order.seq,
        nonces=(*state.nonces, order.nonce)[-NONCES_KEPT:],
        standing=standing,
        recent_orders={**state.recent_orders, **recent},
    )
    dropped = tuple(p for p in state.owned if p not in active_points(state))
    commands: list[Command] = [Release(points=dropped)] if dropped else []
    detail = {
        "points": list(order.points),
        "stage": order.rollout.stages[stage].name,
        "under": order.under,
        "replaces": old.order.proposal_digest if old else None,
        "lab": order.lab,
    }
    commands.append(
        Report(kind="engaged", at=now, proposal_digest=order.proposal_digest, detail=detail)
    )
    return disowned(state, dropped), tuple(commands)
