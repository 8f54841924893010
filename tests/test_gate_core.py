"""The gate's core: every refusal by name, every safe state by event."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from graph.errors import InputError, IntegrityError
from graph.plant import Readings, WriteResult
from graph.proposal import (
    Guardrail,
    PointSchedule,
    Rollout,
    Stage,
    StandingAuthorisation,
    VoidGuard,
)
from graph.signals import Owner, PointState, Quality, Reading
from safety.gate import core
from safety.gate.commands import Alarm, Refusal, Release, Report, Step, Write
from safety.gate.config import CriticalInput, GateConfig, PointConfig
from safety.gate.gate_file import load_gate_file
from safety.gate.guardrails import Outcome, assess, measure
from safety.gate.limits import first_value
from safety.gate.order import Order
from safety.gate.state import MetricTrack, Mode, evolve, initial_state, phase
from safety.gate.store import StateStore

T0 = datetime(2026, 1, 20, 20, 0, tzinfo=UTC)
BATTERY, PUMP, ZONE = "battery.power_set_kw", "hp.power_set_kw", "zone.setpoint_degc"
CONFIG = GateConfig(
    site_id="site",
    time_zone="America/Los_Angeles",
    points=(
        PointConfig(
            point=BATTERY, unit="kW", loop="battery", min=-30, max=30, ramp_per_s=0.1,
            readback_tolerance=0.01, follows="battery.power_kw", follow_tolerance=1.0,
            follow_within_s=300,
        ),
        PointConfig(
            point=PUMP, unit="kW", loop="hp", min=0, max=12, zero_or_above=4, dwell_s=900,
            max_starts_per_day=2, readback_tolerance=0.01,
        ),
        PointConfig(
            point=ZONE, unit="degC", loop="zone", min=16, max=26, ramp_per_s=0.01, deadband=0.1,
            readback_tolerance=0.05,
        ),
    ),
    inputs=(CriticalInput(signal="soc", stale_after_s=300, min=0, max=100),),
    lease_s=600,
    has_watchdog=True,
    stepped=True,
)  # fmt: skip


def schedule(point, t=(0,), value=(1.0,), **changes):
    unit = CONFIG.by_point[point].unit if point in CONFIG.by_point else "kW"
    fields = {
        "point": point, "unit": unit, "t": t, "value": value, "from_value": 0.0,
        "min": -100.0, "max": 100.0, "ttl_s": 600.0,
    }  # fmt: skip
    return PointSchedule(**(fields | changes))


def order(*schedules, seq=1, digest=None, guardrails=(), canary=None, canary_s=300, **changes):
    schedules = schedules or (schedule(BATTERY, value=(10.0,)),)
    points = tuple(s.point for s in schedules)
    stages = [Stage(name="full", points=points, duration_s=3600)]
    if canary:
        stages.insert(0, Stage(name="canary", points=canary, duration_s=canary_s))
    fields = {
        "proposal_digest": digest or f"sha256:{seq:064x}", "seq": seq, "nonce": f"nonce{seq}",
        "not_before": T0, "expires": T0 + timedelta(hours=4), "schedule": schedules,
        "rollout": Rollout(stages=tuple(stages), guardrails=guardrails),
    }  # fmt: skip
    return Order(**(fields | changes))


class World:
    """A plant of three points and the gate's core beside it, driven as the runtime does."""

    def __init__(self, mode=Mode.APPROVE, config=CONFIG):
        self.config, self.state, self.now = config, initial_state(config, mode), T0
        self.applied = {BATTERY: 1.0, PUMP: 0.0, ZONE: 21.0}
        self.owner = dict.fromkeys(self.applied, Owner.LOCAL)
        self.lease, self.signals, self.said, self.writes = {}, {"soc": 50.0}, [], []
        self.quality, self.refuse, self.deaf = Quality.GOOD, {}, set()
        self.switch, self.watchdog, self.epoch = True, True, 0
        self.input_at = None

    def image(self):
        signals = {"battery.power_kw": self.applied[BATTERY], **self.signals}
        return Readings(
            time=self.now,
            values={
                k: Reading(value=v, time=self.input_at or self.now, quality=self.quality)
                for k, v in signals.items()
            },
            points={p: PointState(applied=v, owner=self.owner[p]) for p, v in self.applied.items()},
            remote_allowed=self.switch,
            watchdog_healthy=self.watchdog,
            epoch=self.epoch,
        )

    def engage(self, wanted):
        result = core.engage(self.state, self.config, wanted, self.image())
        self.take(Step(result.state, result.commands))
        return result

    def cycle(self, seconds=60, alive=True):
        self.now += timedelta(seconds=seconds)
        for point, until in list(self.lease.items()):
            if until <= self.now and self.owner[point] is Owner.REMOTE:
                self.owner[point] = Owner.LOCAL
        self.take(core.cycle(self.state, self.config, self.image(), 0.0, alive))

    def take(self, step):
        self.state = step.state
        for command in step.commands:
            self.said.append(command)
            if isinstance(command, Write):
                self.settle([self.write(s) for s in command.setpoints])
            elif isinstance(command, Release):
                for point in command.points:
                    assert self.owner[point] is not Owner.OPERATOR
                    self.owner[point] = Owner.LOCAL

    def write(self, item):
        reason = self.refuse.get(item.point, "")
        if not reason:
            self.writes.append((self.now, item.point, item.value))
            self.owner[item.point] = Owner.REMOTE
            self.lease[item.point] = self.now + timedelta(seconds=item.ttl_s)
            if item.point not in self.deaf:
                self.applied[item.point] = item.value
        return WriteResult(point=item.point, accepted=not reason, reason=reason)

    def settle(self, results):
        self.take(core.settle(self.state, self.config, results, self.image()))

    def values(self, point):
        return [v for _, p, v in self.writes if p == point]

    def heard(self, kind):
        return [c for c in self.said if isinstance(c, Report) and c.kind == kind]

    def alarms(self):
        return [c.name for c in self.said if isinstance(c, Alarm)]

    def all_local(self):
        return all(o is not Owner.REMOTE for o in self.owner.values())


