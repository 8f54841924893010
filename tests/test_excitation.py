"""What a recording asks of a plant: enough to learn from, never more than the site allows."""

from datetime import datetime

import numpy as np
import pytest

from graph.errors import InputError
from graph.schedules import scheduled
from graph.site import Site
from graph.telemetry import Frame
from scenarios.excitation import excitation
from scenarios.recording import joined
from tests.boptest_site import document

SITE = Site.model_validate(document("http://127.0.0.1:1"))
START = datetime.fromisoformat("2026-01-08T00:00:00-08:00")
STEPS = 42 * 96
PLAN = excitation(SITE, START, STEPS, 7)
ZONES = ("zone_north", "zone_south")


def test_each_room_moves_on_about_half_of_the_days_by_day_and_by_night() -> None:
    assert set(PLAN) == {f"{z}.{k}_setpoint_degc" for z in ZONES for k in ("heating", "cooling")}
    for zone in ZONES:
        moved = np.isfinite(PLAN[f"{zone}.heating_setpoint_degc"]).reshape(42, 96)
        assert 0.3 < moved.any(axis=1).mean() < 0.9  # a stretch may run into the next day
        assert 0.1 < moved.mean() < 0.5
        by_hour = moved.mean(axis=0)
        assert by_hour[:24].max() > 0.1  # nights
        assert by_hour[40:64].max() > 0.1  # days
    both = np.isfinite(np.stack([PLAN[f"{z}.heating_setpoint_degc"] for z in ZONES]))
    assert (both.sum(axis=0) == 1).mean() > 0.15  # the rooms move on their own


def test_values_differ_from_the_law_both_ways_and_nights_see_heating() -> None:
    times = _times()
    law = scheduled(SITE.baseline.zone_heating_degc, times, SITE.zone_info)
    moves = PLAN["zone_north.heating_setpoint_degc"] - law
    moves = moves[np.isfinite(moves)]
    assert (moves < -0.5).mean() > 0.1
    assert (moves > 0.5).mean() > 0.1
    night = law == 17.0
    assert np.nanmax(PLAN["zone_north.heating_setpoint_degc"][night]) > 20.0


def _times() -> list[datetime]:
    from datetime import timedelta

    return [START + timedelta(minutes=15 * k) for k in range(STEPS)]


def test_every_value_is_in_range_on_its_resolution_and_cooling_stays_above_heating() -> None:
    for point, values in PLAN.items():
        spec = SITE.signal(point)
        good = values[np.isfinite(values)]
        assert good.min() >= spec.minimum
        assert good.max() <= spec.maximum
        assert np.allclose(good / spec.resolution, np.round(good / spec.resolution))
    for zone in ZONES:
        gap = PLAN[f"{zone}.cooling_setpoint_degc"] - PLAN[f"{zone}.heating_setpoint_degc"]
        assert np.nanmin(gap) >= 1.0 - 1e-9


def test_a_longer_recording_begins_like_a_shorter_one_and_seeds_differ() -> None:
    short = excitation(SITE, START, STEPS // 3, 7)
    for point, values in short.items():
        np.testing.assert_array_equal(values, PLAN[point][: len(values)])
    other = excitation(SITE, START, STEPS, 8)
    assert any(not np.array_equal(other[p], PLAN[p], equal_nan=True) for p in PLAN)


def test_recordings_join_with_missing_samples_between_and_never_overlap() -> None:
    def block(day: int) -> Frame:
        return Frame(START.replace(day=day), 900, {"a.b": np.full(96, float(day))})

    whole = joined(block(8), block(11))
    assert (len(whole), whole.end) == (4 * 96, block(11).end)
    assert np.isnan(whole.column("a.b")[96:288]).all()
    assert whole.column("a.b")[288] == 11.0
    for later in (block(8), Frame(START.replace(day=11, minute=7), 900, {"a.b": np.ones(3)})):
        with pytest.raises(InputError, match="does not come after"):
            joined(block(8), later)
