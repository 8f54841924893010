"""Errors on the wire: RFC 9457 problem documents, one status per family of error."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from graph.errors import (
    ConflictError,
    InputError,
    IntegrityError,
    PilothouseError,
    RefusedError,
    UnavailableError,
)

MEDIA_TYPE = "application/problem+json"
STATUS = {
    InputError: 422, IntegrityError: 400, RefusedError: 403, ConflictError: 409,
    UnavailableError: 503,
}  # fmt: skip
# Names on the wire are not names of classes: they stay when the code changes.
KINDS = {
    InputError: "invalid-input", IntegrityError: "not-authentic", ConflictError: "conflict",
    UnavailableError: "unavailable",
}  # fmt: skip
REFUSAL_STATUS = {"unauthenticated": 401, "locked": 429, "not_found": 404, "too_large": 413}


def problem(status: int, kind: str, title: str, detail: str = "", **more: Any) -> JSONResponse:
    """A problem document."""
    body = {"type": f"urn:pilothouse:problem:{kind}", "title": title, "status": status, **more}
    if detail:
        body["detail"] = detail
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every error of this project, and of the framework, into a problem document."""

    @app.exception_handler(PilothouseError)
    async def _ours(_: Request, error: PilothouseError) -> JSONResponse:
        if isinstance(error, RefusedError):
            status = REFUSAL_STATUS.get(error.reason, 403)
            return problem(status, error.reason, error.message, error.hint)
        status = next((s for k, s in STATUS.items() if isinstance(error, k)), 500)
        kind = next((n for k, n in KINDS.items() if isinstance(error, k)), "internal")
        return problem(status, kind, str(error), error.hint)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        fields = [
            {"field": ".".join(str(p) for p in e["loc"]), "message": e["msg"]}
            for e in error.errors()
        ]
        return problem(422, "invalid-request", "the request does not fit its schema", errors=fields)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, "http", str(error.detail))
