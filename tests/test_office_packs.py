"""The two office packs: their law, their sentences, their rules and their recordings."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from graph.schedules import scheduled
from graph.sitepack import load_site
from planner.intent.compiler import compile_intent
from safety.policy import declared_rules, with_core
from safety.rego_engine import RegoEngine
from scenarios.build_office_data import QUIET_START, SUMMER, WINTER, excitation
from scenarios.sensors import SENSOR_FAULTS, check_fault

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"
PACKS = {name: load_site(SCENARIOS / name) for name in ("office_small", "office_medium")}
STEPS = 16


@pytest.fixture(params=PACKS)
def pack(request):
    return PACKS[request.param]


@pytest.fixture(scope="module")
def engine():
    engine = RegoEngine()
    yield engine
    engine.close()


def law(site, side, frame):
    begins = [t - timedelta(seconds=frame.step_s) for t in frame.times]
    return scheduled(getattr(site.baseline, f"zone_{side}_degc"), begins, site.zone_info)


@pytest.mark.parametrize("season", [0, 1])
def test_the_recording_holds_the_plan_where_it_spoke_and_the_law_elsewhere(pack, season):
    frame = pack.telemetry().window(*(WINTER, SUMMER)[season])
    commands = list(excitation(pack.site, len(frame), season))
    spoken = 0
    for side in ("heating", "cooling"):
        own = law(pack.site, side, frame)
        for zone in pack.site.of_kind("zone"):
            name = f"{zone.id}.{side}_setpoint_degc"
            expected = [c.get(name, o) for c, o in zip(commands, own, strict=True)]
            assert np.array_equal(frame.column(name), expected), name
            spoken += sum(name in c for c in commands)
    assert 0.1 < spoken / (len(pack.site.setpoints) * len(frame)) < 0.3


def test_the_recording_is_two_blocks_and_a_quiet_week_with_nothing_in_between(pack):
    frame = pack.telemetry()
    assert frame.times[0] - timedelta(seconds=900) == QUIET_START
    assert frame.end == SUMMER[1]
    known = np.isfinite(frame.column("grid.power_kw"))
    winter, summer = (WINTER[1] - QUIET_START) / timedelta(seconds=900), 42 * 96
    assert known[: int(winter)].all()
    assert known[-summer:].all()
    assert known.sum() == winter + summer
    quiet = frame.window(QUIET_START, WINTER[0])
    for zone in pack.site.of_kind("zone"):
        column = quiet.column(f"{zone.id}.heating_setpoint_degc")
        assert np.array_equal(column, law(pack.site, "heating", quiet))


def test_the_recorded_meters_agree_and_stay_inside_the_sites_limits(pack):
    frame = pack.telemetry()
    units = sum(frame.column(f"{u.id}.power_kw") for u in pack.site.of_kind("air_unit"))
    gap = frame.column("grid.power_kw") - frame.column("building.power_kw") - units
    assert np.nanmax(np.abs(gap)) < 1e-3
    for limit in pack.site.limits:
        values = frame.column(limit.signal)
        assert np.nanmax(values) <= (limit.maximum or np.inf), limit.signal
        assert np.nanmin(values) >= (limit.minimum or -np.inf), limit.signal
    for spec in pack.site.signals:
        values = frame.column(spec.id)
        assert spec.minimum <= np.nanmin(values) <= np.nanmax(values) <= spec.maximum, spec.id


def test_the_law_keeps_the_comfort_band_that_it_is_judged_by(pack):
    comfort, site = pack.site.comfort, pack.site
    for side in ("heating", "cooling"):
        values = [r.value for r in getattr(site.baseline, f"zone_{side}_degc")]
        occupied = max(values) if side == "heating" else min(values)
        assert comfort.lower_degc < occupied < comfort.upper_degc


def test_every_sentence_compiles_and_the_first_is_for_a_day(pack):
    now = datetime.fromisoformat("2026-07-13T06:00:00-07:00")
    for sentence in pack.intents:
        reading = compile_intent(sentence.text, pack.site, now)
        assert reading.intent is not None, (sentence.text, reading.questions)
        assert not reading.not_understood, sentence.text
    first = compile_intent(pack.intents[0].text, pack.site, now).intent
    assert first is not None
    assert "cost" in str(first.objectives).lower()


def test_every_fault_that_the_pack_lists_can_be_injected(pack):
    setpoints = {s.id for s in pack.site.setpoints}
    names = {"setpoint": setpoints,
             "measurement": {s.id for s in pack.site.signals} - setpoints}  # fmt: skip
    assert {f.name for f in pack.faults} == set(SENSOR_FAULTS)
    for fault in pack.faults:
        check_fault(SENSOR_FAULTS, fault.name, fault.parameters, names)


def test_the_prices_are_those_of_the_microgrid_and_the_carbon_covers_both_runs(pack):
    microgrid = load_site(SCENARIOS / "microgrid")
    assert pack.site.tariff.import_periods == microgrid.site.tariff.import_periods
    assert pack.carbon is not None
    assert pack.carbon.start < QUIET_START
    assert pack.carbon.end > SUMMER[1] + timedelta(days=16)
    both = microgrid.carbon.window(WINTER[0], WINTER[1]).column("g_per_kwh")
    assert np.array_equal(pack.carbon.window(*WINTER).column("g_per_kwh"), both)


def policy_input(pack, heating, cooling, first_minute=480, peak_w=9000):
    steps = [{"t_ms": k * 900_000, "from_minute": first_minute + 15 * k,
              "to_minute": first_minute + 15 * k + 14} for k in range(STEPS)]  # fmt: skip
    schedules = [
        {"point": f"{z.id}.{side}_setpoint_degc", "held_milli": list(values)}
        for z in pack.site.of_kind("zone")
        for side, values in (("heating", heating), ("cooling", cooling))
    ]
    traces = {"grid.power_kw": {"q95_milli": [peak_w] * STEPS}}
    return {"steps": steps, "schedules": schedules, "traces": traces}


def test_the_offices_rules_fail_exactly_what_they_name(pack, engine):
    text = pack.policies["site"]
    assert {r.id for r in declared_rules(with_core(pack.policies), engine)} >= {
        "site.deadband", "site.empty_house", "site.connection_reserve"
    }  # fmt: skip
    warm, low, cool = [21_000] * STEPS, [15_560] * STEPS, [23_890] * STEPS
    near, unknown = [22_001, *cool[1:]], [None] * STEPS
    too_near = [21_999, *cool[1:]]
    cases = [
        (policy_input(pack, warm, cool), set()),
        (policy_input(pack, warm, near), set()),
        (policy_input(pack, warm, too_near), {"deadband"}),
        (policy_input(pack, warm, cool, first_minute=0), {"empty_house"}),
        (policy_input(pack, low, cool, first_minute=0), set()),
        (policy_input(pack, warm, cool, peak_w=10**6), {"connection_reserve"}),
        (policy_input(pack, unknown, cool), {"deadband", "empty_house"}),
        ({**policy_input(pack, warm, cool), "traces": {}}, {"connection_reserve"}),
        ({**policy_input(pack, warm, cool), "steps": []}, {"deadband", "empty_house"}),
    ]
    for document, failing in cases:
        verdicts = engine.evaluate("pilothouse.site", text, document)
        names = ("deadband", "empty_house", "connection_reserve")
        assert {n for n in names if verdicts[n] != "pass"} == failing
        assert {v["rule"] for v in verdicts["violations"]} <= failing


def test_a_pack_is_read_without_a_twin_and_without_the_engine(pack, tmp_path):
    for name in ("site.yaml", "intents.yaml", "faults.yaml"):
        shutil.copy(pack.folder / name, tmp_path / name)
    shutil.copytree(pack.folder / "policies", tmp_path / "policies")
    (tmp_path / "data").mkdir()
    shutil.copy(pack.folder / "data" / "carbon.parquet", tmp_path / "data" / "carbon.parquet")
    assert load_site(tmp_path).site == pack.site
