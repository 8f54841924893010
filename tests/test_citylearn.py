"""CityLearn's district: our models against a recorded run, and a controller that cannot peek.

`data/citylearn_run.json` was recorded from CityLearn 2.2b0 under random powers; the pack's
telemetry is the first 30 days of houses 1 to 5.
"""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from api.citylearn.controller import DistrictController, Forecasts, Past, Window
from api.citylearn.environment import Hour, district_of
from api.citylearn.replay import TimeOfUseRule, replay
from api.citylearn.score import score, score_terms
from api.citylearn.site import COEFFICIENTS, FIRST_BEGIN, fleet, forecaster
from graph.errors import InputError
from graph.sitepack import load_site
from graph.tariff import prices
from planner.fleet_dispatch import FleetBattery, FleetCase, FleetPlanner, FleetWorth
from planner.fleet_futures import FleetFutures, ForecastErrors
from planner.hub_model import StorageNumbers
from planner.lead_forecast import LEADS, LeadForecaster, Observed, read_coefficients

PACK = Path("scenarios/citylearn")
HOUSES = range(1, 6)
RATED = np.array([4.0, 4.0, 4.0, 5.0, 4.0])
# CityLearn keeps charge and flows in single precision, the record has six digits.
SINGLE_KW = 2e-5


@pytest.fixture(scope="module")
def recorded():
    return json.loads(Path("tests/data/citylearn_run.json").read_text())


@pytest.fixture(scope="module")
def pack():
    loaded = load_site(PACK)
    frame = loaded.telemetry()
    weather = np.array([frame.column(f"outdoor.{n}") for n in
                        ("temp_degc", "direct_w_m2", "diffuse_w_m2")]).T  # fmt: skip
    load = np.array([frame.column(f"house_{i}.power_kw") for i in HOUSES])
    pv = np.array([frame.column(f"pv_{i}.power_kw") for i in HOUSES])
    last = len(frame) - 1
    rows = [
        Observed(load[:, k], pv[:, k],
                 {h: tuple(weather[min(k + h, last)]) for h in (0, 6, 12, 24)})
        for k in range(len(frame))
    ]  # fmt: skip
    begins = [t - timedelta(hours=1) for t in frame.times]
    price = prices(loaded.site.tariff.import_periods, begins, loaded.site.zone_info)
    return rows, price, np.array(loaded.carbon.column("g_per_kwh")) / 1000.0


def told_rows(recorded):
    return [
        Observed(np.array(load), np.array(pv), {})
        for load, pv in zip(recorded["load_kw"], recorded["pv_kw"], strict=True)
    ]


def test_our_battery_does_what_citylearns_did_hour_by_hour(recorded):
    district = district_of(recorded["district"])
    seen, courses = [], iter(np.array(recorded["asked_kw"]))

    def ask(hour: Hour):
        seen.append(hour.charge_kwh)
        return next(courses)

    net = replay(told_rows(recorded), district.batteries, district.most_action, ask)
    np.testing.assert_allclose(net, recorded["net_kw"], atol=SINGLE_KW)
    np.testing.assert_allclose(seen, recorded["charge_kwh"][:-1], atol=5 * SINGLE_KW)
    moved = net - np.array(recorded["without_kw"])
    assert moved.min() < -3.0
    assert moved.max() > 3.0


def test_our_score_is_the_one_that_citylearn_gave(recorded):
    net, without = np.array(recorded["net_kw"]), np.array(recorded["without_kw"])
    price, carbon = (np.array(recorded["district"][k]) for k in ("price", "carbon"))
    terms = score_terms(net, without, price, carbon)
    assert terms == pytest.approx(recorded["terms"], abs=2e-6)
    assert score(terms) > 1.1
    assert score(score_terms(without, without, price, carbon)) == pytest.approx(1.0)


def test_the_packs_tariff_and_carbon_are_what_the_environment_told(recorded, pack):
    _, price, carbon = pack
    hours = len(recorded["load_kw"])
    np.testing.assert_allclose(price[:hours], recorded["district"]["price"], atol=1e-6)
    np.testing.assert_allclose(carbon[:hours], recorded["district"]["carbon"], atol=1e-6)


