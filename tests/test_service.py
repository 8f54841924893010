"""The service over HTTP: from a sentence to a rollout, and everything that must be refused."""

import json
import threading
from collections import Counter

import pytest
from fastapi.testclient import TestClient

from api.auth import LOCK_AFTER, LOCK_S, UserStore
from graph.canonical import canonical_bytes
from graph.clock import ManualClock
from graph.errors import RefusedError
from graph.signals import Owner
from safety.checkpoint import parse_checkpoint
from safety.keys import signer_from_secret
from safety.ledger_audit import leaf_of
from safety.merkle import verify_inclusion
from safety.verify import verify_bundle
from tests.builders import START
from tests.laboratory import SENTENCE, expect_problem

STEPS = ["intent", "snapshot", "agents", "shadow", "canary", "explanation", "policy", "decision"]
LIFE = ["drafted", "shadowed", "canaried", "compliant", "pending"]
BATTERY = "battery.power_set_kw"
NORTH = "zone_north.setpoint_degc"
AUTO_FUTURES = 200  # with none of these in violation the risk is low, as AUTO demands


def events_of(text):
    """(id, event, data) of a server-sent event stream."""
    blocks = [b for b in text.replace("\r\n", "\n").split("\n\n") if "event:" in b]
    found = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


# --- who may come in ---------------------------------------------------------------------------


def test_the_first_run_makes_an_admin_whose_password_is_told_once_and_kept_nowhere(tmp_path):
    users = UserStore(tmp_path / "users.sqlite")
    secret = users.first_run_secret()
    assert users.first_run_secret() is None
    assert "admin" in users.login("admin", secret).roles
    assert secret.encode() not in (tmp_path / "users.sqlite").read_bytes()
    users.close()
    again = UserStore(tmp_path / "users.sqlite")  # nor does a restart tell it again
    assert again.first_run_secret() is None
    assert again.login("admin", secret).name == "admin"
    again.close()


def test_wrong_passwords_lock_a_name_for_a_minute_even_for_the_right_one(tmp_path):
    clock = ManualClock(START)
    users = UserStore(tmp_path / "users.sqlite", clock)
    users.add("ann", "a long password", ("operator",))
    for name in ("ann", "nobody"):
        for _ in range(LOCK_AFTER):
            with pytest.raises(RefusedError) as caught:
                users.login(name, "wrong")
            assert caught.value.reason == "unauthenticated"
    with pytest.raises(RefusedError) as caught:
        users.login("ann", "a long password")
    assert caught.value.reason == "locked"
    clock.advance(LOCK_S + 1)
    assert users.login("ann", "a long password").roles == {"operator"}
    users.close()


def test_login_gives_a_token_that_opens_the_door_and_a_forged_one_does_not(lab):
    lab.users.add("olga", "a long password", ("operator",))
    expect_problem(
        lab.post("/v1/login", {"name": "olga", "password": "x"}, None), 401, "unauthenticated"
    )
    answer = lab.post("/v1/login", {"name": "olga", "password": "a long password"}, None).json()
    header = {"Authorization": f"Bearer {answer['token']}"}
    assert lab.http.get("/v1/decisions", headers=header).status_code == 200
    head, body, signature = answer["token"].split(".")
    flipped = ("A" if signature[5] != "A" else "B") + signature[6:]
    for token in (f"{head}.{body}.{signature[:5]}{flipped}", f"{head}.{body}.", "x"):
        answer = lab.http.get("/v1/decisions", headers={"Authorization": f"Bearer {token}"})
        expect_problem(answer, 401, "unauthenticated")


