"""A plant out of any step simulator: owners, leases, a watchdog, a log and sensors that can break.

Plant time moves by `advance`. The simulator is stepped whenever one of its own steps is complete,
with the commands that were in force when that step began; in between, the image keeps the last
sample and its time.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from numpy.typing import NDArray

from graph.clock import Clock
from graph.errors import InputError, UnavailableError
from graph.record import as_utc
from graph.signals import Owner, Role
from graph.site import Site
from scenarios.leased_plant import LeasedPlant
from scenarios.plant_log import LogRow, PlantLog
from scenarios.points import PointTable
from scenarios.sensors import SENSOR_FAULTS, SensorFaults, Sensors, check_fault
from scenarios.step_simulator import BranchingSimulator, ForetellingSimulator, StepSimulator


class SimulatedPlant(LeasedPlant):
    """The shell around a simulator; see `LeasedPlant` for `clock` and `watchdog_s`.

    Args:
        site: declares the signals; the simulator must measure all of them.
        simulator: owned by the plant from now on; `close` closes it.
        seed: of random spikes. The simulator's own randomness is the simulator's.
        start: when the run begins. The plant lives under its own law until then, at least one
            step so that there is an image; the log keeps these rows as its warm-up. None: one step
            after the simulator's present time.

    Raises:
        InputError: a start that is no whole number of steps ahead; a simulator whose step is no
            whole number of seconds or that leaves out a signal.
        UnavailableError: the simulator gave up.
    """

    def __init__(
        self, site: Site, simulator: StepSimulator, *, seed: int = 0, clock: Clock | None = None,
        watchdog_s: float = 10.0, start: datetime | None = None,
    ) -> None:  # fmt: skip
        super().__init__(clock, watchdog_s)
        self.site, self.simulator, self.seed = site, simulator, seed
        self._step_s = _whole_seconds(simulator.step_s)
        self._now = self._sampled = begun = as_utc(simulator.time).timestamp()
        begin = begun + self._step_s if start is None else as_utc(start).timestamp()
        steps = (begin - begun) / self._step_s
        if steps < 1 or steps != int(steps):
            raise InputError(
                f"the plant cannot start at {start}",
                f"expected a whole number of steps of {self._step_s} s after {simulator.time}",
            )
        self._faults = SensorFaults(seed=seed)
        self._table = PointTable(site.setpoints, _initial(site, simulator.local_values))
        measured = tuple(s.id for s in site.signals if s.role is not Role.SETPOINT)
        self._sensors = Sensors(measured)
        self.log = PlantLog(site.signals, tuple(self._table.points), int(begin), self._step_s)
        self._commands: dict[str, float] = {}
        self._begin_step()
        self.advance(begin - begun)

    # --- time ---------------------------------------------------------------------------------

    def advance(self, dt_s: float) -> None:
        """Move plant time forward. Raises InputError for a span that is not positive and finite.

        Raises:
            UnavailableError: the simulator gave up; plant time stays before the failed step.
        """
        if not (math.isfinite(dt_s) and dt_s > 0):
            raise InputError(f"the plant cannot advance by {dt_s} s", "expected more than 0 s")
        self.check_watchdog()
        end = self._now + dt_s
        while True:
            due = self._sampled + self._step_s
            if self._sampled == self._now:
                self._begin_step()
            if due > end + 1e-6:
                break
            self._finish_step(due)
        self._now = end if end > self._sampled + 1e-6 else self._sampled
        self._table.expire(self._now)

    def _begin_step(self) -> None:
        """What is commanded now holds for the simulator's whole next step."""
        self._table.expire(self._now)
        points = self._table.points.items()
        self._commands = {
            name: p.applied for name, p in points if p.owner is not Owner.LOCAL and not p.ignoring
        }

    def _finish_step(self, due: float) -> None:
        values = self.simulator.step(self._commands)
        self._now = self._sampled = due
        missing = [s for s in self._sensors.signals if s not in values]
        if missing:
            raise InputError(f"the simulator does not measure {', '.join(missing)}")
        self._sensors.measure(values, (0.0,) * len(self._sensors.signals), self._faults, due)
        for name, point in self._table.points.items():
            # A point taken or moved since the step began takes effect in the next step only.
            in_force = self._commands.get(name) == point.applied
            if name in values and (point.owner is Owner.LOCAL or point.ignoring or in_force):
                point.applied = values[name]
        self._record(values)
        self._table.expire(due)

    def _record(self, values: Mapping[str, float]) -> None:
        seen, points = self._sensors.values, self._table.points
        row = tuple(
            values.get(name, points[name].applied) if name in points else seen[name]
            for name in self.log.signals
        )
        owners = tuple(p.owner.value for p in points.values())
        self.log.rows.append(LogRow(int(self._now), row, owners))

    def truth(self, signal: str, start: datetime, steps: int, step_s: int) -> NDArray[Any]:
        """What a disturbance will be: means over `steps` intervals from `start`; shape (steps,).

        For benches that compare with perfect foresight, and for nothing else.

        Raises:
            InputError: this simulator does not know it.
        """
        if not isinstance(self.simulator, ForetellingSimulator):
            raise InputError(f"this plant cannot tell {signal} in advance")
        return self.simulator.truth(signal, as_utc(start), steps, step_s)

    # --- laboratory ---------------------------------------------------------------------------

    def inject_fault(self, name: str, **parameters: Any) -> None:
        """Break a sensor or a setpoint: `sensors.SENSOR_FAULTS`. Raises InputError."""
        names = {"measurement": set(self._sensors.signals), "setpoint": set(self._table.points)}
        check_fault(SENSOR_FAULTS, name, parameters, names)
        self._faults.inject(name, parameters, self._now)
        self._set_ignoring(self._faults.ignored)

    def clear_faults(self) -> None:
        """Every sensor works again."""
        self._faults = SensorFaults(seed=self.seed)
        self._set_ignoring(set())

    def copy(self) -> "SimulatedPlant":
        """A branch that lives its own life; the past log is shared. Close it like the original.

        Raises:
            UnavailableError: the simulator cannot be copied.
        """
        import copy

        if not isinstance(self.simulator, BranchingSimulator):
            raise UnavailableError("this simulator cannot be copied in mid run", "start a new one")
        branch = object.__new__(SimulatedPlant)
        branch.__dict__.update(self.__dict__)
        for name in ("_faults", "_table", "_sensors", "_commands"):
            setattr(branch, name, copy.deepcopy(getattr(self, name)))
        branch.log = self.log.branch()
        branch.simulator = self.simulator.copy()
        return branch

    def close(self) -> None:
        """End the simulator. A second call does nothing."""
        self.simulator.close()


def _whole_seconds(step_s: float) -> int:
    if not (step_s >= 1 and step_s == int(step_s)):
        raise InputError(f"the simulator steps by {step_s} s", "expected whole seconds")
    return int(step_s)


def _initial(site: Site, local: Mapping[str, float]) -> dict[str, float]:
    missing = [s.id for s in site.setpoints if s.id not in local]
    if missing:
        raise InputError(
            f"the simulator has no local value of {', '.join(missing)}",
            "declare what the plant's own law does with every setpoint",
        )
    return {s.id: float(local[s.id]) for s in site.setpoints}
