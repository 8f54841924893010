"""How well a building twin predicts days it has not seen, beside three simple forecasts.

Every hour of the held-back days a prediction starts from what the past tells: measured air,
filtered hidden nodes, the twin's own errors of the last day. Weather, metered load and setpoints
are the true ones for the twin and the linear black box alike; the twin's own thermostats decide
heat and power. Compared: persistence (the value now), seasonal naive (the same time a day before,
and a week before), and `black_box`. Powers are means of the hour that ends at the horizon; energy
is the sum up to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.building.black_box import BlackBox, Target, targets_of
from sandbox.building.errors import row_errors
from sandbox.building.predict import (
    Predicted,
    input_table,
    states_of,
    window_rows,
)
from sandbox.building.rows import DAY_H, Ints, Rows
from sandbox.building.twin import BuildingTwin
from sandbox.model_errors import HEAT, HOURS, TEMPERATURE, ModelErrors, expected

Array = NDArray[np.float64]
HORIZONS_H = (1.0, 6.0, 24.0)
STRIDE_H = 1.0
WEEK_H = 7 * DAY_H


@dataclass(frozen=True)
class Trial:
    """Predictions of held-back windows: starts (W,), the error paths given to them, the result."""

    starts: Ints
    length: int
    predicted: Predicted
    states: Array
    table: Array


def try_out(
    twin: BuildingTwin, rows: Rows, errors: ModelErrors | None, first: int, last: int,
    stride_h: float = STRIDE_H,
) -> Trial:  # fmt: skip
    """Predict every window of a day in rows [first, last)."""
    length = rows.steps(max(HORIZONS_H))
    starts = rows.starts(first, last, length, rows.steps(stride_h))
    states, table = states_of(twin, rows), input_table(twin, rows)
    known = np.isfinite(states[starts]).all(axis=1)
    starts = starts[known]
    windows = with_expected_errors(twin, rows, errors, starts, table[window_rows(starts, length)])
    found, outputs = twin.run_table(states[starts], windows)
    return Trial(starts, length, as_predicted(twin, found, outputs), states, windows)


def as_predicted(twin: BuildingTwin, states: Array, outputs: Array) -> Predicted:
    """Arrays of a run by zone and unit."""
    at = {n: i for i, n in enumerate(twin.model.output_names)}
    names = twin.state_names
    return Predicted(
        temps={z: states[:, :, names.index(f"{z}.air")] for z in twin.structure.order},
        heat={z: outputs[:, :, at[f"{z}.heat_kw"]] for z in twin.structure.order},
        power={u.id: outputs[:, :, at[f"{u.id}.power_kw"]] for u in twin.layout.units},
    )


def input_of(name: str) -> str:
    """The model's input that an error by name is added to."""
    return name.replace(HEAT, ".gain_kw")


def with_expected_errors(
    twin: BuildingTwin, rows: Rows, errors: ModelErrors | None, starts: Ints, windows: Array
) -> Array:
    """Windows (W, length, U) with what the twin's errors of the last day let expect of the next."""
    if errors is None or not errors.days:
        return windows
    inputs, length = twin.model.input_names, windows.shape[1]
    found = windows.copy()
    for w, (now, recent) in enumerate(now_and_recent(twin, rows, starts)):
        for name, values in expected(errors, now, rows.step_s, length, recent).items():
            if not name.endswith(TEMPERATURE):
                found[w, :, inputs.index(input_of(name))] += values
    return found


def now_and_recent(
    twin: BuildingTwin, rows: Rows, starts: Ints
) -> Iterator[tuple[datetime, dict[str, Array]]]:
    """For each start its local time, and the twin's errors of the whole hours of the day before."""
    zone = rows.layout.site.zone_info
    hourly, begin = {}, rows.hours.begins[0]
    for name, values in row_errors(twin, rows).items():
        hourly[name], begin = rows.hourly(values)
    for row in starts:
        now = rows.hours.begins[int(row)] + timedelta(seconds=rows.step_s)
        done = int((now - begin).total_seconds() // 3600)
        yield now.astimezone(zone), {n: v[max(0, done - HOURS) : done] for n, v in hourly.items()}


def skill_table(trial: Trial, rows: Rows, split: int) -> list[dict[str, Any]]:
    """One row a signal and horizon: RMSE of the twin and of what it is compared with."""
    table = []
    targets = targets_of(rows)
    for horizon in HORIZONS_H:
        steps = rows.steps(horizon)
        # Starts on every row: a start an hour costs the black box a third of its accuracy.
        box = BlackBox(rows, rows.starts(0, split, steps, 1), steps)
        for target in targets:
            actual = target.at(trial.starts, steps)
            linear, penalty = box.predict(target, trial.starts)
            twin = _twin_value(trial, target, steps, rows)
            table.append(
                {
                    "signal": target.name,
                    "horizon_h": horizon,
                    "cases": len(actual),
                    "twin": rmse(twin - actual),
                    "persistence": rmse(_persistence(target, rows, trial.starts, steps) - actual),
                    "seasonal": rmse(_before(target, rows, trial.starts, steps, DAY_H) - actual),
                    "week_before": _week(target, rows, trial.starts, steps, actual),
                    "linear": rmse(linear - actual),
                    "linear_penalty": penalty,
                    "bias": float(np.mean(twin - actual)),
                }
            )
    return table


def _twin_value(trial: Trial, target: Target, steps: int, rows: Rows) -> Array:
    """The twin's prediction of a target."""
    p = trial.predicted
    asset, quantity = target.name.split(".", 1)
    if quantity == "temp_degc":
        return p.temps[asset][:, steps - 1]
    series = p.power[asset] if asset in p.power else np.sum(list(p.power.values()), axis=0)
    if target.total:
        return np.asarray(series[:, :steps].sum(axis=1) * rows.step_h)
    return np.asarray(series[:, steps - min(target.smooth, steps) : steps].mean(axis=1))


def _persistence(target: Target, rows: Rows, starts: Ints, steps: int) -> Array:
    """The value now; of a total, as much again as in the last hour, for as long."""
    if not target.total:
        return target.at(starts - target.smooth, target.smooth)
    hour = rows.steps(1.0)
    return np.asarray(target.at(starts - hour, hour) / hour * steps)


def _before(target: Target, rows: Rows, starts: Ints, steps: int, hours: float) -> Array:
    return target.at(np.maximum(starts - rows.steps(hours), 0), steps)


def _week(target: Target, rows: Rows, starts: Ints, steps: int, actual: Array) -> float | None:
    """Error of the same time a week before; None where the record does not reach back."""
    back = starts - rows.steps(WEEK_H)
    if (back < 0).any():
        return None
    return rmse(target.at(back, steps) - actual)


def rmse(error: Array) -> float:
    """Root mean square of the finite errors."""
    return float(np.sqrt(np.nanmean(np.square(error))))


def pooled(table: list[dict[str, Any]], suffix: str, horizon: float, column: str) -> float:
    """Root mean square of a column over all signals that end in `suffix` at a horizon."""
    values = [
        r[column] for r in table if r["signal"].endswith(suffix) and r["horizon_h"] == horizon
    ]
    return float(np.sqrt(np.mean(np.square(values))))
