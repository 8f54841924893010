"""Forecasts of weather, sun and load from the site's own telemetry, with the errors they have made.

A forecast starts from the climatology of the last weeks by time of day (working days and weekends
apart for loads) and adds two anomalies that fade with the lead: that of the last two hours and that
of the last day. How fast they fade is fitted by least squares on the history itself. Sun and PV are
handled as a clearness index under the envelope of the last weeks, so that nights stay dark.

The same forecaster is then run at past moments, with fadings fitted on the other parts of the
history; its errors there, from the same time of day as now, are the error paths from which futures
are drawn. No archived weather forecasts are used: these are the errors of this forecaster.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.site import Site
from graph.snapshot import Forecast
from graph.telemetry import Frame

Array = NDArray[np.float64]

DAY_S = 86_400
CLIMATE_DAYS = 14
ENVELOPE_DAYS = 21
WARM_UP_DAYS = 7  # the first hindcast looks back on at least this much
MAX_ORIGINS = 76
MIN_ORIGINS = 8
PARTS = 4  # of the origins: the errors of each come from fadings fitted on the others
LEAST_PATHS = 8  # fewer whole ones of the same time of day, and all origins give one
KNOWN_SHARE = 0.9  # of a path's truth; what is missing would count as no error at all
RECENT_S = 2 * 3600
RIDGE = 0.05  # share of the anomalies' variance: few origins must not fit noise
LEAD_EDGES_H = (0.0, 1.0, 3.0, 6.0, 12.0, 24.0, 48.0)
ERROR_STEP_S = 3600
MIN_ENVELOPE = 0.02  # of the greatest value: below it is night, where clearness means nothing
METHOD = "climatology by time of day with fading anomalies, fitted on the site's own history"


@dataclass(frozen=True)
class _Series:
    """A signal's history and how it is to be treated."""

    signal: str
    unit: str
    values: Array
    solar: bool
    by_day_kind: bool
    minimum: float | None
    maximum: float | None
    decimals: int


@dataclass(frozen=True)
class _Calendar:
    """Rows of the history and of the horizon on the site's wall clock."""

    step_s: int
    rows: int
    weekend: NDArray[np.bool_]

    @property
    def per_day(self) -> int:
        return DAY_S // self.step_s


def make_forecasts(
    site: Site, frame: Frame, as_of: datetime, horizon_steps: int
) -> tuple[Forecast, ...]:
    """Forecast every disturbance of the site over `horizon_steps` after `as_of`.

    Args:
        frame: telemetry on the site's step up to `as_of`; NaN marks missing samples.

    Raises:
        InputError: the history ends elsewhere than at `as_of`, is shorter than two weeks, or a
            signal has no usable sample.
    """
    if abs((as_of - frame.end).total_seconds()) > frame.step_s:
        raise InputError(
            f"telemetry ends at {frame.end.isoformat()}, the forecast begins {as_of.isoformat()}",
            "hand over the history up to that moment, no more and no less",
        )
    calendar = _calendar(site, frame, horizon_steps)
    origins = _origins(calendar, horizon_steps)
    every = _all_series(site, frame)
    paths = _path_origins(every, calendar, origins, horizon_steps)
    return tuple(_forecast(series, calendar, origins, paths, horizon_steps) for series in every)


def _calendar(site: Site, frame: Frame, horizon_steps: int) -> _Calendar:
    total = len(frame) + horizon_steps
    begins = [frame.start + timedelta(seconds=frame.step_s * (k - 1)) for k in range(total)]
    # One look-up a day: the weekend begins at local midnight, quarter hours do not matter here.
    zone = site.zone_info
    weekend = np.array([t.astimezone(zone).weekday() >= 5 for t in begins])
    return _Calendar(frame.step_s, len(frame), weekend)


def _origins(calendar: _Calendar, horizon_steps: int) -> list[int]:
    """Past moments to forecast from: now, back in steps of half a day, while truth is known."""
    first = WARM_UP_DAYS * calendar.per_day
    last = calendar.rows - horizon_steps
    half = calendar.per_day // 2
    found = [i for i in range(calendar.rows, first - 1, -half) if i <= last][:MAX_ORIGINS]
    if len(found) < MIN_ORIGINS:
        days = calendar.rows / calendar.per_day
        raise InputError(
            f"{days:.1f} days of telemetry are too few to forecast {horizon_steps} steps",
            f"record at least {WARM_UP_DAYS + 6} days",
        )
    return found[::-1]


