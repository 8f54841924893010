"""Child processes of a demonstration or a laboratory: start, wait until ready, stop by id."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from graph.errors import UnavailableError

log = logging.getLogger(__name__)
STOP_S = 5.0


def free_port() -> int:
    """A TCP port of the loopback interface that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Child:
    """One process of ours, with its log file."""

    def __init__(self, name: str, command: Sequence[str], log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        root = str(Path(__file__).resolve().parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(
            p for p in (root, environment.get("PYTHONPATH", "")) if p
        )
        with log_file.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603  our own command line
                list(command), stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=environment,
            )  # fmt: skip

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Poll `ready` until it says yes. Raises UnavailableError with the end of the log."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise UnavailableError(f"{self.name} ended at once", self.log_tail())
            if ready():
                return
            time.sleep(0.05)
        raise UnavailableError(f"{self.name} is not ready after {timeout_s:.0f} s", self.log_tail())

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of its log."""
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return " | ".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """Ask it to end, then make it."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop in %.0f s", self.name, STOP_S)
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.stop()


def port_open(port: int) -> bool:
    """Whether something listens on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def command(*arguments: str) -> list[str]:
    """The command line of another `pilothouse` in the same interpreter."""
    return [sys.executable, "-m", "api.cli", *arguments]
