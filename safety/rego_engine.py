"""Rego in a process of its own that can be killed: policy text may come from anywhere.

regopy (microsoft/rego-cpp) runs inside the calling process, and one backtracking regular
expression keeps it there for hours. So the text is evaluated in a child process that

1. has an empty environment (`opa.runtime()` hands out every variable) and no open files of ours;
2. is killed when an evaluation takes longer than `timeout_s` or more memory than MEMORY_BYTES;
3. refuses a text that calls a built-in whose answer changes from call to call (clock, random
   numbers, environment): a decision must come out the same when it is replayed;
4. evaluates each policy file alone: no file can define, shadow or read another one's rules.

The child lives between calls; parsed policies stay in it, keyed by their text.
"""

import atexit
import json
import os
import re
import select
import struct
import subprocess
import sys
import threading
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from graph.canonical import strict_loads
from graph.errors import InputError, UnavailableError

MAX_POLICY_BYTES = 64 * 1024
MAX_INPUT_BYTES = 4 * 1024 * 1024
MAX_RESULT_BYTES = 1024 * 1024
# Resident memory, watched from outside: the library's allocator reserves so much address space at
# start that no limit of the operating system below it lets the child begin. It uses 40 MiB.
MEMORY_BYTES = 512 * 1024**2
WATCH_S = 0.05
TIMEOUT_S = 5.0  # a whole decision takes tens of milliseconds; the rest is a busy machine
START_S = 60.0  # Python and the library load once
# Not functions of the input alone; `io.jwt` verifies against the clock.
IMPURE = ("time.now_ns", "rand.", "uuid.rfc4122", "opa.", "http.", "net.lookup", "io.jwt")

_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f\ud800-\udfff]')
_HEADER = struct.Struct(">I")


class PolicyTimeoutError(UnavailableError):
    """A policy did not finish in time and its process was killed."""


