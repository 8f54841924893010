"""The process that hosts one FMU, from this side: start, ask, and say what went wrong.

The other side is `worker`. Whatever ends it, hangs it or makes it talk nonsense becomes one
`FmuError` that names the FMU and what it was doing; the process is gone then, and every later call
repeats the error.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

from graph.errors import UnavailableError
from sandbox.fmi.limits import FmuLimits
from sandbox.fmi.wire import Channel, SlowError, WireError

ROOT = Path(__file__).resolve().parents[2]
LOG = "fmu.log"
TAIL_BYTES = 600
FAREWELL_S = 5.0
PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class FmuError(UnavailableError):
    """An FMU failed while it ran. `discard`: it only refused this step; a smaller one may do."""

    def __init__(self, message: str, hint: str = "", discard: bool = False) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, discard)
        self.discard = discard


class HostedFmu:
    """One worker process. `label` is the FMU in errors; `folder`, its home, is removed with it."""

    def __init__(self, label: str, folder: Path, limits: FmuLimits) -> None:
        self.label, self.limits, self._folder = label, limits, folder
        self._failure: FmuError | None = None
        self._doing, self._sent = "it was started", 0
        bounds = {n: getattr(limits, n) for n in ("cpu_s", "memory_mb", "output_mb")}
        with (folder / LOG).open("wb") as sink:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-P", "-m", "sandbox.fmi.worker", json.dumps(bounds)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, cwd=folder,
                env=_environment(folder), start_new_session=True, bufsize=0,
            )  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self._channel = Channel(self._process.stdout.fileno(), self._process.stdin.fileno())
        self._finalizer = weakref.finalize(self, _discard, self._process, folder)

    def ask(self, doing: str, operations: list[Any], seconds: float | None = None) -> list[Any]:
        """Send operations and wait for their results. Raises FmuError."""
        self.send(doing, operations, seconds)
        return self.receive(seconds)

    def send(self, doing: str, operations: list[Any], seconds: float | None = None) -> None:
        """Send operations; `doing` completes the sentence that an error says."""
        if self._failure is not None:
            raise self._failure
        if not self._finalizer.alive:  # its descriptors are somebody else's by now
            raise FmuError(f"{self.label} is closed", "start it again")
        self._doing, self._sent = doing, len(operations)
        seconds = seconds or self.limits.call_s
        try:
            self._channel.send(operations, seconds)
        except SlowError:
            raise self.fail(f"took no commands within {seconds:g} s") from None
        except (OSError, ValueError, WireError):
            raise self.fail(self._end()) from None

    def receive(self, seconds: float | None = None) -> list[Any]:
        """The results of what was sent. Raises FmuError."""
        seconds = seconds or self.limits.call_s
        try:
            answer = self._channel.receive(seconds)
        except SlowError:
            raise self.fail(
                f"did not answer within {seconds:g} s", "an endless loop, or raise FmuLimits.call_s"
            ) from None
        except WireError as error:
            raise self.fail(f"broke the rules of its pipe: {error}") from None
        except (EOFError, OSError):
            raise self.fail(self._end()) from None
        if not isinstance(answer, dict):
            answer = {}
        results, said = answer.get("ok"), str(answer.get("error", "an answer without sense"))[:500]
        if isinstance(results, list) and len(results) == self._sent:
            return results
        if answer.get("discard") is True:
            raise FmuError(f"{self.label} refused: {said} while {self._doing}", "", True)
        raise self.fail(f"failed: {said}")

    def fail(self, what: str, hint: str = "") -> FmuError:
        """The error that every later call repeats; the process ends here."""
        tail = _tail(self._folder / LOG)
        self._finalizer()
        said = f"; it last said: {tail}" if tail else ""
        self._failure = FmuError(
            f"{self.label} {what} while {self._doing}{said}",
            hint or "start it again; if it fails again, ask its maker",
        )
        return self._failure

    def _end(self) -> str:
        """How the process ended, in words."""
        try:
            code = self._process.wait(timeout=FAREWELL_S)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        limits = self.limits
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return f"was ended after {limits.cpu_s} s of CPU time, or from outside,"
        if code == -signal.SIGXFSZ:
            return f"wrote more than {limits.output_mb} MiB into one file or its output"
        if code < 0:
            name = signal.Signals(-code).name
            return f"crashed with {name} (its memory is limited to {limits.memory_mb} MiB)"
        return f"ended its own process with exit code {code}"

    def abandon(self) -> None:
        """End the process and remove its files, without a word."""
        self._finalizer()

    def close(self, farewell: list[Any]) -> None:
        """Say `farewell`, end the process, remove its files. A second call does nothing."""
        if self._failure is None and self._finalizer.alive:
            with contextlib.suppress(FmuError):
                self.ask("it was ended", farewell, FAREWELL_S)
        self._finalizer()


def _environment(folder: Path) -> dict[str, str]:
    """What the process gets to know: no keys, no passphrase, one thread, a fixed hash seed."""
    passed = {n: os.environ[n] for n in PASSED_ON if n in os.environ}
    return {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "HOME": str(folder),
        "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **passed,
    }  # fmt: skip


def _tail(log: Path) -> str:
    """The end of what the FMU printed, on one line."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(log.stat().st_size - TAIL_BYTES, 0))
            text = stream.read(TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _discard(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End the whole process group and remove its folder."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    shutil.rmtree(folder, ignore_errors=True)
