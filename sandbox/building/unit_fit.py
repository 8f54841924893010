"""Air units from meters: fresh air, capacity, electric power; and how thermostats hold their zone.

1. Fresh air. In ventilation hours between its setpoints a zone gets what the fan and the outdoor
   air bring: metered heat = fan_heat + UA_vent (To - Ta), or a least flow of supplied air brings:
   UA_supply (T_supply - Ta). Robust lines, with weak priors; the better one is taken.
2. Coil heat of every row is then metered heat less fresh air.
3. Capacity. Rows in which a zone stays beyond its setpoint although its unit works show all that
   the unit has: coil heat there is a line in the outdoor temperature, pulled to the greatest heat
   seen anywhere else, and to the nameplate where nothing was seen at all.
4. Power = base + fan (while ventilating, or with the coil) + heat / COP_h + cold / COP_c with COPs
   affine in the outdoor temperature: robust least squares with priors from the nameplate,
   standstill and starts included, for control needs the mean power, not the best.

Covariances are widened for the residuals' lag-one autocorrelation as in `sandbox.fit_parts`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.building.equations import (
    COOLING_RATED_DEGC,
    HEATING_RATED_DEGC,
    LEAST_COP,
    LEAST_GAP_K,
    RATED_AIR_DEGC,
)
from sandbox.building.names import UNIT_KEYS, space_of
from sandbox.building.rows import Rows, begin_of, mean_over
from sandbox.building.structure import CRANKCASE_DEGC
from sandbox.parameters import from_space, to_space

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
INSIDE_K = 0.3  # between the setpoints by so much, nobody heats or cools
BEYOND_K = 0.2  # beyond a setpoint by so much, the unit gives all it has
IDLE_KW = 0.05
MOST_STD = 0.1
LEAST_FACTOR = 0.25  # nothing is told of the greatest flow by a zone nearly as cold as the supply
LEAST_ROWS = 12
SUPPLIED = 0.8  # of the other's error: what makes a zone one with a least flow of supplied air
# Prior standard deviations in the fitting space.
PRIOR_STD = {
    "ua_vent_kw_k": 1.0, "fan_heat_kw": 1.0, "ua_supply_kw_k": 1.0, "supply_degc": 3.0,
    "cop_heating": 0.25, "cop_cooling": 0.25, "cop_heating_per_k": 0.1, "cop_cooling_per_k": 0.1,
    "base_kw": 0.1, "fan_kw": 1.0, "crankcase_kw": 0.05,
    "heating_kw": 0.5, "cooling_kw": 0.5, "heating_kw_per_k": 0.1, "cooling_kw_per_k": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class PartFit:
    """Values by name with covariance in the fitting space, and the residuals' spread."""

    names: tuple[str, ...]
    values: Array
    covariance: Array
    rmse: float


def fit_fresh_air(
    rows: Rows, zone: str, guess: dict[str, float], part: slice, may_be_supplied: bool
) -> PartFit:
    """Step 1 for one zone: outdoor air, or a least flow of supplied air where that tells more."""
    air, heat = mean_over(rows.temps[zone])[part], rows.heat[zone][part]
    use = idle_rows(rows, zone)[part] & (rows.shared["ventilating"][part] > 0.5)
    gap = (rows.shared["outdoor_degc"][part] - air)[use]
    inside = air[use]
    fresh = (f"{zone}.ua_vent_kw_k", f"{zone}.fan_heat_kw")
    supplied = (f"{zone}.ua_supply_kw_k", f"{zone}.supply_degc")
    models: list[tuple[tuple[str, ...], Callable[[Array], Array]]] = [
        (fresh, lambda v: np.asarray(v[1] + v[0] * gap)),
        (supplied, lambda v: np.asarray(v[0] * (v[1] - inside))),
    ]
    own = [_solve(n, [guess[k] for k in n], model, heat[use], scale=0.1)
           for n, model in models[: 1 + may_be_supplied]]  # fmt: skip
    return own[-1] if own[-1].rmse < SUPPLIED * own[0].rmse else own[0]


def idle_rows(rows: Rows, zone: str) -> Bools:
    """Rows in which a zone is well between its setpoints from begin to end."""
    air = rows.temps[zone]
    low, high = rows.low[zone] + INSIDE_K, rows.high[zone] - INSIDE_K
    before = begin_of(air)
    inside = (air > low) & (air < high) & (before > low) & (before < high)
    return np.asarray(inside & rows.usable)


