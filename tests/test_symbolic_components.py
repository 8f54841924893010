"""Each behavioural model meets the numbers that its source publishes, or the exact solution."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.linalg import expm

from graph.errors import InputError
from sandbox.symbolic.batch import BatchSimulator
from sandbox.symbolic.components.battery import battery
from sandbox.symbolic.components.exchanger import ARRANGEMENTS, Arrangement, heat_exchanger
from sandbox.symbolic.components.heat_pump import heat_pump
from sandbox.symbolic.components.hydraulics import CV_PER_KV, pump, valve
from sandbox.symbolic.components.lookup import table
from sandbox.symbolic.components.photovoltaics import photovoltaics
from sandbox.symbolic.components.reactor import reactor
from sandbox.symbolic.components.tank import WATER_KJ_KG_K, tank
from sandbox.symbolic.components.thermal import Zone, iso13790_zone, thermal_network
from sandbox.symbolic.components.transfer_function import transfer_function
from sandbox.symbolic.linear import jacobians, steady_state
from sandbox.symbolic.model import SymbolicModel, parameter_vector


def run(
    model: SymbolicModel, x0: Sequence[float], u: Mapping[str, ArrayLike], step_s: float,
    steps: int = 1, substeps: int = 1, **changed: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """States and outputs by name, (N,), of one run."""
    columns = [np.broadcast_to(u[n], (steps,)) for n in model.input_names]
    inputs = np.stack(columns, axis=1) if columns else np.empty((steps, 0))
    batch = BatchSimulator(model, step_s, substeps, "numpy")
    x, y = batch.run(np.reshape(x0, (1, -1)), inputs, parameter_vector(model, changed))
    found = {n: y[0, :, i] for i, n in enumerate(model.output_names)}
    return {**found, **{n: x[0, :, i] for i, n in enumerate(model.state_names)}}


def at(model: SymbolicModel, u: Mapping[str, ArrayLike], **changed: float) -> dict[str, np.ndarray]:
    """Outputs of a model without states, for each entry of u."""
    steps = max(np.size(v) for v in u.values())
    return run(model, [], u, 1.0, steps, **changed)


# Thermal networks -----------------------------------------------------------------------------


def test_a_thermocouple_bead_takes_the_time_of_incroperas_example() -> None:
    """Example 5.1: 0.706 mm bead, 25 -> 199 degC in gas at 200 degC and 400 W/m2K: 5.2 s."""
    diameter = 7.06e-4
    ua = 400.0 * math.pi * diameter**2 / 1000.0
    capacity = 8500.0 * 400.0 * math.pi * diameter**3 / 6.0 / 3.6e6
    bead = thermal_network([Zone("bead", 1, c_air_kwh_k=capacity, ua_out_kw_k=ua)])
    u = {"outdoor_degc": 200.0, "ghi_w_m2": 0.0, "bead.heat_kw": 0.0}
    found = run(bead, [25.0], u, 0.1, 60)["bead.temp_degc"]
    assert 5.15 <= 0.1 * (np.searchsorted(found, 199.0) + 1) <= 5.25


def test_two_nodes_follow_the_closed_form_of_their_two_time_constants() -> None:
    zone = Zone("z", 2, c_air_kwh_k=0.5, c_mass_kwh_k=8.0, ua_out_kw_k=0.15, ua_mass_kw_k=0.9,
                sun_aperture_m2=3.0, sun_into_mass=0.4)  # fmt: skip
    model = thermal_network([zone])
    u = {"outdoor_degc": -5.0, "ghi_w_m2": 300.0, "z.heat_kw": 2.5}
    found = run(model, [20.0, 18.0], u, 900.0, 96, 15)
    sun = 3.0 * 0.3
    ca, cm, uo, um = 0.5, 8.0, 0.15, 0.9
    rest_air = -5.0 + (2.5 + sun) / uo
    rest_mass = rest_air + 0.4 * sun / um
    trace, product = -(uo + um) / ca - um / cm, uo * um / (ca * cm)
    root = math.sqrt(trace**2 - 4 * product)
    fast, slow = (trace - root) / 2, (trace + root) / 2
    start_air, start_mass = 20.0 - rest_air, 18.0 - rest_mass
    rate = (-(uo + um) * start_air + um * start_mass) / ca
    weight = (rate - slow * start_air) / (fast - slow)
    hours = 0.25 * np.arange(1, 97)
    exact = rest_air + weight * np.exp(fast * hours)
    exact = exact + (start_air - weight) * np.exp(slow * hours)
    assert np.allclose(found["z.temp_degc"], exact, rtol=0, atol=2e-5)


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_coupled_zones_rest_where_conductances_say_and_lose_what_they_are_given(nodes: int) -> None:
    zones = [Zone("a", nodes), Zone("b", nodes, ua_out_kw_k=0.3)]
    model = thermal_network(zones, {("a", "b"): 0.25})
    u = {"outdoor_degc": 0.0, "ghi_w_m2": 0.0, "a.heat_kw": 3.0, "b.heat_kw": 0.0}
    x = steady_state(model, [u[n] for n in model.input_names])
    by_name = dict(zip(model.state_names, x, strict=True))
    if nodes < 3:
        side = 1 / (1 / 0.25 + 1 / 0.3)
        assert by_name["a.air_degc"] == pytest.approx(3.0 / (0.1 + side), rel=1e-9)
    else:  # mass and envelope are a second way out

        def out(ua: float) -> float:
            return ua + 1 / (1 / 1.0 + 1 / 0.5 + 1 / 0.2)

        side = 1 / (1 / 0.25 + 1 / out(0.3))
        assert by_name["a.air_degc"] == pytest.approx(3.0 / (out(0.1) + side), rel=1e-9)
    with pytest.raises(InputError, match="coupling names c"):
        thermal_network(zones, {("a", "c"): 1.0})


def test_the_iso_13790_zone_loses_in_balance_what_it_is_given() -> None:
    """At rest all gains leave by ventilation, windows and opaque parts, whatever the node."""
    zone = iso13790_zone(100.0, 0.05, 0.04, 0.08, 100 * 165 / 3600, 250.0)
    u = {"outdoor_degc": -3.0, "supply_degc": 2.0, "heat_kw": 3.0, "air_gain_kw": 0.4,
         "surface_gain_kw": 0.6, "mass_gain_kw": 0.8}  # fmt: skip
    (mass,) = steady_state(zone, [u[n] for n in zone.input_names])
    at_rest = run(zone, [mass], u, 3600.0)
    assert at_rest["mass_degc"][0] == pytest.approx(mass, abs=1e-9)
    lost = 0.05 * (at_rest["temp_degc"] - 2.0) + 0.04 * (at_rest["surface_degc"] + 3.0)
    lost = lost + 0.08 * (mass + 3.0)
    assert lost[0] == pytest.approx(4.8, rel=1e-9)
    # 13.2.1: tau = C_m / (H_tr + H_ve) is the slow time constant of a building well coupled inside
    tau_h = -1 / jacobians(zone, [mass], [u[n] for n in zone.input_names])[0][0, 0] / 3600
    assert tau_h == pytest.approx(100 * 165 / 3600 / 0.17, rel=0.12)


# Tank -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3, 10])
def test_a_flushed_tank_washes_out_as_stirred_tanks_in_series(layers: int) -> None:
    model = tank(500.0, layers, ua_kw_k=0.0, mixing_kw_k=0.0)
    u = {"flow_kg_s": 0.2, "inlet_degc": 60.0, "heat_top_kw": 0.0, "heat_bottom_kw": 0.0,
         "ambient_degc": 20.0}  # fmt: skip
    found = run(model, [20.0] * layers, u, 100.0, 50, 4)["outlet_degc"]
    turnover = layers * 0.2 * 100.0 * np.arange(1, 51) / 500.0
    terms = [turnover**k / math.factorial(k) for k in range(layers)]
    exact = 60.0 - 40.0 * np.exp(-turnover) * sum(terms)
    assert np.allclose(found, exact, rtol=0, atol=1e-4)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**31))
def test_a_stratified_tank_keeps_its_books_and_turns_over_when_heated_from_below(seed: int) -> None:
    g = np.random.default_rng(seed)
    model, x0 = tank(300.0, 5, ua_kw_k=0.003), np.sort(g.uniform(20, 60, 5))[::-1]
    flow, inlet = g.uniform(-0.05, 0.05, 24), g.uniform(20, 60, 24)
    u = {"flow_kg_s": flow, "inlet_degc": inlet, "heat_top_kw": 0.0,
         "heat_bottom_kw": g.uniform(0, 6, 24), "ambient_degc": 18.0}  # fmt: skip
    still = run(model, x0, {**u, "flow_kg_s": 0.0}, 300.0, 24, 20)
    stored = 300 * WATER_KJ_KG_K / 3600 * np.diff(still["mean_degc"], prepend=x0.mean())
    given_kwh = (u["heat_bottom_kw"] - still["loss_kw"]) * 300 / 3600
    assert np.allclose(stored, given_kwh, rtol=0, atol=1e-9)
    layers = np.array([still[n] for n in model.state_names])
    # Mixing moves 5 kW per K of inversion: 6 kW from below can hold up 1.2 K between neighbours.
    assert np.diff(layers, axis=0).max() < 1.3


# Pump and valve -------------------------------------------------------------------------------


def test_a_pump_obeys_the_affinity_laws_and_stops_below_its_static_head() -> None:
    speeds = np.array([1.0, 0.8, 0.5])
    found = at(pump(30.0, 40.0, 20.0), {"speed": speeds})
    assert found["flow_m3_h"][0] == pytest.approx(40.0)
    assert found["head_m"][0] == pytest.approx(20.0)
    hydraulic = 40.0 / 3600 * 1000 * 9.80665 * 20.0 / 1000
    assert found["power_kw"][0] == pytest.approx(hydraulic / 0.7)
    for name, power in (("flow_m3_h", 1), ("head_m", 2), ("power_kw", 3)):
        assert np.allclose(found[name] / found[name][0], speeds**power, rtol=1e-12)
    lifted = at(pump(30.0, 40.0, 20.0, static_head_m=10.0), {"speed": [1.0, 0.57, 0.6]})
    assert lifted["flow_m3_h"][1] == 0.0  # 0.57^2 x 30 m < 10 m
    assert lifted["flow_m3_h"][2] > 0.0


def test_a_valve_passes_its_kv_at_one_bar_and_its_cv_at_one_psi() -> None:
    linear, equal = valve(16.0, "linear"), valve(16.0)
    opening = {"opening": [0.0, 0.25, 0.5, 1.0], "dp_bar": 1.0}
    assert np.allclose(at(linear, opening)["flow_m3_h"], [0, 4, 8, 16])
    factors = at(equal, opening)["opening_factor"]
    # IEC 60534-2-4 with rangeability 50: 2 % near the seat, 14.1 % at half travel.
    assert np.allclose(factors, [0, 50**-0.75, 0.1414, 1], atol=5e-5)
    gallons_per_minute = 1 / 0.2271247  # in one m3/h
    one_psi = at(linear, {"opening": [1.0], "dp_bar": [0.0689476]})["flow_m3_h"][0]
    assert one_psi * gallons_per_minute == pytest.approx(16.0 * CV_PER_KV, rel=1e-3)
    brine = at(linear, {"opening": [1.0], "dp_bar": [4.0]}, specific_gravity=1.21)
    assert brine["flow_m3_h"][0] == pytest.approx(16.0 * 2.0 / 1.1)


# Heat exchanger -------------------------------------------------------------------------------


def test_a_counterflow_exchanger_meets_incroperas_example() -> None:
    """Example 11.1: oil 0.1 kg/s, 100 -> 60 degC; water 0.2 kg/s from 30 degC; UA = q / 43.2 K."""
    hot, cold = 0.1 * 2.131, 0.2 * 4.178
    found = at(heat_exchanger(8.524 / 43.2), {"hot_in_degc": [100.0], "cold_in_degc": [30.0],
                                              "hot_kw_k": [hot], "cold_kw_k": [cold]})  # fmt: skip
    assert found["heat_kw"][0] == pytest.approx(8.524, rel=2e-3)
    assert found["hot_out_degc"][0] == pytest.approx(60.0, abs=0.1)
    assert found["cold_out_degc"][0] == pytest.approx(40.2, abs=0.05)


def exact_effectiveness(arrangement: str, ntu: float, cr: float) -> float:
    """From the streams' own differential equations; hot (C_min) enters at 1, cold at 0."""
    if arrangement == "crossflow_unmixed":
        n = 400  # cells each way, each exchanging at its mean temperatures
        hot, cold = np.ones(n), np.zeros(n)
        a, b = ntu / n, cr * ntu / n
        for column in range(n):
            for row in range(n):  # hot[row] moves along columns, cold[column] along rows
                q = (hot[row] - cold[column]) / (1 + (a + b) / 2)
                hot[row], cold[column] = hot[row] - a * q, cold[column] + b * q
        return float(1 - hot.mean())
    a, b = ntu, cr * ntu
    if arrangement == "shell_and_tube":  # shell, tubes there, tubes back
        moved = expm(np.array([[-a, a / 2, a / 2], [b / 2, -b / 2, 0], [-b / 2, 0, b / 2]]))
        # there(0) = 0, there(1) = back(1); shell(0) = 1; back(0) is what leaves
        ends = moved[1] - moved[2]
        return float(-ends[0] / ends[2] / cr)
    sign = 1.0 if arrangement == "parallel" else -1.0
    moved = expm(np.array([[-a, a], [sign * b, -sign * b]]))
    if arrangement == "parallel":
        return float(1 - moved[0, 0])
    return float(1 - (moved[0, 0] - moved[0, 1] * moved[1, 0] / moved[1, 1]))


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_effectiveness_solves_the_streams_own_equations(arrangement: Arrangement) -> None:
    # The crossflow relation is itself an approximation, good to one percent.
    tolerance = 0.01 if arrangement == "crossflow_unmixed" else 1e-9
    for ntu, cr in ((0.5, 0.3), (2.0, 0.5), (3.0, 0.9)):
        u = {"hot_in_degc": 90.0, "cold_in_degc": 10.0, "hot_kw_k": [1.0], "cold_kw_k": [1.0 / cr]}
        eps = at(heat_exchanger(ntu, arrangement), u)["effectiveness"][0]
        assert eps == pytest.approx(exact_effectiveness(arrangement, ntu, cr), rel=tolerance)
    model = heat_exchanger(2.0, arrangement)
    u = {"hot_in_degc": 90.0, "cold_in_degc": 10.0, "hot_kw_k": [1.0, 0.0, 2.0, 1.0],
         "cold_kw_k": [1e6, 1.0, 1.0, 2.0]}  # fmt: skip
    found = at(model, u)
    assert found["effectiveness"][0] == pytest.approx(1 - math.exp(-2), rel=1e-4)  # Cr = 0
    assert found["heat_kw"][1] == 0.0
    assert found["hot_out_degc"][1] == 90.0
    assert found["effectiveness"][2] == pytest.approx(found["effectiveness"][3])  # symmetric


