"""What a step is worth: the project's own KPIs, step by step.

reward = -(energy cost + priced carbon + demand charge - value of stored energy)
         - comfort price x K.h outside the comfort band - penalties for limits.

Stored energy is valued as in `graph.kpis`: at the horizon's lowest import price. Without limits
broken, the rewards of an episode add up to -(settled cost + comfort price x comfort) of its KPI
table, to the last digit that floating point keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from graph import kpis
from graph.site import Site
from sandbox.checks import TOLERANCE

Array = NDArray[np.float64]
COMFORT_KWH = 8.0  # a K.h outside the band weighs so many kWh at the mean import price: dearer than
# any heat that it saves (a K less saves some tenths of a kW of electricity)
LIMIT_KWH = 20.0  # so many kWh for an hour at ten tolerances beyond a limit
START_KWH = 5.0  # and for a start beyond the allowed ones
MOST_TOLERANCES = 30.0  # beyond, a limit is broken either way: no penalty grows without end


@dataclass(frozen=True)
class Worth:
    """What was paid in a step, each (F,): money, value of stored energy, K.h, penalties."""

    cost: Array
    stored: Array
    comfort: Array
    penalty: Array
    comfort_price: Array

    @property
    def reward(self) -> Array:
        """See the module's text."""
        return self.stored - self.cost - self.comfort_price * self.comfort - self.penalty


def comfort_price(mean_price: Array | float) -> Array:
    """Currency a K.h outside the comfort band."""
    return np.asarray(COMFORT_KWH * np.abs(mean_price))


def step_worth(
    site: Site, traces: Mapping[str, Array], before: Mapping[str, Array], now: datetime,
    prices: Array, cheapest: Array, mean: Array, peak: Array, begun: Array,
) -> tuple[Worth, Array]:  # fmt: skip
    """The worth of one step of F plants, and the month's highest import after it.

    Args:
        traces: by signal (F, 1).
        before: stores' signals before the step (F,).
        now: begin of the step (of any of them: only comfort hours and demand windows ask).
        prices: import, export, carbon of the step, (3, F).
        cheapest, mean: lowest and mean import price of each plant's horizon, (F,).
        peak: the month's highest import so far, (F,).
        begun: starts beyond the allowed ones that were made in this step, (F,).
    """
    step_s = float(site.step_s)
    grids = [traces[f"{a.id}.power_kw"] for a in site.of_kind("grid_connection")]
    grid = np.add.reduce(grids) if grids else np.zeros((len(mean), 1))
    cost = kpis.energy_cost(grid, prices[0][:, None], prices[1][:, None], step_s)
    carbon = kpis.carbon_kg(grid, prices[2][:, None], step_s)
    cost = cost + carbon / 1000.0 * site.tariff.carbon_price_per_t
    reached = _peak(site, grid[:, 0], peak, now)
    cost = cost + (reached - peak) * site.tariff.demand_charge_per_kw
    comfort = _comfort(site, traces, now)
    stored = kpis.storage_value(site, traces, before, cheapest)
    penalty = mean * (_limits(site, traces) + START_KWH * begun)
    stored = np.broadcast_to(stored, cost.shape)
    return Worth(cost, stored, comfort, penalty, comfort_price(mean)), reached


def _comfort(site: Site, traces: Mapping[str, Array], now: datetime) -> Array:
    each = kpis.comfort_by_zone(site, traces, float(site.step_s), now)
    if not each:
        return np.zeros(len(next(iter(traces.values()))))
    return np.asarray(np.mean(list(each.values()), axis=0))


def _peak(site: Site, grid: Array, peak: Array, now: datetime) -> Array:
    window = site.tariff.demand_window
    if window is not None and not window.covers(now.astimezone(site.zone_info)):
        return peak
    return np.maximum(peak, grid)


def _limits(site: Site, traces: Mapping[str, Array]) -> Array:
    """Penalty in kWh for the step's limits on signals."""
    total = np.zeros(len(next(iter(traces.values()))))
    for limit in site.limits:
        if limit.signal not in traces:
            continue
        value, unit = traces[limit.signal][:, 0], site.signal(limit.signal).unit
        tolerance = TOLERANCE.get({"%": "percent"}.get(unit, unit), 0.0) or 0.1
        low = -np.inf if limit.minimum is None else limit.minimum
        high = np.inf if limit.maximum is None else limit.maximum
        beyond = np.maximum(low - value, 0.0) + np.maximum(value - high, 0.0)
        total = total + np.minimum(beyond / tolerance, MOST_TOLERANCES)
    return np.asarray(total * LIMIT_KWH / 10.0 * site.step_s / 3600.0)
