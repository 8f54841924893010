"""What a twin gets wrong, as days of hourly errors that futures draw from.

A fit replays the record and keeps, hour by hour, what has to be added to the twin so that it does
what the plant did (`report["model_errors"]`):

- `<zone>.unexplained_kw`, `<tank>.unexplained_kw`: heat that no model explains; it acts inside the
  simulation, so thermostats and stores answer to it;
- `<unit>.power_error_kw`: electric power beyond the model's, likewise inside;
- `<zone>.temp_error_k`: what remains of a temperature when heat is too blunt to explain it (a room
  under its thermostat), added after the simulation.

Days are local days, 24 hourly values from midnight, null where unknown. One day is drawn for all
signals, so errors that come together stay together, and it is read from the snapshot's hour on.

A path is bent to the present: anomalies from the mean day, of the last hours and of the last day,
fade with the lead by weights fitted on the record, exactly as the forecaster's do:

    e(lead) = mean(hour) + B(lead) now + [a_d(lead) - B(lead) f_d],

with a_d the drawn day's anomaly and f_d its own two features, so that the bracket is what the
features left unexplained on that day. Without a present (`now` unknown) the path is mean + a_d.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
HEAT, POWER, TEMPERATURE = ".unexplained_kw", ".power_error_kw", ".temp_error_k"
HOURS = 24
RECENT_H = 3
LEAST_OF_DAY_H = 12  # known hours that the mean of the last day needs
EDGES_H = (0, 1, 3, 6, 12, 24, 48)
LEAST_DAYS = 5  # fewer days of the season or kind wanted, and all are drawn from
SEASON_DAYS = 45  # how far apart in the year two days may be and still be of one season
DECIMALS = 4


@dataclass(frozen=True)
class ModelErrors:
    """Paths (D, 24) by signal on D local days, in order.

    of_parameters: each day's errors were found by a twin refitted without it, so they hold what
    the parameters get wrong; futures that drew parameters, too, would count that twice.
    """

    days: tuple[date, ...]
    paths: dict[str, Array]
    of_parameters: bool = False

    @cached_property
    def series(self) -> dict[str, Array]:
        """By signal, every hour from the first day's midnight on; NaN where nothing is known."""
        first = self.days[0].toordinal()
        size = (self.days[-1].toordinal() - first + 1) * HOURS
        made = {}
        for signal, table in self.paths.items():
            row = np.full(size, np.nan)
            for day, values in zip(self.days, table, strict=True):
                at = (day.toordinal() - first) * HOURS
                row[at : at + HOURS] = values
            made[signal] = row
        return made

    @cached_property
    def mean_day(self) -> dict[str, Array]:
        """By signal, the mean of each hour of the day, (24,); 0 where no day knows it."""
        return {s: _column_means(t) for s, t in self.paths.items()}

    @cached_property
    def anomalies(self) -> dict[str, Array]:
        """`series` less the mean day."""
        return {s: v - np.tile(self.mean_day[s], len(v) // HOURS) for s, v in self.series.items()}

    @cached_property
    def features(self) -> dict[str, Array]:
        """By signal, (hours, 2): mean anomaly of the last hours and of the last day before each."""
        return {s: _features(v) for s, v in self.anomalies.items()}

    @cached_property
    def fading(self) -> dict[str, Array]:
        """By signal, weights (edges - 1, 2) of the two features by range of leads."""
        return {s: _fading(v, self.features[s]) for s, v in self.anomalies.items()}


def from_report(report: Mapping[str, Any]) -> ModelErrors | None:
    """The errors that a fit left, or None. Raises InputError for a record of another shape."""
    document = report.get("model_errors")
    if not document or not document.get("days"):
        return None
    days = tuple(date.fromisoformat(d) for d in document["days"])
    paths = {s: np.array(rows, dtype=float) for s, rows in document["paths"].items()}
    for signal, table in paths.items():
        if table.shape != (len(days), HOURS):
            raise InputError(
                f"model errors of {signal} have shape {table.shape}",
                f"expected ({len(days)}, {HOURS}); fit the twin again with `site fit`",
            )
    return ModelErrors(days, paths, bool(document.get("of_parameters", False)))


def to_report(errors: ModelErrors) -> dict[str, Any]:
    """The record that `from_report` reads; unknown hours are null."""

    def row(values: Array) -> list[float | None]:
        return [round(float(v), DECIMALS) + 0.0 if np.isfinite(v) else None for v in values]

    return {
        "step_s": 3600,
        **({"of_parameters": True} if errors.of_parameters else {}),
        "days": [d.isoformat() for d in errors.days],
        "paths": {s: [row(v) for v in table] for s, table in errors.paths.items()},
    }


def join(parts: Iterable[ModelErrors]) -> ModelErrors:
    """Parts of one record, earlier days first, as one."""
    found = [p for p in parts if p.days]
    names = found[0].paths if found else {}
    return ModelErrors(
        tuple(d for p in found for d in p.days),
        {s: np.concatenate([p.paths[s] for p in found]) for s in names},
    )


def by_day(hourly: Mapping[str, Array], begin: datetime) -> ModelErrors:
    """Hourly series (H,) from `begin` (aware, in the site's zone) on as whole local days.

    A day with a clock change and days of which no hour is known are left out.
    """
    size = len(next(iter(hourly.values())))
    zone = begin.tzinfo
    local = [datetime.fromtimestamp(begin.timestamp() + 3600.0 * k, zone) for k in range(size)]
    first = next((k for k, t in enumerate(local) if t.hour == 0), size)
    days: list[date] = []
    rows: dict[str, list[Array]] = {s: [] for s in hourly}
    k = first
    while k + HOURS <= size:
        whole = local[k].hour == 0 and local[k + HOURS - 1].hour == HOURS - 1
        part = {s: v[k : k + HOURS] for s, v in hourly.items()}
        if whole and any(np.isfinite(v).any() for v in part.values()):
            days.append(local[k].date())
            for s, v in part.items():
                rows[s].append(v)
        k += next((j for j in range(HOURS - 1, HOURS + 2) if _midnight(local, k + j)), HOURS)
    return ModelErrors(tuple(days), {s: np.array(v).reshape(-1, HOURS) for s, v in rows.items()})


def _midnight(local: list[datetime], k: int) -> bool:
    return k < len(local) and local[k].hour == 0


def draw(
    errors: ModelErrors,
    uniform: Array,
    start: datetime,
    step_s: float,
    steps: int,
    recent: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Error paths (n, steps) by signal for n uniform numbers in [0, 1).

    Args:
        start: begin of the first step, aware, in the site's zone.
        recent: errors of the hours up to `start`, (h,) by signal, newest last, NaN where unknown.
    """
    lead_h, index = _hours(start, step_s, steps)
    origins = candidates(errors, start, int(index[-1]) + 1)
    chosen = origins[np.minimum((uniform * len(origins)).astype(np.int64), len(origins) - 1)]
    found = {}
    for signal, series in errors.anomalies.items():
        path = np.nan_to_num(series[np.minimum(chosen[:, None] + index[None], len(series) - 1)])
        now = present(errors, signal, recent, start)
        if now is not None:
            then = np.nan_to_num(errors.features[signal][chosen])
            path = path + (now[None] - then) @ _by_lead(errors.fading[signal], lead_h).T
        found[signal] = errors.mean_day[signal][(start.hour + index) % HOURS][None] + path
    return found


def expected(
    errors: ModelErrors,
    start: datetime,
    step_s: float,
    steps: int,
    recent: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """The mean of `draw` over all days, (steps,) by signal: the mean day and the present."""
    lead_h, index = _hours(start, step_s, steps)
    found = {}
    for signal, mean in errors.mean_day.items():
        path = mean[(start.hour + index) % HOURS]
        now = present(errors, signal, recent, start)
        if now is not None:
            path = path + _by_lead(errors.fading[signal], lead_h) @ now
        found[signal] = path
    return found


def candidates(errors: ModelErrors, start: datetime, hours: int) -> Ints:
    """Hours of the record to start a path from: the same hour of days that know all that follows.

    Days of the same season, and of those the ones that begin alike on a working day or a weekend,
    are preferred where there are at least `LEAST_DAYS` of them.
    """
    first = errors.days[0]
    day = np.array([d.toordinal() - first.toordinal() for d in errors.days])
    origins = day * HOURS + start.hour
    known = np.all([np.isfinite(v) for v in errors.series.values()], axis=0)
    gaps = np.concatenate([[0], np.cumsum(~known)])
    stop = origins + hours
    inside = stop <= len(known)
    whole = inside & (gaps[np.minimum(stop, len(known))] == gaps[origins])
    if not whole.any():
        raise InputError(
            f"no day of the twin's model errors covers {hours} hours from {start.hour} o'clock",
            "fit the twin on more telemetry, or ask for a shorter horizon",
        )
    season = whole & np.array([_apart(d, start.date()) <= SEASON_DAYS for d in errors.days])
    if season.sum() >= LEAST_DAYS:
        whole = season
    wanted = _kinds(start.date(), start.hour, hours)
    kind = whole & np.array([_kinds(d, start.hour, hours) == wanted for d in errors.days])
    return np.asarray(origins[kind if kind.sum() >= LEAST_DAYS else whole], dtype=np.int64)


def present(
    errors: ModelErrors, signal: str, recent: Mapping[str, Array] | None, start: datetime
) -> Array | None:
    """The two features of now, (2,), from the hours up to `start`; None where they are unknown."""
    values = None if recent is None else recent.get(signal)
    if values is None:
        return None
    hours = (start.hour - len(values) + np.arange(len(values))) % HOURS
    now = _pair(values - errors.mean_day[signal][hours])
    return now if np.isfinite(now).all() else None


def _hours(start: datetime, step_s: float, steps: int) -> tuple[Array, Ints]:
    """Lead of each step's middle in hours, and the hour after `start`'s own that it lies in."""
    lead_h: Array = (np.arange(steps, dtype=np.float64) + 0.5) * step_s / 3600.0
    into = (start.minute * 60 + start.second) / 3600.0
    hours: Ints = np.floor(lead_h + into).astype(np.int64)
    return lead_h, hours


def _by_lead(weights: Array, lead_h: Array) -> Array:
    """Weights (steps, 2) at each lead; beyond the last edge the last ones hold."""
    row = np.searchsorted(EDGES_H, lead_h, side="right") - 1
    return weights[np.minimum(row, len(weights) - 1)]


def _apart(one: date, other: date) -> int:
    """Days between two days of the year, whichever the year."""
    gap = abs(one.timetuple().tm_yday - other.timetuple().tm_yday)
    return min(gap, 365 - gap)


def _kinds(day: date, hour: int, hours: int) -> int:
    """Which of the days that a path touches are weekends, as bits."""
    count = -(-(hour + hours) // HOURS)
    return sum(((day + timedelta(days=k)).weekday() >= 5) << k for k in range(count))


def _pair(anomaly: Array) -> Array:
    """Features of one moment from the anomalies before it, newest last."""
    recent, whole = anomaly[-RECENT_H:], anomaly[-HOURS:]
    if not np.isfinite(recent).any() or np.isfinite(whole).sum() < LEAST_OF_DAY_H:
        return np.full(2, np.nan)
    return np.array([np.nanmean(recent), np.nanmean(whole)])


def _features(anomaly: Array) -> Array:
    recent, _ = _trailing(anomaly, RECENT_H)
    whole, known = _trailing(anomaly, HOURS)
    pair = np.stack([recent, np.where(known >= LEAST_OF_DAY_H, whole, np.nan)], axis=1)
    return np.where(np.isfinite(pair).all(axis=1)[:, None], pair, np.nan)


def _trailing(values: Array, width: int) -> tuple[Array, Ints]:
    """Mean of the known ones of the `width` values before each index, and how many they are."""
    known = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    stop = np.arange(len(values))
    begin = np.maximum(stop - width, 0)
    size = count[stop] - count[begin]
    mean = (total[stop] - total[begin]) / np.maximum(size, 1)
    return np.asarray(np.where(size > 0, mean, np.nan)), np.asarray(size, dtype=np.int64)


def _fading(anomaly: Array, features: Array) -> Array:
    """Least-squares weights of the features, by range of leads, shrunk by what is noise in them.

    Each weight w with standard error s is taken as w max(0, 1 - s^2 / w^2) (James and Stein 1961).
    Hours are no independent cases: the record counts as one case each stretch as long as the
    feature's window or the range of leads, whichever is longer.
    """
    hours = int(np.isfinite(anomaly).sum())
    weights = np.zeros((len(EDGES_H) - 1, 2))
    for i, (low, high) in enumerate(pairwise(EDGES_H)):
        x = np.concatenate([features[: len(features) - lead] for lead in range(low, high)])
        y = np.concatenate([anomaly[lead:] for lead in range(low, high)])
        good = np.isfinite(x[:, 0]) & np.isfinite(y)
        x, y = x[good], y[good]
        if len(y) < 2 * HOURS:
            continue
        gram = x.T @ x + 1e-9 * np.eye(2)
        found = np.linalg.solve(gram, x.T @ y)
        variance = float(np.mean((y - x @ found) ** 2)) * np.diag(np.linalg.inv(gram / len(y)))
        cases = hours / np.maximum([RECENT_H, HOURS], high - low)
        weights[i] = found * np.maximum(0.0, 1.0 - variance / cases / np.maximum(found**2, 1e-12))
    return weights


def _column_means(table: Array) -> Array:
    known = np.isfinite(table)
    total = np.where(known, table, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(known.sum(axis=0), 1))
