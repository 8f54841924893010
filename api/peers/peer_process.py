"""A planner in a process of its own, asked by lines of JSON and never trusted.

It may be slow, crash, hang or talk nonsense: each is a `PeerError` that says which. Its licence and
its dependencies' pins stay in its process. `drivers/line_server.py` is the other side.
"""

import json
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from graph.errors import PilothouseError

MOST_BYTES = 1_000_000
MOST_SAID = 16_000_000  # on standard error, between two questions
ONE_THREAD = {f"{lib}_NUM_THREADS": "1" for lib in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME")


class PeerError(PilothouseError):
    """A peer did not do its part; the message says what it did instead."""


class PeerProcess:
    """One running driver. Use as a context: it is killed, with its children, at the end."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        kept = {k: os.environ[k] for k in KEPT if k in os.environ}
        self._errors = TemporaryFile()  # noqa: SIM115 (closed by close)
        self._rest = b""
        try:
            self._process = subprocess.Popen(  # noqa: S603
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self._errors, start_new_session=True,
                env={**kept, **ONE_THREAD, **environment},
            )  # fmt: skip
        except OSError as error:
            raise PeerError(f"{command[0]} does not start: {error}") from error
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._process.stdout, selectors.EVENT_READ)

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill what is left of the process and of what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._ready.close()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]

    def ask(self, document: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """Send one line and return the answer.

        Raises:
            PeerError: it crashed, was silent for `limit_s`, or its line is no JSON object.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerError(self._crashed()) from None
        line = self._line(limit_s)
        if os.fstat(self._errors.fileno()).st_blocks * 512 > MOST_SAID:
            os.ftruncate(self._errors.fileno(), 0)  # a chatty peer must not fill the disk
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise PeerError(f"answered what is no JSON: {line[:60]!r}") from None
        if not isinstance(answer, dict):
            raise PeerError(f"answered no object: {line[:60]!r}")
        return answer

    def _line(self, limit_s: float) -> bytes:
        assert self._process.stdout is not None
        end = time.monotonic() + limit_s
        while b"\n" not in self._rest:
            if len(self._rest) > MOST_BYTES:
                raise PeerError(f"answered more than {MOST_BYTES} bytes in a line")
            left = end - time.monotonic()
            if left <= 0 or not self._ready.select(left):
                raise PeerError(f"did not answer within {limit_s:.0f} s")
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise PeerError(self._crashed())
            self._rest += part
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    def _crashed(self) -> str:
        """How it ended, and the last thing that it said."""
        try:
            code: int | None = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            code = None
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4000))
        said = [x for x in self._errors.read().decode(errors="replace").splitlines() if x.strip()]
        return f"ended with {code}: {said[-1].strip()[:140] if said else 'without a word'}"


def numbers(answer: dict[str, Any], name: str, least: int, most: int) -> list[float]:
    """A list of `least` to `most` finite numbers out of an answer.

    Raises:
        PeerError: it is anything else.
    """
    values = answer.get(name)
    if not isinstance(values, list) or not least <= len(values) <= most:
        raise PeerError(f"answered no {least} to {most} numbers as {name}")
    for value in values:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise PeerError(f"answered {str(value)[:20]!r} among {name}")
    return [float(v) for v in values]
