"""Our controller of the district: forecasts, hedged futures, a plan an hour, its first power."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from planner.fleet_dispatch import FleetBattery, FleetCase, FleetPlanner, FleetWorth
from planner.fleet_futures import FleetFutures, ForecastErrors
from planner.lead_forecast import LEADS, LeadForecaster, Observed

Array = NDArray[np.float64]
DAY = 24
LEVELS, PATHS = 5, 6
MEMORY_DAYS = 60  # the score's denominators are estimated from so many days, and
PRIOR_DAYS = 7  # from so many days of what is expected, while there are few
EXTRA_KW = 0.12  # a house imports more than the import of its mean: loads scatter
# Means over draws of five of houses 6 to 17, a house, without batteries: upward steps, daily peak,
# 1 - load factor; and the highest peak of four months over the mean daily peak.
PRIOR_RAMP_KW, PRIOR_PEAK_KW, PRIOR_LOAD_FACTOR = 0.2, 2.0, 0.82
ALL_OVER_DAILY = 1.8
FLOOR = 0.57  # of it: a lower peak of all days is not to be had, so it is not aimed at
PEAK_SMOOTHING = 0.7  # of the forecast's peak: what is left of it once the batteries have worked


class Foresight(Protocol):
    """What is expected of the next hours, and what may come instead."""

    def observe(self, observed: Observed) -> None:
        """Take an hour."""

    def ahead(self) -> tuple[Array, FleetFutures]:
        """Expected net loads (B, T), and futures about them."""


class Forecasts:
    """Our forecasts and the errors that they have made. Causal: it sees what it was shown."""

    def __init__(self, forecaster: LeadForecaster, houses: int) -> None:
        self._forecaster, self._errors = forecaster, ForecastErrors(houses)
        self._load = self._pv = np.zeros((houses, LEADS))

    def observe(self, observed: Observed) -> None:
        """Take an hour, and forecast from it."""
        self._forecaster.observe(observed)
        self._load, self._pv = self._forecaster.forecast()
        net = observed.load_kw - observed.pv_kw
        self._errors.observe(net, self._load[:, 0], self._pv[:, 0])

    def ahead(self) -> tuple[Array, FleetFutures]:
        """See `Foresight`."""
        rows = self._forecaster.rows
        return self._load - self._pv, self._errors.futures(
            self._load, self._pv, LEVELS, PATHS, rows
        )


class Unhedged:
    """The same forecasts taken for certain, for comparison only."""

    def __init__(self, forecasts: Forecasts) -> None:
        self._forecasts = forecasts

    def observe(self, observed: Observed) -> None:
        """Take an hour."""
        self._forecasts.observe(observed)

    def ahead(self) -> tuple[Array, FleetFutures]:
        """See `Foresight`."""
        expected, _ = self._forecasts.ahead()
        return expected, _certain(expected)


class PerfectForesight:
    """What will be, for comparison only. `net_kw`: (B, hours) of the window that was observed."""

    def __init__(self, net_kw: Array) -> None:
        # Nothing is known beyond the window: its last day stands in.
        self._net = np.concatenate([net_kw, net_kw[:, -DAY:]], axis=1)
        self._row = 0

    def observe(self, observed: Observed) -> None:  # noqa: ARG002  it knows already
        """Take an hour."""
        self._row += 1

    def ahead(self) -> tuple[Array, FleetFutures]:
        """See `Foresight`."""
        expected = self._net[:, self._row : self._row + LEADS]
        return expected, _certain(expected)


def _certain(expected: Array) -> FleetFutures:
    """One future: what is expected, (B, T)."""
    total = expected.sum(axis=0)[None]
    return FleetFutures(expected[:, :, None], np.diff(total, prepend=0.0), total)


@dataclass(frozen=True)
class Window:
    """The run: hours, and the published prices and carbon of them and a day beyond."""

    hours: int
    price: Array
    carbon: Array


@dataclass(frozen=True)
class Past:
    """What was observed before the run: an hour each; prices and carbon (hours,)."""

    rows: tuple[Observed, ...] = ()
    price: Array = field(default_factory=lambda: np.zeros(0))
    carbon: Array = field(default_factory=lambda: np.zeros(0))


class DistrictController:
    """One decision an hour, for all batteries."""

    def __init__(
        self, batteries: tuple[FleetBattery, ...], foresight: Foresight, window: Window,
        past: Past | None = None,
    ) -> None:  # fmt: skip
        """`past`: the hours right before the window, if any were observed; the foresight is shown
        them here.

        Raises InputError where prices or carbon end before the window and a day beyond.
        """
        least = window.hours + 1
        if min(len(window.price), len(window.carbon)) < least:
            raise InputError(f"prices or carbon end before hour {least}")
        self._planner, self._foresight, self._window = FleetPlanner(batteries), foresight, window
        self._eta = np.array([b.numbers.eta_discharge for b in batteries])
        past = past or Past()
        most = MEMORY_DAYS * DAY
        self._history = [r.load_kw - r.pv_kw for r in past.rows][-most:]
        self._past_price, self._past_carbon = list(past.price[-most:]), list(past.carbon[-most:])
        self._before = max((float(h.sum()) for h in self._history), default=0.0)
        self._row = 0
        self._day_peak = self._highest = 0.0
        for row in past.rows:
            foresight.observe(row)

    def decide(self, observed: Observed, charge_kwh: Array, net_kw: Array) -> Array:
        """Powers for the next hour, (B,) kW, after an hour with these net loads, (B,) kW."""
        self._remember(observed, net_kw)
        expected, futures = self._foresight.ahead()
        price, carbon = (
            _ahead(s, self._row + 1) for s in (self._window.price, self._window.carbon)
        )
        self._row += 1
        today = DAY - self._row % DAY
        if today == DAY:
            self._day_peak = 0.0
        worth, floor = self._worth(expected, price, carbon, today)
        case = FleetCase(
            charge_kwh, futures, float(net_kw.sum()), self._day_peak,
            max(self._highest, floor), today,
        )  # fmt: skip
        return self._planner.plan(case, worth)[:, 0]

    def _remember(self, observed: Observed, net_kw: Array) -> None:
        total = float(net_kw.sum())
        self._day_peak, self._highest = max(self._day_peak, total), max(self._highest, total)
        self._foresight.observe(observed)
        without = observed.load_kw - observed.pv_kw
        self._before = max(self._before, float(without.sum()))
        most = MEMORY_DAYS * DAY
        self._history = [*self._history, without][-most:]
        self._past_price = [*self._past_price, self._window.price[self._row]][-most:]
        self._past_carbon = [*self._past_carbon, self._window.carbon[self._row]][-most:]

    def _worth(
        self, expected: Array, price: Array, carbon: Array, today: int
    ) -> tuple[FleetWorth, float]:
        """The score's derivative by each term, for a window as long as a day times its days."""
        houses, steps = expected.shape
        past = np.array(self._history).T
        scatter = np.maximum(expected, 0.0).mean(axis=1) + EXTRA_KW
        paid, emitted = (
            _mean_bought(past, np.array(was), scatter * float(will.mean()))
            for was, will in ((self._past_price, price), (self._past_carbon, carbon))
        )
        energy = (price / paid[:, None] + carbon / emitted[:, None]) / (3 * houses * DAY)
        ramp, peak, factor = _typical_days(past.sum(axis=0), houses)
        all_days = max(ALL_OVER_DAILY * peak, self._before)
        mean, top = expected.sum(axis=0).mean(), max(expected.sum(axis=0).max(), 0.0)
        shaved = max(PEAK_SMOOTHING * top, 1.0)
        a_peak = 1.0 / (12.0 * peak) + max(mean, 0.0) / shaved**2 / (12.0 * factor)
        worth = FleetWorth(
            energy=energy,
            ramp=1.0 / (12.0 * DAY * ramp),
            day_peak=(a_peak, a_peak * (steps - min(today, steps)) / DAY),
            highest=self._window.hours / DAY / (12.0 * all_days),
            end=self._eta * np.median(energy, axis=1),
        )
        return worth, FLOOR * all_days


