"""The forecaster on the demonstration site's recorded telemetry, weeks it has not seen."""

import time
from datetime import timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from graph.errors import InputError
from graph.sitepack import load_site
from graph.snapshot import Forecast
from graph.telemetry import Frame, read_frame
from planner.forecast import make_forecasts

PACK = Path("scenarios/microgrid")
HORIZON = 168
SIGNALS = ("outdoor.temp_degc", "outdoor.ghi_w_m2", "pv.power_kw", "building.power_kw")


@cache
def telemetry() -> Frame:
    return read_frame(PACK / "data/telemetry.parquet").select(SIGNALS)


@cache
def site():
    return load_site(PACK).site


def forecast_at(row: int, frame: Frame | None = None) -> dict[str, Forecast]:
    known = (frame or telemetry()).rows(0, row)
    made = make_forecasts(site(), known, known.end, HORIZON)
    return {item.signal: item for item in made}


def test_it_beats_persistence_and_yesterday_on_days_it_has_not_seen():
    frame, day = telemetry(), 96
    origins = range(28 * day, len(frame) - HORIZON + 1, 61)
    ours, last, yesterday = ({s: [] for s in SIGNALS} for _ in range(3))
    for origin in origins:
        made = forecast_at(origin)
        for signal in SIGNALS:
            column = frame.column(signal)
            truth = column[origin : origin + HORIZON]
            naive = np.resize(column[origin - day : origin], HORIZON)
            ours[signal].append(np.abs(truth - np.array(made[signal].values)).mean())
            last[signal].append(np.abs(truth - column[origin - 1]).mean())
            yesterday[signal].append(np.abs(truth - naive).mean())
    for signal in SIGNALS:
        assert np.mean(ours[signal]) < 0.97 * np.mean(yesterday[signal]), signal
        assert np.mean(ours[signal]) < 0.8 * np.mean(last[signal]), signal


def test_all_signals_share_the_path_index_and_there_are_enough_paths():
    made = forecast_at(len(telemetry()))
    counts = {len(f.error_paths) for f in made.values()}
    assert len(counts) == 1
    assert counts.pop() >= 30
    assert {len(f.error_paths[0]) for f in made.values()} == {HORIZON // 4}
    assert {len(f.values) for f in made.values()} == {HORIZON}


def test_weather_errors_of_one_path_belong_to_the_same_day():
    """More sun than forecast means more PV than forecast on the same path and hour."""
    made = forecast_at(len(telemetry()))
    sun = np.array(made["outdoor.ghi_w_m2"].error_paths).ravel()
    power = np.array(made["pv.power_kw"].error_paths).ravel()
    bright = np.abs(sun) > 20
    assert np.corrcoef(sun[bright], power[bright])[0, 1] > 0.8


def test_nights_are_dark_and_nothing_leaves_its_physical_range():
    frame = telemetry()
    made = forecast_at(len(frame))
    night = np.array(made["outdoor.ghi_w_m2"].values).reshape(-1, 4).max(axis=1) < 1.0
    assert 0.4 < night.mean() < 0.75
    for signal in SIGNALS:
        values, spec = np.array(made[signal].values), site().signal(signal)
        assert values.min() >= spec.minimum
        assert values.max() <= spec.maximum


def test_error_paths_are_as_wide_as_the_errors_really_made():
    """The spread that futures are drawn from covers the errors on days that were held back."""
    frame, origin = telemetry(), len(telemetry()) - HORIZON
    made = forecast_at(origin)["outdoor.temp_degc"]
    truth = frame.column("outdoor.temp_degc")[origin:]
    hourly = (truth - np.array(made.values)).reshape(-1, 4).mean(axis=1)
    low, high = np.quantile(np.array(made.error_paths), [0.02, 0.98], axis=0)
    assert np.mean((hourly >= low - 0.5) & (hourly <= high + 0.5)) > 0.8


def test_missing_samples_are_skipped_not_spread():
    frame = telemetry()
    columns = {n: a.copy() for n, a in frame.columns.items()}
    columns["building.power_kw"][2000:2100] = np.nan
    holed = Frame(frame.start, frame.step_s, columns)
    made, whole = forecast_at(3500, holed), forecast_at(3500)
    assert np.isfinite(made["building.power_kw"].values).all()
    difference = np.subtract(made["building.power_kw"].values, whole["building.power_kw"].values)
    assert np.abs(difference).max() < 3.0


def test_a_history_that_ends_elsewhere_or_is_too_short_is_refused():
    frame = telemetry()
    with pytest.raises(InputError, match="telemetry ends at"):
        make_forecasts(site(), frame, frame.end - timedelta(days=1), HORIZON)
    short = frame.rows(0, 6 * 96)
    with pytest.raises(InputError, match="too few"):
        make_forecasts(site(), short, short.end, HORIZON)


def test_the_same_history_gives_the_same_forecast_quickly():
    first = forecast_at(len(telemetry()))
    begin = time.process_time()
    again = forecast_at(len(telemetry()))
    assert time.process_time() - begin < 0.3  # 0.06 s measured
    assert first == again
