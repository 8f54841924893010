"""Signed statements: an in-toto Statement v1 in a DSSE v1.0.2 envelope, signed with Ed25519.

securesystemslib does the envelope's arithmetic. Around it stand checks that it leaves to its
caller: it reads base64 whose last bits are free, counts key ids where persons are meant, and
ignores signatures that it does not know. Here every byte of an envelope is either verified or
refused. Sources: github.com/secure-systems-lab/dsse (protocol.md, envelope.md),
github.com/in-toto/attestation (spec/v1/statement.md).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from graph.canonical import canonical_bytes, canonical_members, digest, digest_bytes
from graph.errors import IntegrityError
from graph.proposal import (
    APPROVAL_TYPE,
    PROPOSAL_TYPE,
    STATEMENT,
    Approval,
    ControlProposal,
)
from graph.record import Record
from safety.keys import Signer
from safety.shape import parse_shape
from safety.trust_root import TrustRoot, distinct_persons

PAYLOAD_TYPE = "application/vnd.in-toto+json"
APPROVAL_SUBJECT = "proposal"


class Sha256(Record):
    """An in-toto DigestSet with the one digest that we use."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Subject(Record):
    """What a statement is about."""

    name: str
    digest: Sha256


class StatementBody(Record):
    """The payload: in-toto's Statement v1."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1)
    predicate_type: str = Field(alias="predicateType")
    predicate: dict[str, Any]


class EnvelopeSignature(Record):
    """One signature of an envelope."""

    keyid: str
    sig: str


class EnvelopeShape(Record):
    """The exact fields of an envelope; DSSE allows others, we have no use for free bytes."""

    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: tuple[EnvelopeSignature, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Statement:
    """A statement whose signatures hold. `predicate` was parsed from the verified `payload`.

    `predicate_bytes` is the canonical part of the payload that says it.
    """

    type: str
    subjects: dict[str, str]
    predicate: dict[str, Any]
    predicate_bytes: bytes
    payload: bytes
    keyids: tuple[str, ...]
    persons: tuple[str, ...]
    lab: bool

    @property
    def predicate_digest(self) -> str:
        """`sha256:<hex>` of the predicate; of a proposal, its `proposal_digest`."""
        return digest_bytes(self.predicate_bytes)


def proposal_digest(predicate: Mapping[str, Any] | Record) -> str:
    """`sha256:<hex>` over the predicate's canonical bytes: what approvals and the gate refer to."""
    return digest(predicate)


def sign_statement(
    statement_type: str, subjects: Mapping[str, str], predicate: Record, signer: Signer
) -> dict[str, Any]:
    """Sign `predicate` as a statement about `subjects` (name -> "sha256:<hex>").

    Returns the envelope as a JSON object. Signing is deterministic (RFC 8032).

    Raises:
        IntegrityError: the predicate has no canonical form, or a digest is not one.
    """
    from securesystemslib.dsse import Envelope

    body = {
        "_type": STATEMENT,
        "predicate": predicate.model_dump(mode="json"),
        "predicateType": statement_type,
        "subject": [
            {"digest": {"sha256": value.removeprefix("sha256:")}, "name": name}
            for name, value in subjects.items()
        ],
    }
    parse_shape(StatementBody, body, "the statement")
    envelope = Envelope(canonical_bytes(body), PAYLOAD_TYPE, {})
    envelope.sign(signer.crypto)
    return _as_json(envelope)


def sign_proposal(proposal: ControlProposal, signer: Signer) -> dict[str, Any]:
    """The envelope of a proposal; its subject is the target, under the proposal's digest."""
    subjects = {proposal.target: proposal_digest(proposal)}
    return sign_statement(PROPOSAL_TYPE, subjects, proposal, signer)


def sign_approval(approval: Approval, signer: Signer) -> dict[str, Any]:
    """The envelope of an approval; its subject is the proposal that it is about."""
    return sign_statement(
        APPROVAL_TYPE, {APPROVAL_SUBJECT: approval.proposal_digest}, approval, signer
    )


