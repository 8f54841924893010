"""What will come whatever is commanded, asked of the engine itself in runs of their own.

Weather: a run of nothing but the weather. The engine interpolates between the hours of the file and
works out the sun's height; asking it is simpler than doing the same twice, and exact.
Load: a run of the building under its own law. Lights, plugs and people do not look at setpoints;
only the heat that the hot water tank loses to its room does, a few watts.
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from scenarios.energyplus.idf import Idf, IdfObject
from scenarios.energyplus.process import EngineProcess

LIMIT_S = 600.0
AHEAD_DAYS = 16  # more than is asked for, so that a run that goes on rarely asks again
DRY_BULB = ("Site Outdoor Air Drybulb Temperature", "Environment", False)

Series = Mapping[str, NDArray[np.float64]]


def horizontal_w_m2(beam_w_m2: float, diffuse_w_m2: float, altitude_deg: float) -> float:
    """Global horizontal irradiance: beam x sin(altitude) + diffuse."""
    return beam_w_m2 * max(math.sin(math.radians(altitude_deg)), 0.0) + diffuse_w_m2


class Foretold:
    """Series from `begin` on the plant's step, run as far as they are asked for.

    run(last day) gives the series up to the end of that day in the weather's standard time.
    """

    def __init__(
        self, run: Callable[[date], Series], begin: datetime, step_s: int, last: date
    ) -> None:
        self._run, self._begin, self._step_s, self._last = run, begin, step_s, last
        self._series: Series = {}

    def means(self, signal: str, start: datetime, steps: int, step_s: int) -> NDArray[np.float64]:
        """Means over `steps` intervals from `start`; shape (steps,).

        Raises:
            InputError: times off the plant's own steps or outside of its run.
        """
        first = (start.astimezone(UTC) - self._begin).total_seconds() / self._step_s
        if first != int(first) or step_s % self._step_s or first < 0:
            raise InputError(
                f"the truth is not known from {start} on in steps of {step_s} s",
                f"expected whole steps of {self._step_s} s from {self._begin} on",
            )
        stop = int(first) + steps * step_s // self._step_s
        if stop > len(next(iter(self._series.values()), ())):
            self._series = self._run(self._until(stop))
        series = self._series[signal][int(first) : stop]
        if len(series) < stop - int(first):
            raise InputError("the truth ends before that", f"this run ends on {self._last}")
        return np.asarray(series.reshape(steps, -1).mean(axis=1), dtype=np.float64)

    def _until(self, stop: int) -> date:
        end = self._begin + timedelta(seconds=self._step_s * stop) + timedelta(days=AHEAD_DAYS)
        return min(end.date(), self._last)


def weather_idf() -> Idf:
    """A world without a building."""
    return Idf(
        [
            IdfObject("Version", ["25.2"]),
            IdfObject("Building", ["weather", "0", "City", "0.04", "0.2", "FullExterior"]),
            IdfObject("GlobalGeometryRules", ["UpperLeftCorner", "Counterclockwise", "World"]),
        ]
    )


def run_unattended(idf: Idf, job: Mapping[str, Any]) -> dict[str, Any]:
    """Run `idf` to its end; `values` and `sun` of all steps. Raises as `EngineProcess.receive`."""
    folder = Path(tempfile.mkdtemp(prefix="pilothouse-energyplus-"))
    try:
        idf.write(folder / "building.idf")
        files = {"building": str(folder / "building.idf"), "folder": str(folder)}
        process = EngineProcess({"zones": [], "faults": [], **job, **files, "unattended": True})
        try:
            return process.receive(LIMIT_S)
        finally:
            process.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
