"""The demonstration: a simulated day from a sentence to a fault that is rolled back.

1. Start plant, gate and service; in a fourth process run what the day is compared with.
2. Ask; the service compiles, decides, proves, signs.
3. Approve with a laboratory key that says so, with leave to re-plan inside the envelope.
4. Follow the plant for the day; the service re-plans every hour.
5. Ask again, break something, and watch the gate take everything back.
6. Write the bundle, the log, the table and the report.
"""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from api.approver import read_proposal, sign_decision, standing_for
from api.demo_stack import Stack
from api.references import DayResult, baseline_day, foresight_days
from graph.errors import InputError, PilothouseError
from graph.intent import Intent
from graph.proposal import ControlProposal
from graph.record import parse_iso
from graph.sitepack import load_site

SENTENCE = (
    "minimise energy cost until tomorrow 18:00, keep the rooms between 20 and 24 °C, "
    "battery above 20 %, at most 4 heat-pump starts a day"
)
START = "2026-01-13T00:00:00-08:00"
STEP_S = 900
FAULT = ("temperature_sensor_drift", {"point": "zone_north.temp_degc", "k_per_h": 8.0})
FAULT_HOURS = 6.0
LEFT = {"work", "root.json", "plant.csv", "bundle.json", "report.html", "demo.json"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoSettings:
    """What to run."""

    folder: Path
    out: Path
    sentence: str = SENTENCE
    start: datetime = field(default_factory=lambda: parse_iso(START))
    hours: float = 24.0
    seed: int = 1


@dataclass
class DemoRun:
    """What the demonstration gathered."""

    settings: DemoSettings
    proposal: ControlProposal | None = None
    bundle: bytes = b""
    detail: dict[str, Any] | None = None
    events: list[str] | None = None
    day_facts: int = 0
    facts: list[dict[str, Any]] | None = None
    missed: list[str] | None = None
    fault_events: list[str] | None = None
    proposals: list[dict[str, Any]] | None = None
    ledger_note: str = ""
    ledger_proof: dict[str, Any] | None = None
    references: dict[str, DayResult] | None = None
    rollback: dict[str, Any] | None = None


def run_demo(settings: DemoSettings, say: Say) -> DemoRun:
    """Run it. Raises PilothouseError saying which step failed."""
    make_room(settings.out)
    pack = load_site(settings.folder)
    run = DemoRun(settings)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        baseline = pool.submit(
            baseline_day, settings.folder, settings.start, settings.hours, settings.seed
        )
        with Stack(pack, settings.out, settings.start, settings.seed) as stack:
            say("plant, gate and service are up; the agents are warming")
            stack.wait_agents()
            _ask_and_approve(stack, run, say)
            assert run.proposal is not None
            hindsight = pool.submit(
                foresight_days, settings.folder, settings.start, settings.hours, settings.seed,
                _intent(run.proposal),
            )  # fmt: skip
            _follow_day(stack, run, say)
            _break_and_roll_back(stack, run, say)
            _collect(stack, run)
        say("waiting for the plans with hindsight")
        run.references = {"baseline": baseline.result(), **hindsight.result()}
    (settings.out / "bundle.json").write_bytes(run.bundle)
    (settings.out / "root.json").write_bytes((settings.out / "work" / "root.json").read_bytes())
    return run


def make_room(out: Path) -> None:
    """An empty folder, or one whose earlier demonstration is replaced; anything else is left alone.

    Raises:
        InputError: the folder holds something that no demonstration left there.
    """
    found = {p.name for p in out.iterdir()} if out.exists() else set()
    if found - LEFT:
        strange = ", ".join(sorted(found - LEFT)[:3])
        raise InputError(f"{out} holds {strange}", "choose a new folder with --out")
    for name in found:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    out.mkdir(parents=True, exist_ok=True)


def _intent(proposal: ControlProposal) -> Intent:
    return proposal.compiled_intent


def _ask_and_approve(stack: Stack, run: DemoRun, say: Say) -> None:
    stack.post("/v1/loops/all/mode", {"mode": "auto"})
    proposal_id, detail = ask(stack, run.settings.sentence, say)
    run.detail = detail
    end = run.settings.start + timedelta(hours=run.settings.hours)
    run.proposal = approve(stack, proposal_id, end)
    run.bundle = stack.get_bytes(f"/v1/proposals/{proposal_id}/bundle")
    digest = stack.get(f"/v1/proposals/{proposal_id}")["digest"]
    run.ledger_proof = stack.get(f"/v1/ledger/proof/{digest}")
    say(f"{proposal_id} is approved by the laboratory's key and rolling out")


def ask(stack: Stack, sentence: str, say: Say) -> tuple[str, dict[str, Any]]:
    """Post an intent and wait for its proposal. Raises PilothouseError when there is none."""
    answer = stack.post("/v1/intents", {"text": sentence})
    say(answer["reading"]["restatement"] or "; ".join(answer["reading"]["questions"]))
    if answer["decision"] is None:
        raise PilothouseError("the sentence needs an answer", str(answer["reading"]["questions"]))
    decision_id = answer["decision"]
    _watch(stack, decision_id, say)
    detail = stack.get(f"/v1/decisions/{decision_id}")
    if detail["proposal"] is None:
        why = detail["error"] or "; ".join(detail["reasons"])
        raise PilothouseError(f"no proposal: {detail['outcome']}", why)
    return detail["proposal"], detail


def _watch(stack: Stack, decision_id: str, say: Say) -> None:
    """Read the decision's events until it ends."""
    with stack.stream(f"/v1/decisions/{decision_id}/events") as lines:
        kind = ""
        for line in lines:
            if line.startswith("event:"):
                kind = line.partition(":")[2].strip()
            elif line.startswith("data:") and kind not in ("intent", "state"):
                say(f"  {kind}: {line.partition(':')[2].strip()}")


def approve(stack: Stack, proposal_id: str, until: datetime) -> ControlProposal:
    """Sign as each required role with the laboratory's key, with standing leave until `until`."""
    data = stack.get_bytes(f"/v1/proposals/{proposal_id}/bundle")
    proposal = read_proposal(data)
    signer = stack.workspace.signer("lab-approver")
    for role in proposal.required_approvals.roles:
        envelope = sign_decision(
            proposal, signer, "approve", role, "demonstration", proposal.not_before,
            standing_for(proposal, until),
        )  # fmt: skip
        stack.post(f"/v1/proposals/{proposal_id}/approve", {"envelope": envelope})
    return proposal


def _follow_day(stack: Stack, run: DemoRun, say: Say) -> None:
    run.events = []
    steps = int(run.settings.hours * 3600 // STEP_S)
    for k in range(steps):
        answer = stack.post("/v1/lab/advance", {"seconds": STEP_S})
        if (k + 1) % 4 == 0:
            say(f"  {answer['plant_time']}  {answer['phase']}")
    found = stack.get("/v1/rollouts")
    run.missed = found["missed_replans"]
    run.facts = found["facts"]
    run.events = [fact_line(f) for f in found["facts"] if f["kind"] != "applied"]
    run.day_facts = len(found["facts"])


def _break_and_roll_back(stack: Stack, run: DemoRun, say: Say) -> None:
    say("the day is over; asking again, then breaking a sensor")
    sentence = run.settings.sentence
    proposal_id, _ = ask(stack, sentence, lambda _: None)
    until = run.settings.start + timedelta(hours=run.settings.hours * 2)
    approve(stack, proposal_id, until)
    before = len(stack.get("/v1/rollouts")["facts"])
    for _ in range(4):
        stack.post("/v1/lab/advance", {"seconds": STEP_S})
    stack.fault(*FAULT)
    phase = ""
    for _ in range(int(FAULT_HOURS * 3600 // STEP_S)):
        answer = stack.post("/v1/lab/advance", {"seconds": STEP_S})
        phase = answer["phase"]
        if phase == "rolled_back":
            break
    facts = stack.get("/v1/rollouts")["facts"][before:]
    run.fault_events = [fact_line(f) for f in facts if f["kind"] != "applied"]
    trip = next((f for f in facts if f["kind"] == "rolled_back"), None)
    reason = trip["detail"].get("reason", "") if trip else f"nothing tripped ({phase})"
    run.rollback = {
        "fault": {"name": FAULT[0], **FAULT[1]},
        "proposal": proposal_id,
        "rolled_back": trip is not None,
        "reason": reason,
        "at": trip["at"] if trip else None,
        "summary": "A temperature sensor was made to drift. "
        f"The gate rolled back by itself: {reason}"
        if trip
        else f"A temperature sensor was made to drift and nothing tripped ({phase})",
        "events": run.fault_events,
    }
    say(run.rollback["summary"])


def fact_line(fact: dict[str, Any]) -> str:
    """One of the gate's reports in a line."""
    detail = {k: v for k, v in fact["detail"].items() if v not in ("", None, [], {})}
    return f"{fact['at']}  {fact['kind']}  {json.dumps(detail, ensure_ascii=False)}"


def _collect(stack: Stack, run: DemoRun) -> None:
    run.proposals = stack.get("/v1/proposals")
    run.ledger_note = stack.get_bytes("/v1/ledger/checkpoint").decode()
