"""Air handlers that serve several zones: a least flow of cold air, reheat, and who gets it."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from graph.errors import InputError
from graph.site import Site
from graph.sitepack import load_site
from sandbox.building.equations import COOLING_RATED_DEGC, LEAST_COP
from sandbox.building.layout import building_layout
from sandbox.building.names import parameter_names, space_of, textbook
from sandbox.building.parameters import drawing_board
from sandbox.building.predict import input_table, predict, states_of, window_rows
from sandbox.building.rows import Rows, last_weeks, prepare_rows
from sandbox.building.structure import structure_from
from sandbox.building.twin import BuildingTwin
from sandbox.building.unit_fit import fit_fresh_air
from sandbox.parameters import TwinParameters, covariance_rows, load_parameters
from tests.office import office

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"
ZONES = ("zone_core", "zone_south")
MONDAY = datetime(2026, 1, 12, 8, tzinfo=UTC)  # midnight in Los Angeles
DAY, NOON = 96, slice(44, 52)


def shared_unit() -> Site:
    """Two zones on one unit."""
    document = office(("core", "south")).model_dump(mode="json")
    for asset in document["assets"]:
        if asset["kind"] == "zone":
            asset["source"] = "unit_core"
    for part in ("assets", "signals"):
        document[part] = [a for a in document[part] if not a["id"].startswith("unit_south")]
    return Site.model_validate(document)


SITE = shared_unit()


def twin_with(supplied: tuple[str, ...], **values: float) -> BuildingTwin:
    """The textbook's twin whose `supplied` zones get a least flow; parameters by their key."""
    base = drawing_board(SITE)
    document = {**base.structure, "gains_kw": {}, "supplied": list(supplied)}
    structure = structure_from(document, ZONES)
    layout = building_layout(SITE)
    names = parameter_names(layout, structure)
    guess = textbook(layout, structure)
    return BuildingTwin(SITE, TwinParameters(
        kind="building", names=names, spaces=tuple(space_of(n) for n in names),
        values=tuple(values.get(n.split(".", 1)[1], guess[n]) for n in names),
        covariance=covariance_rows(np.zeros((len(names), len(names)))),
        structure=structure.as_dict(),
    ))  # fmt: skip


def weather(outdoor: float) -> dict[str, np.ndarray]:
    return {"outdoor.temp_degc": np.full(DAY, outdoor), "outdoor.ghi_w_m2": np.zeros(DAY),
            "building.power_kw": np.zeros(DAY)}  # fmt: skip


def day(twin: BuildingTwin, low: float, high: float, outdoor: float = 12.0) -> dict:
    points = {f"{z}.heating_setpoint_degc": np.full(DAY, low) for z in ZONES}
    points |= {f"{z}.cooling_setpoint_degc": np.full(DAY, high) for z in ZONES}
    x0 = np.full((1, len(twin.state_names)), 21.0)
    return twin.simulate(x0, weather(outdoor), points, MONDAY).traces


def test_a_least_flow_of_cold_air_is_reheated_and_paid_for_twice() -> None:
    flow = twin_with(ZONES, ua_supply_kw_k=0.1, supply_degc=14.0)
    r = day(flow, 21.0, 28.0)
    still = day(twin_with(ZONES, ua_supply_kw_k=1e-9), 21.0, 28.0)
    cold = 0.1 * (21.0 - 14.0)
    for z in ZONES:
        assert r[f"{z}.temp_degc"][0, NOON] == pytest.approx(21.0, abs=0.1)
        # The meter sees the sum, which is what the room needs with or without the flow.
        more = r[f"{z}.coil_kw"][0, NOON] - still[f"{z}.coil_kw"][0, NOON]
        assert more == pytest.approx(cold, rel=0.1)
        assert r[f"{z}.heat_kw"][0, NOON] == pytest.approx(still[f"{z}.heat_kw"][0, NOON], abs=0.1)
    value = flow.parameters.value
    cop = value("unit_core.cop_cooling") + value("unit_core.cop_cooling_per_k") * (
        12.0 - COOLING_RATED_DEGC
    )
    assert cop > LEAST_COP
    heating, _ = flow.unit_cop("unit_core", np.full(DAY, 12.0))
    coils = sum(r[f"{z}.coil_kw"][0, NOON] for z in ZONES)
    expected = value("unit_core.fan_kw") + coils / heating[NOON] + len(ZONES) * cold / cop
    assert r["unit_core.power_kw"][0, NOON] == pytest.approx(expected, rel=0.02)


def test_at_night_a_zone_that_calls_brings_cold_air_to_its_neighbour() -> None:
    flow = twin_with(ZONES, ua_supply_kw_k=0.2, supply_degc=14.0)
    x0 = np.full((1, len(flow.state_names)), 21.0)
    quiet = {f"{z}.cooling_setpoint_degc": np.full(DAY, 29.0) for z in ZONES}
    calling = {**quiet, "zone_core.cooling_setpoint_degc": np.full(DAY, 20.0)}
    low = {f"{z}.heating_setpoint_degc": np.full(DAY, 15.0) for z in ZONES}
    runs = [flow.simulate(x0, weather(20.0), low | p, MONDAY).traces for p in (quiet, calling)]
    neighbour = [r["zone_south.heat_kw"][0, :8] for r in runs]
    assert (neighbour[0] == 0.0).all()
    assert (neighbour[1] < -0.5).all()


