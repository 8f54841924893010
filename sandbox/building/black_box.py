"""A linear black box to be beaten: ridge regressions with everything that the twin is given.

One regression a target and horizon (a direct multi-step ARX, which has no error to accumulate):

    y(t + h) = linear in: air temperatures now, an hour ago and their mean of a day; powers of the
    last hour and day; the target a day earlier (two where that is not known yet); means of weather,
    sun on the facades, metered load, ventilation and all setpoints over five stretches that end at
    t + h; one weight an hour and kind of day.

Setpoints, weather and load after t are the true ones, as for the twin. The penalty is chosen on the
last days of training, then the weights are fitted on all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sandbox.building.calendar import HOURS
from sandbox.building.rows import DAY_H, Ints, Rows
from sandbox.building.structure import DAY_KINDS

Array = NDArray[np.float64]
EDGES_H = (0.0, 1.0, 3.0, 6.0, 12.0, 24.0)  # stretches before the target's time
PENALTIES = tuple(float(v) for v in np.logspace(-2, 5, 15))
CHOOSE_DAYS = 5.0  # of the training rows, to choose the penalty


class Running:
    """Means over stretches of a series (R,); missing rows are left out."""

    def __init__(self, series: Array) -> None:
        known = np.isfinite(series)
        self.sums = np.concatenate([[0.0], np.cumsum(np.where(known, series, 0.0))])
        self.counts = np.concatenate([[0], np.cumsum(known)])

    def mean(self, last: Ints, width: int) -> Array:
        """Mean of the `width` rows up to and with `last` (fewer at the begin); NaN of none."""
        stop = np.maximum(last + 1, 0)
        begin = np.maximum(stop - width, 0)
        count = self.counts[stop] - self.counts[begin]
        total = self.sums[stop] - self.sums[begin]
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Target:
    """A series (R,) to predict: its value at t + h, or its sum over (t, t + h] (`total`)."""

    name: str
    series: Array
    total: bool = False
    smooth: int = 1

    def at(self, starts: Ints, steps: int) -> Array:
        """The value `steps` rows after each start: a mean over `smooth` rows, or a sum."""
        width = steps if self.total else min(self.smooth, steps)
        found = Running(self.series).mean(starts + steps, width)
        return found * width if self.total else found


def targets_of(rows: Rows) -> list[Target]:
    """Every air temperature, every unit's power, all units together, and their energy in kWh."""
    hour = rows.steps(1.0)
    total = np.sum(list(rows.power.values()), axis=0)
    found = [Target(f"{z}.temp_degc", v) for z, v in rows.temps.items()]
    found += [Target(f"{u}.power_kw", v, smooth=hour) for u, v in rows.power.items()]
    found.append(Target("hvac.power_kw", total, smooth=hour))
    found.append(Target("hvac.energy_kwh", total * rows.step_h, total=True))
    return found


class BlackBox:
    """Ridge regressions fitted on training starts; `predict` gives values at held-back starts."""

    def __init__(self, rows: Rows, train: Ints, horizon_steps: int) -> None:
        """train: starts whose targets all lie in the training rows."""
        self.rows, self.steps = rows, horizon_steps
        self.train = train[train >= 2 * rows.steps(DAY_H)]
        self.shared = _features(rows, self.train, horizon_steps)

    def predict(self, target: Target, starts: Ints) -> tuple[Array, float]:
        """Predicted values (W,) at `starts` and the penalty that was chosen."""
        x = np.concatenate([self.shared, self._own(target, self.train)], axis=1)
        y = target.at(self.train, self.steps)
        cut = self.train[-1] - self.rows.steps(CHOOSE_DAYS * DAY_H)
        early = self.train + self.steps <= cut
        late = self.train > cut
        penalty = _choose(x[early], y[early], x[late], y[late])
        new = np.concatenate(
            [_features(self.rows, starts, self.steps), self._own(target, starts)], axis=1
        )
        return _ridge(x, y, [penalty], new)[0], penalty

    def _own(self, target: Target, starts: Ints) -> Array:
        """The target's own past: the last value and the one of a whole number of days before."""
        day = self.rows.steps(DAY_H)
        back = day * int(np.ceil(self.steps / day))
        earlier = np.maximum(starts - back, 0)
        return np.stack([target.at(starts - self.steps, self.steps),
                         target.at(earlier, self.steps)], axis=1)  # fmt: skip


def _features(rows: Rows, starts: Ints, steps: int) -> Array:
    """(W, X) of what all targets share."""
    end = starts + steps
    columns = []
    hour, day = rows.steps(1.0), rows.steps(DAY_H)
    for air in rows.temps.values():
        whole = Running(air).mean(starts, day)
        columns += [air[starts], air[np.maximum(starts - hour, 0)], whole]
    for power in rows.power.values():
        past = Running(power)
        columns += [past.mean(starts, hour), past.mean(starts, day)]
    for series in _driving(rows).values():
        stretch = Running(series)
        for near, far in pairwise(EDGES_H):
            columns.append(stretch.mean(end - rows.steps(near), rows.steps(far - near)))
    kinds = np.eye(len(DAY_KINDS) * HOURS)[rows.kinds[end]]
    return np.concatenate([np.stack(columns, axis=1), kinds], axis=1)


def _driving(rows: Rows) -> Mapping[str, Array]:
    setpoints = {f"{z}.low": v for z, v in rows.low.items()}
    setpoints |= {f"{z}.high": v for z, v in rows.high.items()}
    return {**rows.shared, **setpoints}


def _choose(x: Array, y: Array, x_late: Array, y_late: Array) -> float:
    guesses = _ridge(x, y, list(PENALTIES), x_late)
    errors = [float(np.mean((g - y_late) ** 2)) for g in guesses]
    return PENALTIES[int(np.argmin(errors))]


def _ridge(x: Array, y: Array, penalties: list[float], new: Array) -> list[Array]:
    """Predictions at `new` by ridge regressions on standardised columns."""
    level, spread = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    # What is missing counts as its mean.
    z, fresh = (np.nan_to_num((part - level) / spread) for part in (x, new))
    gram, right = z.T @ z, z.T @ (y - y.mean())
    eye = np.eye(len(gram))
    return [y.mean() + fresh @ np.linalg.solve(gram + p * eye, right) for p in penalties]
