"""Hour-ahead to day-ahead forecasts of household loads and PV: one linear rule a lead, fitted once.

Each lead (1 to 24 h) has its own ridge regression, whose coefficients come with the site pack and
were fitted on other houses. What it looks at is known at the time of the forecast: running means of
the same hour (half-lives of days), of the same hour of the week, the last hours' values, and the
weather that a forecast has told. The means of other houses stand in for a history that does not
exist yet, so that the first forecast can be made in the first hour.

Rows are hours; a row's index counts from the first row that was observed, which must begin
at midnight. Arrays: B houses, K = 24 leads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError

Array = NDArray[np.float64]
LEADS = 24
DAY = 24
WEEK = 168
PRIOR_DAYS = 28
LOAD_HALF_LIVES = (2.0, 8.0, 25.0)  # days
PV_HALF_LIVES = (2.0, 7.0, 20.0)
WEEK_HALF_LIFE = 2.0  # weeks
WEATHER_HALF_LIFE = 7.0
ENVELOPE_DAYS = 14
DAYLIGHT_KW = 0.3  # of the envelope: below it a clearness means nothing
DARK_KW = 0.02
LEAST_LOAD_KW = 0.02
COOLING_FROM_DEGC, HEATING_BELOW_DEGC = 20.0, 16.0
LOAD_FEATURES = 20 + DAY - 1
PV_FEATURES = 13
WEATHER = ("temp_degc", "direct_w_m2", "diffuse_w_m2")


@dataclass(frozen=True)
class LeadCoefficients:
    """What was fitted: `load` (K, 43), `pv` (K, 13), and the other houses' means by hour of the
    day: `load_profile` (24,) in kW, `pv_profile` (24,) in kW a kW rated."""

    load: Array
    pv: Array
    load_profile: Array
    pv_profile: Array


def read_coefficients(path: Path) -> LeadCoefficients:
    """Read the JSON file of a pack. Raises InputError for another shape than this file's."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = LeadCoefficients(
            *(np.asarray(document[k], dtype=float)
              for k in ("load", "pv", "load_profile", "pv_profile"))
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no forecasting coefficients: {error}") from error
    shapes = (found.load.shape, found.pv.shape, found.load_profile.shape, found.pv_profile.shape)
    expected = ((LEADS, LOAD_FEATURES), (LEADS, PV_FEATURES), (DAY,), (DAY,))
    if shapes != expected:
        raise InputError(f"{path}: shapes {shapes}", f"expected {expected}")
    return found


@dataclass(frozen=True)
class Observed:
    """What a row tells: mean kW of the hour, (B,) each; weather now and as forecast.

    `weather`: by lead in hours (0 for now): (temperature degC, direct, diffuse W/m2).
    """

    load_kw: Array
    pv_kw: Array
    weather: Mapping[int, tuple[float, float, float]]


class _Means:
    """Running means by hour of a period, (B, period), with a half-life in periods."""

    def __init__(self, first: Array, half_life: float) -> None:
        self.table = first.copy()
        self._keep = 0.5 ** (1.0 / half_life)

    def push(self, at: int, value: Array) -> None:
        column = self.table[:, at]
        known = np.where(np.isnan(column), value, column)
        self.table[:, at] = self._keep * known + (1.0 - self._keep) * value