def ventilation_heat(rows: Rows, zone: str, values: dict[str, float]) -> Array:
    """Heat (R,) that ventilation brings, by the part that step 1 chose."""
    air, on = mean_over(rows.temps[zone]), rows.shared["ventilating"]
    if f"{zone}.ua_supply_kw_k" in values:
        gap = values[f"{zone}.supply_degc"] - air
        return np.asarray(on * values[f"{zone}.ua_supply_kw_k"] * gap)
    exchange = values[f"{zone}.ua_vent_kw_k"] * (rows.shared["outdoor_degc"] - air)
    return np.asarray(on * (values[f"{zone}.fan_heat_kw"] + exchange))


def coil_heat(rows: Rows, zone: str, values: dict[str, float]) -> Array:
    """Step 2: heat (R,) of the coil by itself; none between the setpoints, whatever is left."""
    own = rows.heat[zone] - ventilation_heat(rows, zone, values)
    return np.where(idle_rows(rows, zone), 0.0, own)


def standing_cold(rows: Rows, zones: tuple[str, ...], values: dict[str, float]) -> Array:
    """Cold (R,) of the least flows that zones are supplied with."""
    supplied = [z for z in zones if f"{z}.ua_supply_kw_k" in values]
    parts = [np.maximum(-ventilation_heat(rows, z, values), 0.0) for z in supplied]
    return np.sum(parts, axis=0) if parts else np.zeros(len(rows))


def fit_capacity(
    rows: Rows, unit: str, mode: str, guess: dict[str, float], coil: dict[str, Array], part: slice
) -> PartFit:
    """Step 3 for one unit; mode: heating or cooling."""
    sign, rated = (1.0, HEATING_RATED_DEGC) if mode == "heating" else (-1.0, COOLING_RATED_DEGC)
    names = (f"{unit}.{mode}_kw", f"{unit}.{mode}_kw_per_k")
    total = np.sum([np.maximum(sign * coil[z], 0.0) for z in coil], axis=0)
    full = np.ones(len(rows), dtype=bool)
    for zone in coil:
        air, before = rows.temps[zone], begin_of(rows.temps[zone])
        edge = rows.low[zone] if mode == "heating" else rows.high[zone]
        full &= (sign * (edge - air) > BEYOND_K) & (sign * (edge - before) > BEYOND_K)
    seen = total[part][rows.usable[part] & np.isfinite(total[part])]
    level = float(np.quantile(seen, 0.995)) if len(seen) else 0.0
    # Without ventilation units cycle: a zone off its setpoint then says nothing of capacity.
    full &= rows.usable & (rows.shared["ventilating"] > 0.5)
    full &= (total > 0.5 * level) & (total > IDLE_KW)
    use = full[part]
    start = [guess[n] for n in names]
    if level > IDLE_KW:
        # A unit that was seen to give a level has about that much or more, not its nameplate's.
        start[0] = max(level, 1e-3) if use.sum() >= LEAST_ROWS else max(start[0], level)
        start[1] *= start[0] / guess[names[0]]
    gap = (rows.shared["outdoor_degc"][part] - rated)[use]

    def model(v: Array) -> Array:
        return np.asarray(v[0] + v[1] * gap)

    return _solve(names, start, model, total[part][use], scale=0.05 * max(start[0], 0.1))


def fit_most(rows: Rows, zone: str, coil: Array, guess: dict[str, float], part: slice) -> PartFit:
    """Greatest coil heating, and cooling at `RATED_AIR_DEGC`, of one of a unit's several zones."""
    names = (f"{zone}.most_heating_kw", f"{zone}.most_cooling_kw")
    found = []
    air, before = rows.temps[zone], begin_of(rows.temps[zone])
    gap = max(RATED_AIR_DEGC - guess[f"{zone}.supply_degc"], LEAST_GAP_K)
    factor = np.maximum(1.0 + (mean_over(air) - RATED_AIR_DEGC) / gap, LEAST_FACTOR)
    for sign, edge, name in ((1.0, rows.low[zone], names[0]), (-1.0, rows.high[zone], names[1])):
        given = np.maximum(sign * coil, 0.0) / (factor if sign < 0.0 else 1.0)
        beyond = (sign * (edge - air) > BEYOND_K) & (sign * (edge - before) > BEYOND_K)
        full = beyond & rows.usable & (rows.shared["ventilating"] > 0.5) & (given > IDLE_KW)
        known = given[part][rows.usable[part] & np.isfinite(given[part])]
        level = float(np.quantile(known, 0.995)) if len(known) else 0.0
        if full[part].sum() >= LEAST_ROWS:
            found.append(float(np.median(given[part][full[part]])))
        else:
            # Never short of it: at least what was seen.
            found.append(max(guess[name], level))
    return PartFit(names, np.maximum(found, 1e-3), np.diag([MOST_STD**2] * 2), 0.0)