def _path_origins(
    every: Sequence[_Series], calendar: _Calendar, origins: Sequence[int], steps: int
) -> NDArray[np.bool_]:
    """Which origins give an error path: those of this time of day whose truth is known, (origins,).

    Shifted by half a day, a forecast of the sun would err at night.
    """
    known = [
        [np.isfinite(s.values[o : o + steps]).mean() >= KNOWN_SHARE for o in origins] for s in every
    ]
    whole = np.all(known, axis=0)
    same = whole & np.array([(calendar.rows - o) % calendar.per_day == 0 for o in origins])
    for chosen in (same, whole):
        if chosen.sum() >= LEAST_PATHS:
            return np.asarray(chosen)
    return np.ones(len(origins), dtype=bool)


def _all_series(site: Site, frame: Frame) -> list[_Series]:
    found = []
    for weather in site.of_kind("weather"):
        found.append(_series(site, frame, f"{weather.id}.temp_degc", decimals=2))
        found.append(_series(site, frame, f"{weather.id}.ghi_w_m2", solar=True, decimals=1))
    pvs = [f"{pv.id}.power_kw" for pv in site.of_kind("pv")]
    found += [_series(site, frame, signal, solar=True, decimals=3) for signal in pvs]
    loads = [f"{load.id}.power_kw" for load in site.of_kind("load")]
    found += [_series(site, frame, signal, by_day_kind=True, decimals=3) for signal in loads]
    return found


def _series(
    site: Site, frame: Frame, signal: str, *, solar: bool = False, by_day_kind: bool = False,
    decimals: int,
) -> _Series:  # fmt: skip
    spec = site.signal(signal)
    values = np.asarray(frame.column(signal), dtype=float)
    if not np.isfinite(values).any():
        raise InputError(f"telemetry has no usable sample of {signal}", "it cannot be forecast")
    floor = 0.0 if solar or by_day_kind else spec.minimum
    return _Series(signal, spec.unit, values, solar, by_day_kind, floor, spec.maximum, decimals)


def _forecast(
    series: _Series, calendar: _Calendar, origins: Sequence[int], paths: NDArray[np.bool_],
    steps: int,
) -> Forecast:  # fmt: skip
    """Fit the fading on the origins, forecast now, and keep the errors at those of `paths`."""
    bases, anomalies = zip(*(_features(series, calendar, o, steps) for o in origins), strict=True)
    truth = np.array([series.values[o : o + steps] for o in origins])
    base, features = np.array(bases), np.array(anomalies)
    scales = np.array([_scale(series, calendar, o, steps) for o in origins])
    weights = _fit(truth, base, features, scales, calendar.step_s)
    past = _past(series, base, features, scales, truth, calendar.step_s)
    now_base, now_features = _features(series, calendar, calendar.rows, steps)
    now_scale = _scale(series, calendar, calendar.rows, steps)
    values = _apply(series, now_base[None], now_features[None], now_scale[None], weights)[0]
    errors = np.nan_to_num(truth - past)[paths]
    return Forecast(
        signal=series.signal,
        unit=series.unit,
        method=METHOD,
        values=tuple(np.round(values, series.decimals).tolist()),
        error_step_s=ERROR_STEP_S,
        error_paths=_hourly(errors, calendar.step_s, series.decimals),
        minimum=series.minimum,
        maximum=series.maximum,
    )


def _features(series: _Series, calendar: _Calendar, origin: int, steps: int) -> tuple[Array, Array]:
    """Climatology over the horizon (steps,), and the two anomalies at the origin (2,)."""
    known = _normalised(series, calendar, origin)
    climate = _climatology(series, calendar, known)
    base = climate(origin, steps)
    day = calendar.per_day
    recent = RECENT_S // calendar.step_s
    expected = climate(origin - day, day)
    difference = known[-day:] - expected
    anomalies = [_mean(difference[-recent:]), _mean(difference)]
    if series.solar and not np.isfinite(difference[-recent:]).any():
        anomalies[0] = anomalies[1]
    return base, np.array(anomalies)


def _normalised(series: _Series, calendar: _Calendar, origin: int) -> Array:
    """History before `origin`; for sun and PV as clearness under the envelope, NaN at night."""
    known = series.values[:origin]
    if not series.solar:
        return known
    envelope = _envelope(known, calendar)
    index = np.arange(origin) % calendar.per_day
    limit = MIN_ENVELOPE * envelope.max()
    with np.errstate(divide="ignore", invalid="ignore"):
        clear = known / envelope[index]
    return np.where(envelope[index] > limit, np.clip(clear, 0.0, 1.2), np.nan)


