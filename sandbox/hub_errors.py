"""What the energy hub gets wrong hour by hour: the heat that would have made the twin right.

From a measured state, an hour is simulated with the measured weather, setpoints and electric powers
(metered heat is not given: the COP's errors belong here). Then, for all rooms and the tank at once,
the heat q that brings the simulated temperatures to the measured ones:

    minimise |T(q) - T_measured|^2 / s_T^2 + |q|^2 / s_q^2,

two Gauss-Newton steps with a numeric Jacobian. The second term matters under a thermostat, which
undoes any heat: there an offset of a tenth of a kelvin would otherwise need kilowatts, and those
would act in a future without the thermostat. What q leaves of a temperature in the middle of the
hour (offsets, layers of water, sensors) is kept apart, as an error of the temperature.

The next hour begins from the measured temperatures and the simulated masses; the first hours, until
a mass has forgotten where it began, are not used.
"""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.snapshot import History
from graph.telemetry import Frame
from sandbox.energy_hub import HubTwin
from sandbox.fit_data import FitData, prepare
from sandbox.fit_thermal import ANY_TIME, Windows, initial_states, window_inputs, window_series
from sandbox.model_errors import HOURS, ModelErrors, by_day

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
HOUR_S = 3600
TEMP_STD = 0.1  # K: what sensor and thermostat leave between them; smaller needs no heat
HEAT_STD = 1.0  # kW: the size of heat that is not surprising in a room or the tank
PROBE_KW = 0.5  # the step of the Jacobian, large against rounding, small against a valve's range
STEPS = 2  # of Gauss-Newton in a fit; one will do for a first look at the present
WARM_UP_H = 24
RECENT_H = 12  # how much of the history tells the present errors
RECENT_WARM_UP_H = 6


def model_errors(
    twin: HubTwin, data: FitData, begin: datetime, first: int, last: int
) -> ModelErrors:
    """Errors on the whole local days of rows first..last; `begin`: begin of row 0, site's zone."""
    per_hour = HOUR_S // data.step_s
    stop = _next_midnight(begin, data.step_s, first)
    days = list(range(stop, last - HOURS * per_hour + 1, HOURS * per_hour))
    hours = WARM_UP_H + HOURS
    # A day's replay starts a day before it; a window's rows are those after its start row.
    starts = np.array(days, dtype=np.int64) - WARM_UP_H * per_hour - 1
    starts = starts[starts >= 0]
    tables = replay_errors(twin, data, starts, hours)
    size = (last - stop) // per_hour + 1
    hourly = {s: np.full(size, np.nan) for s in tables}
    for i, start in enumerate(starts):
        at = (int(start) + 1 - stop) // per_hour + WARM_UP_H
        for s, table in tables.items():
            hourly[s][at : at + HOURS] = table[i, WARM_UP_H:]
    zone = begin.tzinfo
    midnight = datetime.fromtimestamp(begin.timestamp() + stop * data.step_s, zone)
    return by_day(hourly, midnight)