def engaged(*arguments, **changes):
    world = World(Mode.AUTO)
    assert isinstance(world.engage(order(*arguments, **changes)), Step)
    return world


def test_the_first_write_repeats_the_live_value_and_ramps_from_there():
    world = engaged()
    for _ in range(4):
        world.cycle()
    # 0.1 kW/s is 6 kW a cycle: 1, 7, 10, and then nothing but renewals.
    assert world.values(BATTERY)[:3] == [1.0, 7.0, 10.0]


def test_a_lease_is_renewed_before_half_its_life_and_never_outlives_the_order():
    world = engaged(expires=T0 + timedelta(seconds=1500))
    lengths = []
    for _ in range(24):
        world.cycle()
        lengths.append((world.lease[BATTERY] - world.now).total_seconds())
        assert world.lease[BATTERY] <= T0 + timedelta(seconds=1500)
    assert min(lengths[:14]) >= 300
    world.cycle()
    assert world.all_local()
    world.cycle()
    assert phase(world.state) == "completed"


LATER = T0 + timedelta(hours=1)
LEAVE = StandingAuthorisation(
    points={BATTERY: (-5.0, 5.0)}, until=LATER, max_risk="low", max_bundles=1
)
REFUSED = {
    "unknown_point": lambda w: order(schedule("other.point")),
    "mode": lambda w: order(under="sha256:aa"),
    "expired": lambda w: order(not_before=T0 - timedelta(hours=9), expires=T0),
    "not_yet": lambda w: order(not_before=LATER),
    "out_of_range": lambda w: order(schedule(BATTERY, value=(30.1,))),
    "ramp": lambda w: order(schedule(BATTERY, t=(0, 60), value=(-20.0, 20.0))),
    "dwell": lambda w: order(schedule(PUMP, t=(0, 900, 1000), value=(0.0, 5.0, 0.0))),
    "starts": lambda w: order(
        schedule(PUMP, t=(0, 900, 1800, 2700, 3600), value=(5.0, 0.0, 5.0, 0.0, 5.0))
    ),
    "void_guard": lambda w: order(void_if=(VoidGuard(signal="soc", minimum=0, maximum=49),)),
    "lab_key": lambda w: order(lab=True),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_an_order_is_refused_by_name_and_nothing_changes(reason):
    world = World(Mode.APPROVE)
    before = world.state
    result = core.engage(world.state, CONFIG, REFUSED[reason](world), world.image())
    assert isinstance(result, Refusal)
    assert result.reason == reason
    assert result.state == before
    assert not result.commands
    assert result.error().reason == reason


def test_not_a_number_is_refused_even_if_it_got_past_the_types():
    bad = schedule(BATTERY).model_copy(update={"value": (math.nan,)})
    wanted = order().model_copy(update={"schedule": (bad,)})
    assert World().engage(wanted).reason == "nan"


@pytest.mark.parametrize(
    ("value", "allowed"), [(0.0, True), (2.0, False), (3.9996, True), (4.0, True), (12.1, False)]
)
def test_a_semi_continuous_point_takes_zero_or_its_least_power(value, allowed):
    result = World().engage(order(schedule(PUMP, value=(value,))))
    assert isinstance(result, Step) is allowed
    assert allowed or result.reason == "out_of_range"


def test_replayed_and_out_of_order_are_told_apart():
    world = engaged(seq=5)
    assert world.engage(order(seq=5)).reason == "replayed"
    assert world.engage(order(seq=4)).reason == "out_of_order"
    assert world.engage(order(seq=5, nonce="fresh")).reason == "out_of_order"


def test_a_state_of_the_plant_refuses_by_name():
    for change, reason in (
        ({"switch": False}, "local_only"),
        ({"watchdog": False}, "watchdog"),
        ({"epoch": 3}, "epoch"),
        ({"signals": {}}, "bad_input"),
        ({"quality": Quality.BAD}, "bad_input"),
        ({"input_at": T0 - timedelta(seconds=301)}, "bad_input"),
        ({"applied": {BATTERY: 55.0, PUMP: 0.0, ZONE: 21.0}}, "not_bumpless"),
    ):
        world = World()
        vars(world).update(change)
        assert world.engage(order()).reason == reason, change


def test_an_order_over_a_held_point_is_refused_and_auto_needs_a_watchdog():
    world = World()
    world.owner[ZONE] = Owner.OPERATOR
    assert world.engage(order(schedule(ZONE, value=(22.0,)))).reason == "operator_hold"
    world.watchdog = False
    result = core.set_mode(world.state, CONFIG, Mode.AUTO, world.image())
    assert result.reason == "no_watchdog"


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.SHADOW, Mode.ADVISE])
def test_a_loop_that_may_not_write_refuses_and_leaving_such_a_mode_rolls_back(mode):
    assert World(mode).engage(order()).reason == "mode"
    world = engaged()
    world.cycle()
    result = core.set_mode(world.state, CONFIG, mode, world.image(), loop="battery", by="ann")
    world.take(result)
    assert world.all_local()
    assert world.state.last is None  # seen to be back only with the next image
    world.cycle()
    assert (phase(world.state), world.state.last.reason) == ("rolled_back", "mode")