class LeadForecaster:
    """Learns row by row; forecasts never look beyond the last row that was observed."""

    def __init__(self, coefficients: LeadCoefficients, rated_kw: Array, first_begin: datetime):
        """`rated_kw`: PV of each house, (B,); `first_begin`: where the first row begins, local.

        Raises InputError where that is not midnight.
        """
        if (first_begin.hour, first_begin.minute, first_begin.second) != (0, 0, 0):
            raise InputError(f"the first row begins at {first_begin}", "expected midnight")
        self._fitted, self._houses = coefficients, len(rated_kw)
        self._weekday = first_begin.weekday()
        load = np.tile(coefficients.load_profile, (self._houses, 1))
        pv = np.outer(rated_kw, coefficients.pv_profile)
        self._load = np.tile(load, PRIOR_DAYS)
        self._pv = np.tile(pv, PRIOR_DAYS)
        self._prior = self._load.shape[1]
        self.rows = 0
        self._load_means = [_Means(load, h) for h in LOAD_HALF_LIVES]
        self._week = _Means(np.tile(load, WEEK // DAY), WEEK_HALF_LIFE)
        self._pv_means = [_Means(pv, h) for h in PV_HALF_LIVES]
        self._sun = _Means(np.full((2, DAY), np.nan), WEATHER_HALF_LIFE)
        self._weather: dict[int, Array] = {}
        self._gap = [np.zeros(self._houses)] * DAY  # PV less its weekly mean, last hours
        self._under = [pv[:, h] for h in range(DAY)]  # and the envelope there
        self._last_mean, self._last_gap = load[:, -1], np.zeros(self._houses)
        self._last_under = pv[:, -1]

    def observe(self, row: Observed) -> None:
        """Take the next row."""
        n, hour = self.rows, self.rows % DAY
        for lead, values in row.weather.items():
            self._weather[n + lead] = np.asarray(values, dtype=float)
        self._weather.pop(n - WEEK, None)
        envelope = self._envelope()[:, hour]
        self._last_mean = self._load_means[1].table[:, hour].copy()
        self._last_gap = row.pv_kw - self._pv_means[1].table[:, hour]
        self._gap = [*self._gap[1:], self._last_gap]
        self._under = [*self._under[1:], envelope]
        self._last_under = envelope
        for means in self._load_means:
            means.push(hour, row.load_kw)
        self._week.push(n % WEEK, row.load_kw)
        for means in self._pv_means:
            means.push(hour, row.pv_kw)
        if n in self._weather:
            self._sun.push(hour, self._weather[n][1:] / 1000.0)
        self._load = np.concatenate([self._load[:, 1:], row.load_kw[:, None]], axis=1)
        self._pv = np.concatenate([self._pv[:, 1:], row.pv_kw[:, None]], axis=1)
        self.rows += 1

    def forecast(self) -> tuple[Array, Array]:
        """Expected load and PV of the next 24 hours, (B, K) kW each.

        Raises InputError before the first row.
        """
        load_x, pv_x = self.features()
        load = np.einsum("bkf,kf->bk", load_x, self._fitted.load)
        pv = np.einsum("bkf,kf->bk", pv_x, self._fitted.pv)
        lit = self._envelope()[:, np.arange(self.rows, self.rows + LEADS) % DAY] > DARK_KW
        return np.maximum(load, LEAST_LOAD_KW), np.where(lit, np.maximum(pv, 0.0), 0.0)

    def features(self) -> tuple[Array, Array]:
        """What the rules look at now: (B, K, 43) for loads, (B, K, 13) for PV.

        Raises InputError before the first row.
        """
        if self.rows == 0:
            raise InputError("nothing was observed yet", "hand over a row first")
        ahead = np.arange(self.rows, self.rows + LEADS)
        weather, before = self._weather_ahead(ahead)
        envelope = self._envelope()[:, ahead % DAY]
        return (
            self._load_features(ahead, weather, before),
            self._pv_features(ahead, envelope, weather, before),
        )

    def _envelope(self) -> Array:
        """Greatest PV of the last fortnight by hour of the day, (B, 24)."""
        tail = self._pv[:, -ENVELOPE_DAYS * DAY :].reshape(self._houses, ENVELOPE_DAYS, DAY)
        return np.asarray(np.roll(tail.max(axis=1), self.rows % DAY, axis=1))

    def _weather_ahead(self, ahead: NDArray[np.int64]) -> tuple[Array, Array]:
        """Temperature, direct and diffuse sun of the rows ahead and of the days before, (3, K).

        Rows of which no forecast has told yet lie on a line between those that have; where the
        day before is not known it counts as equal.
        """
        known = np.array(sorted(self._weather))
        if not len(known):
            return np.zeros((3, LEADS)), np.zeros((3, LEADS))
        values = np.array([self._weather[n] for n in known]).T
        now = np.array([np.interp(ahead, known, v) for v in values])
        before = now.copy()
        for k, n in enumerate(ahead - DAY):
            if n in self._weather:
                before[:, k] = self._weather[n]
        return now, before

    def _load_features(self, ahead: NDArray[np.int64], now: Array, before: Array) -> Array:
        """(B, K, 43)."""
        hour, size = ahead % DAY, (self._houses, LEADS)
        tables = [m.table[:, hour] for m in self._load_means]
        last, tail = self._load[:, -1], self._load
        week = tail[:, -WEEK:].mean(axis=1)
        at_row = [last, tail[:, -2], tail[:, -3], tail[:, -3:].mean(axis=1),
                  tail[:, -DAY:].mean(axis=1), week, self._last_mean]  # fmt: skip
        cool, heat = _degrees(now[0])
        cool0, heat0 = _degrees(before[0])
        weekend = self._weekend(ahead)
        scale = np.broadcast_to(week[:, None], size)
        hours = [np.where(hour == h, scale, 0.0) for h in range(1, DAY)]
        columns = [
            *tables, self._week.table[:, ahead % WEEK],
            tail[:, -DAY:], tail[:, -WEEK : -WEEK + LEADS],
            *(np.broadcast_to(v[:, None], size) for v in at_row),
            *(np.broadcast_to(v, size) for v in (cool, heat, cool - cool0, heat - heat0)),
            weekend * tables[1], weekend * scale, np.ones(size), *hours,
        ]  # fmt: skip
        return np.stack(columns, axis=-1)

    def _pv_features(
        self, ahead: NDArray[np.int64], envelope: Array, now: Array, before: Array
    ) -> Array:
        """(B, K, 13)."""
        hour = ahead % DAY
        tables = [m.table[:, hour] for m in self._pv_means]
        bright = self._last_under > DAYLIGHT_KW
        clear = np.where(bright, self._last_gap / np.maximum(self._last_under, DAYLIGHT_KW), 0.0)
        day = np.sum(self._gap, axis=0) / (np.sum(self._under, axis=0) + 0.1)
        sun, sun0 = now[1:] / 1000.0, before[1:] / 1000.0
        mean = self._sun.table[:, hour]
        usual = sun - np.where(np.isnan(mean), sun, mean)
        change = sun - sun0
        columns = [
            self._pv[:, -DAY:], *tables, envelope, clear[:, None] * envelope,
            day[:, None] * envelope, *(envelope * v for v in (*usual, *change, *sun)),
        ]  # fmt: skip
        return np.stack(columns, axis=-1)

    def _weekend(self, ahead: NDArray[np.int64]) -> Array:
        day = (self._weekday + ahead // DAY) % 7
        return (day >= 5).astype(float)


def _degrees(temp_degc: Array) -> tuple[Array, Array]:
    return (np.maximum(temp_degc - COOLING_FROM_DEGC, 0.0),
            np.maximum(HEATING_BELOW_DEGC - temp_degc, 0.0))  # fmt: skip
