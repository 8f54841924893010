"""Where the plant is: an extended Kalman filter over the recent history, on the site's step.

1. Start from the first good sample of each measured state; masses start at their air's temperature.
2. Per step: predict through the twin with the measured weather, commands, powers and metered heat;
   the Jacobian is numeric (central differences, all states in one batch).
3. Update with each good sample. A sample beyond GATE standard deviations of its innovation is kept
   as a residual and not used, so a glitch does not bend the state; after PATIENCE such samples in a
   row the plant is believed (an open window is no glitch), and diagnostics see the residuals.
4. Noise comes from the fit (`process_std`, `measurement_std`), or from sensor classes without one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.plant import Readings
from graph.signals import Quality
from graph.snapshot import History, StateEstimate
from sandbox.energy_hub import HubTwin
from sandbox.parameters import covariance_rows
from sandbox.validation import direct_residuals

Array = NDArray[np.float64]
GATE = 6.0
PATIENCE = 4
KEPT_RESIDUALS = 48  # the last twelve hours on a quarter-hour step
DIFFERENCE = 0.01  # K or %: small against any state, large against rounding
MASS_START_STD = 1.0  # K: how far a mass may be from its air when nothing is known
MASS_NOISE_SHARE = 0.3  # of the air's process noise: a mass is slower and hidden
DEFAULT_PROCESS_STD = {"degc": 0.1, "pct": 0.1}
DEFAULT_MEASUREMENT_STD = {"degc": 0.1, "pct": 0.3}


@dataclass
class _Filter:
    """Mean (S,), covariance (S, S) and the innovations so far."""

    x: Array
    P: Array
    innovations: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Noise:
    Q: Array
    R: dict[str, float]


def estimate(twin: HubTwin, history: History, readings: Readings | None = None) -> StateEstimate:
    """State at the end of `history`, or at `readings` when they are newer.

    history: telemetry with its first row's END label as `start`; None marks a missing sample.
    readings: the image of the present; only GOOD values are used.

    Raises:
        InputError: a measured state has no good sample at all, or the weather was never seen.
    """
    columns = _columns(twin, history)
    rows = len(next(iter(columns.values()), np.empty(0)))
    image = _good_values(readings)
    measured = _measured(twin)
    run = _initial(twin, columns, image, measured)
    noise = _noise(twin, measured)
    drive = _driving(twin, columns, image)
    for k in range(1, rows):
        begin = history.start + timedelta(seconds=history.step_s * (k - 1))
        _predict(twin, run, noise, drive, k, begin, float(history.step_s))
        _update(run, noise, measured, {s: columns[s][k] for s in measured})
    last = history.start + timedelta(seconds=history.step_s * max(0, rows - 1))
    if readings is not None and rows:
        _catch_up(twin, run, noise, drive, measured, last, readings, image)
    return _result(twin, run, columns)


def _measured(twin: HubTwin) -> dict[str, int]:
    """Index of the state that each measured signal shows."""
    layout = twin.layout
    rooms = {s: 2 * i for i, s in enumerate(layout.zone_signals)}
    count = len(twin.state_names)
    return {**rooms, layout.tank_signal: count - 2, layout.soc_signal: count - 1}


def _columns(twin: HubTwin, history: History) -> dict[str, Array]:
    layout = twin.layout
    unit, battery = layout.heat_pump.id, layout.battery.id
    names = (
        *layout.disturbance_signals, *layout.points, *layout.zone_signals, layout.tank_signal,
        layout.soc_signal, f"{unit}.power_kw", f"{unit}.heat_kw", f"{battery}.power_kw",
        f"{layout.grid.id}.power_kw",
    )  # fmt: skip
    size = max((len(v) for v in history.signals.values()), default=0)
    empty: tuple[float | None, ...] = (None,) * size
    return {n: np.array(history.signals.get(n, empty), dtype=float) for n in names}


def _good_values(readings: Readings | None) -> dict[str, float]:
    if readings is None:
        return {}
    return {
        s: r.value
        for s, r in readings.values.items()
        if r.value is not None and r.quality is Quality.GOOD
    }


def _initial(
    twin: HubTwin,
    columns: Mapping[str, Array],
    image: Mapping[str, float],
    measured: dict[str, int],
) -> _Filter:
    size = len(twin.state_names)
    x, variance = np.zeros(size), np.zeros(size)
    for signal, i in measured.items():
        good = columns[signal][np.isfinite(columns[signal])]
        if not good.size and signal not in image:
            raise InputError(
                f"{signal} has no good sample in the history or the present image",
                "the twin's state cannot be estimated without it",
            )
        x[i] = good[0] if good.size else image[signal]
        variance[i] = _default(DEFAULT_MEASUREMENT_STD, signal) ** 2
    for i in range(len(twin.layout.zones)):
        x[2 * i + 1], variance[2 * i + 1] = x[2 * i], MASS_START_STD**2
    return _Filter(x, np.diag(variance))


def _noise(twin: HubTwin, measured: dict[str, int]) -> _Noise:
    report = twin.parameters.report
    process, measurement = report.get("process_std", {}), report.get("measurement_std", {})
    q = np.zeros(len(twin.state_names))
    r = {}
    for signal, i in measured.items():
        q[i] = float(process.get(signal, _default(DEFAULT_PROCESS_STD, signal)))
        r[signal] = float(measurement.get(signal, _default(DEFAULT_MEASUREMENT_STD, signal))) ** 2
    for i in range(len(twin.layout.zones)):
        q[2 * i + 1] = MASS_NOISE_SHARE * q[2 * i]
    return _Noise(np.diag(q**2), r)


def _default(table: Mapping[str, float], signal: str) -> float:
    return table["pct" if signal.endswith("_pct") else "degc"]


def _driving(
    twin: HubTwin, columns: Mapping[str, Array], image: Mapping[str, float]
) -> dict[str, Array]:
    """Weather and loads with the last good value held over gaps. Raises InputError without any."""
    held = dict(columns)
    for signal in twin.layout.disturbance_signals:
        values = np.array(columns[signal])
        good = np.flatnonzero(np.isfinite(values))
        if not good.size:
            if signal not in image:
                raise InputError(f"{signal} has no good sample: the twin cannot be driven")
            values[:] = image[signal]
        else:
            last = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
            values = values[np.where(last >= 0, last, good[0])]
        held[signal] = values
    return held


def _predict(
    twin: HubTwin, run: _Filter, noise: _Noise, drive: Mapping[str, Array], k: int,
    begin: datetime, step_s: float,
) -> None:  # fmt: skip
    """One step through the twin; the first row of the batch is the mean, the rest differences."""
    layout, size = twin.layout, len(run.x)
    unit, battery = layout.heat_pump.id, layout.battery.id
    batch = np.concatenate(
        [run.x[None], run.x + DIFFERENCE * np.eye(size), run.x - DIFFERENCE * np.eye(size)]
    )
    given = (f"{unit}.power_kw", f"{unit}.heat_kw", f"{battery}.power_kw")
    rollout = twin.simulate(
        batch,
        {s: drive[s][k : k + 1] for s in layout.disturbance_signals},
        {p: drive[p][k : k + 1] for p in layout.points},
        begin,
        imposed={s: drive[s][k : k + 1] for s in given if np.isfinite(drive[s][k])},
        step_s=step_s,
    )
    end = rollout.final_state
    F = ((end[1 : size + 1] - end[size + 1 :]) / (2.0 * DIFFERENCE)).T
    run.x = end[0]
    share = step_s / twin.site.step_s
    run.P = F @ run.P @ F.T + noise.Q * share


def _update(
    run: _Filter, noise: _Noise, measured: Mapping[str, int], sample: Mapping[str, float],
    record: bool = True,
) -> None:  # fmt: skip
    """Sequential scalar updates (R is diagonal), in Joseph's form so that P stays symmetric."""
    for signal, i in measured.items():
        value = sample.get(signal, np.nan)
        if not np.isfinite(value):
            continue
        innovation = float(value - run.x[i])
        if record:
            run.innovations.setdefault(signal, []).append(innovation)
        variance = run.P[i, i] + noise.R[signal]
        doubted = run.refused.get(signal, 0) > PATIENCE
        limit = (
            GATE / 2.0 if doubted else GATE
        )  # once believed, stay until the model is close again
        if innovation**2 > limit**2 * variance:
            run.refused[signal] = run.refused.get(signal, 0) + 1
            if run.refused[signal] <= PATIENCE:
                continue
            run.P[i, i] += innovation**2
            variance += innovation**2
        else:
            run.refused[signal] = 0
        gain = run.P[:, i] / variance
        run.x = run.x + gain * innovation
        keep = np.eye(len(run.x))
        keep[:, i] -= gain
        run.P = keep @ run.P @ keep.T + noise.R[signal] * np.outer(gain, gain)


