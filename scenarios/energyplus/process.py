"""The engine's process from its parent's side: JSON lines, time limits, errors with reasons."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from graph.errors import InputError, PilothouseError, UnavailableError

MAX_REASONS = 6
ROOT = Path(__file__).parents[2]


class EngineProcess:
    """One run of the engine. `ask` sends a line and waits for the answer.

    Args:
        job: what the worker is told first; `folder` is where the engine writes its own files.

    Raises:
        UnavailableError: the process cannot be started.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.folder = Path(job["folder"])
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._errors = (self.folder / "engine-stderr.txt").open("w+", encoding="utf-8")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scenarios.energyplus.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
                encoding="utf-8", env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip
        except OSError as error:
            raise UnavailableError(f"EnergyPlus cannot be started: {error}") from error
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._started = False
        self.send(job)

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """One line to the worker. A dead worker is noticed when its answer does not come."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def receive(self, limit_s: float) -> dict[str, Any]:
        """The next answer.

        Raises:
            InputError: the engine refused the building before the first step.
            UnavailableError: it crashed, ended, or gave no answer within `limit_s`.
        """
        try:
            line = self._answers.get(timeout=limit_s)
        except queue.Empty:
            self.close()
            raise UnavailableError(
                f"EnergyPlus gave no answer within {limit_s:g} s", self._reasons()
            ) from None
        answer: dict[str, Any] = {} if line is None else json.loads(line)
        if "values" in answer or "ready" in answer:
            self._started = True
            return answer
        raise self._failure(answer)

    def _failure(self, answer: dict[str, Any]) -> PilothouseError:
        self.close()
        reasons = self._reasons()
        if "error" in answer:
            reasons = answer["error"].strip().splitlines()[-1] + (f"; {reasons}" if reasons else "")
        elif "end" not in answer:
            reasons = reasons or f"the process ended with code {self._process.returncode}"
        if answer.get("end") == 0:
            return UnavailableError("EnergyPlus has come to the end of its run period", reasons)
        if self._started:
            return UnavailableError("EnergyPlus stopped in mid run", reasons)
        return InputError("EnergyPlus cannot run this building", reasons)

    def _reasons(self) -> str:
        """The engine's own severe and fatal lines, and what the worker printed last."""
        found = severe_lines(self.folder / "eplusout.err")
        if not found and not self._errors.closed:
            self._errors.seek(0)
            found = self._errors.read().strip().splitlines()[-1:]
        return "; ".join(found[:MAX_REASONS])

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put(None)

    def close(self) -> None:
        """End the process. It is told by the end of its input first. Twice is once."""
        process = self._process
        with contextlib.suppress(OSError, ValueError):
            if process.stdin is not None:
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=3.0 if self._started else 0.1)
        if process.poll() is None:
            process.kill()
            process.wait()
        self._listener.join(timeout=1.0)
        if process.stdout is not None:
            process.stdout.close()


def severe_lines(path: Path) -> list[str]:
    """Severe and fatal messages of an `eplusout.err`, each with its continuation lines joined."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found: list[str] = []
    keeping = False
    for line in lines:
        text = line.strip()
        if text.startswith("**   ~~~   **"):
            if keeping:
                found[-1] += " " + text.removeprefix("**   ~~~   **").strip()
            continue
        keeping = text.startswith(("** Severe  **", "**  Fatal  **"))
        if keeping:
            found.append(" ".join(text.replace("*", " ").split()))
    return found
