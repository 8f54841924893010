"""A bundle verifies, or the report says by name all that is wrong with it."""

import base64
import json
import random
from datetime import timedelta

import pytest

from graph.canonical import canonical_bytes, digest
from graph.errors import IntegrityError
from graph.proposal import RequiredApprovals, Risk
from safety.bundle import make_bundle
from safety.keys import lab_signer
from safety.ledger import Ledger
from safety.signing import sign_approval, sign_proposal
from safety.verify import verify_bundle
from tests.builders import (
    NOW,
    ORIGIN,
    POINT,
    START,
    build_bundle,
    make_approval,
    make_attachments,
    make_keys,
    make_proposal,
    make_standing,
    sign_raw,
)

KEYS = make_keys()
ROOT = KEYS.root()
BY_ANN = [(KEYS.ann, "approver")]


def verify(built, now=NOW, **options):
    return verify_bundle(built.data, ROOT, now, options.pop("require_approval", True), **options)


def change(built, edit):
    """The bundle's bytes after `edit` of its document, spelled canonically again."""
    document = json.loads(built.data)
    edit(document)
    return canonical_bytes(document)


def part(record, **changes):
    return record.model_copy(update=changes)


@pytest.fixture(scope="module")
def approved(tmp_path_factory):
    return build_bundle(tmp_path_factory.mktemp("approved"), approve_as=BY_ANN)


def test_a_sound_bundle_verifies_and_yields_what_was_signed(approved):
    report = verify(approved)
    assert report.failures == ()
    contents = report.require()
    assert contents.proposal == approved.proposal
    assert contents.digest == approved.digest
    assert (contents.persons, contents.lab) == (("Ann Approver",), False)
    assert [check.number for check in report.checks] == list(range(1, 26))
    assert len({check.name for check in report.checks}) == 25
    assert report.as_json()["ok"] is True
    assert "no laboratory key" in report.detail("no_lab_keys")


def test_a_proposal_alone_verifies_only_while_no_approval_is_asked_for(tmp_path):
    built = build_bundle(tmp_path)
    assert verify(built, require_approval=False).ok
    assert verify(built).failures == ("approval_quorum",)


def test_a_verified_bundle_survives_a_file_and_a_growing_ledger(tmp_path):
    envelope = sign_proposal(make_proposal(), KEYS.service)
    with Ledger(tmp_path / "l.db", ORIGIN, KEYS.ledger) as ledger:
        for number in range(20):
            ledger.append("note", {"n": number})
        with pytest.raises(IntegrityError, match="not in the ledger"):
            make_bundle(ledger, envelope, [], make_attachments())
        ledger.append("proposal", envelope)
        for number in range(20):
            ledger.append("note", {"n": number})
        bundle = make_bundle(ledger, envelope, [], make_attachments())
    report = verify_bundle(canonical_bytes(bundle), ROOT, NOW, False)
    assert report.require().bundle.ledger.entries[0].index == 20


PREDICATE_FAULTS = {
    "expired": {"expires": NOW},
    "not_yet": {"not_before": NOW + timedelta(seconds=1)},
    "policy_set": {"policy": part(make_proposal().policy, allowed=False)},
    "rollback_tested": {"rollback": part(make_proposal().rollback, tested_digest=digest("other"))},
    "policy_digest": {"policy": part(make_proposal().policy, bundle_digest=digest({}))},
    "site_digest": {"twin": part(make_proposal().twin, site_digest=digest("x"))},
    "twin_digest": {"twin": part(make_proposal().twin, twin_digest=digest("x"))},
    "snapshot_digest": {"twin": part(make_proposal().twin, snapshot_digest=digest("x"))},
    "sandbox_passed": {
        "sandbox_results": part(
            make_proposal().sandbox_results,
            shadow=part(make_proposal().sandbox_results.shadow, passed=False),
        )
    },
    "approval_window": {"decide_by": START + timedelta(minutes=1)},
    "approval_quorum": {
        "required_approvals": RequiredApprovals(roles=("engineer",), min_persons=1)
    },
}


@pytest.mark.parametrize("name", PREDICATE_FAULTS)
def test_a_fault_in_what_was_signed_is_named(tmp_path, name):
    built = build_bundle(tmp_path, make_proposal(**PREDICATE_FAULTS[name]), approve_as=BY_ANN)
    failures = set(verify(built).failures)
    # The snapshot names its site and twin itself, so a wrong one contradicts it too.
    assert failures - {"snapshot_digest"} == {name} - {"snapshot_digest"}
    assert name in failures