def test_every_kind_of_error_is_a_problem_document(lab):
    expect_problem(lab.get("/v1/decisions", None), 401, "unauthenticated")
    expect_problem(lab.post("/v1/intents", {"text": "x"}, "auditor"), 403, "forbidden")
    expect_problem(lab.get("/v1/decisions/none"), 404, "not_found")
    expect_problem(lab.get("/v1/no-such-thing"), 404, "http")
    expect_problem(lab.ask("DELETE", "/v1/decisions"), 405, "http")
    big = lab.post("/v1/intents", {"text": "x" * 5_000_000})
    expect_problem(big, 413, "too_large")
    wrong = lab.post("/v1/intents", {"text": "", "more": 1})
    expect_problem(wrong, 422, "invalid-request")
    assert {e["field"] for e in wrong.json()["errors"]} == {"body.text", "body.more"}
    broken = lab.ask(
        "POST", "/v1/intents", content=b"{", headers={"Content-Type": "application/json"}
    )
    expect_problem(broken, 422, "invalid-request")
    assert broken.headers["x-content-type-options"] == "nosniff"


# --- asking ------------------------------------------------------------------------------------


def test_a_dry_run_restates_and_starts_nothing(lab):
    before = len(lab.operations.decisions)
    answer = lab.post("/v1/intents", {"text": SENTENCE, "dry_run": True})
    assert answer.status_code == 202
    body = answer.json()
    assert body["decision"] is None
    assert "20" in body["reading"]["restatement"]
    assert body["reading"]["intent"]["actor"] == "the operator"
    assert len(lab.operations.decisions) == before


def test_a_sentence_with_an_open_question_starts_nothing(lab):
    body = lab.post("/v1/intents", {"text": "keep the rooms warm"}).json()
    assert body["decision"] is None
    assert body["reading"]["questions"] or body["reading"]["not_understood"]


def test_a_decision_tells_its_steps_in_order_and_resumes_where_a_listener_left(lab):
    decision = lab.post("/v1/intents", {"text": SENTENCE}).json()["decision"]
    path = f"/v1/decisions/{decision}/events"
    whole = events_of(lab.get(path).text)
    assert [number for number, _, _ in whole] == list(range(len(whole)))
    kinds = [kind for _, kind, _ in whole]
    assert kinds == [*STEPS, *["state"] * len(LIFE), "proposal"]
    assert [data["state"] for _, kind, data in whole if kind == "state"] == LIFE
    assert events_of(lab.get(path, headers={"Last-Event-ID": "4"}).text) == whole[5:]
    assert events_of(lab.get(path, headers={"Last-Event-ID": str(len(whole) - 1)}).text) == []
    body = lab.get(f"/v1/decisions/{decision}").json()
    assert (body["done"], body["outcome"], body["error"]) == (True, "proposal", None)
    assert body["proposal"] == whole[-1][2]["id"]
    summary = lab.get(f"/v1/proposals/{body['proposal']}").json()
    assert summary["digest"] == whole[-1][2]["digest"]
    assert summary["state"] == "pending"


def test_the_bundle_of_a_proposal_verifies_offline_and_without_its_approval_is_not_approved(lab):
    proposal_id, proposal = lab.propose()
    answer = lab.get(f"/v1/proposals/{proposal_id}/bundle")
    assert proposal_id in answer.headers["content-disposition"]
    report = verify_bundle(answer.content, lab.root, lab.loop.plant.time, require_approval=False)
    assert report.require().proposal == proposal
    waiting = verify_bundle(answer.content, lab.root, lab.loop.plant.time, require_approval=True)
    assert [c.name for c in waiting.checks if not c.ok] == ["approval_quorum"]


# --- approving ---------------------------------------------------------------------------------


