"""The driver around the core: read, decide, remember, act, take in the answers."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from graph.clock import Clock, SystemClock
from graph.errors import RefusedError, UnavailableError
from graph.plant import PlantWriter, Readings, SteppablePlant, WriteResult
from safety.gate import core
from safety.gate.commands import Alarm, Refusal, Release, Report, Step, Write
from safety.gate.config import GateConfig
from safety.gate.journal import Journal
from safety.gate.order import Order
from safety.gate.state import GateState
from safety.gate.store import StateStore

log = logging.getLogger(__name__)
ALARMS_KEPT = 200


class Gate:
    """One gate at one plant. Every method may be called from any thread."""

    def __init__(
        self,
        config: GateConfig,
        writer: PlantWriter,
        store: StateStore,
        journal: Journal,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self.alarms: deque[Alarm] = deque(maxlen=ALARMS_KEPT)
        self._writer, self._store, self._journal = writer, store, journal
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._state = store.load(config)
        self._readings: Readings | None = None
        self._heard_s = float("-inf")
        # Grows over restarts too, for plants that do not start anew with each epoch.
        self._seq = time.time_ns() // 1_000_000

    @property
    def state(self) -> GateState:
        """The present state."""
        return self._state

    @property
    def readings(self) -> Readings | None:
        """The last image."""
        return self._readings

    @property
    def service_alive(self) -> bool:
        """Whether the service was heard in time."""
        return self._clock.monotonic() - self._heard_s < self.config.service_timeout_s

    def start(self) -> None:
        """Claim the plant and come up in SHADOW. Raises UnavailableError without a plant."""
        with self._lock:
            readings = self._read()
            step = core.restarted(self._state, readings.time)
            epoch = self._writer.claim(self.config.gate_id)
            self._carry_out(Step(core.claimed(step.state, epoch), step.commands), readings)

    def stop(self) -> None:
        """A planned stop gives everything back first."""
        with self._lock:
            try:
                readings = self._read()
                self._carry_out(
                    core.abort(self._state, readings.time, reason="gate_stopped"), readings
                )
            except UnavailableError as error:
                log.warning("stopped without the plant: %s", error)
            self._journal.close()

    def heard(self) -> None:
        """The service has given a sign of life."""
        self._heard_s = self._clock.monotonic()

    def beat(self) -> None:
        """Tell the plant's watchdog that the gate lives."""
        if self._state.fenced:
            return
        try:
            self._writer.heartbeat(self._state.epoch)
        except RefusedError as error:
            log.warning("the plant refused the heartbeat: %s", error)

    def cycle(self) -> Readings:
        """One cycle of the core. Raises UnavailableError when the plant does not answer."""
        with self._lock:
            readings = self._read()
            step = core.cycle(
                self._state, self.config, readings, self._clock.monotonic(), self.service_alive
            )
            self._carry_out(step, readings)
            self._reclaim(readings)
            return readings

    def submit(self, make_order: Callable[[Readings], Order]) -> None:
        """Engage an order made for the present image, and write its first values at once.

        Raises:
            RefusedError: with the refusal's name.
        """
        with self._lock:
            if self._state.ending:
                self.cycle()  # the plant may have taken the last order's points back by now
            self.act(lambda r: core.engage(self._state, self.config, make_order(r), r))
            self.cycle()

    def act(self, decide: Callable[[Readings], Step | Refusal]) -> None:
        """Carry out one of the core's functions on the present image."""
        with self._lock:
            readings = self._read()
            self._carry_out(core.look(self._state, self.config, readings), readings)
            result = decide(readings)
            if isinstance(result, Refusal):
                self._carry_out(Step(result.state, result.commands), readings)
                detail = {"reason": result.reason, "message": result.message}
                self._record(Report(kind="refused", at=readings.time, detail=detail))
                raise result.error()
            self._carry_out(result, readings)

    def advance(self, plant: SteppablePlant, seconds: float, cycle_s: float) -> int:
        """Move a stepped plant on, with a cycle after each `cycle_s`; returns their number."""
        done, cycles = 0.0, 0
        while done < seconds:
            step_s = min(cycle_s, seconds - done)
            with self._lock:
                self.heard()  # the service waits for this very call
                plant.advance(step_s)
                self.cycle()
            done, cycles = done + step_s, cycles + 1
        return cycles

    def _read(self) -> Readings:
        self._readings = self._writer.read_back()
        return self._readings

    def _carry_out(self, step: Step, readings: Readings) -> None:
        """Remember first, then act, then take in what the plant answered."""
        self._state = step.state
        self._store.save(self._state)
        for command in step.commands:
            if isinstance(command, (Write, Release)):
                self._tell(command, readings)
            else:
                self._record(command)

    def _tell(self, command: Write | Release, readings: Readings) -> None:
        self._seq += 1
        epoch = self._state.epoch
        try:
            results: list[WriteResult]
            if isinstance(command, Write):
                results = self._writer.write(epoch, self._seq, command.setpoints)
            else:
                results = self._writer.release(epoch, self._seq, command.points)
        except (UnavailableError, RefusedError) as error:
            log.warning("a command got no answer: %s", error)
            self._state = core.lost_contact(self._state)
            return
        if not all(r.accepted for r in results):
            self._carry_out(core.settle(self._state, self.config, results, readings), readings)

    def _record(self, item: Alarm | Report) -> None:
        if isinstance(item, Alarm):
            self.alarms.append(item)
            log.warning("alarm %s: %s", item.name, item.text)
        self._journal.append(item, self._state.epoch)

    def _reclaim(self, readings: Readings) -> None:
        """Clear a tripped watchdog, or follow a plant that was restarted, once nothing is ours.

        Never when another gate has claimed: then `core.cycle` has stepped down.
        """
        state = self._state
        restarted = readings.epoch < state.epoch
        if state.fenced or state.engaged or state.ending:
            return
        if restarted or not readings.watchdog_healthy:
            epoch = self._writer.claim(self.config.gate_id)
            self._carry_out(Step(core.claimed(state, epoch)), readings)
            why = "plant restarted" if restarted else "watchdog"
            self._record(Report(kind="claimed", at=readings.time, detail={"why": why}))
