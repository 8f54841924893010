"""Where the plant is: a Kalman filter over the recent history, on the site's step, for any twin.

1. Start from the first good sample of each measured state; hidden states (masses behind the air)
   start at the measured state of their asset, or where the fit says that they usually are.
2. Per step: predict through the twin with the measured weather, commands, powers and metered heat
   (`filters`: extended, or unscented).
3. Update with each good sample; glitches, gaps and late samples as in `running_filter`.
4. Noise comes from the fit (`process_std`, `measurement_std`), or from sensor classes without one.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.plant import Readings
from graph.signals import Quality
from graph.snapshot import History, StateEstimate
from sandbox.filters import Belief, Method, Step
from sandbox.parameters import covariance_rows
from sandbox.running_filter import Model, Noise, RunningFilter
from sandbox.twin import Twin

Array = NDArray[np.float64]
KEPT_RESIDUALS = 48  # the last twelve hours on a quarter-hour step
HIDDEN_START_STD = 1.0  # K: how far a mass may be from its air when nothing is known
HIDDEN_NOISE_SHARE = 0.3  # of its measured neighbour's process noise: a mass is slower
DEFAULT_PROCESS_STD = {"degc": 0.1, "pct": 0.1}
DEFAULT_MEASUREMENT_STD = {"degc": 0.1, "pct": 0.3}
# Of what has no unit of its own above: shares of the signal's declared range.
PROCESS_SHARE, MEASUREMENT_SHARE, HIDDEN_SHARE = 0.002, 0.002, 0.05


def estimate(
    twin: Twin, history: History, readings: Readings | None = None, method: Method = "ekf"
) -> StateEstimate:
    """State at the end of `history`, or at `readings` when they are newer.

    history: telemetry with its first row's END label as `start`; None marks a missing sample.
    readings: the image of the present; only GOOD values are used.

    Raises:
        InputError: a measured state has no good sample at all, the weather was never seen, or
            nothing says where a hidden state is.
    """
    columns = history_columns(twin, history)
    rows = len(next(iter(columns.values()), np.empty(0)))
    image = _good_values(readings)
    sensors = {s: columns[s] for s in twin.layout.sensors}
    run = running_filter(twin, _first_values(sensors, image), method)
    drive = driving(twin, columns, image)
    residuals: dict[str, list[float]] = {}
    for k in range(1, rows):
        begin = history.start + timedelta(seconds=history.step_s * (k - 1))
        seen = run.take(begin, float(history.step_s), {n: float(v[k]) for n, v in drive.items()},
                        {s: float(v[k]) for s, v in sensors.items()})  # fmt: skip
        for signal, value in seen.items():
            residuals.setdefault(signal, []).append(value)
    last = history.start + timedelta(seconds=history.step_s * max(0, rows - 1))
    if readings is not None and rows:
        _catch_up(run, {n: float(v[-1]) for n, v in drive.items()}, last, readings, image,
                  float(twin.site.step_s))  # fmt: skip
    return _result(twin, run.belief, residuals, columns)


def running_filter(twin: Twin, start: Mapping[str, float], method: Method = "ekf") -> RunningFilter:
    """A filter of `twin` that starts at measured values by signal. Raises InputError as above."""
    noise = filter_noise(twin)
    return RunningFilter(_model(twin), _start(twin, start), noise, shows(twin), method)


def shows(twin: Twin) -> dict[str, int]:
    """Index of the state that each measured signal shows."""
    state_of, names = twin.layout.state_of, twin.state_names
    return {s: names.index(state_of[s]) for s in twin.layout.sensors}


def history_columns(twin: Twin, history: History) -> dict[str, Array]:
    """Every signal that the filter or a residual needs, (rows,), NaN where missing."""
    size = max((len(v) for v in history.signals.values()), default=0)
    empty: tuple[float | None, ...] = (None,) * size
    names = {s.id: None for s in twin.site.signals}
    return {n: np.array(history.signals.get(n, empty), dtype=float) for n in names}


def _good_values(readings: Readings | None) -> dict[str, float]:
    if readings is None:
        return {}
    return {
        s: r.value
        for s, r in readings.values.items()
        if r.value is not None and r.quality is Quality.GOOD
    }


def _first_values(sensors: Mapping[str, Array], image: Mapping[str, float]) -> dict[str, float]:
    found = {}
    for signal, column in sensors.items():
        good = column[np.isfinite(column)]
        if not good.size and signal not in image:
            raise InputError(
                f"{signal} has no good sample in the history or the present image",
                "the twin's state cannot be estimated without it",
            )
        found[signal] = float(good[0]) if good.size else image[signal]
    return found


def _start(twin: Twin, measured: Mapping[str, float]) -> Belief:
    """Step 1 of the module's text."""
    names, index = twin.state_names, shows(twin)
    x, variance = np.full(len(names), np.nan), np.zeros(len(names))
    for signal, i in index.items():
        x[i] = measured[signal]
        variance[i] = _class_std(twin, signal, DEFAULT_MEASUREMENT_STD, MEASUREMENT_SHARE) ** 2
    usual = twin.parameters.report.get("usual_states", {})
    for i, name in enumerate(names):
        if np.isfinite(x[i]):
            continue
        neighbour = _neighbour(twin, name)
        if neighbour is not None:
            x[i], variance[i] = x[index[neighbour]], _hidden_std(twin, neighbour) ** 2
        elif name in usual:
            x[i], variance[i] = float(usual[name][0]), float(usual[name][1]) ** 2
        else:
            raise InputError(
                f"nothing says where the twin's state {name} is",
                "measure it, or fit the twin again: the fit notes where hidden states usually are",
            )
    return Belief(x, np.diag(variance))


