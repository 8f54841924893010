"""A crankcase heater's cut-out is learned from the hours in which a unit does nothing else."""

from datetime import UTC, datetime

import numpy as np
import pytest

from graph.telemetry import Frame
from sandbox.building.crankcase import crankcase_cutout
from sandbox.building.layout import building_layout
from sandbox.building.parameters import drawing_board
from sandbox.building.rows import Rows, prepare_rows
from sandbox.building.structure import CRANKCASE_DEGC
from sandbox.building.twin import BuildingTwin
from sandbox.building.unit_fit import coil_heat, fit_power
from tests.office import office
from tests.office_world import ZONES, record

SITE = office(ZONES)
LAYOUT = building_layout(SITE)
HEATER_KW, BELOW_DEGC = 0.05, 4.4
SATURDAY = datetime(2026, 1, 17, 8, tzinfo=UTC)  # midnight in Los Angeles


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Two weeks of a world in which the core's unit has a heater and the south's has none."""
    world = record(14)
    columns = {n: v.copy() for n, v in world.columns.items()}
    columns["unit_core.power_kw"] += HEATER_KW * (columns["outdoor.temp_degc"] < BELOW_DEGC)
    # The world's noise on still units hides what a meter's resolution would show.
    for z in ZONES:
        columns[f"zone_{z}.heat_kw"][np.abs(columns[f"zone_{z}.heat_kw"]) < 0.1] = 0.0
    return prepare_rows(LAYOUT, Frame(world.start, world.step_s, columns))


def coil(rows: Rows, zone: str, values: dict[str, float]) -> dict[str, np.ndarray]:
    return {zone: coil_heat(rows, zone, values)}


def test_the_cut_out_is_found_where_there_is_one_and_only_there(rows: Rows) -> None:
    board = drawing_board(SITE)
    values = dict(zip(board.names, board.values, strict=True))
    whole = slice(0, len(rows))
    core, south = (coil(rows, f"zone_{z}", values) for z in ZONES)
    found = crankcase_cutout(rows, "unit_core", core, whole)
    assert found == pytest.approx(BELOW_DEGC, abs=0.3)
    assert crankcase_cutout(rows, "unit_south", south, whole) is None
    assert crankcase_cutout(rows, "unit_core", core, slice(0, 10)) is None  # too few rows
    fit = fit_power(rows, "unit_core", values, core, whole, found)
    usual = fit_power(rows, "unit_core", values, core, whole)
    heater = dict(zip(fit.names, fit.values, strict=True))["unit_core.crankcase_kw"]
    assert heater == pytest.approx(HEATER_KW, abs=0.01)
    assert fit.rmse < usual.rmse


def test_the_twin_and_the_planner_heat_the_oil_below_the_cut_out_that_was_learned() -> None:
    board = drawing_board(SITE)
    at = board.names.index("unit_core.crankcase_kw")
    values = tuple(HEATER_KW if k == at else v for k, v in enumerate(board.values))
    learned = {**board.structure, "crankcase_degc": {"unit_core": BELOW_DEGC}}
    mild = np.full(96, 0.5 * (BELOW_DEGC + CRANKCASE_DEGC))
    energy, base = {}, {}
    for name, structure in (("usual", board.structure), ("learned", learned)):
        twin = BuildingTwin(SITE, board.model_copy(update={"values": values,
                                                           "structure": structure}))  # fmt: skip
        w = {"outdoor.temp_degc": mild, "outdoor.ghi_w_m2": np.zeros(96),
             "building.power_kw": np.zeros(96)}  # fmt: skip
        x0 = np.full((1, len(twin.state_names)), 22.0)
        traces = twin.simulate(x0, w, {}, SATURDAY).traces
        energy[name] = traces["unit_core.power_kw"].sum() / 4.0
        base[name] = twin.unit_base_kw("unit_core", SATURDAY, 96, mild).sum() / 4.0
    assert energy["usual"] - energy["learned"] == pytest.approx(24 * HEATER_KW, abs=0.02)
    assert base["usual"] - base["learned"] == pytest.approx(24 * HEATER_KW)
