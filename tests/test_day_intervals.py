"""A day's energy lies in its 90 % interval on 90 % of days, where the twin's errors are known."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from graph.kpis import imported_kwh
from graph.snapshot import Forecast, History, PriceSeries, Snapshot, StateEstimate
from sandbox.building.parameters import drawing_board
from sandbox.building.twin import BuildingTwin
from sandbox.futures import sample_futures
from sandbox.model_errors import ModelErrors, from_report, to_report
from sandbox.outcomes import kpis_of
from sandbox.scenario import roll_out
from tests.office import office

SITE = office(("core",))
TUESDAY = datetime(2026, 1, 20, 8, tzinfo=UTC)  # midnight in Los Angeles
STEPS, FUTURES = 96, 150
HEAT, POWER = "zone_core.unexplained_kw", "unit_core.power_error_kw"
RECORDED, JUDGED = 60, 70


def errors_of(days: int, seed: int) -> dict[str, np.ndarray]:
    """Days (days, 24) of a twin that errs alike all day: people who come or don't, and noise."""
    g = np.random.default_rng(seed)
    level = g.normal(0.0, 1.0, (days, 1))
    return {
        HEAT: -0.5 * level + g.normal(0.0, 0.1, (days, 24)),
        POWER: 0.15 * level + g.normal(0.0, 0.05, (days, 24)),
    }


def twin_with(paths: dict[str, np.ndarray]) -> BuildingTwin:
    """A twin that knows itself exactly but for these errors."""
    board = drawing_board(SITE)
    first = date(2025, 12, 20)
    days = tuple(first + timedelta(days=k) for k in range(len(paths[HEAT])))
    exact = tuple((0.0,) * len(board.names) for _ in board.names)
    report = {**board.report, "model_errors": to_report(ModelErrors(days, paths))}
    return BuildingTwin(SITE, board.model_copy(update={"covariance": exact, "report": report}))


def with_spread(twin: BuildingTwin, of_parameters: bool) -> BuildingTwin:
    """The same twin with parameters known to 10 %, and errors that hold that or do not."""
    size = len(twin.parameters.names)
    spread = tuple(tuple(0.01 * (i == k) for k in range(size)) for i in range(size))
    errors = from_report(twin.parameters.report)
    assert errors is not None
    report = {**twin.parameters.report,
              "model_errors": to_report(replace(errors, of_parameters=of_parameters))}  # fmt: skip
    changed = twin.parameters.model_copy(update={"covariance": spread, "report": report})
    return BuildingTwin(SITE, changed)


def image(twin: BuildingTwin) -> Snapshot:
    """A cold winter day whose weather and load are certain."""
    hours = np.arange(STEPS) / 4.0
    series = {
        "outdoor.temp_degc": 2.0 + 4.0 * np.sin((hours - 9.0) / 12.0 * np.pi),
        "outdoor.ghi_w_m2": np.zeros(STEPS),
        "building.power_kw": np.full(STEPS, 1.0),
    }
    names = twin.state_names
    flat = (0.25,) * STEPS
    return Snapshot(
        site_id=SITE.id, site_digest="sha256:site", twin_digest=twin.parameters.digest,
        as_of=TUESDAY, step_s=900, horizon_steps=STEPS, readings={}, points={},
        prices=PriceSeries(import_price=flat, export_price=flat, carbon_g_per_kwh=flat),
        forecasts=tuple(
            Forecast(signal=s, unit=SITE.signal(s).unit, method="certain",
                     values=tuple(v), error_paths=((0.0,),))
            for s, v in series.items()
        ),
        estimate=StateEstimate(names=names, mean=(20.0,) * len(names),
                               covariance=tuple((0.0,) * len(names) for _ in names)),
        history=History(start=TUESDAY, step_s=900, signals={}),
    )  # fmt: skip


def share_inside(recorded: dict[str, np.ndarray]) -> float:
    """How many of the plant's days lie in the interval of futures drawn from these errors."""
    twin = twin_with(recorded)
    snapshot = image(twin)
    drawn = sample_futures(twin, snapshot, FUTURES, 1)
    stated = kpis_of(SITE, snapshot, drawn, roll_out(twin, snapshot, drawn, {}).traces)["energy"]
    low, high = np.quantile(stated, (0.05, 0.95))
    came = {s: np.repeat(v, 4, axis=1) for s, v in errors_of(JUDGED, 7).items()}
    known = {f.signal: np.asarray(f.values) for f in snapshot.forecasts}
    x0 = np.tile(np.array(snapshot.estimate.mean), (JUDGED, 1))
    plant = twin.simulate(x0, known | came, {}, TUESDAY)
    actual = imported_kwh(plant.traces["grid.power_kw"], 900.0)
    return float(((actual >= low) & (actual <= high)).mean())


def test_days_drawn_as_a_whole_make_intervals_that_hold_what_they_say() -> None:
    shares = [share_inside(errors_of(RECORDED, seed)) for seed in range(6)]
    assert np.mean(shares) == pytest.approx(0.9, abs=0.05)


def test_hours_drawn_one_by_one_would_make_them_much_too_narrow() -> None:
    g = np.random.default_rng(5)
    apart = {s: g.permuted(v, axis=0) for s, v in errors_of(RECORDED, 3).items()}
    assert share_inside(apart) < 0.6


def test_parameters_are_drawn_only_where_the_errors_do_not_hold_what_they_get_wrong() -> None:
    plain = twin_with(errors_of(RECORDED, 3))
    apart, held = (with_spread(plain, flag) for flag in (False, True))
    drawn = {t: sample_futures(t, image(t), 20, 1) for t in (apart, held)}
    assert (drawn[apart].parameters.std(axis=0) > 0.0).all()
    assert np.array_equal(drawn[held].parameters[3], np.array(held.parameters.values))
    assert np.array_equal(drawn[held].w[HEAT], drawn[apart].w[HEAT])  # nothing else changes
