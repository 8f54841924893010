"""The shell around a step simulator: owners, leases, fencing, holds, the watchdog, the log."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.clock import ManualClock
from graph.errors import InputError, RefusedError, UnavailableError
from graph.plant import LeasedSetpoint
from graph.signals import Owner, Quality, Role
from graph.sitepack import load_site
from scenarios.simulated_plant import SimulatedPlant

SITE = load_site(Path(__file__).resolve().parent.parent / "scenarios" / "office_small").site
START = datetime(2026, 1, 12, 8, tzinfo=UTC)
POINT, OTHER = "zone_core.heating_setpoint_degc", "zone_core.cooling_setpoint_degc"
MEASURED = tuple(s.id for s in SITE.signals if s.role is not Role.SETPOINT)
OWN = {s.id: s.minimum + 1.0 for s in SITE.setpoints}


class Plain:
    """The simplest plant: every signal counts the steps, and one shows the commanded setpoint.

    From step `law_moves` on, its own law wants one degree more.
    """

    step_s = 900.0

    def __init__(self, law_moves: int = 10**9) -> None:
        self.time = START - timedelta(seconds=900)
        self.steps = 0
        self.seen: list[dict[str, float]] = []
        self.law_moves = law_moves
        self.closed = False
        self.dead = False

    @property
    def local_values(self):
        return {k: v + (self.steps >= self.law_moves) for k, v in OWN.items()}

    def step(self, commands):
        if self.dead:
            raise UnavailableError("the simulator gave up")
        self.seen.append(dict(commands))
        values = {**self.local_values, **commands}
        self.steps += 1
        self.time += timedelta(seconds=900)
        values |= dict.fromkeys(MEASURED, float(self.steps))
        values["zone_core.temp_degc"] = values[POINT]
        return values

    def close(self):
        self.closed = True

    def copy(self):
        twin = Plain(self.law_moves)
        twin.time, twin.steps, twin.seen = self.time, self.steps, list(self.seen)
        return twin


def fresh(**changes):
    return SimulatedPlant(SITE, Plain(), **{"watchdog_s": math.inf, "seed": 4, **changes})


def lease(value, ttl_s=3600.0, point=POINT):
    return LeasedSetpoint(point=point, value=value, ttl_s=ttl_s)


def seen_of(plant, point=POINT):
    return [c.get(point) for c in plant.simulator.seen]


def test_it_starts_with_an_image_and_one_warm_up_row():
    plant = fresh()
    assert plant.time == START
    image = plant.image()
    assert all(r.quality is Quality.GOOD for r in image.values.values())
    assert image.points[POINT].applied == OWN[POINT]
    assert len(plant.log) == 1
    assert plant.log.frame(900, warm_up=True).end == START
    with pytest.raises(InputError, match="no whole step"):
        plant.log.frame(900)


def test_a_command_is_in_force_from_the_next_own_step_to_its_end():
    plant = fresh()
    epoch = plant.claim("gate")
    plant.advance(300)
    plant.write(epoch, 1, [lease(18.0)])  # five minutes into a step: it is not in force yet
    plant.advance(600)
    assert seen_of(plant) == [None, None]
    assert plant.image().points[POINT].applied == 18.0  # accepted, waiting
    plant.advance(900)
    assert seen_of(plant) == [None, None, 18.0]
    assert plant.log.frame(900).column(POINT).tolist() == [OWN[POINT], 18.0]


def test_between_two_steps_the_image_keeps_the_last_sample_and_its_time():
    plant = fresh()
    plant.advance(899.5)
    image = plant.image()
    assert (image.time, image.values["grid.power_kw"].time) == (
        START + timedelta(seconds=899.5), START,
    )  # fmt: skip
    plant.advance(0.5)
    assert plant.image().values["grid.power_kw"].time == plant.time == START + timedelta(minutes=15)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=12))
def test_time_cut_into_any_pieces_gives_the_same_rows(pieces):
    cut, whole = fresh(), fresh()
    for plant in (cut, whole):
        plant.write(plant.claim("gate"), 1, [lease(19.0, ttl_s=1e6)])
    for piece in pieces:
        cut.advance(piece)
    whole.advance(sum(pieces))
    assert cut.time == whole.time
    assert cut.log.rows == whole.log.rows
    assert cut.simulator.seen == whole.simulator.seen
    assert len(cut.log) == 1 + sum(pieces) // 900


@settings(max_examples=30, deadline=None)
@given(ttl=st.integers(1, 5000), release=st.booleans())
def test_a_lease_ends_by_itself_and_the_own_law_takes_over_where_it_is(ttl, release):
    plant = SimulatedPlant(SITE, Plain(law_moves=4), watchdog_s=math.inf)
    epoch = plant.claim("gate")
    plant.write(epoch, 1, [lease(20.0, ttl)])
    if release:
        plant.advance(60)
        plant.release(epoch, 2, [POINT])
    plant.advance(9000)
    held = 1 if release else math.ceil(ttl / 900)
    assert seen_of(plant)[1:] == [20.0] * held + [None] * (10 - held)
    state = plant.image().points[POINT]
    assert (state.owner, state.applied) == (Owner.LOCAL, OWN[POINT] + 1)


def test_an_old_epoch_a_replayed_sequence_and_a_wrong_value_are_refused_by_name():
    plant = fresh()
    old = plant.claim("one")
    epoch = plant.claim("two")
    assert epoch > old
    cases = [
        (old, 1, lease(18.0), "stale_epoch"),
        (epoch, 5, lease(18.0), ""),
        (epoch, 5, lease(18.0), "replayed_seq"),
        (epoch, 6, lease(99.0), "out_of_range"),
        (epoch, 7, lease(18.0, point="zone_attic.heating_setpoint_degc"), "unknown_point"),
    ]
    for number, seq, item, reason in cases:
        result = plant.write(number, seq, [item])[0]
        assert (result.reason, result.accepted) == (reason, not reason)
    plant.set_remote_allowed(False)
    assert plant.write(epoch, 8, [lease(18.0)])[0].reason == "local_only"
    assert plant.image().points[POINT].owner is Owner.LOCAL
    with pytest.raises(RefusedError, match="stale_epoch"):
        plant.heartbeat(old)


def test_a_person_at_the_plant_comes_before_the_gate_until_they_let_go():
    plant = fresh()
    epoch = plant.claim("gate")
    plant.operator_write(POINT, 16.5, "Kim", until=START + timedelta(minutes=31))
    plant.operator_write(OTHER, 25.0, "Kim")
    assert plant.write(epoch, 1, [lease(18.0)])[0].reason == "operator_hold"
    assert plant.release(epoch, 2, [POINT])[0].reason == "operator_hold"
    plant.advance(2700)
    assert seen_of(plant)[1:] == [16.5, 16.5, 16.5]  # held when the third step began
    assert plant.image().points[POINT].owner is Owner.LOCAL
    state = plant.image().points[OTHER]
    assert (state.owner, state.by, state.applied) == (Owner.OPERATOR, "Kim", 25.0)
    plant.operator_hand_back(OTHER)
    with pytest.raises(InputError, match="no operator"):
        plant.operator_hand_back(OTHER)


def test_a_silent_gate_loses_everything_and_must_claim_again():
    clock = ManualClock(START)
    plant = fresh(clock=clock, watchdog_s=10.0)
    epoch = plant.claim("gate")
    plant.write(epoch, 1, [lease(18.0, 1e6)])
    clock.advance(9.0)
    plant.heartbeat(epoch)
    clock.advance(9.0)
    plant.advance(900)
    assert plant.image().watchdog_healthy
    clock.advance(2.0)
    plant.advance(900)
    assert not plant.image().watchdog_healthy
    assert seen_of(plant)[1:] == [18.0, None]
    assert plant.write(epoch, 2, [lease(18.0)])[0].reason == "stale_epoch"
    with pytest.raises(RefusedError, match="claim the plant again"):
        plant.heartbeat(epoch)
    assert plant.write(plant.claim("gate"), 1, [lease(18.0)])[0].accepted


def test_what_the_plant_makes_of_a_command_is_what_it_reads_back():
    class Clips(Plain):
        def step(self, commands):
            values = super().step(commands)
            values[OTHER] = max(values[OTHER], values[POINT] + 1.0)
            return values

    plant = SimulatedPlant(SITE, Clips(), watchdog_s=math.inf)
    plant.write(plant.claim("gate"), 1, [lease(23.0), lease(20.0, point=OTHER)])
    plant.advance(900)
    points = plant.image().points
    assert (points[POINT].applied, points[OTHER].applied) == (23.0, 24.0)
    assert plant.log.frame(900).column(OTHER).tolist() == [24.0]


def test_each_broken_sensor_shows_its_own_way_and_is_mended():
    plant = fresh()
    plant.inject_fault("sensor_bias", point="grid.power_kw", size=2.5)
    plant.inject_fault("sensor_drift", point="outdoor.temp_degc", per_h=4.0)
    plant.inject_fault("sensor_stuck", point="building.power_kw")
    plant.inject_fault("sensor_lost", point="outdoor.ghi_w_m2")
    plant.inject_fault("sensor_spike", point="unit_core.power_kw", size=100.0, probability=0.5)
    plant.advance(40 * 900)
    frame = plant.log.frame(900)
    steps = np.arange(2.0, 42.0)
    assert np.allclose(frame.column("grid.power_kw"), steps + 2.5)
    assert np.allclose(frame.column("outdoor.temp_degc"), steps + np.arange(1, 41))
    assert (frame.column("building.power_kw") == 1.0).all()
    assert np.isnan(frame.column("outdoor.ghi_w_m2")).all()
    assert plant.image().values["outdoor.ghi_w_m2"].quality is Quality.BAD
    spikes = frame.column("unit_core.power_kw") - steps
    assert set(spikes) == {0.0, 100.0}
    assert 10 <= (spikes > 0).sum() <= 30
    assert np.allclose(frame.column("unit_south.power_kw"), steps)
    plant.clear_faults()
    plant.advance(900)
    assert plant.image().values["grid.power_kw"].value == 42.0


def test_an_ignored_command_is_accepted_and_has_no_effect():
    plant = fresh()
    plant.inject_fault("command_ignored", point=POINT)
    assert plant.write(plant.claim("gate"), 1, [lease(18.0, 1e6)])[0].accepted
    plant.advance(1800)
    assert seen_of(plant) == [None, None, None]
    state = plant.image().points[POINT]
    assert (state.owner, state.applied) == (Owner.REMOTE, OWN[POINT])


@pytest.mark.parametrize(
    ("name", "parameters", "named"),
    [
        ("window", {}, "window"),
        ("sensor_bias", {"point": "grid.power_kw"}, "size"),
        ("sensor_bias", {"point": POINT, "size": 1.0}, "no measurement"),
        ("sensor_spike", {"point": "grid.power_kw", "size": 1.0, "probability": 2}, "0 to 1"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_by_name(name, parameters, named):
    with pytest.raises(InputError, match=named):
        fresh().inject_fault(name, **parameters)


def test_a_branch_lives_its_own_life():
    plant = fresh()
    epoch = plant.claim("gate")
    plant.advance(900)
    branch = plant.copy()
    branch.write(epoch, 1, [lease(22.0)])
    branch.advance(900)
    plant.advance(900)
    assert seen_of(branch) == [None, None, 22.0]
    assert seen_of(plant) == [None, None, None]
    assert plant.image().points[POINT].owner is Owner.LOCAL
    assert branch.log.rows[:2] == plant.log.rows[:2]


def test_a_simulator_that_gives_up_leaves_the_plant_readable_at_its_last_sample():
    plant = fresh()
    plant.advance(900)
    plant.simulator.dead = True
    before = plant.image()
    with pytest.raises(UnavailableError, match="gave up"):
        plant.advance(900)
    assert plant.image() == before
    with plant:
        pass
    assert plant.simulator.closed


def test_what_cannot_be_simulated_is_refused_before_time_moves():
    for dt in (0.0, -900.0, math.nan, math.inf):
        with pytest.raises(InputError, match="advance"):
            fresh().advance(dt)
    with pytest.raises(InputError, match="whole number of steps"):
        fresh(start=START + timedelta(seconds=60))
    with pytest.raises(InputError, match="tell"):
        fresh().truth("outdoor.temp_degc", START, 4, 900)

    class Silent(Plain):
        def step(self, commands):
            values = super().step(commands)
            del values["grid.power_kw"]
            return values

    with pytest.raises(InputError, match=r"grid\.power_kw"):
        SimulatedPlant(SITE, Silent(), watchdog_s=math.inf)
    fine = Plain()
    fine.step_s = 0.5
    with pytest.raises(InputError, match="whole seconds"):
        SimulatedPlant(SITE, fine, watchdog_s=math.inf)
