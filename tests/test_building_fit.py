"""A building's twin is found from telemetry alone, judged on unseen days, refused when bad."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from graph.canonical import canonical_bytes, strict_loads
from graph.errors import InputError
from graph.snapshot import History
from graph.telemetry import Frame
from sandbox.building.black_box import BlackBox, targets_of
from sandbox.building.fit import BuildingFitOptions, fit_building
from sandbox.building.layout import building_layout
from sandbox.building.report import verdict
from sandbox.building.rows import Rows, last_weeks, prepare_rows
from sandbox.building.skill import try_out
from sandbox.building.twin import BuildingTwin
from sandbox.fit_report import fit_table
from sandbox.model_errors import from_report
from sandbox.parameters import TwinParameters
from tests.office import office
from tests.office_world import START, TRUTH, ZONES, record

SITE = office(ZONES)
LAYOUT = building_layout(SITE)
OPTIONS = BuildingFitOptions(orders=(1, 2), evaluations=4)
OFFICE = Path("scenarios/office_small")


@pytest.fixture(scope="module")
def frame() -> Frame:
    """Twenty-four days of the world with a hole of three days, as after an outage."""
    whole = record(24)
    columns = {n: v.copy() for n, v in whole.columns.items()}
    for values in columns.values():
        values[8 * 96 : 11 * 96] = np.nan
    return Frame(whole.start, whole.step_s, columns)


@pytest.fixture(scope="module")
def fitted(frame: Frame) -> TwinParameters:
    return fit_building(SITE, frame, OPTIONS)


@pytest.fixture(scope="module")
def rows(frame: Frame) -> Rows:
    return prepare_rows(LAYOUT, frame)


def test_the_fit_recovers_what_made_the_data(fitted: TwinParameters) -> None:
    for z in ZONES:
        expected = {
            "c_air_kwh_k": (TRUTH.c_air[z], 0.2), "c_mass_kwh_k": (TRUTH.c_mass[z], 0.25),
            "ua_mass_kw_k": (TRUTH.ua_mass[z], 0.15), "ua_vent_kw_k": (TRUTH.ua_vent, 0.2),
        }  # fmt: skip
        for key, (true, tolerance) in expected.items():
            assert fitted.value(f"zone_{z}.{key}") == pytest.approx(true, rel=tolerance), (z, key)
        # How a loss is split between air and mass shows little; their sum is what counts.
        loss = fitted.value(f"zone_{z}.ua_out_kw_k") + fitted.value(f"zone_{z}.ua_core_out_kw_k")
        assert loss == pytest.approx(TRUTH.ua_out[z] + TRUTH.ua_core_out[z], rel=0.25)
        assert fitted.value(f"unit_{z}.fan_kw") == pytest.approx(TRUTH.fan, rel=0.1)
        assert fitted.value(f"unit_{z}.cop_heating") == pytest.approx(TRUTH.cop_heating, rel=0.03)
        slope = fitted.value(f"unit_{z}.cop_heating_per_k")
        assert slope == pytest.approx(TRUTH.cop_heating_per_k, rel=0.1)
    between = fitted.value("zone_core.ua_zone_south_kw_k")
    assert between == pytest.approx(TRUTH.between, rel=0.35)


def test_validation_chooses_the_order_and_says_by_how_much(fitted: TwinParameters) -> None:
    chosen = fitted.report["structure"]
    for zone, scores in chosen["validation_rmse_k"].items():
        assert chosen["order"][zone] == 2
        assert scores["2"] < 0.7 * scores["1"]


def test_a_good_fit_beats_the_simple_forecasts_and_says_so(fitted: TwinParameters) -> None:
    assert fitted.fit_for_control, fitted.report["reasons"]
    for row in fitted.report["pooled_24h"].values():
        assert row["twin"] < 0.5 * min(row["persistence"], row["seasonal"], row["linear"])
    steps = fitted.report["setpoint_steps"]
    assert steps["steps"] >= 20
    assert steps["wrong_sign_share"] == 0.0
    assert steps["gain_ratio"] == pytest.approx(1.0, abs=0.1)
    assert steps["time_63_twin_h"] == pytest.approx(steps["time_63_actual_h"], abs=0.25)
    assert all(share > 0.85 for share in fitted.report["coverage_90"].values())
    assert fitted.report["excitation"]["verdict"] == "good"
    table = fit_table(fitted)
    assert "fit for control" in table
    assert "setpoint steps on the held-back days" in table


def test_the_record_survives_its_own_file_and_drives_a_twin(fitted: TwinParameters) -> None:
    again = TwinParameters.model_validate(strict_loads(canonical_bytes(fitted)))
    assert again.digest == fitted.digest
    assert BuildingTwin(SITE, again).state_names == (
        "zone_core.air", "zone_core.mass", "zone_south.air", "zone_south.mass",
    )  # fmt: skip
    errors = from_report(fitted.report)
    assert errors is not None
    assert set(errors.paths) == {
        f"{a}.{q}" for z in ZONES
        for a, q in ((f"zone_{z}", "unexplained_kw"), (f"unit_{z}", "power_error_kw"),
                     (f"zone_{z}", "temp_error_k"))
    }  # fmt: skip
    assert len(set(errors.days)) == len(errors.days) >= 10
    assert len(json.dumps(fitted.report["model_errors"])) < 100_000


def test_every_key_of_the_report_is_described(fitted: TwinParameters) -> None:
    page = Path("docs/reference/fit-report.md").read_text()
    rows = (fitted.report, fitted.report["skill"][0], fitted.report["setpoint_steps"],
            fitted.report["excitation"], fitted.report["structure"])  # fmt: skip
    missing = [k for row in rows for k in row if f"`{k}`" not in page]
    assert not missing


def test_the_same_rows_give_the_same_bytes(frame: Frame, fitted: TwinParameters) -> None:
    assert canonical_bytes(fit_building(SITE, frame, OPTIONS)) == canonical_bytes(fitted)


def moved_after(rows: Rows, row: int) -> Rows:
    """The same telemetry with another future of what is to be predicted."""

    def other(series: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {n: v.copy() for n, v in series.items()}
        for values in found.values():
            values[row + 1 :] += 3.0
        return found

    return replace(rows, temps=other(rows.temps), heat=other(rows.heat), power=other(rows.power))


def test_no_prediction_sees_the_future_of_what_it_predicts(
    rows: Rows, fitted: TwinParameters
) -> None:
    twin, split = BuildingTwin(SITE, fitted), len(rows) - 4 * 96
    errors = from_report(fitted.report)
    trial = try_out(twin, rows, errors, split, len(rows))
    start = int(trial.starts[5])
    blind = moved_after(rows, start)
    again = try_out(twin, blind, errors, split, len(rows))
    for zone, values in trial.predicted.temps.items():
        assert np.array_equal(values[5], again.predicted.temps[zone][5])
    train = rows.starts(0, split, 24, 2)
    for a, b in zip(targets_of(rows), targets_of(blind), strict=True):
        seen, _ = BlackBox(rows, train, 24).predict(a, np.array([start]))
        unseen, _ = BlackBox(blind, train, 24).predict(b, np.array([start]))
        assert seen == pytest.approx(unseen, abs=1e-9), a.name


def test_the_errors_of_the_present_are_told_from_the_history(
    frame: Frame, fitted: TwinParameters
) -> None:
    part = frame.tail(2 * 96 + 3)
    columns = {n: v.copy() for n, v in part.columns.items()}
    gap = 0.8  # kW that nobody meters, in the last six hours
    columns["zone_core.heat_kw"][-24:] -= gap
    signals = {n: tuple(float(x) for x in v) for n, v in columns.items()}
    history = History(start=part.start, step_s=part.step_s, signals=signals)
    found = BuildingTwin(SITE, fitted).recent_errors(history)
    known = from_report(fitted.report)
    assert known is not None
    # A temperature's own error is of the hour: its present tells nothing of the next one.
    assert set(found) == {n for n in known.paths if not n.endswith("temp_error_k")}
    assert np.nanmean(found["zone_core.unexplained_kw"][-5:]) == pytest.approx(gap, abs=0.15)
    assert abs(np.nanmean(found["zone_south.unexplained_kw"][-5:])) < 0.15
    broken = history.model_copy(update={"signals": {}})
    assert BuildingTwin(SITE, fitted).recent_errors(broken) == {}


def test_telemetry_that_never_moves_is_no_ground_to_stand_on() -> None:
    still = record(15, excited=False)
    found = fit_building(SITE, still, replace(OPTIONS, orders=(1,), evaluations=2))
    assert not found.fit_for_control
    assert found.report["excitation"]["verdict"] == "poor"
    assert any("excitation is poor" in reason for reason in found.report["reasons"])
    assert "NOT fit for control" in fit_table(found)


def test_heat_that_nobody_meters_is_inferred_and_said_to_be() -> None:
    site = office(ZONES, heat_metered=False)
    whole = record(15)
    columns = {n: v for n, v in whole.columns.items() if not n.endswith(".heat_kw")}
    bare = Frame(whole.start, whole.step_s, columns)
    found = fit_building(site, bare, replace(OPTIONS, orders=(2,), evaluations=3))
    assert found.report["heat"] == "inferred from power and nominal COPs"
    assert any("not metered" in reason for reason in found.report["reasons"])
    row = found.report["pooled_24h"]["zone temperatures"]
    assert row["twin"] < row["persistence"]


def test_too_little_telemetry_is_refused_with_what_is_needed(frame: Frame) -> None:
    with pytest.raises(InputError, match=r"9\.0 days of complete telemetry.*two weeks"):
        fit_building(SITE, frame.rows(0, 12 * 96), OPTIONS)
    columns = dict(frame.columns) | {"zone_core.temp_degc": np.full(len(frame), np.nan)}
    with pytest.raises(InputError, match=r"zone_core\.temp_degc holds no value"):
        fit_building(SITE, Frame(frame.start, 900, columns), OPTIONS)


def test_weeks_are_counted_in_complete_rows_from_the_end(frame: Frame) -> None:
    one = last_weeks(LAYOUT, frame, 1.0)
    assert len(one) == 7 * 96
    assert one.end == frame.end
    two = last_weeks(LAYOUT, frame, 2.0)
    assert len(two) == (14 + 3) * 96  # the hole is not counted, but lies between
    holed = np.isnan(two.column("outdoor.temp_degc"))
    assert holed.sum() == 3 * 96
    assert two.start == START + timedelta(minutes=15, days=24 - 17)


def rows_of(twin: float, persistence: float, linear: float) -> list[dict[str, object]]:
    common = {"horizon_h": 24.0, "twin": twin, "persistence": persistence, "seasonal": 1.0,
              "linear": linear}  # fmt: skip
    return [{**common, "signal": s} for s in ("zone_core.temp_degc", "hvac.energy_kwh")]


def cases() -> Iterator[tuple[str, list[dict[str, object]], dict[str, object], str]]:
    fine = {"steps": 20, "wrong_sign_share": 0.0, "gain_ratio": 1.0}
    good, bad = rows_of(0.3, 1.0, 0.5), rows_of(0.6, 1.0, 0.5)
    yield "linear black box 0.5", bad, fine, "good"
    yield "persistence 0.2", rows_of(0.3, 0.2, 0.5), fine, "good"
    yield "the wrong way", good, fine | {"wrong_sign_share": 0.3}, "good"
    yield "1.50 times the real ones", good, fine | {"gain_ratio": 1.5}, "good"
    yield "excitation is poor: zone_core", good, fine, "poor"
    yield "", good, fine, "good"


@pytest.mark.parametrize(("said", "table", "steps", "word"), list(cases()))
def test_every_ground_for_refusal_refuses_and_names_itself(
    said: str, table: list[dict[str, object]], steps: dict[str, object], word: str
) -> None:
    excitation = {"verdict": word, "sentences": ["zone_core: nothing moves"]}
    good, reasons = verdict(table, steps, excitation, False)
    assert good == (said == "")
    assert said in " ".join(reasons)


@pytest.mark.skipif(not (OFFICE / "data/telemetry.parquet").exists(), reason="no recorded office")
def test_the_recorded_office_is_learned_better_than_by_any_simple_forecast(
    tmp_path: Path,
) -> None:
    from click.testing import CliRunner

    from api.commands.site import site

    shutil.copytree(OFFICE, tmp_path / "office")
    said = CliRunner().invoke(site, ["fit", str(tmp_path / "office"), "--json"])
    assert said.exit_code == 0, said.output
    report = json.loads(said.output)["report"]
    for row in report["pooled_24h"].values():
        assert row["twin"] < 0.8 * min(row["persistence"], row["linear"])
    for row in report["skill"]:
        if row["horizon_h"] == 24.0:
            assert row["twin"] < min(row["persistence"], row["linear"]), row["signal"]
    assert 0.8 < report["setpoint_steps"]["gain_ratio"] < 1.2
    assert all(0.75 < share <= 1.0 for share in report["coverage_90"].values())
