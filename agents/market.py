"""The market agent: what the horizon is worth, and the bill if nobody does anything."""

from typing import Any

import numpy as np

from agents.ports import AgentRequest
from graph.errors import InputError
from graph.evaluation import MarketView
from graph.kpis import energy_cost, kpi_table
from graph.site import Site
from graph.snapshot import PriceSeries, Snapshot
from sandbox.futures import expected_future
from sandbox.scenario import roll_out
from sandbox.twin import Twin, make_twin


def run(request: AgentRequest) -> dict[str, Any]:
    """No args. Returns a `MarketView` document. Raises InputError without a context."""
    context = request.context
    if context is None:
        raise InputError("the market agent needs a snapshot")
    twin = make_twin(context.site, context.twin)
    return market_view(context.site, twin, context.snapshot).model_dump(mode="json")


def market_view(site: Site, twin: Twin, snapshot: Snapshot) -> MarketView:
    """Prices, their spread, the value of storage and the do-nothing bill over the horizon."""
    prices = snapshot.prices
    cheapest, dearest = min(prices.import_price), max(prices.import_price)
    efficiency = min(
        (float(getattr(b, "round_trip_efficiency", 1.0)) for b in site.of_kind("battery")),
        default=1.0,
    )
    spread = dearest - cheapest / efficiency
    bill = do_nothing_bill(site, twin, snapshot)
    return MarketView(
        currency=site.currency,
        cheapest=cheapest,
        dearest=dearest,
        spread=spread,
        export_mean=float(np.mean(prices.export_price)),
        carbon_mean_g_per_kwh=float(np.mean(prices.carbon_g_per_kwh)),
        carbon_price_per_t=site.tariff.carbon_price_per_t,
        demand_charge_per_kw=site.tariff.demand_charge_per_kw,
        storage_value_per_kwh=cheapest / efficiency**0.5,
        do_nothing=bill,
        notes=_notes(site, prices, spread, bill),
    )


def do_nothing_bill(site: Site, twin: Twin, snapshot: Snapshot) -> dict[str, float]:
    """The local law's expected bill by component, in the site's currency.

    Components `import`, `export` (negative: earned), `demand_charge`, `carbon` add up to `total`;
    `stored` is the value of the change of stored energy, `settled` = total - stored.
    """
    traces = roll_out(twin, snapshot, expected_future(twin, snapshot), {}).traces
    trace = {name: values[0] for name, values in traces.items()}
    table = kpi_table(
        site, trace, snapshot.prices, snapshot.step_s, _initial(snapshot), start=snapshot.as_of
    )
    grid = np.add.reduce([trace[f"{a.id}.power_kw"] for a in site.of_kind("grid_connection")])
    imports, exports = snapshot.prices.import_price, snapshot.prices.export_price
    bought = float(energy_cost(np.maximum(grid, 0.0), imports, exports, snapshot.step_s))
    sold = float(energy_cost(np.minimum(grid, 0.0), imports, exports, snapshot.step_s))
    carbon = float(table["carbon"]) / 1000.0 * site.tariff.carbon_price_per_t
    total = float(table["cost"])
    return {
        "import": bought,
        "export": sold,
        "demand_charge": total - bought - sold - carbon,
        "carbon": carbon,
        "total": total,
        "stored": float(table["storage_value"]),
        "settled": float(table["settled_cost"]),
    }


def _initial(snapshot: Snapshot) -> dict[str, float]:
    """Present values; the estimate stands in where a state's sensor gives none."""
    estimate = dict(zip(snapshot.estimate.names, snapshot.estimate.mean, strict=True))
    known = {
        name.replace(".temp", ".temp_degc") if name.endswith(".temp") else name: value
        for name, value in estimate.items()
    }
    read = {k: r.value for k, r in snapshot.readings.items() if r.value is not None}
    return {**known, **read}


def _notes(
    site: Site, prices: PriceSeries, spread: float, bill: dict[str, float]
) -> tuple[str, ...]:
    notes = []
    if spread <= 0:
        notes.append("storage losses eat the price spread: shifting energy earns nothing")
    if max(prices.export_price) > min(prices.import_price):
        notes.append("exporting at the best price beats importing at the cheapest")
    if site.tariff.demand_charge_per_kw > 0:
        notes.append(f"the month's highest import so far is {prices.peak_so_far_kw:.1f} kW")
    if max(prices.carbon_g_per_kwh) == 0:
        notes.append("no carbon profile: emissions count as zero")
    if bill["export"] < 0:
        notes.append(f"doing nothing earns {-bill['export']:.2f} {site.currency} by export")
    return tuple(notes)
