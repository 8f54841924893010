"""Keys, trust roots and envelopes: what is refused, and that nothing else is believed."""

import base64
import copy
import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.canonical import canonical_bytes, digest
from graph.errors import InputError, IntegrityError, RefusedError
from graph.proposal import APPROVAL_TYPE, PROPOSAL_TYPE, STATEMENT
from safety.keys import generate, keyid_of, lab_signer, load_signer, public_record
from safety.signing import (
    PAYLOAD_TYPE,
    co_sign,
    open_envelope,
    proposal_digest,
    sign_approval,
    sign_proposal,
)
from safety.trust_root import TrustRoot, load_root, make_root, write_root
from tests.builders import make_approval, make_keys, make_proposal, sign_raw

KEYS = make_keys()
ROOT = KEYS.root()
PROPOSAL = make_proposal()
ENVELOPE = sign_proposal(PROPOSAL, KEYS.service)


def open_proposal(envelope, root=ROOT, role="service", threshold=1):
    return open_envelope(envelope, root, role, statement_type=PROPOSAL_TYPE, threshold=threshold)


def test_an_envelope_is_dsse_and_in_toto_as_others_would_check_it():
    payload = base64.b64decode(ENVELOPE["payload"])
    pae = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(KEYS.service.public))
    key.verify(base64.b64decode(ENVELOPE["signatures"][0]["sig"]), pae)
    statement = json.loads(payload)
    assert statement["_type"] == STATEMENT
    assert statement["predicateType"] == PROPOSAL_TYPE
    hex_digest = proposal_digest(statement["predicate"]).removeprefix("sha256:")
    assert statement["subject"] == [{"name": "toy", "digest": {"sha256": hex_digest}}]


def test_an_opened_statement_says_what_was_signed_and_by_whom():
    statement = open_proposal(ENVELOPE)
    assert canonical_bytes(statement.predicate) == canonical_bytes(PROPOSAL)
    assert statement.predicate_digest == proposal_digest(PROPOSAL) == digest(PROPOSAL)
    assert (statement.persons, statement.lab) == (("service",), False)
    assert open_proposal(sign_raw(statement.payload, KEYS.service)) == statement


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.update(extra=1), "extra"),
        (lambda e: e["signatures"][0].update(cert="x"), "cert"),
        (lambda e: e.update(payloadType="application/json"), "payloadType"),
        (lambda e: e.update(signatures=[]), "signatures"),
        (lambda e: e["signatures"].append(e["signatures"][0]), "repeated"),
        (lambda e: e["signatures"][0].update(keyid="0" * 64), "knows no key"),
        (lambda e: e.update(payload="-" + e["payload"][1:]), "base64"),
        (lambda e: e.update(payload=e["payload"] + "\n"), "base64"),
        (lambda e: e["signatures"][0].update(sig=e["signatures"][0]["sig"][4:]), "signature"),
    ],
)
def test_a_malformed_envelope_is_refused(change, message):
    envelope = copy.deepcopy(ENVELOPE)
    change(envelope)
    with pytest.raises(IntegrityError, match=message):
        open_proposal(envelope)


def test_the_free_bits_at_the_end_of_base64_are_not_free():
    from securesystemslib.dsse import Envelope

    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    envelope = copy.deepcopy(ENVELOPE)
    sig = envelope["signatures"][0]["sig"]  # 64 bytes: one letter before == has four spare bits
    other = sig[:-3] + letters[letters.index(sig[-3]) | 1] + "=="
    envelope["signatures"][0]["sig"] = other
    assert other != sig
    assert base64.b64decode(other) == base64.b64decode(sig)
    bare = Envelope.from_dict(copy.deepcopy(envelope))
    assert bare.verify([ROOT.verifier(KEYS.service.keyid)], 1), "the library alone lets it through"
    with pytest.raises(IntegrityError, match="last bits"):
        open_proposal(envelope)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_character_is_found(data):
    envelope = copy.deepcopy(ENVELOPE)
    holder, field = data.draw(
        st.sampled_from(
            [(envelope, "payload"), (envelope, "payloadType")]
            + [(envelope["signatures"][0], f) for f in ("keyid", "sig")]
        )
    )
    at = data.draw(st.integers(0, len(holder[field]) - 1))
    bit = data.draw(st.integers(0, 6))
    changed = chr(ord(holder[field][at]) ^ (1 << bit))
    holder[field] = holder[field][:at] + changed + holder[field][at + 1 :]
    with pytest.raises(IntegrityError):
        open_proposal(envelope)