def test_an_approval_that_does_not_hold_is_refused_by_name_and_changes_nothing(lab):
    proposal_id, proposal = lab.propose()
    _, other = lab.propose()
    role = proposal.required_approvals.roles[0]
    stranger = signer_from_secret(b"?" * 32, "Sam Stranger", lab=True)
    machine = lab.loop.workspace.signer("service")
    altered = lab.approval(proposal, role)
    altered["payload"] = altered["payload"][:40] + "AAAA" + altered["payload"][44:]
    wrong = {
        "a key that nobody trusts": (lab.approval(proposal, role, stranger), "not-authentic"),
        "the service's own key": (lab.approval(proposal, role, machine), "not-authentic"),
        "an altered statement": (altered, "not-authentic"),
        "a role that the key does not hold": (lab.approval(proposal, "director"), "role"),
        "another proposal's digest": (lab.approval(other, role), "other_proposal"),
        "a rejection": (lab.approval(proposal, role, decision="reject"), "not_an_approval"),
    }
    before = len(lab.ledger)
    for what, (envelope, kind) in wrong.items():
        answer = lab.send(proposal_id, envelope)
        assert answer.json()["type"] == f"urn:pilothouse:problem:{kind}", (what, answer.text)
        expect_problem(answer, 400 if kind == "not-authentic" else 403, kind)
        assert lab.state(proposal_id) == "pending", what
    assert len(lab.ledger) == before  # what is nobody's word is not kept
    for nonsense in ({}, {"payload": 1}, {"payloadType": "x", "payload": "", "signatures": []}):
        assert 400 <= lab.send(proposal_id, nonsense).status_code < 500
    assert lab.get(f"/v1/proposals/{proposal_id}").json()["approvals"] == 0
    assert Owner.REMOTE not in {p.owner for p in lab.loop.plant.image().points.values()}
    assert lab.approve(proposal_id, proposal).json()["state"] == "rolling_out"


def test_after_the_deadline_a_proposal_is_expired_and_never_approved(lab):
    proposal_id, proposal = lab.propose()
    late = (proposal.decide_by - lab.loop.plant.time).total_seconds() + 60
    lab.gate.advance(late)
    for role in proposal.required_approvals.roles:
        expect_problem(lab.send(proposal_id, lab.approval(proposal, role)), 403, "expired")
    assert lab.state(proposal_id) == "expired"
    assert lab.gate.status()["engaged"] is None


