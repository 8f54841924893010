"""What a plan lost to its forecasts is told apart from what it lost to its optimiser."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.decision import LEAST_MARGINS
from api.assemble import load_context
from api.hindsight import Hindsight, hindsight_text, look_back, together, with_truth
from api.offline import RecordedPlant, recorded_snapshot, recorded_world
from graph.record import parse_iso
from graph.snapshot import Snapshot
from planner.intent.second_reader import read_twice
from planner.plan import make_plan

SENTENCE = "minimise cost for the next 24 hours, keep the rooms between 20 and 24 °C"
AT = parse_iso("2026-01-09T00:00:00-08:00")


@cache
def case() -> Any:
    """World, context, intent, frame and snapshot at a moment that the record goes on after."""
    pack, context = load_context(Path("scenarios/microgrid"))
    frame = pack.telemetry()
    image = RecordedPlant(pack.site, frame, AT).read()
    intent = read_twice(SENTENCE, pack.site, AT, "test", None).intent
    snapshot = recorded_snapshot(pack, context, image, frame, intent)
    return recorded_world(pack, context), context, intent, frame, snapshot


def looked_at(snapshot: Snapshot) -> Hindsight:
    """The hindsight of a plan made from `snapshot`."""
    world, context, intent, frame, _ = case()
    plan = make_plan(world.site, world.twin, snapshot, intent, margin=LEAST_MARGINS)
    assert plan.status.usable
    found = look_back(world, context, snapshot, intent, plan, frame)
    assert found is not None
    return found


def test_who_knew_what_came_loses_nothing_to_forecasts_and_at_most_the_gap_to_the_optimiser():
    *_, frame, snapshot = case()
    found = looked_at(with_truth(snapshot, frame))
    assert found.missed == pytest.approx(0.0, abs=1e-9)
    assert abs(found.forecast_error) <= 0.01 * abs(found.best) + 0.1
    assert 0.0 <= found.optimiser_at_most <= 0.01 * abs(found.best) + 0.1


def test_a_forecast_of_sun_that_did_not_come_costs_and_the_optimiser_is_not_blamed():
    *_, frame, snapshot = case()
    true = with_truth(snapshot, frame)
    bright = tuple(
        f.model_copy(update={"values": tuple(np.array(f.values) + (f.signal == "pv.power_kw") * 25
                                             * (np.array(f.values) > 0.5))})
        for f in true.forecasts
    )  # fmt: skip
    wrong = looked_at(true.model_copy(update={"forecasts": bright}))
    right = looked_at(true)
    assert wrong.missed > 5.0
    assert wrong.forecast_error > right.forecast_error + 0.5
    assert wrong.best == pytest.approx(right.best, rel=0.02)
    assert wrong.optimiser_at_most <= 0.01 * abs(wrong.best) + 0.1


def test_what_is_not_known_throughout_is_not_looked_back_at():
    *_, frame, snapshot = case()
    ended = frame.window(frame.start, AT + timedelta(hours=20))
    assert with_truth(snapshot, ended) is None
    gap = frame.window(frame.start, frame.end)
    gap.columns["pv.power_kw"] = np.where(
        np.arange(len(gap)) == len(frame.window(frame.start, AT)) + 3, np.nan,
        gap.column("pv.power_kw"),
    )  # fmt: skip
    assert with_truth(snapshot, gap) is None


def test_means_are_a_day_and_told_in_words():
    one = Hindsight(24.0, 10.0, 13.0, 11.0, 0.0, 1.0, 0.5, 0.1)
    two = Hindsight(48.0, 20.0, 22.0, 21.0, 0.0, 0.0, 0.0, 0.2)
    found = together([one, two])
    assert found["missed_a_day"] == pytest.approx(2.0)
    assert found["forecast_error_a_day"] == pytest.approx(1.25)
    assert "lost to forecasts 1.25, to the optimiser at most 0.10" in hindsight_text(found, "USD")
    assert "of no decision" in hindsight_text(together([]), "USD")
