"""What a plan would cost in the twin. Nothing here knows a plant that could be written."""

from typing import Any

from graph.kpis import kpi_table
from graph.plan import Plan
from sandbox.futures import expected_future
from sandbox.scenario import roll_out


def kpis_in_twin(context: Any, snapshot: Any, plan: Plan, hours: float) -> dict[str, float]:
    """KPIs of a plan in the twin under the snapshot's forecasts, over its first `hours`."""
    future = expected_future(context.twin, snapshot)
    steps = int(hours * 3600 // snapshot.step_s)
    traces = roll_out(context.twin, snapshot, future, plan.setpoints).traces
    cut = {name: values[0, :steps] for name, values in traces.items()}
    initial = {k: r.value for k, r in snapshot.readings.items() if r.value is not None}
    table = kpi_table(context.site, cut, snapshot.prices, snapshot.step_s, initial, snapshot.as_of)
    return {name: float(value) for name, value in table.items()}
