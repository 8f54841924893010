"""Calibration is judged and mended by rules that are tried on worlds whose truth is known."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from api.bench_calibration import CALIBRATION_DAYS, TEST_DAYS
from api.calibration_cases import blocks_of, origins_of
from graph.errors import InputError
from graph.sitepack import load_site
from sandbox.calibration import (
    Correction,
    clustered,
    conformal_stretch,
    correction_of,
    coverage,
    interval_score,
    needed_stretch,
    pit,
    reliability,
    to_report,
)
from sandbox.probability_fit import Bend, fit_bend

DAYS = 60


def world(slope: float = 1.0, seed: int = 1, days: int = DAYS, each: int = 40):
    """Events of days that share their luck; stated logits are `slope` times too far from 0."""
    g = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), each)
    true_logit = g.normal(0, 1.5, days * each) + np.repeat(g.normal(0, 0.3, days), each)
    true = 1 / (1 + np.exp(-true_logit))
    happened = (g.random(days * each) < true).astype(float)
    stated = 1 / (1 + np.exp(-slope * true_logit))
    return stated, happened, day


def test_true_probabilities_come_out_calibrated_and_beat_climatology() -> None:
    stated, happened, day = world()
    found = reliability(stated, happened, day, np.full(len(day), happened.mean()))
    assert found.skill.low > 0.1
    assert found.error.value < 0.03
    assert (found.days, found.cases) == (DAYS, 2400)
    assert sum(b.happened.holds(b.stated) for b in found.bins) >= len(found.bins) - 1
    assert found.brier.value == pytest.approx(np.mean((stated - happened) ** 2))
    # Murphy's three parts make up the score, but for what varies inside the bins.
    parts = found.reliability - found.resolution + found.uncertainty
    assert parts == pytest.approx(found.brier.value, abs=0.01)


def test_overconfidence_shows_and_climatology_itself_has_no_skill() -> None:
    stated, happened, day = world(slope=2.5)
    climate = np.full(len(day), happened.mean())
    sharp, plain = (reliability(p, happened, day, climate) for p in (stated, climate))
    assert sharp.error.low > 0.05
    assert plain.skill.value == pytest.approx(0.0)
    assert plain.resolution == pytest.approx(0.0)


def test_intervals_take_days_and_not_cases_as_evidence() -> None:
    g = np.random.default_rng(3)
    luck = (g.random(30) < 0.5).astype(float)
    day = np.repeat(np.arange(30), 100)
    values = np.repeat(luck, 100)
    score = clustered([values, np.ones(3000)], lambda s: s[0] / s[1], day)
    assert score.high - score.low > 0.25  # 30 coins, not 3000
    alone = clustered([values, np.ones(3000)], lambda s: s[0] / s[1], np.arange(3000))
    assert alone.high - alone.low < 0.06
    assert clustered([values, np.ones(3000)], lambda s: s[0] / s[1], day) == score


def test_clustered_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = 0
    for seed in range(120):
        g = np.random.default_rng(seed)
        day = np.repeat(np.arange(40), 10)
        p = np.repeat(np.clip(g.normal(0.3, 0.1, 40), 0, 1), 10)
        happened = (g.random(400) < p).astype(float)
        held += clustered([happened, np.ones(400)], lambda s: s[0] / s[1], day, seed).holds(0.3)
    assert 0.88 <= held / 120 <= 0.99


def test_recalibration_finds_overconfidence_on_days_before_and_mends_it_on_days_after() -> None:
    stated, happened, day = world(slope=2.0, days=120)
    early, late = day < 60, day >= 60
    bend = fit_bend(stated[early], happened[early], day[early])
    assert bend.low == pytest.approx(0.5, abs=0.15)
    assert bend.high == pytest.approx(0.5, abs=0.15)
    assert abs(bend.intercept) < 0.3
    mended = Correction(bend).probabilities(stated[late])
    climate = np.full(int(late.sum()), happened[early].mean())
    before = reliability(stated[late], happened[late], day[late], climate)
    after = reliability(mended, happened[late], day[late], climate)
    assert after.error.value < 0.5 * before.error.value
    assert after.brier.value < before.brier.value


def test_one_end_that_is_too_careful_is_bent_alone_and_a_stated_twentieth_comes_true() -> None:
    truth = Bend(-0.9, 1.0, 0.4)
    g = np.random.default_rng(5)
    stated = np.round(g.beta(0.4, 0.4, 12_000) * 200) / 200  # as from 200 futures
    happened = (g.random(12_000) < truth.apply(stated)).astype(float)
    day = np.repeat(np.arange(200), 60)
    bend = fit_bend(stated, happened, day)
    assert bend == pytest.approx(truth, abs=0.15)
    grid = np.linspace(0.01, 0.99, 99)
    assert bend.apply(grid) == pytest.approx(truth.apply(grid), abs=0.03)
    near = np.abs(bend.apply(stated) - 0.05) < 0.02
    assert happened[near].mean() == pytest.approx(0.05, abs=0.02)


def test_what_chance_explains_is_not_corrected() -> None:
    found = [fit_bend(*world(seed=seed, days=30)) for seed in range(40)]
    # One standard error is exceeded by chance about every sixth time, and each shape has a try.
    assert sum(bend == Bend() for bend in found) >= 30
    away = np.abs([bend.apply(np.array([0.05]))[0] - 0.05 for bend in found])
    assert away.max() < 0.03


def test_evidence_of_too_few_days_changes_nothing_however_many_cases_it_has() -> None:
    stated, happened, day = world(slope=2.5, days=9, each=500)
    assert fit_bend(stated, happened, day) == Bend()
    separated = fit_bend(np.full(50, 0.2), np.zeros(50), np.arange(50))
    assert 0.0 < separated.apply(np.array([0.2]))[0] < 0.05


def test_no_bend_moves_certainties_or_turns_the_order_round() -> None:
    stated, happened, day = world(slope=2.0)
    upside_down = fit_bend(stated, 1.0 - happened, day)
    grid = np.linspace(0.0, 1.0, 201)
    for bend in (upside_down, Bend(0.4, 0.5, 1.6), Bend(-1.0, 2.0, 0.3)):
        bent = bend.apply(grid)
        assert bent[0] == 0.0
        assert bent[-1] == 1.0
        assert (np.diff(bent) > 0.0).all()


def test_a_conformal_stretch_holds_what_it_promises_on_later_days() -> None:
    inside, widths = [], []
    for seed in range(150):
        g = np.random.default_rng(seed)
        scale = g.uniform(0.5, 3.0, 60)  # days differ, and the intervals know it
        mean, actual = g.normal(100, 5, 60), np.empty(60)
        actual[:] = mean + 2.0 * scale * g.normal(size=60)
        low, high = mean - 1.645 * scale, mean + 1.645 * scale  # half as wide as they must be
        day = np.arange(60)
        factor = conformal_stretch(mean[:40], low[:40], high[:40], actual[:40], day[:40])
        widths.append(factor)
        reach = factor * 1.645 * scale[40:]
        inside.append((np.abs(actual[40:] - mean[40:]) <= reach).mean())
    assert 0.89 <= np.mean(inside) <= 0.96
    assert np.median(widths) == pytest.approx(2.1, abs=0.25)


def test_intervals_are_stretched_only_where_they_miss() -> None:
    g = np.random.default_rng(2)
    mean, day = np.zeros(40), np.arange(40)
    actual = g.normal(size=40)
    right, narrow = np.full(40, 1.645), np.full(40, 0.8)
    assert needed_stretch(mean, -right, right, actual, day) == 1.0
    found = needed_stretch(mean, -narrow, narrow, actual, day)
    assert found == conformal_stretch(mean, -narrow, narrow, actual, day) > 1.5


def test_a_few_days_without_a_miss_are_no_ground_to_shrink_an_interval() -> None:
    for days, shrunk in ((8, False), (14, False), (60, True)):
        actual, day = np.linspace(-1.0, 1.0, days), np.arange(days)
        wide = np.full(days, 2.0)
        assert (needed_stretch(np.zeros(days), -wide, wide, actual, day) < 1.0) is shrunk


def test_coverage_width_and_score_follow_their_definitions() -> None:
    low, high, actual = np.array([0.0, 0.0]), np.array([1.0, 2.0]), np.array([0.5, 3.0])
    assert interval_score(low, high, actual).tolist() == pytest.approx([1.0, 2.0 + 20.0])
    found = coverage(low, high, actual, np.array([1, 2]), np.zeros(2), np.full(2, 6.0))
    assert found.inside.value == 0.5
    assert found.width == 1.5
    assert found.width_ratio.value == pytest.approx(0.25)
    assert found.climatology_score == 6.0
    ranks = pit(np.tile(np.arange(10.0), (3, 1)), np.array([-1.0, 4.0, 20.0]))
    assert ranks.tolist() == pytest.approx([0.0, 0.45, 1.0])


def test_a_correction_survives_its_record_and_none_is_the_identity() -> None:
    p = np.array([0.0, 0.02, 0.5, 1.0])
    assert correction_of({}).probabilities(p) is p
    kept = Correction(Bend(0.5, 0.8, 1.1), {"energy": 1.2})
    assert correction_of({"calibration": to_report(kept)}) == kept
    wanted = 1 / (1 + np.exp(-(0.5 + 0.8 * np.log(0.02) - 1.1 * np.log(0.98))))
    assert kept.probability(0.02) == pytest.approx(wanted)


def test_a_record_of_the_first_format_bends_both_ends_alike() -> None:
    record = {"intercept": 0, "slope": 0.8, "stretch": {"energy": 1}, "brier_skill": 0.8}
    assert correction_of({"calibration": record}) == Correction(Bend(0.0, 0.8, 0.8), {"energy": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"format": 3}, {"low": -0.1}, {"high": 0}, {"high": None}, {"intercept": float("nan")},
        {"intercept": "0"}, {"low": True}, {"stretch": {"cost": 0.0}},
    ],
)  # fmt: skip
def test_a_record_that_no_correction_wrote_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="calibration has"):
        correction_of({"calibration": to_report(Correction()) | change})


def test_no_day_to_learn_from_shares_its_date_and_so_its_typical_weather_with_a_test_day() -> None:
    pack = load_site(Path("scenarios/office_small"))
    learned, judged = set(), set()
    for block in blocks_of(pack, CALIBRATION_DAYS, TEST_DAYS, earlier=True):
        for moment in origins_of(pack.site, block):
            test = moment >= block.first + timedelta(days=block.calibration_days)
            touched = {(moment + timedelta(days=k)).strftime("%m-%d") for k in (0, 1)}
            (judged if test else learned).add(moment.strftime("%m-%d"))
            if test:
                judged |= touched  # what happened reaches into the next day
    assert not learned & judged
    assert len(learned) > 120
