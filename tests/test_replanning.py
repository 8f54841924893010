"""When the next plan is made: on the full hour, however the last order ended."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from agents.inprocess_dispatch import InProcessDispatcher
from api.closed_loop import open_loop, run_loop
from api.operations import until_replan

SENTENCE = "minimise cost for the next 2 hours, keep the rooms between 20 and 24 °C"
START = datetime(2026, 1, 13, 13, tzinfo=UTC)
END = START + timedelta(hours=3)


def test_the_next_plan_is_due_on_the_full_hour_and_never_at_once() -> None:
    assert until_replan(START) == 3600.0
    assert until_replan(START.replace(minute=20)) == 2400.0


def test_a_loop_that_was_given_back_plans_on_the_sites_grid_again(
    tmp_path: Path, quick_site: Path
) -> None:
    loop = open_loop(quick_site, START, 1, tmp_path, InProcessDispatcher())
    run_loop(loop, SENTENCE, END, futures=100)
    made = sorted(e.proposal.not_before for e in loop.operations.desk.entries())
    loop.operations.close()
    assert loop.operations.undecided == []
    assert made[0] == START
    # Its leave ended at 15:00, and everything was given back by 15:05.
    assert START + timedelta(minutes=135) in made
    assert all(t.timestamp() % 900 == 0 for t in made)
