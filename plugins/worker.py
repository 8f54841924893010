"""The process that a plugin runs in: reads requests from stdin, answers on stdout, ends with it.

It holds no key, no file and no environment of the host's. What it is sent is what the plugin was
granted, so a plugin that broke out of its sandbox would find nothing more here.
"""

import json
import os
import resource
from typing import Any, BinaryIO

from plugins.frames import pack_json, read_frame
from plugins.guest_error import GuestError
from plugins.limits import HostLimits
from plugins.session import Session
from plugins.wasmtime_guest import Guest

_CPU_SPARE_S = 2  # for our own side of a call


def main() -> None:
    """Serve until stdin closes."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    worker = Worker()
    while (message := read_frame(requests)) is not None:
        answers.write(pack_json(worker.answer(message, requests)))
        answers.flush()


class Worker:
    """The requests: `load` (followed by a frame with the component), `describe`, `propose`."""

    def __init__(self) -> None:
        self._guest: Guest | None = None
        self._limits = HostLimits()

    def answer(self, message: bytes, requests: BinaryIO) -> dict[str, Any]:
        """Carry out one request. Failures are answers, too."""
        request = json.loads(message)
        try:
            if request["op"] == "load":
                return self._load(request, read_frame(requests) or b"")
            return self._call(request)
        except GuestError as error:
            return {"outcome": error.outcome, "detail": error.reason}
        except MemoryError:
            return {"outcome": "memory", "detail": "the worker process ran out of memory"}

    def _load(self, request: dict[str, Any], component: bytes) -> dict[str, Any]:
        self._limits = HostLimits(**request["limits"])
        self._guest = Guest(self._limits)  # starts its thread before threads are forbidden
        _confine(self._limits)
        _allow_cpu(self._limits.admission_s)
        self._guest.load(
            component, frozenset(request["offered"]), request["fuel"], request["memory_bytes"]
        )
        return {"outcome": "ok", "detail": ""}

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._guest is None:
            raise GuestError("refused", "no component is loaded")
        _allow_cpu(self._limits.guest_s + self._limits.grace_s)
        session = Session(request["inputs"], self._limits)
        found: dict[str, Any] = {"outcome": "ok", "detail": ""}
        try:
            value, found["fuel_used"] = self._guest.call(
                request["op"], session, request.get("context")
            )
            found |= _described(value) if request["op"] == "describe" else _declined(value)
        except GuestError as error:
            found |= {"outcome": error.outcome, "detail": error.reason}
        return found | {
            "submissions": session.submissions,
            "refusals": session.refusals,
            "log": session.log,
            "log_dropped": session.log_dropped,
            "calls": dict(session.calls),
        }


def _described(value: Any) -> dict[str, Any]:
    return {"name": str(value.name)[:200], "version": str(value.version)[:200]}


def _declined(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    return {"outcome": "declined", "detail": f"{value.code}: {value.message}"[:500]}


def _confine(limits: HostLimits) -> None:
    """Bounds of the process itself, should the sandbox inside it fail."""
    for kind, most in (
        (resource.RLIMIT_AS, limits.address_space_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 64 << 10),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))


def _allow_cpu(seconds: float) -> None:
    """End this process when one request takes more processor time than it may."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + _CPU_SPARE_S
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


if __name__ == "__main__":
    main()
