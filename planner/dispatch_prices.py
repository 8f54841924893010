"""Prices that make one sum of unlike things, and that keep soft bounds.

Everything is priced in the site's currency, so that a multiplier reads "currency per K".

Objectives, at weight 1:
- cost: itself (energy bought less sold, priced carbon, demand charge, wear, less stored energy).
- energy: an imported kWh weighs the mean import price.
- emissions: a kg weighs mean import price / mean carbon intensity, so that a mean kWh weighs the
  same under energy, emissions and cost.
- peak: a kW of highest import weighs `PEAK_HOURS` h of the mean price.
- comfort: a K.h off the band's middle weighs `COMFORT_KWH` kWh at the mean price.
- reliability: a kWh that the batteries lack of their greatest charge, on the mean over the horizon,
  weighs the mean price: what would have to be bought to have it when the grid fails.
- wear: the battery's wear cost, or a tenth of the mean price a kWh of throughput if none is known.

Soft bounds: an exact penalty keeps a bound whenever it can be kept, if it costs more than breaking
it can ever save. Breaking a room's bound by 1 K for one step saves at most the heat that would
lift its air by 1 K within that step, made at the worst COP and the dearest price. The price is
`PENALTY_FACTOR` times that; a margin costs `MARGIN_FACTOR` times, a hard state bound that the
state already violates `RECOVERY_FACTOR` times as much as a soft one.
"""

from dataclasses import dataclass

import numpy as np

from graph.errors import InputError
from graph.intent import UNPLANNED, Intent
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_options import COMFORT_KWH, COST_TIEBREAK, PEAK_HOURS


@dataclass(frozen=True)
class Rates:
    """Currency per native unit of each quantity, and the greatest worth of a kWh at any step."""

    energy: float
    emissions: float
    peak: float
    comfort: float
    wear_by_default: float
    dearest_kwh: float


def rates(data: DispatchInputs, weights: dict[str, float]) -> Rates:
    """The exchange rates of this horizon; `weights` are the objective's."""
    mean = max(abs(data.mean_price), 1e-6)
    carbon = float(np.mean(data.carbon))
    emissions = mean / carbon if carbon > 0 else mean
    peak = PEAK_HOURS * mean
    tariff = data.site.tariff
    dearest = (
        max(weights.get("cost", 0.0), COST_TIEBREAK)
        * (
            float(np.max(np.abs(data.import_price)))
            + tariff.carbon_price_per_t / 1000.0 * float(np.max(data.carbon))
            + tariff.demand_charge_per_kw / data.hours
        )
        + weights.get("energy", 0.0) * mean
        + weights.get("emissions", 0.0) * emissions * float(np.max(data.carbon))
        + weights.get("peak", 0.0) * peak / data.hours
        + weights.get("reliability", 0.0) * mean
    )
    return Rates(mean, emissions, peak, COMFORT_KWH * mean, mean / 10.0, max(dearest, mean))


def unit_saving(data: DispatchInputs, signal: str, dearest_kwh: float) -> float:
    """Most that can be saved by moving `signal` by one unit over one step, in currency."""
    asset = signal.split(".", 1)[0]
    worst_cop = 1.0
    if data.parts.pump is not None:
        reference = np.full(data.steps, 45.0)
        worst_cop = max(1.0, float(np.min(data.hub.cop(data.outdoor, reference))))
    for unit in data.hub.units:
        if data.hub.zones is not None and any(data.hub.zones.zones[z] == asset for z in unit.zones):
            series = data.units[unit.id]
            worst_cop = float(min(np.min(series.cop_heating), np.min(series.cop_cooling)))
    room = data.hub.zones is not None and asset in data.hub.zones.zones
    if data.hub.zones is not None and room and not signal.endswith(".heat_kw"):
        z = data.hub.zones.zones.index(asset)
        gain = float(data.hub.zones.B[data.hub.zones.air[z], z])  # K per kW held for one step
        return data.hours / gain / worst_cop * dearest_kwh
    if data.parts.tank is not None and data.hub.tank is not None and asset == data.parts.tank.id:
        return data.hub.tank.capacity_kwh_k / worst_cop * dearest_kwh
    if signal.endswith(".soc_pct"):
        return data.hub.batteries[asset].capacity_kwh / 100.0 * dearest_kwh
    return data.hours * dearest_kwh


def objective_weights(intent: Intent) -> dict[str, float]:
    """Summed weight of each quantity that the intent names.

    Raises:
        InputError: a quantity that no setpoint of a dispatched site moves.
    """
    weights: dict[str, float] = {}
    for objective in intent.objectives:
        if objective.quantity in UNPLANNED:
            raise InputError(
                f"{objective.quantity} cannot be planned: nothing in this site's model counts it",
                "name cost, energy, emissions, peak, comfort, wear or reliability",
            )
        weights[objective.quantity] = weights.get(objective.quantity, 0.0) + objective.weight
    return weights