def _neighbour(twin: Twin, state: str) -> str | None:
    """The sensor that shows another state of the same asset, in the same kind of unit."""
    asset = state.split(".", 1)[0]
    for signal in twin.layout.sensors:
        if signal.split(".", 1)[0] == asset and signal.endswith("_degc"):
            return signal
    return None


def _hidden_std(twin: Twin, neighbour: str) -> float:
    return (
        HIDDEN_START_STD if neighbour.endswith("_degc") else _range(twin, neighbour) * HIDDEN_SHARE
    )


def filter_noise(twin: Twin) -> Noise:
    """Step 4 of the module's text."""
    report = twin.parameters.report
    process, measurement = report.get("process_std", {}), report.get("measurement_std", {})
    q = np.zeros(len(twin.state_names))
    r = {}
    for signal, i in shows(twin).items():
        default = _class_std(twin, signal, DEFAULT_PROCESS_STD, PROCESS_SHARE)
        q[i] = float(process.get(signal, default))
        default = _class_std(twin, signal, DEFAULT_MEASUREMENT_STD, MEASUREMENT_SHARE)
        r[signal] = float(measurement.get(signal, default)) ** 2
    for i, name in enumerate(twin.state_names):
        neighbour = _neighbour(twin, name)
        if name in process:
            q[i] = float(process[name])
        elif q[i] == 0.0 and neighbour is not None:
            q[i] = HIDDEN_NOISE_SHARE * q[shows(twin)[neighbour]]
    return Noise(np.diag(q**2), r, float(twin.site.step_s))


def _class_std(twin: Twin, signal: str, table: Mapping[str, float], share: float) -> float:
    known = table.get(signal.rsplit("_", 1)[-1])
    return share * _range(twin, signal) if known is None else known


def _range(twin: Twin, signal: str) -> float:
    spec = twin.site.signal(signal)
    return spec.maximum - spec.minimum


def driving(
    twin: Twin, columns: Mapping[str, Array], image: Mapping[str, float]
) -> dict[str, Array]:
    """What drives each step: weather and loads with the last good value held over gaps.

    Commands and metered flows keep their gaps: there the local law and the model stand in.
    Raises InputError for a disturbance that was never seen.
    """
    layout = twin.layout
    held = {n: columns[n] for n in (*layout.points, *layout.imposable)}
    for signal in layout.disturbance_signals:
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


def _model(twin: Twin) -> Model:
    layout = twin.layout

    def model(begin: datetime, step_s: float, inputs: Mapping[str, float]) -> Step:
        w = {s: np.array([inputs[s]]) for s in layout.disturbance_signals}
        u = {p: np.array([inputs[p]]) for p in layout.points}
        imposed = {s: np.array([inputs[s]]) for s in layout.imposable if np.isfinite(inputs[s])}

        def step(x: Array) -> Array:
            found = twin.simulate(x, w, u, begin, imposed=imposed, step_s=step_s)
            return found.final_state

        return step

    return model


def _catch_up(
    run: RunningFilter, inputs: Mapping[str, float], last: datetime, readings: Readings,
    image: Mapping[str, float], step_s: float,
) -> None:  # fmt: skip
    """From the end of the history to the present image, with the last row's inputs held."""
    gap = (readings.time - last).total_seconds()
    if gap >= 1.0:
        run.take(last, min(gap, step_s), inputs, image)


def _result(
    twin: Twin, belief: Belief, innovations: Mapping[str, list[float]],
    columns: Mapping[str, Array],
) -> StateEstimate:  # fmt: skip
    x = belief.x.copy()
    for i, name in enumerate(twin.state_names):
        if name.endswith("_pct"):
            x[i] = min(max(x[i], 0.0), 100.0)
    residuals = {s: v[-KEPT_RESIDUALS:] for s, v in innovations.items()}
    for signal, series in twin.direct_residuals(columns).items():
        good = series[np.isfinite(series)][-KEPT_RESIDUALS:]
        if good.size:
            residuals[signal] = good.tolist()
    known = twin.parameters.residual_std
    fallback = {s: _class_std(twin, s, DEFAULT_PROCESS_STD, PROCESS_SHARE) for s in shows(twin)}
    return StateEstimate(
        names=twin.state_names,
        mean=tuple(float(v) for v in x),
        covariance=covariance_rows((belief.P + belief.P.T) / 2.0),
        residuals={s: tuple(float(v) for v in values) for s, values in residuals.items()},
        residual_std={s: known.get(s, fallback.get(s, 1.0)) for s in residuals},
    )
