"""The process that runs the engine: `python -m scenarios.energyplus.worker`.

One JSON document a line. In: first the job, then one line of commands a step. Out: `ready` before
the first step, `values` after each, `error` or `end` last. The engine calls back into `Stepper`,
which waits for its commands there: the engine's own time stands still meanwhile. Standard library
and pyenergyplus only, so that it starts fast.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

WEATHER_RUN = 3  # kind_of_sim of a run period over a weather file
SUN = (
    ("Site Direct Solar Radiation Rate per Area", "Environment"),
    ("Site Diffuse Solar Radiation Rate per Area", "Environment"),
    ("Site Solar Altitude Angle", "Environment"),
)


class Stepper:
    """The engine's callbacks."""

    def __init__(
        self, job: dict[str, Any], api: Any, state: Any, lines: TextIO, out: TextIO
    ) -> None:
        self.job, self.api, self.exchange, self.state = job, api, api.exchange, state
        self._lines, self._out = lines, out
        self.unattended: bool = job.get("unattended", False)
        self.kept: dict[str, list[list[float]]] = {"values": [], "sun": []}
        self._stopping = self._ready = False
        self._step = 0
        self._sums: list[float] = []
        self._hours = 0.0

    def request(self) -> None:
        """Before the run: what will be read."""
        for name, key, _ in self.job["variables"]:
            self.exchange.request_variable(self.state, name, key)
        for name, key in SUN:
            self.exchange.request_variable(self.state, name, key)
        for zone in self.job["zones"]:
            for schedule in zone["schedules"]:
                self.exchange.request_variable(self.state, "Schedule Value", schedule)

    def send(self, **message: Any) -> None:
        """One line to the parent."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def guarded(self, method: Callable[[], None]) -> Callable[[Any], None]:
        """The engine swallows exceptions of callbacks: report them and stop the run ourselves."""

        def call(state: Any) -> None:
            if self._stopping or not self.exchange.api_data_fully_ready(state):
                return
            if self.exchange.warmup_flag(state) or self.exchange.kind_of_sim(state) != WEATHER_RUN:
                return
            try:
                method()
            except BaseException:
                self.send(error=traceback.format_exc(limit=4))
                self.stop()

        return call

    def stop(self) -> None:
        """End the run at the engine's next chance."""
        self._stopping = True
        self.api.runtime.stop_simulation(self.state)

    # --- callbacks ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Before a zone step: wait for the commands and apply them."""
        if not self._ready:
            self._resolve()
        if not self.unattended:
            line = self._lines.readline()
            if not line:
                self.stop()
                return
            self._command(json.loads(line)["commands"])
        for handle, value, first in self._faults:
            if self._step >= first:
                self.exchange.set_actuator_value(self.state, handle, value)
        self._sums = [0.0] * len(self._variables)
        self._hours = 0.0

    def system(self) -> None:
        """After an HVAC step, of which a zone step may have several."""
        hours = self.exchange.system_time_step(self.state)
        self._hours += hours
        for i, (handle, mean) in enumerate(self._variables):
            if mean:
                value = self.exchange.get_variable_value(self.state, handle)
                self._sums[i] += hours * value

    def end(self) -> None:
        """After a zone step: report it."""
        if not self._ready:
            return
        read = self.exchange.get_variable_value
        values = [
            total / self._hours if mean else read(self.state, handle)
            for total, (handle, mean) in zip(self._sums, self._variables, strict=True)
        ]
        self._step += 1
        sun = [read(self.state, h) for h in self._sun]
        if self.unattended:
            self.kept["values"].append(values)
            self.kept["sun"].append(sun)
        else:
            self.send(values=values, sun=sun, local=self._local(), at=self._clock())

    # ------------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        job, state = self.job, self.state
        variable, actuator = self.exchange.get_variable_handle, self.exchange.get_actuator_handle
        self._variables = [(variable(state, n, k), mean) for n, k, mean in job["variables"]]
        self._sun = [variable(state, n, k) for n, k in SUN]
        self._zones = [
            [
                *(actuator(state, "Zone Temperature Control", f"{side} Setpoint", z["zone"])
                  for side in ("Heating", "Cooling")),
                *(variable(state, "Schedule Value", s) for s in z["schedules"]),
            ]
            for z in job["zones"]
        ]  # fmt: skip
        self._faults = [(actuator(state, *f["actuator"]), f["value"], f["first"])
                        for f in job["faults"]]  # fmt: skip
        self._check()
        self._ready = True
        if not self.unattended:
            self.send(ready=self._clock(), local=self._local())

    def _check(self) -> None:
        missing = [
            *(v[:2] for v, (h, _) in zip(self.job["variables"], self._variables, strict=True)
              if h < 0),
            *(n for n, h in zip(SUN, self._sun, strict=True) if h < 0),
            *(z for z, hs in zip(self.job["zones"], self._zones, strict=True) if min(hs) < 0),
            *(f["actuator"] for f, h in zip(self.job["faults"], self._faults, strict=True)
              if h[0] < 0),
        ]  # fmt: skip
        if missing:
            raise KeyError(f"the engine does not know {missing}")

    def _local(self) -> list[list[float]]:
        read = self.exchange.get_variable_value
        return [[read(self.state, h) for h in handles[2:]] for handles in self._zones]

    def _command(self, commands: list[list[float | None]]) -> None:
        """Heating is kept; cooling gives way so that the deadband stays between the two."""
        for handles, wanted, own in zip(self._zones, commands, self._local(), strict=True):
            heating = own[0] if wanted[0] is None else wanted[0]
            cooling = own[1] if wanted[1] is None else wanted[1]
            crossed = cooling < heating + self.job["deadband_k"]
            self._set(handles[0], wanted[0])
            self._set(handles[1], heating + self.job["deadband_k"] if crossed else wanted[1])

    def _set(self, handle: int, value: float | None) -> None:
        if value is None:
            self.exchange.reset_actuator(self.state, handle)
        else:
            self.exchange.set_actuator_value(self.state, handle, value)

    def _clock(self) -> list[float]:
        e, s = self.exchange, self.state
        return [e.month(s), e.day_of_month(s), round(e.current_time(s), 6)]


def main() -> int:
    """Run one job from standard input; the engine's own chatter goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    from pyenergyplus.api import EnergyPlusAPI

    api = EnergyPlusAPI()
    state = api.state_manager.new_state()
    api.runtime.set_console_output_status(state, False)
    stepper = Stepper(job, api, state, sys.stdin, out)
    stepper.request()
    hooks = api.runtime
    hooks.callback_begin_zone_timestep_after_init_heat_balance(
        state, stepper.guarded(stepper.begin)
    )
    hooks.callback_end_system_timestep_after_hvac_reporting(state, stepper.guarded(stepper.system))
    hooks.callback_end_zone_timestep_after_zone_reporting(state, stepper.guarded(stepper.end))
    code = hooks.run_energyplus(state, ["-w", job["weather"], "-d", job["folder"], job["building"]])
    if stepper.unattended and code == 0:
        stepper.send(**stepper.kept)
    stepper.send(end=code)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
