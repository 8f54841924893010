"""The emulated plant over OPC UA, asked by an ordinary client."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.sync import Client

from graph.errors import UnavailableError
from graph.sitepack import load_site
from scenarios.emulated_microgrid import EmulatedPlant
from scenarios.opcua_server import serve

PACK = Path(__file__).parents[1] / "scenarios" / "microgrid"
START = datetime.fromisoformat("2026-01-20T00:00:00-08:00")
WATCHDOG_S = 2.0
NORTH = "zone_north.setpoint_degc"


class Line:
    """A client with the names of this plant's information model."""

    def __init__(self, endpoint: str, namespace: str) -> None:
        self.client = Client(endpoint)
        self.client.connect()
        self.index = self.client.get_namespace_index(namespace)
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.client.disconnect()

    def node(self, name: str) -> Any:
        return self.client.get_node(ua.NodeId(name, self.index))

    def data(self, name: str) -> ua.DataValue:
        return self.node(name).read_data_value(raise_on_bad_status=False)

    def call(self, method: str, *arguments: Any) -> Any:
        return self.node("plant").call_method(f"{self.index}:{method}", *arguments)

    def write(self, epoch: int, seq: int, items: dict[str, float], ttl_s: float) -> list[str]:
        return self.call(
            "write", _int(epoch), _int(seq), _array(list(items), ua.VariantType.String),
            _array(list(items.values()), ua.VariantType.Double),
            _array([ttl_s] * len(items), ua.VariantType.Double),
        )  # fmt: skip


def _int(value: int) -> ua.Variant:
    return ua.Variant(value, ua.VariantType.Int64)


def _array(values: list, kind: ua.VariantType) -> ua.Variant:
    return ua.Variant(values, kind, is_array=True)


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


@pytest.fixture(scope="module")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plant") / "plant.csv"


