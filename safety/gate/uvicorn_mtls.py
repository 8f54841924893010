"""Uvicorn that demands a client certificate and tells the application whose it is.

No ASGI server hands the peer's certificate on; this one puts the DNS names of its subject
alternative name into the scope, where `peer_names` finds them.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from safety.tls import TlsFiles, server_context

SCOPE_KEY = "pilothouse.peer_names"


def peer_names(scope: Any) -> frozenset[str]:
    """Names in the client's verified certificate; empty without one."""
    names = scope.get(SCOPE_KEY, frozenset())
    return names if isinstance(names, frozenset) else frozenset()


class PeerNameProtocol(H11Protocol):
    """HTTP/1.1 with the peer's names in every scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the certificate that the handshake has verified."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert() if tls is not None else None
        entries = (certificate or {}).get("subjectAltName", ())
        names = frozenset(value for kind, value in entries if kind == "DNS")
        inner = self.app

        async def with_names(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, SCOPE_KEY: names}, receive, send)

        self.app = with_names


def make_server(
    app: Any, host: str, port: int, files: TlsFiles, ready: Callable[[int], None]
) -> uvicorn.Server:
    """A server for `app`; `ready` is called with the port once it listens."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PeerNameProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        ssl_certfile=files.certificate,
        ssl_keyfile=files.key,
        timeout_graceful_shutdown=5,
    )
    config.load()
    config.ssl = server_context(files)

    class Server(uvicorn.Server):
        async def startup(self, *arguments: Any, **options: Any) -> None:
            await super().startup(*arguments, **options)
            for listener in self.servers:
                for socket in listener.sockets:
                    ready(int(socket.getsockname()[1]))
                    return

    return Server(config)
