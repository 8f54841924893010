"""A small office on air units whose model is exact, for tests of the dispatch planner.

    house = RcHouse(make_building(zones=3))
    run = house.simulate(x0, weather, setpoints, start, steps)

Each zone has air, mass and wall; neighbours exchange heat through their air. `RcHouse` gives the
planner its exact zero-order hold, and simulates the same network under local thermostats that
close their error with one time constant, as real ones do between two samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from graph.schedules import covered, scheduled
from graph.site import Site

SUBSTEPS = 3
NODES = ("air", "mass", "wall")
SIDES = ("heating", "cooling")
WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]


def make_building(
    zones: int = 2, units: int | None = None, *, storage: bool = False, **changes: Any
) -> Site:
    """An office with `zones` zones on `units` air units (one a zone unless given), and if wanted
    with PV and a battery. `changes` replaces parts of its document."""
    units = units or zones
    names = [f"zone_{chr(97 + z)}" for z in range(zones)]
    served = [f"unit_{chr(97 + z * units // zones)}" for z in range(zones)]
    document: dict[str, Any] = {
        "schema_version": "pilothouse/site/v1", "id": "office", "name": "Office",
        "time_zone": "America/Los_Angeles", "currency": "USD", "step_s": 900,
        "assets": [
            {"id": "grid", "kind": "grid_connection", "import_limit_kw": 30.0 * zones,
             "export_limit_kw": 0},
            {"id": "building", "kind": "load", "label": "Lights and plugs", "rated_kw": 40},
            {"id": "outdoor", "kind": "weather"},
            *({"id": u, "kind": "air_unit", "label": f"Unit {u[-1].upper()}",
               "heating_kw": 10.0 * zones / units, "cooling_kw": 8.0 * zones / units,
               "nominal_cop_heating": 3, "nominal_cop_cooling": 3.5, "source": "outdoor"}
              for u in dict.fromkeys(served)),
            *({"id": z, "kind": "zone", "label": f"Wing {z[-1].upper()}", "floor_area_m2": 100,
               "source": u} for z, u in zip(names, served, strict=True)),
        ],
        "signals": [
            {"id": "grid.power_kw", "unit": "kW", "minimum": -100, "maximum": 900},
            {"id": "building.power_kw", "unit": "kW", "minimum": 0, "maximum": 100},
            {"id": "outdoor.temp_degc", "unit": "degC", "minimum": -30, "maximum": 55},
            {"id": "outdoor.ghi_w_m2", "unit": "W/m2", "minimum": 0, "maximum": 1400},
            *({"id": f"{u}.power_kw", "unit": "kW", "minimum": 0, "maximum": 90}
              for u in dict.fromkeys(served)),
        ],
        "tariff": {
            "source": "invented",
            "import_periods": [
                {"name": "day", "start": "00:00", "end": "16:00", "price": 0.2},
                {"name": "peak", "start": "16:00", "end": "21:00", "price": 0.6},
                {"name": "late", "start": "21:00", "end": "24:00", "price": 0.2},
            ],
            "export_periods": [{"name": "none", "price": 0.0}],
        },
        "comfort": {"group": "rooms", "lower_degc": 20, "upper_degc": 24,
                    "hours": [{"days": WORKDAYS, "start": "08:00", "end": "18:00"}]},
        "baseline": {
            "zone_heating_degc": [{"at": "06:00", "value": 21, "days": WORKDAYS},
                                  {"at": "19:00", "value": 15.5, "days": WORKDAYS}],
            "zone_cooling_degc": [{"at": "06:00", "value": 24, "days": WORKDAYS},
                                  {"at": "19:00", "value": 29.5, "days": WORKDAYS}],
            "battery": "idle",
        },
        "twin": {"kind": "building"},
        "autonomy": {"risk_rules": [{"level": "low", "max_probability": 1, "roles": ["operator"],
                                     "min_persons": 1}]},
    }  # fmt: skip
    for z in names:
        document["signals"] += [
            {"id": f"{z}.temp_degc", "unit": "degC", "minimum": 5, "maximum": 45},
            {"id": f"{z}.heat_kw", "unit": "kW", "minimum": -20, "maximum": 20},
            {"id": f"{z}.heating_setpoint_degc", "unit": "degC", "role": "setpoint", "minimum": 15,
             "maximum": 24, "resolution": 0.01},
            {"id": f"{z}.cooling_setpoint_degc", "unit": "degC", "role": "setpoint", "minimum": 20,
             "maximum": 30, "resolution": 0.01},
        ]  # fmt: skip
    if storage:
        _add_storage(document)
    return Site.model_validate({**document, **changes})


def _add_storage(document: dict[str, Any]) -> None:
    document["assets"] += [
        {"id": "pv", "kind": "pv", "rated_kw": 20},
        {"id": "battery", "kind": "battery", "capacity_kwh": 20, "max_charge_kw": 8,
         "max_discharge_kw": 8, "round_trip_efficiency": 0.9, "soc_min_pct": 10,
         "soc_max_pct": 95},
    ]  # fmt: skip
    document["signals"] += [
        {"id": "pv.power_kw", "unit": "kW", "minimum": 0, "maximum": 25},
        {"id": "battery.power_kw", "unit": "kW", "minimum": -10, "maximum": 10},
        {"id": "battery.soc_pct", "unit": "%", "minimum": 0, "maximum": 100},
        {"id": "battery.power_set_kw", "unit": "kW", "role": "setpoint", "minimum": -8,
         "maximum": 8},
    ]  # fmt: skip
    document["assets"][0]["export_limit_kw"] = 20


@dataclass(frozen=True)
class RcHouse:
    """The model: `BuildingModel` for the planner, and a plant for its closed loop."""

    site: Site
    thermostat_tau_h: float = 0.1
    heating_kw: float = 9.0
    cooling_kw: float = 7.0

    @cached_property
    def zones(self) -> tuple[str, ...]:
        return tuple(a.id for a in self.site.of_kind("zone"))

    @property
    def zone_states(self) -> tuple[str, ...]:
        return tuple(f"{z}.{node}" for z in self.zones for node in NODES)

    @property
    def zone_air(self) -> tuple[int, ...]:
        return tuple(range(0, len(NODES) * len(self.zones), len(NODES)))

    def zone_matrices(self, step_s: float) -> tuple[np.ndarray, np.ndarray]:
        A, inputs = self._discrete(step_s)
        return A, inputs[:, :-3]

    def zone_forcing(self, w: Mapping[str, np.ndarray], as_of: datetime, steps: int) -> np.ndarray:
        return self._forcing(w, steps, self.site.step_s)

    def zone_heat_limits(self, zone: str) -> tuple[float, float]:
        return self.heating_kw, self.cooling_kw

    def unit_capacity(
        self, unit: str, outdoor_degc: np.ndarray, as_of: datetime
    ) -> tuple[np.ndarray, np.ndarray]:
        full = np.ones(len(outdoor_degc))
        return full, full

    def unit_cop(
        self, unit: str, outdoor_degc: np.ndarray, as_of: datetime | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        cold = np.clip(3.4 + 0.08 * (outdoor_degc - 8), 1.2, None)
        return cold, np.clip(3.6 - 0.06 * (outdoor_degc - 35), 1.2, None)

    def unit_base_kw(self, unit: str, as_of: datetime, steps: int) -> np.ndarray:
        times = [as_of + timedelta(seconds=self.site.step_s * k) for k in range(steps)]
        hours = self.site.comfort.hours if self.site.comfort else ()
        return 0.05 + 0.3 * covered(hours, times, self.site.zone_info)

    def _discrete(self, step_s: float) -> tuple[np.ndarray, np.ndarray]:
        """A (S, S) and the columns (S, Z + 3) of heat by zone, outdoors, sun and load."""
        from scipy.linalg import expm

        count, size = len(self.zones), len(NODES) * len(self.zones)
        A, inputs = np.zeros((size, size)), np.zeros((size, count + 3))
        ends = np.tile([0.8, 8.0, 14.0], count)  # kWh/K

        def join(i: int, j: int, ua: float) -> None:
            for a, b in ((i, j), (j, i)):
                A[a, a] -= ua / ends[a]
                A[a, b] += ua / ends[a]

        for z in range(count):
            air, wall = 3 * z, 3 * z + 2
            join(air, air + 1, 0.9)
            join(air, wall, 0.3)
            for node, ua in ((air, 0.1 + 0.01 * (z % 3)), (wall, 0.08)):
                A[node, node] -= ua / ends[node]
                inputs[node, count] += ua / ends[node]
            inputs[air, z] = 1 / ends[air]
            inputs[air, count + 1] = (0.002 + 0.001 * (z % 4)) / ends[air]
            inputs[air, count + 2] = 0.5 / count / ends[air]
            if z:
                join(air, air - 3, 0.05)
        block = np.zeros((size + count + 3,) * 2)
        block[:size, :size], block[:size, size:] = A, inputs
        full = expm(block * step_s / 3600)
        return full[:size, :size], full[:size, size:]

    def _forcing(self, w: Mapping[str, np.ndarray], steps: int, step_s: float) -> np.ndarray:
        names = ("outdoor.temp_degc", "outdoor.ghi_w_m2", "building.power_kw")
        return self._discrete(step_s)[1][:, -3:] @ np.stack([w[n][:steps] for n in names])

    def local_law(self, point: str, start: datetime, steps: int) -> np.ndarray:
        """What the plant's own controller sets."""
        law = self.site.baseline
        rules = law.zone_heating_degc if "heating" in point else law.zone_cooling_degc
        times = [start + timedelta(seconds=self.site.step_s * k) for k in range(steps)]
        return scheduled(rules, times, self.site.zone_info)

    def simulate(
        self,
        x0: np.ndarray,
        w: Mapping[str, np.ndarray],
        setpoints: Mapping[str, Any],
        start: datetime,
        steps: int,
    ) -> dict[str, np.ndarray]:
        """Traces by signal, (steps,), and the states, `x` (S, steps)."""
        step_s, zones = self.site.step_s, self.zones
        points = {f"{z}.{side}_setpoint_degc" for z in zones for side in SIDES}
        asked = {p: np.asarray(setpoints.get(p, self.local_law(p, start, steps))) for p in points}
        A, inputs = self._discrete(step_s / SUBSTEPS)
        B, air = inputs[:, : len(zones)], np.array(self.zone_air)
        forcing = self._forcing(w, steps, step_s / SUBSTEPS)
        share = -np.expm1(-step_s / SUBSTEPS / 3600 / self.thermostat_tau_h)
        heat, path, x = np.zeros((len(zones), steps)), np.empty((len(x0), steps)), x0
        for k in range(steps):
            edges = [np.array([asked[f"{z}.{s}_setpoint_degc"][k] for z in zones]) for s in SIDES]
            for _ in range(SUBSTEPS):
                free, now = A @ x + forcing[:, k], x[air]
                q = np.zeros(len(zones))
                for edge, sign in zip(edges, (1, -1), strict=True):
                    need = np.linalg.solve(B[air], now + share * (edge - now) - free[air])
                    q = np.where(sign * need > 0, need, q)
                q = np.clip(q, -self.cooling_kw, self.heating_kw)
                x = free + B @ q
                heat[:, k] += q / SUBSTEPS
            path[:, k] = x
        return self._traces(heat, path, w, asked, start)

    def _traces(
        self,
        heat: np.ndarray,
        path: np.ndarray,
        w: Mapping[str, np.ndarray],
        asked: Mapping[str, np.ndarray],
        start: datetime,
    ) -> dict[str, np.ndarray]:
        steps = heat.shape[1]
        traces = {p: v[:steps] for p, v in asked.items()} | {"x": path}
        grid = w["building.power_kw"][:steps].copy()
        for unit in self.site.of_kind("air_unit"):
            served = [z for z, a in enumerate(self.site.of_kind("zone")) if a.source == unit.id]
            heating, cooling = self.unit_cop(unit.id, w["outdoor.temp_degc"][:steps])
            q = heat[served]
            power = (np.maximum(q, 0) / heating + np.maximum(-q, 0) / cooling).sum(axis=0)
            traces[f"{unit.id}.power_kw"] = power + self.unit_base_kw(unit.id, start, steps)
            grid = grid + traces[f"{unit.id}.power_kw"]
        for z, zone in enumerate(self.zones):
            traces[f"{zone}.temp_degc"] = path[self.zone_air[z]]
            traces[f"{zone}.heat_kw"] = heat[z]
        return traces | {"grid.power_kw": grid}