def test_rules_must_all_have_spoken_and_no_hard_one_may_have_failed(tmp_path):
    policy = make_proposal().policy
    hard = part(policy.verdicts[0], verdict="fail", reason="too warm")
    soft = part(hard, rule="core/soft", hard=False)
    for number, verdicts in enumerate([(), (hard,), policy.verdicts * 2]):
        folder = tmp_path / str(number)
        folder.mkdir()
        proposal = make_proposal(policy=part(policy, verdicts=verdicts))
        assert verify(build_bundle(folder, proposal, approve_as=BY_ANN)).failures == ("policy_set",)
    allowed = make_proposal(policy=part(policy, verdicts=(*policy.verdicts, soft)))
    built = build_bundle(tmp_path, allowed, approve_as=BY_ANN)
    assert verify(built).ok
    assert verify(built, required_rules=["core/range", "core/soft"]).ok
    report = verify(built, required_rules=["core/ramp"])
    assert "core/ramp has no verdict" in report.detail("policy_set")


def test_the_rollback_must_have_been_carried_out(tmp_path):
    results = make_proposal().sandbox_results
    untested = part(results, canary=part(results.canary, rollback_restored=False))
    built = build_bundle(tmp_path, make_proposal(sandbox_results=untested), approve_as=BY_ANN)
    assert verify(built).failures == ("rollback_tested",)


@pytest.mark.parametrize(
    ("approvals", "changes", "failures"),
    [
        ([(KEYS.eve, "engineer")], {}, ("approval_quorum",)),
        ([(KEYS.ann, "engineer")], {}, ("approval_role", "approval_quorum")),
        ([(KEYS.service, "service")], {}, ("approval_signature", "approval_quorum")),
        ([(lab_signer("Ann Approver"), "approver")], {}, ("approval_signature", "approval_quorum")),
        (BY_ANN, {"proposal_digest": digest("other")}, ("approval_binding",)),
        (BY_ANN, {"person": "Bob Both"}, ("approval_person",)),
        (BY_ANN, {"decision": "reject"}, ("approval_quorum",)),
        (BY_ANN, {"at": START + timedelta(minutes=16)}, ("approval_window",)),
        (BY_ANN, {"at": START + timedelta(minutes=11)}, ("approval_window",)),
        (BY_ANN, {"not_after": START + timedelta(minutes=4)}, ("approval_window",)),
        (BY_ANN, {"not_after": START}, ("approval_window",)),
        ([(KEYS.lab_ann, "approver")], {"lab": False}, ("approval_person",)),
    ],
)
def test_an_approval_that_does_not_count_is_named(tmp_path, approvals, changes, failures):
    assert verify(build_bundle(tmp_path, approve_as=approvals, **changes)).failures == failures


@pytest.mark.parametrize(
    ("approvals", "enough"),
    [
        ([(KEYS.ann, "approver"), (KEYS.eve, "engineer")], True),
        ([(KEYS.bob, "approver"), (KEYS.eve, "engineer")], True),
        ([(KEYS.bob, "approver"), (KEYS.bob, "engineer")], False),
        ([(KEYS.ann, "approver"), (KEYS.bob, "approver")], False),
        ([(KEYS.eve, "engineer")], False),
    ],
)
def test_a_quorum_needs_each_role_and_distinct_persons(tmp_path, approvals, enough):
    rule = RequiredApprovals(roles=("approver", "engineer"), min_persons=2)
    proposal = make_proposal(required_approvals=rule)
    report = verify(build_bundle(tmp_path, proposal, approve_as=approvals))
    assert report.failures == (() if enough else ("approval_quorum",))


def test_laboratory_keys_are_said_aloud(tmp_path):
    built = build_bundle(tmp_path, approve_as=[(KEYS.lab_ann, "approver")])
    report = verify(built)
    assert report.ok
    assert report.require().lab
    assert "Lab Ann" in report.detail("no_lab_keys")


def test_times_are_not_checked_when_no_time_is_given(tmp_path, approved):
    late = START + timedelta(days=400)
    assert verify_bundle(approved.data, ROOT, None, True).ok
    failures = verify(approved, now=late).failures
    assert failures == ("trust_root", "expired", "approval_window")


STANDING = digest("the covering proposal")


