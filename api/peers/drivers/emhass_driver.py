"""EMHASS's naive MPC (github.com/davidusb-geek/emhass, MIT) on the stated battery.

`EMHASS_AS=shipped` leaves every default of its `config_defaults.json` that the problem does not
state: the charge is to end at 60 %, the gap is 1 %. `EMHASS_AS=told` tells it the worth of a stored
kWh through its own end reward, lets the charge end anywhere, and asks for a gap of 0.

Its power limits are of the battery's side of the converter, so the terminal ratings are converted.
"""

import json
import logging
import os
import pathlib
from importlib.metadata import version
from typing import Any

import emhass
import numpy as np
import pandas as pd
from emhass.optimization import Optimization
from line_server import Ask, serve

W = 1000.0


def make(problem: dict[str, Any]) -> tuple[Ask, dict[str, Any]]:
    """The planner. The problem of cvxpy is built once and kept, as EMHASS keeps it."""
    told = os.environ.get("EMHASS_AS") == "told"
    folder = pathlib.Path(emhass.__file__).parent
    config = json.loads((folder / "data" / "config_defaults.json").read_text())
    battery, hours = problem["battery"], problem["step_s"] / 3600.0
    config |= {
        "optimization_time_step": pd.to_timedelta(problem["step_s"], "s"),
        "time_zone": "UTC",
        "delta_forecast_daily": pd.to_timedelta(problem["horizon"] * problem["step_s"], "s"),
        "number_of_deferrable_loads": 0,
        "num_threads": 1,
        "set_use_battery": True,
        "set_use_pv": True,
        "set_nodischarge_to_grid": False,
        "maximum_power_from_grid": W * problem["import_limit_kw"],
        "maximum_power_to_grid": W * problem["export_limit_kw"],
        "battery_charge_efficiency": battery["eta_charge"],
        "battery_discharge_efficiency": battery["eta_discharge"],
        "battery_charge_power_max": W * battery["charge_kw"] * battery["eta_charge"],
        "battery_discharge_power_max": W * battery["discharge_kw"] / battery["eta_discharge"],
        "battery_nominal_energy_capacity": W * battery["capacity_kwh"],
        "battery_minimum_state_of_charge": battery["low_kwh"] / battery["capacity_kwh"],
        "battery_maximum_state_of_charge": battery["high_kwh"] / battery["capacity_kwh"],
    }
    config["weight_battery_charge"] = problem["wear_per_kwh"] * battery["eta_charge"]
    config["weight_battery_discharge"] = problem["wear_per_kwh"] / battery["eta_discharge"]
    if told:
        config["lp_solver_mip_rel_gap"] = 0.0
    logger = logging.getLogger("emhass")
    logger.setLevel(logging.ERROR)
    optimization = Optimization(
        config, config, config, "unit_load_cost", "unit_prod_price", config["costfun"],
        {"data_path": folder / "data", "root_path": folder}, logger,
        num_timesteps=problem["horizon"],
    )  # fmt: skip
    least, most = (
        config["battery_minimum_state_of_charge"],
        config["battery_maximum_state_of_charge"],
    )
    start = pd.Timestamp(problem["start"])

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        at = start + question["k"] * config["optimization_time_step"]
        index = pd.date_range(at, periods=problem["horizon"], freq=config["optimization_time_step"])
        frame = pd.DataFrame(
            {
                "unit_load_cost": question["import_price"],
                "unit_prod_price": question["export_price"],
            },
            index=index,
        )
        pv = pd.Series(W * np.array(question["pv_kw"]), index=index)
        load = pd.Series(W * np.array(question["load_kw"]), index=index)
        soc = min(max(question["stored_kwh"] / battery["capacity_kwh"], least), most)
        end = config["battery_target_state_of_charge"]
        if told:
            end = least
            last = question["import_price"][-1]
            config["battery_soc_final_reward_factor"] = problem["worth_per_kwh"] / last
        found = optimization.perform_naive_mpc_optim(
            frame, pv, load, problem["horizon"], soc_init=soc, soc_final=end
        )
        status = str(optimization.optim_status)
        if "P_batt" not in found:
            return {"ok": False, "status": status}
        power = -found["P_batt"].to_numpy(dtype=float) / W  # EMHASS: discharging positive
        return {"ok": status.lower() == "optimal", "status": status, "power_kw": power.tolist()}

    return ask, {"version": version("emhass"), "step_h": hours}


if __name__ == "__main__":
    serve(make)
