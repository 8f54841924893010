"""What an approver does with a key of their own: read a proposal, sign yes or no."""

from datetime import datetime, timedelta
from typing import Any, Literal

from graph.canonical import strict_loads
from graph.errors import IntegrityError
from graph.proposal import Approval, ControlProposal, StandingAuthorisation
from safety.keys import Signer
from safety.signing import proposal_digest, sign_approval, strict_b64decode


def read_proposal(bundle: bytes) -> ControlProposal:
    """The proposal inside a bundle, for a person to read before signing. Nothing is verified."""
    document = strict_loads(bundle)
    try:
        payload = strict_b64decode(document["proposal"]["payload"], "the payload")
        return ControlProposal.model_validate(strict_loads(payload)["predicate"])
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"the file is not a proposal bundle: {error}") from error


def standing_for(proposal: ControlProposal, until: datetime) -> StandingAuthorisation:
    """Leave to re-plan inside this proposal's own envelope and risk, one plan a quarter of an hour
    at most, until `until`.
    """
    hours = (until - proposal.not_before) / timedelta(hours=1)
    return StandingAuthorisation(
        points={s.point: (s.min, s.max) for s in proposal.proposed_policy.schedule},
        until=until,
        max_risk=proposal.risk.level,
        max_bundles=max(1, int(4 * hours)),
    )


def sign_decision(
    proposal: ControlProposal, signer: Signer, decision: Literal["approve", "reject"], role: str,
    reason: str, at: datetime, standing: StandingAuthorisation | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A signed statement over the proposal's digest."""
    digest = proposal_digest(proposal)
    approval = Approval(
        proposal_digest=digest,
        decision=decision,
        person=signer.person,
        role=role,
        reason=reason,
        at=at,
        not_after=max(proposal.expires, standing.until) if standing else proposal.expires,
        standing=standing,
        lab=signer.lab,
    )
    return sign_approval(approval, signer)