class RegoEngine:
    """The child process, started when first needed and again after it was killed."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """Engine and version, for the record of the decision."""
        return f"regopy {version('regopy')}"

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child else None

    def evaluate(self, package: str, text: str, document: dict[str, Any]) -> dict[str, Any]:
        """The value of `package` as `text` defines it, with `document` as its input.

        Raises:
            InputError: the text does not parse, calls an impure built-in, contradicts itself,
                declares another package, or a size bound is exceeded.
            PolicyTimeoutError: it did not finish; the child was killed.
        """
        if len(text.encode()) > MAX_POLICY_BYTES:
            raise InputError(f"policy {package} is larger than {MAX_POLICY_BYTES} bytes")
        data = json.dumps(_plain(document), allow_nan=False, ensure_ascii=False)
        if len(data.encode()) > MAX_INPUT_BYTES:
            raise InputError(f"the policy input is larger than {MAX_INPUT_BYTES} bytes")
        request = json.dumps({"package": package, "text": text, "input": data}).encode()
        with self._lock:
            reply = self._ask(package, request)
        if "error" in reply:
            raise InputError(f"policy {package}: {reply['error']}")
        value: dict[str, Any] = reply["value"]
        return value

    def close(self) -> None:
        """Kill the child."""
        with self._lock:
            self._kill()

    def _ask(self, package: str, request: bytes) -> dict[str, Any]:
        child = self._started()
        assert child.stdin is not None
        try:
            child.stdin.write(_HEADER.pack(len(request)) + request)
            child.stdin.flush()
            answer = self._receive(self._timeout_s)
        except TimeoutError as error:
            self._kill()
            raise PolicyTimeoutError(
                f"policy {package} did not finish within {self._timeout_s:g} s and was stopped",
                "look for nested iteration or a regular expression that backtracks",
            ) from error
        except (EOFError, OSError) as error:
            self._kill()
            raise InputError(f"policy {package} brought its evaluator down: {error}") from error
        reply: dict[str, Any] = json.loads(answer)
        return reply

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            root = str(Path(__file__).resolve().parent.parent)
            self._child = subprocess.Popen(  # noqa: S603  our own interpreter and text
                [sys.executable, "-c", _BOOT, root],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={}, cwd="/", close_fds=True,
            )  # fmt: skip
            try:
                self._receive(START_S)
            except (EOFError, TimeoutError) as error:
                self._kill()
                raise UnavailableError("the policy evaluator does not start") from error
        return self._child

    def _receive(self, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        (size,) = _HEADER.unpack(self._read(_HEADER.size, deadline))
        if size > MAX_RESULT_BYTES:
            raise EOFError(f"its result has {size} bytes, more than {MAX_RESULT_BYTES}")
        return self._read(size, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        assert self._child is not None
        assert self._child.stdout is not None
        handle = self._child.stdout.fileno()
        data = b""
        while len(data) < count:
            while not select.select([handle], [], [], WATCH_S)[0]:
                if time.monotonic() > deadline:
                    raise TimeoutError
                if _resident_bytes(self._child.pid) > MEMORY_BYTES:
                    raise EOFError(f"it uses more than {MEMORY_BYTES} bytes of memory")
            piece = os.read(handle, count - len(data))
            if not piece:
                raise EOFError("it ended without an answer")
            data += piece
        return data

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
        child.wait()


def _plain(value: Any) -> Any:
    """The document without characters that JSON would escape in a text.

    The library keeps texts in their escaped form and some of its functions take the escapes for
    text, so a label with a quotation mark could write into the result.
    """
    if isinstance(value, str):
        return _ESCAPED.sub("'", value)
    if isinstance(value, dict):
        return {_plain(key): _plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(child) for child in value]
    return value


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0  # no procfs: the time bound alone holds
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def shared_engine() -> RegoEngine:
    """One engine a process: the child costs a quarter of a second to start."""
    engine = RegoEngine()
    atexit.register(engine.close)
    return engine


# --- the child's side ------------------------------------------------------------------------

# -c rather than -m: with an empty environment the project is found by the path that is passed.
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from safety.rego_engine import serve; serve()"


def serve() -> None:
    """Answer framed requests on stdin until it closes. Runs in the child only."""
    import resource

    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the library may print
    for kind, bound in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 16 * MAX_RESULT_BYTES),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.setrlimit(kind, (bound, bound))
    import regopy  # noqa: F401  the parent waits for this, not the first policy

    _send(sink, b"{}")
    while header := source.read(_HEADER.size):
        request = json.loads(source.read(_HEADER.unpack(header)[0]))
        try:
            reply = {"value": _evaluate(request["package"], request["text"], request["input"])}
        except Exception as error:
            reply = {"error": str(error)[:2000]}
        _send(sink, json.dumps(reply).encode())


def _send(sink: Any, data: bytes) -> None:
    sink.write(_HEADER.pack(len(data)) + data)
    sink.flush()


def _evaluate(package: str, source: str, document: str) -> Any:
    interpreter, bundle = _parsed(package, source)
    interpreter.set_input_term(document)
    try:
        output = interpreter.query_bundle(bundle)
    except json.JSONDecodeError as error:
        raise ValueError("its result is not JSON: a computed text inside sprintf?") from error
    if not output.ok():
        raise ValueError("its rules contradict each other or raise an error for this input")
    text = str(output)  # "undefined" when the package is another one
    results = strict_loads(text.encode()).get("expressions") if text.startswith("{") else None
    if not results or not isinstance(results[0], dict):
        raise ValueError(f"it declares nothing in package {package}, or refers to itself")
    return results[0]


@cache
def _parsed(package: str, text: str) -> tuple[Any, Any]:
    import regopy

    interpreter = regopy.Interpreter()
    interpreter.log_level = regopy.LogLevel.NONE
    interpreter.add_module(package, text)
    bundle = interpreter.build(f"data.{package}")
    if not bundle.ok():
        raise ValueError("it does not compile; does a rule refer to itself?")
    for name in _builtins(interpreter, bundle):
        if name.startswith(IMPURE):
            raise ValueError(f"it calls {name}, whose answer is not a function of the input")
    return interpreter, bundle


def _builtins(interpreter: Any, bundle: Any) -> list[str]:
    """Built-ins that the compiled plan calls: a scan of the text could be talked round."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        interpreter.save_bundle(f"{folder}/bundle", bundle)
        plan = json.loads((Path(folder) / "bundle" / "plan.json").read_text())
    return [entry["name"] for entry in plan["static"].get("builtin_funcs") or ()]