def test_a_balanced_counterflow_exchanger_has_its_limit() -> None:
    u = {"hot_in_degc": 90.0, "cold_in_degc": 10.0, "hot_kw_k": 1.0, "cold_kw_k": [1.0, 1.0 + 1e-4]}
    eps = at(heat_exchanger(2.0), u)["effectiveness"]
    assert eps[0] == pytest.approx(2 / 3)
    assert eps[1] == pytest.approx(2 / 3, rel=1e-4)


# Reactor --------------------------------------------------------------------------------------


def test_the_reactor_of_seborg_rests_unstably_at_its_published_point() -> None:
    model = reactor()
    u = [0.1 / 60, 1000.0, 350.0, 300.0]
    x = steady_state(model, u, guess=[500.0, 350.0])
    assert x[0] == pytest.approx(500.0, abs=2.0)  # 0.5 mol/l
    assert x[1] == pytest.approx(350.0, abs=0.1)
    assert np.linalg.eigvals(jacobians(model, x, u)[0]).real.max() > 0


def test_the_reactor_of_bequette_has_his_three_steady_states() -> None:
    """Module 9, case 2: (8.564, 311.2), (5.518, 339.1), (2.359, 368.1) in kmol/m3 and K."""
    kcal = 4.184
    model = reactor(1.0, 9703.0, 11843 / 1.987, 5960 * kcal / 1000, 500 * kcal, 150 * kcal / 3600)
    u = [1.0 / 3600, 10_000.0, 298.0, 298.0]
    published = [(8564.0, 311.2), (5518.0, 339.1), (2359.0, 368.1)]
    for (c, temp), stable in zip(published, (True, False, True), strict=True):
        x = steady_state(model, u, guess=[c * 1.02, temp + 1.0])
        assert x[0] == pytest.approx(c, abs=3.0)
        assert x[1] == pytest.approx(temp, abs=0.1)
        assert (np.linalg.eigvals(jacobians(model, x, u)[0]).real.max() < 0) == stable


