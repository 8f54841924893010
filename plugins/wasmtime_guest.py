"""Runs one component under limits. Lives in a worker process, one call at a time.

What wasmtime-py leaves to its user, and where it is done here:
1. `Component` takes WAT text as well as bytes: the magic is checked before (and by the parent).
2. Its Python side is not thread-safe (issue 254 of wasmtime-py): one lock round every call.
3. A BaseException in a host function is printed and lost: each is turned into an Exception.
4. After a trap an instance is unusable: a fresh store and instance for each call.
5. `memory_size` holds for each memory: the number of memories, tables, instances is bound too.
6. By default each memory reserves 4 GiB of addresses, more than the process may have.
"""

import re
import threading
from collections.abc import Callable
from typing import Any

from plugins.guest_error import GuestError
from plugins.limits import MIB, HostLimits
from plugins.session import Session, TooManyCallsError
from plugins.submission import Refusal

MAGIC = b"\0asm\x0d\0\x01\0"
VERSION = "0.1.0"
TICK_S = 0.005
STACK_BYTES = 512 << 10
_INTERFACE = re.compile(r"twin:copilot/([a-z]+)@0\.1\.\d+")

# Which sentence of wasmtime's means what; there are no trap codes for components.
_SENTENCES = (
    ("all fuel consumed", "out_of_fuel"),
    ("wasm trap: interrupt", "deadline"),
    ("exceeds memory limits", "memory"),
    ("resource limit exceeded", "memory"),
    ("matching implementation was not found", "refused"),
    ("too much data is being copied", "bad_output"),
    ("wasm trap", "trap"),
)

# The world's functions; True where the answer is a `result<_, fault>`.
_FUNCTIONS: dict[str, dict[str, bool]] = {
    "log": {"emit": False},
    "clock": {"now": False},
    "telemetry": {
        "points": False,
        "unit": True,
        "latest": True,
        "history": True,
        "forecast": True,
        "nameplate": True,
        "limits": True,
    },
    "submit": {"setpoints": True, "proposal": True},
}


def classify(message: str) -> GuestError:
    """The end that a message of wasmtime's stands for; its last line is the reason."""
    reason = message.strip().splitlines()[-1].strip() if message.strip() else "no reason given"
    for sentence, outcome in _SENTENCES:
        if sentence in message:
            return GuestError(outcome, reason)
    return GuestError("bad_output", reason)


def _make_engine() -> Any:
    import wasmtime

    config = wasmtime.Config()
    config.epoch_interruption = True
    config.consume_fuel = True
    config.cranelift_nan_canonicalization = True  # the same bits on every processor
    config.wasm_threads = False
    config.wasm_relaxed_simd = False
    config.parallel_compilation = False  # the process may not start threads
    config.max_wasm_stack = STACK_BYTES
    config.memory_reservation = 32 * MIB
    config.memory_guard_size = 65536
    config.memory_reservation_for_growth = MIB
    return wasmtime.Engine(config)