def decisions(rows, price, carbon, hours, *, past=None, plan_hours=None):
    """Our controller's powers, (hours - 1, B), and the net loads that came of them, (B, hours)."""
    window = Window(plan_hours or hours, price, carbon)
    foresight = Forecasts(forecaster(PACK, RATED), len(RATED))
    controller = DistrictController(fleet(PACK), foresight, window, past)
    asked = []

    def decide(hour):
        asked.append(controller.decide(hour.observed, hour.charge_kwh, hour.net_kw))
        return asked[-1]

    told = json.loads(Path("tests/data/citylearn_run.json").read_text())["district"]
    district = district_of(told)
    net = replay(rows[:hours], district.batteries, district.most_action, decide)
    return np.array(asked), net


def test_nothing_that_comes_later_changes_a_decision(pack):
    rows, price, carbon = pack
    other = [
        replace(r, load_kw=9.0 - r.load_kw, pv_kw=r.pv_kw[::-1], weather={0: (1.0, 2.0, 3.0)})
        for r in rows[30:60]
    ]
    asked, _ = decisions(rows, price, carbon, 60)
    changed, _ = decisions([*rows[:30], *other], price, carbon, 60)
    assert np.array_equal(asked[:30], changed[:30])
    assert not np.allclose(asked[30:], changed[30:])
    short, _ = decisions(rows, price, carbon, 31, plan_hours=60)
    assert np.array_equal(short, asked[:30])


def test_four_days_cost_less_than_under_the_rule_and_far_less_than_without_batteries(pack):
    rows, price, carbon = pack
    begin, hours = 240, 96
    past = Past(tuple(rows[:begin]), price[:begin], carbon[:begin])
    window, without = rows[begin : begin + hours], None
    _, net = decisions(window, price[begin:], carbon[begin:], hours, past=past)
    without = np.array([r.load_kw - r.pv_kw for r in window]).T
    told = json.loads(Path("tests/data/citylearn_run.json").read_text())["district"]
    district = district_of(told)
    rule = replay(window, district.batteries, district.most_action, TimeOfUseRule(np.full(5, 6.4)))
    worth = price[begin : begin + hours], carbon[begin : begin + hours]
    ours, theirs = (score(score_terms(n, without, *worth)) for n in (net, rule))
    assert ours < theirs - 0.05
    assert ours < 0.9


def test_forecasts_beat_yesterdays_hour_by_hour_and_a_day_ahead(pack):
    rows, _, _ = pack
    reader = forecaster(PACK, RATED)
    load = np.array([r.load_kw for r in rows]).T
    pv = np.array([r.pv_kw for r in rows]).T
    missed, naive = {1: [], LEADS: []}, {1: [], LEADS: []}
    for k, row in enumerate(rows[: -LEADS - 1]):
        reader.observe(row)
        if k < 7 * 24:
            continue
        expected = reader.forecast()
        for lead in missed:
            truth = load[:, k + lead] - pv[:, k + lead]
            missed[lead].append(truth - (expected[0] - expected[1])[:, lead - 1])
            naive[lead].append(truth - (load - pv)[:, k + lead - LEADS])
    for lead, share in ((1, 0.7), (LEADS, 0.85)):
        assert np.std(missed[lead]) < share * np.std(naive[lead]), lead


def one_battery(steps=4):
    numbers = StorageNumbers(4.0, 0.9, 0.9)
    planner = FleetPlanner([FleetBattery(numbers, 2.0, 2.0)])
    worth = FleetWorth(np.full((1, steps), 1.0), 0.0, (0.0, 0.0), 0.0, np.zeros(1))
    return planner, worth


def test_the_fleet_hedges_where_levels_differ_and_follows_the_mean_where_they_do_not():
    planner, worth = one_battery(1)

    def discharged(levels, stored_worth):
        futures = FleetFutures(np.array([[levels]]), np.zeros((1, 1)), np.zeros((1, 1)))
        case = FleetCase(np.array([4.0]), futures, 0.0, 0.0, 0.0, 1)
        return -planner.plan(case, replace(worth, end=np.array([stored_worth])))[0, 0]

    # A kWh out of the store saves 0.9 kWh, if the load is there: worth it below 0.9 of a kWh kept.
    assert discharged([1.0, 1.0, 1.0], 0.8) == pytest.approx(1.0)
    assert discharged([0.0, 1.0, 2.0], 0.5) == pytest.approx(1.0)  # two levels of three pay 0.6
    assert discharged([0.0, 1.0, 2.0], 0.7) == pytest.approx(0.0)
    assert discharged([0.0, 1.0, 2.0], 0.2) == pytest.approx(2.0)  # one level of three pays 0.3


