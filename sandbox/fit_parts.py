"""The parts that regress directly: battery and heat pump.

Battery: over windows of hours, soc changes by (eta E+ - E-/eta - standby t) / capacity. Charging
and discharging efficiency enter the state of charge only through eta/C and 1/(eta' C), so the two
cannot be told apart from capacity: they are taken as equal.
Heat pump: metered heat = power x COP with COP affine in outdoor and tank temperature (the form of
EN 14825 test points between neighbours), over all steps in which the unit ran, starts and defrosts
included: control needs the mean heat, not the best.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from sandbox.fit_data import FitData
from sandbox.parameters import COP_AT_OUTDOOR_DEGC, COP_AT_TANK_DEGC

Array = NDArray[np.float64]
SOC_WINDOW_H = 6.0
LEAST_WINDOWS = 12
LEAST_RUNNING_ROWS = 48


@dataclass(frozen=True)
class Part:
    """Fitted names and values with covariance in the fitting space (log for positive ones)."""

    names: tuple[str, ...]
    values: Array
    covariance: Array
    rmse: float


def fit_battery(data: FitData, guess: dict[str, float], rows: slice) -> Part:
    """Efficiency, capacity and standby drain. Raises InputError for too little data."""
    from scipy.optimize import least_squares

    layout = data.layout
    charge, out, moved, hours = _soc_windows(data, rows)
    if len(moved) < LEAST_WINDOWS or charge.sum() < 0.5 * guess["battery.capacity_kwh"]:
        raise InputError(
            f"the battery moved in {len(moved)} windows only",
            "record telemetry with at least a few full cycles",
        )
    names = ("battery.efficiency", "battery.capacity_kwh", "battery.standby_kw")
    start = np.log([guess[n] for n in names])

    def residual(theta: Array) -> Array:
        eta, capacity, standby = np.exp(theta)
        expected = (eta * charge - out / eta - standby * hours) / capacity * 100.0
        return np.asarray(moved - expected)

    size = layout.battery.capacity_kwh
    low = np.log([0.7, 0.3 * size, 1e-4])
    high = np.log([1.0, 1.5 * size, 0.02 * size])
    scale = 1.0  # % of charge: beyond it a residual is a glitch, not noise
    found = least_squares(
        residual, np.clip(start, low + 1e-6, high - 1e-6), bounds=(low, high),
        loss="soft_l1", f_scale=scale,
    )  # fmt: skip
    return _part(names, np.exp(found.x), found.jac, residual(found.x))


def _soc_windows(data: FitData, rows: slice) -> tuple[Array, Array, Array, Array]:
    """Energy in and out, change of charge and duration of consecutive windows."""
    layout = data.layout
    soc = data.measured[layout.soc_signal][rows]
    power = data.inputs[f"{layout.battery.id}.power_kw"][rows]
    length = int(SOC_WINDOW_H / data.step_h)
    charge, out, moved = [], [], []
    for begin in range(0, len(soc) - length, length):
        part = power[begin + 1 : begin + length + 1]
        change = soc[begin + length] - soc[begin]
        if np.isfinite(part).all() and np.isfinite(change):
            charge.append(np.maximum(part, 0).sum() * data.step_h)
            out.append(np.maximum(-part, 0).sum() * data.step_h)
            moved.append(change)
    return np.array(charge), np.array(out), np.array(moved), np.full(len(moved), SOC_WINDOW_H)


def fit_cop(data: FitData, rows: slice) -> Part:
    """COP at the reference point and its slopes. Raises InputError for too little running time."""
    from scipy.optimize import least_squares

    layout = data.layout
    unit = layout.heat_pump
    power = data.inputs[f"{unit.id}.power_kw"][rows]
    heat = data.inputs[f"{unit.id}.heat_kw"][rows]
    outdoor = data.inputs[layout.outdoor_signal][rows] - COP_AT_OUTDOOR_DEGC
    end = data.measured[layout.tank_signal][rows]
    tank = (end + np.concatenate([end[:1], end[:-1]])) / 2.0 - COP_AT_TANK_DEGC
    ran = (power > 0.5 * unit.min_power_kw) & np.isfinite(heat + outdoor + tank)
    if ran.sum() < LEAST_RUNNING_ROWS:
        raise InputError(
            f"the heat pump ran in {int(ran.sum())} steps only",
            f"at least {LEAST_RUNNING_ROWS} are needed to identify its COP",
        )
    design = (power * np.stack([np.ones_like(power), outdoor, tank]))[:, ran].T
    target = heat[ran]
    spread = float(np.median(np.abs(target / power[ran] - np.median(target / power[ran]))))
    found = least_squares(
        lambda c: design @ c - target,
        np.array([unit.nominal_cop, 0.0, 0.0]),
        jac=lambda _: design,
        loss="soft_l1",
        f_scale=max(3.0 * spread * float(np.mean(power[ran])), 0.5),
    )
    names = ("hp.cop", "hp.cop_per_outdoor", "hp.cop_per_tank")
    jac = design.copy()
    jac[:, 0] *= found.x[0]  # the level is positive: its covariance is that of its logarithm
    return _part(names, found.x, jac, design @ found.x - target)


def fit_auxiliary(data: FitData, grid_kw: Array, rows: slice) -> Part:
    """What the grid meter shows beyond the sum of the assets' meters (median, robust)."""
    layout = data.layout
    powers = [data.inputs[f"{a}.power_kw"] for a in (*layout.loads, layout.battery.id)]
    powers.append(data.inputs[f"{layout.heat_pump.id}.power_kw"])
    powers += [-data.inputs[f"{a}.power_kw"] for a in layout.pvs]
    rest = (grid_kw - np.sum(powers, axis=0))[rows]
    rest = rest[np.isfinite(rest)]
    level = float(np.median(rest))
    spread = float(np.std(rest))
    # Errors of one day count as one observation.
    days = max(1.0, len(rest) * data.step_h / 24.0)
    return Part(("grid.auxiliary_kw",), np.array([level]), np.array([[spread**2 / days]]), spread)


def _part(names: tuple[str, ...], values: Array, jac: Array, residual: Array) -> Part:
    """Covariance s2 (J'J)^-1, widened for the residuals' lag-one autocorrelation.

    The widening (1 + rho) / (1 - rho) is the variance of the mean of an AR(1) series.
    """
    s2 = float(residual @ residual) / max(1, len(residual) - len(values))
    ratio = float(residual[1:] @ residual[:-1]) / max(float(residual @ residual), 1e-12)
    rho = min(max(ratio, 0.0), 0.95)
    normal = jac.T @ jac
    # A parameter on which the data says nothing keeps a wide but finite variance (ridge: 100 %).
    covariance = np.linalg.inv(
        normal / max(s2, 1e-12) * (1 - rho) / (1 + rho) + np.eye(len(values))
    )
    return Part(
        names, np.asarray(values, dtype=float), np.asarray(covariance, dtype=float), s2**0.5
    )