@pytest.mark.parametrize(
    ("spell", "message"),
    [
        (lambda text: text.replace('"seq":1', '"seq":1,"seq":1'), "twice"),
        (lambda text: text.replace('"seq":1', '"seq": 1'), "not canonical"),
        (lambda text: text.replace('"seq":1', '"seq":1.0'), "not canonical"),
        (lambda text: text.replace('"confidence":0.9', '"confidence":NaN'), "NaN"),
        (lambda text: text.replace(PROPOSAL_TYPE, APPROVAL_TYPE), "expected"),
        (lambda text: text.replace("Statement/v1", "Statement/v0.1"), "_type"),
        (lambda text: "[]", "object"),
        (lambda text: text[:-1] + ',"zz":1}', "zz"),
    ],
)
def test_a_validly_signed_payload_that_could_be_read_in_two_ways_is_refused(spell, message):
    payload = open_proposal(ENVELOPE).payload.decode()
    spelled = spell(payload)
    assert spelled != payload
    with pytest.raises(IntegrityError, match=message):
        open_proposal(sign_raw(spelled.encode(), KEYS.service))


def test_a_key_without_the_role_is_refused():
    for signer in (KEYS.gate, KEYS.ledger, KEYS.ann):
        with pytest.raises(IntegrityError, match="expected service"):
            open_proposal(sign_proposal(PROPOSAL, signer))
    with pytest.raises(IntegrityError, match="knows no key"):
        open_proposal(sign_proposal(PROPOSAL, lab_signer("service")))
    forged = sign_proposal(PROPOSAL, KEYS.gate)
    forged["signatures"][0]["keyid"] = KEYS.service.keyid
    with pytest.raises(IntegrityError, match="another key"):
        open_proposal(forged)


def test_two_signatures_count_as_two_only_for_two_persons_with_two_keys():
    approval = make_approval(KEYS.ann, "approver", "sha256:" + "0" * 64)
    once = sign_approval(approval, KEYS.ann)

    def opened(envelope, root=ROOT):
        return open_envelope(
            envelope, root, "approver", "engineer", statement_type=APPROVAL_TYPE, threshold=2
        )

    assert set(opened(co_sign(once, KEYS.bob)).persons) == {"Ann Approver", "Bob Both"}
    with pytest.raises(IntegrityError, match="1 distinct"):
        opened(co_sign(once, KEYS.ann))
    second = lab_signer("ANN  approver")  # another key, the same person in other letters
    root = make_root({"approver": [KEYS.ann, second]}, ROOT.expires)
    with pytest.raises(IntegrityError, match="2 distinct keys of 1 distinct persons"):
        opened(co_sign(once, second), root)


def test_one_key_under_two_ids_does_not_make_two_signatures():
    record = public_record(KEYS.ann)
    alias = "f" * 64
    with pytest.raises(ValueError, match="same material"):
        TrustRoot(
            version=1,
            expires=ROOT.expires,
            keys={KEYS.ann.keyid: record, alias: record.model_copy(update={"person": "Zoe"})},
            roles={"approver": (KEYS.ann.keyid, alias)},
        )
    # Even a root that was never validated does not let the second id count.
    unchecked = TrustRoot.model_construct(
        version=1,
        expires=ROOT.expires,
        keys={KEYS.ann.keyid: record, alias: record.model_copy(update={"person": "Zoe"})},
        roles={"approver": (KEYS.ann.keyid, alias)},
    )
    envelope = sign_approval(make_approval(KEYS.ann, "approver", digest(1)), KEYS.ann)
    envelope["signatures"].append({**envelope["signatures"][0], "keyid": alias})
    envelope["signatures"].sort(key=lambda s: s["keyid"])
    with pytest.raises(IntegrityError):
        open_envelope(envelope, unchecked, "approver", statement_type=APPROVAL_TYPE, threshold=2)