def test_a_standing_authorisation_bounds_range_number_time_and_risk():
    base = order(schedule(BATTERY, value=(2.0,)), standing=LEAVE)
    under = {"under": base.proposal_digest, "seq": 2}
    for changes, ok in (
        ({}, True),
        ({"risk": "medium"}, False),
        ({"schedule": (schedule(BATTERY, value=(6.0,)),)}, False),
        ({"under": "sha256:unknown"}, False),
    ):
        world = World(Mode.AUTO)
        assert isinstance(world.engage(base), Step)
        wanted = order(schedule(BATTERY, value=(3.0,)), **under).model_copy(update=changes)
        result = world.engage(wanted)
        assert isinstance(result, Step) is ok, changes
        assert ok or result.reason == "standing_exceeded"
    world = World(Mode.AUTO)
    world.engage(base)
    world.engage(order(schedule(BATTERY, value=(3.0,)), **under))
    assert world.state.engaged.ends == LATER  # it ends with the leave, not with the order
    world.now += timedelta(minutes=5)
    third = order(schedule(BATTERY, value=(1.0,)), under=base.proposal_digest, seq=3)
    assert world.engage(third).reason == "standing_exceeded"  # max_bundles = 1


def test_a_successor_takes_over_without_a_detour_and_keeps_the_stage():
    world = engaged(
        schedule(BATTERY, value=(4.0,)),
        schedule(ZONE, value=(22.0,)),
        canary=(BATTERY,),
        standing=LEAVE.model_copy(update={"points": {BATTERY: (-9, 9), ZONE: (20, 23)}}),
    )
    for _ in range(8):
        world.cycle()
    assert phase(world.state) == "full"
    first = world.state.engaged.order.proposal_digest
    world.engage(
        order(
            schedule(BATTERY, value=(-4.0,)),
            schedule(ZONE, value=(21.0,)),
            seq=2, canary=(BATTERY,), under=first,
        )
    )  # fmt: skip
    world.cycle()
    assert phase(world.state) == "full"
    assert not [c for c in world.said if isinstance(c, Release)]
    assert world.values(BATTERY)[-1] == pytest.approx(-2.0)  # 4 less one cycle's ramp of 6


