"""Whatever order things happen in, the gate keeps its promises: checked by a plant that watches.

The watcher knows the limits from the configuration only and judges each command as it arrives.
"""

import math
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from graph.plant import Readings, WriteResult
from graph.proposal import Guardrail, PointSchedule, Rollout, Stage, StandingAuthorisation
from graph.signals import Owner, PointState, Quality, Reading
from safety.gate import core
from safety.gate.commands import Refusal, Release, Step, Write
from safety.gate.config import CriticalInput, GateConfig, PointConfig
from safety.gate.order import Order
from safety.gate.state import Mode, initial_state

T0 = datetime(2026, 3, 7, 7, 0, tzinfo=UTC)
BATTERY, PUMP, ZONE = "battery.power_set_kw", "hp.power_set_kw", "zone.setpoint_degc"
POINTS = (BATTERY, PUMP, ZONE)
CONFIG = GateConfig(
    site_id="site",
    time_zone="America/Los_Angeles",
    points=(
        PointConfig(point=BATTERY, unit="kW", loop="battery", min=-30, max=30, ramp_per_s=0.1,
                    readback_tolerance=0.01),
        PointConfig(point=PUMP, unit="kW", loop="hp", min=0, max=12, zero_or_above=4, dwell_s=600,
                    ramp_per_s=0.05, max_starts_per_day=2, readback_tolerance=0.01),
        PointConfig(point=ZONE, unit="degC", loop="zone", min=16, max=26, ramp_per_s=0.01,
                    deadband=0.1, readback_tolerance=0.01),
    ),
    inputs=(CriticalInput(signal="soc", stale_after_s=300, min=0, max=100),),
    lease_s=600,
    has_watchdog=True,
    stepped=True,
)  # fmt: skip
LEVELS = {
    BATTERY: (-29.0, -8.0, 0.0, 8.0, 20.0),
    PUMP: (0.0, 0.0, 4.0, 9.0, 12.0),
    ZONE: (17.0, 20.5, 21.0, 24.0),
}
WILD = {BATTERY: (-31.0, 400.0), PUMP: (2.0, 13.0), ZONE: (5.0, 26.5)}
ANYTHING = StandingAuthorisation(
    points=dict.fromkeys(POINTS, (-1000.0, 1000.0)),
    until=T0 + timedelta(days=400),
    max_risk="high",
    max_bundles=1000,
)
point_names = st.sampled_from(POINTS)


@st.composite
def schedules(draw, point):
    """Mostly what a planner would send; at times a step too far, too soon, or no number at all."""
    gaps = draw(
        st.lists(st.sampled_from([900.0, 900.0, 900.0, 1200.0, 1200.0, 1800.0, 300.0]), max_size=5)
    )
    times = (0.0, *accumulate(gaps))
    values = [draw(st.sampled_from(LEVELS[point])) for _ in times]
    trouble = draw(st.integers(0, 19))
    if trouble == 0:
        values[0] = draw(st.sampled_from((*WILD[point], math.nan)))
    good = PointSchedule(
        point=point, unit=CONFIG.by_point[point].unit, t=times, value=(0.0,) * len(times),
        from_value=0.0, min=-999, max=999, ttl_s=draw(st.sampled_from([7200.0, 600.0, 120.0])),
    )  # fmt: skip
    return good.model_copy(update={"value": tuple(values)})


ORDER = {
    "data": st.data(),
    "names": st.sets(point_names, min_size=1),
    "canary": st.booleans(),
    "hours": st.sampled_from([4, 4, 4, 1, 1, 0]),
    "rail": st.booleans(),
    "follow_up": st.booleans(),
    "prepared": st.sampled_from([True, True, True, False]),
    "then": st.integers(0, 40),
}


