"""The published utterances, and that the bench counts what it says."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from api.bench_intents import (
    NOW,
    OUTCOMES,
    document_of,
    judge,
    misses_text,
    read_utterances,
    run_bench,
    slots_of,
)
from graph.errors import InputError
from graph.sitepack import load_site
from planner.intent.compiler import compile_intent

OWN = Path("scenarios/utterances/own.jsonl")
CASES = read_utterances(OWN)
SITE = load_site(Path("scenarios/microgrid")).site
MEANT = {
    "register": "plain", "text": "Minimise cost, battery above 20 %.", "outcome": "compiled",
    "intent": {
        "objectives": [{"quantity": "cost"}],
        "constraints": [{"kind": "band", "signals": ["battery.soc_pct"], "minimum": 20,
                         "unit": "%", "hard": True, "chance": None}],
        "start": "2026-01-20T09:30", "end": "2026-01-21T09:30",
    },
}  # fmt: skip


def test_our_own_utterances_meet_the_targets_and_none_is_misread_silently() -> None:
    figures, results = run_bench([OWN])
    assert all(f.ok for f in figures), misses_text(results)
    assert not any(r.silent for r in results)


def test_they_are_many_and_of_every_outcome_and_register_and_of_two_sites() -> None:
    assert len(CASES) >= 120
    assert len({(c["site"], c["text"]) for c in CASES}) == len(CASES)
    assert len({c["register"] for c in CASES}) >= 6
    assert {c["site"] for c in CASES} >= {"microgrid", "office_small"}
    assert all(sum(c["outcome"] == o for c in CASES) >= 15 for o in OUTCOMES)


@pytest.mark.parametrize("case", [c for c in CASES if c["outcome"] == "compiled"],
                         ids=lambda c: c["text"][:50])  # fmt: skip
def test_each_compiled_form_said_back_compiles_to_itself(case: dict[str, Any]) -> None:
    site = load_site(Path("scenarios") / case["site"]).site
    now = datetime.fromisoformat(NOW).replace(tzinfo=site.zone_info)
    said = compile_intent(case["text"], site, now).restatement
    again = compile_intent(said, site, now)
    assert again.intent is not None, again.questions
    assert slots_of(document_of(again.intent, site)) == slots_of(_floats(case["intent"]))


def _floats(value: Any) -> Any:
    return json.loads(json.dumps(value), parse_int=float)


def test_a_wrong_reading_is_counted_and_its_slots_are_named() -> None:
    wrong = json.loads(json.dumps(MEANT))
    wrong["intent"]["constraints"][0]["minimum"] = 30
    right, missed = judge(MEANT, SITE), judge(wrong, SITE)
    assert (right.exact, right.silent) == (True, False)
    assert (missed.exact, missed.silent) == (False, True)
    assert missed.slots == (right.slots[0] - 1, right.slots[1])
    assert "constraints[0].minimum: 30" in missed.difference
    assert "SILENT" in misses_text([missed])


def test_an_intent_where_a_question_was_due_is_silent_and_one_that_reports_a_word_is_not() -> None:
    due = {"text": "minimise cost", "outcome": "asked"}
    assert judge(due, SITE).silent
    told = judge({"text": "minimise cost. feed the dog", "outcome": "asked"}, SITE)
    assert not told.exact
    assert not told.silent


def test_slots_are_the_leaves_of_a_document() -> None:
    assert slots_of({"a": [{"b": 1}, 2], "c": None}) == {"a[0].b": 1, "a[1]": 2, "c": None}


@pytest.mark.parametrize("line", ["{", "[]", '{"text": 3}', '{"text": "x", "outcome": "maybe"}'])
def test_a_file_that_is_none_of_utterances_is_refused_with_its_line(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(MEANT) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_utterances(path)


def test_the_command_prints_the_figures_and_each_miss(tmp_path: Path, run_pilothouse: Any) -> None:
    wrong = {**MEANT, "outcome": "asked"}
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(MEANT) + "\n" + json.dumps(wrong) + "\n", encoding="utf-8")
    found = run_pilothouse("bench", "intents", "--file", str(path), "--check")
    assert found.returncode == 1
    assert "exact match: all" in found.stdout
    assert "SILENT plain, line 2" in found.stdout
