"""The gate's HTTP surface. Errors are RFC 9457 problem documents with a stable `reason`."""

import logging
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from graph.errors import (
    ConflictError,
    InputError,
    IntegrityError,
    PilothouseError,
    RefusedError,
    UnavailableError,
)
from graph.record import Record, UtcTime
from safety.gate import core
from safety.gate.gate_file import Door
from safety.gate.intake import order_from_bundle
from safety.gate.journal import Journal
from safety.gate.opcua_plant import OpcUaLab
from safety.gate.runtime import Gate
from safety.gate.state import Mode, active_points, phase
from safety.gate.uvicorn_mtls import peer_names
from safety.trust_root import TrustRoot

log = logging.getLogger(__name__)
MAX_BUNDLE_BYTES = 32 * 1024 * 1024
STATUS = (
    (RefusedError, 409), (ConflictError, 409), (UnavailableError, 503),
    (InputError, 400), (IntegrityError, 400),
)  # fmt: skip


class Who(Record):
    """Who asks, for the record."""

    by: str = Field("", max_length=200)


class ModeRequest(Who):
    """A mode for one loop, or for all."""

    mode: Mode
    loop: str | None = None


class HoldRequest(Who):
    """A point for a person's hands. `value` works on a laboratory's plant only: there it plays
    the operator at the panel.
    """

    point: str
    until: UtcTime | None = None
    value: float | None = None


class PointRequest(Who):
    """A point to be handed back."""

    point: str


class AbortRequest(Who):
    """Why the order in force is aborted."""

    reason: str = Field("aborted", max_length=200)


class AdvanceRequest(Record):
    """How far a stepped plant moves."""

    seconds: float = Field(gt=0, le=7 * 86_400)
    cycle_s: float = Field(60.0, gt=0)


def make_app(
    gate: Gate, journal: Journal, root: TrustRoot, door: Door, lab: OpcUaLab | None
) -> FastAPI:
    """The application. Without a `lab` there are no laboratory routes at all."""
    app = FastAPI(title="pilothouse gate", docs_url=None, redoc_url=None, openapi_url=None)
    service = Depends(_only(gate, door, door.services))
    person = Depends(_only(gate, door, (*door.services, *door.consoles)))
    app.add_exception_handler(PilothouseError, _problem)
    _reading_routes(app, gate, journal, person)
    _order_routes(app, gate, root, door, service)
    _person_routes(app, gate, person, lab)
    if lab is not None:
        _lab_routes(app, gate, lab, service)
    return app


def _only(gate: Gate, door: Door, allowed: tuple[str, ...]) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        names = peer_names(request.scope)
        if not names.intersection(allowed):
            raise HTTPException(403, f"the certificate names none of: {', '.join(allowed)}")
        if names.intersection(door.services):
            gate.heard()

    return check