def _catch_up(
    twin: HubTwin, run: _Filter, noise: _Noise, drive: Mapping[str, Array],
    measured: Mapping[str, int], last: datetime, readings: Readings, image: Mapping[str, float],
) -> None:  # fmt: skip
    """From the end of the history to the present image, with the last row's inputs held."""
    gap = (readings.time - last).total_seconds()
    if gap < 1.0:
        return
    rows = len(drive[twin.layout.outdoor_signal])
    step = min(gap, float(twin.site.step_s))
    _predict(twin, run, noise, drive, rows - 1, last, step)
    _update(run, noise, measured, image, record=False)


def _result(twin: HubTwin, run: _Filter, columns: Mapping[str, Array]) -> StateEstimate:
    x = run.x.copy()
    x[-1] = min(max(x[-1], 0.0), 100.0)
    residuals = {s: v[-KEPT_RESIDUALS:] for s, v in run.innovations.items()}
    for signal, series in direct_residuals(twin, columns).items():
        good = series[np.isfinite(series)][-KEPT_RESIDUALS:]
        if good.size:
            residuals[signal] = good.tolist()
    known = twin.parameters.residual_std
    fallback = {s: _default(DEFAULT_PROCESS_STD, s) for s in _measured(twin)}
    P = (run.P + run.P.T) / 2.0
    return StateEstimate(
        names=twin.state_names,
        mean=tuple(float(v) for v in x),
        covariance=covariance_rows(P),
        residuals={s: tuple(float(v) for v in values) for s, values in residuals.items()},
        residual_std={s: known.get(s, fallback.get(s, 1.0)) for s in residuals},
    )
