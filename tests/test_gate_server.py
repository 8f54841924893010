"""The gate as a process: real mTLS, a real OPC UA plant, real signals to kill it with."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from graph.canonical import digest_bytes
from graph.errors import RefusedError, UnavailableError
from graph.proposal import APPLIED_TYPE, PointSchedule, ProposedPolicy, Rollout, Stage
from graph.signals import Owner
from graph.sitepack import load_site
from safety.gate.client import GateClient
from safety.gate.gate_file import Door, gate_file_from_site, load_gate_file, write_gate_file
from safety.gate.opcua_plant import OpcUaReader, OpcUaWriter
from safety.keys import generate, load_signer
from safety.signing import open_envelope
from safety.tls import issue, make_ca
from safety.trust_root import make_root, write_root
from tests.builders import POINT, START, build_bundle, make_keys, make_proposal

ROOT = Path(__file__).parents[1]
PACK = ROOT / "scenarios" / "microgrid"
WATCHDOG_S = 2.5
PLANT = "from scenarios.emulated_microgrid.__main__ import main; raise SystemExit(main())"
GATE = (
    "import sys, signal; from pathlib import Path; from safety.gate.server import serve_gate;"
    "serve_gate(Path(sys.argv[1]), lambda port: print('ready', port, flush=True))"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(code, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert line, f"it ended with {process.wait()}"
    return process, line.split()[-1]


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


class Bench:
    """An emulated plant, a gate beside it, and certificates for three parties and a stranger."""

    def __init__(self, folder):
        self.folder, self.keys, self.seq = folder, make_keys(), 0
        self.gate = self.plant = self.reader = None

    def open(self):
        """Start both processes."""
        folder = self.folder
        self.plant_port = free_port()
        self.start_plant()
        self.tls = folder / "tls"
        make_ca(self.tls)
        self.files = {
            name: issue(self.tls, name, server=name == "gate")
            for name in ("gate", "service", "operator-console", "stranger")
        }
        gate_key = folder / "gate.key"
        generate(gate_key, "gate one", None, lab=True)
        k = self.keys
        self.root = make_root(
            {"service": [k.service], "gate": [load_signer(gate_key, None)], "ledger": [k.ledger],
             "approver": [k.ann, k.lab_ann], "engineer": [k.eve]},
            START + timedelta(days=365),
        )  # fmt: skip
        write_root(folder / "root.json", self.root)
        site = load_site(PACK).site
        door = Door(
            port=0, ca="tls/ca.pem", certificate="tls/gate.pem", key="tls/gate.key",
            root="root.json", signing_key="gate.key", state_dir="state",
        )  # fmt: skip
        file = gate_file_from_site(site, door, stepped=True, lab=True)
        plant = file.plant.model_copy(update={"endpoint": self.endpoint})
        self.config_path = folder / "gate.yaml"
        write_gate_file(self.config_path, file.model_copy(update={"plant": plant}))
        self.points = [p.point for p in file.gate.points]
        self.reader = OpcUaReader(
            self.endpoint, plant.namespace, [s.id for s in site.signals], self.points
        )
        self.start_gate()

    def start_plant(self):
        arguments = ("--port", self.plant_port, "--start", START.isoformat(), "--seed", 3)
        self.plant, self.endpoint = launch(PLANT, *arguments, "--watchdog-s", WATCHDOG_S)

    def start_gate(self):
        self.gate, self.port = launch(GATE, self.config_path)

    def client(self, name="service", files=None):
        return GateClient(f"https://127.0.0.1:{self.port}", files or self.files[name])

    def bundle(self, value=5.0, **changes):
        """A signed and approved order for the plant's present time."""
        self.seq += 1
        now = self.reader.read().time
        schedule = PointSchedule(
            point=POINT, unit="kW", t=(0,), value=(value,), from_value=0, min=-10, max=10,
            ramp_per_s=1, ttl_s=600,
        )  # fmt: skip
        fields = {
            "seq": self.seq, "nonce": str(self.seq), "not_before": now,
            "expires": now + timedelta(hours=1), "decide_by": now + timedelta(hours=1),
            "rollout": Rollout(
                stages=(Stage(name="full", points=(POINT,), duration_s=3600),), guardrails=()
            ),
            "proposed_policy": ProposedPolicy(schedule=(schedule,), valid_for="PT1H"),
        }  # fmt: skip
        folder = self.folder / f"bundle{self.seq}"
        folder.mkdir()
        return build_bundle(
            folder,
            make_proposal(**(fields | changes)),
            approve_as=[(self.keys.ann, "approver")],
            at=now,
            not_after=now + timedelta(hours=1),
        )

    def owners(self):
        return {p: s.owner for p, s in self.reader.read().points.items()}

    def close(self):
        if self.reader is not None:
            self.reader.close()
        for process in (self.gate, self.plant):
            if process is not None:
                end(process)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("gate"))
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture
def ready(bench):
    """The bench with nothing in force and every loop in APPROVE."""
    with bench.client() as client:
        client.all_local()
        client.set_mode("approve")
        client.advance(120)
        yield bench, client