def test_three_new_orders_in_a_minute_drop_the_loop_to_advise_and_release():
    world = engaged()
    world.cycle(5)
    world.engage(order(seq=2))
    result = world.engage(order(seq=3))
    assert result.reason == "breaker"
    assert world.state.modes["battery"] is Mode.ADVISE
    assert world.state.modes["zone"] is Mode.AUTO
    assert world.all_local()
    world.cycle()
    assert world.engage(order(seq=4)).reason == "mode"


def test_the_canary_writes_its_points_only_and_is_promoted_when_it_has_proven_itself():
    rail = Guardrail(name="soc", kind="range", signal="soc", minimum=10, maximum=90, for_s=0)
    world = engaged(
        schedule(BATTERY, value=(4.0,)),
        schedule(ZONE, value=(22.0,)),
        canary=(BATTERY,),
        guardrails=(rail,),
    )
    for _ in range(4):
        world.cycle()
    assert phase(world.state) == "canary"
    assert not world.values(ZONE)
    world.cycle()
    world.cycle()
    assert phase(world.state) == "full"
    assert world.values(ZONE)


def test_an_inconclusive_canary_is_held_and_after_its_limit_rolled_back():
    rail = Guardrail(
        name="meter", kind="range", signal="absent", minimum=0, for_s=0, inconclusive_limit=7
    )
    world = engaged(canary=(BATTERY,), guardrails=(rail,))
    for _ in range(7):
        world.cycle()
    assert phase(world.state) == "canary"
    assert world.heard("stage_held")
    world.cycle()
    assert world.all_local()
    world.cycle()
    assert world.state.last.reason == "inconclusive:meter"


def test_a_guardrail_trips_only_after_its_time_and_then_everything_is_local_at_once():
    rail = Guardrail(name="soc", kind="range", signal="soc", minimum=40, for_s=120)
    world = engaged(guardrails=(rail,))
    world.cycle()
    world.signals["soc"] = 39.0
    world.cycle()
    world.cycle()
    assert phase(world.state) == "full"
    world.cycle()
    assert world.all_local()
    assert "guardrail:soc" in world.alarms()
    world.cycle()
    assert (phase(world.state), world.state.last.reason) == ("rolled_back", "guardrail:soc")