def _envelope(known: Array, calendar: _Calendar) -> Array:
    """Greatest value of the last weeks by time of day, widened by a step to either side."""
    day = calendar.per_day
    table, order = _by_time_of_day(known, day, ENVELOPE_DAYS)
    top = np.full(day, 0.0)
    top[order] = np.nanmax(np.where(np.isfinite(table), table, 0.0), axis=0)
    return np.asarray(np.maximum.reduce([np.roll(top, 1), top, np.roll(top, -1)]))


def _by_time_of_day(known: Array, day: int, days: int) -> tuple[Array, NDArray[np.int64]]:
    """The last whole `days` as (days, per day), and which time of day each column is."""
    count = min(days, len(known) // day)
    tail = known[len(known) - count * day :]
    order = (np.arange(day) + len(known)) % day
    return tail.reshape(count, day), order


def _climatology(series: _Series, calendar: _Calendar, known: Array) -> Callable[[int, int], Array]:
    """A function (first row, count) -> expected values, from the rows of `known` only."""
    day = calendar.per_day
    table, order = _by_time_of_day(known, day, CLIMATE_DAYS)
    overall = _mean(known)
    if not series.by_day_kind:
        profile = np.full(day, overall)
        profile[order] = _column_means(table, overall)
        return lambda first, count: profile[(np.arange(first, first + count)) % day]
    first_row = len(known) - table.size
    kind = calendar.weekend[first_row : first_row + table.size].reshape(table.shape)
    profiles = {}
    for weekend in (False, True):
        chosen = np.where(kind == weekend, table, np.nan)
        profile = np.full(day, overall)
        profile[order] = _column_means(chosen, np.nan)
        fallback = np.full(day, overall)
        fallback[order] = _column_means(table, overall)
        profiles[weekend] = np.where(np.isfinite(profile), profile, fallback)

    def expected(first: int, count: int) -> Array:
        rows = np.arange(first, first + count)
        weekend = calendar.weekend[rows]
        return np.where(weekend, profiles[True][rows % day], profiles[False][rows % day])

    return expected


def _column_means(table: Array, empty: float) -> Array:
    valid = np.isfinite(table)
    count = valid.sum(axis=0)
    total = np.where(valid, table, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), empty)


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0


def _scale(series: _Series, calendar: _Calendar, origin: int, steps: int) -> Array:
    """What a normalised value is multiplied by, (steps,): the envelope for sun and PV, else 1."""
    if not series.solar:
        return np.ones(steps)
    envelope = _envelope(series.values[:origin], calendar)
    return envelope[np.arange(origin, origin + steps) % calendar.per_day]


def _fit(truth: Array, base: Array, features: Array, scales: Array, step_s: int) -> Array:
    """Weights of the anomalies by lead, (steps, 2): ridge regression in each range of leads."""
    steps = truth.shape[1]
    lead_h = (np.arange(steps) + 0.5) * step_s / 3600.0
    weights = np.zeros((steps, 2))
    for low, high in pairwise(LEAD_EDGES_H):
        inside = (lead_h >= low) & (lead_h < high)
        if not inside.any():
            continue
        x = features[:, None, :] * scales[:, inside, None]
        y = truth[:, inside] - base[:, inside] * scales[:, inside]
        rows = np.isfinite(y)
        a, b = x[rows], y[rows]
        gram = a.T @ a
        penalty = RIDGE * np.trace(gram) / 2 + 1e-9
        weights[inside] = np.linalg.solve(gram + penalty * np.eye(2), a.T @ b)
    return weights


def _past(
    series: _Series, base: Array, features: Array, scales: Array, truth: Array, step_s: int
) -> Array:
    """Forecasts at the origins (origins, steps), each with weights that have not seen its part."""
    part = np.arange(len(truth)) * PARTS // len(truth)
    past = np.empty_like(truth)
    for k in range(PARTS):
        rest, mine = part != k, part == k
        weights = _fit(truth[rest], base[rest], features[rest], scales[rest], step_s)
        past[mine] = _apply(series, base[mine], features[mine], scales[mine], weights)
    return past


def _apply(series: _Series, base: Array, features: Array, scales: Array, weights: Array) -> Array:
    """Forecasts (origins, steps) inside the signal's physical range."""
    values = (base + np.einsum("of,sf->os", features, weights)) * scales
    return np.asarray(np.clip(values, series.minimum, series.maximum))


def _hourly(errors: Array, step_s: int, decimals: int) -> tuple[tuple[float, ...], ...]:
    """Hourly means of the error paths, the last hour as far as it reaches."""
    size = max(1, ERROR_STEP_S // step_s)
    hours = -(-errors.shape[1] // size)
    means = [errors[:, h * size : (h + 1) * size].mean(axis=1) for h in range(hours)]
    table = np.round(np.array(means).T, decimals) + 0.0
    return tuple(tuple(row.tolist()) for row in table)
