"""How well a twin predicts days it has not seen, beside persistence and the day before.

Predictions start from measured states, every hour of the held-back days, with the weather, the
commands and the electric powers that then happened; the metered heat is not given, so the COP is
part of what is tried. Persistence holds the value at the start; seasonal naive takes the value of
the same time a day before (the nearest one that is known at the start).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.telemetry import Frame
from sandbox.energy_hub import HubTwin
from sandbox.fit_data import FitData
from sandbox.fit_thermal import ANY_TIME, Windows, initial_states, window_inputs, window_series

Array = NDArray[np.float64]
HORIZONS_H = (1.0, 6.0, 24.0)
STRIDE_H = 1.0
COVERAGE_STRIDE_H = 6.0
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


def predict(twin: HubTwin, data: FitData, windows: Windows, with_heat: bool) -> dict[str, Array]:
    """Traces (W, length) of all windows with measured powers (and metered heat) imposed."""
    layout = data.layout
    w, u = window_inputs(data, windows)
    unit, battery = layout.heat_pump.id, layout.battery.id
    given = [f"{unit}.power_kw", f"{battery}.power_kw"]
    given += [f"{unit}.heat_kw"] if with_heat else []
    imposed = {s: window_series(data.inputs[s], windows) for s in given}
    values = dict(zip(twin.parameters.names, twin.parameters.values, strict=True))
    x0 = initial_states(data, values, windows.rows)
    return twin.simulate(x0, w, u, ANY_TIME, imposed=imposed).traces


def coverage(twin: HubTwin, data: FitData, split: int, seed: int = 0) -> dict[str, float]:
    """Share of held-back samples inside the 90 % band that parameter draws alone span, by signal.

    Below 0.9 the twin errs in ways its parameters cannot say: structure and unmeasured heat. A
    band of sampled futures is then too narrow by as much, apart from what forecasts add.
    """
    layout = data.layout
    length = int(max(HORIZONS_H) / data.step_h)
    rows = data.starts(split, data.rows, length, int(COVERAGE_STRIDE_H / data.step_h))
    windows = Windows(rows, length)
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    drawn = []
    for _ in range(COVERAGE_DRAWS):
        values = tuple(float(v) for v in twin.parameters.sample(generator))
        other = twin.with_parameters(twin.parameters.model_copy(update={"values": values}))
        drawn.append(predict(other, data, windows, with_heat=False))
    found = {}
    for signal in (*layout.zone_signals, layout.tank_signal):
        low, high = np.quantile([d[signal] for d in drawn], (0.05, 0.95), axis=0)
        actual = window_series(data.measured[signal], windows)
        known = np.isfinite(actual)
        inside = (actual >= low - RESOLUTION["degc"]) & (actual <= high + RESOLUTION["degc"])
        found[signal] = float(inside[known].mean())
    return found


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
