"""The demonstration's three processes: plant, gate and service, started from the command line."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from api.gate_setup import setup_gate
from api.processes import Child, command, free_port, port_open
from api.workspace import Workspace, create_workspace
from graph.errors import PilothouseError, UnavailableError
from graph.record import iso
from graph.sitepack import SitePack


@dataclass(frozen=True)
class Address:
    """Where the three listen."""

    plant: int
    gate: int
    service: int

    @property
    def endpoint(self) -> str:
        """The plant's OPC UA endpoint."""
        return f"opc.tcp://127.0.0.1:{self.plant}/pilothouse/"


class Stack:
    """Starts the processes, talks to the service, stops them. A context manager."""

    def __init__(self, pack: SitePack, out: Path, start: datetime, seed: int) -> None:
        self.pack, self.out, self.start_time, self.seed = pack, out, start, seed
        self.address = Address(free_port(), free_port(), free_port())
        self.workspace: Workspace = create_workspace(out / "work", lab=True)
        self.log_file = out / "plant.csv"
        self._children: list[Child] = []
        self._http: Any = None
        self.service_ready_s = float("nan")

    def __enter__(self) -> "Stack":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.stop()

    def _start(self) -> None:
        site, ports = str(self.pack.folder), self.address
        service = self._child(
            "service", "serve", "--site", site, "--workspace", str(self.workspace.folder),
            "--endpoint", ports.endpoint, "--gate", f"https://127.0.0.1:{ports.gate}",
            "--port", str(ports.service), "--lab", "--json", later=True,
        )  # fmt: skip
        plant = self._child(
            "plant", "plant", "--site", site, "--port", str(ports.plant),
            "--start", iso(self.start_time), "--seed", str(self.seed), "--log", str(self.log_file),
        )  # fmt: skip
        plant.wait_ready(lambda: port_open(ports.plant), 60)
        config = setup_gate(
            self.workspace, self.pack, port=ports.gate, endpoint=ports.endpoint, lab=True,
            stepped=True,
        )  # fmt: skip
        gate = self._child("gate", "gate", "--config", str(config))
        gate.wait_ready(lambda: port_open(ports.gate), 60)
        began = time.monotonic()
        service = self._spawn(*service)
        service.wait_ready(lambda: port_open(ports.service), 60)
        self.service_ready_s = time.monotonic() - began
        self._login(service)

    def _child(self, name: str, *arguments: str, later: bool = False) -> Any:
        if later:
            return name, arguments
        return self._spawn(name, arguments)

    def _spawn(self, name: str, arguments: tuple[str, ...]) -> Child:
        child = Child(name, command(*arguments), self.out / "work" / f"{name}.log")
        self._children.append(child)
        return child

    def child(self, name: str) -> Child:
        """A process by name. Raises KeyError."""
        for child in self._children:
            if child.name == name:
                return child
        raise KeyError(name)

    def _login(self, service: Child) -> None:
        import httpx

        password = _first_document(service.log_file)["admin_password"]
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.address.service}", timeout=300.0, trust_env=False
        )
        token = self.post("/v1/login", {"name": "admin", "password": password})["token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def post(self, path: str, body: Any) -> Any:
        """POST to the service. Raises PilothouseError with the problem's words."""
        return self._answer(self._http.post(path, json=body))

    def get(self, path: str) -> Any:
        """GET JSON from the service."""
        return self._answer(self._http.get(path))

    def get_bytes(self, path: str) -> bytes:
        """GET raw bytes from the service."""
        answer = self._http.get(path)
        if not answer.is_success:
            self._answer(answer)
        return bytes(answer.content)

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[str]]:
        """Lines of a server-sent event stream."""
        with self._http.stream("GET", path) as answer:
            yield answer.iter_lines()

    def _answer(self, answer: Any) -> Any:
        if answer.is_success:
            return answer.json()
        problem = answer.json()
        raise PilothouseError(
            f"{answer.request.method} {answer.request.url.path}: {problem.get('title')}",
            str(problem.get("detail", "")),
        )

    def wait_agents(self, timeout_s: float = 120.0) -> None:
        """Wait until the agents are warm."""
        deadline = time.monotonic() + timeout_s
        while self.get("/readyz")["warming"]:
            if time.monotonic() > deadline:
                raise UnavailableError("the agents did not start", self._children[-1].log_tail())
            time.sleep(0.2)

    def fault(self, name: str, parameters: dict[str, Any]) -> None:
        """Break something in the emulated plant, from outside."""
        from safety.gate.opcua_plant import OpcUaLab

        lab = OpcUaLab(self.address.endpoint, self.pack.site.plant.namespace)
        try:
            lab.inject_fault(name, parameters)
        finally:
            lab.close()

    def stop(self) -> None:
        """Stop all, the service first; the plant writes its log at the end."""
        if self._http is not None:
            self._http.close()
        for name in ("service", "gate", "plant"):
            for child in self._children:
                if child.name == name:
                    child.stop()


def _first_document(log_file: Path) -> dict[str, Any]:
    """The JSON document that `serve --json` printed at the start."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        text = log_file.read_text()
        start = text.find("{")
        if start >= 0:
            try:
                document, _ = json.JSONDecoder().raw_decode(text[start:])
            except json.JSONDecodeError:
                time.sleep(0.05)
                continue
            return dict(document)
        time.sleep(0.05)
    raise UnavailableError("the service said nothing at its start", str(log_file))
