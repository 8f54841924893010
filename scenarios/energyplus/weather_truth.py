"""What the weather will be, asked of the engine itself: a run of nothing but its weather.

The engine interpolates between the hours of the weather file and works out the sun's height; asking
it is simpler than doing the same twice, and exact.
"""

import math
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from scenarios.energyplus.epw import Place
from scenarios.energyplus.idf import Idf, IdfObject
from scenarios.energyplus.prepare import Preparation, set_calendar, set_location
from scenarios.energyplus.process import EngineProcess

DRY_BULB = ("Site Outdoor Air Drybulb Temperature", "Environment", False)
LIMIT_S = 120.0


def horizontal_w_m2(beam_w_m2: float, diffuse_w_m2: float, altitude_deg: float) -> float:
    """Global horizontal irradiance: beam x sin(altitude) + diffuse."""
    return beam_w_m2 * max(math.sin(math.radians(altitude_deg)), 0.0) + diffuse_w_m2


class WeatherTruth:
    """A year of weather from `begin`, run when it is first asked for.

    Args:
        weather: the .epw file; place: its place; how: the calendar and steps of the plant's run;
        begin: midnight of the weather's standard time at which that run begins.
    """

    def __init__(self, weather: Path, place: Place, how: Preparation, begin: datetime) -> None:
        self._weather, self._place, self._how = weather, place, how
        self.begin = begin.astimezone(UTC)
        self.step_s = 3600 // how.steps_per_hour
        self._series: dict[str, NDArray[np.float64]] = {}

    def means(self, quantity: str, start: datetime, steps: int, step_s: int) -> NDArray[np.float64]:
        """Means of `temp` (degC) or `ghi` (W/m2) over `steps` intervals from `start`; (steps,).

        Raises:
            InputError: times off the plant's own steps or outside of its year.
        """
        first = (start - self.begin).total_seconds() / self.step_s
        if first != int(first) or step_s % self.step_s:
            raise InputError(
                "the truth is kept by the plant's own step",
                f"start and step on whole steps of {self.step_s} s",
            )
        if not self._series:
            self._series = self._run()
        stop = int(first) + steps * step_s // self.step_s
        series = self._series[quantity]
        if first < 0 or stop > len(series):
            end = self.begin + timedelta(seconds=self.step_s * len(series))
            raise InputError(
                f"the truth is not known from {start} on for {steps} steps",
                f"this run knows {self.begin} to {end}",
            )
        block = series[int(first) : stop].reshape(steps, -1)
        return np.asarray(block.mean(axis=1), dtype=np.float64)

    def _run(self) -> dict[str, NDArray[np.float64]]:
        folder = Path(tempfile.mkdtemp(prefix="pilothouse-weather-"))
        try:
            idf = Idf(
                [
                    IdfObject("Version", ["25.2"]),
                    IdfObject("Building", ["weather", "0", "City", "0.04", "0.2", "FullExterior"]),
                    IdfObject(
                        "GlobalGeometryRules", ["UpperLeftCorner", "Counterclockwise", "World"]
                    ),
                ]
            )
            set_calendar(idf, self._how)
            set_location(idf, self._place)
            idf.write(folder / "building.idf")
            process = EngineProcess(
                {
                    "building": str(folder / "building.idf"), "weather": str(self._weather),
                    "folder": str(folder), "variables": [DRY_BULB], "zones": [], "faults": [],
                    "unattended": True,
                }
            )  # fmt: skip
            answer = process.receive(LIMIT_S)
            process.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return {
            "temp": np.array([v[0] for v in answer["values"]]),
            "ghi": np.array([horizontal_w_m2(*s) for s in answer["sun"]]),
        }