def fit_power(
    rows: Rows, unit: str, guess: dict[str, float], coil: dict[str, Array], part: slice,
    crankcase_below_degc: float = CRANKCASE_DEGC,
) -> PartFit:  # fmt: skip
    """Step 4 for one unit; `guess` holds the capacities of step 3."""
    keys = UNIT_KEYS[:7]
    names = tuple(f"{unit}.{k}" for k in keys)
    known = rows.usable & np.all([np.isfinite(q) for q in coil.values()], axis=0)
    use = known[part]
    on = rows.shared["ventilating"][part][use]
    outdoor = rows.shared["outdoor_degc"][part][use]
    heat = np.sum([np.maximum(q, 0.0) for q in coil.values()], axis=0)[part][use]
    cold = np.sum([np.maximum(-q, 0.0) for q in coil.values()], axis=0)
    cold = (cold + standing_cold(rows, tuple(coil), guess))[part][use]
    running = heat / guess[f"{unit}.heating_kw"] + cold / guess[f"{unit}.cooling_kw"]

    def model(v: Array) -> Array:
        cop_h = np.maximum(v[0] + v[1] * (outdoor - HEATING_RATED_DEGC), LEAST_COP)
        cop_c = np.maximum(v[2] + v[3] * (outdoor - COOLING_RATED_DEGC), LEAST_COP)
        fan = v[5] * (on + (1.0 - on) * running)
        return np.asarray(v[4] + v[6] * frost + fan + heat / cop_h + cold / cop_c)

    frost = (outdoor < crankcase_below_degc).astype(float)
    target = rows.power[unit][part][use]
    start = [guess[n] for n in names]
    # A nameplate without a slope is electric resistance: a watt is a watt in any weather.
    sure = {"cop_heating": 0.02, "cop_heating_per_k": 0.002} if start[1] == 0.0 else {}
    return _solve(names, start, model, target, scale=0.1, sure=sure)


def _solve(
    names: tuple[str, ...], start: list[float], model: Callable[[Array], Array], target: Array,
    scale: float, sure: Mapping[str, float] | None = None,
) -> PartFit:  # fmt: skip
    """Robust least squares with priors; without data the start with its prior's covariance.

    sure: prior standard deviations that replace `PRIOR_STD`, by key.
    """
    from scipy.optimize import least_squares

    spaces = tuple(space_of(n) for n in names)
    priors = {**PRIOR_STD, **(sure or {})}
    std = np.array([priors[n.split(".", 1)[1]] for n in names])
    centre = to_space(start, spaces)
    if len(target) < LEAST_ROWS:
        return PartFit(names, np.array(start), np.diag(std**2), 0.0)
    weight = 1.0 / scale

    def residuals(theta: Array) -> Array:
        error = (model(from_space(theta, spaces)) - target) * weight
        return np.concatenate([error, (theta - centre) / std])

    found = least_squares(residuals, centre, loss="soft_l1", x_scale=std)
    error = residuals(found.x)[: len(target)]
    s2 = float(error @ error) / max(1, len(error) - len(names))
    ratio = float(error[1:] @ error[:-1]) / max(float(error @ error), 1e-12)
    rho = min(max(ratio, 0.0), 0.95)
    plain = least_squares(residuals, found.x, max_nfev=1)  # Jacobian without the robust weights
    slopes = plain.jac[: len(target)]
    information = slopes.T @ slopes / max(s2, 1e-9) * (1 - rho) / (1 + rho)
    covariance = np.linalg.inv(information + np.diag(std**-2.0))
    values = from_space(found.x, spaces)
    return PartFit(names, values, covariance, float(np.sqrt(s2)) * scale)