def test_a_guardrail_without_a_sample_is_inconclusive_and_a_bad_number_an_error():
    rail = Guardrail(name="x", kind="range", signal="x", maximum=1, for_s=0)
    assert assess(rail, MetricTrack()) is Outcome.INCONCLUSIVE
    image = Readings(time=T0, values={"x": Reading(value=None, time=T0)})
    track = measure(rail, MetricTrack(), image, T0, None)
    assert assess(rail, track) is Outcome.ERROR
    assert track.measurements == 0


def test_a_predicted_band_is_interpolated_and_a_stale_signal_found():
    band = Guardrail(
        name="b", kind="predicted", signal="x", t=(0, 600), low=(0, 10), high=(10, 20), for_s=0
    )
    stale = Guardrail(name="s", kind="stale", signal="x", for_s=120)

    def judge(rail, value, elapsed, age=0):
        now = T0 + timedelta(seconds=elapsed)
        seen = Reading(value=value, time=now - timedelta(seconds=age))
        image = Readings(time=now, values={"x": seen})
        return measure(rail, MetricTrack(), image, T0, None).last

    assert judge(band, 14.9, 300) == "success"
    assert judge(band, 15.1, 300) == "failure"
    assert judge(band, 4.9, 300) == "failure"
    assert judge(stale, 1.0, 300, age=120) == "success"
    assert judge(stale, 1.0, 300, age=121) == "failure"


def test_a_process_that_does_not_follow_is_rolled_back():
    world = engaged()
    world.cycle()
    world.signals["battery.power_kw"] = 1.0  # stuck, while the setpoint goes to 10
    for _ in range(7):
        world.cycle()
    assert world.all_local()
    assert f"not_following:{BATTERY}" in world.alarms()


def test_a_write_that_did_not_take_is_rolled_back_and_a_foreign_value_is_left_alone():
    world = engaged()
    world.cycle()
    world.deaf.add(BATTERY)
    world.cycle()
    world.cycle()
    assert f"write_not_taken:{BATTERY}" in world.alarms()
    assert world.all_local()

    world = engaged(schedule(BATTERY, value=(4.0,)), schedule(ZONE, value=(22.0,)))
    for _ in range(4):
        world.cycle()
    world.applied[BATTERY] = 17.0
    count = len(world.values(BATTERY))
    world.cycle()
    assert world.state.holds[BATTERY].source == "read_back"
    world.take(core.abort(world.state, world.now))
    assert world.owner == {BATTERY: Owner.REMOTE, PUMP: Owner.LOCAL, ZONE: Owner.LOCAL}
    assert len(world.values(BATTERY)) == count


def test_a_refused_write_rolls_back_unless_a_person_was_quicker_or_the_gate_is_fenced():
    for reason, phase_after in (
        ("out_of_range", "rolled_back"), ("operator_hold", "full"), ("stale_epoch", "fenced"),
    ):  # fmt: skip
        world = engaged()
        world.refuse[BATTERY] = reason
        world.cycle()
        world.refuse.clear()
        if reason == "operator_hold":
            world.owner[BATTERY] = Owner.OPERATOR
        world.cycle()
        assert phase(world.state) == phase_after


def test_an_operator_keeps_a_point_until_it_is_handed_back_and_then_it_is_bumpless():
    world = engaged()
    for _ in range(3):
        world.cycle()
    world.owner[BATTERY], world.applied[BATTERY] = Owner.OPERATOR, -3.0
    count = len(world.writes)
    for _ in range(5):
        world.cycle()
    assert len(world.writes) == count
    world.owner[BATTERY] = Owner.LOCAL
    world.cycle()
    world.cycle()
    assert world.values(BATTERY)[count:] == [-3.0, 3.0]


def test_an_override_at_the_gate_releases_the_point_and_ends_with_its_time():
    world = engaged()
    world.cycle()
    until = world.now + timedelta(minutes=3)
    world.take(core.operator_hold(world.state, CONFIG, BATTERY, world.now, by="ann", until=until))
    assert world.owner[BATTERY] is Owner.LOCAL
    count = len(world.writes)
    world.cycle()
    world.cycle()
    assert len(world.writes) == count
    world.cycle()
    assert len(world.writes) == count + 1


