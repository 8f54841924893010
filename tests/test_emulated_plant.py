"""The emulated plant keeps its books, its owners and its word."""

import csv
import math
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.clock import ManualClock
from graph.errors import InputError, RefusedError
from graph.plant import LeasedSetpoint
from graph.signals import Owner, Quality
from graph.sitepack import SitePack, load_site
from scenarios.emulated_microgrid import EmulatedPlant
from scenarios.emulated_microgrid.battery import BatteryState, step_battery
from scenarios.emulated_microgrid.tank import TankState, step_tank

PACK = Path(__file__).parents[1] / "scenarios" / "microgrid"
DAY = datetime.fromisoformat("2026-01-20T00:00:00-08:00")
HP, BATTERY, NORTH = "hp.power_set_kw", "battery.power_set_kw", "zone_north.setpoint_degc"


@cache
def pack() -> SitePack:
    return load_site(PACK)


@cache
def midnight() -> EmulatedPlant:
    return EmulatedPlant(pack().site, PACK / "data", DAY, 7, watchdog_s=math.inf)


@cache
def baseline_day() -> EmulatedPlant:
    plant = midnight().copy()
    for _ in range(24 * 60):
        plant.advance(60)
    return plant


def lease(point: str, value: float, ttl_s: float = 1800.0) -> LeasedSetpoint:
    return LeasedSetpoint(point=point, value=value, ttl_s=ttl_s)


def reasons(results: list) -> list[str]:
    return [r.reason for r in results]


@settings(max_examples=60, deadline=None)
@given(
    soc=st.floats(12.0, 90.0),
    powers=st.lists(st.floats(-30.0, 30.0), min_size=1, max_size=60),
)
def test_what_the_battery_takes_is_stored_or_lost(soc: float, powers: list[float]) -> None:
    battery = BatteryState(soc, 80.0)
    before = battery.stored_kwh
    for power in powers:
        step_battery(battery, 10.0, power, 30.0)
    stored = battery.stored_kwh - before
    # The voltage is held over a step of 10 s: the books close to a watt hour or so.
    assert battery.ac_kwh == pytest.approx(stored + battery.lost_kwh, abs=2e-3)
    assert battery.lost_kwh >= 0.0


def test_the_battery_returns_about_its_round_trip_efficiency_and_less_than_its_nameplate() -> None:
    battery = BatteryState(15.0, 80.0)
    while battery.soc_pct < 90.0:
        step_battery(battery, 10.0, 15.0, 30.0)
    taken = battery.ac_kwh
    while battery.soc_pct > 15.0:
        step_battery(battery, 10.0, -15.0, 30.0)
    given_back = taken - battery.ac_kwh
    assert 0.86 < given_back / taken < 0.94
    assert given_back < 0.75 * 80.0  # aged, and behind losses


@settings(max_examples=60, deadline=None)
@given(
    layers=st.lists(st.floats(25.0, 55.0), min_size=6, max_size=6),
    flows=st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 2.0)),
    powers=st.tuples(st.floats(-5.0, 40.0), st.floats(0.0, 30.0)),
)
def test_what_the_tank_takes_is_stored_drawn_or_lost(
    layers: list[float], flows: tuple[float, float], powers: tuple[float, float]
) -> None:
    tank = TankState(sorted(layers, reverse=True), 2000.0)
    before = tank.stored_kwh
    for _ in range(60):
        step_tank(tank, 10.0, powers[0], flows[0], powers[1], flows[1])
    stored = tank.stored_kwh - before
    assert tank.charged_kwh == pytest.approx(stored + tank.drawn_kwh + tank.lost_kwh, abs=1e-9)
    assert all(a >= b - 1e-6 for a, b in zip(tank.layers, tank.layers[1:], strict=False))


def test_the_books_of_a_whole_day_close() -> None:
    before, after = midnight().energy(), baseline_day().energy()
    change = {name: after[name] - before[name] for name in after}
    assert change["tank_charged"] > 150.0
    assert change["tank_charged"] == pytest.approx(
        change["tank_stored"] + change["tank_drawn"] + change["tank_lost"], abs=1e-6
    )
    assert change["battery_ac"] == pytest.approx(
        change["battery_stored"] + change["battery_lost"], abs=0.05
    )


