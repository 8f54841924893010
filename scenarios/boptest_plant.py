"""A BOPTEST test case as a plant: an adapter of `StepSimulator` over the REST client.

1. Every setpoint of the site is a pair `<x>_u`, `<x>_activate`. A point that is not commanded is
   sent with `activate: 0` in every step, and so is every other pair of the test case: the server
   keeps an input that is not sent, so silence would leave an override on.
2. Units are converted here and nowhere else: signal = scale x point + offset, and back.
3. `advance` tells what holds at the end of a step. Powers, irradiance and outdoor temperature are
   means over it, so they are read from the server's own record of the step.
4. The server's clock is checked against ours after each step.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import NamedTuple

from graph.errors import InputError, UnavailableError
from graph.record import as_utc, iso
from graph.resampling import is_state
from graph.signals import Role
from graph.simulators import BoptestSimulator
from graph.site import Site
from graph.sitepack import SitePack
from scenarios.boptest.client import Advanced, BoptestClient
from scenarios.boptest.points import ACTIVATE, find_points, switch_of
from scenarios.simulated_plant import SimulatedPlant

log = logging.getLogger(__name__)
LOGGED_WARM_UP_S = 3600.0  # rows before the start: the state from which the first step is judged
CLOCK_TOLERANCE_S = 1.0
RECORD_GRID_S = 30.0  # a shorter step has no record of its own


class PlantEvent(NamedTuple):
    """Something that the server changed of what it was sent (a value out of range is clipped)."""

    time: datetime
    text: str


class BoptestStepper:
    """One running test. Implements `StepSimulator`.

    Args:
        site: declares the signals; each needs an entry in the simulator's map.
        spec: the map, the test case, the year.
        start: first moment of the run. In a standard scenario it must lie inside it.
        client: for a server that speaks the same language; by default the address of `spec`.

    Raises:
        InputError: a signal without a point, a point that the test case does not have, a start
            before the year or outside the scenario.
        UnavailableError: the server does not answer, or not sensibly.
    """

    def __init__(
        self, site: Site, spec: BoptestSimulator, start: datetime,
        client: BoptestClient | None = None,
    ) -> None:  # fmt: skip
        self.site, self.spec = site, spec
        self.step_s = float(site.plant.cycle_s)
        self.events: list[PlantEvent] = []
        self._origin = _origin(site, spec.year)
        self._flows = tuple(
            s.id for s in site.signals
            if s.role is not Role.SETPOINT and not is_state(site, s.id)
        )  # fmt: skip
        self._client = client or BoptestClient(spec.url)
        try:
            self._client.select(spec.testcase)
            self.points = find_points(site, spec, self._client)
            self._client.set_step(self.step_s)
            self._begin(start)
        except Exception:
            self.close()
            raise

    @property
    def time(self) -> datetime:
        """See `StepSimulator.time`."""
        return self._origin + timedelta(seconds=self._now_s)

    @property
    def local_values(self) -> Mapping[str, float]:
        """See `StepSimulator.local_values`."""
        return dict(self._local)

    @property
    def client(self) -> BoptestClient:
        """The client, for the server's own forecasts and KPIs."""
        return self._client

    def step(self, commands: Mapping[str, float]) -> dict[str, float]:
        """See `StepSimulator.step`. Raises UnavailableError when the scenario is over, too."""
        begun = self._now_s
        answer = self._client.advance(self.inputs(commands))
        if answer is None:
            raise UnavailableError(
                f"the scenario of {self.spec.testcase} is over at {iso(self.time)}",
                "end the run before, or choose no time_period",
            )
        self._check_time(answer, begun)
        for words in answer.warnings:
            log.warning("BOPTEST at %s: %s", iso(self.time), words)
            self.events.append(PlantEvent(self.time, words))
        values = self._values(answer.values)
        values.update(self._means(begun))
        self._local.update({p: values[p] for p in self.points.read_back if p not in commands})
        return values

    def inputs(self, commands: Mapping[str, float]) -> dict[str, float]:
        """What is sent for `commands`: every pair of the test case, most of them off.

        Raises:
            InputError: a command for no setpoint, or no finite number.
        """
        sent = dict.fromkeys((pair + ACTIVATE for pair in self.points.pairs), 0.0)
        for point, value in commands.items():
            if point not in self.points.read_back or not math.isfinite(value):
                known = ", ".join(self.points.read_back)
                raise InputError(f"{point} = {value} cannot be commanded", f"setpoints: {known}")
            place = self.spec.points[point]
            sent[place.name] = (value - place.offset) / place.scale
            sent[switch_of(place)] = 1.0
        return sent

    def forecast(
        self, signals: Sequence[str], steps: int, step_s: float
    ) -> dict[str, tuple[float, ...]]:
        """The server's own forecast of mapped points at the END of each of `steps` steps.

        signals: names of forecast points of the test case (units stay the test case's).
        """
        found = self._client.forecast(signals, steps * step_s, step_s)
        return {name: tuple(found[name][1:]) for name in signals}

    def kpis(self) -> dict[str, float | None]:
        """The test case's own KPIs since the start; see `BoptestClient.kpis`."""
        return self._client.kpis()

    def close(self) -> None:
        """Every point back to the baseline law's hands by ending the test. Never raises."""
        try:
            self._client.stop()
        except UnavailableError as error:
            log.warning("the test case was not stopped: %s", error)
        self._client.close()

    # --- inside ---------------------------------------------------------------------------------

    def _begin(self, start: datetime) -> None:
        """Warm up under the baseline law to a little before `start`."""
        ask = (as_utc(start) - self._origin).total_seconds()
        if ask < 0:
            raise InputError(
                f"the plant cannot start at {iso(start)}",
                f"its year {self.spec.year} begins at {iso(self._origin)}",
            )
        state = self._set_up(ask)
        self._now_s = _time_of(state)
        self._local = {
            point: self._converted(point, state.get(name, math.nan))
            for point, name in self.points.read_back.items()
        }
        for point, value in self._local.items():
            if math.isnan(value):
                raise UnavailableError(f"the server does not say what is in force at {point}")

    def _set_up(self, ask_s: float) -> dict[str, float]:
        """The state from which the test case is stepped: a scenario's, or one shortly before."""
        scenario = {
            "time_period": self.spec.time_period, "electricity_price": self.spec.electricity_price,
        }  # fmt: skip
        given = {name: value for name, value in scenario.items() if value is not None}
        state = self._client.set_scenario(**given) if given else None
        if self.spec.time_period is not None:
            if state is None:
                raise UnavailableError("the scenario gave no initial state")
            return state
        steps = min(max(LOGGED_WARM_UP_S // self.step_s, 1), ask_s // self.step_s)
        begin = ask_s - steps * self.step_s
        state = self._client.initialise(begin, min(self.spec.warm_up_s, begin))
        if abs(_time_of(state) - begin) > CLOCK_TOLERANCE_S:
            raise UnavailableError(f"the server starts at {_time_of(state)} s and not at {begin} s")
        return state

    def _check_time(self, answer: Advanced, begun: float) -> None:
        now = answer.values["time"]
        if not begun < now <= begun + self.step_s + CLOCK_TOLERANCE_S:
            raise UnavailableError(
                f"after a step of {self.step_s:g} s from {begun:g} s the server says {now:g} s",
                "is somebody else stepping this test?",
            )
        if now < begun + self.step_s - CLOCK_TOLERANCE_S:
            raise UnavailableError(
                f"the scenario of {self.spec.testcase} ended within a step, at {now:g} s",
                "end the run on a whole step before",
            )
        self._now_s = begun + self.step_s

    def _values(self, state: Mapping[str, float]) -> dict[str, float]:
        """Every signal at the end of the step. NaN where the server gave no number."""
        values = {
            signal: self._converted(signal, sum(state.get(n, math.nan) for n in names))
            for signal, names in self.points.read.items()
        }
        for point, name in self.points.read_back.items():
            value = self._converted(point, state.get(name, math.nan))
            values[point] = self._local[point] if math.isnan(value) else value
        return values

    def _means(self, begun: float) -> dict[str, float]:
        """Flows averaged over the step by trapezes through the server's record of it."""
        if self.step_s <= RECORD_GRID_S or not self._flows:
            return {}
        names = tuple(dict.fromkeys(n for s in self._flows for n in self.points.read[s]))
        record = self._client.results(names, begun, self._now_s)
        means = {name: _mean(record["time"], record[name]) for name in names}
        found = {
            signal: self._converted(signal, sum(means[n] for n in self.points.read[signal]))
            for signal in self._flows
        }
        return {signal: value for signal, value in found.items() if math.isfinite(value)}

    def _converted(self, signal: str, value: float) -> float:
        place = self.spec.points[signal]
        return value * place.scale + place.offset


def _time_of(state: Mapping[str, float]) -> float:
    found = state.get("time", math.nan)
    if not math.isfinite(found):
        raise UnavailableError("the server's initial state has no time")
    return found


def _mean(times: Sequence[float], values: Sequence[float]) -> float:
    """Trapezes over what was recorded, which may begin and end a little inside the step."""
    good = [(t, v) for t, v in zip(times, values, strict=True) if math.isfinite(v)]
    if len(good) < 2:
        return good[0][1] if good else math.nan
    area = sum((t1 - t0) * (v0 + v1) / 2.0 for (t0, v0), (t1, v1) in pairwise(good))
    return area / (good[-1][0] - good[0][0])


def _origin(site: Site, year: int) -> datetime:
    """1 January, 00:00 of the site's standard time: test cases know no summer time."""
    zone = site.zone_info
    offsets = [datetime(year, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)]
    standard = min(o for o in offsets if o is not None)
    return as_utc(datetime(year, 1, 1, tzinfo=timezone(standard)))


def build(pack: SitePack, start: datetime, seed: int) -> SimulatedPlant:
    """The pack's test case at `start`, its watchdog off; see `scenarios.plants`."""
    spec = pack.site.plant.simulator
    if not isinstance(spec, BoptestSimulator):
        raise InputError(f"site {pack.site.id} names no BOPTEST test case")
    stepper = BoptestStepper(pack.site, spec, start)
    try:
        return SimulatedPlant(
            pack.site, stepper, seed=seed, watchdog_s=math.inf, start=as_utc(start)
        )
    except Exception:
        stepper.close()
        raise
