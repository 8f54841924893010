"""Signs what a learned model claims, and says whose signatures make it believable.

A model's manifest names the digest of its network; engineers sign the manifest as an in-toto
statement about the network's file. Nothing of a manifest is read before its signatures hold.
"""

from collections.abc import Mapping
from typing import Any

from graph.errors import IntegrityError
from graph.proposal import PREDICATES
from graph.record import Record
from safety.keys import Signer
from safety.signing import Statement, co_sign, open_envelope, sign_statement
from safety.trust_root import TrustRoot

MODEL_TYPE = f"{PREDICATES}/model-manifest/v1"
ROLE = "engineer"


def sign_model(
    file: str, network_digest: str, manifest: Record, *signers: Signer
) -> dict[str, Any]:
    """An envelope round `manifest`, about the network in `file`, signed by all of `signers`."""
    first, *others = signers
    envelope = sign_statement(MODEL_TYPE, {file: network_digest}, manifest, first)
    for signer in others:
        envelope = co_sign(envelope, signer)
    return envelope


def open_model(
    envelope: Mapping[str, Any], root: TrustRoot, file: str, network_digest: str
) -> Statement:
    """The signed manifest of a network.

    1. Distinct engineers of the root have signed: two, but one where every key is a laboratory's.
    2. The statement is about this file with this digest, and about nothing else.

    Raises:
        IntegrityError: one of these does not hold.
    """
    needed = 1 if all(record.lab for record in root.keys.values()) else 2
    statement = open_envelope(
        envelope, root, ROLE, statement_type=MODEL_TYPE, threshold=needed
    )  # 1
    if statement.subjects != {file: network_digest}:  # 2
        raise IntegrityError(
            f"the signed manifest is about {', '.join(statement.subjects) or 'nothing'}, not about "
            f"{file} with digest {network_digest[:23]}",
            "one of the two was changed; sign them again",
        )
    return statement


def about_the_same(one: Any, other: Mapping[str, Any]) -> bool:
    """Whether two envelopes carry the same bytes, so that signatures may be joined."""
    return isinstance(one, dict) and one.get("payload") == other.get("payload")