def co_sign(envelope: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """Add a signature to an envelope whose payload the signer has read."""
    decoded = _decode(parse_shape(EnvelopeShape, dict(envelope), "the envelope"))
    decoded.sign(signer.crypto)
    return _as_json(decoded)


def open_envelope(
    envelope: Mapping[str, Any],
    root: TrustRoot,
    *roles: str,
    statement_type: str,
    threshold: int = 1,
) -> Statement:
    """Verify an envelope and only then read what it says.

    1. It has exactly DSSE's fields and the in-toto payload type.
    2. Payload and signatures are canonical base64; the signatures stand in order of key id.
    3. Every key is known to the root and holds one of `roles`.
    4. Every signature is right over the pre-authentication encoding of type and payload.
    5. At least `threshold` distinct keys of distinct persons have signed.
    6. The verified bytes are canonical JSON: no duplicate keys, no other spelling.
    7. They are a Statement v1 of type `statement_type` with distinct subjects.

    Raises:
        IntegrityError: naming the first of these that does not hold.
    """
    shape = parse_shape(EnvelopeShape, dict(envelope), "the envelope")  # 1
    decoded = _decode(shape)  # 2
    keyids = tuple(decoded.signatures)
    for keyid in keyids:  # 3
        held = root.roles_of(keyid)
        if keyid in root.keys and not set(held) & set(roles):
            raise IntegrityError(
                f"{root.person_of(keyid)}'s key {keyid[:16]} holds "
                f"{' and '.join(held) or 'no role'}, expected {' or '.join(roles)}"
            )
    _verify_signatures(decoded, root)  # 3, 4
    _check_threshold(keyids, root, threshold)  # 5
    value, members = canonical_members(decoded.payload)  # 6
    body = parse_shape(StatementBody, value, "the statement")  # 7
    if body.predicate_type != statement_type:
        raise IntegrityError(f"the statement is a {body.predicate_type}, expected {statement_type}")
    subjects = {s.name: f"sha256:{s.digest.sha256}" for s in body.subject}
    if len(subjects) != len(body.subject):
        raise IntegrityError("the statement names a subject twice")
    return Statement(
        type=statement_type,
        subjects=subjects,
        predicate=value["predicate"],
        predicate_bytes=members["predicate"].encode("utf-8"),
        payload=decoded.payload,
        keyids=keyids,
        persons=tuple(root.person_of(k) for k in keyids),
        lab=any(root.is_lab(k) for k in keyids),
    )


def _verify_signatures(envelope: Any, root: TrustRoot) -> None:
    from securesystemslib.exceptions import VerificationError

    keys = [root.verifier(keyid) for keyid in envelope.signatures]
    try:
        envelope.verify(keys, threshold=len(keys))
    except (VerificationError, ValueError) as error:
        raise IntegrityError(
            "a signature does not belong to the payload", "altered, or signed by another key"
        ) from error


def _check_threshold(keyids: tuple[str, ...], root: TrustRoot, threshold: int) -> None:
    material = {root.public_of(keyid) for keyid in keyids}
    persons = distinct_persons(root.person_of(keyid) for keyid in keyids)
    if threshold < 1 or min(len(material), len(persons)) < threshold:
        raise IntegrityError(
            f"signed by {len(material)} distinct keys of {len(persons)} distinct persons, "
            f"expected at least {max(threshold, 1)} of each"
        )


def _decode(shape: EnvelopeShape) -> Any:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature

    keyids = [s.keyid for s in shape.signatures]
    if keyids != sorted(set(keyids)):
        raise IntegrityError("the envelope's signatures are repeated or out of order")
    signatures = {
        s.keyid: Signature(s.keyid, strict_b64decode(s.sig, "a signature").hex())
        for s in shape.signatures
    }
    return Envelope(strict_b64decode(shape.payload, "the payload"), shape.payload_type, signatures)


def strict_b64decode(text: str, what: str) -> bytes:
    """Decode standard base64 and refuse every other spelling of the same bytes."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise IntegrityError(f"{what} is not base64") from error
    if strict_b64encode(data) != text:
        raise IntegrityError(f"{what} is not canonical base64: its last bits are set")
    return data


def strict_b64encode(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def _as_json(envelope: Any) -> dict[str, Any]:
    value: dict[str, Any] = envelope.to_dict()
    value["signatures"].sort(key=lambda signature: signature["keyid"])
    return value
