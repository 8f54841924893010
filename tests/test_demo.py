"""The demonstration from outside: what it prints, what it leaves, and that nobody can bend it."""

import json
import os
import random
import re
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from api.demo import START, make_room
from api.plant_log import read_log
from api.references import day_kpis
from graph.errors import InputError
from graph.record import parse_iso
from graph.sitepack import load_site
from safety.trust_root import load_root
from safety.verify import verify_bundle
from tests.conftest import DEMO_HOURS, ROOT

KEYS = {
    "intent", "candidates", "shadow", "canary", "policy", "causal", "counterfactuals", "risk",
    "proposal", "signature", "ledger", "rollout", "rollback", "kpis",
}  # fmt: skip
FILES = {"root.json", "plant.csv", "bundle.json", "report.html", "demo.json"}
FLIPS, SEED = 10_000, 20260113


def test_it_prints_one_document_with_every_part_of_the_decision(demonstration):
    document = demonstration.document
    assert document.keys() >= KEYS
    assert {p.name for p in demonstration.out.iterdir()} >= FILES
    assert json.loads((demonstration.out / "demo.json").read_text()) == document
    assert document["intent"]["restatement"]
    assert [c["status"] for c in document["candidates"]] != []
    shadow = document["shadow"]
    assert shadow["asked"] >= 200
    assert 50 <= shadow["futures"] <= shadow["asked"]  # fewer only where the decision was clear
    assert shadow["futures"] == shadow["asked"] or shadow["stopped"]
    assert document["shadow"]["passed"] is document["canary"]["passed"] is True
    assert document["canary"]["rollback_restored"] is True
    assert {v["verdict"] for v in document["policy"]["verdicts"]} == {"pass"}
    assert document["causal"]["because"]
    assert document["counterfactuals"]["inaction"]["cost"]["unit"]
    assert document["signature"]["approvals"] == len(
        document["proposal"]["required_approvals"]["roles"]
    )
    assert document["ledger"]["index"] < document["ledger"]["size"]


def test_the_fault_tripped_a_guardrail_and_the_gate_rolled_back_by_itself(demonstration):
    rollback = demonstration.document["rollback"]
    assert rollback["rolled_back"] is True
    assert "zone_north.temp_degc" in rollback["reason"]
    kinds = [line.split("  ")[1] for line in rollback["events"]]
    assert kinds.index("engaged") < kinds.index("rolled_back")
    assert parse_iso(rollback["at"]) > parse_iso(START) + timedelta(hours=DEMO_HOURS)


def test_what_came_is_recomputed_from_the_plants_own_log(demonstration):
    pack = load_site(ROOT / "scenarios" / "microgrid")
    log = read_log(demonstration.out / "plant.csv", [s.id for s in pack.site.signals])
    start = parse_iso(START)
    again = day_kpis(pack, log, start, start + timedelta(hours=DEMO_HOURS))
    values = demonstration.document["kpis"]["values"]
    assert values["copilot"] == pytest.approx(again, rel=1e-9, abs=1e-9)
    assert list(values) == demonstration.document["kpis"]["columns"]
    assert values["copilot"]["settled_cost"] != values["baseline"]["settled_cost"]


def test_the_report_stands_alone(demonstration):
    text = (demonstration.out / "report.html").read_text()
    assert demonstration.document["intent"]["restatement"][:20] in text
    # No address is fetched: pictures and styles are inside.
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text) == []


def test_everything_says_that_a_laboratory_key_approved(demonstration):
    root = load_root(demonstration.out / "root.json")
    report = verify_bundle((demonstration.out / "bundle.json").read_bytes(), root, None, True)
    contents = report.require()
    assert contents.lab
    assert all(a.lab for a in contents.approvals)
    assert "no person approved this" in (demonstration.out / "report.html").read_text()


def test_verify_accepts_the_bundle_with_its_approvals(demonstration, run_pilothouse):
    out = demonstration.out
    asked = ("verify", out / "bundle.json", "--root", out / "root.json", "--json")
    run = run_pilothouse(*asked, "--approved")
    assert run.returncode == 0, run.stdout
    assert json.loads(run.stdout)["ok"] is True
    at = demonstration.document["proposal"]["not_before"]
    assert run_pilothouse(*asked, "--at", at).returncode == 0
    late = run_pilothouse(*asked, "--at", "2026-02-01T00:00:00Z")
    assert late.returncode == 1
    assert "expired" in [c["name"] for c in json.loads(late.stdout)["checks"] if not c["ok"]]


def test_its_ledger_is_whole(demonstration, run_pilothouse):
    ledger = demonstration.out / "work" / "ledger.sqlite"
    run = run_pilothouse(
        "ledger", "verify", ledger, "--root", demonstration.out / "root.json", "--json"
    )
    assert run.returncode == 0, run.stdout
    assert json.loads(run.stdout)["entries"] >= demonstration.document["ledger"]["size"]


def accepted(folder: str, positions: list[int]) -> list[int]:
    """Bits whose flipping leaves a bundle that verifies: there must be none."""
    data = bytearray((Path(folder) / "bundle.json").read_bytes())
    root = load_root(Path(folder) / "root.json")
    found = []
    for position in positions:
        data[position // 8] ^= 1 << position % 8
        if verify_bundle(bytes(data), root, None, False).ok:
            found.append(position)
        data[position // 8] ^= 1 << position % 8
    assert verify_bundle(bytes(data), root, None, True).ok
    return found


@pytest.mark.slow
def test_ten_thousand_flipped_bits_are_all_found(demonstration):
    size = 8 * (demonstration.out / "bundle.json").stat().st_size
    positions = random.Random(SEED).sample(range(size), FLIPS)
    workers = max(1, len(os.sched_getaffinity(0)))
    shares = [positions[k::workers] for k in range(workers)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(accepted, [str(demonstration.out)] * workers, shares))
    assert found == [[]] * workers


def test_an_earlier_demonstration_is_replaced_and_anything_else_is_left_alone(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "ledger.sqlite").write_text("old")
    (tmp_path / "demo.json").write_text("{}")
    make_room(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "thesis.odt").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.odt"):
        make_room(tmp_path)
    assert (tmp_path / "thesis.odt").read_text() == "mine"
