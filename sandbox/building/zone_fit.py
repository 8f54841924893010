"""One zone's parameters from multi-step errors, its recurring gains from what stays unexplained.

Heat and the neighbours' temperatures are measured, so each zone is identified by itself:

1. Windows of a day start every few hours at measured air and filtered hidden nodes.
2. Least squares on the predicted air temperature over whole windows, robust (soft L1), with a weak
   prior around textbook values that keeps what the data cannot tell.
3. The heat that would have made every row right is averaged by hour and kind of day, shrunk where
   few days tell it, and becomes the zone's recurring gain. 2 and 3 alternate.
4. Covariance (J'J / s2 + prior)^-1, widened for autocorrelation: a window of L errors counts as
   L / tau observations, tau their integrated autocorrelation time, and windows that overlap m-fold
   count as one m-th each.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.building.calendar import HOURS
from sandbox.building.names import space_of
from sandbox.building.rows import Ints, Rows
from sandbox.building.structure import DAY_KINDS, Structure
from sandbox.building.zone_linear import ZoneLinear
from sandbox.parameters import from_space, to_space

Array = NDArray[np.float64]
WINDOW_H = 24.0
SCALE_K = 0.3  # errors of this size weigh one
PRIOR_STD = {"gain_per_load": 0.5, "sun_to_mass": 0.7, "ua_open_kw_k": 1.5}
DEFAULT_PRIOR_STD = 1.0  # a factor of e
REACH = 4.0
DERIVATIVE_STEP = 1e-3
ROUNDS = 3
LIMIT_K = 50.0  # a search may pass through unstable corners; their errors are only "far off"
SHRINK_DAYS = 1.5  # a recurring hour is believed like so many days against "nothing recurs"
LEVEL_STD_KW_M2 = 0.002  # recurring gain beyond the metered load's: people, some hours of the day
CLIP_KW_M2 = 0.1  # one row's unexplained heat beyond it is a door or a glitch, not a habit


@dataclass(frozen=True)
class ZoneFit:
    """Fitted values with covariance in the fitting space, recurring gain (48,), error in K."""

    zone: str
    names: tuple[str, ...]
    values: Array
    covariance: Array
    gain: Array
    rmse: float
    prior_std: Array
    score: float = np.nan

    def value(self, name: str) -> float:
        """A fitted value."""
        return float(self.values[self.names.index(name)])


@dataclass(frozen=True)
class FitWindows:
    """Starts of windows of `length` rows, each row covered by `overlap` of them."""

    starts: Ints
    length: int
    overlap: float


def make_windows(rows: Rows, first: int, last: int, stride_h: float) -> FitWindows:
    """Windows in [first, last)."""
    length, stride = rows.steps(WINDOW_H), rows.steps(stride_h)
    return FitWindows(rows.starts(first, last, length, stride), length, WINDOW_H / stride_h)


def fit_zone(
    rows: Rows, structure: Structure, zone: str, guess: dict[str, float], windows: FitWindows,
    profile_rows: slice, fixed: frozenset[str] = frozenset(), gain: Array | None = None,
    evaluations: int = 8, rounds: int = ROUNDS, near: dict[str, float] | None = None,
) -> ZoneFit:  # fmt: skip
    """Fit one zone; the prior lies at `guess`.

    fixed: parameters that keep their guess; gain: recurring gain (48,) to start with; near: where
    the search starts, by name, if not at the guess.
    """
    model = ZoneLinear(structure, zone, rows)
    problem = _Problem(model, guess, windows, fixed)
    theta = to_space([{**guess, **(near or {})}[n] for n in model.names], problem.spaces)
    level = 0.0 if gain is None else float(np.mean(gain[rows.kinds[profile_rows]]))
    theta = np.where(problem.free, np.append(theta, level), problem.start)
    table = np.zeros(len(DAY_KINDS) * HOURS) if gain is None else gain - level
    for k in range(rounds):
        if k > 0 or gain is None:
            table = recurring_gain(model, problem.values(theta), rows, profile_rows)
        problem.gain = table[rows.kinds]
        theta = problem.solve(theta, evaluations)
    table = table + theta[-1]
    raw = problem.data_residuals(theta[None])[0]
    scale = float(np.sqrt(np.mean(raw**2) * windows.length)) * SCALE_K
    return ZoneFit(
        zone=zone,
        names=model.names,
        values=problem.values(theta),
        covariance=problem.covariance(theta, raw)[:-1, :-1],
        gain=table,
        rmse=scale,
        prior_std=problem.prior_std[:-1],
    )


def recurring_gain(model: ZoneLinear, values: Array, rows: Rows, part: slice) -> Array:
    """Unexplained heat by hour and kind of day (48,) about its mean, shrunk where rows lack."""
    found = model.unexplained(values, np.zeros(len(rows)))[part]
    area = next(z.floor_area_m2 for z in rows.layout.zones if z.id == model.zone)
    found = np.clip(found, -CLIP_KW_M2 * area, CLIP_KW_M2 * area)
    return shrunk_means(found - np.nanmean(found), rows.kinds[part], rows.steps(1.0))


def shrunk_means(values: Array, kinds: Ints, rows_per_hour: int) -> Array:
    """Mean by kind of hour (48,), weighed against the overall mean as `SHRINK_DAYS` days of it."""
    good = np.isfinite(values)
    size = len(DAY_KINDS) * HOURS
    count = np.bincount(kinds[good], minlength=size).astype(float)
    total = np.bincount(kinds[good], weights=values[good], minlength=size)
    level = float(np.mean(values[good])) if good.any() else 0.0
    prior = SHRINK_DAYS * rows_per_hour
    return np.asarray((total + prior * level) / (count + prior))


def autocorrelation_time(errors: Array) -> float:
    """1 + 2 sum of autocorrelations within windows (W, L), up to the first negative one."""
    power = float(np.mean(errors**2))
    total = 1.0
    for lag in range(1, errors.shape[1]):
        rho = float(np.mean(errors[:, lag:] * errors[:, :-lag])) / max(power, 1e-12)
        if rho <= 0.0:
            break
        total += 2.0 * rho * (1.0 - lag / errors.shape[1])
    return min(total, float(errors.shape[1]))


class _Problem:
    """Residuals and Jacobian of one zone's window errors in the fitting space."""

    def __init__(
        self, model: ZoneLinear, guess: dict[str, float], windows: FitWindows,
        fixed: frozenset[str],
    ) -> None:  # fmt: skip
        self.model, self.windows = model, windows
        self.spaces = tuple(space_of(n) for n in model.names)
        self.start = to_space([guess[n] for n in model.names], self.spaces)
        keys = [n.split(".", 1)[1] for n in model.names]
        self.prior_std = np.array([PRIOR_STD.get(k, DEFAULT_PRIOR_STD) for k in keys])
        self.free = np.array([n not in fixed for n in model.names] + [True])
        self.gain: Array = np.zeros(len(model.rows))
        # The last unknown is the level of the zone's recurring gain, about which the floor area
        # says something: without that, a constant gain and a loss to a steady outdoors are one.
        zone = next(z for z in model.rows.layout.zones if z.id == model.zone)
        self.start = np.append(self.start, 0.0)
        self.prior_std = np.append(self.prior_std, LEVEL_STD_KW_M2 * zone.floor_area_m2)

    def values(self, theta: Array) -> Array:
        """Physical values of the model's parameters, (..., P), from (..., P + 1)."""
        return from_space(theta[..., :-1], self.spaces)

    def data_residuals(self, thetas: Array) -> Array:
        """Scaled errors (K, M) of all windows for thetas (K, P), each divided by sqrt(length)."""
        w = self.windows
        errors = self.model.errors(
            self.values(thetas), self.gain, w.starts, w.length, thetas[:, -1]
        )
        errors = np.clip(np.nan_to_num(errors, nan=0.0), -LIMIT_K, LIMIT_K)
        return np.asarray(errors.reshape(len(thetas), -1) / SCALE_K / np.sqrt(w.length))

    def solve(self, theta: Array, evaluations: int) -> Array:
        """The least-squares solution from `theta`."""
        from scipy.optimize import least_squares

        free, std = self.free, self.prior_std[self.free]

        def whole(part: Array) -> Array:
            full = theta.copy()
            full[free] = part
            return full

        def residuals(part: Array) -> Array:
            pull = (part - self.start[free]) / std
            return np.concatenate([self.data_residuals(whole(part)[None])[0], pull])

        def jacobian(part: Array) -> Array:
            slopes = self.slopes(whole(part))[:, free]
            return np.concatenate([slopes, np.diag(1.0 / std)])

        low, high = self.start[free] - REACH * std, self.start[free] + REACH * std
        found = least_squares(
            residuals, np.clip(theta[free], low + 1e-9, high - 1e-9), jac=jacobian,
            bounds=(low, high), loss="soft_l1", x_scale=std, max_nfev=evaluations,
            ftol=1e-4, xtol=1e-4,
        )  # fmt: skip
        return whole(found.x)

    def slopes(self, theta: Array) -> Array:
        """d residuals / d theta by forward differences, (M, P)."""
        free = np.flatnonzero(self.free)
        steps = DERIVATIVE_STEP * self.prior_std[free]
        moved = np.repeat(theta[None], len(free) + 1, axis=0)
        moved[np.arange(len(free)) + 1, free] += steps
        all_of_them = self.data_residuals(moved)
        found = np.zeros((all_of_them.shape[1], len(theta)))
        found[:, free] = ((all_of_them[1:] - all_of_them[0]) / steps[:, None]).T
        return found

    def covariance(self, theta: Array, raw: Array) -> Array:
        """See step 4 of the module's text; 0 for fixed parameters."""
        free = self.free
        slopes = self.slopes(theta)[:, free]
        w = self.windows
        # Residuals are divided by sqrt(L): their sum of squares is the mean square times windows.
        s2 = float(raw @ raw) / max(1, len(w.starts) - int(free.sum()))
        widening = w.overlap * autocorrelation_time(raw.reshape(len(w.starts), -1)) / w.length
        information = slopes.T @ slopes / max(s2 * widening, 1e-12)
        information += np.diag(self.prior_std[free] ** -2.0)
        found = np.zeros((len(theta), len(theta)))
        found[np.ix_(free, free)] = np.linalg.inv(information)
        return found
