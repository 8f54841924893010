"""A plant made of FMUs, as a site pack declares it (`plant.simulator`, kind fmu)."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.record import as_utc
from graph.signals import SignalSpec
from graph.simulators import FmuSimulator
from graph.site import Site
from graph.sitepack import SitePack
from graph.units import same_dimension
from sandbox.fmi.check import require_sound
from sandbox.fmi.recorded_inputs import RecordedInputs, load_inputs
from sandbox.fmi.runs import FmuRun
from sandbox.fmi.system import limits_of, system_of
from scenarios.simulated_plant import SimulatedPlant

MEAN_UNITS = ("kW", "W/m^2")  # what the site's axis takes as means over a step


def build(pack: SitePack, start: datetime, seed: int) -> SimulatedPlant:
    """The pack's FMUs as a plant at `start`; their own time is 0 one step before it.

    Raises:
        InputError: what `site validate` would say of the FMUs, or inputs that do not cover `start`.
        FmuError: an FMU does not start or fails in its first step.
    """
    simulator = pack.site.plant.simulator
    if not isinstance(simulator, FmuSimulator):
        raise InputError(f"site {pack.site.id} has no plant of FMUs")
    require_sound(pack.site, pack.folder)
    begin = as_utc(start) - timedelta(seconds=simulator.step_s)
    fmus = FmuPlant.open(pack, simulator, begin)
    try:
        return SimulatedPlant(pack.site, fmus, seed=seed, start=as_utc(start), watchdog_s=math.inf)
    except BaseException:
        fmus.close()
        raise


class FmuPlant:
    """Coupled FMUs behind the port `StepSimulator`.

    Powers, irradiance and the weather's signals are means over a step, of the values at the ends of
    its macro steps (one, unless the macro step adapts); everything else is the value at its end.
    """

    def __init__(
        self, site: Site, simulator: FmuSimulator, run: FmuRun, begin: datetime,
        inputs: RecordedInputs | None,
    ) -> None:  # fmt: skip
        """Use `open`; this takes what is already running."""
        self._site, self._simulator, self._run = site, simulator, run
        self._begin, self._inputs = begin, inputs
        self.step_s = simulator.step_s
        self._setpoints = {s.id: simulator.points[s.id] for s in site.setpoints}
        self._columns = [
            s for s in simulator.inputs if s not in simulator.points and _is_signal(site, s)
        ]
        weather = {a.id for a in site.of_kind("weather")}
        self._means = {s.id for s in site.signals if _is_mean(s, weather)}

    @classmethod
    def open(
        cls, pack: SitePack, simulator: FmuSimulator, begin: datetime,
    ) -> "FmuPlant":  # fmt: skip
        """Start the pack's FMUs at `begin`. Raises InputError, FmuError."""
        site, limits = pack.site, limits_of(simulator)
        system = system_of(simulator, pack.folder, frozenset(s.id for s in site.setpoints))
        inputs = load_inputs(simulator, pack.folder, site, system.descriptions(limits))
        first = inputs.at(begin, simulator.step_s) if inputs else {}
        run = FmuRun(
            system, step_s=simulator.step_s, tolerance=simulator.tolerance,
            scheme=simulator.scheme, inputs=first, limits=limits,
        )  # fmt: skip
        return cls(site, simulator, run, begin, inputs)

    @property
    def time(self) -> datetime:
        """See `StepSimulator.time`."""
        return self._begin + timedelta(seconds=self._run.time_s)

    @property
    def local_values(self) -> Mapping[str, float]:
        """See `StepSimulator.local_values`: the pack's declared constants."""
        return {name: self._simulator.local[name] for name in self._setpoints}

    def step(self, commands: Mapping[str, float]) -> dict[str, float]:
        """See `StepSimulator.step`.

        Raises:
            InputError: an unknown point, a number that is not finite, inputs that have ended.
            FmuError: an FMU failed; the run is over.
        """
        for name, value in commands.items():
            if name not in self._setpoints or not math.isfinite(value):
                known = ", ".join(self._setpoints) or "none"
                raise InputError(f"{name} = {value} is no command", f"setpoints: {known}")
        in_force = {**self.local_values, **commands}
        held = self._inputs.at(self.time, self.step_s) if self._inputs else {}
        for name, point in self._setpoints.items():
            held[point.name] = (in_force[name] - point.offset) / point.scale
            if point.activate is not None:
                held[point.activate] = float(name in commands)
        recorded = self._recorded()
        values = self._run.step(held)
        measured = {
            name: (self._run.means if name in self._means else values)[point.name] * point.scale
            + point.offset
            for name, point in self._simulator.points.items()
            if name not in self._setpoints
        }
        return {**measured, **recorded, **in_force}

    def _recorded(self) -> dict[str, float]:
        """Signals that no FMU computes: the recorded inputs themselves."""
        if self._inputs is None:
            return {}
        return {n: self._inputs.mean(n, self.time, self.step_s) for n in self._columns}

    def truth(self, signal: str, start: datetime, steps: int, step_s: int) -> NDArray[np.float64]:
        """See `ForetellingSimulator.truth`: recorded inputs are known in advance."""
        if self._inputs is None or signal not in self._columns:
            raise InputError(f"the FMUs cannot tell {signal} in advance", "only recorded inputs")
        begins = [as_utc(start) + timedelta(seconds=step_s * k) for k in range(steps)]
        return np.array([self._inputs.mean(signal, t, step_s) for t in begins])

    def copy(self) -> "FmuPlant":
        """See `BranchingSimulator.copy`; where an FMU cannot hand over its state, by a replay."""
        branch, _ = self._run.branch()
        return FmuPlant(self._site, self._simulator, branch, self._begin, self._inputs)

    def close(self) -> None:
        """See `StepSimulator.close`."""
        self._run.close()


def _is_signal(site: Site, name: str) -> bool:
    return any(s.id == name for s in site.signals)


def _is_mean(spec: SignalSpec, weather: set[str]) -> bool:
    return spec.asset in weather or any(same_dimension(spec.unit, u) for u in MEAN_UNITS)
