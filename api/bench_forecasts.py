"""`bench forecasts`: how good the site's forecasts are, beside the naive ones and a library's.

Every forecast knows the record up to its origin and nothing after. Where scikit-learn is installed,
its gradient-boosted quantile regression is measured too, trained once on what lies before the first
origin; ours is what the copilot uses.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.bench_figure import Figure
from graph.errors import InputError
from graph.site import Site
from graph.sitepack import load_site, load_telemetry
from graph.telemetry import Frame
from planner.forecast import make_forecasts
from planner.forecast_score import (
    HOUR_S,
    QUANTILES,
    Score,
    naive_quantiles,
    scored,
    stated_quantiles,
)

Array = NDArray[np.float64]
Answer = tuple[Array, Array]
HOURS = 24
ORIGINS, QUICK_ORIGINS = 28, 8
APART_H = 13  # origins wander through the day
LEADS = {"first hour": slice(0, 1), "to 6 h": slice(1, 6), "to 24 h": slice(6, 24)}
OURS, LIBRARY = "ours", "boosted quantiles"
NAIVE = ("persistence", "day before")
INSIDE = 0.8  # of truths that a 90 % interval is to hold at least: some thirty days, correlated
NIGHT = 1e-6  # of the greatest sun: hours without any say nothing of a forecast


@dataclass(frozen=True)
class _Record:
    """A site's record and where forecasts are made from."""

    site: Site
    frame: Frame
    origins: tuple[int, ...]

    @property
    def size(self) -> int:
        return HOUR_S // self.frame.step_s

    def truth(self, signal: str, origin: int) -> Array:
        """Hourly means (HOURS,) of what came."""
        values = self.frame.column(signal)[origin : origin + HOURS * self.size]
        return np.asarray(values.reshape(HOURS, self.size).mean(axis=1))


def run_bench(folder: Path, *, quick: bool, say: Callable[[str], None]) -> list[Figure]:
    """Every figure, in one run. Raises InputError for a record that is too short."""
    record = _record(folder, QUICK_ORIGINS if quick else ORIGINS)
    answers: dict[str, dict[str, list[Answer]]] = {}
    for k, origin in enumerate(record.origins):
        for signal, made in _answers_at(record, origin).items():
            for name, answer in made.items():
                answers.setdefault(signal, {}).setdefault(name, []).append(answer)
        say(f"{k + 1} of {len(record.origins)} origins")
    if importlib.util.find_spec("sklearn") is not None:
        for signal, found in answers.items():
            found[LIBRARY] = _boosted(record, signal)
    figures = []
    for signal, found in answers.items():
        figures += _figures(record, signal, found)
    if importlib.util.find_spec("sklearn") is None:
        figures.append(Figure(f"{LIBRARY}: not measured", 0.0, "", note="no scikit-learn here"))
    return figures


def _record(folder: Path, count: int) -> _Record:
    pack = load_site(folder)
    frame = load_telemetry(folder, pack.site)
    size = HOUR_S // frame.step_s
    last = len(frame) - HOURS * size
    origins = tuple(last - k * APART_H * size for k in range(count))[::-1]
    if origins[0] < 21 * 24 * size:
        raise InputError("the record is too short for so many forecasts", "pass --quick")
    return _Record(pack.site, frame, origins)


def _answers_at(record: _Record, origin: int) -> dict[str, dict[str, Answer]]:
    known, step_s = record.frame.rows(0, origin), record.frame.step_s
    found: dict[str, dict[str, Answer]] = {}
    for forecast in make_forecasts(record.site, known, known.end, HOURS * record.size):
        series = known.column(forecast.signal)
        found[forecast.signal] = {
            OURS: stated_quantiles(forecast, step_s),
            **{k: naive_quantiles(series, origin, HOURS, step_s, k) for k in NAIVE},
        }
    return found


def _boosted(record: _Record, signal: str) -> list[Answer]:
    """scikit-learn's histogram gradient boosting, one model a quantile, the lead as a feature."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    day = 24 * record.size
    first = record.origins[0]
    past = range(8 * day, first - HOURS * record.size + 1, 3 * record.size)
    x = np.concatenate([_table(record, signal, o) for o in past])
    y = np.concatenate([record.truth(signal, o) for o in past])
    use = np.isfinite(y)
    ahead = [_table(record, signal, o) for o in record.origins]
    rows = []
    for level in QUANTILES:
        model = HistGradientBoostingRegressor(loss="quantile", quantile=level, random_state=0)
        model.fit(x[use], y[use])
        rows.append([model.predict(a) for a in ahead])
    table = np.sort(np.array(rows), axis=0)
    return [(table[QUANTILES.index(0.5), k], table[:, k]) for k in range(len(ahead))]


def _table(record: _Record, signal: str, origin: int) -> Array:
    """Features (HOURS, 8) of an origin: lead, hour, kind of day, what was, and what was then."""
    series, size = record.frame.column(signal), record.size
    day = 24 * size
    with np.errstate(all="ignore"):
        then = np.resize(series[origin - day : origin], HOURS * size).reshape(HOURS, size)
        week = np.array([series[origin - k * day : origin - (k - 1) * day] for k in range(1, 8)])
        usual = np.nanmean(week, axis=0).reshape(HOURS, size).mean(axis=1)
        level = float(np.nanmean(series[origin - day : origin]))
        recent = float(np.nanmean(series[origin - 2 * size : origin]))
    start = record.frame.times[origin - 1].astimezone(record.site.zone_info)
    lead = np.arange(HOURS, dtype=float)
    hour = (start.hour + start.minute / 60 + lead) % 24
    weekend = ((start.weekday() + (start.hour + lead) // 24) % 7 >= 5).astype(float)
    last = then[-1].mean()
    columns = [lead, hour, weekend, then.mean(axis=1), usual]
    return np.stack([*columns, *(np.full(HOURS, v) for v in (level, recent, last))], axis=1)


def _figures(record: _Record, signal: str, answers: dict[str, list[Answer]]) -> list[Figure]:
    truth = [record.truth(signal, o) for o in record.origins]
    unit = record.site.signal(signal).unit
    figures = []
    for leads, part in LEADS.items():
        scores = {n: _score(truth, found, part) for n, found in answers.items()}
        naive = min(scores[n].pinball for n in NAIVE)
        for name, score in scores.items():
            note = f"90 % interval holds {score.inside_90:.2f}, width {score.width_90:.3g}; "
            note += f"MAE {score.mae:.3g}, bias {score.bias:+.2g}"
            target = naive if name == OURS else None
            title = f"pinball loss, {signal}, {leads}: {name}"
            figures.append(Figure(title, score.pinball, unit, target, note=note))
    whole = _score(truth, answers[OURS], slice(0, HOURS))
    figures.append(Figure(f"inside 90 %, {signal}", whole.inside_90, "1", INSIDE, at_least=True))
    return figures


def _score(truth: list[Array], answers: list[Answer], leads: slice) -> Score:
    """Without the hours in which nothing is and nothing was expected: nights of the sun."""
    top = max(float(np.nanmax(t)) for t in truth)
    dark = [(np.abs(t) <= NIGHT * top) & (np.abs(a[1]).max(axis=0) <= NIGHT * top)
            for t, a in zip(truth, answers, strict=True)]  # fmt: skip
    lit = [np.where(d, np.nan, t) for d, t in zip(dark, truth, strict=True)]
    return scored(lit, [a[0] for a in answers], [a[1] for a in answers], leads)
