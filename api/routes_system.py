"""Login, health, readiness, metrics."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from api.app import Json, allow, service_of
from api.auth import Principal
from graph.record import Record

router = APIRouter(tags=["system"])


class Login(Record):
    """Name and password."""

    name: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class NewUser(Record):
    """A user to add."""

    name: str = Field(min_length=1, max_length=200)
    password: str = Field(max_length=1000)
    roles: tuple[str, ...]


@router.post("/v1/login")
def login(body: Login, request: Request) -> Json:
    """Exchange name and password for a bearer token that lasts a shift."""
    service = service_of(request)
    who = service.users.login(body.name, body.password)
    return {"token": service.tokens.issue(who), "name": who.name, "roles": sorted(who.roles)}


@router.post("/v1/users", status_code=201)
def add_user(
    body: NewUser, request: Request, _: Annotated[Principal, Depends(allow("admin"))]
) -> Json:
    """Add or replace a user."""
    service_of(request).users.add(body.name, body.password, body.roles)
    return {"name": body.name, "roles": sorted(body.roles)}


@router.get("/healthz")
def healthz() -> Json:
    """The process answers."""
    return {"ok": True}


@router.get("/readyz")
def readyz(request: Request) -> JSONResponse:
    """Ready to take requests; says what is still warming up."""
    operations = service_of(request).operations
    dispatcher = operations.copilot.dispatcher
    warming = [] if getattr(dispatcher, "ready", True) else ["agents (Ray is starting)"]
    gate = operations.copilot.gate
    body: Json = {"ready": True, "warming": warming, "gate": gate is not None}
    return JSONResponse(body)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Prometheus text format."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    operations = service_of(request).operations
    registry = CollectorRegistry()
    by_state = Gauge("pilothouse_proposals", "Proposals by state", ["state"], registry=registry)
    for standing in operations.desk.lives.standings():
        by_state.labels(state=str(standing.state)).inc()
    by_outcome = Gauge("pilothouse_decisions", "Decisions by outcome", ["outcome"],
                       registry=registry)  # fmt: skip
    for record in list(operations.decisions.values()):
        outcome = (
            record.decision.outcome if record.decision else "failed" if record.error else "open"
        )
        by_outcome.labels(outcome=outcome).inc()
    size = Gauge("pilothouse_ledger_entries", "Entries in the ledger", registry=registry)
    size.set(len(operations.copilot.authority.ledger))
    missed = Gauge("pilothouse_replans_missed", "Plans under a standing authorisation that failed",
                   registry=registry)  # fmt: skip
    missed.set(len(operations.missed_replans))
    data: Any = generate_latest(registry)
    return Response(data, media_type=CONTENT_TYPE_LATEST)
