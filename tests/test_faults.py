"""Real processes killed outright in the middle of things: what the others do then.

One laboratory (plant, gate, service with its actors) lives through the whole file, in order.
"""

import os
import signal
import sqlite3
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

import api.demo_stack as demo_stack
from api.demo import START, approve
from api.demo_stack import Stack
from api.gate_setup import CONSOLE, service_tls, setup_gate
from api.processes import Child, port_open
from graph.errors import PilothouseError
from graph.signals import Owner
from graph.sitepack import load_site
from safety.gate.client import GateClient
from safety.gate.opcua_plant import OpcUaLab, OpcUaReader
from safety.tls import TlsFiles
from tests.laboratory import SENTENCE

SERVICE_TIMEOUT_S = 4.0  # wall time; the default of half a minute is only longer
BATTERY, NORTH = "battery.power_set_kw", "zone_north.setpoint_degc"


def impatient_gate(*arguments, **options):
    """The gate's first configuration, changed by a person: it waits less for the service."""
    file = setup_gate(*arguments, **options)
    text = file.read_text()
    assert "service_timeout_s: 30.0" in text
    file.write_text(
        text.replace("service_timeout_s: 30.0", f"service_timeout_s: {SERVICE_TIMEOUT_S}")
    )
    return file


class Scene:
    """The stack, and eyes and hands that do not go through the service."""

    def __init__(self, stack):
        self.stack, self.site = stack, stack.pack.site
        address, tls = stack.address, stack.workspace.tls
        names = [s.id for s in self.site.signals]
        points = [s.id for s in self.site.setpoints]
        space = self.site.plant.namespace
        self.eyes = OpcUaReader(address.endpoint, space, names, points)
        self.clockwork = OpcUaLab(address.endpoint, space)
        url = f"https://127.0.0.1:{address.gate}"
        files = TlsFiles(tls / "ca.pem", tls / f"{CONSOLE}.pem", tls / f"{CONSOLE}.key")
        self.console = GateClient(url, files)  # a person's: the gate does not take it for a service
        self.proposal_id = ""
        self.orphans: set[int] = set()

    def close(self):
        for part in (self.eyes, self.clockwork, self.console):
            part.close()

    def point(self, name=BATTERY):
        return self.eyes.read().points[name]

    def let_pass(self, seconds):
        """Plant time passes without the service: a person at the panel gives the gate a cycle."""
        done = 0.0
        while done < seconds:
            self.clockwork.advance(60.0)
            self.console.override(NORTH, "ann", value=20.5)
            done += 60.0
        return self.console.hand_back(NORTH, "ann")


@pytest.fixture(scope="module")
def scene(quick_site, tmp_path_factory):
    out = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_stack, "setup_gate", impatient_gate)
        with Stack(load_site(quick_site), out, datetime.fromisoformat(START), 1) as stack:
            stack.wait_agents()
            made = Scene(stack)
            try:
                yield made
            finally:
                made.close()


def family(ancestor):
    """{pid: title} of every living process below `ancestor`."""
    parents, titles = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            titles[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, IndexError):
            continue  # it ended meanwhile
        if stat[0] != "Z":
            parents[int(entry.name)] = int(stat[1])
    found, fresh = {}, {ancestor}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found.keys()
        found |= {pid: titles[pid] for pid in fresh}
    return found


def ledger_kinds(scene):
    database = f"file:{scene.stack.workspace.ledger_file}?mode=ro"
    connection = sqlite3.connect(database, uri=True)
    try:
        return [kind for (kind,) in connection.execute('SELECT kind FROM entries ORDER BY "index"')]
    finally:
        connection.close()


def test_a_ray_actor_killed_in_mid_decision_costs_nothing_but_time(scene):
    stack = scene.stack
    stack.post("/v1/loops/all/mode", {"mode": "auto"})
    service = stack.child("service").process.pid
    actors = {pid for pid, title in family(service).items() if title.startswith("ray::AgentActor")}
    assert len(actors) >= 4  # one an agent
    killed = []

    def murder():
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            for pid in actors:
                try:
                    title = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:
                    continue
                if title.startswith(b"ray::AgentActor.run"):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return
            time.sleep(0.002)

    killer = threading.Thread(target=murder)
    killer.start()
    decision = stack.post("/v1/intents", {"text": SENTENCE})["decision"]
    with stack.stream(f"/v1/decisions/{decision}/events") as lines:
        kinds = [line.partition(": ")[2] for line in lines if line.startswith("event:")]
    killer.join(60)
    assert len(killed) == 1
    assert killed[0] not in family(service)
    body = stack.get(f"/v1/decisions/{decision}")
    assert (body["done"], body["outcome"], body["error"]) == (True, "proposal", None)
    assert kinds.count("proposal") == kinds.count("decision") == 1
    assert ledger_kinds(scene).count("proposal") == 1
    assert [p["id"] for p in stack.get("/v1/proposals")] == [body["proposal"]]
    scene.proposal_id = body["proposal"]