def test_a_silent_service_freezes_the_stage_and_the_lease_ends_it():
    world = engaged(schedule(BATTERY, value=(4.0,)), canary=(BATTERY,), canary_s=120)
    world.cycle()
    count = len(world.writes)
    for _ in range(9):
        world.cycle(alive=False)
    assert phase(world.state) == "canary"
    assert world.owner[BATTERY] is Owner.REMOTE
    world.cycle(alive=False)
    assert world.all_local()
    assert len(world.writes) == count
    world.cycle(alive=False)
    assert world.state.last.reason == "service_lost"


def test_a_service_that_returns_in_time_finds_its_order_in_force():
    world = engaged()
    world.cycle()
    world.cycle(alive=False)
    world.cycle(alive=True)
    assert world.heard("service_lost")
    assert world.heard("service_back")
    assert world.values(BATTERY)[-1] == 7.0  # the gap did not let it jump


@pytest.mark.parametrize(
    ("change", "reason", "outcome"),
    [
        ({"signals": {}}, "bad_input:soc missing", "shed"),
        ({"quality": Quality.BAD}, "bad_input:soc bad", "shed"),
        ({"signals": {"soc": 101.0}}, "bad_input:soc out of its range", "shed"),
        ({"switch": False}, "local_only", "rolled_back"),
        ({"watchdog": False}, "watchdog", "rolled_back"),
    ],
)
def test_what_speaks_against_the_order_ends_it_with_a_name(change, reason, outcome):
    world = engaged()
    world.cycle()
    world.cycle()
    vars(world).update(change)
    world.cycle()
    assert world.all_local()
    assert reason in world.alarms()
    world.cycle()
    assert (phase(world.state), world.state.last.reason) == (outcome, reason)


def test_plant_time_that_runs_back_or_stands_still_sheds():
    world = engaged()
    world.cycle()
    world.cycle(-30)
    assert "plant_clock" in world.alarms()
    running = CONFIG.model_copy(update={"stepped": False})
    world = World(config=running)
    world.engage(order())
    for wall_s, engaged_still in ((0.0, True), (119.0, True), (121.0, False)):
        step = core.cycle(world.state, running, world.image(), wall_s, True)
        world.take(step)
        assert (world.state.engaged is not None) is engaged_still


def test_a_higher_epoch_makes_the_gate_step_down_without_touching_anything():
    world = engaged()
    world.cycle()
    world.epoch = 7
    count = len(world.said)
    world.cycle()
    world.cycle()
    assert phase(world.state) == "fenced"
    assert not [c for c in world.said[count:] if isinstance(c, (Write, Release))]
    assert set(world.state.modes.values()) == {Mode.OFF}
    assert core.claimed(world.state, 8).fenced is False


def test_a_restarted_plant_that_forgot_the_epoch_ends_the_order_and_fences_nobody():
    world = engaged()
    world.cycle()
    world.state = core.claimed(world.state, 4)
    world.epoch = 4
    world.cycle()
    world.epoch = 0
    world.cycle()
    world.settle([WriteResult(point=BATTERY, accepted=False, reason="stale_epoch")])
    world.cycle()
    assert (phase(world.state), world.state.last.reason) == ("rolled_back", "epoch_lost")


def test_all_local_releases_what_anybody_commands_but_an_operator_and_stays_off():
    world = engaged()
    world.cycle()
    world.owner[ZONE] = Owner.REMOTE  # a lease of an earlier life of the gate
    world.owner[PUMP] = Owner.OPERATOR
    world.cycle()
    world.take(core.all_local(world.state, CONFIG, world.image(), by="ann"))
    assert world.owner == {BATTERY: Owner.LOCAL, ZONE: Owner.LOCAL, PUMP: Owner.OPERATOR}
    world.cycle()
    assert world.engage(order(seq=9)).reason == "mode"
    world.take(core.restarted(world.state, world.now))
    assert set(world.state.modes.values()) == {Mode.OFF}


