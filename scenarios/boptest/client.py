"""A client of BOPTEST's REST interface: one method a call, every answer checked.

Source: README and openapi.yaml of ibpsa/project1-boptest. Time is in seconds since 1 January of no
year, units are SI as in the test case; conversion to a site's units is the adapter's business.
Calls with a test id answer `{"status", "message", "payload"}`; a status of 200 may carry a WARNING.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from graph.errors import InputError, UnavailableError
from scenarios.boptest import answers
from scenarios.boptest.answers import Envelope, PointInfo

MAX_ANSWER_BYTES = 32 * 1024 * 1024  # a year of one point's results on their grid is some 20 MB
WARNING = "WARNING"


@dataclass(frozen=True)
class TimeLimits:
    """Wall seconds that a call may take as a whole; a server that drips is late, too."""

    connect_s: float = 5.0
    call_s: float = 30.0
    advance_s: float = 120.0
    initialise_s: float = 600.0  # a week of warm-up is simulated


@dataclass(frozen=True)
class Advanced:
    """The state at the end of a step: measurements, inputs in force, `time`; NaN: no number."""

    values: dict[str, float]
    warnings: tuple[str, ...]


class BoptestClient:
    """Speaks to one server, and to at most one test case on it.

    Raises (every method):
        UnavailableError: no answer in time, an answer too long, a refusal, or nonsense.
    """

    def __init__(self, url: str, limits: TimeLimits | None = None) -> None:
        """Raises InputError for an address that is none."""
        import httpx

        if not url.startswith(("http://", "https://")):
            raise InputError(f"{url!r} is no address", "expected http://host:port")
        self.url, self.limits = url.rstrip("/"), limits or TimeLimits()
        self._test = ""
        # No redirects and no proxies from the environment: what answers is what was named.
        self._http = httpx.Client(trust_env=False, follow_redirects=False)

    # --- test cases -----------------------------------------------------------------------------

    def version(self) -> str:
        """The server's version."""
        payload = self._call("GET", "version").payload
        found = payload.get("version") if isinstance(payload, dict) else payload
        return answers.shorten(found)

    def testcases(self) -> tuple[str, ...]:
        """Names of the test cases that can be selected."""
        document = self._json("GET", "testcases")
        if not isinstance(document, list):
            raise UnavailableError(f"{self.url}/testcases: expected a list")
        return tuple(
            answers.shorten(item.get("testcaseid")) for item in document if isinstance(item, dict)
        )

    def select(self, testcase: str) -> str:
        """Start a test of `testcase` on a worker; returns its id, which later calls use."""
        what = f"{self.url}/testcases/{testcase}/select"
        document = self._json(
            "POST", f"testcases/{quote(testcase, safe='')}/select", {}, self.limits.initialise_s
        )
        self._test = answers.identifier(document, what)
        return self._test

    def status(self) -> str:
        """`Running` or `Queued`."""
        return answers.shorten(self._json("GET", self._of("status")))

    def name(self) -> str:
        """The test case's own name."""
        payload = self._call("GET", self._of("name")).payload
        return answers.shorten(payload.get("name") if isinstance(payload, dict) else payload)

    def stop(self) -> None:
        """End the test: its worker is free for others."""
        if self._test and not self._http.is_closed:
            self._bytes("PUT", self._of("stop"), None, self.limits.call_s)
            self._test = ""

    # --- points ---------------------------------------------------------------------------------

    def inputs(self) -> dict[str, PointInfo]:
        """What can be written: `<x>_u` and `<x>_activate`."""
        return self._points("inputs")

    def measurements(self) -> dict[str, PointInfo]:
        """What can be read."""
        return self._points("measurements")

    def forecast_points(self) -> dict[str, PointInfo]:
        """What can be forecast."""
        return self._points("forecast_points")

    # --- set-up ---------------------------------------------------------------------------------

    def set_step(self, step_s: float) -> None:
        """Length of a control step."""
        self._call("PUT", self._of("step"), {"step": step_s})

    def initialise(self, start_time_s: float, warm_up_s: float) -> dict[str, float]:
        """Run the test case under its own control up to `start_time_s`; the state there.

        Resets history, KPIs and every input. Such a run has no end.
        """
        body = {"start_time": start_time_s, "warmup_period": warm_up_s}
        answer = self._call("PUT", self._of("initialize"), body, self.limits.initialise_s)
        return answers.numbers(answer.payload, "initialize")

    def set_scenario(self, **scenario: Any) -> dict[str, float] | None:
        """Choose a standard scenario; the initial state where `time_period` is among it.

        scenario: electricity_price, time_period, temperature_uncertainty, solar_uncertainty, seed.
        With a time period the test starts anew after seven days of warm-up and ends by itself.
        """
        answer = self._call("PUT", self._of("scenario"), scenario, self.limits.initialise_s)
        payload = answer.payload if isinstance(answer.payload, dict) else {}
        state = payload.get("time_period")
        return answers.numbers(state, "scenario") if isinstance(state, dict) else None

    # --- running --------------------------------------------------------------------------------

    def advance(self, inputs: Mapping[str, float]) -> Advanced | None:
        """One step with `inputs` held over it; None when the scenario was over before.

        An input that is absent keeps its last value at the server, activation included.

        Raises:
            InputError: an input is no finite number.
        """
        for name, value in inputs.items():
            if not math.isfinite(value):
                raise InputError(f"{name} = {value}", "send finite numbers")
        answer = self._call("POST", self._of("advance"), dict(inputs), self.limits.advance_s)
        if answer.payload == {}:
            return None
        values = answers.numbers(answer.payload, "advance")
        if not math.isfinite(values.get("time", math.nan)):
            raise UnavailableError("advance: the answer has no time")
        return Advanced(values, _warnings(answer.message))

    def forecast(
        self, names: Sequence[str], horizon_s: float, interval_s: float
    ) -> dict[str, list[float]]:
        """The server's forecast from now, both ends included; `time` beside the points."""
        body = {"point_names": list(names), "horizon": horizon_s, "interval": interval_s}
        answer = self._call("PUT", self._of("forecast"), body)
        return answers.series(answer.payload, tuple(names), "forecast")

    def results(
        self, names: Sequence[str], start_s: float, final_s: float
    ) -> dict[str, list[float]]:
        """What was recorded from `start_s` to `final_s` on the server's own 30 s grid."""
        body = {"point_names": list(names), "start_time": start_s, "final_time": final_s}
        answer = self._call("PUT", self._of("results"), body)
        return answers.series(answer.payload, tuple(names), "results")

    def kpis(self) -> dict[str, float | None]:
        """The standard KPIs from the start on; None where the case has no such energy."""
        payload = self._call("GET", self._of("kpi")).payload
        found = answers.numbers(payload, "kpi")
        return {name: None if math.isnan(value) else value for name, value in found.items()}

    def close(self) -> None:
        """Let go of the connection; the test goes on until the server's own time limit."""
        self._http.close()

    # --- wire -----------------------------------------------------------------------------------

    def _of(self, call: str) -> str:
        if not self._test:
            raise UnavailableError(f"{call}: no test case is selected at {self.url}")
        return f"{call}/{self._test}"

    def _points(self, call: str) -> dict[str, PointInfo]:
        return answers.points(self._call("GET", self._of(call)).payload, call)

    def _call(
        self, method: str, path: str, body: Any = None, limit_s: float | None = None
    ) -> Envelope:
        status, data = self._bytes(method, path, body, limit_s or self.limits.call_s)
        what = f"{self.url}/{path}"
        if status != 200 and not data.startswith(b"{"):
            raise UnavailableError(f"{what}: status {status}: {_words(data)}")
        return answers.envelope(answers.parse(data, what), status, what)

    def _json(self, method: str, path: str, body: Any = None, limit_s: float | None = None) -> Any:
        """A call whose answer has no envelope."""
        status, data = self._bytes(method, path, body, limit_s or self.limits.call_s)
        what = f"{self.url}/{path}"
        if status != 200:
            raise UnavailableError(f"{what}: status {status}: {_words(data)}")
        return answers.parse(data, what)

    def _bytes(self, method: str, path: str, body: Any, limit_s: float) -> tuple[int, bytes]:
        """Status and body, no longer than MAX_ANSWER_BYTES and no later than `limit_s`."""
        import httpx

        if self._http.is_closed:
            raise UnavailableError(f"{self.url}/{path}: the connection has been closed")
        until = time.monotonic() + limit_s
        timeout = httpx.Timeout(limit_s, connect=min(self.limits.connect_s, limit_s))
        data = bytearray()
        try:
            with self._http.stream(
                method, f"{self.url}/{path}", json=body, timeout=timeout
            ) as answer:
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > MAX_ANSWER_BYTES:
                        raise UnavailableError(
                            f"{self.url}/{path}: more than {MAX_ANSWER_BYTES} bytes"
                        )
                    if time.monotonic() > until:
                        raise httpx.ReadTimeout("the answer is not complete")
                return answer.status_code, bytes(data)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = answers.shorten(error) or type(error).__name__
            late = f" within {limit_s:g} s" if isinstance(error, httpx.TimeoutException) else ""
            raise UnavailableError(
                f"{self.url}/{path}: no answer{late}: {words}",
                "is the BOPTEST server running, and is this its address?",
            ) from error


def _words(data: bytes) -> str:
    return answers.shorten(data[:2000].decode("utf-8", "replace")) or "no words"


def _warnings(message: str) -> tuple[str, ...]:
    """A message of status 200 says nothing, or what the server changed of what it was sent."""
    return (message,) if WARNING in message.upper() else ()
