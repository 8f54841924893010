"""The MPC of python-microgrid (github.com/ahalev/python-microgrid, LGPL) on the stated battery.

Its steps have no length: energies a step stand for powers. It has no worth for what is left at the
horizon's end. Its programme counts a positive export price as a cost, so it is told the negative.
"""

from importlib.metadata import version
from typing import Any

import numpy as np
from line_server import Ask, serve
from pymgrid import Microgrid
from pymgrid.algos import ModelPredictiveControl
from pymgrid.modules import BatteryModule, GridModule, LoadModule, RenewableModule


def make(problem: dict[str, Any]) -> tuple[Ask, dict[str, Any]]:
    """The controller. Its microgrid's series only give sizes: each question brings its own."""
    n, hours, battery = problem["horizon"], problem["step_s"] / 3600.0, problem["battery"]
    series = np.ones(2 * n)
    foretold: dict[str, Any] = {"forecaster": "oracle", "forecast_horizon": n - 1}
    modules = [
        LoadModule(series, **foretold),
        ("pv", RenewableModule(series, **foretold)),
        GridModule(
            hours * problem["import_limit_kw"], hours * problem["export_limit_kw"],
            np.ones((2 * n, 3)), **foretold,
        ),
        BatteryModule(
            battery["low_kwh"], battery["high_kwh"], hours * battery["charge_kw"],
            hours * battery["discharge_kw"], battery["eta_charge"],
            battery_cost_cycle=problem["wear_per_kwh"], init_soc=0.5,
        ),
    ]  # fmt: skip
    control = ModelPredictiveControl(Microgrid(modules))
    capacity = battery["high_kwh"]  # what its programme divides energies by
    nothing = np.zeros(n)

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        control._set_and_solve(
            hours * np.array(question["load_kw"]), hours * np.array(question["pv_kw"]), np.ones(n),
            np.array(question["import_price"]), -np.array(question["export_price"]),
            battery["high_kwh"] / capacity, battery["low_kwh"] / capacity,
            hours * battery["charge_kw"], hours * battery["discharge_kw"],
            hours * problem["import_limit_kw"], hours * problem["export_limit_kw"],
            question["stored_kwh"] / capacity, None, 0.0, nothing, None,
        )  # fmt: skip
        status = control.problem.status
        if control.p_vars.value is None:
            return {"ok": False, "status": status}
        # `get_action` returns the first step alone; the plan is in the programme's variables.
        power = (control.p_vars.value[2::7] - control.p_vars.value[3::7]) / hours
        return {"ok": status == "optimal", "status": status, "power_kw": power.tolist()}

    return ask, {"version": version("python-microgrid")}


if __name__ == "__main__":
    serve(make)
