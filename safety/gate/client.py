"""The service's side of the line to the gate."""

from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any

from graph.errors import RefusedError, UnavailableError
from graph.record import iso
from safety.tls import TlsFiles, client_context


class GateClient:
    """Speaks to one gate over mTLS. Each method returns the gate's answer as JSON.

    Raises (every method):
        RefusedError: with the gate's stable `reason`.
        UnavailableError: the gate does not answer, or does not let us in.
    """

    def __init__(self, url: str, files: TlsFiles, timeout_s: float = 30.0) -> None:
        import httpx

        self._http = httpx.Client(
            base_url=url, verify=client_context(files), timeout=timeout_s, trust_env=False
        )

    def status(self) -> dict[str, Any]:
        """Where the gate stands."""
        return self._call("GET", "/v1/status")

    def submit(self, bundle: bytes) -> dict[str, Any]:
        """Send a bundle's raw bytes."""
        return self._call("POST", "/v1/orders", content=bundle)

    def heartbeat(self) -> dict[str, Any]:
        """Say that the service lives."""
        return self._call("POST", "/v1/heartbeat")

    def abort(self, reason: str = "aborted", by: str = "") -> dict[str, Any]:
        """Roll back the order in force."""
        return self._call("POST", "/v1/abort", {"reason": reason, "by": by})

    def all_local(self, by: str = "") -> dict[str, Any]:
        """Everything back to the plant's local law, all loops OFF."""
        return self._call("POST", "/v1/all-local", {"by": by})

    def set_mode(self, mode: str, loop: str | None = None, by: str = "") -> dict[str, Any]:
        """Set one loop's mode, or every loop's."""
        return self._call("POST", "/v1/loops/mode", {"mode": mode, "loop": loop, "by": by})

    def override(
        self, point: str, by: str, until: datetime | None = None, value: float | None = None
    ) -> dict[str, Any]:
        """Put a point into a person's hands. `value` works in a laboratory only."""
        when = iso(until) if until else None
        return self._call(
            "POST", "/v1/override", {"point": point, "by": by, "until": when, "value": value}
        )

    def hand_back(self, point: str, by: str = "") -> dict[str, Any]:
        """Let the copilot use a point again."""
        return self._call("POST", "/v1/hand-back", {"point": point, "by": by})

    def reports(self, since: int = 0) -> dict[str, Any]:
        """Signed applied-state statements from `since` on; `next` is where to go on."""
        return self._call("GET", f"/v1/reports?since={since}")

    def advance(self, seconds: float, cycle_s: float = 60.0) -> dict[str, Any]:
        """Move a laboratory's stepped plant on."""
        body = {"seconds": seconds, "cycle_s": cycle_s}
        return self._call("POST", "/v1/lab/advance", body, timeout_s=600.0)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> "GateClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content: bytes | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        import httpx

        options: dict[str, Any] = {"timeout": timeout_s} if timeout_s else {}
        try:
            answer = self._http.request(method, path, json=body, content=content, **options)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"the gate does not answer: {error or type(error).__name__}",
                "is it running, and does it trust this certificate?",
            ) from error
        if answer.is_success:
            return dict(answer.json())
        raise _error(answer)


def _error(answer: Any) -> Exception:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    detail = str(problem.get("detail", answer.text[:200]))
    hint = str(problem.get("hint", ""))
    if answer.status_code >= 500:
        return UnavailableError(detail or f"the gate answered {answer.status_code}", hint)
    reason = "forbidden" if answer.status_code == 403 else "bad_request"
    return RefusedError(str(problem.get("reason", reason)), detail, hint)
