"""EnergyPlus as a plant: its law, its clock, its books, its faults, and what happens if it dies."""

import os
import signal
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyenergyplus")

from graph.errors import InputError, UnavailableError
from graph.plant import LeasedSetpoint
from graph.schedules import scheduled
from graph.sitepack import load_site
from scenarios.build_office_data import SUMMER, record, rounded
from scenarios.energyplus.build import building
from scenarios.energyplus.epw import read_place
from scenarios.energyplus.faults import EnergyPlusFault
from scenarios.energyplus.idf import Idf
from scenarios.energyplus.points import point_plan
from scenarios.energyplus.prepare import Preparation, prepare
from scenarios.energyplus.process import EngineProcess
from scenarios.energyplus.simulator import EnergyPlusPlant
from scenarios.energyplus.sizing import nameplate, read_sizes
from scenarios.plants import build_plant

SMALL = Path(__file__).resolve().parent.parent / "scenarios" / "office_small"
PACK = load_site(SMALL)
ZONES = [z.id for z in PACK.site.of_kind("zone")]
DAY = 96
WINTER_DAY = datetime.fromisoformat("2026-01-06T00:00:00-08:00")
SUMMER_DAY = datetime.fromisoformat("2026-07-06T00:00:00-08:00")


def plant(begin, faults=(), **limits):
    return EnergyPlusPlant(building(SMALL, PACK.site, faults), begin, **limits)


def columns(simulator, days, commands=None):
    """The stepped signals as arrays and the END labels; the engine has ended."""
    rows, times = [], []
    for k in range(days * DAY):
        rows.append(simulator.step(commands(k) if commands else {}))
        times.append(simulator.time)
    simulator.end()
    return {name: np.array([r[name] for r in rows]) for name in rows[0]}, times


@pytest.fixture(scope="module")
def weekend():
    """Friday to Monday, with the clock change of 8 March 2026 on the Sunday."""
    begin = datetime.fromisoformat("2026-03-06T00:00:00-08:00")
    simulator = plant(begin)
    truth = {
        name: simulator.truth(name, begin, 4 * DAY, 900)
        for name in ("outdoor.temp_degc", "outdoor.ghi_w_m2")
    }
    hourly = simulator.truth("outdoor.temp_degc", begin, 4 * 24, 3600)
    stepped, times = columns(simulator, 4)
    simulator.close()
    return stepped, times, truth, hourly


@pytest.fixture(scope="module")
def july():
    """A July day under the building's own law, and the sizes of the equipment."""
    simulator = plant(SUMMER_DAY)
    stepped, _ = columns(simulator, 1)
    sizes = read_sizes(simulator.folder / "eplusout.eio")
    simulator.close()
    return stepped, sizes


@pytest.fixture(scope="module")
def summer(july):
    return july[0]


def test_the_building_follows_the_sites_baseline_law_through_a_clock_change(weekend):
    stepped, times, _, _ = weekend
    begins = [t - timedelta(seconds=900) for t in times]
    law, wall = PACK.site.baseline, PACK.site.zone_info
    for side, rules in (("heating", law.zone_heating_degc), ("cooling", law.zone_cooling_degc)):
        expected = scheduled(rules, begins, wall)
        for zone in ZONES:
            assert np.array_equal(stepped[f"{zone}.{side}_setpoint_degc"], expected), (zone, side)


def test_the_units_ventilate_in_the_hours_that_the_law_says(weekend):
    stepped, times, _, _ = weekend
    hours = PACK.site.baseline.ventilation
    wall = [(t - timedelta(seconds=900)).astimezone(PACK.site.zone_info) for t in times]
    open_ = np.array([any(h.covers(t) for h in hours) for t in wall])
    for unit in PACK.site.of_kind("air_unit"):
        assert (stepped[f"{unit.id}.power_kw"][open_] > 0.9 * unit.fan_kw).all()
    # Mild nights: nothing runs.
    assert sum((stepped[f"{u.id}.power_kw"][~open_] < 0.2).mean() for u in
               PACK.site.of_kind("air_unit")) > 4.5  # fmt: skip