def test_the_service_killed_in_mid_rollout_leaves_the_stage_frozen_to_the_end_of_its_leases(scene):
    stack = scene.stack
    until = datetime.fromisoformat(START) + timedelta(hours=12)
    approve(stack, scene.proposal_id, until)
    stack.post("/v1/lab/advance", {"seconds": 300})
    before = scene.console.status()
    assert (before["phase"], before["owned"]) == ("canary", [BATTERY])
    assert scene.point().owner is Owner.REMOTE
    service = stack.child("service").process
    scene.orphans = {
        pid
        for pid, title in family(service.pid).items()
        if title.startswith("ray::AgentActor") or "raylet" in title or "gcs_server" in title
    }
    os.kill(service.pid, signal.SIGKILL)
    service.wait()
    time.sleep(SERVICE_TIMEOUT_S + 1)
    status = scene.let_pass(60)
    assert status["service_alive"] is False
    assert [a["name"] for a in status["alarms"]] == ["service_lost"]
    lease, value = scene.point().lease_until, scene.point().applied
    left = (lease - scene.eyes.read().time).total_seconds()
    assert 120 < left <= stack.pack.site.autonomy.lease_s
    status = scene.let_pass(left - 60)  # frozen: nothing is renewed, changed or promoted
    frozen = scene.point()
    assert (frozen.owner, frozen.lease_until, frozen.applied) == (Owner.REMOTE, lease, value)
    assert (status["phase"], status["written"]) == ("canary", {BATTERY: value})
    status = scene.let_pass(120)
    assert Owner.REMOTE not in {p.owner for p in scene.eyes.read().points.values()}
    assert (status["engaged"], status["last"]["reason"]) == (None, "service_lost")
    assert scene.eyes.read().watchdog_healthy  # the gate itself never stopped


def test_the_service_comes_back_in_shadow_knows_what_was_in_force_and_resumes_nothing(scene):
    stack, old = scene.stack, scene.stack.child("service")
    password = demo_stack._first_document(old.log_file)["admin_password"]
    asked = ledger_kinds(scene)
    child = Child("service", old.process.args, stack.out / "work" / "service-2.log")
    stack._children.append(child)
    child.wait_ready(lambda: port_open(stack.address.service), 60)
    # The first run's password still opens; it is not told again.
    assert demo_stack._first_document(child.log_file)["admin_password"] is None
    answer = httpx.post(
        f"http://127.0.0.1:{stack.address.service}/v1/login",
        json={"name": "admin", "password": password}, trust_env=False, timeout=30,
    )  # fmt: skip
    stack._http.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    found = stack.get("/v1/rollouts")
    assert found["unfinished"] == [scene.proposal_id]
    assert set(found["gate"]["modes"].values()) == {"shadow"}
    told = [f["kind"] for f in found["facts"]]
    assert "service_lost" in told
    assert "rolled_back" in told
    body = stack.get(f"/v1/proposals/{scene.proposal_id}")
    assert body["state"] == "rolled_back"
    # Each of the gate's reports is in the ledger once, whichever run read it.
    with GateClient(
        f"https://127.0.0.1:{stack.address.gate}", service_tls(stack.workspace)
    ) as gate:
        assert ledger_kinds(scene).count("applied") == gate.reports()["next"]
    assert ledger_kinds(scene).count("proposal") == asked.count("proposal")
    stack.post("/v1/lab/advance", {"seconds": 4500})
    assert Owner.REMOTE not in {p.owner for p in scene.eyes.read().points.values()}
    assert len(stack.get("/v1/proposals")) <= 1
    with pytest.raises(PilothouseError):
        approve(stack, scene.proposal_id, datetime.fromisoformat(START) + timedelta(hours=12))
    assert scene.console.status()["engaged"] is None


def test_no_agent_of_the_killed_service_lives_on(scene):
    assert len(scene.orphans) >= 6  # four agents, and what runs them
    deadline = time.monotonic() + 20
    while left := {p for p in scene.orphans if Path(f"/proc/{p}").exists()}:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