async def _problem(request: Request, error: Exception) -> JSONResponse:
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
    reason = getattr(error, "reason", type(error).__name__.removesuffix("Error").lower())
    body = {
        "type": f"https://pilothouse.dev/problems/{reason}",
        "title": reason.replace("_", " "),
        "status": status,
        "detail": getattr(error, "message", str(error)),
        "hint": getattr(error, "hint", ""),
        "reason": reason,
        "instance": request.url.path,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def status_of(gate: Gate) -> dict[str, Any]:
    """Where the gate stands, for people and for the service."""
    state, readings = gate.state, gate.readings
    engaged = state.engaged
    return {
        "gate_id": gate.config.gate_id,
        "site_id": gate.config.site_id,
        "lab": gate.config.lab,
        "phase": phase(state),
        "modes": {loop: mode.value for loop, mode in state.modes.items()},
        "epoch": state.epoch,
        "last_seq": state.last_seq,
        "plant_time": readings.model_dump(mode="json")["time"] if readings else None,
        "service_alive": gate.service_alive,
        "engaged": engaged
        and {
            "proposal_digest": engaged.order.proposal_digest,
            "stage": phase(state),
            "held": engaged.held,
            "ends": engaged.ends.isoformat(),
            "points": list(active_points(state)),
            "metrics": {k: m.model_dump(mode="json") for k, m in engaged.metrics.items()},
        },
        "owned": list(state.owned),
        "written": {p: state.track(p).written for p in state.owned},
        "holds": {p: h.model_dump(mode="json") for p, h in state.holds.items()},
        "starts": {p: t.starts for p, t in state.tracks.items() if t.starts},
        "last": state.last.model_dump(mode="json") if state.last else None,
        "alarms": [a.model_dump(mode="json") for a in gate.alarms],
    }


def _reading_routes(app: FastAPI, gate: Gate, journal: Journal, person: Any) -> None:
    @app.get("/v1/status", dependencies=[person])
    def status() -> dict[str, Any]:
        return status_of(gate)

    @app.get("/v1/reports", dependencies=[person])
    def reports(since: Annotated[int, Field(ge=0)] = 0) -> dict[str, Any]:
        found = journal.since(since)
        return {"since": since, "next": since + len(found), "reports": found}


def _order_routes(app: FastAPI, gate: Gate, root: TrustRoot, door: Door, service: Any) -> None:
    @app.post("/v1/orders", dependencies=[service])
    async def orders(request: Request) -> dict[str, Any]:
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BUNDLE_BYTES:
                raise InputError(f"the bundle has more than {MAX_BUNDLE_BYTES} bytes")

        def engage() -> None:
            rules = door.required_rules
            gate.submit(
                lambda r: order_from_bundle(bytes(data), root, r.time, required_rules=rules)
            )

        await run_in_threadpool(engage)
        return status_of(gate)

    @app.post("/v1/heartbeat", dependencies=[service])
    def heartbeat() -> dict[str, Any]:
        return {"phase": phase(gate.state), "epoch": gate.state.epoch}


def _person_routes(app: FastAPI, gate: Gate, person: Any, lab: OpcUaLab | None) -> None:
    config = gate.config

    @app.post("/v1/abort", dependencies=[person])
    def abort(body: AbortRequest) -> dict[str, Any]:
        gate.act(lambda r: core.abort(gate.state, r.time, reason=body.reason, by=body.by))
        return status_of(gate)

    @app.post("/v1/all-local", dependencies=[person])
    def all_local(body: Who) -> dict[str, Any]:
        gate.act(lambda r: core.all_local(gate.state, config, r, by=body.by))
        return status_of(gate)

    @app.post("/v1/loops/mode", dependencies=[person])
    def set_mode(body: ModeRequest) -> dict[str, Any]:
        gate.act(
            lambda r: core.set_mode(gate.state, config, body.mode, r, loop=body.loop, by=body.by)
        )
        return status_of(gate)

    @app.post("/v1/override", dependencies=[person])
    def override(body: HoldRequest) -> dict[str, Any]:
        who = body.by or "operator"
        if body.value is not None:
            _at_the_panel(gate, lab, body, who)
        else:
            gate.act(
                lambda r: core.operator_hold(
                    gate.state, config, body.point, r.time, by=who, until=body.until
                )
            )
        return status_of(gate)

    @app.post("/v1/hand-back", dependencies=[person])
    def hand_back(body: PointRequest) -> dict[str, Any]:
        hold = gate.state.holds.get(body.point)
        if hold is not None and hold.source == "plant" and lab is not None:
            lab.operator_hand_back(body.point)
            gate.cycle()
        else:
            gate.act(lambda r: core.hand_back(gate.state, body.point, r.time, by=body.by))
        return status_of(gate)


def _at_the_panel(gate: Gate, lab: OpcUaLab | None, body: HoldRequest, who: str) -> None:
    if lab is None or body.value is None:
        raise RefusedError(
            "not_a_lab", "the gate does not write a person's values", "set it at the plant's panel"
        )
    lab.operator_write(body.point, body.value, who, body.until)
    gate.cycle()


def _lab_routes(app: FastAPI, gate: Gate, lab: OpcUaLab, service: Any) -> None:
    @app.post("/v1/lab/advance", dependencies=[service])
    def advance(body: AdvanceRequest) -> dict[str, Any]:
        cycles = gate.advance(lab, body.seconds, body.cycle_s)
        return {"cycles": cycles, **status_of(gate)}