def _root_with(**changes):
    return {**json.loads(ROOT.model_dump_json()), **changes}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (_root_with(roles={"approver": [KEYS.ann.keyid], "service": [KEYS.ann.keyid]}), "machine"),
        (_root_with(roles={"approver": ["0" * 64]}), "not listed"),
        (_root_with(roles={"approver": [KEYS.ann.keyid] * 2}), "twice"),
        (_root_with(roles={"boss": [KEYS.ann.keyid]}), "roles"),
        (_root_with(keys={"0" * 64: json.loads(public_record(KEYS.ann).model_dump_json())}), "own"),
        (_root_with(expires="2027-01-01T00:00:00"), "zone"),
        (_root_with(comment="hello"), "comment"),
    ],
)
def test_an_unsound_root_is_refused_with_the_place(tmp_path, document, message):
    path = tmp_path / "root.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        load_root(path)


def test_a_root_survives_the_way_through_its_file(tmp_path):
    write_root(tmp_path / "root.json", ROOT)
    root = load_root(tmp_path / "root.json")
    assert root == ROOT
    assert root.person_of(KEYS.bob.keyid) == "Bob Both"
    assert set(root.roles_of(KEYS.bob.keyid)) == {"approver", "engineer"}
    assert root.is_lab(KEYS.lab_ann.keyid)
    assert KEYS.ann.keyid == keyid_of(KEYS.ann.public) in root.keys_for("approver")
    with pytest.raises(InputError, match="cannot read"):
        load_root(tmp_path / "none.json")


def test_a_key_comes_back_from_its_sealed_file(tmp_path):
    path = tmp_path / "keys" / "ann.json"
    made = generate(path, "Ann", "correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = load_signer(path, "correct horse")
    assert (loaded.keyid, loaded.person, loaded.lab) == (made.keyid, "Ann", False)
    assert loaded.sign(b"x") == made.sign(b"x")
    secret = made.crypto._private_key.private_bytes_raw().hex()
    assert secret not in path.read_text()
    assert secret not in repr(made)
    with pytest.raises(IntegrityError, match="passphrase is wrong"):
        load_signer(path, "wrong horse")
    with pytest.raises(InputError, match="sealed"):
        load_signer(path, None)
    with pytest.raises(InputError, match="exists"):
        generate(path, "Ann", "another")


@pytest.mark.parametrize("field", ["person", "lab", "public", "nonce", "ciphertext", "salt"])
def test_an_altered_key_file_is_refused(tmp_path, field):
    path = tmp_path / "k.json"
    generate(path, "Ann", "p")
    document = json.loads(path.read_text())
    if field == "lab":
        document["lab"] = True
    else:
        sealed = document["sealed"]
        place = {"salt": sealed["kdf"], "nonce": sealed, "ciphertext": sealed}.get(field, document)
        place[field] = ("0" if place[field][0] != "0" else "1") + place[field][1:]
    path.write_text(json.dumps(document))
    with pytest.raises(IntegrityError):
        load_signer(path, "p")


def test_an_open_key_is_a_laboratory_key_or_refused(tmp_path):
    with pytest.raises(RefusedError, match="needs a passphrase"):
        generate(tmp_path / "k.json", "Ann", None)
    with pytest.raises(InputError, match="empty"):
        generate(tmp_path / "k.json", "Ann", "")
    path = tmp_path / "lab.json"
    generate(path, "Demo", None, lab=True)
    assert load_signer(path, None).lab
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "lab": False}))
    with pytest.raises(RefusedError, match="laboratory"):
        load_signer(path, None)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "k.json"
    generate(path, "Demo", None, lab=True)
    for mode in (0o644, 0o640, 0o602):
        path.chmod(mode)
        with pytest.raises(RefusedError, match="0600"):
            load_signer(path, None)


def test_a_file_that_is_no_key_is_refused(tmp_path):
    path = tmp_path / "k.json"
    path.write_text('{"format": "ssh"}')
    path.chmod(0o600)
    with pytest.raises(InputError, match="not a private key file"):
        load_signer(path, None)
    with pytest.raises(InputError, match="cannot read"):
        load_signer(tmp_path / "none.json", None)


def test_keys_differ_and_signing_is_deterministic():
    assert lab_signer("a").keyid != lab_signer("a").keyid
    assert sign_proposal(PROPOSAL, KEYS.service) == ENVELOPE