def test_the_weather_that_is_foretold_is_the_weather_that_comes(weekend):
    stepped, _, truth, hourly = weekend
    for name, foretold in truth.items():
        assert np.array_equal(stepped[name], foretold)
    means = stepped["outdoor.temp_degc"].reshape(-1, 4).mean(axis=1)
    assert np.allclose(hourly, means, atol=1e-9)
    assert 500 < stepped["outdoor.ghi_w_m2"].max() < 1000


def test_the_electric_parts_add_up_to_the_buildings_meter(tmp_path):
    what = building(SMALL, PACK.site)
    place = read_place(what.weather)
    first = SUMMER_DAY.date()
    idf = Idf.read(what.building)
    prepare(idf, place, Preparation(first, first + timedelta(days=1), 4, "weather"))
    plan = point_plan(PACK.site, what.simulator, idf)
    zones = [*what.simulator.zones.values()]
    others = [
        *(("Zone Lights Electricity Rate", z) for z in zones),
        *(("Zone Electric Equipment Electricity Rate", z) for z in zones),
        *((f"{k} Electricity Rate", o.name) for kind, k in (
            ("Exterior:Lights", "Exterior Lights"), ("Pump:ConstantSpeed", "Pump"),
            ("WaterHeater:Mixed", "Water Heater"),
            ("WaterHeater:Mixed", "Water Heater Off Cycle Parasitic"),
            ("WaterHeater:Mixed", "Water Heater On Cycle Parasitic")) for o in idf.of(kind)),
    ]  # fmt: skip
    idf.write(tmp_path / "building.idf")
    variables = [[v.name, v.key, v.mean] for v in plan.variables] + [[*o, True] for o in others]
    process = EngineProcess(
        {"building": str(tmp_path / "building.idf"), "weather": str(what.weather),
         "folder": str(tmp_path), "variables": variables, "zones": [], "faults": [],
         "unattended": True}
    )  # fmt: skip
    read = process.receive(120.0)["values"]
    process.close()
    assert len(read) == 2 * DAY
    for row in read:
        values = plan.values(row[: len(plan.variables)])
        rest_kw = sum(row[len(plan.variables) :]) / 1000.0
        assert values["building.power_kw"] == pytest.approx(rest_kw, abs=2e-3)
        units = sum(values[f"{u}.power_kw"] for u in what.simulator.units)
        assert values["grid.power_kw"] == pytest.approx(rest_kw + units, abs=2e-3)
        assert rest_kw > 1.0


def test_a_command_holds_for_its_steps_and_the_room_follows(summer):
    def commands(k):
        return {"zone_west.cooling_setpoint_degc": 22.5} if 40 <= k < 60 else {}

    simulator = plant(SUMMER_DAY)
    stepped, _ = columns(simulator, 1, commands)
    simulator.close()
    setpoint = stepped["zone_west.cooling_setpoint_degc"]
    assert (setpoint[40:60] == 22.5).all()
    assert setpoint[39] == setpoint[60] == 23.89
    for name, values in stepped.items():
        assert np.array_equal(values[:40], summer[name][:40]), name
    assert abs(stepped["zone_west.temp_degc"][44:60] - 22.5).max() < 0.1
    extra = stepped["unit_west.power_kw"][40:60] - summer["unit_west.power_kw"][40:60]
    assert extra.mean() > 0.2


def test_heating_is_kept_and_cooling_gives_way_whoever_asked():
    simulator = plant(WINTER_DAY)
    rng = np.random.default_rng(3)
    for _ in range(DAY):
        heating = float(rng.uniform(15, 24)) if rng.random() < 0.7 else None
        cooling = float(rng.uniform(20, 30)) if rng.random() < 0.7 else None
        asked = {"zone_core.heating_setpoint_degc": heating,
                 "zone_core.cooling_setpoint_degc": cooling}  # fmt: skip
        given = {k: v for k, v in asked.items() if v is not None}
        values = simulator.step(given)
        own = {**simulator.local_values, **given}
        kept = own["zone_core.heating_setpoint_degc"]
        assert values["zone_core.heating_setpoint_degc"] == pytest.approx(kept, abs=1e-9)
        expected = max(own["zone_core.cooling_setpoint_degc"], kept + 1.0)
        assert values["zone_core.cooling_setpoint_degc"] == pytest.approx(expected, abs=1e-9)
        assert values["zone_east.cooling_setpoint_degc"] in (23.89, 29.44)
    simulator.close()