def recent_errors(twin: HubTwin, history: History) -> dict[str, Array]:
    """Errors (hours,) of the hours up to the end of `history`, newest last; {} where unknown."""
    frame = Frame(
        history.start,
        history.step_s,
        {s: np.array(v, dtype=float) for s, v in history.signals.items()},
    )
    try:
        data = prepare(twin.layout, frame)
    except InputError:
        return {}
    per_hour = HOUR_S // data.step_s
    hours = min(RECENT_H + RECENT_WARM_UP_H, (data.rows - 1) // per_hour)
    if hours <= RECENT_WARM_UP_H:
        return {}
    start = np.array([data.rows - 1 - hours * per_hour])
    if not all(np.isfinite(v[start[0]]) for v in data.measured.values()):
        return {}
    tables = replay_errors(twin, data, start, hours, steps=1)
    return {s: t[0, RECENT_WARM_UP_H:] for s, t in tables.items()}


def replay_errors(
    twin: HubTwin, data: FitData, starts: Ints, hours: int, steps: int = STEPS
) -> dict[str, Array]:
    """Hourly errors (len(starts), hours) of replays that begin at the end of rows `starts`.

    NaN in an hour whose inputs or temperatures are missing; the replay goes on from the simulation.
    """
    layout, per_hour = twin.layout, HOUR_S // data.step_s
    values = dict(zip(twin.parameters.names, twin.parameters.values, strict=True))
    x = np.nan_to_num(initial_states(data, values, starts), nan=20.0)
    targets = tuple(layout.heat_errors)
    states = [twin.state_names.index(layout.state_of[s]) for s in targets]
    found = {n: np.full((len(starts), hours), np.nan) for n in error_names(twin)}
    for hour in range(hours):
        rows = starts + hour * per_hour
        windows = Windows(rows, per_hour)
        drive = _Drive(twin, data, windows)
        actual = np.stack([data.measured[s][rows + per_hour] for s in targets], axis=1)
        heat, halfway, end = drive.explain(x, actual, states, steps)
        known = drive.usable & np.isfinite(actual).all(axis=1)
        for j, signal in enumerate(targets):
            found[layout.heat_errors[signal]][:, hour] = np.where(known, heat[:, j], np.nan)
            middle = data.measured[signal][rows + per_hour // 2]
            found[temp_error(signal)][:, hour] = np.where(known, middle - halfway[:, j], np.nan)
        x = end
        x[:, states] = np.where(np.isfinite(actual), actual, end[:, states])
        soc = data.measured[layout.soc_signal][rows + per_hour]
        x[:, -1] = np.where(np.isfinite(soc), soc, x[:, -1])
    return found


def error_names(twin: HubTwin) -> tuple[str, ...]:
    """Heat into each room and the tank, and what remains of each one's temperature."""
    heat = twin.layout.heat_errors
    return (*heat.values(), *(temp_error(s) for s in heat))


def temp_error(signal: str) -> str:
    """The name of a temperature's own error."""
    return f"{signal.split('.', 1)[0]}.temp_error_k"


class _Drive:
    """One hour of many replays, with everything given but the heat."""

    def __init__(self, twin: HubTwin, data: FitData, windows: Windows) -> None:
        self.twin = twin
        w, self.u = window_inputs(data, windows)
        layout = twin.layout
        given = (f"{layout.heat_pump.id}.power_kw", f"{layout.battery.id}.power_kw")
        imposed = {s: window_series(data.inputs[s], windows) for s in given}
        columns = (*w.values(), *self.u.values(), *imposed.values())
        self.usable = np.all([np.isfinite(v).all(axis=1) for v in columns], axis=0)
        self.w = {s: np.nan_to_num(v) for s, v in w.items()}
        self.u = {s: np.nan_to_num(v, nan=20.0) for s, v in self.u.items()}
        self.imposed = {s: np.nan_to_num(v) for s, v in imposed.items()}
        self.steps = windows.length

    def explain(
        self, x: Array, actual: Array, states: list[int], steps: int
    ) -> tuple[Array, Array, Array]:
        """Heat (W, Q), the temperatures half an hour on (W, Q) and the final states (W, S)."""
        count = len(states)
        heat = np.zeros((len(x), count))
        for _ in range(steps):
            probes = np.concatenate([heat[None], heat[None] + PROBE_KW * np.eye(count)[:, None]])
            ends = self.simulate(x, probes)[1][:, :, states]
            slopes = ((ends[1:] - ends[0]) / PROBE_KW).transpose(1, 2, 0)
            error = np.nan_to_num(actual - ends[0])
            heat = heat + _ridge_step(slopes, error, heat)
        halfway, end = self.simulate(x, heat[None])
        return heat, halfway[0], end[0]

    def simulate(self, x: Array, heat: Array) -> tuple[Array, Array]:
        """Temperatures half an hour on (K, W, Q) and final states (K, W, S) for heat (K, W, Q)."""
        times, size = heat.shape[0], len(x)
        names = tuple(self.twin.layout.heat_errors.values())
        latent = {
            n: np.repeat(heat[:, :, j].reshape(-1, 1), self.steps, axis=1)
            for j, n in enumerate(names)
        }

        def tiled(series: Mapping[str, Array]) -> dict[str, Array]:
            return {s: np.tile(v, (times, 1)) for s, v in series.items()}

        rollout = self.twin.simulate(
            np.tile(x, (times, 1)), tiled(self.w) | latent, tiled(self.u), ANY_TIME,
            imposed=tiled(self.imposed),
        )  # fmt: skip
        middle = max(0, self.steps // 2 - 1)
        targets = self.twin.layout.heat_errors
        halfway = np.stack([rollout.traces[s][:, middle] for s in targets], axis=1)
        return halfway.reshape(times, size, -1), rollout.final_state.reshape(times, size, -1)


def _ridge_step(slopes: Array, error: Array, heat: Array) -> Array:
    """Gauss-Newton step (W, Q) of the module's least squares; slopes (W, T, Q), error (W, T)."""
    normal = np.einsum("wtq,wtr->wqr", slopes, slopes) / TEMP_STD**2
    normal += np.eye(heat.shape[1]) / HEAT_STD**2
    right = np.einsum("wtq,wt->wq", slopes, error) / TEMP_STD**2 - heat / HEAT_STD**2
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0])


def _next_midnight(begin: datetime, step_s: int, first: int) -> int:
    """The first row from `first` on whose step begins at a local midnight."""
    zone = begin.tzinfo
    for row in range(first, first + 2 * HOURS * HOUR_S // step_s):
        local = datetime.fromtimestamp(begin.timestamp() + row * step_s, zone)
        if local.hour == 0 and local.minute == 0:
            return row
    raise InputError("the site's step does not meet local midnight", "use a step of 15 min or so")