def test_of_eight_racing_approvals_one_wins(lab):
    proposal_id, proposal = lab.propose()
    *first, last = proposal.required_approvals.roles
    for role in first:
        assert lab.send(proposal_id, lab.approval(proposal, role)).json()["state"] == "pending"
    envelope = lab.approval(proposal, last)
    start, answers = threading.Barrier(8), []

    def race():
        with TestClient(lab.app) as client:
            start.wait(20)
            answers.append(
                client.post(
                    f"/v1/proposals/{proposal_id}/approve", json={"envelope": envelope},
                    headers=lab.headers("approver"),
                )
            )  # fmt: skip

    racers = [threading.Thread(target=race) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert Counter(a.status_code for a in answers) == {200: 1, 403: 7}
    assert {a.json()["type"] for a in answers if a.status_code == 403} <= {
        "urn:pilothouse:problem:approved", "urn:pilothouse:problem:rolling_out",
    }  # fmt: skip
    digest = lab.get(f"/v1/proposals/{proposal_id}").json()["digest"]
    assert lab.gate.status()["engaged"]["proposal_digest"] == digest
    engaged = [f for f in lab.desk.follow() if f["kind"] == "engaged"]
    assert [f["proposal_digest"] for f in engaged] == [digest]


def test_one_signed_no_is_enough_and_an_approval_is_none(lab):
    proposal_id, proposal = lab.propose()
    role = proposal.required_approvals.roles[0]
    expect_problem(
        lab.send(proposal_id, lab.approval(proposal, role), "reject"), 403, "not_a_rejection"
    )
    no = lab.approval(proposal, role, decision="reject")
    assert lab.send(proposal_id, no, "reject").json()["state"] == "rejected"
    expect_problem(lab.send(proposal_id, lab.approval(proposal, role)), 403, "rejected")
    assert lab.gate.status()["engaged"] is None


def test_a_plant_that_has_left_the_guards_voids_the_approval(lab):
    proposal_id, proposal = lab.propose()
    role = proposal.required_approvals.roles[0]
    drifting = "zone_north.temp_degc"
    lab.loop.plant.inject_fault("temperature_sensor_drift", point=drifting, k_per_h=40.0)
    lab.gate.advance(360)
    answer = lab.send(proposal_id, lab.approval(proposal, role))
    expect_problem(answer, 403, "void_guard")
    assert drifting in answer.json()["title"]
    assert lab.state(proposal_id) == "void"
    expect_problem(lab.send(proposal_id, lab.approval(proposal, role)), 403, "void")


# --- what people do while it rolls out ---------------------------------------------------------


def owners(lab):
    return {p: s.owner for p, s in lab.loop.plant.image().points.items()}


def test_one_call_takes_everything_back_and_switches_every_loop_off(lab):
    proposal_id, proposal = lab.propose()
    lab.approve(proposal_id, proposal)
    lab.post("/v1/lab/advance", {"seconds": 300})
    assert Owner.REMOTE in owners(lab).values()
    status = lab.post("/v1/plant/all-local").json()
    assert set(status["modes"].values()) == {"off"}
    assert Owner.REMOTE not in owners(lab).values()
    lab.post("/v1/lab/advance", {"seconds": 60})
    assert lab.state(proposal_id) == "rolled_back"
    other_id, other = lab.propose()
    expect_problem(lab.approve(other_id, other), 403, "mode")  # OFF takes no order
    assert lab.state(other_id) == "void"


def test_an_abort_rolls_back_and_is_scored_as_rolled_back(lab):
    proposal_id, proposal = lab.propose()
    lab.approve(proposal_id, proposal)
    lab.post("/v1/lab/advance", {"seconds": 300})
    lab.post("/v1/rollouts/abort", {"reason": "a visitor"})
    assert Owner.REMOTE not in owners(lab).values()
    lab.post("/v1/lab/advance", {"seconds": 60})
    assert lab.state(proposal_id) == "rolled_back"
    facts = lab.get("/v1/rollouts").json()["facts"]
    ended = [f for f in facts if f["proposal_digest"] == lab.desk.entry(proposal_id).signed.digest]
    assert ended[-1]["kind"] == "rolled_back"
    assert ended[-1]["detail"]["reason"] == "a visitor"


def test_a_point_that_a_person_takes_is_planned_around_and_never_written_until_handed_back(lab):
    status = lab.post(f"/v1/loops/{NORTH}/override", {}).json()
    assert status["holds"][NORTH]["by"] == "the operator"
    applied = lab.loop.plant.image().points[NORTH].applied
    proposal_id, proposal = lab.propose("minimise cost for the next 24 hours")
    snapshot = lab.desk.entry(proposal_id).signed.attachments.snapshot
    holds = {h["point"]: (h["owner"], h["value"]) for h in snapshot["holds"]}
    assert holds == {NORTH: ("the operator", applied)}
    points = {s.point for s in proposal.proposed_policy.schedule}
    assert points
    assert NORTH not in points
    assert lab.approve(proposal_id, proposal).json()["state"] == "rolling_out"
    seen = set()
    for _ in range(4):
        lab.post("/v1/lab/advance", {"seconds": 900})
        seen |= {p for p, o in owners(lab).items() if o is Owner.REMOTE}
    assert seen
    assert NORTH not in seen
    status = lab.post(f"/v1/loops/{NORTH}/hand-back").json()
    assert status["holds"] == {}
    expect_problem(lab.post(f"/v1/loops/{NORTH}/hand-back"), 403, "not_held")


def test_a_point_taken_at_the_plants_own_panel_keeps_its_value_through_rollout_and_rollback(lab):
    proposal_id, proposal = lab.propose()
    lab.approve(proposal_id, proposal)
    lab.post("/v1/lab/advance", {"seconds": 120})
    lab.loop.plant.operator_write(BATTERY, -3.0, "ann", None)
    try:
        lab.post("/v1/lab/advance", {"seconds": 600})
        assert lab.get("/v1/rollouts").json()["gate"]["holds"][BATTERY]["by"] == "ann"
        lab.post("/v1/rollouts/abort", {"reason": "test"})
        point = lab.loop.plant.image().points[BATTERY]
        assert (point.owner, point.applied) == (Owner.OPERATOR, -3.0)
        expect_problem(lab.post(f"/v1/loops/{BATTERY}/hand-back"), 403, "operator_hold")
    finally:
        lab.loop.plant.operator_hand_back(BATTERY)
        lab.gate.advance(60)


def test_a_loop_that_an_engineer_sets_to_advise_takes_no_order(lab):
    assert lab.post("/v1/loops/battery/mode", {"mode": "advise"}, "engineer").status_code == 200
    proposal_id, proposal = lab.propose()
    expect_problem(lab.approve(proposal_id, proposal), 403, "mode")
    expect_problem(lab.post("/v1/loops/no/mode", {"mode": "auto"}, "engineer"), 403, "unknown_loop")
    expect_problem(
        lab.post("/v1/loops/all/mode", {"mode": "x"}, "engineer"), 422, "invalid-request"
    )  # fmt: skip


def test_the_service_plans_anew_under_standing_leave_and_stops_when_a_person_takes_it_back(lab):
    proposal_id, proposal = lab.propose(futures=AUTO_FUTURES)
    assert proposal.risk.level == "low"
    assert lab.approve(proposal_id, proposal, standing=True).json()["state"] == "rolling_out"
    before = len(lab.desk.entries())
    lab.gate.advance(3600)
    lab.operations.tick(AUTO_FUTURES)
    assert len(lab.desk.entries()) == before + 1, lab.operations.missed_replans[-1:]
    covered = lab.desk.entries()[0]
    assert covered.proposal.under == lab.desk.entry(proposal_id).signed.digest
    assert lab.gate.status()["engaged"]["proposal_digest"] == covered.signed.digest
    lab.post("/v1/rollouts/abort", {"reason": "enough"})
    lab.post("/v1/lab/advance", {"seconds": 4000})
    assert len(lab.desk.entries()) == before + 1
    assert lab.gate.status()["engaged"] is None


# --- looking -----------------------------------------------------------------------------------


def test_what_if_answers_with_the_same_futures_and_refuses_what_it_does_not_know(lab):
    asked = {"changes": {"outdoor_add_k": -5.0}, "futures": 10, "hours": 24}
    answer = lab.post("/v1/what-if", asked).json()
    assert answer["difference"]["energy"]["mean"] > 1.0  # a colder day takes more
    assert lab.post("/v1/what-if", asked).json() == answer
    nothing = lab.post("/v1/what-if", {"changes": {"moon": 1}, "futures": 10})
    assert nothing.status_code == 422
    assert "moon" in nothing.text


def test_health_readiness_and_metrics_need_no_token(lab):
    proposal_id, _ = lab.propose()
    assert lab.get("/healthz", None).json() == {"ok": True}
    assert lab.get("/readyz", None).json() == {"ready": True, "warming": [], "gate": True}
    answer = lab.get("/metrics", None)
    assert answer.headers["content-type"].startswith("text/plain")
    lines = dict(
        line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")
    )
    states = Counter(str(s.state) for s in lab.desk.lives.standings())
    for state, count in states.items():
        assert float(lines[f'pilothouse_proposals{{state="{state}"}}']) == count
    assert lab.state(proposal_id) in states
    assert float(lines["pilothouse_ledger_entries"]) == len(lab.ledger)


def test_the_ledgers_checkpoint_and_proof_can_be_checked_by_anybody(lab):
    proposal_id, _ = lab.propose()
    entry = lab.desk.entry(proposal_id)
    note = lab.get("/v1/ledger/checkpoint").text
    assert parse_checkpoint(note).checkpoint.size == len(lab.ledger)
    proof = lab.get(f"/v1/ledger/proof/{entry.signed.digest}").json()
    checkpoint = parse_checkpoint(proof["checkpoint"]).checkpoint
    leaf = leaf_of("proposal", canonical_bytes(entry.signed.envelope).decode())
    path = [bytes.fromhex(h) for h in proof["path"]]
    assert verify_inclusion(leaf, proof["index"], checkpoint.size, path, checkpoint.root)
    expect_problem(lab.get("/v1/ledger/proof/sha256:00"), 404, "not_found")
