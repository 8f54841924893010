"""Whether telemetry moved a building enough to tell its parameters, in figures and in words.

By input: the share of hours in which it moves, and the share of its variance that the clock (hour
and kind of day) does not already tell. By zone: the condition number of its heat balance's
regressors with the clock removed, the share of time in which its setpoints depart from their daily
habit, and how much narrower than the prior the fit made the parameters that control needs (from the
Fisher information, see `zone_fit`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.building.calendar import HOURS
from sandbox.building.rows import Ints, Rows, mean_over
from sandbox.building.structure import DAY_KINDS
from sandbox.building.zone_fit import ZoneFit

Array = NDArray[np.float64]
MOVES = 0.05  # of its 5 to 95 % range within an hour: an input moves
DEPARTS_K = 0.25  # from the habit of the hour: a setpoint is excited
GOOD_DEPARTURE = 0.03
GOOD_SHARE, POOR_SHARE = 0.5, 0.9  # posterior to prior standard deviation
POOR_CONDITION = 300.0
STILL_K = 0.15  # a zone whose air departs less from its daily habit tells nothing
NEEDED = ("c_air_kwh_k", "c_mass_kwh_k", "ua_mass_kw_k", "ua_out_kw_k")


def judge(rows: Rows, fits: dict[str, ZoneFit], part: slice) -> dict[str, Any]:
    """Figures by input and by zone, a verdict (poor, fair, good) and sentences that say why."""
    kinds, usable = rows.kinds[part], rows.usable[part]
    inputs = {n: _input(v[part][usable], kinds[usable], rows) for n, v in _series(rows).items()}
    zones = {z: _zone(rows, f, part) for z, f in fits.items()}
    words = [z["verdict"] for z in zones.values()]
    verdict = "poor" if "poor" in words else "good" if set(words) == {"good"} else "fair"
    said = [f"{z}: {w}" for z, d in zones.items() for w in d["why"]]
    return {"verdict": verdict, "inputs": inputs, "zones": zones, "sentences": said}


def _series(rows: Rows) -> dict[str, Array]:
    layout = rows.layout
    found = {layout.outdoor_signal: rows.shared["outdoor_degc"],
             layout.ghi_signal: rows.shared["sun.horizontal_kw_m2"],
             "metered load": rows.shared["load_kw"]}  # fmt: skip
    found |= {f"{z}.heat_kw": v for z, v in rows.heat.items()}
    found |= {f"{z}.heating_setpoint_degc": v for z, v in rows.low.items()}
    return found | {f"{z}.cooling_setpoint_degc": v for z, v in rows.high.items()}


def _input(values: Array, kinds: Ints, rows: Rows) -> dict[str, Any]:
    span = float(np.subtract(*np.quantile(values, (0.95, 0.05)))) if len(values) else 0.0
    hour = rows.steps(1.0)
    change = np.abs(values[hour:] - values[:-hour])
    moving = float(np.mean(change > MOVES * span)) if span > 1e-9 else 0.0
    total = float(np.var(values)) if len(values) else 0.0
    left = float(np.var(values - habit(values, kinds))) / total if total > 1e-12 else 0.0
    word = "poor" if moving < 0.01 else "good" if left > 0.2 and moving > 0.1 else "fair"
    return {"moving_share": moving, "beyond_clock_share": left, "verdict": word}


def habit(values: Array, kinds: Ints) -> Array:
    """Median of each hour and kind of day, at every row."""
    table = np.zeros(len(DAY_KINDS) * HOURS)
    for k in np.unique(kinds):
        table[k] = np.median(values[kinds == k])
    return np.asarray(table[kinds])


def _zone(rows: Rows, fit: ZoneFit, part: slice) -> dict[str, Any]:
    zone, usable = fit.zone, rows.usable[part]
    kinds = rows.kinds[part][usable]
    air = rows.temps[zone][part][usable]
    wander = float(np.std(air - habit(air, kinds)))
    departs = 0.0
    for setpoints in (rows.low[zone], rows.high[zone]):
        values = setpoints[part][usable]
        departs = max(departs, float(np.mean(np.abs(values - habit(values, kinds)) > DEPARTS_K)))
    condition = _condition(rows, zone, part)
    std = np.sqrt(np.diag(fit.covariance))
    keys = [n.split(".", 1)[1] for n in fit.names]
    shares = {k: float(std[keys.index(k)] / fit.prior_std[keys.index(k)]) for k in NEEDED
              if k in keys}  # fmt: skip
    why, verdict = _words(wander, departs, condition, shares)
    return {
        "air_beyond_clock_k": wander,
        "setpoints_depart_share": departs,
        "condition_number": condition,
        "posterior_to_prior": shares,
        "verdict": verdict,
        "why": why,
    }


def _words(
    wander: float, departs: float, condition: float, shares: dict[str, float]
) -> tuple[list[str], str]:
    """Sentences and the verdict."""
    poor, fair = [], []
    if wander < STILL_K:
        poor.append(f"its air departs from its daily habit by {wander:.2f} K only")
    if condition > POOR_CONDITION:
        poor.append(f"its inputs move together (condition number {condition:.0f})")
    unknown = [k for k, v in shares.items() if v > POOR_SHARE]
    if len(unknown) * 2 > len(shares):
        poor.append(f"the record says nothing of {', '.join(unknown)}")
    if departs < GOOD_DEPARTURE:
        fair.append("its setpoints never depart from their schedule")
    loose = [k for k, v in shares.items() if v > GOOD_SHARE]
    if loose and not unknown:
        fair.append(f"{', '.join(loose)} stay uncertain")
    if poor:
        return poor, "poor"
    return fair, "fair" if fair else "good"


def _condition(rows: Rows, zone: str, part: slice) -> float:
    """Condition number of the correlations of a zone's hourly regressors, the clock removed."""
    air = rows.temps[zone]
    columns = (
        rows.heat[zone],
        rows.shared["outdoor_degc"] - mean_over(air),
        rows.shared["sun.horizontal_kw_m2"],
        np.concatenate([[0.0], np.diff(air)]),
    )
    usable, kinds = rows.usable[part], rows.kinds[part]
    per_hour = rows.steps(1.0)
    table = []
    for values in columns:
        free = np.where(usable, values[part], np.nan)
        count = len(free) // per_hour
        hourly = free[: count * per_hour].reshape(count, per_hour).mean(axis=1)
        table.append(hourly)
    hours = kinds[: len(table[0]) * per_hour : per_hour]
    found = np.array(table)
    good = np.isfinite(found).all(axis=0)
    found, hours = found[:, good], hours[good]
    found = np.array([v - habit(v, hours) for v in found])
    spread = found.std(axis=1)
    if (spread < 1e-6).any():
        return float("inf")
    return float(np.linalg.cond(np.corrcoef(found)))