def _ahead(series: Array, row: int) -> Array:
    """The next day of a series, its last value held beyond its end."""
    return np.asarray(series[np.minimum(np.arange(row, row + LEADS), len(series) - 1)])


def _mean_bought(past: Array, worth: Array, prior: Array) -> Array:
    """What an hour without a battery costs a house, (B,)."""
    weight = PRIOR_DAYS * DAY
    bought = (np.maximum(past, 0.0) * worth).sum(axis=1)
    return np.asarray((bought + weight * prior) / (past.shape[1] + weight))


def _typical_days(total: Array, houses: int) -> tuple[float, float, float]:
    """Without batteries: mean upward step an hour, mean daily peak (kW), mean 1 - load factor."""
    days = len(total) // DAY
    table = total[len(total) - days * DAY :].reshape(days, DAY)
    weight = PRIOR_DAYS
    steps = np.maximum(np.diff(total), 0.0).sum()
    ramp = (steps + weight * DAY * PRIOR_RAMP_KW * houses) / (len(total) + weight * DAY)
    peaks = table.max(axis=1) if days else np.zeros(0)
    factor = 1.0 - table.mean(axis=1) / np.maximum(peaks, 0.5) if days else np.zeros(0)
    peak = (peaks.sum() + weight * PRIOR_PEAK_KW * houses) / (days + weight)
    factor_mean = (factor.sum() + weight * PRIOR_LOAD_FACTOR) / (days + weight)
    return float(ramp), float(peak), float(factor_mean)