def test_a_restart_comes_up_in_shadow_and_reports_what_was_in_force(tmp_path):
    world = engaged()
    for _ in range(3):
        world.cycle()
    store = StateStore(tmp_path / "state.json")
    store.save(world.state)
    again = StateStore(tmp_path / "state.json").load(CONFIG)
    assert again == world.state
    world.take(core.restarted(again, world.now))
    assert set(world.state.modes.values()) == {Mode.SHADOW}
    detail = world.heard("restarted")[0].detail
    assert detail["in_force"] == order().proposal_digest
    assert detail["points"] == {BATTERY: 10.0}
    count = len(world.writes)
    for _ in range(11):
        world.cycle()
    assert len(world.writes) == count
    assert world.all_local()
    assert world.engage(order()).reason == "mode"


def test_a_damaged_state_file_is_refused_with_a_next_step(tmp_path):
    path = tmp_path / "state.json"
    for text in ("{", '{"modes": 3}', '{"modes": {}, "modes": {}}'):
        path.write_text(text)
        with pytest.raises(IntegrityError, match="damaged") as caught:
            StateStore(path).load(CONFIG)
        assert caught.value.hint


def test_starts_are_counted_by_local_day_whoever_makes_them():
    world = engaged(schedule(BATTERY, value=(1.0,)))
    world.cycle()
    for level in (5.0, 0.0):
        world.applied[PUMP] = level  # the local law runs the pump
        world.cycle()
    assert world.state.track(PUMP).starts == 1
    times = tuple(900.0 * k for k in range(1, 5))
    twice = schedule(PUMP, t=(0.0, *times), value=(0.0, 5.0, 0.0, 5.0, 0.0))
    assert world.engage(order(twice, seq=2)).reason == "starts"
    # 20:00 UTC is noon in Los Angeles: the second start falls on the next local day at 08:00 UTC.
    night = schedule(PUMP, t=(0.0, 900.0, 1800.0, 43_200.0), value=(0.0, 5.0, 0.0, 5.0))
    late = order(night, seq=3, expires=T0 + timedelta(hours=20))
    assert isinstance(world.engage(late), Step)


def test_the_dwell_waits_for_a_change_that_the_local_law_has_just_made():
    world = World()
    world.cycle()
    world.applied[PUMP] = 9.0
    world.cycle()
    assert isinstance(world.engage(order(schedule(PUMP, value=(0.0,)))), Step)
    for _ in range(14):
        world.cycle()
    assert set(world.values(PUMP)) == {9.0}
    world.cycle()
    assert world.values(PUMP)[-1] == 0.0


def test_an_unanswered_write_starts_again_from_read_back_and_accuses_nobody():
    world = engaged()
    world.cycle()
    world.cycle()
    world.state = core.lost_contact(world.state)
    world.applied[BATTERY] = 1.0  # the write of 7 never arrived
    world.cycle()
    assert phase(world.state) == "full"
    assert not world.state.holds
    assert world.values(BATTERY)[-1] == 1.0


def test_the_first_value_is_the_live_one_or_none():
    pump, zone = CONFIG.by_point[PUMP], CONFIG.by_point[ZONE]
    assert [first_value(pump, v) for v in (0.0, 1.5, 3.0, 9.0, 12.005)] == [0, 0, 4, 9, 12]
    assert first_value(zone, 15.0) is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("gate: [", "YAML"),
        ("gate: {}\nplant: {}\ndoor: {}\n", "gate.site_id"),
        ("gate:\n  site_id: a\n  site_id: b\n", ":3: gate.site_id"),
    ],
)
def test_a_wrong_configuration_names_file_and_field(tmp_path, text, where):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_gate_file(path)
    assert where in str(caught.value)
    assert "gate.yaml" in str(caught.value)


def test_the_core_never_changes_the_state_that_it_was_given():
    world = engaged()
    before = world.state.model_copy(deep=True)
    given = world.state
    world.cycle()
    assert given == before
    assert evolve(given, epoch=3).epoch == 3
