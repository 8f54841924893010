"""The HTTP service. It computes nothing itself: every route calls the one `Operations`."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api import problems
from api.auth import Principal, Tokens, UserStore
from api.operations import Operations
from graph.errors import RefusedError

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024  # an approval is a few kB; nothing that comes in is large
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
DESCRIPTION = "A control copilot for digital twins: proposals are proven, signed and taken back."


@dataclass(frozen=True)
class Service:
    """What the routes need."""

    operations: Operations
    users: UserStore
    tokens: Tokens
    lab: bool


BEARER = HTTPBearer(auto_error=False)


def service_of(request: Request) -> Service:
    """The service behind the application."""
    found: Service = request.app.state.service
    return found


def caller(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Principal:
    """The authenticated caller."""
    if given is None:
        raise RefusedError("unauthenticated", "log in first", "POST /v1/login")
    return service_of(request).tokens.check(given.credentials)


def allow(*roles: str) -> Callable[[Principal], Principal]:
    """A dependency that lets only these roles in."""

    def check(who: Annotated[Principal, Depends(caller)]) -> Principal:
        if not who.roles & set(roles):
            raise RefusedError(
                "forbidden", f"{who.name} may not do this", f"needs one of: {', '.join(roles)}"
            )
        return who

    return check


def make_app(service: Service) -> FastAPI:
    """Build the application."""
    from api import routes_decisions, routes_ledger, routes_plant, routes_proposals, routes_system

    app = FastAPI(title="pilothouse", version="1", description=DESCRIPTION, docs_url=None,
                  redoc_url=None)  # fmt: skip
    app.state.service = service
    problems.install(app)
    for module in (routes_system, routes_decisions, routes_proposals, routes_plant, routes_ledger):
        app.include_router(module.router)
    if service.lab:
        app.include_router(routes_plant.lab_router)
    _middleware(app)
    return app


def _middleware(app: FastAPI) -> None:
    @app.middleware("http")
    async def limits_and_headers(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return problems.problem(413, "too_large", f"at most {MAX_BODY_BYTES} bytes")
        if request.headers.get("transfer-encoding"):
            return problems.problem(411, "length-required", "send a Content-Length")
        response = await call_next(request)
        response.headers.update(SECURITY_HEADERS)
        return response


Json = dict[str, Any]