NOON = 48


def test_faults_in_the_building_show_from_their_time_on_and_not_before(summer):
    since = SUMMER_DAY + timedelta(hours=12)
    faults = [
        EnergyPlusFault("thermostat_offset", "zone_south", 1.0, since),
        EnergyPlusFault("open_window", "zone_north", 0.3, since),
        EnergyPlusFault("degraded_heat_pump", "unit_west", 0.3, since),
        EnergyPlusFault("internal_load", "zone_east", 1.0, since),
    ]
    simulator = plant(SUMMER_DAY, faults)
    broken, _ = columns(simulator, 1)
    simulator.close()
    for name, values in broken.items():
        assert np.array_equal(values[:NOON], summer[name][:NOON]), name
    change = {name: (broken[name] - summer[name])[NOON : NOON + 20] for name in broken}
    # The thermostat reads 1 K too much: the room's signal shows nothing, its unit works harder.
    for name in ("temp", "heating_setpoint", "cooling_setpoint"):
        assert abs(change[f"zone_south.{name}_degc"][8:]).max() < 0.3
    assert change["unit_south.power_kw"].mean() > 0.1
    # Hot air comes in: more cooling, and the unit no longer holds the room.
    assert change["zone_north.heat_kw"].mean() < -1.0
    assert change["zone_north.temp_degc"][-1] > 0.5
    # The worn unit draws more for the same cooling, or gives less.
    assert change["unit_west.power_kw"].mean() > 0.1
    assert change["zone_west.heat_kw"].mean() > -0.2
    # The new equipment is on the meter and in the room.
    assert np.allclose(change["building.power_kw"], 1.0, atol=1e-6)
    assert change["zone_east.heat_kw"].mean() < -0.4
    assert (change["outdoor.temp_degc"] == 0.0).all()


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (EnergyPlusFault("thermostat_offset", "zone_attic", 1.0), "zone_attic"),
        (EnergyPlusFault("degraded_heat_pump", "unit_core", 1.0), "below 1"),
        (EnergyPlusFault("open_window", "zone_core", -1.0), "-1.0"),
    ],
)
def test_an_impossible_fault_is_refused_by_name(fault, named):
    with pytest.raises(InputError, match=named):
        plant(SUMMER_DAY, [fault])


def test_a_killed_engine_is_an_error_with_a_name_and_others_go_on():
    victim, other = plant(WINTER_DAY), plant(WINTER_DAY)
    victim.step({})
    os.kill(victim._process.pid, signal.SIGKILL)
    with pytest.raises(UnavailableError, match="stopped in mid run"):
        victim.step({})
    other.step({})
    os.kill(other._process.pid, signal.SIGSTOP)
    other._limits = (1.0, 0.5)
    with pytest.raises(UnavailableError, match=r"no answer within 0\.5 s"):
        other.step({})
    for simulator in (victim, other):
        folder = simulator.folder
        simulator.close()
        assert not folder.exists()
        with pytest.raises(UnavailableError):
            simulator.step({})


def test_a_building_that_the_engine_refuses_is_an_input_error_in_its_own_words(tmp_path):
    what = building(SMALL, PACK.site)
    text = what.building.read_text()
    text = text.replace("    HPACCoolCapFT,           !- Total", "    NoSuchCurve, !- Total")
    assert "NoSuchCurve" in text
    broken = tmp_path / "broken.idf"
    broken.write_text(text)
    with pytest.raises(InputError, match=r"(?i)severe.*nosuchcurve"):
        EnergyPlusPlant(replace(what, building=broken), WINTER_DAY)