def test_it_comes_up_in_shadow_and_takes_no_order_there(bench):
    with bench.client() as client:
        assert set(client.status()["modes"].values()) == {"shadow"}
        with pytest.raises(RefusedError) as caught:
            client.submit(bench.bundle().data)
        assert caught.value.reason == "mode"


def test_a_certificate_of_another_authority_does_not_get_in(bench, tmp_path):
    make_ca(tmp_path)
    other = issue(tmp_path, "service", server=False)
    mixed = other._replace(ca=bench.files["gate"].ca)
    with bench.client(files=mixed) as client, pytest.raises(UnavailableError):
        client.status()
    with bench.client(files=other) as client, pytest.raises(UnavailableError):
        client.status()  # and such a client does not believe this gate either


def test_a_known_authority_is_not_enough_the_name_decides(bench):
    with bench.client("stranger") as client, pytest.raises(RefusedError) as caught:
        client.status()
    assert caught.value.reason == "forbidden"
    with bench.client("operator-console") as console:
        assert console.status()["gate_id"] == "gate"
        for call in (lambda: console.submit(b"{}"), lambda: console.advance(60)):
            with pytest.raises(RefusedError) as caught:
                call()
            assert caught.value.reason == "forbidden"
        assert set(console.all_local(by="ann")["modes"].values()) == {"off"}


def test_an_approved_order_reaches_the_plant_and_every_step_of_it_is_signed(ready):
    bench, client = ready
    first = client.reports()["next"]
    built = bench.bundle(5.0)
    assert client.submit(built.data)["engaged"]["proposal_digest"] == built.digest
    client.advance(180)
    assert bench.reader.read().points[POINT].applied == 5.0
    assert bench.owners()[POINT] is Owner.REMOTE
    found = client.reports(first)["reports"]
    statements = [open_envelope(e, bench.root, "gate", statement_type=APPLIED_TYPE) for e in found]
    kinds = [s.predicate["kind"] for s in statements]
    assert kinds[0] == "engaged"
    assert "applied" in kinds
    assert all(s.subjects["proposal"] == built.digest for s in statements)
    lines = (bench.folder / "state" / "reports.jsonl").read_bytes().splitlines(keepends=True)
    for before, statement in zip(lines[first - 1 :], statements, strict=False):
        assert statement.predicate["previous"] == digest_bytes(before)
    client.abort(by="ann")
    assert bench.owners()[POINT] is Owner.LOCAL


def test_what_is_not_approved_altered_or_sent_twice_is_refused(ready):
    bench, client = ready
    built = bench.bundle()
    middle = len(built.data) // 2
    altered = built.data[:middle] + bytes([built.data[middle] ^ 1]) + built.data[middle + 1 :]
    unapproved = build_bundle(bench.folder, built.proposal).data
    for data in (altered, unapproved, b"", b"\xff", built.data + b" "):
        with pytest.raises(RefusedError) as caught:
            client.submit(data)
        assert caught.value.reason == "unverified"
    client.submit(built.data)
    with pytest.raises(RefusedError) as caught:
        client.submit(built.data)
    assert caught.value.reason == "replayed"
    with pytest.raises(RefusedError) as caught:
        client.submit(bench.bundle(not_before=START + timedelta(days=30)).data)
    assert caught.value.reason == "unverified"


