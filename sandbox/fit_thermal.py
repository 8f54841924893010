"""Rooms and tank, identified together from multi-step prediction errors.

Nobody meters the heat of a single emitter, so the rooms and the tank that feeds them are fitted as
one: windows of hours are simulated from measured states with metered heat into the tank and the
room setpoints that were in force; the residuals are the errors of room and tank temperatures.

1. The unmeasured mass temperatures follow from the measured air and sun by their own equation, a
   first-order filter, run over the whole record for each parameter set.
2. Residuals over all windows, scaled per signal, robust loss (soft L1).
3. A weak prior (factor two around textbook values) keeps what the data cannot tell.
4. Covariance: (J'J / L + prior)^-1 at the solution, with J scaled by the errors found and L the
   residuals a window holds per signal: errors inside one window count as one observation, because
   they are almost fully correlated; windows that overlap m-fold count as one m-th each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from sandbox.energy_hub import HubTwin
from sandbox.fit_data import FitData
from sandbox.fit_parts import Part
from sandbox.parameters import from_space, spaces_of, to_space

Array = NDArray[np.float64]
SCALES = {"zone": 0.2, "tank": 1.0}  # K: errors of this size weigh one
PRIOR_STD = {  # of log(value) unless the parameter is linear
    "c_kwh_k": 0.02, "gain_kw": 1.0, "gain_per_load": 0.3, "ambient_degc": 2.0,
    "thermostat_tau_h": 1.0,
}  # fmt: skip
DEFAULT_PRIOR_STD = 0.7  # a factor of two
REACH = 4.0  # parameters stay within so many prior standard deviations
DERIVATIVE_STEP = 1e-3
WARM_UP_H = 48.0  # of the mass filter, until its unknown start is forgotten
# All commands are given, so no wall-clock rule acts and the windows need no date of their own.
ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Windows:
    """Initial rows of all windows, their common length in steps, how many cover a row."""

    rows: NDArray[np.int64]
    length: int
    overlap: float = 1.0


def thermal_names(names: Sequence[str]) -> tuple[str, ...]:
    """Parameters of rooms and tank among all."""
    return tuple(n for n in names if not n.startswith(("hp.", "battery.", "grid.")))


def mass_temperature(air: Array, step_h: float, tau_h: float, extra: Array | float = 0.0) -> Array:
    """The mass that follows `air` (rows,) with time constant tau_h; same shape, no NaN.

    extra: K by which the mass is drawn above the air (rows,), a mean over each row's step.
    """
    from scipy.signal import lfilter

    index = np.arange(len(air))
    good = np.isfinite(air)
    filled = np.interp(index, index[good], air[good])
    middle = np.concatenate([filled[:1], (filled[1:] + filled[:-1]) / 2.0]) + extra
    share = -np.expm1(-step_h / tau_h)
    out, _ = lfilter([share], [1.0, share - 1.0], middle, zi=[(1.0 - share) * filled[0]])
    return np.asarray(out)


def initial_states(data: FitData, parameters: dict[str, float], rows: NDArray[np.int64]) -> Array:
    """States (len(rows), S) at the end of `rows`: measured, and filtered for the masses."""
    columns = []
    sun = np.nan_to_num(data.inputs[data.layout.ghi_signal]) / 1000.0
    for zone, signal in zip(data.layout.zones, data.layout.zone_signals, strict=True):
        inner = parameters[f"{zone.id}.ua_mass_kw_k"]
        tau = parameters[f"{zone.id}.c_mass_kwh_k"] / inner
        # Sun on the mass acts as if the air were warmer by what the exchange must carry away.
        extra = parameters[f"{zone.id}.aperture_mass_m2"] * sun / inner
        air = data.measured[signal]
        columns += [air[rows], mass_temperature(air, data.step_h, tau, extra)[rows]]
    columns += [data.measured[data.layout.tank_signal][rows]]
    columns += [data.measured[data.layout.soc_signal][rows]]
    return np.stack(columns, axis=1)


def window_series(values: Array, windows: Windows) -> Array:
    """Rows r+1 .. r+length of a column for each window, (W, length)."""
    return np.asarray(values[windows.rows[:, None] + 1 + np.arange(windows.length)[None]])


def window_inputs(data: FitData, windows: Windows) -> tuple[dict[str, Array], dict[str, Array]]:
    """Disturbances and commands of all windows, each (W, length)."""
    layout = data.layout
    w = {s: window_series(data.inputs[s], windows) for s in layout.disturbance_signals}
    u = {p: window_series(data.inputs[p], windows) for p in layout.zone_points}
    return w, u


def fit_thermal(
    twin: HubTwin, data: FitData, windows: Windows, max_nfev: int = 40, near: Part | None = None
) -> Part:
    """Fit rooms and tank of `twin` (whose battery and heat pump are known) to the windows.

    near: an earlier fit to begin from; the prior stays around the values of `twin`.
    """
    from scipy.optimize import least_squares

    problem = _Problem(twin, data, windows)
    start, std = problem.start, problem.prior_std
    first = start if near is None else to_space(near.values, spaces_of(near.names))
    found = least_squares(
        problem.residuals,
        np.clip(first, start - 0.999 * REACH * std, start + 0.999 * REACH * std),
        jac=problem.jacobian,
        bounds=(start - REACH * std, start + REACH * std),
        loss="soft_l1",
        x_scale=std,
        max_nfev=max_nfev,
        ftol=1e-5,
        xtol=1e-5,
    )
    raw = problem.data_residuals(found.x[None])[0]
    covariance = problem.covariance(found.x, raw)
    values = from_space(found.x, spaces_of(problem.names))
    return Part(problem.names, values, covariance, float(np.sqrt(np.mean(raw**2))))


class _Problem:
    """Residuals and Jacobian of the window errors, all windows and all derivatives in one batch."""

    def __init__(self, twin: HubTwin, data: FitData, windows: Windows) -> None:
        self.twin, self.data, self.windows = twin, data, windows
        self.all_names = twin.parameters.names
        self.names = thermal_names(self.all_names)
        self.columns = [self.all_names.index(n) for n in self.names]
        values = [twin.parameters.value(n) for n in self.names]
        self.start = to_space(values, spaces_of(self.names))
        keys = [n.split(".", 1)[1] for n in self.names]
        self.prior_std = np.array([PRIOR_STD.get(k, DEFAULT_PRIOR_STD) for k in keys])
        self.signals = (*data.layout.zone_signals, data.layout.tank_signal)
        self.targets = [window_series(data.measured[s], windows) for s in self.signals]
        self.w, self.u = window_inputs(data, windows)
        unit = data.layout.heat_pump.id
        self.imposed = {
            f"{unit}.{q}": window_series(data.inputs[f"{unit}.{q}"], windows)
            for q in ("power_kw", "heat_kw")
        }
        battery = f"{data.layout.battery.id}.power_kw"
        self.imposed[battery] = np.zeros_like(self.targets[0])

    def data_residuals(self, thetas: Array) -> Array:
        """Scaled errors (K, signals x W x length) for K parameter vectors (K, P)."""
        count, wins = len(thetas), len(self.windows.rows)
        table = np.tile(np.array(self.twin.parameters.values), (count, 1))
        table[:, self.columns] = from_space(thetas, spaces_of(self.names))
        named = [dict(zip(self.all_names, row, strict=True)) for row in table]
        x0 = np.concatenate([initial_states(self.data, p, self.windows.rows) for p in named])
        rollout = self.twin.simulate(
            x0,
            {k: np.tile(v, (count, 1)) for k, v in self.w.items()},
            {k: np.tile(v, (count, 1)) for k, v in self.u.items()},
            ANY_TIME,
            parameters=np.repeat(table, wins, axis=0),
            imposed={k: np.tile(v, (count, 1)) for k, v in self.imposed.items()},
        )
        parts = []
        for signal, target in zip(self.signals, self.targets, strict=True):
            scale = SCALES["tank" if signal == self.data.layout.tank_signal else "zone"]
            error = (rollout.traces[signal].reshape(count, wins, -1) - target[None]) / scale
            parts.append(np.nan_to_num(error, nan=0.0).reshape(count, -1))
        # Each window counts like a handful of observations, not like hundreds.
        return np.asarray(np.concatenate(parts, axis=1) / np.sqrt(self.windows.length))

    def residuals(self, theta: Array) -> Array:
        """Window errors and the prior's pull."""
        return np.concatenate([self.data_residuals(theta[None])[0], self._prior(theta)])

    def jacobian(self, theta: Array) -> Array:
        """Forward differences of all parameters in one simulation."""
        steps = DERIVATIVE_STEP * self.prior_std
        moved = self.data_residuals(np.concatenate([theta[None], theta[None] + np.diag(steps)]))
        slopes = (moved[1:] - moved[0]) / steps[:, None]
        return np.concatenate([slopes.T, np.diag(1.0 / self.prior_std)])

    def covariance(self, theta: Array, raw: Array) -> Array:
        """See step 4 of the module's text; residuals are already divided by sqrt(L)."""
        slopes = self.jacobian(theta)[: len(raw)]
        windows = len(self.windows.rows) * len(self.signals)
        s2 = self.windows.overlap * float(raw @ raw) / max(1, windows - len(theta))
        return np.asarray(np.linalg.inv(slopes.T @ slopes / s2 + np.diag(self.prior_std**-2.0)))

    def _prior(self, theta: Array) -> Array:
        return np.asarray((theta - self.start) / self.prior_std)