@pytest.mark.parametrize(
    ("standing", "message"),
    [
        (make_standing(), ""),
        (None, "gave no standing approval"),
        (make_standing(points={}), f"{POINT} is not in"),
        (make_standing(points={POINT: (-10, 9.9)}), "may leave the approved range"),
        (make_standing(until=START + timedelta(minutes=29)), "outlasts"),
    ],
)
def test_a_standing_approval_covers_points_range_and_time(tmp_path, standing, message):
    proposal = make_proposal(under=STANDING)
    report = verify(build_bundle(tmp_path, proposal, approve_as=BY_ANN, standing=standing))
    assert report.failures == (("standing",) if message else ())
    assert message in report.detail("standing")


def test_a_standing_approval_covers_risk_only_up_to_its_level(tmp_path):
    risk = Risk(level="medium", prob_violate={}, prob_sla_breach=0, cvar=2, knowledge_limits=())
    proposal = make_proposal(under=STANDING, risk=risk)
    built = build_bundle(tmp_path, proposal, approve_as=BY_ANN, standing=make_standing())
    assert "risk medium exceeds" in verify(built).detail("standing")


def test_a_standing_approval_of_another_proposal_does_not_count(tmp_path):
    built = build_bundle(
        tmp_path,
        make_proposal(under=STANDING),
        approve_as=BY_ANN,
        standing=make_standing(),
        proposal_digest=digest("some other"),
    )
    assert verify(built).failures == ("approval_binding",)
    (tmp_path / "none").mkdir()
    bare = build_bundle(tmp_path / "none", make_proposal(under=STANDING))
    assert verify(bare).failures == ("approval_quorum", "standing")


def test_an_approval_entered_before_its_proposal_is_refused(tmp_path):
    proposal = make_proposal()
    envelope = sign_proposal(proposal, KEYS.service)
    approval = sign_approval(make_approval(KEYS.ann, "approver", digest(proposal)), KEYS.ann)
    with Ledger(tmp_path / "l.db", ORIGIN, KEYS.ledger) as ledger:
        ledger.append("approval", approval)
        ledger.append("proposal", envelope)
        bundle = make_bundle(ledger, envelope, [approval], make_attachments())
    report = verify_bundle(canonical_bytes(bundle), ROOT, NOW, True)
    assert report.failures == ("ledger_inclusion",)


@pytest.mark.parametrize(
    ("edit", "failure"),
    [
        (lambda d: d.update(comment="x"), "schema"),
        (lambda d: d.update(media_type="application/json"), "schema"),
        (lambda d: d["attachments"].update(decision={}), "schema"),
        (lambda d: d["attachments"].pop("twin"), "schema"),
        (lambda d: d["attachments"]["snapshot"].update(step_s=60), "snapshot_digest"),
        (lambda d: d["attachments"]["site"].update(name="Other"), "site_digest"),
        (lambda d: d["attachments"]["policies"].update(more="package x"), "policy_digest"),
        (lambda d: d["attachments"]["twin"]["values"].append(1), "twin_digest"),
        (lambda d: d["ledger"]["entries"][0].update(index=0), "ledger_inclusion"),
        (lambda d: d["ledger"]["entries"].reverse(), "ledger_inclusion"),
        (lambda d: d["ledger"]["entries"].pop(), "ledger_inclusion"),
        (lambda d: d["ledger"]["entries"][0]["path"].pop(), "ledger_inclusion"),
        (lambda d: d["approvals"].clear(), "ledger_inclusion"),
        (lambda d: d.update(proposal=d["approvals"][0]), "proposal_signature"),
        (lambda d: d["approvals"].append(d["approvals"][0]), "ledger_inclusion"),
        (lambda d: d["approvals"].append({}), "approval_signature"),
    ],
)
def test_an_exchanged_part_is_named(approved, edit, failure):
    report = verify_bundle(change(approved, edit), ROOT, NOW, True)
    assert failure in report.failures
    assert "canonical" not in report.failures
    with pytest.raises(IntegrityError, match=failure):
        report.require()


def test_an_approval_repeated_with_its_proof_is_refused(approved):
    def twice(document):
        document["approvals"].append(document["approvals"][0])
        document["ledger"]["entries"].append(document["ledger"]["entries"][1])

    report = verify_bundle(change(approved, twice), ROOT, NOW, True)
    assert report.failures == ("ledger_inclusion",)


def test_parts_of_two_sound_bundles_do_not_mix(tmp_path, approved):
    other = build_bundle(tmp_path, make_proposal(seq=2), approve_as=BY_ANN)

    def swap(document):
        document["approvals"] = json.loads(other.data)["approvals"]

    report = verify_bundle(change(approved, swap), ROOT, NOW, True)
    assert report.failures == ("approval_binding", "ledger_inclusion")


