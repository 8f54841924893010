"""What a person's statement must be before it counts, and proposals read back from their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from api.copilot import Signed
from graph.errors import RefusedError
from graph.intent import Reading
from graph.proposal import APPROVAL_TYPE, Approval, ControlProposal
from safety.signing import APPROVAL_SUBJECT, open_envelope
from safety.trust_root import PERSON_ROLES, TrustRoot
from safety.verify import verify_bundle


def personal_approval(envelope: Mapping[str, Any], root: TrustRoot, digest: str) -> Approval:
    """The approval or rejection in `envelope`, proven to be its person's and about this proposal.

    1. Signed by a key of the root that may act for a person. 2. It is an approval in full. 3. It is
    about this proposal's digest. 4. The key is the named person's. 5. The key holds the named role.

    Raises:
        IntegrityError: 1 does not hold.
        RefusedError: "malformed", "other_proposal", "other_person" or "role".
    """
    statement = open_envelope(envelope, root, *PERSON_ROLES, statement_type=APPROVAL_TYPE)  # 1
    try:
        approval = Approval.model_validate(statement.predicate)  # 2
    except ValidationError as error:
        raise RefusedError("malformed", f"the statement is no approval: {error}") from error
    about = statement.subjects == {APPROVAL_SUBJECT: digest}
    if approval.proposal_digest != digest or not about:  # 3
        raise RefusedError(
            "other_proposal", f"it is about {approval.proposal_digest}, not {digest}"
        )
    owners = {root.person_of(k) for k in statement.keyids}
    if owners != {approval.person}:  # 4
        signer = ", ".join(sorted(owners))
        raise RefusedError("other_person", f"{signer} signed as {approval.person}")
    if any(approval.role not in root.roles_of(k) for k in statement.keyids):  # 5
        raise RefusedError("role", f"{approval.person} does not hold the role {approval.role}")
    return approval


def read_back(file: Path, root: TrustRoot) -> tuple[Signed, ControlProposal, Reading, Any] | None:
    """A proposal from the bundle that was kept of it; None when it is not what it claims to be."""
    report = verify_bundle(file.read_bytes(), root, now=None, require_approval=False)
    if not report.ok or report.contents is None:
        return None
    contents = report.contents
    proposal, bundle = contents.proposal, contents.bundle
    reading = Reading(
        text=proposal.intent, intent=proposal.compiled_intent, restatement=proposal.restatement
    )
    signed = Signed(proposal.id, contents.digest, bundle.proposal, bundle.attachments, None)
    return signed, proposal, reading, bundle.approvals
