"""The building twin's physics: balances, steady states, signs, faults, and what planners read."""

from datetime import UTC, datetime

import numpy as np
import pytest

from graph.errors import InputError
from graph.site import Site
from sandbox.building.parameters import drawing_board
from sandbox.building.twin import BuildingTwin
from sandbox.faults import Fault
from sandbox.parameters import TwinParameters
from sandbox.twin import Rollout, make_twin
from tests.office import office

ZONES = ("core", "south")
SITE = office(ZONES)
MONDAY = datetime(2026, 1, 12, 8, tzinfo=UTC)  # midnight in Los Angeles
SATURDAY = datetime(2026, 1, 17, 8, tzinfo=UTC)
DAY = 96
TEMPS = tuple(f"zone_{z}.temp_degc" for z in ZONES)
POWERS = tuple(f"unit_{z}.power_kw" for z in ZONES)


def weather(outdoor: float = 5.0, ghi: float = 0.0, load: float = 0.0, n: int = DAY) -> dict:
    noon = np.maximum(0.0, np.sin((np.arange(n) % DAY / 4.0 - 7.0) / 10.0 * np.pi))
    return {
        "outdoor.temp_degc": np.full(n, outdoor),
        "outdoor.ghi_w_m2": ghi * noon,
        "building.power_kw": np.full(n, load),
    }


def changed(site: Site, **values: float) -> BuildingTwin:
    """The drawing board's twin without recurring gains, with some parameters set by their key."""
    base = drawing_board(site)
    new = [values.get(n.split(".", 1)[1], v) for n, v in zip(base.names, base.values, strict=True)]
    structure = {**base.structure, "gains_kw": {}}
    return BuildingTwin(
        site, base.model_copy(update={"values": tuple(new), "structure": structure})
    )


TWIN = changed(SITE)


def run(twin: BuildingTwin, temp: float = 21.0, w: dict | None = None, start: datetime = SATURDAY,
        schedules: dict | None = None, **more: object) -> Rollout:  # fmt: skip
    x0 = np.full((1, len(twin.state_names)), temp)
    return twin.simulate(x0, w or weather(), schedules or {}, start, **more)  # type: ignore[arg-type]


def held(low: float, high: float = 30.0) -> dict[str, np.ndarray]:
    points = {f"zone_{z}.heating_setpoint_degc": np.full(10 * DAY, low) for z in ZONES}
    return points | {f"zone_{z}.cooling_setpoint_degc": np.full(10 * DAY, high) for z in ZONES}


def test_make_twin_chooses_the_building_and_refuses_another_kind() -> None:
    assert isinstance(make_twin(SITE, drawing_board(SITE)), BuildingTwin)
    hub = drawing_board(SITE).model_copy(update={"kind": "energy_hub"})
    with pytest.raises(InputError, match="declares a twin of kind building"):
        make_twin(SITE, hub)


def test_parameters_of_another_building_are_refused_by_name() -> None:
    other = drawing_board(office(("core", "south", "east")))
    with pytest.raises(InputError, match="zone_east"):
        BuildingTwin(SITE, other)


def test_without_losses_every_kilowatt_hour_delivered_is_stored() -> None:
    tiny = dict.fromkeys(("ua_out_kw_k", "ua_open_kw_k", "ua_core_out_kw_k"), 1e-12)
    twin = changed(SITE, **tiny)
    r = run(twin, 18.0, schedules=held(21.0))
    value = twin.parameters.value
    stored = sum(
        value(f"zone_{z}.c_{node}_kwh_k") * (r.states[f"zone_{z}.{node}"][0, -1] - 18.0)
        for z in ZONES
        for node in ("air", "mass")
    )
    given = sum(r.traces[f"zone_{z}.heat_kw"][0].sum() * 0.25 for z in ZONES)
    assert given > 10.0
    assert stored == pytest.approx(given, rel=1e-9)


def test_a_steady_house_needs_what_it_loses() -> None:
    n = 10 * DAY
    r = run(TWIN, 21.0, weather(0.0, n=n), SATURDAY, held(21.0))
    value = TWIN.parameters.value
    last = slice(5 * DAY, 5 * DAY + 8)  # a Thursday night: no ventilation, long settled
    for z in ZONES:
        inner, outer = value(f"zone_{z}.ua_mass_kw_k"), value(f"zone_{z}.ua_core_out_kw_k")
        loss = value(f"zone_{z}.ua_out_kw_k") + inner * outer / (inner + outer)
        needed = r.traces[f"zone_{z}.heat_kw"][0, last].mean()
        assert needed == pytest.approx(21.0 * loss, rel=0.1)
        assert abs(r.traces[f"zone_{z}.temp_degc"][0, last] - 21.0).max() < 0.05


