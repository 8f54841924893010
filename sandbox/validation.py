"""How well a twin predicts days it has not seen, beside persistence and the day before.

Predictions start from measured states, every hour of the held-back days, with the weather, the
commands and the electric powers that then happened; the metered heat is not given, so the COP is
part of what is tried. Persistence holds the value at the start; seasonal naive takes the value of
the same time a day before (the nearest one that is known at the start).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.telemetry import Frame
from sandbox.energy_hub import HubTwin
from sandbox.fit_data import FitData
from sandbox.fit_thermal import ANY_TIME, Windows, initial_states, window_inputs, window_series
from sandbox.model_errors import HEAT, ModelErrors, draw
from sandbox.scenario import with_output_errors

Array = NDArray[np.float64]
HORIZONS_H = (1.0, 6.0, 24.0)
STRIDE_H = 1.0
COVERAGE_STRIDE_H = 3.0
COVERAGE_DRAWS = 60
# The least error that a sensor's resolution lets anybody claim: below it nobody is better.
RESOLUTION = {"degc": 0.1, "pct": 0.5}


def skill_table(twin: HubTwin, data: FitData, split: int) -> list[dict[str, Any]]:
    """One row a signal and horizon: RMSE of the twin, of persistence and of the day before."""
    layout = data.layout
    length = int(max(HORIZONS_H) / data.step_h)
    rows = data.starts(split, data.rows, length, int(STRIDE_H / data.step_h))
    windows = Windows(rows, length)
    predicted = predict(twin, data, windows, with_heat=False)
    table = []
    for signal in (*layout.zone_signals, layout.tank_signal, layout.soc_signal):
        actual = window_series(data.measured[signal], windows)
        start = data.measured[signal][rows]
        before = data.measured[signal][rows[:, None] + 1 + np.arange(length)[None] - length]
        for horizon in HORIZONS_H:
            k = int(horizon / data.step_h) - 1
            table.append(
                {
                    "signal": signal,
                    "horizon_h": horizon,
                    "cases": int(np.isfinite(actual[:, k]).sum()),
                    "twin": rmse(predicted[signal][:, k] - actual[:, k]),
                    "persistence": rmse(start - actual[:, k]),
                    "seasonal": rmse(before[:, k] - actual[:, k]),
                    "bias": float(np.nanmean(predicted[signal][:, k] - actual[:, k])),
                }
            )
    return table


def predict(
    twin: HubTwin, data: FitData, windows: Windows, with_heat: bool,
    errors: Mapping[str, Array] | None = None,
) -> dict[str, Array]:  # fmt: skip
    """Traces (W, length) of all windows with measured powers (and metered heat) imposed.

    errors: unexplained heat by name, (W, length).
    """
    layout = data.layout
    w, u = window_inputs(data, windows)
    unit, battery = layout.heat_pump.id, layout.battery.id
    given = [f"{unit}.power_kw", f"{battery}.power_kw"]
    given += [f"{unit}.heat_kw"] if with_heat else []
    imposed = {s: window_series(data.inputs[s], windows) for s in given}
    values = dict(zip(twin.parameters.names, twin.parameters.values, strict=True))
    x0 = initial_states(data, values, windows.rows)
    heat = {s: v for s, v in (errors or {}).items() if s.endswith(HEAT)}
    return twin.simulate(x0, w | heat, u, ANY_TIME, imposed=imposed).traces


def coverage(
    twin: HubTwin, data: FitData, split: int, begin: datetime, errors: ModelErrors | None,
    seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    """Share of held-back samples inside the 90 % band that draws span, by signal.

    Draws differ by parameters and, where given, by days of the twin's own errors from before the
    held-back days. Without `errors` the band is that of the parameters alone, and its shortfall
    says in how much the twin errs by structure and unmeasured heat. `begin`: begin of row 0 in the
    site's zone.
    """
    layout = data.layout
    length = int(max(HORIZONS_H) / data.step_h)
    rows = data.starts(split, data.rows, length, int(COVERAGE_STRIDE_H / data.step_h))
    windows = Windows(rows, length)
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    paths = _window_errors(data, begin, errors, windows, generator)
    drawn = []
    for k in range(COVERAGE_DRAWS):
        values = tuple(float(v) for v in twin.parameters.sample(generator))
        other = twin.with_parameters(twin.parameters.model_copy(update={"values": values}))
        mine = {s: v[k] for s, v in paths.items()}
        traces = predict(other, data, windows, with_heat=False, errors=mine)
        drawn.append(with_output_errors(traces, mine))
    found = {}
    for signal in (*layout.zone_signals, layout.tank_signal):
        low, high = np.quantile([d[signal] for d in drawn], (0.05, 0.95), axis=0)
        actual = window_series(data.measured[signal], windows)
        known = np.isfinite(actual)
        inside = (actual >= low - RESOLUTION["degc"]) & (actual <= high + RESOLUTION["degc"])
        found[signal] = float(inside[known].mean())
    return found


def _window_errors(
    data: FitData, begin: datetime, errors: ModelErrors | None, windows: Windows,
    generator: np.random.Generator,
) -> dict[str, Array]:  # fmt: skip
    """Error paths by name, (draws, W, length); {} without errors."""
    if errors is None or not errors.days:
        return {}
    found = []
    for row in windows.rows:
        start = begin + timedelta(seconds=data.step_s * (int(row) + 1))
        uniform = generator.random(COVERAGE_DRAWS)
        found.append(draw(errors, uniform, start, data.step_s, windows.length))
    return {s: np.stack([f[s] for f in found], axis=1) for s in found[0]}


def rmse(error: Array) -> float:
    """Root mean square of the finite errors."""
    return float(np.sqrt(np.nanmean(np.square(error))))


def verdict(table: list[dict[str, Any]]) -> tuple[bool, tuple[str, ...]]:
    """Fit for control when no signal at no horizon is worse than persistence.

    Errors within the sensor's resolution count as equal.
    """
    worse = []
    for row in table:
        floor = RESOLUTION["pct" if row["signal"].endswith("_pct") else "degc"]
        if not row["twin"] <= max(row["persistence"], floor):
            worse.append(
                f"{row['signal']} at {row['horizon_h']:g} h: error {row['twin']:.3g}, "
                f"persistence {row['persistence']:.3g}"
            )
    if worse:
        return False, tuple(worse)
    return True, ("no signal is predicted worse than by persistence on the held-back days",)


def innovations(twin: HubTwin, data: FitData, frame: Frame, rows: slice) -> dict[str, Any]:
    """One-step errors on the training rows: their spread, and noise split for the estimator.

    A one-step error is process noise plus measurement noise of both ends; measurement noise alone
    makes neighbouring errors correlate negatively, by its variance: R = -cov(e_k, e_k+1),
    Q = var(e) - 2 R, each kept above a hundredth of the error's variance.
    """
    layout = data.layout
    starts = data.starts(rows.start, rows.stop, 1, 1)
    windows = Windows(starts, 1)
    predicted = predict(twin, data, windows, with_heat=True)
    spread: dict[str, float] = {}
    mean: dict[str, float] = {}
    measurement: dict[str, float] = {}
    process: dict[str, float] = {}
    states = (*layout.zone_signals, layout.tank_signal, layout.soc_signal)
    for signal in states:
        error = window_series(data.measured[signal], windows)[:, 0] - predicted[signal][:, 0]
        error = error[np.isfinite(error)]
        mean[signal], spread[signal] = float(error.mean()), float(error.std())
        centred = error - error.mean()
        total = float(centred @ centred) / len(centred)
        noise = max(-float(centred[1:] @ centred[:-1]) / len(centred), total / 100.0)
        measurement[signal] = noise**0.5
        process[signal] = max(total - 2.0 * noise, total / 100.0) ** 0.5
    for signal, series in direct_residuals(twin, frame.columns).items():
        part = series[rows]
        part = part[np.isfinite(part)]
        if len(part):
            mean[signal], spread[signal] = float(part.mean()), float(part.std())
    return {
        "residual_std": spread,
        "residual_mean": mean,
        "process_std": process,
        "measurement_std": measurement,
    }


def direct_residuals(twin: HubTwin, columns: Any) -> dict[str, Array]:
    """Residuals that need no state: metered heat against COP, grid balance, following of commands.

    columns: signal -> (rows,), NaN where missing. A command is followed by its power.
    """
    layout = twin.layout
    unit, battery = layout.heat_pump.id, layout.battery.id
    tank = np.asarray(columns[layout.tank_signal], dtype=float)
    middle = (tank + np.concatenate([tank[:1], tank[:-1]])) / 2.0
    power = np.asarray(columns[f"{unit}.power_kw"], dtype=float)
    cop = twin.cop(columns[layout.outdoor_signal], middle)
    grid = np.asarray(columns[f"{layout.grid.id}.power_kw"], dtype=float)
    known = sum(columns[f"{a}.power_kw"] for a in (*layout.loads, battery, unit))
    known = known - sum(columns[f"{a}.power_kw"] for a in layout.pvs)
    return {
        f"{unit}.heat_kw": np.asarray(columns[f"{unit}.heat_kw"] - cop * power),
        f"{layout.grid.id}.power_kw": np.asarray(grid - known - twin.auxiliary_kw),
        f"{unit}.power_kw": np.asarray(power - columns[layout.heat_pump_point]),
        f"{battery}.power_kw": np.asarray(
            columns[f"{battery}.power_kw"] - columns[layout.battery_point]
        ),
    }