class Ticker:
    """Moves the epoch while a call runs; asleep otherwise."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._running = threading.Event()
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self) -> None:
        pause = threading.Event()
        while self._running.wait():
            pause.wait(TICK_S)
            self._tick()

    def __enter__(self) -> None:
        self._running.set()

    def __exit__(self, *_: object) -> None:
        self._running.clear()


class Guest:
    """A compiled component with its linker. `fuel` and `memory_bytes` come from the grant."""

    def __init__(self, limits: HostLimits) -> None:
        self._limits = limits
        self._engine = _make_engine()
        self._ticker = Ticker(self._engine.increment_epoch)
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._fuel = self._memory_bytes = 0

    def load(self, data: bytes, offered: frozenset[str], fuel: int, memory_bytes: int) -> None:
        """Compile and link `data`. Raises GuestError("refused") for what the grant has not."""
        from wasmtime import WasmtimeError, component

        if data[:8] != MAGIC:
            raise GuestError("refused", "not a binary component")
        try:
            self._component = component.Component(self._engine, data)
        except WasmtimeError as error:
            raise GuestError("refused", f"not a valid component: {error}"[:500]) from None
        kind = self._component.type
        wanted = {self._interface(name, offered) for name in kind.imports(self._engine)}
        exports = [n for n in kind.exports(self._engine) if n.startswith("twin:copilot/plugin@")]
        if not any(_INTERFACE.fullmatch(name) for name in exports):
            raise GuestError("refused", "it does not export twin:copilot/plugin@0.1")
        self._plugin = exports[0]
        self._fuel, self._memory_bytes = fuel, memory_bytes
        self._linker = component.Linker(self._engine)
        with self._linker.root() as root:
            for name in sorted(wanted & set(_FUNCTIONS)):
                with root.add_instance(f"twin:copilot/{name}@{VERSION}") as instance:
                    for function, fallible in _FUNCTIONS[name].items():
                        host = self._host_function(name, function, fallible)
                        instance.add_func(function, host)

    @staticmethod
    def _interface(name: str, offered: frozenset[str]) -> str:
        match = _INTERFACE.fullmatch(name)
        if match is None:
            raise GuestError("refused", f"imports {name}, which is not of twin:copilot@0.1")
        if match[1] not in offered:
            raise GuestError("refused", f"imports {name}, which is outside its grant")
        return match[1]

    def call(self, function: str, session: Session, context: dict[str, Any] | None) -> Any:
        """Call an export in a fresh store. Returns (value, fuel used).

        Raises:
            GuestError: with the outcome's name and the reason.
        """
        from wasmtime import Store, WasmtimeError

        with self._lock, Store(self._engine) as store, self._ticker:
            self._session = session
            store.set_limits(
                memory_size=self._memory_bytes,
                memories=4,
                instances=64,
                tables=8,
                table_elements=20_000,
            )
            store.set_epoch_deadline(max(2, int(self._limits.guest_s / TICK_S)))
            store.set_fuel(self._fuel)
            before = data_bytes()
            try:
                value = self._enter(store, function, context)
            except GuestError:
                raise
            except TooManyCallsError as error:
                raise GuestError("refused", str(error)) from None
            except WasmtimeError as error:
                found = classify(str(error))
                if found.outcome == "trap" and data_bytes() - before > 0.9 * self._memory_bytes:
                    # memory.grow answers -1 at the limit and most allocators then trap
                    found = GuestError("memory", f"grown to its limit, then {found.reason}")
                raise found from None
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"[:300]
                raise GuestError("bad_output", reason) from None
            return value, self._fuel - store.get_fuel()

    def _enter(self, store: Any, function: str, context: dict[str, Any] | None) -> Any:
        instance = self._linker.instantiate(store, self._component)
        plugin = instance.get_export_index(store, self._plugin)
        entry = instance.get_func(store, instance.get_export_index(store, function, plugin))
        if entry is None:
            raise GuestError("bad_output", f"no function {function}")
        value = entry(store) if context is None else entry(store, _record(context))
        entry.post_return(store)
        return value

    def _host_function(self, interface: str, function: str, fallible: bool) -> Any:
        def host(_store: Any, *arguments: Any) -> Any:
            try:
                session = self._session
                assert session is not None
                session.count(f"{interface}.{function}")
                answer = getattr(session, function)(*arguments)
            except Exception:
                raise
            except BaseException as error:
                raise RuntimeError(f"host function {function} broke off: {error!r}") from None
            if isinstance(answer, Refusal):
                assert fallible
                return _record({"code": answer.code, "message": answer.message})
            return answer

        return host

    def close(self) -> None:
        """Free what wasmtime-py keeps in a global table: without this a reload leaks it all."""
        self._linker.close()
        self._component.close()


def _record(fields: dict[str, Any]) -> Any:
    from wasmtime.component import Record

    made = Record()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def data_bytes() -> int:
    """Private writable memory of this process; 0 where /proc does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * 4096
    except OSError:
        return 0
