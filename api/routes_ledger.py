"""The tamper-evident log, for anybody who wants to check."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.app import Json, allow, service_of
from api.auth import Principal
from graph.errors import RefusedError

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])
Reader = Annotated[Principal, Depends(allow("operator", "engineer", "approver", "auditor"))]


@router.get("/checkpoint")
def checkpoint(request: Request, _: Reader) -> Response:
    """The last signed checkpoint (C2SP signed note). Keep it: a later ledger must contain it."""
    ledger = service_of(request).operations.copilot.authority.ledger
    return Response(ledger.checkpoint(), media_type="text/plain; charset=utf-8")


@router.get("/proof/{digest}")
def proof(digest: str, request: Request, _: Reader) -> Json:
    """Inclusion proof of the proposal with this digest in the present checkpoint."""
    operations = service_of(request).operations
    for entry in operations.desk.entries():
        if entry.signed.digest == digest:
            ledger = operations.copilot.authority.ledger
            index = ledger.find("proposal", entry.signed.envelope)
            if index is None:
                break
            note = ledger.checkpoint()
            path = [h.hex() for h in ledger.inclusion(index)]
            return {"index": index, "path": path, "checkpoint": note}
    raise RefusedError("not_found", f"no proposal with digest {digest} in this run")
