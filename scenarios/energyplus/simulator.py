"""An EnergyPlus building as a step simulator."""

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, UnavailableError
from graph.record import as_utc
from graph.simulators import EnergyPlusSimulator
from graph.site import Site
from scenarios.energyplus.epw import Place, read_place
from scenarios.energyplus.faults import EnergyPlusFault, install
from scenarios.energyplus.idf import Idf
from scenarios.energyplus.points import DEADBAND_K, PointPlan, point_plan
from scenarios.energyplus.prepare import Preparation, prepare
from scenarios.energyplus.process import EngineProcess
from scenarios.energyplus.weather_truth import WeatherTruth, horizontal_w_m2

RUN_DAYS = 370
START_LIMIT_S, STEP_LIMIT_S = 180.0, 60.0


@dataclass(frozen=True)
class Building:
    """What a run is made of.

    building, weather: the .idf and .epw files; faults: broken from their own time on.
    """

    site: Site
    simulator: EnergyPlusSimulator
    building: Path
    weather: Path
    faults: tuple[EnergyPlusFault, ...] = field(default=())


class EnergyPlusPlant:
    """`StepSimulator` over one run of the engine, from a midnight of the weather's standard time.

    The step is the site's. A zone's two setpoints are commanded each by itself; without a command
    the building's own schedule holds. The heating setpoint is kept as it is, and the cooling
    setpoint in force is at least `DEADBAND_K` above it, whoever asked for less. `step` returns the
    values in force.

    Args:
        begin: when the run begins; moved back to midnight of the weather file's standard time.
        start_limit_s, step_limit_s: wall seconds after which the engine counts as hung.

    Raises:
        InputError: the building, the weather or the site's map is unusable; with the engine's own
            severe and fatal lines.
        UnavailableError: the engine cannot be started.
    """

    def __init__(
        self, what: Building, begin: datetime, *, start_limit_s: float = START_LIMIT_S,
        step_limit_s: float = STEP_LIMIT_S,
    ) -> None:  # fmt: skip
        self.what = what
        self._limits = (start_limit_s, step_limit_s)
        self.step_s = float(what.site.step_s)
        place = read_place(what.weather)
        local = as_utc(begin).astimezone(place.standard_time)
        self.begin = local.replace(hour=0, minute=0, second=0, microsecond=0)
        self._time = self.begin.astimezone(UTC)
        self._steps = 0
        self._history: list[Mapping[str, float]] = []
        self._closed = False
        self.folder = Path(tempfile.mkdtemp(prefix="pilothouse-energyplus-"))
        try:
            how = self._calendar()
            self._plan, job = self._prepare(place, how)
            self._process = EngineProcess(job)
            ready = self._process.receive(start_limit_s)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._local = self._own(ready["local"])
        self._truth = WeatherTruth(what.weather, place, how, self.begin)

    def _calendar(self) -> Preparation:
        steps_per_hour = 3600 / self.step_s
        if steps_per_hour != int(steps_per_hour) or 60 % steps_per_hour:
            raise InputError(
                f"EnergyPlus cannot step by {self.step_s:g} s",
                "its zone step is a whole fraction of an hour in whole minutes",
            )
        first = self.begin.date()
        last = first + timedelta(days=RUN_DAYS)
        return Preparation(first, last, int(steps_per_hour), self.what.simulator.design_days)

    def _prepare(self, place: Place, how: Preparation) -> tuple[PointPlan, dict[str, Any]]:
        site, simulator = self.what.site, self.what.simulator
        idf = prepare(Idf.read(self.what.building), place, how)
        plan = point_plan(site, simulator, idf)
        broken = [
            {"actuator": a.actuator, "value": a.value, "first": self._step_of(fault)}
            for k, fault in enumerate(self.what.faults)
            for a in install(idf, fault, k, simulator)
        ]
        target = self.folder / "building.idf"
        idf.write(target)
        return plan, {
            "building": str(target), "weather": str(self.what.weather), "folder": str(self.folder),
            "variables": [[v.name, v.key, v.mean] for v in plan.variables],
            "zones": [
                {"zone": z.zone, "schedules": [z.heating_schedule, z.cooling_schedule]}
                for z in plan.zones
            ],
            "faults": broken, "deadband_k": DEADBAND_K,
        }  # fmt: skip

    def _step_of(self, fault: EnergyPlusFault) -> int:
        if fault.since is None:
            return 0
        return max(math.ceil((as_utc(fault.since) - self.begin).total_seconds() / self.step_s), 0)

    @property
    def time(self) -> datetime:
        """See `StepSimulator.time`."""
        return self._time

    @property
    def local_values(self) -> Mapping[str, float]:
        """The building's own schedules, read even while they are overridden."""
        return dict(self._local)

    def step(self, commands: Mapping[str, float]) -> dict[str, float]:
        """See `StepSimulator.step`."""
        if self._closed:
            raise UnavailableError("this EnergyPlus run is closed", "start a new one")
        wanted = self._commands(commands)
        self._process.send({"commands": wanted})
        answer = self._process.receive(self._limits[1])
        self._history.append(dict(commands))
        self._steps += 1
        self._time = self.begin.astimezone(UTC) + timedelta(seconds=self.step_s * self._steps)
        self._check_clock(answer["at"])
        self._local = self._own(answer["local"])
        values = self._plan.values(answer["values"])
        weather = self.what.site.of_kind("weather")[0].id
        values[f"{weather}.ghi_w_m2"] = horizontal_w_m2(*answer["sun"])
        self._misread(values)
        return values

    def _misread(self, values: dict[str, float]) -> None:
        """The engine reports true temperatures and the setpoints that a wrong thermostat acts on;
        the site sees what that thermostat reads and was set to."""
        for fault in self.what.faults:
            if fault.kind == "thermostat_offset" and self._steps > self._step_of(fault):
                for quantity in ("temp", "heating_setpoint", "cooling_setpoint"):
                    values[f"{fault.at}.{quantity}_degc"] += fault.size

    def _commands(self, commands: Mapping[str, float]) -> list[list[float | None]]:
        known = {p for z in self._plan.zones for p in (z.heating, z.cooling)}
        for name, value in commands.items():
            if name not in known:
                raise InputError(f"the plant has no setpoint {name!r}", ", ".join(sorted(known)))
            if not math.isfinite(value):
                raise InputError(f"{name} = {value}", "expected a finite number")
        return [[commands.get(z.heating), commands.get(z.cooling)] for z in self._plan.zones]

    def _check_clock(self, at: Sequence[float]) -> None:
        """The engine's own clock: month, day, hour. Step and calendar must never drift apart."""
        begun = self._time - timedelta(seconds=self.step_s)
        local = begun.astimezone(self.begin.tzinfo)
        hour = local.hour + local.minute / 60 + self.step_s / 3600
        if (local.month, local.day) != (at[0], at[1]) or abs(hour - at[2]) > 1e-3:
            raise UnavailableError(f"EnergyPlus is at {at}, expected {local} + {self.step_s:g} s")

    def _own(self, local: Sequence[Sequence[float]]) -> dict[str, float]:
        return {
            name: value
            for zone, pair in zip(self._plan.zones, local, strict=True)
            for name, value in zip((zone.heating, zone.cooling), pair, strict=True)
        }

    def truth(self, signal: str, start: datetime, steps: int, step_s: int) -> NDArray[np.float64]:
        """Outdoor temperature and irradiance as the engine will see them; `StepSimulator` port."""
        weather = self.what.site.of_kind("weather")[0].id
        quantity = {f"{weather}.temp_degc": "temp", f"{weather}.ghi_w_m2": "ghi"}.get(signal)
        if quantity is None:
            raise InputError(
                f"{signal} is not given from outside",
                f"known: {weather}.temp_degc, {weather}.ghi_w_m2",
            )
        return self._truth.means(quantity, start, steps, step_s)

    def replayed(self, faults: Sequence[EnergyPlusFault] | None = None) -> "EnergyPlusPlant":
        """The same run again up to now: same commands, same bytes. Optionally other faults."""
        what = self.what
        if faults is not None:
            what = Building(what.site, what.simulator, what.building, what.weather, tuple(faults))
        twin = EnergyPlusPlant(
            what, self.begin, start_limit_s=self._limits[0], step_limit_s=self._limits[1]
        )
        for commands in self._history:
            twin.step(commands)
        return twin

    def copy(self) -> "EnergyPlusPlant":
        """A branch. The engine's state cannot be saved, so it is a replay: about 4 ms a step."""
        return self.replayed()

    def end(self) -> None:
        """End the engine's process and keep its files: they are complete only then."""
        if not self._closed:
            self._closed = True
            self._process.close()

    def close(self) -> None:
        """End the engine's process and remove its files. A second call does nothing."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