def test_trust_comes_from_the_given_root_alone(approved):
    stranger = KEYS.root().model_copy(update={"roles": {}})
    report = verify_bundle(approved.data, stranger, NOW, True)
    for name in ("proposal_signature", "approval_signature", "checkpoint_signature"):
        assert name in report.failures
    assert report.contents is None


def test_every_failure_is_reported_not_just_the_first(tmp_path):
    policy = part(make_proposal().policy, allowed=False)
    built = build_bundle(tmp_path, make_proposal(policy=policy, expires=NOW), signer=KEYS.service)

    def spoil(document):
        document["attachments"]["site"]["name"] = "Other"
        document["ledger"]["entries"][0]["index"] = 0

    data = change(built, spoil) + b"\n"
    assert verify_bundle(data, ROOT, NOW, True).failures == (
        "canonical",
        "site_digest",
        "policy_set",
        "expired",
        "approval_quorum",
        "ledger_inclusion",
    )


@pytest.mark.parametrize("signed", ['"seq":"1"', '"seq":1,"under":null', '"lab":0'])
def test_a_predicate_that_a_lenient_reader_would_complete_is_refused(tmp_path, signed):
    document = json.loads(build_bundle(tmp_path).data)
    payload = base64.b64decode(document["proposal"]["payload"]).decode()
    if "under" in signed:  # leave a field to its default
        payload = payload.replace(',"under":null', "")
    elif "lab" in signed:  # a number where the schema writes a truth value
        payload = payload.replace('"passed":true', '"passed":1')
    else:
        payload = payload.replace('"seq":1', signed)
    document["proposal"] = sign_raw(payload.encode(), KEYS.service)
    report = verify_bundle(canonical_bytes(document), ROOT, NOW, False)
    assert "proposal_signature" not in report.failures
    assert "predicate_schema" in report.failures


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"attachments":1}', b'{"attachments":{"site":1}}',
     b"[" * 100_000, b'{"proposal":{}}', b"1e999", b'{"a":1e999}', b'"' + b"x" * 100],
)  # fmt: skip
def test_garbage_is_reported_not_raised(data):
    report = verify_bundle(data, ROOT, NOW, True)
    assert not report.ok
    assert len(report.checks) == 25


def small_bundle(folder):
    """As few bytes as a bundle with one approval can have."""
    evidence = make_attachments(
        snapshot={
            "as_of": "2026-01-20T08:00:00Z",
            "site_digest": digest({}),
            "twin_digest": digest({}),
        },
        site={},
        twin={},
        policies={},
    )
    proposal = make_proposal(
        twin=part(
            make_proposal().twin,
            site_digest=digest({}),
            twin_digest=digest({}),
            snapshot_digest=digest(evidence.snapshot),
        ),
        policy=part(make_proposal().policy, bundle_digest=digest({})),
    )
    built = build_bundle(folder, proposal, approve_as=BY_ANN, attachments=evidence)
    assert verify(built).ok
    return built


def accepted_after_flips(built, positions):
    data = bytearray(built.data)
    found = []
    for position in positions:
        data[position // 8] ^= 1 << position % 8
        if verify_bundle(bytes(data), built.root, NOW, True).ok:
            found.append(position)
        data[position // 8] ^= 1 << position % 8
    return found


def test_a_flipped_bit_in_any_byte_is_found(tmp_path):
    built = small_bundle(tmp_path)
    pick = random.Random(1)
    positions = [8 * at + pick.randrange(7) for at in range(len(built.data))]
    assert accepted_after_flips(built, positions) == []


@pytest.mark.soak
def test_every_flipped_bit_is_found(tmp_path):
    built = small_bundle(tmp_path)
    assert accepted_after_flips(built, range(8 * len(built.data))) == []


def test_every_bit_of_signatures_key_ids_and_ledger_proof_is_found(tmp_path):
    built = small_bundle(tmp_path)
    text = built.data.decode()
    places = set()
    for needle, length in (('"keyid":"', 24), ('"sig":"', 24), ('"index":', 2), ("\\n— ", 12)):
        at = text.find(needle)
        while at >= 0:
            start = len(text[:at].encode())
            places |= set(range(start, start + len(needle.encode()) + length))
            at = text.find(needle, at + 1)
    for end in ('==",', '=="}', '"}],'):  # around the last letters of base64
        at = built.data.find(end.encode())
        places |= set(range(at - 3, at + len(end)))
    positions = [8 * at + bit for at in sorted(places) for bit in range(8)]
    assert accepted_after_flips(built, positions) == []
