"""An EnergyPlus building as a step simulator."""

import math
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, UnavailableError
from scenarios.energyplus.faults import EnergyPlusFault
from scenarios.energyplus.foretold import Foretold, horizontal_w_m2
from scenarios.energyplus.process import EngineProcess
from scenarios.energyplus.run import Building, run_of

START_LIMIT_S, STEP_LIMIT_S = 180.0, 60.0


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
        self._run = run_of(what, begin)
        self.begin = self._run.begin
        self._time = self.begin.astimezone(UTC)
        self._steps = 0
        self._history: list[Mapping[str, float]] = []
        self._closed = False
        self.folder = Path(tempfile.mkdtemp(prefix="pilothouse-energyplus-"))
        try:
            self._start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        # Who forgets to close a plant leaves no process of 200 MB behind.
        self._let_go = weakref.finalize(self, _let_go, self._process, self.folder)
        last, step_s = self._run.how.last, what.site.step_s
        self._weather = Foretold(self._run.weather_until, self._time, step_s, last)
        self._load = Foretold(self._run.load_until, self._time, step_s, last)

    def _start(self) -> None:
        idf, self._plan, job = self._run.job()
        target = self.folder / "building.idf"
        idf.write(target)
        self._process = EngineProcess({**job, "building": str(target), "folder": str(self.folder)})
        self._local = self._own(self._process.receive(self._limits[0])["local"])

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
        weather = self._run.weather_asset
        values[f"{weather}.ghi_w_m2"] = horizontal_w_m2(*answer["sun"])
        self._misread(values)
        return values

    def _misread(self, values: dict[str, float]) -> None:
        """The engine reports true temperatures and the setpoints that a wrong thermostat acts on;
        the site sees what that thermostat reads and was set to."""
        for fault in self.what.faults:
            if fault.kind == "thermostat_offset" and self._steps > self._run.step_of(fault):
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
        """Outdoor temperature and irradiance as the engine will see them, and the load.

        The load is that of a run under the building's own law: commands change it by the heat that
        the hot water tank loses to its room, a few watts. Shape (steps,).

        Raises:
            InputError: another signal, times off the step or outside of the run.
        """
        asset = self._run.weather_asset
        weather = (f"{asset}.temp_degc", f"{asset}.ghi_w_m2")
        load = f"{self.what.site.of_kind('load')[0].id}.power_kw"
        if signal not in (*weather, load):
            raise InputError(
                f"{signal} is not given from outside", f"known: {', '.join((*weather, load))}"
            )
        source = self._load if signal == load else self._weather
        return source.means(signal, start, steps, step_s)

    def replayed(self, faults: Sequence[EnergyPlusFault] | None = None) -> "EnergyPlusPlant":
        """The same run again up to now: same commands, same bytes. Optionally other faults."""
        what = self.what
        if faults is not None:
            what = replace(what, faults=tuple(faults))
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
        self._closed = True
        self._process.close()

    def close(self) -> None:
        """End the engine's process and remove its files. A second call does nothing."""
        self._closed = True
        self._let_go()


def _let_go(process: EngineProcess, folder: Path) -> None:
    process.close()
    shutil.rmtree(folder, ignore_errors=True)