# Battery, photovoltaics, heat pump ------------------------------------------------------------


def test_a_battery_returns_the_square_of_its_efficiency_and_keeps_its_bounds() -> None:
    eta = math.sqrt(0.85)  # NREL's annual technology baseline: 85 % round trip
    model = battery(100.0, 50.0, 50.0, eta, soc_min_pct=10.0, soc_max_pct=90.0)
    there = run(model, [40.0], {"power_set_kw": 20.0}, 3600.0)
    assert there["soc_pct"][0] == pytest.approx(40 + 20 * eta)
    back = run(model, there["soc_pct"], {"power_set_kw": -20.0 * eta**2}, 3600.0)
    assert back["soc_pct"][0] == pytest.approx(40.0)
    ends = run(model, [50.0], {"power_set_kw": [80.0] * 12 + [-80.0] * 12}, 900.0, 24, 30)
    assert ends["power_kw"][0] == pytest.approx(50.0)
    assert 89.9 < ends["soc_pct"][11] <= 90.0
    assert 10.0 <= ends["soc_pct"][-1] < 10.1
    stored = np.diff(ends["soc_pct"], prepend=50.0)
    assert np.allclose((ends["power_kw"] - ends["loss_kw"]) * 0.25, stored, rtol=0, atol=1e-9)
    idle = run(battery(10.0, 5.0, 5.0, standby_kw=0.1), [2.0], {"power_set_kw": 0.0}, 3600.0, 9, 60)
    assert idle["soc_pct"][0] == pytest.approx(1.0, abs=0.01)
    assert (idle["soc_pct"] >= 0).all()


