"""What happens to the plant from outside: weather, load, people, doors, at one-minute resolution.

The pack's typical year and load profile carry the shape; on top come seeded disturbances that no
forecaster can know: passing clouds, the local deviation of the air temperature, load spikes,
occupancy, doors. All of it is a function of time and seed alone, never of what was commanded, so
two branches of the same plant live through the same weather, and `truth` can tell it in advance.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.telemetry import Frame, read_frame

Array = NDArray[np.float64]

DAY_S = 86_400
MINUTES = 1440
WEATHER = (
    "outdoor.temp_degc", "outdoor.wind_m_s", "outdoor.ghi_w_m2",
    "pv.poa_w_m2", "facade_south.w_m2", "facade_north.w_m2",
)  # fmt: skip

RATED_KW = 40.0  # PV nameplate; PVWatts loss and temperature terms (Dobos 2014, NREL/TP-6A20-62641)
SYSTEM_FACTOR = 0.86
TEMPERATURE_COEFFICIENT = -0.0037  # a kelvin
NOCT_DEGC = 45.0  # nominal operating cell temperature; cell heating after Ross 1976


@dataclass(frozen=True, slots=True)
class Minute:
    """The world during one minute (kW, degC, W/m2, m/s); zones in the order north, south."""

    temp: float
    wind: float
    ghi: float
    pv_kw: float
    load_kw: float
    facade: tuple[float, float]
    gains_kw: tuple[float, float]
    door: tuple[float, float]


class Exogenous:
    """Seeded disturbances over the pack's data. Shared by copies of a plant; holds no plant state.

    Raises:
        SitePackError: a data file is missing or wrong.
    """

    def __init__(self, data_dir: Path, zone: ZoneInfo, seed: int) -> None:
        self._weather = read_frame(data_dir / "weather.parquet", WEATHER, missing_allowed=False)
        load = read_frame(data_dir / "load.parquet", ["building.power_kw"], missing_allowed=False)
        self._load = load
        self._zone = zone
        self._seed = seed
        self._days: dict[int, list[Minute]] = {}
        self._truth: dict[int, dict[str, Array]] = {}

    def minute(self, epoch_s: int) -> Minute:
        """The minute that ends at or after `epoch_s`."""
        day, second = divmod(epoch_s - 1, DAY_S)
        minutes = self._days.get(day)
        if minutes is None:
            minutes = self._build(day)
        return minutes[second // 60]

    def noise(self, epoch_s: int, width: int) -> list[list[float]]:
        """Standard normal sensor noise for each minute of the day that holds `epoch_s`."""
        draws = self._rng((epoch_s - 1) // DAY_S, 9).standard_normal((MINUTES, width))
        return [[float(x) for x in row] for row in draws]

    def truth(self, signal: str, start: datetime, steps: int, step_s: int) -> Array:
        """Means over each of `steps` intervals from `start`; shape (steps,).

        Raises:
            InputError: a signal that depends on what is commanded, or times off the minute.
        """
        first = start.timestamp()
        if first % 60 or step_s % 60:
            raise InputError("the truth is kept by the minute", "start and step on whole minutes")
        begin, count = int(first) // 60, steps * step_s // 60
        found: list[Array] = []
        day = begin // MINUTES
        while day * MINUTES < begin + count:
            if day not in self._truth:
                self._build(day)
            if signal not in self._truth[day]:
                known = ", ".join(self._truth[day])
                raise InputError(f"{signal} is not given from outside", f"known: {known}")
            found.append(self._truth[day][signal])
            day += 1
        offset = begin % MINUTES
        series = np.concatenate(found)[offset : offset + count]
        return np.asarray(series.reshape(steps, -1).mean(axis=1), dtype=np.float64)

    def _rng(self, day: int, stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self._seed, day, stream]))

    def _knots(self, day: int, stream: int, every_min: int) -> Array:
        """Smooth noise (1440,): normal knots, linear between them, continuous over midnight."""
        count = MINUTES // every_min
        here = self._rng(day, stream).standard_normal(count)
        after = self._rng(day + 1, stream).standard_normal(1)
        at = np.arange(MINUTES) / every_min
        knots = np.concatenate([here, after])
        return np.asarray(np.interp(at, np.arange(count + 1), knots), dtype=np.float64)

    def _build(self, day: int) -> list[Minute]:
        middles: Array = np.arange(MINUTES, dtype=np.float64) * 60.0 + (day * DAY_S + 30.0)
        w = {n: _sample(self._weather, n, middles) for n in WEATHER}
        busy, local_hour = self._office(middles)
        temp = w["outdoor.temp_degc"] + 0.7 * self._knots(day, 0, 360)
        cloud = np.clip(
            1.0 + 0.15 * self._knots(day, 1, 20) + 0.05 * self._knots(day, 2, 5), 0.3, 1.3
        )
        ghi = np.clip(w["outdoor.ghi_w_m2"] * cloud, 0.0, 1300.0)
        pv = _pv_kw(w["pv.poa_w_m2"] * cloud, temp)
        load = self._building(day, middles, busy)
        people = 14.0 * busy * np.clip(1.0 + 0.25 * self._knots(day, 3, 60), 0.0, 2.0)
        gains = 0.1 * people + 0.16 * load  # 100 W a person; the rest of the load is elsewhere
        wind = np.clip(w["outdoor.wind_m_s"] * (1 + 0.3 * self._knots(day, 4, 10)), 0.0, 40.0)
        doors = [self._doors(day, 5 + z, local_hour, busy) for z in (0, 1)]
        self._truth[day] = {
            "outdoor.temp_degc": temp, "outdoor.ghi_w_m2": ghi,
            "pv.power_kw": pv, "building.power_kw": load,
        }  # fmt: skip
        columns = (
            temp, wind, ghi, pv, load,
            w["facade_north.w_m2"] * cloud, w["facade_south.w_m2"] * cloud,
            0.45 * gains, 0.55 * gains, *doors,
        )  # fmt: skip
        rows = zip(*(c.tolist() for c in columns), strict=True)
        self._days[day] = [
            Minute(t, v, g, p, d, (fn, fs), (gn, gs), (dn, ds))
            for t, v, g, p, d, fn, fs, gn, gs, dn, ds in rows
        ]
        return self._days[day]

    def _office(self, middles: Array) -> tuple[Array, Array]:
        """Share of the staff that is in (0-1) and the local hour, for each minute."""
        base = datetime.fromtimestamp(float(middles[0]), UTC)
        quarters = [
            (base + timedelta(minutes=15 * k)).astimezone(self._zone) for k in range(MINUTES // 15)
        ]
        hour = np.repeat([t.hour + t.minute / 60.0 for t in quarters], 15)
        working = np.repeat([1.0 if t.weekday() < 5 else 0.08 for t in quarters], 15)
        rise = np.interp(
            hour, [7.0, 9.0, 11.5, 12.5, 13.5, 16.5, 18.5], [0, 0.9, 1, 0.6, 0.95, 0.85, 0]
        )
        return working * rise, hour

    def _building(self, day: int, middles: Array, busy: Array) -> Array:
        """Load in kW with slow and fast deviations and a few spikes of 2-6 kW."""
        profile = _sample(self._load, "building.power_kw", middles)
        load = profile * (1.0 + 0.06 * self._knots(day, 7, 30) + 0.02 * self._knots(day, 8, 2))
        rng = self._rng(day, 10)
        for _ in range(int(rng.poisson(5))):
            at, length = int(rng.integers(0, MINUTES)), int(rng.integers(4, 15))
            size = float(rng.uniform(2.0, 6.0))
            if busy[at] > 0.05 or rng.random() < 0.2:
                load[at : at + length] += size
        return np.maximum(load, 0.5)

    def _doors(self, day: int, stream: int, hour: Array, busy: Array) -> Array:
        """Open share (0-1) of a zone's outer door."""
        rng = self._rng(day, stream)
        door = np.zeros(MINUTES)
        for at in np.flatnonzero((rng.random(MINUTES) < 0.02 * busy) & (hour > 6)):
            door[at : at + int(rng.integers(1, 6))] = rng.uniform(0.3, 1.0)
        return door


def _sample(frame: Frame, name: str, middles: Array) -> Array:
    """Linear between the middles of the intervals. Raises InputError outside the data."""
    ends = frame.start.timestamp() + frame.step_s * np.arange(len(frame), dtype=np.float64)
    if middles[0] < ends[0] - frame.step_s or middles[-1] > ends[-1]:
        when = datetime.fromtimestamp(float(middles[0]), UTC).date()
        raise InputError(
            f"the plant's data have no {name} on {when}",
            f"they reach from {frame.start.date()} to {frame.end.date()}",
        )
    at = np.interp(middles, ends - frame.step_s / 2, frame.column(name))
    return np.asarray(at, dtype=np.float64)


def _pv_kw(poa: Array, temp: Array) -> Array:
    """AC power of the array from the irradiance on its plane (W/m2) and the air (degC)."""
    cell = temp + poa * (NOCT_DEGC - 20.0) / 800.0
    dc = RATED_KW * poa / 1000.0 * (1.0 + TEMPERATURE_COEFFICIENT * (cell - 25.0))
    return np.clip(dc * SYSTEM_FACTOR, 0.0, RATED_KW)