def test_sun_load_and_warmth_warm_the_rooms_and_save_heating() -> None:
    base = run(TWIN, 20.0)
    for w in (weather(8.0), weather(ghi=500.0), weather(load=3.0)):
        other = run(TWIN, 20.0, w)
        for signal in TEMPS:
            assert (other.traces[signal] >= base.traces[signal] - 1e-9).all()
            assert other.traces[signal].mean() > base.traces[signal].mean() + 0.01
    cold = run(TWIN, 20.0, schedules=held(22.0))
    mild = run(TWIN, 20.0, weather(10.0), schedules=held(22.0))
    assert sum(cold.traces[p].sum() for p in POWERS) > sum(mild.traces[p].sum() for p in POWERS)


def test_a_higher_setpoint_costs_power_and_a_hot_room_is_cooled_to_its_own() -> None:
    energy = []
    for low in (18.0, 20.0, 22.0):
        r = run(TWIN, 19.0, schedules=held(low))
        energy.append(sum(r.traces[p].sum() for p in POWERS))
        assert r.traces[TEMPS[0]][0, -1] >= min(low, 19.0) - 2.0
    assert energy[0] < energy[1] < energy[2]
    hot = run(TWIN, 28.0, weather(35.0), MONDAY, held(15.0, 24.0))
    assert hot.traces["zone_core.coil_kw"][0, -1] < 0.0
    assert hot.traces[TEMPS[0]][0, 10 * 4] == pytest.approx(24.0, abs=0.1)


def test_no_unit_gives_more_than_it_has() -> None:
    r = run(TWIN, 5.0, weather(-10.0), MONDAY, held(24.0))
    for z in ZONES:
        value = TWIN.parameters.value
        most = value(f"unit_{z}.heating_kw") + value(f"unit_{z}.heating_kw_per_k") * (-10.0 - 8.3)
        coil = r.traces[f"zone_{z}.coil_kw"][0]
        assert coil.max() <= most + 1e-9
        assert coil[0] == pytest.approx(most)


def test_the_grid_carries_the_load_and_every_unit_and_ventilation_runs_the_fan() -> None:
    r = run(TWIN, 22.0, weather(15.0, load=2.0), MONDAY, held(15.0))
    assert r.traces["grid.power_kw"] == pytest.approx(2.0 + sum(r.traces[p] for p in POWERS))
    fan = r.traces["unit_core.power_kw"][0]
    assert fan[2 * 4] == pytest.approx(0.0, abs=1e-9)
    assert fan[8 * 4] == pytest.approx(0.27)
    # Fresh air at 15 degC cools the zone though no coil runs.
    assert r.traces["zone_core.heat_kw"][0, 8 * 4] < 0.0
    assert r.traces["zone_core.coil_kw"][0, 8 * 4] == pytest.approx(0.0, abs=1e-9)


def test_a_future_does_not_depend_on_its_neighbours() -> None:
    twin, base = TWIN, weather(ghi=300.0, load=1.0)
    p = np.array([twin.parameters.sample(np.random.default_rng(k)) for k in range(5)])
    x0 = 19.0 + np.arange(5.0)[:, None] + np.zeros((5, len(twin.state_names)))
    w = {s: v[None] * np.linspace(0.8, 1.2, 5)[:, None] for s, v in base.items()}
    extra = {"zone_core.unexplained_kw": np.linspace(-0.5, 0.5, 5)[:, None] * np.ones(DAY)}
    together = twin.simulate(x0, w | extra, {}, MONDAY, parameters=p)
    for k in (0, 3):
        only = slice(k, k + 1)
        alone = twin.simulate(x0[only], {s: v[only] for s, v in (w | extra).items()}, {}, MONDAY,
                              parameters=p[only])  # fmt: skip
        for signal, values in together.traces.items():
            assert values[only].tobytes() == alone.traces[signal].tobytes(), signal


def test_unexplained_heat_and_power_errors_act_where_they_are_named() -> None:
    plain = run(TWIN, 20.0)
    w = weather() | {"zone_core.unexplained_kw": np.full(DAY, 0.5),
                     "unit_south.power_error_kw": np.full(DAY, 0.2)}  # fmt: skip
    moved = run(TWIN, 20.0, w)
    assert (moved.traces[TEMPS[0]] > plain.traces[TEMPS[0]]).all()
    rise = moved.traces["unit_south.power_kw"] - plain.traces["unit_south.power_kw"]
    assert rise[0, :40] == pytest.approx(0.2)  # before the warmer core is felt next door


def test_imposed_heat_replaces_the_thermostat_and_gaps_leave_it_alone() -> None:
    given = np.full(DAY, 1.5)
    given[40:] = np.nan
    r = run(TWIN, 20.0, imposed={"zone_core.heat_kw": given}, schedules=held(22.0))
    assert r.traces["zone_core.heat_kw"][0, :40] == pytest.approx(1.5)
    assert r.traces[TEMPS[0]][0, -1] == pytest.approx(22.0, abs=0.1)


