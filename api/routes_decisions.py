"""Intents and decisions."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from sse_starlette import EventSourceResponse

from api.app import Json, allow, service_of
from api.auth import Principal
from api.operations import DecisionRecord
from graph.errors import RefusedError
from graph.record import Record

router = APIRouter(prefix="/v1", tags=["decisions"])
READERS = ("operator", "engineer", "approver", "auditor")
WAIT_S = 15.0


class IntentRequest(Record):
    """What an operator wants, in words."""

    text: str = Field(min_length=1, max_length=4000)
    dry_run: bool = Field(False, description="compile and restate only")


@router.post("/intents", status_code=202)
def post_intent(
    body: IntentRequest, request: Request,
    who: Annotated[Principal, Depends(allow("operator", "engineer"))],
) -> Json:  # fmt: skip
    """Compile and restate; unless it is a dry run or has questions, start a decision."""
    operations = service_of(request).operations
    image = operations.copilot.last_image or operations.copilot.observe()
    reading = operations.copilot.compile(body.text, who.name, image.time)
    answer: Json = {"reading": reading.model_dump(mode="json"), "decision": None}
    if reading.intent is not None and not body.dry_run:
        answer["decision"] = operations.ask(body.text, who.name).id
    return answer


@router.get("/decisions")
def list_decisions(
    request: Request, _: Annotated[Principal, Depends(allow(*READERS))]
) -> list[Json]:
    """All decisions of this run, newest first."""
    found = service_of(request).operations.decisions
    return [_short(r) for r in reversed(list(found.values()))]


@router.get("/decisions/{decision_id}")
def get_decision(
    decision_id: str, request: Request, _: Annotated[Principal, Depends(allow(*READERS))]
) -> Json:
    """One decision with everything that it went through."""
    record = _record(request, decision_id)
    body = _short(record)
    if record.decision is not None:
        body["detail"] = record.decision.model_dump(mode="json", exclude={"proposal"})
    return body


@router.get("/decisions/{decision_id}/events")
async def decision_events(
    decision_id: str, request: Request, _: Annotated[Principal, Depends(allow(*READERS))]
) -> EventSourceResponse:
    """The decision's events as they happen (server-sent events); resumes after Last-Event-ID."""
    record = _record(request, decision_id)
    last = request.headers.get("last-event-id", "")
    start = int(last) + 1 if last.isdigit() else 0
    return EventSourceResponse(_stream(record, start))


async def _stream(record: DecisionRecord, seq: int) -> AsyncIterator[dict[str, Any]]:
    while True:
        events, complete = await asyncio.to_thread(record.events.since, seq, WAIT_S)
        for event in events:
            yield {"id": str(event.seq), "event": event.kind, "data": json.dumps(event.data)}
        seq += len(events)
        if complete:
            return


def _record(request: Request, decision_id: str) -> DecisionRecord:
    found = service_of(request).operations.decisions.get(decision_id)
    if found is None:
        raise RefusedError("not_found", f"there is no decision {decision_id}")
    return found


def _short(record: DecisionRecord) -> Json:
    decision = record.decision
    return {
        "id": record.id,
        "text": record.text,
        "actor": record.actor,
        "done": record.done,
        "outcome": decision.outcome if decision else None,
        "reasons": list(decision.reasons) if decision else [],
        "proposal": record.proposal_id,
        "error": record.error,
    }
