"""Utterances by somebody who did not know the grammar: no worse than measured, and none silent."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from api.bench_intents import Result, judge, misses_text, published, read_utterances, run_bench
from graph.sitepack import load_site

FOLDER = Path("scenarios/utterances")
# Measured when the references were written. Floors may rise; what was read wrongly without a word
# may never be more.
EXACT = {
    ("blind", "compiled"): 3,
    ("blind", "asked"): 68,
    ("blind", "refused"): 2,
    ("blind_answered", "compiled"): 8,
}
SILENT = {"blind": 0, "blind_answered": 0}


@cache
def results_of(name: str) -> tuple[Result, ...]:
    return tuple(run_bench([FOLDER / f"{name}.jsonl"])[1])


@pytest.mark.parametrize("name", SILENT)
def test_no_more_blind_utterances_are_misread_silently_than_are_known(name: str) -> None:
    silent = [r for r in results_of(name) if r.silent]
    assert len(silent) <= SILENT[name], misses_text(silent)


@pytest.mark.parametrize(("name", "outcome"), EXACT)
def test_as_many_blind_utterances_are_read_as_meant_as_when_measured(
    name: str, outcome: str
) -> None:
    results = [r for r in results_of(name) if r.wanted == outcome]
    assert sum(r.exact for r in results) >= EXACT[name, outcome], misses_text(results)


def test_the_blind_utterances_stay_the_ones_that_were_measured() -> None:
    wanted = {n: Counter(r.wanted for r in results_of(n)) for n in SILENT}
    assert wanted == {
        "blind": {"compiled": 18, "asked": 162, "refused": 20},
        "blind_answered": {"compiled": 94},
    }
    assert {p.stem for p in published()} == {"own", *SILENT}


def test_each_wish_without_an_objective_is_also_measured_behind_one() -> None:
    alone = [c for c in read_utterances(FOLDER / "blind.jsonl") if c.get("only")]
    behind = read_utterances(FOLDER / "blind_answered.jsonl")
    assert [(c["id"], f"Minimise cost. {c['text']}") for c in alone] == [
        (c["id"], c["text"]) for c in behind
    ]


def test_a_question_beside_the_only_one_that_is_due_is_no_match() -> None:
    site = load_site(Path("scenarios/microgrid")).site
    due = {"outcome": "asked", "says": "What is to be made small", "only": True}
    assert judge({**due, "text": "battery above 20 %"}, site).exact
    assert not judge({**due, "text": "battery above 20 %, rooms at 21"}, site).exact
    assert not judge({**due, "text": "battery above 20 %. the cat is asleep"}, site).exact


def test_several_files_have_their_figures_apart() -> None:
    figures, results = run_bench([FOLDER / "blind.jsonl", FOLDER / "blind_answered.jsonl"])
    named = {f.name: f.value for f in figures}
    assert named["blind_answered: exact match: all"] != named["blind: exact match: all"]
    assert {r.file for r in results} == {"blind.jsonl", "blind_answered.jsonl"}
