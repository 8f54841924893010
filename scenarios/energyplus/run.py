"""A run of the engine for a site: its prepared building, what is read, and the worker's job."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.record import as_utc
from graph.simulators import EnergyPlusSimulator
from graph.site import Site
from scenarios.energyplus.epw import Place, read_place
from scenarios.energyplus.faults import EnergyPlusFault, install
from scenarios.energyplus.foretold import DRY_BULB, horizontal_w_m2, run_unattended, weather_idf
from scenarios.energyplus.idf import Idf
from scenarios.energyplus.points import DEADBAND_K, PointPlan, point_plan
from scenarios.energyplus.prepare import Preparation, prepare, set_calendar, set_location

RUN_DAYS = 370


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


@dataclass(frozen=True)
class Run:
    """A building from `begin`, a midnight of the weather's standard time, for `RUN_DAYS`."""

    what: Building
    place: Place
    how: Preparation
    begin: datetime

    @property
    def weather_asset(self) -> str:
        """The site's weather station."""
        return self.what.site.of_kind("weather")[0].id

    def step_of(self, fault: EnergyPlusFault) -> int:
        """The first step in which a fault is there."""
        if fault.since is None:
            return 0
        elapsed_s = (as_utc(fault.since) - self.begin).total_seconds()
        return max(math.ceil(elapsed_s / self.what.site.step_s), 0)

    def job(self, last: date | None = None) -> tuple[Idf, PointPlan, dict[str, Any]]:
        """The prepared building, what is read of it, and the worker's job (without its files).

        Raises:
            InputError: the site declares something that the building does not have.
        """
        what = self.what
        how = self.how if last is None else replace(self.how, last=last)
        idf = prepare(Idf.read(what.building), self.place, how)
        plan = point_plan(what.site, what.simulator, idf)
        faults = [
            {"actuator": a.actuator, "value": a.value, "first": self.step_of(fault)}
            for k, fault in enumerate(what.faults)
            for a in install(idf, fault, k, what.simulator)
        ]
        zones = [
            {"zone": z.zone, "schedules": [z.heating_schedule, z.cooling_schedule]}
            for z in plan.zones
        ]
        return idf, plan, {
            "weather": str(what.weather), "zones": zones, "faults": faults,
            "variables": [[v.name, v.key, v.mean] for v in plan.variables],
            "deadband_k": DEADBAND_K,
        }  # fmt: skip

    def weather_until(self, last: date) -> Mapping[str, NDArray[np.float64]]:
        """The weather's signals up to the end of `last`."""
        idf = weather_idf()
        set_calendar(idf, replace(self.how, last=last))
        set_location(idf, self.place)
        read = run_unattended(idf, {"weather": str(self.what.weather), "variables": [DRY_BULB]})
        return {
            f"{self.weather_asset}.temp_degc": np.array([v[0] for v in read["values"]]),
            f"{self.weather_asset}.ghi_w_m2": np.array([horizontal_w_m2(*s) for s in read["sun"]]),
        }

    def load_until(self, last: date) -> Mapping[str, NDArray[np.float64]]:
        """The load's signal up to the end of `last`, from a run under the building's own law."""
        idf, plan, job = self.job(last)
        read = run_unattended(idf, {**job, "zones": []})
        name = f"{self.what.site.of_kind('load')[0].id}.power_kw"
        return {name: np.array([plan.values(v)[name] for v in read["values"]])}


def run_of(what: Building, begin: datetime) -> Run:
    """A run that begins on the day of `begin`, at midnight of the weather's standard time.

    Raises:
        InputError: the weather file is none, or the site's step is not one that the engine takes.
    """
    step_s = what.site.step_s
    steps_per_hour = 3600 / step_s
    if steps_per_hour != int(steps_per_hour) or 60 % steps_per_hour:
        raise InputError(
            f"EnergyPlus cannot step by {step_s} s",
            "its zone step is a whole fraction of an hour in whole minutes",
        )
    place = read_place(what.weather)
    local = as_utc(begin).astimezone(place.standard_time)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight.date()
    last = first + timedelta(days=RUN_DAYS)
    how = Preparation(first, last, int(steps_per_hour), what.simulator.design_days)
    return Run(what, place, how, midnight)
