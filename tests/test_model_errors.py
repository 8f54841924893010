"""The twin's own errors: whole days of one record, aligned to the hour, bent to the present."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from graph.errors import InputError
from graph.sitepack import load_site
from sandbox import model_errors as me
from sandbox.energy_hub import HubTwin
from sandbox.fit_data import prepare
from sandbox.hub_errors import model_errors, recent_errors, replay_errors
from sandbox.parameters import load_parameters
from sandbox.scenario import with_output_errors

PACK = load_site(Path("scenarios/microgrid"))
TWIN = HubTwin(PACK.site, load_parameters(PACK.folder / PACK.site.twin.parameters))
ZONE = ZoneInfo("America/Los_Angeles")
NAME, OTHER = "room.unexplained_kw", "unit.power_error_kw"


def record(days: int = 40, memory: float = 0.0, seed: int = 1) -> me.ModelErrors:
    """Hourly errors that remember the hour before; the second signal is ten times the first."""
    g = np.random.default_rng(seed)
    series = np.zeros(24 * days)
    for k in range(1, len(series)):
        series[k] = memory * series[k - 1] + g.normal()
    first = date(2026, 1, 1)
    table = series.reshape(days, 24)
    return me.ModelErrors(
        tuple(first + timedelta(days=k) for k in range(days)), {NAME: table, OTHER: 10 * table}
    )


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 20, hour, minute, tzinfo=ZONE)


def test_a_path_is_one_whole_stretch_of_the_record_for_all_signals_from_the_snapshots_hour() -> (
    None
):
    errors = record()
    drawn = me.draw(errors, np.random.default_rng(0).random(50), at(9), 900, 96)
    assert np.allclose(drawn[OTHER], 10 * drawn[NAME])
    series = errors.series[NAME]
    for path in drawn[NAME]:
        hourly = path.reshape(24, 4)
        assert (hourly == hourly[:, :1]).all()  # an hour's error acts the whole hour
        starts = [
            k
            for k in range(9, len(series) - 24, 24)
            if np.allclose(series[k : k + 24], hourly[:, 0])
        ]
        assert len(starts) == 1


def test_steps_that_begin_inside_an_hour_keep_to_the_clock() -> None:
    errors = record()
    path = me.draw(errors, np.array([0.3]), at(9, 45), 900, 8)[NAME][0]
    assert path[0] != path[1]
    assert (path[1:5] == path[1]).all()
    assert path[5] != path[4]


def test_a_record_with_memory_is_bent_to_the_present_and_one_without_is_not() -> None:
    for memory, pulled in ((0.9, True), (0.0, False)):
        errors = record(days=60, memory=memory)
        uniform = np.random.default_rng(2).random(400)
        high = {s: np.full(24, 6.0 * f) for s, f in ((NAME, 1.0), (OTHER, 10.0))}
        free = me.draw(errors, uniform, at(9), 3600, 24)[NAME]
        bent = me.draw(errors, uniform, at(9), 3600, 24, high)[NAME]
        shift = bent.mean(axis=0) - free.mean(axis=0)
        assert bool(shift[0] > 2.0) is pulled
        assert shift[-1] < 0.5 * max(shift[0], 0.5)  # it fades
        if pulled:
            assert bent[:, 0].std() < 0.8 * free[:, 0].std()  # short leads are sharp
        mean = me.expected(errors, at(9), 3600, 24, high)[NAME]
        assert np.abs(mean - bent.mean(axis=0))[:6].max() < 1.0


def test_paths_keep_to_the_season_and_skip_days_that_are_not_wholly_known() -> None:
    winter, summer = record(days=20, seed=1), record(days=20, seed=2)
    summer = me.ModelErrors(
        tuple(d + timedelta(days=181) for d in summer.days),
        {s: v + 100.0 for s, v in summer.paths.items()},
    )
    both = me.join([winter, summer])
    drawn = me.draw(both, np.random.default_rng(0).random(200), at(6), 3600, 24)[NAME]
    assert np.abs(drawn - both.mean_day[NAME][(6 + np.arange(24)) % 24]).max() < 60
    holed = record(days=12)
    holed.paths[NAME][5, 3] = np.nan
    origins = me.candidates(holed, datetime(2026, 1, 8, 6, tzinfo=ZONE), 24)
    assert {4 * 24 + 6, 11 * 24 + 6}.isdisjoint(origins.tolist())
    assert 6 * 24 + 6 in origins
    with pytest.raises(InputError, match="no day of the twin's model errors covers"):
        me.candidates(holed, at(6), 24 * 30)


def test_days_are_local_and_those_of_a_clock_change_are_left_out() -> None:
    begin = datetime(2026, 3, 6, 20, tzinfo=ZONE)
    hours = np.arange(24.0 * 5)
    days = me.by_day({NAME: hours}, begin)
    assert days.days == (date(2026, 3, 7), date(2026, 3, 9), date(2026, 3, 10))
    assert days.paths[NAME][0, 0] == 4.0
    assert days.paths[NAME][1, 0] == 4.0 + 24 + 23  # the eighth has 23 hours


def test_the_report_holds_what_was_found_and_a_wrong_one_is_refused() -> None:
    errors = record(days=7)
    errors.paths[NAME][2, 5] = np.nan
    again = me.from_report({"model_errors": me.to_report(errors)})
    assert again is not None
    assert again.days == errors.days
    assert np.allclose(again.paths[NAME], errors.paths[NAME], atol=1e-4, equal_nan=True)
    assert me.from_report({}) is None
    broken = me.to_report(errors)
    broken["paths"][NAME] = broken["paths"][NAME][:3]
    with pytest.raises(InputError, match="shape"):
        me.from_report({"model_errors": broken})


def test_the_heat_that_is_found_makes_the_twin_do_what_the_plant_did() -> None:
    """Heat put into a simulated world comes out of the replay, where no thermostat hides it."""
    frame = PACK.telemetry()
    data = prepare(TWIN.layout, frame)
    start = np.array([10 * 96])
    tables = replay_errors(TWIN, data, start, 12)
    tank = "tank.unexplained_kw"
    quarter = slice(int(start[0]) + 1, int(start[0]) + 1 + 96)
    assert np.isfinite(tables[tank]).sum() == 12
    # The same hours, with a tank that gains a quarter of a kilowatt on what was measured.
    warmer = {**data.measured}
    warmer["tank.temp_degc"] = data.measured["tank.temp_degc"].copy()
    gain = 0.25 * 0.25 / TWIN.tank_capacity_kwh_k
    warmer["tank.temp_degc"][quarter] += gain * np.arange(1, 97)
    moved = type(data)(data.layout, data.step_s, data.inputs, warmer, data.usable)
    again = replay_errors(TWIN, moved, start, 12)
    more = {s: float(np.mean(again[s] - tables[s])) for s in tables if s.endswith(me.HEAT)}
    # Heat in a room spares the tank, so the least heat that explains it is shared out among them.
    assert 0.2 < sum(more.values()) < 0.5
    assert min(more.values()) > 0.05
    assert np.isfinite(tables["tank.temp_error_k"]).all()


def test_the_present_errors_are_those_that_the_fit_would_find() -> None:
    from agents.snapshot_builder import recent_history

    frame = PACK.telemetry()
    past = frame.rows(0, 3000)
    recent = recent_errors(TWIN, recent_history(past))
    data = prepare(TWIN.layout, frame)
    begin = (frame.start - timedelta(seconds=900)).astimezone(PACK.site.zone_info)
    later = model_errors(TWIN, data, begin, 2500, 3300)
    last = past.end.astimezone(PACK.site.zone_info)
    hour = (last.date() - later.days[0]).days * 24 + last.hour
    for name in ("tank.unexplained_kw", "zone_north.unexplained_kw"):
        known = later.series[name][hour - 6 : hour]
        assert np.corrcoef(recent[name][-6:], known)[0, 1] > 0.9, name
    holed = recent_history(past).model_copy(
        update={"signals": dict.fromkeys(recent_history(past).signals, (None,) * 96)}
    )
    assert recent_errors(TWIN, holed) == {}


def test_errors_of_a_temperature_are_added_after_the_simulation() -> None:
    traces = {"room.temp_degc": np.zeros((2, 3)), "room.heat_kw": np.ones((2, 3))}
    error = np.arange(6.0).reshape(2, 3)
    changed = with_output_errors(traces, {"room.temp_error_k": error})
    assert (changed["room.temp_degc"] == error).all()
    assert changed["room.heat_kw"] is traces["room.heat_kw"]
    assert (traces["room.temp_degc"] == 0).all()


def test_the_hub_takes_unexplained_heat_and_its_thermostat_answers() -> None:
    start = datetime(2026, 1, 20, 8, tzinfo=UTC)
    x0 = np.array([[21, 21, 21, 21, 44, 50.0]])
    w = {"outdoor.temp_degc": np.full(24, 5.0), "outdoor.ghi_w_m2": np.zeros(24),
         "pv.power_kw": np.zeros(24), "building.power_kw": np.full(24, 8.0)}  # fmt: skip
    more = {"zone_north.unexplained_kw": np.full(24, 3.0), "tank.unexplained_kw": np.full(24, 2.0)}
    cold = {f"zone_{z}.setpoint_degc": np.full(24, 16.0) for z in ("north", "south")}
    cold["hp.power_set_kw"] = np.zeros(24)
    free = [TWIN.simulate(x0, w | m, cold, start).traces for m in ({}, more)]
    assert (free[1]["zone_north.temp_degc"] - free[0]["zone_north.temp_degc"])[0, -1] > 1.0
    assert (free[1]["tank.temp_degc"] - free[0]["tank.temp_degc"])[0, -1] == pytest.approx(
        12.0 / TWIN.tank_capacity_kwh_k, rel=0.1
    )
    held = [TWIN.simulate(x0, w | m, {}, start).traces for m in ({}, more)]
    warmer = held[1]["zone_north.temp_degc"] - held[0]["zone_north.temp_degc"]
    assert abs(warmer[0, -1]) < 0.2
    assert (held[1]["zone_north.heat_kw"] - held[0]["zone_north.heat_kw"])[0, -4:].mean() < -2.0