def test_photovoltaics_equal_pvlibs_pvwatts() -> None:
    pvlib = pytest.importorskip("pvlib")
    g = np.random.default_rng(3)
    sun, air = np.append(g.uniform(0, 1150, 200), [0.0, 1200.0]), g.uniform(-15, 42, 202)
    found = at(photovoltaics(30.0, 24.0), {"irradiance_w_m2": sun, "air_degc": air})
    cell = pvlib.temperature.ross(sun, air, noct=45.0)
    assert np.allclose(found["cell_degc"], cell, rtol=1e-12)
    dc = pvlib.pvsystem.pvwatts_dc(sun, cell, 30.0, -0.0035) * (1 - 0.14)
    ac = pvlib.inverter.pvwatts(dc, 24.0 / 0.96, 0.96)
    assert (ac == 24.0).any()
    assert (ac < 20.0).any()
    assert np.allclose(found["power_kw"], ac, rtol=1e-9, atol=1e-12)


def test_a_heat_pump_declines_with_the_lift_as_staffells_field_regression() -> None:
    lifts = np.array([28.0, 33.0, 38.0, 45.0, 52.0])

    def staffell(lift: np.ndarray) -> np.ndarray:
        return 6.81 - 0.121 * lift + 0.000630 * lift**2

    u = {"power_set_kw": 2.0, "sink_degc": 35.0, "source_degc": 35.0 - lifts}
    found = at(heat_pump(float(staffell(lifts)[0])), u)
    assert found["cop"][0] == pytest.approx(staffell(lifts)[0])
    assert np.allclose(found["cop"], staffell(lifts), rtol=0.09)
    assert np.allclose(found["heat_kw"], 2.0 * found["cop"])
    affine = at(heat_pump(4.0, law="affine"), {"power_set_kw": [0.0, 1.0, 2.0, 9.0],
                "source_degc": [7.0, 7.0, -3.0, 7.0], "sink_degc": [35.0, 35.0, 35.0, 45.0]},
                min_power_kw=3.0, max_power_kw=6.0)  # fmt: skip
    assert np.allclose(affine["cop"], [4.0, 4.0, 3.2, 3.3])
    assert np.allclose(affine["power_kw"], [0.0, 0.0, 3.0, 6.0])  # below half the least: off