class GateAndPlant(RuleBasedStateMachine):
    """The gate's core, a plant with people at it, and a watcher over every command."""

    def __init__(self):
        super().__init__()
        self.state, self.now = initial_state(CONFIG, Mode.AUTO), T0
        self.applied = {BATTERY: 0.0, PUMP: 0.0, ZONE: 21.0}
        self.owner = dict.fromkeys(POINTS, Owner.LOCAL)
        self.lease = {}
        self.soc, self.quality = 50.0, Quality.GOOD
        self.seq, self.alive, self.refusing = 0, True, ""
        self.last_write = {}  # point -> (time, value), while the gate's own
        self.changed = {}  # semi-continuous point -> when the gate last switched it
        self.starts = {}
        self.overrides = set()
        self.writes = 0

    def image(self):
        seen = Reading(value=self.soc, time=self.now, quality=self.quality)
        points = {p: PointState(applied=self.applied[p], owner=self.owner[p]) for p in POINTS}
        return Readings(time=self.now, values={"soc": seen}, points=points)

    def take(self, result):
        step = Step(result.state, result.commands) if isinstance(result, Refusal) else result
        self.state = step.state
        results = []
        for command in step.commands:
            if isinstance(command, Write):
                results += [self.receive(item) for item in command.setpoints]
            elif isinstance(command, Release):
                for point in command.points:
                    assert self.owner[point] is not Owner.OPERATOR, "released a person's point"
                    self.go_local(point)
        if any(not r.accepted for r in results):
            self.take(core.settle(self.state, CONFIG, results, self.image()))

    def receive(self, item):
        """The plant takes a write; the watcher judges it first."""
        config, point, value = CONFIG.by_point[item.point], item.point, item.value
        assert math.isfinite(value), "wrote something that is no number"
        assert self.owner[point] is not Owner.OPERATOR, "wrote a person's point"
        assert point not in self.overrides, "wrote a point that a person holds at the gate"
        assert self.state.modes[config.loop] in (Mode.APPROVE, Mode.AUTO), "wrote in a quiet mode"
        assert config.min <= value <= config.max, "wrote outside its range"
        assert 0 < item.ttl_s <= CONFIG.lease_s, "a lease is too long"
        assert self.alive, "wrote for a service that is gone"
        floor = config.zero_or_above
        assert floor is None or value == 0 or value >= floor, "wrote into the forbidden middle"
        at, before = self.last_write.get(point, (self.now, self.applied[point]))
        dt = (self.now - at).total_seconds()
        slack = config.resolution + 1e-6
        crosses = floor is not None and (before == 0) != (value == 0)
        if crosses and point in self.last_write:
            assert max(before, value) <= floor + config.ramp_per_s * dt + slack, "stepped too far"
            last = self.changed.get(point)
            assert last is None or (self.now - last).total_seconds() >= config.dwell_s, "no dwell"
            self.changed[point] = self.now
        else:
            # The first write (dt = 0) repeats the live value: that is what bumpless means.
            assert abs(value - before) <= config.ramp_per_s * dt + slack, "broke the ramp"
        if config.max_starts_per_day is not None and before == 0 < value:
            day = self.now.astimezone(CONFIG.zone).date()
            self.starts[point, day] = self.starts.get((point, day), 0) + 1
            assert self.starts[point, day] <= config.max_starts_per_day, "one start too many"
        if self.refusing:
            return WriteResult(point=point, accepted=False, reason=self.refusing)
        self.writes += 1
        self.last_write[point] = (self.now, value)
        self.applied[point], self.owner[point] = value, Owner.REMOTE
        self.lease[point] = self.now + timedelta(seconds=item.ttl_s)
        return WriteResult(point=point, accepted=True)

    def go_local(self, point):
        self.owner[point] = Owner.LOCAL
        self.lease.pop(point, None)
        self.last_write.pop(point, None)

    def advance(self, seconds):
        self.now += timedelta(seconds=seconds)
        for point, until in list(self.lease.items()):
            if until <= self.now and self.owner[point] is Owner.REMOTE:
                self.go_local(point)

    def cycle(self):
        self.take(core.cycle(self.state, CONFIG, self.image(), 0.0, self.alive))

    @rule(count=st.integers(1, 12), seconds=st.sampled_from([30, 60, 60, 200]))
    def time_passes(self, count, seconds):
        for _ in range(count):
            self.advance(seconds)
            self.cycle()

    @initialize(**ORDER)
    def the_day_begins_with_an_order(self, **drawn):
        self.an_order_comes(**drawn)

    @rule(**ORDER)
    def an_order_comes(self, data, names, canary, hours, rail, follow_up, prepared, then):
        if prepared:
            self.somebody_clears_the_way()
        names = sorted(names)
        self.seq += 1
        stages = [Stage(name="full", points=tuple(names), duration_s=3600)]
        if canary:
            stages.insert(0, Stage(name="canary", points=(names[0],), duration_s=300))
        guardrail = Guardrail(name="soc", kind="range", signal="soc", minimum=20, for_s=60)
        engaged = self.state.engaged
        order = Order(
            proposal_digest=f"sha256:{self.seq}", seq=self.seq, nonce=str(self.seq),
            not_before=self.now, expires=self.now + timedelta(hours=hours),
            schedule=tuple(data.draw(schedules(n)) for n in names),
            rollout=Rollout(stages=tuple(stages), guardrails=(guardrail,) if rail else ()),
            under=engaged.order.proposal_digest if follow_up and engaged else None,
            standing=ANYTHING,
        )  # fmt: skip
        self.take(core.engage(self.state, CONFIG, order, self.image()))
        for _ in range(then):
            self.cycle()
            self.check()
            self.advance(60)

    def somebody_clears_the_way(self):
        """What a careful person does before an order: faults mended, holds ended, mode set."""
        self.soc, self.quality, self.alive, self.refusing = 50.0, Quality.GOOD, True, ""
        for point in [p for p in POINTS if self.owner[p] is Owner.OPERATOR]:
            self.go_local(point)
        while self.overrides:
            self.a_person_hands_back_at_the_gate()
        self.cycle()
        self.advance(61)
        self.cycle()
        self.take(core.set_mode(self.state, CONFIG, Mode.AUTO, self.image()))

    @rule(point=point_names, data=st.data())
    def a_person_takes_a_point(self, point, data):
        self.owner[point] = Owner.OPERATOR
        self.applied[point] = data.draw(st.sampled_from(LEVELS[point]))
        self.lease.pop(point, None)
        self.last_write.pop(point, None)

    @precondition(lambda self: Owner.OPERATOR in self.owner.values())
    @rule(data=st.data())
    def a_person_lets_go(self, data):
        held = [p for p in POINTS if self.owner[p] is Owner.OPERATOR]
        self.go_local(data.draw(st.sampled_from(held)))

    @rule(point=point_names)
    def a_person_overrides_at_the_gate(self, point):
        self.overrides.add(point)
        self.take(core.look(self.state, CONFIG, self.image()))
        self.take(core.operator_hold(self.state, CONFIG, point, self.now, by="ann"))

    @precondition(lambda self: self.overrides)
    @rule()
    def a_person_hands_back_at_the_gate(self):
        point = sorted(self.overrides)[0]
        result = core.hand_back(self.state, point, self.now, by="ann")
        self.take(result)
        self.overrides.discard(point)

    @rule(point=point_names, value=st.sampled_from([0.0, 6.0, 18.0]))
    def the_local_law_moves(self, point, value):
        if self.owner[point] is Owner.LOCAL:
            self.applied[point] = value

    @rule(soc=st.sampled_from([50.0, 50.0, 10.0, None]))
    def the_battery_says(self, soc):
        self.soc = soc

    @rule(quality=st.sampled_from([Quality.GOOD, Quality.GOOD, Quality.BAD]))
    def the_sensor_is(self, quality):
        self.quality = quality

    @rule(alive=st.booleans())
    def the_service_is_alive(self, alive):
        self.alive = alive

    @rule(reason=st.sampled_from(["", "", "out_of_range", "local_only"]))
    def the_plant_refuses(self, reason):
        self.refusing = reason

    @precondition(lambda self: self.state.engaged)
    @rule(mode=st.sampled_from([*Mode, Mode.AUTO, Mode.APPROVE]),
          loop=st.sampled_from([None, "hp", "zone"]))  # fmt: skip
    def a_mode_is_set(self, mode, loop):
        self.take(core.set_mode(self.state, CONFIG, mode, self.image(), loop=loop))

    @precondition(lambda self: self.state.engaged)
    @rule()
    def somebody_aborts(self):
        self.take(core.look(self.state, CONFIG, self.image()))
        self.take(core.abort(self.state, self.now))
        assert Owner.REMOTE not in self.mine().values()

    @precondition(lambda self: self.state.engaged)
    @rule()
    def everything_goes_local(self):
        self.take(core.all_local(self.state, CONFIG, self.image()))
        assert Owner.REMOTE not in self.mine().values()
        assert set(self.state.modes.values()) == {Mode.OFF}

    @precondition(lambda self: self.state.engaged)
    @rule()
    def the_gate_restarts(self):
        text = self.state.model_dump_json()
        self.take(core.restarted(type(self.state).model_validate_json(text), self.now))
        assert not any(m.writes for m in self.state.modes.values())
        self.last_write.clear()  # what it held before runs out at the plant, on its own

    def mine(self):
        return {p: o for p, o in self.owner.items() if p in self.last_write}

    @invariant()
    def check(self):
        """After a trip everything is back within the very cycle that found it."""
        if self.state.engaged is None:
            assert not self.state.owned
            assert Owner.REMOTE not in self.mine().values()
        assert not set(self.state.owned) & set(self.state.holds)


GateAndPlant.TestCase.settings = settings(
    max_examples=250,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a shrink takes minutes
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestGateAndPlant = GateAndPlant.TestCase
