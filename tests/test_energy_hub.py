"""The energy-hub twin keeps its books and does not care how many futures run beside a future."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import InputError
from graph.sitepack import load_site
from sandbox.energy_hub import HubTwin
from sandbox.faults import Fault
from sandbox.parameters import TwinParameters, initial_parameters, load_parameters, save_parameters

SITE = load_site(Path("scenarios/microgrid")).site
TWIN = HubTwin(SITE, initial_parameters(SITE))
START = datetime(2026, 1, 20, 8, tzinfo=UTC)
STEPS = 96
SEEDS = st.integers(0, 2**31)


def weather(generator: np.random.Generator, steps: int = STEPS) -> dict[str, np.ndarray]:
    hour = np.arange(steps) / 4 + 0.25
    sun = np.maximum(0.0, np.sin((hour - 7) / 10 * np.pi)) * (hour % 24 < 17)
    return {
        "outdoor.temp_degc": generator.uniform(-5, 12) + 4 * np.sin((hour - 9) / 24 * 2 * np.pi),
        "outdoor.ghi_w_m2": 500 * generator.uniform(0, 1) * sun,
        "pv.power_kw": 30 * generator.uniform(0, 1) * sun,
        "building.power_kw": generator.uniform(4, 20, steps),
    }


def some_plan(generator: np.random.Generator, steps: int = STEPS) -> dict[str, np.ndarray]:
    hp = np.where(generator.random(steps) < 0.5, 0.0, generator.uniform(4, 12, steps))
    return {
        "hp.power_set_kw": hp,
        "battery.power_set_kw": generator.uniform(-40, 40, steps),
        "zone_north.setpoint_degc": generator.uniform(18, 24, steps),
    }


def state(count: int, generator: np.random.Generator) -> np.ndarray:
    means = np.array([21, 21, 21, 21, 44, 50.0])
    return means + generator.normal(0, [0.5, 0.5, 0.5, 0.5, 3, 10], (count, 6))


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_electric_tank_and_battery_balances_close_to_rounding(seed: int) -> None:
    g = np.random.default_rng(seed)
    x0 = state(3, g)
    x0[:, -1] = np.clip(x0[:, -1], 10, 95)
    out = TWIN.simulate(x0, weather(g), some_plan(g), START)
    t = out.traces
    grid = t["building.power_kw"] + t["hp.power_kw"] + t["battery.power_kw"] - t["pv.power_kw"]
    assert np.allclose(t["grid.power_kw"], grid, rtol=0, atol=1e-9)
    heat = t["hp.heat_kw"] - t["zone_north.heat_kw"] - t["zone_south.heat_kw"] - t["tank.loss_kw"]
    gained = TWIN.tank_capacity_kwh_k * np.diff(t["tank.temp_degc"], prepend=x0[:, 4:5], axis=1)
    assert np.allclose(heat * 0.25, gained, rtol=0, atol=1e-9)
    net = (t["battery.power_kw"] - t["battery.loss_kw"]) * 0.25
    stored = np.diff(t["battery.soc_pct"], prepend=x0[:, 5:], axis=1) / 100
    assert np.allclose(net, stored * TWIN.battery_capacity_kwh, rtol=0, atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_states_and_powers_stay_inside_their_physical_bounds(seed: int) -> None:
    g = np.random.default_rng(seed)
    x0 = state(4, g)
    x0[:, -1] = np.clip(x0[:, -1], 0, 100)
    parameters = np.array([TWIN.parameters.sample(g) for _ in range(4)])
    t = TWIN.simulate(x0, weather(g), some_plan(g), START, parameters=parameters).traces
    drift = 24 * 0.03 / 50 * 100  # standby keeps draining a battery that may not discharge
    assert t["battery.soc_pct"].max() <= max(95, x0[:, -1].max()) + 1e-9
    assert t["battery.soc_pct"].min() >= min(10, x0[:, -1].min()) - drift
    assert np.abs(t["battery.power_kw"]).max() <= 30 + 1e-9
    hp = t["hp.power_kw"]
    assert ((hp == 0) | (hp >= 4 / 3 - 1e-9)).all()  # a third of a step is the shortest run
    assert hp.max() <= 12 + 1e-9
    for zone in ("zone_north", "zone_south"):
        assert t[f"{zone}.heat_kw"].min() >= 0
        assert (t["tank.temp_degc"] > t[f"{zone}.temp_degc"])[t[f"{zone}.heat_kw"] > 0.1].all()


@settings(max_examples=6, deadline=None)
@given(SEEDS, st.integers(2, 9))
def test_a_batch_of_futures_equals_single_runs_bit_for_bit(seed: int, count: int) -> None:
    g = np.random.default_rng(seed)
    x0, w, plan = state(count, g), weather(g), some_plan(g, 60)
    w = {k: v + g.normal(0, 0.01, (count, STEPS)) for k, v in w.items()}
    parameters = np.array([TWIN.parameters.sample(g) for _ in range(count)])
    batch = TWIN.simulate(x0, w, plan, START, True, parameters)
    for k in range(count):
        row = {s: v[k] for s, v in w.items()}
        single = TWIN.simulate(x0[k : k + 1], row, plan, START, True, parameters[k : k + 1])
        for signal, values in single.traces.items():
            assert np.array_equal(values[0], batch.traces[signal][k]), signal
        assert np.array_equal(single.final_state[0], batch.final_state[k])


@settings(max_examples=6, deadline=None)
@given(SEEDS, st.floats(0.5, 8))
def test_more_heat_never_leaves_anything_colder(seed: int, extra: float) -> None:
    g = np.random.default_rng(seed)
    w = weather(g)
    heat = g.uniform(0, 15, STEPS)
    runs = [
        TWIN.simulate(
            state(1, np.random.default_rng(seed)),
            w,
            {},
            START,
            imposed={"hp.heat_kw": h, "hp.power_kw": h / 3},
        )
        for h in (heat, heat + extra)
    ]
    for signal in ("tank.temp_degc", "zone_north.temp_degc", "zone_south.temp_degc"):
        assert (runs[1].traces[signal] - runs[0].traces[signal]).min() >= -1e-9, signal


def test_a_single_room_without_heat_follows_the_analytic_two_node_step_response() -> None:
    names, values = (
        TWIN.parameters.names,
        dict(zip(TWIN.parameters.names, TWIN.parameters.values, strict=True)),
    )
    values |= {"zones.ua_between_kw_k": 1e-12, "zone_north.gain_per_load": 0.0}
    twin = HubTwin(
        SITE, TWIN.parameters.model_copy(update={"values": tuple(values[n] for n in names)})
    )
    w = {
        s: np.full(STEPS, v)
        for s, v in zip(TWIN.layout.disturbance_signals, (0.0, 0.0, 0.0, 0.0), strict=True)
    }
    cold = np.full(STEPS, 16.0)
    x0 = np.array(
        [[21.0, 21.0, 30.0, 30.0, 10.0, 50.0]]
    )  # a tank colder than the rooms emits nothing
    out = twin.simulate(
        x0, w, {"zone_north.setpoint_degc": cold, "hp.power_set_kw": 0 * cold}, START
    )
    ca, cm = values["zone_north.c_air_kwh_k"], values["zone_north.c_mass_kwh_k"]
    uo, um = values["zone_north.ua_out_kw_k"], values["zone_north.ua_mass_kw_k"]
    # Eigenvalues and amplitudes of the two-node network by hand.
    trace, det = -(uo + um) / ca - um / cm, uo * um / (ca * cm)
    root = np.sqrt(trace**2 / 4 - det)
    fast, slow = trace / 2 - root, trace / 2 + root
    rate0 = -uo * 21.0 / ca
    a = (rate0 - slow * 21.0) / (fast - slow)
    hours = 0.25 * np.arange(1, STEPS + 1)
    expected = a * np.exp(fast * hours) + (21.0 - a) * np.exp(slow * hours)
    assert np.allclose(out.traces["zone_north.temp_degc"][0], expected, rtol=0, atol=1e-8)


def test_the_published_matrices_reproduce_the_simulated_rooms() -> None:
    g = np.random.default_rng(3)
    w, x0 = weather(g), np.array([[21, 20.5, 21, 20.5, 46, 50.0]])
    out = TWIN.simulate(x0, w, {}, START)
    m = TWIN.discrete_thermal(900)
    x = x0[0, :4]
    q = np.stack([out.traces[f"{z}.heat_kw"][0] for z in ("zone_north", "zone_south")])
    for k in range(STEPS):
        x = m.A @ x + m.B @ q[:, k] + m.e_outdoor * w["outdoor.temp_degc"][k] + m.constant
        x = x + m.e_ghi * w["outdoor.ghi_w_m2"][k] + m.e_load * w["building.power_kw"][k]
    # Heat varies inside a step in the simulation and not in the matrices.
    assert np.abs(x - out.final_state[0, :4]).max() < 0.15


def test_thermostats_reach_their_setpoint_without_offset() -> None:
    g = np.random.default_rng(5)
    out = TWIN.simulate(state(1, g), weather(g) | {"outdoor.ghi_w_m2": np.zeros(STEPS)},
                        {"zone_south.setpoint_degc": np.full(STEPS, 22.5)}, START)  # fmt: skip
    assert abs(out.traces["zone_south.temp_degc"][0, -1] - 22.5) < 1e-3
    assert abs(out.traces["zone_north.temp_degc"][0, -1] - 21.0) < 1e-3


def test_after_its_last_value_a_schedule_hands_back_to_the_local_law() -> None:
    g = np.random.default_rng(7)
    w, x0 = weather(g), state(1, g)
    short = TWIN.simulate(x0, w, {"battery.power_set_kw": np.zeros(10)}, START)
    assert np.abs(short.traces["battery.power_kw"][0, :10]).max() == 0.0
    local = TWIN.simulate(x0, w, {}, START)
    assert np.abs(local.traces["battery.power_kw"][0, :10]).max() > 1.0
    assert np.abs(short.traces["battery.power_kw"][0, 10:]).max() > 1.0


def test_faults_do_what_their_names_say() -> None:
    g = np.random.default_rng(9)
    w, x0 = weather(g), np.array([[21, 21, 21, 21, 41, 50.0]])
    dead = TWIN.simulate(x0, w, {}, START, True, faults=[Fault("heat_pump_dead", start_step=8)])
    assert dead.traces["hp.power_kw"][0, 8:].max() == 0.0
    assert dead.traces["tank.temp_degc"][0, -1] < 38
    stuck = TWIN.simulate(x0, w, {"hp.power_set_kw": np.zeros(STEPS)}, START,
                          faults=[Fault("heat_pump_stuck", size=9.0)])  # fmt: skip
    assert stuck.traces["hp.power_kw"].min() == 9.0
    freezing = w | {
        "outdoor.ghi_w_m2": np.zeros(STEPS),
        "outdoor.temp_degc": np.full(STEPS, -2.0),
    }
    cool = np.array([[19, 19, 21, 21, 46, 50.0]])
    fault = Fault("sensor_bias", 2.0, "zone_north.temp_degc")
    biased = TWIN.simulate(cool, freezing, {}, START, faults=[fault])
    assert abs(biased.traces["zone_north.temp_degc"][0, -1] - 21) < 0.05
    assert abs(biased.states["zone_north.air"][0, -1] - 19) < 0.05
    weak = TWIN.simulate(x0, w, {"battery.power_set_kw": np.full(STEPS, 30.0)}, START,
                         faults=[Fault("battery_derate", 0.5)])  # fmt: skip
    assert weak.traces["battery.power_kw"][0, 0] == pytest.approx(15.0)
    with pytest.raises(InputError, match=r"outdoor\.temp_degc"):
        TWIN.simulate(x0, w, {}, START, faults=[Fault("sensor_bias", 1.0, "outdoor.temp_degc")])


def test_wrong_inputs_are_named() -> None:
    g = np.random.default_rng(1)
    w, x0 = weather(g), state(1, g)
    with pytest.raises(InputError, match=r"pv\.power_kw"):
        TWIN.simulate(x0, {k: v for k, v in w.items() if k != "pv.power_kw"}, {}, START)
    with pytest.raises(InputError, match=r"building\.power_kw.*NaN"):
        TWIN.simulate(x0, w | {"building.power_kw": np.full(STEPS, np.nan)}, {}, START)
    with pytest.raises(InputError, match="unknown point"):
        TWIN.simulate(x0, w, {"boiler.power_set_kw": [1.0]}, START)
    with pytest.raises(InputError, match="initial states"):
        TWIN.simulate(np.zeros((1, 3)), w, {}, START)
    with pytest.raises(InputError, match="not those of site"):
        HubTwin(
            SITE,
            TwinParameters(names=("a.b",), values=(1.0,), spaces=("log",), covariance=((0.0,),)),
        )


def test_parameters_survive_a_file_and_their_draws_stay_positive(tmp_path: Path) -> None:
    path = tmp_path / "twin.json"
    save_parameters(path, TWIN.parameters)
    again = load_parameters(path)
    assert again == TWIN.parameters
    assert again.digest == TWIN.digest
    assert not again.fit_for_control
    g = np.random.default_rng(0)
    draws = np.array([again.sample(g) for _ in range(500)])
    log = np.array([s == "log" for s in again.spaces])
    assert draws[:, log].min() > 0
    path.write_text(path.read_text().replace('"values":[', '"values":[1.0,'))
    with pytest.raises(InputError, match="twin parameters"):
        load_parameters(path)


def test_two_hundred_futures_with_three_candidates_take_half_a_second() -> None:
    import time

    g = np.random.default_rng(2)
    n, steps = 600, 168
    w = {k: v + np.zeros((n, steps)) for k, v in weather(g, steps).items()}
    parameters = np.array([TWIN.parameters.sample(g) for _ in range(n)])
    x0, plan = state(n, g), some_plan(g, steps)
    begun = time.process_time()
    TWIN.simulate(x0, w, plan, START, True, parameters)
    assert time.process_time() - begun < 0.5
