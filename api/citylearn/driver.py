"""Runs CityLearn's environment and speaks JSON lines: observations out, actions in.

Runs on the interpreter of CityLearn's own environment and imports nothing of this project.

    python driver.py DATASET FIRST_BUILDING LAST_BUILDING START END

One line is answered by one line:

1. `{"tell": "district"}`: batteries, and prices and carbon of the whole window and a day beyond
   (they are published ahead). `{"tell": "hour"}`: the observation of the hour that it is.
2. `{"actions": [a1, ..., aB]}` (shares of capacity): the observation of the next hour.
3. `{"tell": "score"}` after the last hour: the environment's own evaluation, and the net
   consumption that it counted.

Only what the environment observes is told; nothing of later hours.
"""

import json
import math
import os
import sys
import warnings
from typing import Any

warnings.filterwarnings("ignore")
SCORED = {
    "cost": "cost_total",
    "emissions": "carbon_emissions_total",
    "ramping": "ramping_average",
    "load_factor": "daily_one_minus_load_factor_average",
    "daily_peak": "daily_peak_average",
    "all_time_peak": "all_time_peak_average",
}
WEATHER = (
    "outdoor_dry_bulb_temperature", "direct_solar_irradiance", "diffuse_solar_irradiance",
)  # fmt: skip
AHEAD_H = (6, 12, 24)
BEYOND = 24


def main() -> None:
    """Serve one run from standard input to standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print must not look like an answer
    from citylearn.citylearn import CityLearnEnv  # type: ignore[import-not-found,unused-ignore]

    name, first, last, start, end = sys.argv[1], *map(int, sys.argv[2:6])
    env = CityLearnEnv(
        schema=name, central_agent=True,
        buildings=[f"Building_{i}" for i in range(first, last + 1)],
        simulation_start_time_step=start, simulation_end_time_step=end,
    )  # fmt: skip

    env.reset()
    for line in sys.stdin:
        asked = json.loads(line)
        if "actions" in asked:
            env.step([asked["actions"]])
        told = asked.get("tell", "hour")
        answer = (
            ready(env, start, end) if told == "district"
            else scored(env) if told == "score"
            else observed(env)
        )  # fmt: skip
        out.write(json.dumps(answer, allow_nan=False) + "\n")
        out.flush()


def ready(env: Any, start: int, end: int) -> dict[str, Any]:
    """Batteries, time and what is published ahead."""
    one = env.buildings[0]
    until = end + 1 + BEYOND

    def whole(series: Any) -> list[float]:
        # The full year's series: prices and carbon are known ahead.
        return [float(v) for v in series[start:until]]

    return {
        "hours": env.time_steps,
        "batteries": [battery(b.electrical_storage) for b in env.buildings],
        "pv_rated_kw": [float(b.pv.nominal_power) for b in env.buildings],
        "most_action": [float(v) for v in env.action_space[0].high],
        "price": whole(
            getattr(one.pricing, "_electricity_pricing", one.pricing.electricity_pricing)
        ),
        "carbon": whole(
            getattr(
                one.carbon_intensity, "_carbon_intensity", one.carbon_intensity.carbon_intensity
            )
        ),
    }


def battery(storage: Any) -> dict[str, Any]:
    """Nameplate and curves."""
    return {
        "capacity_kwh": float(storage.capacity),
        "nominal_kw": float(storage.nominal_power),
        "start_efficiency": float(storage.efficiency),
        "efficiency": [[float(v) for v in row] for row in storage.power_efficiency_curve],
        "power": [[float(v) for v in row] for row in storage.capacity_power_curve],
        "fade": float(storage.capacity_loss_coefficient),
    }


def observed(env: Any) -> dict[str, Any]:
    """What CityLearn's own observations hold at this hour."""
    rows = [b.observations(normalize=False, periodic_normalization=False) for b in env.buildings]
    shared = rows[0]
    weather = {0: [float(shared[n]) for n in WEATHER]}
    for lead in AHEAD_H:
        weather[lead] = [float(shared[f"{n}_predicted_{lead}h"]) for n in WEATHER]
    return {
        "month": int(shared["month"]), "day_type": int(shared["day_type"]),
        "hour": int(shared["hour"]), "weather": weather,
        "load_kw": [float(r["non_shiftable_load"]) for r in rows],
        "pv_kw": [float(r["solar_generation"]) for r in rows],
        "charge": [float(r["electrical_storage_soc"]) for r in rows],
        "net_kw": [float(r["net_electricity_consumption"]) for r in rows],
    }  # fmt: skip


def scored(env: Any) -> dict[str, Any]:
    """The district's figures of `env.evaluate()`, and what it counted: net with and without."""
    table = env.evaluate()
    district = table[table["level"] == "district"].set_index("cost_function")["value"]
    found = {key: float(district[name]) for key, name in SCORED.items()}
    if not all(math.isfinite(v) for v in found.values()):
        raise ValueError(f"CityLearn's evaluation is not finite: {found}")
    return {
        "terms": found,
        "net_kw": [[float(v) for v in b.net_electricity_consumption] for b in env.buildings],
        "without_kw": [
            [float(v) for v in b.net_electricity_consumption_without_storage] for b in env.buildings
        ],
    }


if __name__ == "__main__":
    main()