def test_the_fleet_shaves_the_peak_of_the_paths_and_pays_for_upward_steps_only():
    planner, worth = one_battery()
    path = np.array([[0.0, 3.0, 0.0, 0.0]])
    bought = np.full((1, 4, 1), -9.0)
    futures = FleetFutures(bought, np.diff(path, prepend=0.0), path)
    case = FleetCase(np.array([4.0]), futures, 0.0, 0.0, 0.0, 4)
    shaved = planner.plan(case, replace(worth, day_peak=(1.0, 0.0), end=np.full(1, 0.01)))
    assert shaved[0, 1] == pytest.approx(-2.0, abs=1e-6)
    level = replace(case, day_peak_kw=3.0)  # the peak is there already: nothing is to be had
    idle = planner.plan(level, replace(worth, day_peak=(1.0, 0.0), end=np.full(1, 0.01)))
    assert np.abs(idle).max() < 1e-6
    falling = np.array([[3.0, 2.0, 1.0, 0.0]])
    futures = FleetFutures(bought, np.diff(falling, prepend=0.0), falling)
    down = replace(case, last_kw=3.0, futures=futures)
    idle = planner.plan(down, replace(worth, ramp=1.0, end=np.full(1, 0.01)))
    assert np.abs(idle).max() < 1e-6


def test_a_case_that_does_not_fit_its_batteries_is_refused():
    planner, worth = one_battery()
    futures = FleetFutures(np.zeros((2, 4, 1)), np.zeros((1, 4)), np.zeros((1, 4)))
    case = FleetCase(np.zeros(2), futures, 0.0, 0.0, 0.0, 4)
    with pytest.raises(InputError, match="don't fit"):
        planner.plan(case, worth)


def test_levels_rises_and_paths_carry_the_errors_of_their_hour_and_size():
    errors, rng, dark = ForecastErrors(2), np.random.default_rng(1), np.zeros((2, LEADS))
    for k in range(21 * 24):
        noisy = 1.0 if k % 24 in (17, 18, 19) else 0.01
        net = 0.75 + noisy * rng.standard_normal(2)
        errors.observe(net, np.full(2, 0.75), np.zeros(2))
    found = errors.futures(np.full((2, LEADS), 0.75), dark, 5, 6, 0)
    width = found.levels[:, :, -1] - found.levels[:, :, 0]
    assert (width[:, 17:20] > 5 * width[:, :15].max()).all()
    np.testing.assert_allclose(found.paths.mean(axis=0), 1.5)
    assert found.paths[:, 18].std() > 5 * found.paths[:, 3].std()
    np.testing.assert_allclose(found.rises.mean(axis=0), [1.5, *np.zeros(LEADS - 1)], atol=1e-9)
    assert np.ptp(found.rises[:, 18]) > 5 * np.ptp(found.rises[:, 3])
    larger = errors.futures(np.full((2, LEADS), 7.0), dark, 5, 6, 0).levels
    np.testing.assert_allclose(larger[:, :, -1] - larger[:, :, 0], 7.25**0.75 * width)


def test_forecasts_begin_at_midnight_with_an_observation_and_whole_coefficients(tmp_path):
    found = read_coefficients(PACK / COEFFICIENTS)
    with pytest.raises(InputError, match="midnight"):
        LeadForecaster(found, RATED, FIRST_BEGIN + timedelta(hours=5))
    with pytest.raises(InputError, match="nothing was observed"):
        LeadForecaster(found, RATED, FIRST_BEGIN).forecast()
    (tmp_path / "x.json").write_text(
        '{"load": [[1]], "pv": [], "load_profile": [], "pv_profile": []}'
    )
    with pytest.raises(InputError, match="shapes"):
        read_coefficients(tmp_path / "x.json")
