"""Scores of forecasts: right on numbers worked out by hand, and hard to please by accident."""

from datetime import timedelta
from pathlib import Path

import numpy as np

from graph.sitepack import load_site, load_telemetry
from graph.snapshot import Forecast
from planner.forecast import make_forecasts
from planner.forecast_score import (
    QUANTILES,
    naive_quantiles,
    scored,
    stated_quantiles,
)


def test_the_true_quantiles_of_a_noise_score_best_and_hold_what_they_state():
    generator = np.random.default_rng(1)
    truth = [generator.normal(size=24) for _ in range(400)]
    levels = np.quantile(generator.normal(size=200_000), QUANTILES)
    right = np.repeat(levels[:, None], 24, axis=1)
    zero = np.zeros(24)
    scores = {
        width: scored(truth, [zero] * 400, [width * right] * 400, slice(0, 24))
        for width in (0.5, 1.0, 2.0)
    }
    assert abs(scores[1.0].inside_90 - 0.9) < 0.01  # 9600 draws: standard error 0.003
    assert scores[1.0].pinball < min(scores[0.5].pinball, scores[2.0].pinball)
    assert scores[0.5].inside_90 < 0.65


def test_one_hour_worked_out_by_hand():
    quantiles = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])
    score = scored([np.array([2.5])], [np.array([3.0])], [quantiles], slice(0, 1))
    below = [q * (2.5 - v) for q, v in zip(QUANTILES[:3], (0, 1, 2), strict=True)]
    above = [(1 - q) * (v - 2.5) for q, v in zip(QUANTILES[3:], (3, 4, 5, 6), strict=True)]
    assert np.isclose(score.pinball, np.mean([*below, *above]))
    assert (score.inside_90, score.width_90, score.mae, score.bias) == (1.0, 6.0, 0.5, 0.5)


def test_unknown_hours_do_not_count():
    quantiles = np.tile(np.array(QUANTILES)[:, None], (1, 2))
    truth, expected = np.array([0.5, np.nan]), np.full(2, 0.5)
    assert scored([truth], [expected], [quantiles], slice(0, 2)).mae == 0.0


def test_naive_forecasts_know_nothing_of_what_comes():
    day = np.sin(np.arange(96 * 40) / 96 * 2 * np.pi)
    changed = day.copy()
    changed[96 * 39 :] = 99.0
    for kind in ("persistence", "day before"):
        told, other = (naive_quantiles(s, 96 * 39, 24, 900, kind) for s in (day, changed))
        assert np.array_equal(told[0], other[0])
        assert np.array_equal(told[1], other[1])
    expected, quantiles = naive_quantiles(day, 96 * 39, 24, 900, "day before")
    assert np.allclose(expected, day[:96].reshape(24, 4).mean(axis=1))
    assert np.allclose(quantiles, expected)  # a sine repeats itself: no errors


def test_a_forecasts_quantiles_are_its_values_and_its_own_errors():
    pack = load_site(Path("scenarios/microgrid"))
    frame = load_telemetry(Path("scenarios/microgrid"), pack.site)
    known = frame.rows(0, len(frame) - 96)
    made = make_forecasts(pack.site, known, known.end, 96)
    assert known.end + timedelta(days=1) == frame.end
    for forecast in made:
        assert isinstance(forecast, Forecast)
        expected, quantiles = stated_quantiles(forecast, 900)
        assert expected.shape == (24,)
        assert np.all(np.diff(quantiles, axis=0) >= 0)
        assert np.isclose(expected.mean(), np.mean(forecast.values))
        assert quantiles.min() >= forecast.minimum - 1e-9