def test_a_map_that_names_nothing_in_the_building_says_what_there_is():
    simulator = PACK.site.plant.simulator
    for change in (
        {"zones": {**simulator.zones, "zone_core": "Cellar"}},
        {"units": {**simulator.units, "unit_core": ("Boiler",)}},
        {"units": {k: v for k, v in simulator.units.items() if k != "unit_core"}},
    ):
        wrong = simulator.model_copy(update=change)
        what = replace(building(SMALL, PACK.site), simulator=wrong)
        with pytest.raises(InputError, match=r"Core_ZN|PSZ-AC:1|unit_core"):
            EnergyPlusPlant(what, WINTER_DAY)


def test_the_packs_nameplates_are_the_engines_own_sizes_for_fresno(july):
    _, sizes = july
    for unit in PACK.site.of_kind("air_unit"):
        plate = nameplate(sizes, PACK.site.plant.simulator.units[unit.id])
        assert unit.heating_kw == pytest.approx(plate.heat_pump_kw + plate.resistance_kw, abs=0.06)
        assert unit.cooling_kw == pytest.approx(plate.sensible_kw, abs=0.06)
        assert unit.fan_kw == pytest.approx(plate.fan_kw, abs=0.006)


def test_the_packs_telemetry_is_what_its_builder_records():
    again = rounded(record(PACK, (SUMMER[0], SUMMER[0] + timedelta(days=1)), 1, SUMMER[0]))
    kept = PACK.telemetry().window(SUMMER[0], SUMMER[0] + timedelta(days=1))
    assert len(again) == len(kept) == DAY
    excited = 0
    for name, values in again.columns.items():
        assert np.allclose(values, kept.column(name), atol=2e-3), name
        excited += name.endswith("setpoint_degc") and len(np.unique(values[-DAY:])) > 2
    assert excited >= 2


def test_the_built_plant_starts_when_asked_and_takes_leased_setpoints():
    start = datetime.fromisoformat("2026-07-13T00:00:00-07:00")
    with build_plant(PACK, start, 1) as built:
        assert built.time == start
        assert built.image().values["zone_core.temp_degc"].time == start
        assert len(built.log) >= 3 * DAY
        epoch = built.claim("test")
        lease = LeasedSetpoint(point="zone_core.heating_setpoint_degc", value=23.0, ttl_s=1800)
        assert built.write(epoch, 1, [lease])[0].accepted
        for _ in range(3):
            built.advance(300)
        image = built.image()
        assert image.points["zone_core.heating_setpoint_degc"].applied == 23.0
        assert image.values["zone_core.heat_kw"].time == built.time
        built.advance(1800)
        assert built.image().points["zone_core.heating_setpoint_degc"].applied == 15.56
        row = built.log.frame(900).column("zone_core.heating_setpoint_degc")
        assert row.tolist() == [23.0, 23.0, 15.56]


@pytest.mark.slow
def test_the_medium_office_follows_its_law_on_its_own_sizes():
    pack = load_site(SMALL.parent / "office_medium")
    what = building(pack.folder, pack.site)
    simulator = EnergyPlusPlant(what, datetime.fromisoformat("2026-07-10T00:00:00-08:00"))
    stepped, times = columns(simulator, 4)  # Friday to Monday
    sizes = read_sizes(simulator.folder / "eplusout.eio")
    simulator.close()
    begins = [t - timedelta(seconds=900) for t in times]
    law = pack.site.baseline
    for side, rules in (("heating", law.zone_heating_degc), ("cooling", law.zone_cooling_degc)):
        expected = scheduled(rules, begins, pack.site.zone_info)
        for zone in pack.site.of_kind("zone"):
            assert np.array_equal(stepped[f"{zone.id}.{side}_setpoint_degc"], expected), zone.id
    for unit in pack.site.of_kind("air_unit"):
        plate = nameplate(sizes, pack.site.plant.simulator.units[unit.id])
        assert unit.heating_kw == pytest.approx(plate.resistance_kw, abs=0.06)
        assert unit.cooling_kw == pytest.approx(plate.sensible_kw, abs=0.06)
        assert unit.fan_kw == pytest.approx(plate.fan_kw, abs=0.006)
    assert min(stepped["building.power_kw"]) > 5.0
