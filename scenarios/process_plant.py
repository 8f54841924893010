"""A published process as a plant: an adapter of `StepSimulator` over `process_models`.

Setpoints are held over a step. One that is not commanded has the value of the site's
`baseline.points`, or the published one. Beside the process stands a laboratory's other consumption
(`lab.power_kw`), seeded; `grid.power_kw` is the sum of all powers. Signals have the model's names:
a site declares those that it wants, each asset of kind `equipment`, `load` or `grid_connection`.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, UnavailableError
from graph.record import as_utc
from graph.schedules import scheduled
from graph.signals import Role
from graph.simulators import ProcessSimulator
from graph.site import Site
from graph.sitepack import SitePack
from scenarios.process_models.cstr import Cstr
from scenarios.process_models.model import ProcessModel
from scenarios.process_models.quadruple_tank import MINIMUM_PHASE
from scenarios.simulated_plant import SimulatedPlant

LAB, GRID = "lab.power_kw", "grid.power_kw"
LAB_BASE_KW, LAB_BUSY_KW, LAB_SPREAD = 0.15, 0.25, 0.1
QUARTER_S = 900
PUBLISHED: Mapping[str, Any] = {"quadruple_tank": MINIMUM_PHASE, "cstr": Cstr()}


def process_model(spec: ProcessSimulator) -> ProcessModel:
    """The published model with the pack's own parameters. Raises InputError for unknown ones."""
    published = PUBLISHED[spec.model]
    known = [f.name for f in fields(published) if f.type in (float, "float")]
    unknown = sorted(set(spec.parameters) - set(known))
    if unknown:
        raise InputError(
            f"{spec.model} has no parameter {', '.join(unknown)}", f"it has {', '.join(known)}"
        )
    model: ProcessModel = replace(published, **spec.parameters)
    return model


class ProcessStepper:
    """Implements `StepSimulator`, `ForetellingSimulator` (the laboratory's consumption) and
    `BranchingSimulator`.

    Args:
        site: declares signals and the local law; its `plant.cycle_s` is the step.
        spec: which model, with which noise.
        begin: simulated time at which the process is at rest under its local law.
        seed: of the sensors' noise and the laboratory's consumption.

    Raises:
        InputError: the site declares a signal that the model does not have.
    """

    def __init__(self, site: Site, spec: ProcessSimulator, begin: datetime, seed: int) -> None:
        self.site, self.spec, self.model, self.seed = site, spec, process_model(spec), seed
        self._now, self._closed = as_utc(begin), False
        self._state = self.model.rest(self._local(self._now))
        self._ranges = {
            s.id: s.maximum - s.minimum for s in site.signals if s.role is not Role.SETPOINT
        }
        self._check()

    @property
    def step_s(self) -> float:
        """See `StepSimulator.step_s`."""
        return float(self.site.plant.cycle_s)

    @property
    def time(self) -> datetime:
        """See `StepSimulator.time`."""
        return self._now

    @property
    def local_values(self) -> Mapping[str, float]:
        """See `StepSimulator.local_values`."""
        return self._local(self._now)

    def step(self, commands: Mapping[str, float]) -> dict[str, float]:
        """See `StepSimulator.step`."""
        if self._closed:
            raise UnavailableError("this plant has been closed", "build a new one")
        inputs = self._local(self._now)
        for point, value in commands.items():
            if point not in inputs or not math.isfinite(value):
                raise InputError(
                    f"{point} = {value} cannot be commanded", f"setpoints: {', '.join(inputs)}"
                )
            inputs[point] = float(value)
        count = max(1, math.ceil(self.step_s / self.model.substep_s))
        for _ in range(count):
            self._state = self.model.move(self._state, inputs, self.step_s / count)
        shown = self.model.signals(self._state, inputs)
        shown[LAB] = float(self._lab(self._now, 1, self.step_s)[0])
        shown[GRID] = sum(v for name, v in shown.items() if name.endswith(".power_kw"))
        self._now += timedelta(seconds=self.step_s)
        return {**self._noisy(shown), **inputs}

    def truth(self, signal: str, start: datetime, steps: int, step_s: int) -> NDArray[np.float64]:
        """See `ForetellingSimulator.truth`: the laboratory's consumption, without noise."""
        if signal != LAB:
            raise InputError(f"{signal} depends on what is commanded", f"known: {LAB}")
        return self._lab(as_utc(start), steps, float(step_s))

    def copy(self) -> "ProcessStepper":
        """See `BranchingSimulator.copy`: states are never changed in place."""
        import copy

        return copy.copy(self)

    def close(self) -> None:
        """See `StepSimulator.close`."""
        self._closed = True

    def _local(self, when: datetime) -> dict[str, float]:
        law = self.site.baseline.points
        return {
            point: float(scheduled(law[point], [when], self.site.zone_info)[0])
            if point in law
            else value
            for point, value in self.model.inputs.items()
        }

    def _lab(self, start: datetime, steps: int, step_s: float) -> NDArray[np.float64]:
        """Mean consumption over each step from `start`, kW, (steps,): busy by day on weekdays."""
        fine = max(1, round(step_s / QUARTER_S))  # quarters are constant, steps may hold several
        times = [start + timedelta(seconds=step_s / fine * k) for k in range(steps * fine)]
        values = np.array([self._lab_quarter(t) for t in times])
        return np.asarray(values.reshape(steps, fine).mean(axis=1), dtype=np.float64)

    def _lab_quarter(self, when: datetime) -> float:
        local = when.astimezone(self.site.zone_info)
        hour = local.hour + local.minute / 60.0
        busy = float(np.interp(hour, [7, 9, 17, 19], [0, 1, 1, 0])) * (local.weekday() < 5)
        rng = np.random.default_rng([self.seed, 1, int(when.timestamp() // QUARTER_S)])
        return (LAB_BASE_KW + LAB_BUSY_KW * busy) * (1.0 + LAB_SPREAD * rng.standard_normal())

    def _noisy(self, shown: Mapping[str, float]) -> dict[str, float]:
        if self.spec.noise == 0.0:
            return dict(shown)
        rng = np.random.default_rng([self.seed, 2, int(self._now.timestamp())])
        draws = rng.standard_normal(len(shown))
        return {
            name: value + float(z) * self.spec.noise * self._ranges.get(name, 0.0)
            for (name, value), z in zip(shown.items(), draws, strict=True)
        }

    def _check(self) -> None:
        inputs = self.model.inputs
        there = {*self.model.signals(self._state, dict(inputs)), LAB, GRID}
        for signal in self.site.signals:
            known = inputs if signal.role is Role.SETPOINT else there
            if signal.id not in known:
                raise InputError(
                    f"{self.spec.model} has no {signal.role.value} {signal.id}",
                    f"it has {', '.join(sorted(known))}",
                )
        lacking = sorted(set(inputs) - {s.id for s in self.site.setpoints})
        if lacking:
            raise InputError(f"the site lacks setpoint {', '.join(lacking)} of {self.spec.model}")


def build(pack: SitePack, start: datetime, seed: int) -> SimulatedPlant:
    """The pack's process at rest at `start`, its watchdog off; see `scenarios.plants`."""
    spec, site = pack.site.plant.simulator, pack.site
    if not isinstance(spec, ProcessSimulator):
        raise InputError(f"site {site.id} names no process model")
    begin = as_utc(start) - timedelta(seconds=max(site.plant.cycle_s, site.step_s))
    stepper = ProcessStepper(site, spec, begin, seed)
    return SimulatedPlant(site, stepper, seed=seed, watchdog_s=math.inf, start=start)