def test_the_baseline_day_is_a_plausible_winter_day() -> None:
    plant = baseline_day()
    frame = plant.log.frame(60)
    on = frame.column("hp.power_kw") > 2.0
    assert 4 <= int((on[1:] & ~on[:-1]).sum()) <= 12
    for zone in ("zone_north", "zone_south"):
        temps = frame.column(f"{zone}.temp_degc")
        assert temps.min() > 20.4
        assert temps.max() < 24.0
    assert frame.column("tank.temp_degc").min() > 35.0
    assert frame.column("tank.temp_degc").max() < 52.0
    assert frame.column("grid.power_kw").min() > -40.0
    assert frame.column("grid.power_kw").max() < 45.0
    assert frame.column("battery.soc_pct").min() > 9.5
    heat, power = frame.column("hp.heat_kw").sum(), frame.column("hp.power_kw").sum()
    assert 2.6 < heat / power < 3.8


def test_the_meters_agree_up_to_auxiliaries_and_noise() -> None:
    frame = baseline_day().log.frame(900)
    known = (
        frame.column("building.power_kw") + frame.column("hp.power_kw")
        + frame.column("battery.power_kw") - frame.column("pv.power_kw")
    )  # fmt: skip
    rest = frame.column("grid.power_kw") - known
    assert 0.05 < rest.mean() < 0.4
    assert rest.std() < 0.15


def test_the_heat_pump_keeps_its_least_run_and_standstill_times_against_commands() -> None:
    plant = midnight().copy()
    epoch = plant.claim("gate")
    for k in range(60):  # on, off, on, off ... each minute
        plant.write(epoch, k, [lease(HP, 9.0 if k % 2 else 0.0)])
        plant.advance(60)
    column = plant.log.signals.index("hp.power_kw")
    on = np.array([r.values[column] > 2.0 for r in plant.log.rows[-60:]])
    edges = np.flatnonzero(np.diff(on.astype(int)))
    assert all(gap >= 14 for gap in np.diff(edges))  # minutes; a mean hides up to one


def test_the_same_seed_gives_the_same_log_however_time_is_cut() -> None:
    a, b = midnight().copy(), midnight().copy()
    for _ in range(180):
        a.advance(60)
    for span in (10, 50, 7140, 3600):
        b.advance(span)
    assert a.log.rows == b.log.rows
    assert a.image() == b.image()


def test_another_seed_gives_another_day_and_a_new_plant_of_the_same_seed_the_same() -> None:
    start = DAY.astimezone(UTC)
    one, two, other = (
        EmulatedPlant(pack().site, PACK / "data", start, seed, warm_up_s=3600)
        for seed in (3, 3, 4)
    )  # fmt: skip
    assert one.log.rows == two.log.rows
    assert one.log.rows != other.log.rows


def test_a_branch_does_not_touch_its_trunk() -> None:
    trunk = midnight().copy()
    branch = trunk.copy()
    epoch = branch.claim("gate")
    branch.write(epoch, 1, [lease(NORTH, 23.0, 7200.0)])
    branch.inject_fault("heat_pump_stuck_off")
    branch.advance(3600)
    trunk.advance(3600)
    untouched = midnight().copy()
    untouched.advance(3600)
    assert trunk.log.rows == untouched.log.rows
    assert trunk.image() == untouched.image()
    outdoor = trunk.log.signals.index("outdoor.temp_degc")  # both live under the same weather
    assert [r.values[outdoor] for r in branch.log] == [r.values[outdoor] for r in trunk.log]


def test_the_truth_told_in_advance_is_what_the_meters_then_show() -> None:
    plant = baseline_day()
    frame = plant.log.frame(900)
    for signal, tolerance in (
        ("outdoor.temp_degc", 0.05), ("pv.power_kw", 0.1), ("building.power_kw", 0.1),
        ("outdoor.ghi_w_m2", 5.0),
    ):  # fmt: skip
        truth = midnight().truth(signal, DAY, 96, 900)
        assert np.abs(truth - frame.column(signal)).max() < tolerance


def test_the_truth_is_refused_for_what_depends_on_commands() -> None:
    with pytest.raises(InputError, match="not given from outside"):
        midnight().truth("tank.temp_degc", DAY, 4, 900)


def test_a_start_outside_the_data_names_what_there_is() -> None:
    with pytest.raises(InputError, match="2025-07-01 to 2026-07-01"):
        EmulatedPlant(pack().site, PACK / "data", datetime(2031, 1, 1, tzinfo=UTC), 1)


@pytest.mark.parametrize("span", [0.0, -60.0, 7.0, math.nan, math.inf])
def test_time_moves_by_whole_steps_forwards_only(span: float) -> None:
    with pytest.raises(InputError, match="cannot advance"):
        midnight().copy().advance(span)