def test_an_operator_at_the_panel_keeps_the_point_through_a_rollback(ready):
    bench, client = ready
    client.submit(bench.bundle().data)
    client.advance(120)
    client.override(POINT, "ann", value=-2.0)
    status = client.advance(300)
    assert status["holds"][POINT]["by"] == "ann"
    assert bench.reader.read().points[POINT].applied == -2.0
    client.abort()
    client.advance(60)
    assert bench.owners()[POINT] is Owner.OPERATOR
    assert POINT not in client.hand_back(POINT)["holds"]


def test_a_second_gate_fences_the_first(ready):
    bench, client = ready
    client.submit(bench.bundle().data)
    client.advance(60)
    file = load_gate_file(bench.config_path)
    rival = OpcUaWriter(bench.endpoint, file.plant.namespace, file.plant.signals, bench.points)
    rival.claim("rival")
    status = client.advance(60)
    rival.close()
    assert status["phase"] == "fenced"
    assert set(status["modes"].values()) == {"off"}
    with pytest.raises(RefusedError) as caught:
        client.set_mode("approve")
    assert caught.value.reason == "epoch"
    end(bench.gate)
    bench.start_gate()  # a person starts it anew, and it claims the plant


def test_a_gate_killed_outright_leaves_the_plant_to_its_watchdog_and_comes_back_in_shadow(bench):
    with bench.client() as client:
        client.set_mode("approve")
        built = bench.bundle()
        client.submit(built.data)
        client.advance(60)
        assert bench.owners()[POINT] is Owner.REMOTE
    os.kill(bench.gate.pid, signal.SIGKILL)
    end(bench.gate)
    deadline = time.monotonic() + 4 * WATCHDOG_S
    while bench.owners()[POINT] is Owner.REMOTE:
        assert time.monotonic() < deadline, "the watchdog did not act"
        time.sleep(0.1)
    assert not bench.reader.read().watchdog_healthy
    bench.start_gate()
    with bench.client() as client:
        status = client.status()
        assert set(status["modes"].values()) == {"shadow"}
        assert status["last"]["proposal_digest"] == built.digest
        assert status["last"]["reason"] == "restart"
        client.advance(120)
        assert Owner.REMOTE not in bench.owners().values()
        assert bench.reader.read().watchdog_healthy
        client.set_mode("approve")
        with pytest.raises(RefusedError) as caught:
            client.submit(built.data)
        assert caught.value.reason == "replayed"


def test_a_gate_that_is_told_to_end_gives_everything_back_first(bench):
    with bench.client() as client:
        client.set_mode("approve")
        client.submit(bench.bundle().data)
        client.advance(60)
        assert bench.owners()[POINT] is Owner.REMOTE
    bench.gate.terminate()
    bench.gate.wait(10)
    assert Owner.REMOTE not in bench.owners().values()
    end(bench.gate)
    bench.start_gate()


def test_a_plant_that_vanishes_and_returns_is_local_and_is_claimed_again(bench):
    with bench.client() as client:
        client.set_mode("approve")
        client.submit(bench.bundle().data)
        client.advance(60)
        end(bench.plant)
        with pytest.raises(UnavailableError):
            client.advance(60)
        bench.start_plant()
        client.advance(120)
        status = client.advance(60)
        assert status["phase"] == "shed"  # the new plant's time runs back: named, not guessed at
        assert status["last"]["reason"] == "plant_clock"
        assert Owner.REMOTE not in bench.owners().values()
        client.submit(bench.bundle().data)
        assert bench.owners()[POINT] is Owner.REMOTE
