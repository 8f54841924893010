"""Utterances by somebody who did not know the grammar: no worse than measured, and none silent."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from api.bench_intents import Result, judge, misses_text, published, run_bench
from graph.sitepack import load_site

FOLDER = Path("scenarios/utterances")
# Floors may rise; what was read wrongly without a word may never be more than none.
EXACT = {
    ("blind", "compiled"): 92, ("blind", "asked"): 65, ("blind", "refused"): 15,
    ("unseen", "compiled"): 35, ("unseen", "asked"): 16, ("unseen", "refused"): 10,
}  # fmt: skip
SILENT = {"blind": 0, "own": 0, "unseen": 0}


@cache
def results_of(name: str) -> tuple[Result, ...]:
    return tuple(run_bench([FOLDER / f"{name}.jsonl"])[1])


@pytest.mark.parametrize("name", SILENT)
def test_no_utterance_is_misread_silently(name: str) -> None:
    silent = [r for r in results_of(name) if r.silent]
    assert len(silent) <= SILENT[name], misses_text(silent)


@pytest.mark.parametrize(("name", "outcome"), EXACT)
def test_as_many_blind_utterances_are_read_as_meant_as_when_measured(
    name: str, outcome: str
) -> None:
    results = [r for r in results_of(name) if r.wanted == outcome]
    assert sum(r.exact for r in results) >= EXACT[name, outcome], misses_text(results)


def test_the_blind_utterances_stay_the_ones_that_were_measured() -> None:
    wanted = Counter(r.wanted for r in results_of("blind"))
    assert wanted == {"compiled": 112, "asked": 68, "refused": 20}
    wanted = Counter(r.wanted for r in results_of("unseen"))
    assert wanted == {"compiled": 90, "asked": 16, "refused": 14}
    assert {p.stem for p in published()} == set(SILENT)


def test_an_assumption_that_was_due_and_is_not_told_is_no_match() -> None:
    site = load_site(Path("scenarios/microgrid")).site
    band = {"kind": "band", "signals": ["battery.soc_pct"], "minimum": 20, "unit": "%",
            "hard": True, "chance": None}  # fmt: skip
    meant = {"objectives": [{"quantity": "cost"}], "constraints": [band],
             "start": "2026-01-20T09:30", "end": "2026-01-21T09:30"}  # fmt: skip
    due = {"outcome": "compiled", "assumed": "No aim was named: cost", "intent": meant}
    assert judge({**due, "text": "battery above 20 %"}, site).exact
    assert not judge({**due, "text": "minimise cost, battery above 20 %"}, site).exact
    assert not judge({**due, "text": "battery above 20 %. feed the cat"}, site).exact


@pytest.mark.parametrize(
    "text",
    ["heat pump off from 10:00 to 14:00; heat pump power at least 6 kW from 11:00 to 12:00, must",
     "no battery today; the battery must discharge at least 5 kW from 17:00 to 19:00"],
)  # fmt: skip
def test_what_is_to_stand_still_cannot_be_asked_to_run(text: str) -> None:
    site = load_site(Path("scenarios/microgrid")).site
    moment = {"text": text, "outcome": "asked", "says": "contradict each other"}
    assert judge(moment, site).exact
    apart = text.replace("from 11:00 to 12:00", "from 15:00 to 16:00")
    assert apart == text or judge({**moment, "text": apart}, site).got == "compiled"


def test_several_files_have_their_figures_apart() -> None:
    figures, results = run_bench([FOLDER / "blind.jsonl", FOLDER / "own.jsonl"])
    named = {f.name: f.value for f in figures}
    assert named["own: exact match: all"] != named["blind: exact match: all"]
    assert {r.file for r in results} == {"blind.jsonl", "own.jsonl"}
