"""Proposals: read, approve, reject. Approvals are statements signed with the approver's own key."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from api.app import Json, allow, service_of
from api.auth import Principal
from api.proposals import Entry
from graph.record import Record
from safety.lifecycle import Standing, State

router = APIRouter(prefix="/v1/proposals", tags=["proposals"])
READERS = ("operator", "engineer", "approver", "auditor")


class Signed(Record):
    """A signed statement (DSSE envelope) over the proposal's digest."""

    envelope: dict[str, Any] = Field(description="as `pilothouse approve --out FILE` writes it")


@router.get("")
def list_proposals(
    request: Request, _: Annotated[Principal, Depends(allow(*READERS))]
) -> list[Json]:
    """All proposals of this run, newest first, with what they change and gain."""
    return [_summary(request, e) for e in service_of(request).operations.desk.entries()]


@router.get("/{proposal_id}")
def get_proposal(
    proposal_id: str, request: Request, _: Annotated[Principal, Depends(allow(*READERS))]
) -> Json:
    """One proposal in full."""
    entry = service_of(request).operations.desk.entry(proposal_id)
    body = _summary(request, entry)
    body["predicate"] = entry.proposal.model_dump(mode="json")
    return body


@router.get("/{proposal_id}/bundle")
def get_bundle(
    proposal_id: str, request: Request, _: Annotated[Principal, Depends(allow(*READERS))]
) -> Response:
    """The signed bundle with its proofs; `pilothouse verify` checks it offline."""
    operations = service_of(request).operations
    entry = operations.desk.entry(proposal_id)
    data = operations.copilot.bundle_file(entry.signed, entry.approvals)
    name = f"{proposal_id}.json"
    return Response(
        data,
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.post("/{proposal_id}/approve")
def approve(
    proposal_id: str, body: Signed, request: Request,
    _: Annotated[Principal, Depends(allow("operator", "engineer", "approver"))],
) -> Json:  # fmt: skip
    """Hand in a signed approval; with the quorum complete the gate gets the bundle."""
    operations = service_of(request).operations
    image = operations.copilot.observe()
    standing = operations.desk.approve(proposal_id, body.envelope, image)
    if standing.state is State.ROLLING_OUT:
        operations.engage(proposal_id)
    return _standing(standing)


@router.post("/{proposal_id}/reject")
def reject(
    proposal_id: str, body: Signed, request: Request,
    _: Annotated[Principal, Depends(allow("operator", "engineer", "approver"))],
) -> Json:  # fmt: skip
    """Hand in a signed rejection; one is enough."""
    operations = service_of(request).operations
    image = operations.copilot.observe()
    return _standing(operations.desk.reject(proposal_id, body.envelope, image.time))


def _standing(standing: Standing) -> Json:
    return standing.model_dump(mode="json")


def _summary(request: Request, entry: Entry) -> Json:
    desk = service_of(request).operations.desk
    proposal = entry.proposal
    return {
        "id": entry.signed.id,
        "digest": entry.signed.digest,
        "state": str(desk.lives.standing(entry.signed.id).state),
        "restatement": proposal.restatement,
        "decide_by": proposal.model_dump(mode="json")["decide_by"],
        "risk": proposal.risk.level,
        "confidence": proposal.confidence,
        "kpi_delta": proposal.sandbox_results.kpi_delta,
        "points": [s.point for s in proposal.proposed_policy.schedule],
        "required_approvals": proposal.required_approvals.model_dump(mode="json"),
        "approvals": len(entry.approvals),
        "under": proposal.under,
        "resolution": entry.resolution.model_dump(mode="json") if entry.resolution else None,
    }