def test_the_same_flow_cools_a_warmer_room_more() -> None:
    flow = twin_with(ZONES, ua_supply_kw_k=0.05, supply_degc=14.0, most_cooling_kw=0.2)
    mild, hot = (day(flow, 15.0, 20.0, outdoor) for outdoor in (24.0, 40.0))
    for r in (mild, hot):
        for z in ZONES:
            air, coil = r[f"{z}.temp_degc"][0, NOON], r[f"{z}.coil_kw"][0, NOON]
            assert (air > 20.5).all()  # the flow is all that it gets
            assert coil == pytest.approx(-0.2 * (air - 14.0) / (24.0 - 14.0), rel=0.02)
    assert (hot["zone_core.coil_kw"][0, NOON] < 1.1 * mild["zone_core.coil_kw"][0, NOON]).all()


def test_planners_read_limits_and_base_power_of_a_least_flow() -> None:
    flow = twin_with(("zone_south",), ua_supply_kw_k=0.1, supply_degc=14.0, most_heating_kw=2.5)
    assert flow.zone_heat_limits("zone_south")[0] == 2.5
    outdoor = np.full(DAY, 12.0)
    without = twin_with((), ua_supply_kw_k=0.1).unit_base_kw("unit_core", MONDAY, DAY, outdoor)
    more = flow.unit_base_kw("unit_core", MONDAY, DAY, outdoor) - without
    _, cop = flow.unit_cop("unit_core", outdoor)
    assert more[NOON] == pytest.approx(0.1 * (22.0 - 14.0) / cop[NOON])
    assert (more[:8] == 0.0).all()


def test_a_least_flow_to_an_unknown_zone_is_refused_by_name() -> None:
    document = {**drawing_board(SITE).structure, "supplied": ["zone_attic"]}
    with pytest.raises(InputError, match="zone_attic"):
        structure_from(document, ZONES)


def test_a_structure_without_least_flows_is_written_as_it_was_before_there_were_any() -> None:
    shipped = load_parameters(SCENARIOS / "office_small" / "twin.json")
    zones = tuple(shipped.structure["order"])
    assert "supplied" not in shipped.structure
    assert structure_from(shipped.structure, zones).as_dict() == shipped.structure


@pytest.fixture(scope="module")
def medium() -> tuple[BuildingTwin, Rows]:
    """The shipped twin of the medium office, and its telemetry's last ten days."""
    pack = load_site(SCENARIOS / "office_medium")
    twin = BuildingTwin(pack.site, load_parameters(pack.folder / "twin.json"))
    return twin, prepare_rows(twin.layout, last_weeks(twin.layout, pack.telemetry(), 10 / 7))


def test_meters_tell_a_least_flow_from_outdoor_air(medium: tuple[BuildingTwin, Rows]) -> None:
    twin, rows = medium
    guess = textbook(rows.layout, twin.structure)
    plain = guess | {"zone_mid_3.ua_vent_kw_k": 0.1, "zone_mid_3.fan_heat_kw": 0.1}
    part = slice(0, len(rows))
    found = fit_fresh_air(rows, "zone_mid_3", plain, part, may_be_supplied=True)
    assert found.names == ("zone_mid_3.ua_supply_kw_k", "zone_mid_3.supply_degc")
    assert 10.0 < found.values[1] < 19.0
    alone = fit_fresh_air(rows, "zone_mid_3", plain, part, may_be_supplied=False)
    assert alone.names == ("zone_mid_3.ua_vent_kw_k", "zone_mid_3.fan_heat_kw")
    assert alone.rmse > 1.25 * found.rmse


def test_the_shipped_twin_of_the_medium_office_still_predicts_its_held_back_week(
    medium: tuple[BuildingTwin, Rows],
) -> None:
    twin, rows = medium
    report = twin.parameters.report
    assert report["fit_for_control"]
    assert set(twin.structure.supplied) == set(twin.structure.order)
    for row in report["pooled_24h"].values():
        assert row["twin"] < 0.8 * min(row["persistence"], row["seasonal"], row["linear"])
    starts = rows.starts(len(rows) - 7 * DAY, len(rows), DAY, 4)
    states = states_of(twin, rows)
    run = predict(twin, rows, starts, DAY, states=states, table=input_table(twin, rows))
    actual = window_rows(starts, DAY)[:, -1]
    errors = [run.temps[z][:, -1] - rows.temps[z][actual] for z in twin.structure.order]
    reported = report["pooled_24h"]["zone temperatures"]["twin"]
    assert np.sqrt(np.mean(np.square(errors))) < 1.2 * reported
