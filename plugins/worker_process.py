"""The host's side of a worker process: start it, talk to it against the clock, kill it."""

import contextlib
import os
import selectors
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from graph.canonical import strict_loads
from graph.errors import IntegrityError, UnavailableError
from plugins.frames import HEADER
from plugins.guest_error import GuestError

_ROOT = str(Path(__file__).resolve().parent.parent)
# Isolated: no environment, no user site, no current directory on the path.
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from plugins.worker import main; main()"
_CHUNK = 1 << 16


class WorkerProcess:
    """One process for one plugin. Not thread-safe: its owner holds a lock."""

    def __init__(self, reply_bytes: int) -> None:
        self._reply_bytes = reply_bytes
        self._said = ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-I", "-c", _BOOT, _ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={},
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def request(self, frames: bytes, within_s: float) -> dict[str, Any]:
        """Send `frames` and wait for one JSON answer; whoever fails to give it is killed.

        Raises:
            GuestError: "killed" when time is up or the process is gone, "bad_output" when the
                answer is too long or not JSON.
        """
        deadline = time.monotonic() + within_s
        try:
            self._send(frames, deadline)
            (size,) = HEADER.unpack(self._receive(HEADER.size, deadline))
            if size > self._reply_bytes:
                raise GuestError(
                    "bad_output", f"an answer of {size} bytes, {self._reply_bytes} allowed"
                )
            answer = strict_loads(self._receive(size, deadline), self._reply_bytes)
            if not isinstance(answer, dict):
                raise GuestError("bad_output", "the answer is not a JSON object")
            return answer
        except TimeoutError:
            self.kill()
            raise GuestError("killed", f"no answer within {within_s:g} s of wall time") from None
        except (OSError, EOFError):
            raise self._gone() from None
        except IntegrityError as error:
            self.kill()
            raise GuestError("bad_output", error.message) from None
        except GuestError:
            self.kill()
            raise

    def _gone(self) -> GuestError:
        self.kill()
        code = self._process.returncode
        said = self._said
        if code and code > 0 and "Error" in said:  # not a signal: our own side could not start
            raise UnavailableError(
                f"the plugin worker stopped with code {code}: {said.splitlines()[-1][:300]}",
                "is the package wasmtime installed for this interpreter?",
            )
        return GuestError("killed", f"its process ended with code {code}")

    def _send(self, data: bytes, deadline: float) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        view = memoryview(data)
        while view:
            self._wait(stdin.fileno(), selectors.EVENT_WRITE, deadline)
            view = view[os.write(stdin.fileno(), view[:_CHUNK]) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        parts = bytearray()
        while len(parts) < size:
            self._wait(stdout.fileno(), selectors.EVENT_READ, deadline)
            part = os.read(stdout.fileno(), min(_CHUNK, size - len(parts)))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    @staticmethod
    def _wait(descriptor: int, event: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise TimeoutError

    def kill(self) -> None:
        """End it at once and collect it. May be called twice."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        if not self._errors.closed:
            self._errors.seek(0)
            self._said = self._errors.read(_CHUNK).decode(errors="replace").strip()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()
