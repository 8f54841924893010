"""The bundle: one file with a signed proposal, its approvals, its evidence and its ledger proof.

Canonical JSON, so the file has one spelling, and no part of it is free: envelopes are signed,
attachments are bound by digests in the signed predicate, and the ledger's part is bound by the
checkpoint's signature.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from graph.canonical import canonical_bytes, digest_bytes, strict_loads
from graph.canonical_writer import canonical_text, object_text
from graph.errors import IntegrityError
from graph.record import Record
from safety.checkpoint import parse_checkpoint
from safety.ledger import Ledger

MEDIA_TYPE: Literal["application/vnd.pilothouse.bundle+json;v=1"] = (
    "application/vnd.pilothouse.bundle+json;v=1"
)
PROPOSAL_KIND: Literal["proposal"] = "proposal"
APPROVAL_KIND: Literal["approval"] = "approval"

HashHex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Attachments(Record):
    """The evidence: what the decision knew, and the rules and models that it used."""

    snapshot: dict[str, Any]
    site: dict[str, Any]
    policies: dict[str, str] = Field(description="Rego text by name")
    twin: dict[str, Any]


class EntryProof(Record):
    """Where an envelope stands in the ledger; `path` is its RFC 6962 inclusion proof (hex)."""

    index: int = Field(ge=0)
    kind: Literal["proposal", "approval"]
    path: tuple[HashHex, ...] = Field(max_length=63)


class LedgerProof(Record):
    """Proofs for the proposal and then each approval, all in the tree of one checkpoint."""

    entries: tuple[EntryProof, ...] = Field(min_length=1)
    checkpoint: str


class Bundle(Record):
    """The file's exact schema. Envelopes stay JSON objects: `open_envelope` checks their shape."""

    media_type: Literal["application/vnd.pilothouse.bundle+json;v=1"]
    proposal: dict[str, Any]
    approvals: tuple[dict[str, Any], ...]
    attachments: Attachments
    ledger: LedgerProof


@dataclass(frozen=True)
class BundleDocument:
    """A parsed file: its value, whether its bytes are canonical, digests of the attachments."""

    value: Any
    canonical: bool
    digests: dict[str, str]


def make_bundle(
    ledger: Ledger,
    proposal: Mapping[str, Any],
    approvals: Sequence[Mapping[str, Any]],
    attachments: Attachments,
) -> Bundle:
    """Bundle envelopes that stand in `ledger` with their proofs.

    The approvals are put in the ledger's order.

    Raises:
        IntegrityError: an envelope was never appended (as kind "proposal" or "approval").
    """
    note = ledger.checkpoint()
    size = parse_checkpoint(note).checkpoint.size
    places = sorted((_place(ledger, APPROVAL_KIND, a), dict(a)) for a in approvals)
    proofs = [_prove(ledger, PROPOSAL_KIND, _place(ledger, PROPOSAL_KIND, proposal), size)]
    proofs += [_prove(ledger, APPROVAL_KIND, index, size) for index, _ in places]
    return Bundle(
        media_type=MEDIA_TYPE,
        proposal=dict(proposal),
        approvals=tuple(envelope for _, envelope in places),
        attachments=attachments,
        ledger=LedgerProof(entries=tuple(proofs), checkpoint=note),
    )


def bundle_bytes(bundle: Bundle) -> bytes:
    """The file's bytes."""
    return canonical_bytes(bundle)


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_bytes(bundle_bytes(bundle))
    os.replace(temporary, path)


def read_document(data: bytes) -> BundleDocument:
    """Parse a file and write each part once, for the comparison and for the digests alike.

    Raises:
        IntegrityError: not JSON, a key twice, or a value without canonical form.
    """
    value = strict_loads(data)
    attachments = value.get("attachments") if isinstance(value, dict) else None
    if not isinstance(attachments, dict):
        return BundleDocument(value, canonical_bytes(value) == data, {})
    try:
        evidence = {name: canonical_text(part) for name, part in attachments.items()}
        parts = {k: canonical_text(v) for k, v in value.items() if k != "attachments"}
        whole = object_text({**parts, "attachments": object_text(evidence)}).encode("utf-8")
        digests = {name: digest_bytes(text.encode("utf-8")) for name, text in evidence.items()}
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"the bundle has no canonical form: {error}") from error
    return BundleDocument(value, whole == data, digests)


def _place(ledger: Ledger, kind: str, envelope: Mapping[str, Any]) -> int:
    index = ledger.find(kind, envelope)
    if index is None:
        raise IntegrityError(f"the {kind} is not in the ledger", "append it first")
    return index


def _prove(
    ledger: Ledger, kind: Literal["proposal", "approval"], index: int, size: int
) -> EntryProof:
    path = tuple(step.hex() for step in ledger.inclusion(index, size))
    return EntryProof(index=index, kind=kind, path=path)
