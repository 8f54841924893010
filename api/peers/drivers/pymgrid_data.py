"""The series and sizes of one of python-microgrid's published microgrids, without a genset."""

from importlib.metadata import version
from typing import Any

import numpy as np
from line_server import Ask, serve
from pymgrid import Microgrid


def make(problem: dict[str, Any]) -> tuple[Ask, dict[str, Any]]:
    """Answers `{"first": i, "last": j}` with the rows i to j - 1 of `scenario`."""
    grid = Microgrid.from_scenario(problem["scenario"])
    # `grid.load` is a method: modules are taken by name
    names = ("battery", "grid", "load", "pv")
    battery, connection, load, pv = (grid.modules[n].item() for n in names)
    sizes = {
        "low_kwh": battery.min_capacity, "high_kwh": battery.max_capacity,
        "start_kwh": battery.current_charge, "efficiency": battery.efficiency,
        "charge_kw": battery.max_external_charge, "discharge_kw": battery.max_external_discharge,
        "wear_per_kwh": battery.battery_cost_cycle, "import_limit_kw": connection.max_import,
        "export_limit_kw": connection.max_export,
    }  # fmt: skip

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        rows = slice(question["first"], question["last"])
        prices = np.asarray(connection.time_series)[rows]
        bought = prices[:, 0] + connection.cost_per_unit_co2 * prices[:, 2]
        series = {
            "load_kw": np.abs(np.ravel(load.time_series)[rows]),
            "pv_kw": np.ravel(pv.time_series)[rows],
            "import_price": bought,
            "export_price": prices[:, 1],
        }
        return {"ok": True, "status": "read", **{n: v.tolist() for n, v in series.items()}}

    return ask, {"version": version("python-microgrid"), **{n: float(v) for n, v in sizes.items()}}


if __name__ == "__main__":
    serve(make)
