"""The dispatch planner on buildings with air units, against an exact twin in closed loop."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.intent import Band, KeepOff, Window
from graph.plan import Plan, SolveStatus
from graph.signals import Owner, PointState
from graph.site import Site
from graph.snapshot import (
    HoldConstraint,
)
from planner.dispatch import plan_dispatch
from planner.dispatch_inputs import dispatch_inputs
from planner.dispatch_objective import objective
from planner.dispatch_problem import build_problem
from planner.dispatch_thermostats import DEADBAND_K
from planner.hub_model import BuildingModel, hub_numbers
from planner.margins import Margins
from planner.milp_highs import LinearSession, SolverLimits
from planner.zone_start import zone_start
from tests.rc_building import RcHouse, make_building
from tests.rc_days import COOLING, HEATING, SUMMER, Days, house, money_and_comfort, rooms, wish


def closed_loop(days: Days, hours: int, every: int = 6) -> dict[str, np.ndarray]:
    """Plan, act for `every` steps, measure, plan again; forecasts are perfect."""
    x, parts, margin = days.x0, [], Margins(comfort_k=0.1)
    for at in range(0, hours * 4, every):
        snapshot = days.snapshot(at, x)
        plan = days.plan(snapshot=snapshot, margin=margin)
        assert plan.status.usable, (plan.status, plan.notes)
        now = {f.signal: np.array(f.values) for f in snapshot.forecasts}
        parts.append(days.house.simulate(x, now, plan.setpoints, snapshot.as_of, every))
        x = parts[-1]["x"][:, -1]
    return {n: np.concatenate([p[n] for p in parts], axis=-1) for n in parts[0]}


@pytest.mark.parametrize("summer", [False, True])
def test_the_building_goes_where_the_plan_says(summer):
    days = Days(summer, begin=25.0 if summer else 19.5, house=house(3))
    plan = days.plan(margin=Margins(comfort_k=0.3))
    assert isinstance(days.house, BuildingModel)
    assert plan.status is SolveStatus.OPTIMAL
    shown = days.run(plan)
    assert np.abs(rooms(days, shown) - rooms(days, plan.predicted)).max() < 0.2
    grid = shown["grid.power_kw"] - plan.predicted["grid.power_kw"]
    assert np.abs(grid).max() < 1.5  # a quarter of an hour of full power falls a little elsewhere
    assert abs(grid.mean()) < 0.02
    units = days.house.site.of_kind("air_unit")
    own = sum(np.array(plan.predicted[f"{u.id}.power_kw"]) for u in units)
    load = days.weather()["building.power_kw"]
    np.testing.assert_allclose(plan.predicted["grid.power_kw"], load + own, atol=1e-5)


def test_in_winter_the_closed_loop_preheats_and_is_cheaper_than_fixed_setpoints():
    days = Days(warmer=-6.0, begin=20.5)
    ours, usual = closed_loop(days, 24), days.unplanned()
    cost, comfort = money_and_comfort(days, ours)
    their_cost, their_comfort = money_and_comfort(days, usual)
    assert cost < 0.75 * their_cost
    assert comfort <= their_comfort + 1e-3
    before, dear = days.hours(15, 16), days.hours(16, 18)
    heat = rooms(days, ours, "heat_kw").sum(axis=0)
    assert heat[before].mean() > 1.5 * rooms(days, usual, "heat_kw").sum(axis=0)[before].mean()
    assert heat[dear].mean() < 0.7 * rooms(days, usual, "heat_kw").sum(axis=0)[dear].mean()


def test_in_summer_the_closed_loop_precools_and_is_cheaper_than_fixed_setpoints():
    model = RcHouse(make_building(2), cooling_kw=12.0)
    days = Days(summer=True, warmer=2.0, begin=24.0, house=model)
    ours, usual = closed_loop(days, 24), days.unplanned()
    cost, comfort = money_and_comfort(days, ours)
    their_cost, their_comfort = money_and_comfort(days, usual)
    assert cost < 0.95 * their_cost
    assert comfort <= their_comfort + 1e-3
    temps = rooms(days, ours)
    assert temps[:, days.hours(15.75, 16)].max() < temps[:, days.hours(12, 12.5)].min() - 0.3
    cold, theirs = (-rooms(days, t, "heat_kw")[:, days.hours(16, 18)].mean() for t in (ours, usual))
    assert cold < 0.8 * theirs


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    summer=st.booleans(),
    warmer=st.floats(-12, 8),
    begin=st.floats(13, 31),
    hour=st.integers(0, 23),
    goal=st.sampled_from(["cost", "energy", "emissions", "peak", "comfort"]),
    hold=st.sampled_from([None, ("zone_a", HEATING, 23.0), ("zone_b", COOLING, 21.0)]),
    paid=st.booleans(),
)
def test_every_plan_can_be_commanded_and_never_heats_against_cooling(
    summer, warmer, begin, hour, goal, hold, paid
):
    paced = make_building(2).model_dump(mode="json")
    for spec in paced["signals"]:
        if spec["role"] == "setpoint":
            spec |= {"ramp_per_s": 0.002, "dwell_s": 1800, "resolution": 0.1}
    model = RcHouse(Site.model_validate(paced))
    days = Days(summer, warmer, begin, hour, 64, model)
    points = {f"{z}.{s}": v for z in model.zones for s, v in ((HEATING, 20.0), (COOLING, 24.0))}
    snapshot = days.snapshot(
        points={p: PointState(applied=v, owner=Owner.LOCAL) for p, v in points.items()},
        holds=() if hold is None else (HoldConstraint(
            point=f"{hold[0]}.{hold[1]}", value=hold[2], owner="Ann",
            until=days.start + timedelta(hours=3)),),
    )  # fmt: skip
    if paid:
        cheap = np.where((np.arange(64) >= 20) & (np.arange(64) < 26), -0.05,
                         snapshot.prices.import_price)  # fmt: skip
        lower = {"import_price": tuple(cheap), "export_price": (-0.1,) * 64}
        lower = snapshot.prices.model_copy(update=lower)
        snapshot = snapshot.model_copy(update={"prices": lower})
    plan = days.plan(snapshot=snapshot, weights={goal: 1.0})
    assert plan.status.usable, (plan.status, plan.notes)
    for point, values in plan.setpoints.items():
        spec, value = model.site.signal(point), np.array(values)
        free = np.ones(64, dtype=bool)
        if hold and point == f"{hold[0]}.{hold[1]}":
            assert np.all(value[:12] == hold[2])
            free[:13] = False
        moved = np.abs(np.diff(np.concatenate([[points[point]], value])))
        assert spec.minimum <= value.min() <= value.max() <= spec.maximum
        assert np.all(moved[free] <= 1.8 + 1e-9)
        assert np.all(moved[free][1::2] == 0) or hold is not None
    apart = rooms(days, plan.setpoints, COOLING) - rooms(days, plan.setpoints, HEATING)
    assert apart.min() >= DEADBAND_K - 1e-9
    data = dispatch_inputs(model.site, hub_numbers(model.site, model), snapshot)
    power = {u.id: np.array(plan.predicted[f"{u.id}.power_kw"]) - data.units[u.id].base_kw
             for u in data.parts.units}  # fmt: skip
    for zone, unit in zip(model.zones, data.units, strict=True):
        heat, cops = np.array(plan.predicted[f"{zone}.heat_kw"]), data.units[unit]
        one = np.maximum(heat, 0) / cops.cop_heating + np.maximum(-heat, 0) / cops.cop_cooling
        np.testing.assert_allclose(power[unit], one, atol=1e-4)  # more means both at once


def test_comfort_counts_in_its_hours_with_a_margin_on_both_sides_and_setback_outside():
    for summer, begin in ((False, 17.0), (True, 27.0)):
        days = Days(summer, begin=begin, hour=3)
        plan = days.plan(margin=Margins(comfort_k=0.4))
        temps, busy = rooms(days, plan.predicted), days.hours(8.5, 18)
        assert temps[:, busy].min() >= 20.4 - 1e-6
        assert temps[:, busy].max() <= 23.6 + 1e-6
        night = days.hours(20, 27)
        idle = rooms(days, plan.setpoints, HEATING), rooms(days, plan.setpoints, COOLING)
        assert np.all(idle[0][:, night] == 15.5)
        assert np.all(idle[1][:, night] == 29.5)
        floats = np.abs(rooms(days, plan.predicted, "heat_kw"))[:, busy] < 1e-6
        assert np.all(idle[0][:, busy][floats] == 20.0)
        assert np.all(idle[1][:, busy][floats] == 24.0)


def test_a_room_without_comfort_band_stays_near_what_the_local_law_holds():
    model = RcHouse(make_building(2, comfort=None))
    days = Days(begin=18.0, house=model)
    temps = rooms(days, days.plan().predicted)
    assert temps[:, days.hours(7, 19)].min() >= 20.0 - 1e-6
    assert temps[:, days.hours(0, 5)].min() < 19.0


def test_the_operators_own_band_replaces_the_comfort_band_only_where_and_how_it_speaks():
    window = Window(daily_from="07:00", daily_to="09:00")
    warm = Band(signals=("zone_a.temp_degc",), minimum=22, unit="degC", window=window)
    days = Days(warmer=-4.0)
    told, usual = days.plan(warm), days.plan()
    a, b = rooms(days, told.predicted)
    assert a[days.hours(7, 9)].min() >= 22.0 - 1e-6
    assert b[days.hours(7, 8)].max() < 21.0
    assert a[days.hours(9, 18)].min() >= 20.0 - 1e-6
    assert told.objective > usual.objective


def test_the_plans_end_leaves_rooms_that_can_be_comfortable_when_it_next_counts():
    days = Days(warmer=-6.0, begin=20.0, hour=12, steps=79)  # until 07:45
    plan = days.plan()
    end = days.run(plan)["x"][:, -1]
    full = {f"{z}.{HEATING}": np.full(2, 24.0) for z in days.house.zones}
    later = {n: v[79:] for n, v in days.weather(2).items()}
    after = days.house.simulate(end, later, full, days.start + timedelta(seconds=900 * 79), 2)
    assert rooms(days, plan.predicted)[:, -1].min() > 16.2  # the setback alone would leave 15.5
    assert rooms(days, after)[:, -1].min() > 19.8


@pytest.mark.parametrize(
    ("point", "value", "summer"),
    [(HEATING, 22.5, False), (COOLING, 26.0, True), (COOLING, 22.0, True), (HEATING, 17.0, False)],
)
def test_what_a_person_holds_at_one_side_is_followed_as_its_thermostat_would(point, value, summer):
    days = Days(summer, begin=25.0 if summer else 20.0)
    held = HoldConstraint(point=f"zone_a.{point}", value=value, owner="Ann",
                          until=days.start + timedelta(hours=15))  # fmt: skip
    plan = days.plan(changes={"holds": (held,)})
    assert plan.status.usable
    assert set(plan.setpoints[held.point][:60]) == {value}
    shown = days.run(plan)
    assert np.abs(rooms(days, shown) - rooms(days, plan.predicted)).max() < 0.25


def test_a_side_that_is_kept_off_stands_at_the_end_of_its_range():
    days = Days(summer=True, begin=25.0)
    window = Window(end=SUMMER + timedelta(hours=12))
    off = [KeepOff(point=f"{z}.{COOLING}", window=window) for z in days.house.zones]
    plan = days.plan(*off)
    assert plan.status.usable
    assert np.all(rooms(days, plan.setpoints, COOLING)[:, :48] == 30.0)
    heat = rooms(days, days.run(plan), "heat_kw")
    assert np.all(heat[:, :48] >= 0)
    assert heat[:, 48:].min() < -1


def test_an_infeasible_wish_is_named_with_the_least_cure_and_what_binds_has_a_price():
    days = Days(warmer=-8.0, begin=18.0)
    warm = Band(
        signals=("zone_a.temp_degc", "zone_b.temp_degc"), minimum=21, unit="degC", hard=True,
        chance=None, window=Window(daily_from="09:00", daily_to="17:00"),
    )  # fmt: skip

    def with_import(most: float) -> Plan:
        cap = Band(signals=("grid.power_kw",), maximum=most, unit="kW", hard=True, chance=None)
        return days.plan(warm, cap)

    plan = with_import(4.0)
    assert plan.status is SolveStatus.INFEASIBLE
    (conflict,) = plan.conflicts
    assert conflict.id == "intent:1:grid.power_kw:max"
    assert with_import(4.0 + 0.9 * conflict.amount).status is SolveStatus.INFEASIBLE
    cured = with_import(conflict.relaxed_to * 1.001)
    assert cured.status.usable
    active = {a.id: a for a in cured.active}
    assert active["intent:0:zone_a.temp_degc:min"].unit == "USD/K"
    assert active["intent:0:zone_a.temp_degc:min"].multiplier > 0.1
    early = Band(signals=("zone_a.temp_degc",), minimum=23.5, unit="degC",
                 window=Window(daily_from="06:00", daily_to="07:00"))  # fmt: skip
    labels = [a.label for a in days.plan(early).active]
    assert "Unit A: heating at full capacity" in labels


def test_each_goal_is_reached_best_by_the_plan_that_has_it():
    days = Days(warmer=-4.0, begin=19.0)
    goals = ("cost", "energy", "emissions", "peak", "comfort")
    plans = {g: days.plan(weights={g: 1.0}) for g in goals}
    assert all(p.status.usable for p in plans.values())
    grid = {g: np.array(p.predicted["grid.power_kw"]) for g, p in plans.items()}
    start = days.snapshot().prices
    found = {
        "cost": {g: v @ start.import_price for g, v in grid.items()},
        "energy": {g: v.sum() for g, v in grid.items()},
        "emissions": {g: v @ start.carbon_g_per_kwh for g, v in grid.items()},
        "peak": {g: v.max() for g, v in grid.items()},
        "comfort": {g: np.abs(rooms(days, p.predicted)[:, days.hours(8, 18)] - 22).mean()
                    for g, p in plans.items()},
    }  # fmt: skip
    for goal, values in found.items():
        assert values[goal] <= min(values.values()) * 1.001 + 1e-6, (goal, values)
    assert found["peak"]["cost"] > 1.2 * found["peak"]["peak"]


def test_a_demand_charge_lowers_the_peak():
    tariff = make_building(2).tariff.model_dump(mode="json") | {"demand_charge_per_kw": 60.0}
    charged = RcHouse(make_building(2, tariff=tariff))
    plans = [Days(begin=19.0, house=h).plan() for h in (charged, house())]
    peaks = [max(p.predicted["grid.power_kw"]) for p in plans]
    assert peaks[0] < 0.8 * peaks[1]


def test_battery_and_pv_are_planned_with_the_rooms():
    days = Days(summer=True, begin=24.0, house=house(storage=True))
    plan = days.plan()
    assert plan.status is SolveStatus.OPTIMAL
    battery = np.array(plan.predicted["battery.power_kw"])
    assert battery[days.hours(16, 21)].sum() < -10
    assert battery[days.hours(6, 16)].sum() > 10
    total = sum(np.array(plan.predicted[f"{a}.power_kw"])
                for a in ("building", "battery", "unit_a", "unit_b"))  # fmt: skip
    np.testing.assert_allclose(
        plan.predicted["grid.power_kw"], total - plan.predicted["pv.power_kw"], atol=1e-5
    )


def test_rooms_on_one_unit_share_its_capacity():
    document = make_building(4, 2).model_dump(mode="json")
    for asset in document["assets"]:
        if asset["kind"] == "air_unit":
            asset["heating_kw"] = 12.0
    narrow = RcHouse(Site.model_validate(document))
    plans = [Days(False, -10.0, 15.0, 5, 48, h).plan() for h in (house(4, 2), narrow)]
    most = [rooms(Days(house=narrow), p.predicted, "heat_kw")[:2].sum(axis=0).max() for p in plans]
    assert most[0] > 15
    assert most[1] <= 12.0 + 1e-6
    plan = plans[1]
    assert any(a.id == "unit:unit_a:heating" for a in plan.active)


def test_starting_from_the_rooms_own_optima_saves_the_work_and_changes_nothing():
    days = Days(begin=19.0, house=house(4), steps=64)
    site, snapshot = days.house.site, days.snapshot()
    data = dispatch_inputs(site, hub_numbers(site, days.house), snapshot)
    problem = build_problem(data, wish(snapshot), Margins(comfort_k=0.2))
    cost, offset = objective(problem.milp, problem.weights, problem.rates, problem.wear_priced)
    plain, started = (LinearSession(problem.milp, cost, offset, SolverLimits()) for _ in range(2))
    basis = zone_start(problem, cost, SolverLimits())
    assert basis is not None
    started.start_at(basis)
    first, second = plain.solve(), started.solve()
    assert second.objective == pytest.approx(first.objective, abs=1e-6)
    assert second.iterations < first.iterations / 10


def test_a_big_building_is_planned_in_hours_beyond_the_first_and_loses_little():
    days = Days(warmer=-3.0, begin=19.0, steps=128, house=house(9, 3))
    plan = days.plan(margin=Margins(comfort_k=0.2))
    assert plan.status is SolveStatus.OPTIMAL
    assert plan.iterations < 500  # from nothing it takes thousands
    shown = days.run(plan)
    assert np.abs(rooms(days, shown) - rooms(days, plan.predicted)).max() < 0.3
    assert money_and_comfort(days, shown)[1] < 0.05
    fine = Days(warmer=-3.0, begin=19.0, steps=104, house=house(9, 3))
    assert dispatch_inputs(fine.house.site, hub_numbers(fine.house.site, fine.house),
                           fine.snapshot()).grid.coarse is False  # fmt: skip


def test_a_site_that_the_planner_does_not_know_is_refused_by_name():
    days = Days(steps=8)
    snapshot = days.snapshot()
    wrong = plan_dispatch(days.house.site, object(), snapshot, wish(snapshot))
    assert wrong.status is SolveStatus.BAD_INPUT
    assert "air units" in wrong.notes[0]
    lacking = snapshot.model_copy(update={"forecasts": snapshot.forecasts[:2]})
    plan = plan_dispatch(days.house.site, days.house, lacking, wish(snapshot))
    assert plan.status is SolveStatus.BAD_INPUT
    assert "no forecast of building.power_kw" in plan.notes[0]