def test_faults_of_units_and_sensors_show_as_they_would() -> None:
    dead = run(TWIN, 21.0, start=MONDAY, schedules=held(22.0),
               faults=[Fault("unit_dead", signal="unit_core")])  # fmt: skip
    assert dead.traces["zone_core.coil_kw"] == pytest.approx(0.0)
    assert dead.traces["unit_core.power_kw"] == pytest.approx(0.0)
    assert dead.traces[TEMPS[0]][0, -1] < dead.traces[TEMPS[1]][0, -1] - 1.0
    weak = run(TWIN, 21.0, schedules=held(22.0),
               faults=[Fault("unit_weak", 0.5, signal="unit_core")])  # fmt: skip
    fine = run(TWIN, 21.0, schedules=held(22.0))
    ratio = weak.traces["unit_core.power_kw"][0, 60:] / fine.traces["unit_core.power_kw"][0, 60:]
    assert 1.5 < ratio.mean() < 2.1
    biased = run(TWIN, 21.0, schedules=held(22.0),
                 faults=[Fault("sensor_bias", 1.0, TEMPS[0])])  # fmt: skip
    assert biased.traces[TEMPS[0]][0, -1] == pytest.approx(22.0, abs=0.1)
    assert biased.states["zone_core.air"][0, -1] == pytest.approx(21.0, abs=0.1)
    stuck = run(TWIN, 19.0, schedules=held(22.0),
                faults=[Fault("sensor_stuck", signal=TEMPS[0], start_step=20)])  # fmt: skip
    assert np.ptp(stuck.traces[TEMPS[0]][0, 20:]) == 0.0
    assert stuck.traces[TEMPS[0]][0, 20] == pytest.approx(stuck.traces[TEMPS[0]][0, 19])
    with pytest.raises(InputError, match="battery_derate"):
        run(TWIN, faults=[Fault("battery_derate", 0.5)])


def follow_matrices(twin: BuildingTwin, r: Rollout, w: dict, start: datetime) -> np.ndarray:
    """Air (N, Z) by the planner's matrices under the coil heat that the simulation used."""
    a, b = twin.zone_matrices(900.0)
    f = twin.zone_forcing(w, start, DAY)
    x, found = np.full(len(twin.state_names), 21.0), []
    for k in range(DAY):
        q = [r.traces[f"zone_{z}.coil_kw"][0, k] for z in ZONES]
        x = a @ x + b @ np.array(q) + f[:, k]
        found.append(x[list(twin.zone_air)])
    return np.array(found)


def test_the_planners_matrices_say_what_the_simulation_does() -> None:
    w = weather(3.0, 400.0, 2.0)
    quiet = SITE.model_copy(
        update={"baseline": SITE.baseline.model_copy(update={"ventilation": ()})}
    )
    for site, tolerance in ((quiet, 1e-3), (SITE, 0.2)):
        # With ventilation the loss depends on the hour, and the matrices have its mean.
        twin = changed(site)
        r = run(twin, 21.0, w, MONDAY, held(21.0))
        air = follow_matrices(twin, r, w, MONDAY)
        for i, z in enumerate(ZONES):
            assert np.abs(air[:, i] - r.states[f"zone_{z}.air"][0]).max() < tolerance


def test_planners_read_power_and_limits_that_the_simulation_keeps() -> None:
    w = weather(3.0)
    r = run(TWIN, 19.0, w, MONDAY, held(22.0))
    heating, _ = TWIN.unit_cop("unit_core", w["outdoor.temp_degc"], MONDAY)
    base = TWIN.unit_base_kw("unit_core", MONDAY, DAY, w["outdoor.temp_degc"])
    expected = base + r.traces["zone_core.coil_kw"][0] / heating
    assert r.traces["unit_core.power_kw"][0] == pytest.approx(expected, rel=1e-6)
    assert TWIN.zone_heat_limits("zone_core") == (6.0, 5.0)


def test_units_that_serve_several_zones_share_what_they_have() -> None:
    one = SITE.model_dump(mode="json")
    for asset in one["assets"]:
        if asset["kind"] == "zone":
            asset["source"] = "unit_core"
    one["assets"] = [a for a in one["assets"] if a["id"] != "unit_south"]
    one["signals"] = [s for s in one["signals"] if not s["id"].startswith("unit_south")]
    twin = changed(Site.model_validate(one))
    r = run(twin, 10.0, weather(8.3), MONDAY, held(24.0))
    total = r.traces["zone_core.coil_kw"] + r.traces["zone_south.coil_kw"]
    assert total.max() == pytest.approx(6.0)
    assert (r.traces["zone_south.coil_kw"][0, 30:32] > 0.0).all()


def test_the_drawing_board_never_claims_to_be_fit_unless_asked() -> None:
    plain: TwinParameters = drawing_board(SITE)
    assert not plain.fit_for_control
    assert drawing_board(SITE, claim_fit_for_control=True).fit_for_control
    assert plain.digest == drawing_board(SITE).digest
    assert len(plain.sample(np.random.default_rng(0))) == len(plain.names)


def test_a_site_that_is_no_building_is_refused_by_what_it_lacks() -> None:
    document = SITE.model_dump(mode="json")
    for asset in document["assets"]:
        asset.pop("latitude_deg", None)
    with pytest.raises(InputError, match="no place"):
        drawing_board(Site.model_validate(document))
