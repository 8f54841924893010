"""A server with BOPTEST's endpoints, envelopes and semantics, for tests, in a process of its own.

    with boptest_server() as url: ...
    python -m tests.boptest_server        # prints its address

Written after README, openapi.yaml and the routes of ibpsa/project1-boptest; the building behind it
is our own (`boptest_building`), for the official ones need Docker and an FMU.
"""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from tests.boptest_building import Weather
from tests.boptest_case import Case, RefusedCallError

ROOT = Path(__file__).parents[1]
TESTCASE = "two_zone_fan_coils"
WORKERS = 8  # a real service queues the ninth test


def make_server(data: Path) -> FastAPI:
    """The application; every test case runs in it."""
    app = FastAPI()
    weather, cases = Weather(data), {}

    def case_of(test: str) -> Case:
        if test not in cases:
            raise RefusedCallError(f"Invalid testid: {test}")
        return cases[test]

    def answered(call: Callable[[], Any]) -> Response:
        try:
            found = call()
        except RefusedCallError as error:
            return _envelope(400, str(error), None)
        payload, message = found if isinstance(found, tuple) else (found, "")
        return _envelope(200, message or "The call was successful.", payload)

    @app.get("/version")
    def version() -> Response:
        return _envelope(200, "Queried the version number successfully.", {"version": "0.8.0-test"})

    @app.get("/testcases")
    def testcases() -> Any:
        return [{"testcaseid": TESTCASE}]

    @app.post("/testcases/{name}/select")
    def select(name: str) -> Response:
        if name != TESTCASE:
            return PlainTextResponse("Not Found", 404)
        while len(cases) >= WORKERS:
            cases.pop(next(iter(cases)))  # the oldest has been idle for longest
        test = str(uuid.uuid4())
        cases[test] = Case(weather)
        return JSONResponse({"testid": test})

    @app.get("/status/{test}")
    def status(test: str) -> Response:
        return JSONResponse("Running") if test in cases else _errors(test)

    @app.put("/stop/{test}")
    def stop(test: str) -> Response:
        return PlainTextResponse("OK") if cases.pop(test, None) else _errors(test)

    @app.get("/name/{test}")
    def name(test: str) -> Response:
        return answered(lambda: case_of(test) and {"name": TESTCASE})

    @app.get("/{what}/{test}")
    def ask(what: str, test: str) -> Response:
        calls: dict[str, Callable[[Case], Any]] = {
            "inputs": lambda c: c.inputs(), "measurements": lambda c: c.measurements(),
            "forecast_points": lambda c: c.forecast_points(), "kpi": lambda c: c.kpis(),
            "step": lambda c: c.step_s, "scenario": lambda c: c.scenario,
        }  # fmt: skip
        if what not in calls:
            return PlainTextResponse("Not Found", 404)
        return answered(lambda: calls[what](case_of(test)))

    @app.put("/{what}/{test}")
    async def tell(what: str, test: str, request: Request) -> Response:
        body = await _body(request)
        calls: dict[str, Callable[[Case], Any]] = {
            "step": lambda c: _set_step(c, body),
            "initialize": lambda c: c.initialize(
                _number(body, "start_time"), _number(body, "warmup_period")
            ),
            "scenario": lambda c: c.set_scenario(body),
            "forecast": lambda c: c.forecast(
                body["point_names"], _number(body, "horizon"), _number(body, "interval")
            ),
            "results": lambda c: c.results(
                body["point_names"], _number(body, "start_time"), _number(body, "final_time")
            ),
        }
        if what not in calls:
            return PlainTextResponse("Not Found", 404)
        return answered(lambda: calls[what](case_of(test)))

    @app.post("/advance/{test}")
    async def advance(test: str, request: Request) -> Response:
        body = await _body(request)
        return answered(lambda: case_of(test).advance(body))

    return app


def _envelope(status: int, message: str, payload: Any) -> Response:
    return JSONResponse({"status": status, "message": message, "payload": payload}, status)


def _errors(test: str) -> Response:
    return JSONResponse({"errors": [{"msg": f"Invalid testid: {test}"}]}, 400)


async def _body(request: Request) -> dict[str, Any]:
    return dict(await request.json()) if await request.body() else {}


def _number(body: dict[str, Any], name: str) -> float:
    try:
        found = float(body[name])
    except (KeyError, TypeError, ValueError):
        raise RefusedCallError(f"Parameter {name} is missing or no number.") from None
    if found < 0:
        raise RefusedCallError(f"Parameter {name} cannot be negative.")
    return found


def _set_step(case: Case, body: dict[str, Any]) -> dict[str, float]:
    case.step_s = _number(body, "step")
    return {"step": case.step_s}


@contextmanager
def boptest_server() -> Iterator[str]:
    """Its address, as long as the block lasts."""
    command = [sys.executable, "-m", "tests.boptest_server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line.startswith("http://"), f"the test server did not start: {line!r}"
            yield line
        finally:
            process.terminate()


def main() -> None:
    """Serve on a free port of this machine and say where."""
    import socket

    import uvicorn

    # With the protocol named, asyncio switches off Nagle's delay of 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # who is told the address may call at once
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    app = make_server(ROOT / "scenarios" / "microgrid" / "data")
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