@pytest.fixture(scope="module")
def served(log_path: Path) -> Iterator[tuple[str, threading.Thread, threading.Event]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop, ready, endpoints = threading.Event(), threading.Event(), []

    def announce(endpoint: str) -> None:
        endpoints.append(endpoint)
        ready.set()

    thread = threading.Thread(
        target=serve,
        args=(PACK, port, START, 7, log_path, stop, announce),
        kwargs={"watchdog_s": WATCHDOG_S},
    )
    thread.start()
    assert ready.wait(120)
    yield endpoints[0], thread, stop
    stop.set()
    thread.join(30)


@pytest.fixture(scope="module")
def line(served: tuple[str, threading.Thread, threading.Event]) -> Iterator[Line]:
    line = Line(served[0], load_site(PACK).site.plant.namespace)
    yield line
    line.close()


def test_the_served_plant_is_the_plant_itself_history_included(line: Line) -> None:
    site = load_site(PACK).site
    twin_run = EmulatedPlant(site, PACK / "data", START, 7)
    line.call("advance", 900.0)
    twin_run.advance(900)
    for name, reading in twin_run.image().values.items():
        data = line.data(name)
        assert data.Value.Value == reading.value
        assert _utc(data.SourceTimestamp) == reading.time
    assert _utc(line.data("plant#time").Value.Value) == START + timedelta(minutes=15)
    for name in ("tank.temp_degc", NORTH):
        seen = line.node(name).read_raw_history(START - timedelta(hours=5), START)
        rows = twin_run.log.history(name, START - timedelta(hours=5), START)
        assert len(rows) == 301
        assert [(_utc(d.SourceTimestamp), d.Value.Value) for d in seen] == rows


def test_history_is_limited_and_read_backwards_as_asked(line: Line) -> None:
    node = line.node("grid.power_kw")
    now = _utc(line.data("plant#time").Value.Value)
    newest = node.read_raw_history(None, now, numvalues=3)
    times = [_utc(d.SourceTimestamp) for d in newest]
    assert times == [now - timedelta(minutes=k) for k in range(3)]
    first = node.read_raw_history(now - timedelta(hours=1), None, numvalues=2)
    assert _utc(first[0].SourceTimestamp) == now - timedelta(hours=1)
    assert len(first) == 2


def test_a_written_setpoint_is_leased_and_comes_back(line: Line) -> None:
    epoch = line.call("claim", "gate-a")
    assert line.data("plant#epoch").Value.Value == epoch
    answers = line.write(
        epoch, 1, {NORTH: 19.5, "hp.power_set_kw": 2.0, "nobody.knows": 1.0}, 600.0
    )
    assert answers == ["", "out_of_range", "unknown_point"]
    now = _utc(line.data("plant#time").Value.Value)
    assert line.data(NORTH).Value.Value == 19.5
    assert line.data(f"{NORTH}#owner").Value.Value == "remote"
    until = datetime.fromisoformat(line.data(f"{NORTH}#lease_until").Value.Value)
    assert until == now + timedelta(seconds=600)
    line.call("advance", 600.0)
    assert line.data(f"{NORTH}#owner").Value.Value == "local"
    assert line.data(f"{NORTH}#lease_until").Value.Value == ""


def test_bad_values_leases_and_fences_are_refused_by_name(line: Line) -> None:
    epoch = line.call("claim", "gate-a")
    assert line.write(epoch, 1, {NORTH: float("nan")}, 600.0) == ["bad_value"]
    assert line.write(epoch, 2, {NORTH: 20.0}, -1.0) == ["bad_value"]
    assert line.write(epoch, 2, {NORTH: 20.0}, 600.0) == ["replayed_seq"]
    assert line.write(epoch - 1, 9, {NORTH: 20.0}, 600.0) == ["stale_epoch"]
    with pytest.raises(ua.UaError):
        line.call("heartbeat", _int(epoch - 1))
    with pytest.raises(ua.UaError):  # lists of different lengths
        line.call(
            "write", _int(epoch), _int(7), _array([NORTH], ua.VariantType.String),
            _array([], ua.VariantType.Double), _array([60.0], ua.VariantType.Double),
        )  # fmt: skip
    released = line.call(
        "release", _int(epoch), _int(8), _array([NORTH, "x.y"], ua.VariantType.String)
    )
    assert released == ["", "unknown_point"]


def test_a_variable_cannot_be_written_past_the_methods(line: Line) -> None:
    with pytest.raises(ua.UaError):
        line.node(NORTH).write_value(25.0)
    assert line.data(NORTH).Value.Value != 25.0


def test_an_operator_at_the_plant_wins_and_is_shown(line: Line) -> None:
    epoch = line.call("claim", "gate-a")
    line.call("operator_write", NORTH, 20.5, "Ana", "")
    assert line.write(epoch, 1, {NORTH: 22.0}, 600.0) == ["operator_hold"]
    shown = [line.data(f"{NORTH}#{k}").Value.Value for k in ("owner", "by", "until")]
    assert shown == ["operator", "Ana", ""]
    line.call("operator_hand_back", NORTH)
    assert line.data(f"{NORTH}#owner").Value.Value == "local"
    line.call("set_remote_allowed", False)
    assert line.data("plant#remote_allowed").Value.Value is False
    assert line.write(epoch, 2, {NORTH: 22.0}, 600.0) == ["local_only"]
    line.call("set_remote_allowed", True)


def test_a_fault_shows_in_the_status_code_and_can_be_cleared(line: Line) -> None:
    line.call("inject_fault", "sensor_lost", '{"point": "tank.temp_degc"}')
    line.call("advance", 60.0)
    assert line.data("tank.temp_degc").StatusCode.is_bad()
    line.call("clear_faults")
    line.call("advance", 60.0)
    assert line.data("tank.temp_degc").StatusCode.is_good()
    for bad in (("gremlins", "{}"), ("sensor_lost", "[]"), ("sensor_lost", "no json")):
        with pytest.raises(ua.UaError):
            line.call("inject_fault", *bad)


def test_silence_trips_the_watchdog_and_a_claim_heals_it(line: Line) -> None:
    epoch = line.call("claim", "gate-a")
    assert line.write(epoch, 1, {NORTH: 19.5}, 86_400.0) == [""]
    for _ in range(6):  # longer than the watchdog's patience, with heartbeats
        time.sleep(0.5)
        line.call("heartbeat", _int(epoch))
    assert line.data("plant#watchdog_healthy").Value.Value is True
    time.sleep(WATCHDOG_S + 0.7)
    assert line.data("plant#watchdog_healthy").Value.Value is False
    assert line.data(f"{NORTH}#owner").Value.Value == "local"
    line.call("claim", "gate-b")
    assert line.data("plant#watchdog_healthy").Value.Value is True


def test_a_taken_port_is_said_in_words(
    served: tuple[str, threading.Thread, threading.Event], line: Line
) -> None:
    port = int(served[0].split(":")[2].split("/")[0])
    with pytest.raises(UnavailableError, match="cannot be opened"):
        serve(PACK, port, START, 7)


def test_the_log_is_written_when_the_server_stops(
    line: Line, served: tuple[str, threading.Thread, threading.Event], log_path: Path
) -> None:
    minutes = (_utc(line.data("plant#time").Value.Value) - START) / timedelta(minutes=1)
    line.close()
    served[2].set()
    served[1].join(30)
    assert not served[1].is_alive()
    assert len(log_path.read_text(encoding="utf-8").splitlines()) == 1 + int(minutes)