# Transfer functions and tables ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("numerator", "denominator"),
    [([2.0], [5.0, 1.0]), ([1.0, 3.0], [1.0, 0.8, 4.0]), ([2.0, 1.0, 1.0], [3.0, 2.0, 1.0]),
     ([-1.0, 1.0], [1.0, 3.0, 3.0, 1.0]), ([0.0, 4.0], [1.0])],
)  # fmt: skip
def test_a_transfer_function_steps_as_scipys(
    numerator: list[float], denominator: list[float]
) -> None:
    from scipy import signal

    model = transfer_function(numerator, denominator)
    steps = 80
    found = run(model, [0.0] * len(model.states), {"u": 1.0}, 0.25, steps, 25)["y"]
    at_times = 0.25 * np.arange(0, steps + 1)
    top = np.trim_zeros(numerator, "f")
    if len(denominator) > 1:
        _, exact = signal.step((top, denominator), T=at_times)
    else:
        exact = np.full(steps + 1, top[0] / denominator[0])
    assert np.allclose(found, exact[1:], rtol=0, atol=1e-8)


def test_an_improper_transfer_function_is_refused() -> None:
    with pytest.raises(InputError, match="not proper"):
        transfer_function([1.0, 0.0, 0.0], [1.0, 1.0])


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31))
def test_tables_interpolate_as_numpy_and_scipy_and_hold_their_edges(seed: int) -> None:
    from scipy.interpolate import RegularGridInterpolator

    g = np.random.default_rng(seed)
    x, y = (np.cumsum(g.uniform(0.1, 2, n)) for n in (6, 4))
    one, two = g.normal(size=6), g.normal(size=(6, 4))
    points = g.uniform(-1, 14, (60, 2))
    points[:6, 0] = x
    assert np.allclose(
        at(table(x.tolist(), one), {"x": points[:, 0]})["value"], np.interp(points[:, 0], x, one)
    )
    inside = np.clip(points, [x[0], y[0]], [x[-1], y[-1]])
    exact = RegularGridInterpolator((x, y), two)(inside)
    found = at(table(x.tolist(), two, y.tolist()), {"x": points[:, 0], "y": points[:, 1]})
    assert np.allclose(found["value"], exact, rtol=1e-9, atol=1e-9)


def test_a_table_with_unordered_knots_is_refused() -> None:
    with pytest.raises(InputError, match="increasing"):
        table([0.0, 2.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="one finite number a knot"):
        table([0.0, 1.0], [1.0, 2.0, 3.0])


def test_every_component_names_units_and_source() -> None:
    models = [tank(100.0), pump(30.0, 40.0, 20.0), valve(1.0), heat_exchanger(1.0), reactor(),
              battery(1.0, 1.0, 1.0), photovoltaics(1.0), heat_pump(), table([0, 1], [0, 1]),
              transfer_function([1.0], [1.0, 1.0]), thermal_network([Zone("z", 3)])]  # fmt: skip
    for model in models:
        assert model.source
        named = (*model.states, *model.inputs, *model.parameters, *model.outputs)
        assert all(v.unit for v in named), model.name
        assert model.written.outputs.shape[0] == len(model.outputs)
    assert len({m.name for m in models}) == len(models)
