"""How well fitted equations predict days that they have not seen, and how much noise there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sandbox.ode_fit import OdeData
    from sandbox.ode_twin import OdeTwin

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
HORIZONS_H = (1.0, 6.0, 24.0)
SAMPLES = 200
DIFFERENCE = 1e-3  # of a state's usual size


def skill_table(twin: OdeTwin, data: OdeData) -> list[dict[str, Any]]:
    """One row a sensor and horizon: RMSE of the twin, of persistence and of the day before.

    Predictions begin every hour of the held-back days, from measured states, with the commands and
    disturbances that then happened. Horizons longer than what was held back are left out.
    """
    step_s = float(data.frame.step_s)
    table: list[dict[str, Any]] = []
    for horizon in HORIZONS_H:
        length = round(horizon * 3600 / step_s)
        stride = max(1, round(3600 / step_s))
        first = max(data.split, round(86_400 / step_s))  # the day before must be there
        starts = data.starts(first, data.rows, length, stride, twin.layout.sensors)
        if not len(starts):
            continue
        table_in = data.windows(starts, length)
        shown = twin.run_table(initial(twin, data, starts), table_in, None, step_s)
        for signal in twin.layout.sensors:
            actual = data.shown[signal][starts + length]
            end, begin = shown[signal][:, -1], data.shown[signal][starts]
            day = data.shown[signal][starts + length - round(86_400 / step_s)]
            known = np.isfinite(actual)
            table.append(
                {
                    "signal": signal,
                    "horizon_h": horizon,
                    "cases": int(known.sum()),
                    "twin": rmse(end - actual),
                    "persistence": rmse(begin - actual),
                    "seasonal": rmse(day - actual),
                    "bias": float(np.nanmean(end - actual)),
                }
            )
    return table


def initial(twin: OdeTwin, data: OdeData, starts: Ints) -> Array:
    """See `sandbox.ode_fit.initial_states`."""
    from sandbox.ode_fit import initial_states

    return initial_states(twin, data, starts)


def rmse(error: Array) -> float:
    """Root mean square of the finite errors."""
    return float(np.sqrt(np.nanmean(np.square(error))))


def verdict(
    table: list[dict[str, Any]], noise: Mapping[str, float]
) -> tuple[bool, tuple[str, ...]]:
    """Fit for control when no sensor at no horizon is predicted worse than by persistence.

    Errors within the sensor's own noise count as equal.
    """
    if not table:
        return False, ("no held-back day to judge by: record more",)
    worse = tuple(
        f"{row['signal']} at {row['horizon_h']:g} h: error {row['twin']:.3g}, "
        f"persistence {row['persistence']:.3g}"
        for row in table
        if not row["twin"] <= max(row["persistence"], noise.get(row["signal"], 0.0))
    )
    if worse:
        return False, worse
    return True, ("no signal is predicted worse than by persistence on the held-back days",)


def innovations(twin: OdeTwin, data: OdeData) -> dict[str, dict[str, float]]:
    """Spread of one-step errors on the training rows, split into the sensors' noise and the rest.

    A one-step error from a measured state is e = v+ - a v + q: the noise at its end, the noise at
    its start passed on by a, the state's own response over the step, and what the equations miss.
    So R = -cov(e_k, e_k+1) / a and Q = var(e) - (1 + a^2) R, each kept above a hundredth of var(e).
    """
    starts = data.starts(0, data.split, 1, 1, twin.layout.sensors)
    table = data.windows(starts, 1)
    shown = twin.run_table(initial(twin, data, starts), table, None, float(data.frame.step_s))
    own = _own_response(twin, data, starts)
    spread, mean, process, measurement = {}, {}, {}, {}
    for signal in twin.layout.sensors:
        error = data.shown[signal][starts + 1] - shown[signal][:, 0]
        error = error[np.isfinite(error)]
        mean[signal], spread[signal] = float(error.mean()), float(error.std())
        centred = error - error.mean()
        total = float(centred @ centred) / len(centred)
        passed_on = max(own[signal], 0.1)
        noise = -float(centred[1:] @ centred[:-1]) / len(centred) / passed_on
        noise = min(max(noise, total / 100.0), total / (1.0 + passed_on**2))
        measurement[signal] = noise**0.5
        process[signal] = max(total - (1.0 + passed_on**2) * noise, total / 100.0) ** 0.5
    process |= _hidden_noise(twin, process)
    for signal, series in twin.direct_residuals(data.frame.columns).items():
        part = series[: data.split]
        part = part[np.isfinite(part)]
        if len(part):
            mean[signal], spread[signal] = float(part.mean()), float(part.std())
    return {
        "residual_std": spread,
        "residual_mean": mean,
        "process_std": process,
        "measurement_std": measurement,
    }


def _own_response(twin: OdeTwin, data: OdeData, starts: Ints) -> dict[str, float]:
    """By sensor, how much of a small change of its state is left one step later, on average."""
    some = starts[:: max(1, len(starts) // SAMPLES)]
    x0, table = initial(twin, data, some), data.windows(some, 1)
    found = {}
    for signal, state in twin.layout.state_of.items():
        i = twin.state_names.index(state)
        size = DIFFERENCE * twin.model.states[i].nominal
        moved = np.concatenate([x0, x0])
        moved[: len(some), i] += size
        both = np.concatenate([table, table])
        shown = twin.run_table(moved, both, None, float(data.frame.step_s))[signal][:, 0]
        found[signal] = float(np.mean(shown[: len(some)] - shown[len(some) :]) / size)
    return found


def _hidden_noise(twin: OdeTwin, process: Mapping[str, float]) -> dict[str, float]:
    """What the equations miss of states that no sensor shows: the usual share of their size."""
    size = {v.name: v.nominal for v in twin.model.states}
    shown = twin.layout.state_of
    share = float(np.mean([process[s] / size[n] for s, n in shown.items()])) if shown else 0.01
    return {n: share * size[n] for n in twin.state_names if n not in shown.values()}
