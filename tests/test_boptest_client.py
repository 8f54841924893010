"""Whatever a server answers, the BOPTEST client believes nothing that it has not checked."""

import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from graph.errors import UnavailableError
from scenarios.boptest.client import MAX_ANSWER_BYTES, BoptestClient, TimeLimits

GOOD = {"status": 200, "message": "", "payload": {"x_y": 1.0, "time": 60.0}}


class Hostile(BaseHTTPRequestHandler):
    """Answers every advance with what the test wants."""

    body: bytes = b""
    status = 200
    drip = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_select = self.path.endswith("/select")
        data = b'{"testid": "a-b_1"}' if is_select else self.body
        self.send_response(200 if is_select else self.status)
        self.end_headers()
        try:
            if self.drip and not is_select:
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    threading.Event().wait(0.1)
            else:
                self.wfile.write(data)
        except OSError:
            pass  # the client has hung up, as it should

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def hostile():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(url: str, body: Any, status: int = 200, drip: bool = False) -> Any:
    Hostile.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    Hostile.status, Hostile.drip = status, drip
    client = BoptestClient(url, TimeLimits(advance_s=0.8 if drip else 60.0))
    try:
        client.select("x")
        return client.advance({})
    finally:
        client.close()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"<html>proxy</html>", 200, "not JSON"),
        (b"<html>proxy</html>", 502, "status 502: <html>"),
        (b"", 200, "not JSON"),
        (b"[" * 100_000, 200, "not JSON"),
        ([1, 2], 200, "expected an object"),
        ({"status": 500, "message": "the FMU died", "payload": None}, 200, "the FMU died"),
        ({"status": 400, "message": "no\nsuch\x1b[31m point"}, 400, r"no such\[31m point"),
        ({"status": "200", "payload": {}}, 200, "status 200"),
        ({"status": 200, "message": ""}, 200, "no payload"),
        ({"status": 200, "payload": [1]}, 200, "expected an object of points"),
        ({"status": 200, "payload": {"x_y": 1.0}}, 200, "no time"),
        (b'{"status": 200, "payload": {"time": NaN}}', 200, "no time"),
        (b'{"status": 200, "payload": {"time": 1e400}}', 200, "no time"),
        ({"status": 200, "payload": {"time": "12"}}, 200, "no time"),
        (b" " * (MAX_ANSWER_BYTES + 1), 200, "more than"),
    ],
)
def test_nonsense_is_a_plant_that_does_not_answer(
    hostile: str, body: Any, status: int, words: str
) -> None:
    with pytest.raises(UnavailableError, match=words):
        ask(hostile, body, status)


def test_a_server_that_drips_is_late(hostile: str) -> None:
    with pytest.raises(UnavailableError, match=r"no answer within 0.8 s"):
        ask(hostile, GOOD, drip=True)


def test_a_value_that_is_no_number_is_missing_and_the_rest_stands(hostile: str) -> None:
    body = b'{"status":200,"payload":{"a":NaN,"b":"1","c":null,"d":2,"e":true,"time":60}}'
    values = ask(hostile, body).values
    assert {n for n, v in values.items() if math.isnan(v)} == {"a", "b", "c"}
    assert (values["d"], values["e"]) == (2.0, 1.0)


def test_a_test_id_cannot_lead_elsewhere() -> None:
    from scenarios.boptest.answers import identifier

    for bad in ("../kpi/other", "", "a" * 200, 7, None, "x?y=1"):
        with pytest.raises(UnavailableError, match="testid"):
            identifier({"testid": bad}, "select")
