"""The plant as people command it: rollouts, loops, all-local, what-if; laboratory time."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from api.app import Json, allow, service_of
from api.auth import Principal
from graph.errors import RefusedError
from graph.record import Record, UtcTime
from safety.gate.state import Mode

router = APIRouter(prefix="/v1", tags=["plant"])
lab_router = APIRouter(prefix="/v1/lab", tags=["laboratory"])
READERS = ("operator", "engineer", "approver", "auditor")
Operator = Annotated[Principal, Depends(allow("operator", "engineer"))]
Engineer = Annotated[Principal, Depends(allow("engineer"))]
Reader = Annotated[Principal, Depends(allow(*READERS))]


class Reason(Record):
    """Why."""

    reason: str = Field("aborted", min_length=1, max_length=200)


class ModeRequest(Record):
    """The mode that a loop shall have."""

    mode: Mode


class HoldRequest(Record):
    """A person takes a point; it is theirs until handed back or until the given time."""

    until: UtcTime | None = None


class WhatIfRequest(Record):
    """Changes to try in the twin."""

    changes: dict[str, Any] = Field(
        min_length=1,
        max_length=20,
        description="outdoor_add_k, price_factor, set (point: value), off (assets)",
    )
    futures: int = Field(50, ge=1, le=500)
    hours: float = Field(24.0, gt=0, le=48)


class Advance(Record):
    """How far a stepped plant moves."""

    seconds: float = Field(gt=0, le=86_400)


@router.get("/rollouts")
def rollouts(request: Request, _: Reader) -> Json:
    """What is in force, the gate's own account of it, and what an earlier run left unfinished."""
    operations = service_of(request).operations
    known: Json = {
        "facts": operations.facts[-200:],
        "missed_replans": operations.missed_replans[-50:],
        "unfinished": operations.unfinished,
    }
    gate = operations.copilot.gate
    return {"gate": None if gate is None else dict(gate.status()), **known}


@router.post("/rollouts")
def start_rollout(request: Request, _: Operator) -> Json:
    """Deliver approved orders that still wait for the gate."""
    operations = service_of(request).operations
    image = operations.copilot.observe()
    standing = operations.desk.deliver(image.time)
    return {"delivered": standing.model_dump(mode="json") if standing else None}


@router.post("/rollouts/abort")
def abort(body: Reason, request: Request, who: Operator) -> Json:
    """Roll back what is in force."""
    return dict(service_of(request).operations.abort(body.reason, who.name))


@router.post("/plant/all-local")
def all_local(request: Request, who: Operator) -> Json:
    """One call: every point back to the plant's own law, every loop OFF."""
    return dict(service_of(request).operations.all_local(who.name))


@router.post("/loops/{loop}/mode")
def set_mode(loop: str, body: ModeRequest, request: Request, who: Engineer) -> Json:
    """Set a loop's mode; `all` means every loop."""
    wanted = None if loop == "all" else loop
    return dict(_gate(request).set_mode(str(body.mode), wanted, who.name))


@router.post("/loops/{point}/override")
def override(point: str, body: HoldRequest, request: Request, who: Operator) -> Json:
    """Take a point (`asset.quantity`): the copilot never writes it until it is handed back."""
    return dict(_gate(request).override(point, who.name, body.until))


@router.post("/loops/{point}/hand-back")
def hand_back(point: str, request: Request, who: Operator) -> Json:
    """Give a point back to the copilot."""
    return dict(_gate(request).hand_back(point, who.name))


@router.post("/what-if")
def what_if(body: WhatIfRequest, request: Request, _: Operator) -> Json:
    """Ask the twin: the same futures with and without the changes."""
    from api.what_if import run_what_if

    copilot = service_of(request).operations.copilot
    return run_what_if(copilot, copilot.observe(), body.changes, body.futures, body.hours)


@lab_router.post("/advance")
def advance(body: Advance, request: Request, _: Operator) -> Json:
    """Move the laboratory's plant on; the service then does what is due."""
    operations = service_of(request).operations
    status = dict(_gate(request).advance(body.seconds))
    operations.tick()
    return {"plant_time": status.get("plant_time"), "phase": status.get("phase"),
            "engaged": status.get("engaged"), "facts": len(operations.facts)}  # fmt: skip


def _gate(request: Request):  # type: ignore[no-untyped-def]  # GatePort
    gate = service_of(request).operations.copilot.gate
    if gate is None:
        raise RefusedError("no_gate", "this service has no gate", "it runs in shadow")
    return gate