def test_a_lease_ends_on_plant_time_and_the_point_returns_without_a_bump() -> None:
    plant = midnight().copy()
    epoch = plant.claim("gate")
    plant.write(epoch, 1, [lease(NORTH, 18.0, 600.0)])
    plant.advance(590)
    assert plant.image().points[NORTH].owner is Owner.REMOTE
    plant.advance(10)
    back = plant.image().points[NORTH]
    assert back.owner is Owner.LOCAL
    assert back.lease_until is None
    assert back.applied - 18.0 < 0.2  # from the value in force, at the point's ramp
    plant.advance(300)
    assert plant.image().points[NORTH].applied == 21.0


def test_a_renewed_lease_lives_on() -> None:
    plant = midnight().copy()
    epoch = plant.claim("gate")
    for k in range(5):
        plant.write(epoch, k, [lease(NORTH, 19.0, 600.0)])
        plant.advance(300)
    assert plant.image().points[NORTH].owner is Owner.REMOTE


def test_an_operators_hold_refuses_remote_writes_until_handed_back() -> None:
    plant = midnight().copy()
    epoch = plant.claim("gate")
    plant.write(epoch, 1, [lease(NORTH, 19.0)])
    plant.operator_write(NORTH, 20.5, "Ana")
    both = [lease(NORTH, 22.0), lease("zone_south.setpoint_degc", 22.0)]
    assert reasons(plant.write(epoch, 2, both)) == ["operator_hold", ""]
    assert reasons(plant.release(epoch, 3, [NORTH])) == ["operator_hold"]
    plant.advance(86_400 // 2)
    held = plant.image().points[NORTH]
    assert (held.applied, held.owner, held.by) == (20.5, Owner.OPERATOR, "Ana")
    plant.operator_hand_back(NORTH)
    assert reasons(plant.write(epoch, 4, [lease(NORTH, 22.0)])) == [""]


def test_an_operators_hold_with_an_end_ends() -> None:
    plant = midnight().copy()
    plant.operator_write(NORTH, 20.0, "Ana", plant.time + timedelta(minutes=30))
    plant.advance(1790)
    assert plant.image().points[NORTH].owner is Owner.OPERATOR
    plant.advance(10)
    assert plant.image().points[NORTH].owner is Owner.LOCAL


def test_an_old_epoch_and_an_old_sequence_number_are_fenced() -> None:
    plant = midnight().copy()
    assert reasons(plant.write(0, 1, [lease(NORTH, 20.0)])) == ["stale_epoch"]  # never claimed
    first = plant.claim("gate-a")
    assert reasons(plant.write(first, 5, [lease(NORTH, 20.0)])) == [""]
    assert reasons(plant.write(first, 5, [lease(NORTH, 19.0)])) == ["replayed_seq"]
    assert reasons(plant.release(first, 4, [NORTH])) == ["replayed_seq"]
    second = plant.claim("gate-b")
    assert second > first
    assert reasons(plant.write(first, 6, [lease(NORTH, 19.0)])) == ["stale_epoch"]
    with pytest.raises(RefusedError, match="stale_epoch"):
        plant.heartbeat(first)
    assert reasons(plant.write(second, 0, [lease(NORTH, 19.0)])) == [""]
    assert plant.image().points[NORTH].applied == 19.0


@pytest.mark.parametrize(
    ("point", "value", "reason"),
    [
        (NORTH, 30.0, "out_of_range"),
        (HP, 2.0, "out_of_range"),  # between 0 and the least power
        (BATTERY, -31.0, "out_of_range"),
        ("zone_west.setpoint_degc", 20.0, "unknown_point"),
        ("zone_north.temp_degc", 20.0, "unknown_point"),
    ],
)
def test_an_unfit_value_is_refused_by_name(point: str, value: float, reason: str) -> None:
    plant = midnight().copy()
    before = plant.image().points
    assert reasons(plant.write(plant.claim("gate"), 1, [lease(point, value)])) == [reason]
    assert plant.image().points == before


def test_the_local_switch_ends_leases_and_refuses_new_ones() -> None:
    plant = midnight().copy()
    epoch = plant.claim("gate")
    plant.write(epoch, 1, [lease(NORTH, 19.0)])
    plant.set_remote_allowed(False)
    assert plant.image().points[NORTH].owner is Owner.LOCAL
    assert reasons(plant.write(epoch, 2, [lease(NORTH, 19.0)])) == ["local_only"]


def test_the_watchdog_returns_every_point_when_the_gate_falls_silent() -> None:
    clock = ManualClock(DAY)
    plant = EmulatedPlant(pack().site, PACK / "data", DAY, 7, clock=clock, warm_up_s=60)
    epoch = plant.claim("gate")
    plant.write(epoch, 1, [lease(NORTH, 19.0), lease(HP, 6.0)])
    for _ in range(5):
        clock.advance(9.0)
        plant.heartbeat(epoch)
    assert plant.check_watchdog()
    clock.advance(10.1)
    assert not plant.check_watchdog()
    assert {p.owner for p in plant.image().points.values()} == {Owner.LOCAL}
    assert not plant.image().watchdog_healthy
    assert reasons(plant.write(epoch, 2, [lease(NORTH, 19.0)])) == ["stale_epoch"]
    again = plant.claim("gate")
    assert plant.image().watchdog_healthy
    assert reasons(plant.write(again, 1, [lease(NORTH, 19.0)])) == [""]


def test_the_heat_pump_goes_on_as_it_was_when_its_lease_ends() -> None:
    plant = midnight().copy()
    epoch = plant.claim("gate")
    plant.write(epoch, 1, [lease(HP, 6.0, 1800.0)])
    plant.advance(1790)
    assert 38.0 < plant.image().values["tank.temp_degc"].value < 48.0  # inside the hysteresis
    plant.advance(310)
    assert plant.image().points[HP].owner is Owner.LOCAL
    assert plant.image().values["hp.power_kw"].value > 4.0


def test_every_fault_of_the_pack_can_be_injected_and_shows() -> None:
    for fault in pack().faults:
        plant, sound = midnight().copy(), midnight().copy()
        plant.inject_fault(fault.name, **fault.parameters)
        for each in (plant, sound):
            epoch = each.claim("gate")
            each.write(epoch, 1, [lease(BATTERY, 20.0, 7200.0), lease(HP, 9.0, 7200.0)])
            each.advance(7200)
        assert plant.log.rows[-1].values != sound.log.rows[-1].values, fault.name


def test_a_lost_sensor_reads_bad_and_a_stuck_one_stays() -> None:
    plant = midnight().copy()
    plant.inject_fault("sensor_lost", point="tank.temp_degc")
    plant.inject_fault("sensor_stuck", point="outdoor.temp_degc")
    before = plant.image().values["outdoor.temp_degc"].value
    plant.advance(3600)
    lost = plant.image().values["tank.temp_degc"]
    assert (lost.value, lost.quality) == (None, Quality.BAD)
    assert plant.image().values["outdoor.temp_degc"].value == before
    plant.clear_faults()
    plant.advance(60)
    assert plant.image().values["tank.temp_degc"].quality is Quality.GOOD


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gremlins", {}),
        ("valve_stuck", {"zone": "zone_north"}),
        ("valve_stuck", {"zone": "zone_north", "opening": 1.5}),
        ("sensor_lost", {"point": "tank.temp"}),
        ("temperature_sensor_drift", {"point": "tank.temp_degc", "k_per_h": math.nan}),
    ],
)
def test_an_unknown_fault_or_parameter_is_refused(name: str, parameters: dict) -> None:
    with pytest.raises(InputError):
        midnight().copy().inject_fault(name, **parameters)


def test_the_written_log_holds_every_minute_of_the_run_with_owners(tmp_path: Path) -> None:
    plant = midnight().copy()
    epoch = plant.claim("gate")
    plant.write(epoch, 1, [lease(NORTH, 19.0, 1800.0)])
    plant.advance(3600)
    plant.write_log(tmp_path / "plant.csv")
    with (tmp_path / "plant.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 60
    assert rows[0]["time"] == "2026-01-20T08:01:00Z"
    assert [r[f"{NORTH}#owner"] for r in rows].count("remote") == 29
    last = plant.image()
    assert float(rows[-1]["tank.temp_degc"]) == last.values["tank.temp_degc"].value


def test_the_recorded_telemetry_is_this_plants() -> None:
    from scenarios.emulated_microgrid.record import START, record

    again = record(PACK, START, START + timedelta(hours=12))
    stored = pack().telemetry()
    assert stored.start == again.start
    for signal in stored.names:
        ours = stored.column(signal)[: len(again)]
        assert np.abs(ours - again.column(signal)).max() < 0.051, signal  # files are rounded
