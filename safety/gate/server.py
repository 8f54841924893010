"""The gate's process: one plant, one door, two clocks.

The watchdog's heartbeat runs on wall time in a thread of its own, so that a long cycle cannot
starve it; cycles run on wall time too, unless the plant is stepped.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from graph.canonical import digest
from graph.errors import PilothouseError, UnavailableError
from safety.gate.gate_file import GateFile, load_gate_file
from safety.gate.journal import Journal
from safety.gate.opcua_plant import OpcUaLab, OpcUaWriter
from safety.gate.runtime import Gate
from safety.gate.store import StateStore
from safety.keys import load_signer
from safety.trust_root import load_root

log = logging.getLogger(__name__)
HEARTBEAT_S = 1.0  # a tenth of the watchdog's usual ten seconds


def serve_gate(
    config_path: Path,
    ready: Callable[[int], None] = lambda _port: None,
    stop: threading.Event | None = None,
) -> None:
    """Run the gate until `stop` is set or the process is told to end; then give back and leave.

    `ready` is called with the port once the gate listens.

    Raises:
        InputError: the configuration, the root or a key is wrong.
        IntegrityError: the state file is damaged.
        UnavailableError: the plant does not answer at the start.
    """
    from safety.gate.routes import make_app
    from safety.gate.uvicorn_mtls import make_server

    file = load_gate_file(config_path)
    root = load_root(file.door.root)
    gate, journal, writer = _build(file)
    stepped_lab = file.gate.lab and file.gate.stepped
    lab = OpcUaLab(file.plant.endpoint, file.plant.namespace) if stepped_lab else None
    ended = threading.Event()
    try:
        gate.start()
        threads = _start_threads(gate, ended)
        app = make_app(gate, journal, root, file.door, lab)
        server = make_server(app, file.door.host, file.door.port, file.tls, ready)
        if stop is not None:
            watcher = threading.Thread(target=_stop_when, args=(stop, ended, server), daemon=True)
            watcher.start()
        with _signals_end_the_server():
            server.run()
        ended.set()
        for thread in threads:
            thread.join(timeout=5)
        gate.stop()
    finally:
        ended.set()
        writer.close()
        if lab is not None:
            lab.close()


@contextmanager
def _signals_end_the_server() -> Iterator[None]:
    """Uvicorn raises the signal that ended it a second time; the gate has yet to give back then."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(kind, lambda *_: None) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _build(file: GateFile) -> tuple[Gate, Journal, OpcUaWriter]:
    door = file.door
    phrase = os.environ.get(door.passphrase_env) if door.passphrase_env else None
    signer = load_signer(door.signing_key, phrase)
    store = StateStore(door.state_dir / "state.json")
    config_digest = digest(file.gate)
    journal = Journal(door.state_dir / "reports.jsonl", file.gate.gate_id, config_digest, signer)
    writer = OpcUaWriter(
        file.plant.endpoint,
        file.plant.namespace,
        file.plant.signals,
        [p.point for p in file.gate.points],
    )
    try:
        return Gate(file.gate, writer, store, journal), journal, writer
    except PilothouseError:
        writer.close()
        raise


def _start_threads(gate: Gate, ended: threading.Event) -> list[threading.Thread]:
    jobs: list[tuple[str, Callable[[], object], float]] = [("heartbeat", gate.beat, HEARTBEAT_S)]
    if not gate.config.stepped:
        jobs.append(("cycle", gate.cycle, gate.config.cycle_s))
    threads = [
        threading.Thread(target=_repeat, args=(name, job, every_s, ended), name=name, daemon=True)
        for name, job, every_s in jobs
    ]
    for thread in threads:
        thread.start()
    return threads


def _repeat(name: str, job: Callable[[], object], every_s: float, ended: threading.Event) -> None:
    """Do `job` every `every_s`, whatever it meets: the plant's watchdog judges, not this thread."""
    quiet = False
    while not ended.is_set():
        try:
            job()
            quiet = False
        except UnavailableError as error:
            if not quiet:
                log.warning("%s: %s; trying again", name, error)
            quiet = True
        except Exception:
            log.exception("%s failed", name)
        ended.wait(every_s)


def _stop_when(stop: threading.Event, ended: threading.Event, server: object) -> None:
    while not stop.wait(0.2):
        if ended.is_set():
            return
    server.should_exit = True  # type: ignore[attr-defined]
