"""One running test case: BOPTEST's semantics around the building of `boptest_building`."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests import boptest_building as plant

GRID_S = 30.0
DEFAULT_STEP_S = 3600.0
WEEK_S = 7 * 86_400.0
DAYS = {"peak_heat_day": 20, "typical_heat_day": 50, "peak_cool_day": 160}
ELECTRICITY = {"constant": "Constant", "dynamic": "Dynamic", "highly_dynamic": "HighlyDynamic"}
PAIRS = {
    **{f"oveTSet{s}{z}": ("K", 278.15, 308.15) for s in ("Hea", "Coo") for z in plant.ZONES},
    "oveHeaPumY": ("1", 0.0, 1.0),
}
UNITS = {"P": "W", "Q": "W", "T": "K", "H": "W/m2", "Y": "1"}


class RefusedCallError(Exception):
    """The server answers with status 400 and these words."""


@dataclass
class Case:
    """A test between select and stop."""

    weather: plant.Weather
    step_s: float = DEFAULT_STEP_S
    now: float = 0.0
    start: float = 0.0
    end: float = math.inf
    scenario: dict[str, Any] = field(
        default_factory=lambda: {
            "electricity_price": "constant", "time_period": None,
            "temperature_uncertainty": None, "solar_uncertainty": None, "seed": None,
        }
    )  # fmt: skip

    def __post_init__(self) -> None:
        self._days: dict[int, dict[str, list[float]]] = {}
        self._begin(0.0, 0.0)

    # --- set-up ---------------------------------------------------------------------------------

    def _begin(self, start: float, warm_up: float) -> None:
        """A cold building under baseline control up to `start`; history and KPIs begin there."""
        self.building = plant.cold_start()
        self.sent: dict[str, float] = {}
        self.now = math.floor(max(start - warm_up, 0.0) / plant.STEP_S) * plant.STEP_S
        self.measured = dict.fromkeys(self.measurement_names(), 293.15)
        self.history: list[tuple[float, dict[str, float]]] = []
        self._run(start)
        self.history, self.start, self.end = [(self.now, self._record())], self.now, math.inf

    def initialize(self, start: float, warm_up: float) -> dict[str, float]:
        self._begin(start, warm_up)
        return self.state()

    def set_scenario(self, given: dict[str, Any]) -> dict[str, Any]:
        known = set(self.scenario)
        if set(given) - known:
            raise RefusedCallError(f"unexpected scenario keys {sorted(set(given) - known)}")
        price, period = given.get("electricity_price"), given.get("time_period")
        if price is not None and price not in ELECTRICITY:
            raise RefusedCallError(f"Scenario parameter electricity_price is {price}.")
        if period is not None and period not in DAYS:
            raise RefusedCallError(f"Scenario parameter time_period is {period}.")
        self.scenario |= {k: v for k, v in given.items() if v is not None}
        answer: dict[str, Any] = dict(self.scenario)
        if period is not None:
            middle = DAYS[period] * 86_400.0
            self._begin(max(middle - WEEK_S, 0.0), WEEK_S)
            self.end = self.start + 2 * WEEK_S
            answer["time_period"] = self.state()
        elif price is not None:
            self.start = self.now  # the calculator begins anew
        return answer

    # --- running --------------------------------------------------------------------------------

    def advance(self, sent: dict[str, Any]) -> tuple[dict[str, float], str]:
        """One step with inputs held; ({}, "") when the scenario is over."""
        warnings = []
        accepted: dict[str, float] = {}
        for name, value in sent.items():
            accepted[name], warning = self._checked(name, value)
            warnings += [warning] if warning else []
        if self.now >= self.end:
            return {}, ""
        self.sent |= accepted  # what is not sent stays as it was
        for name in PAIRS:
            active = self.sent.get(f"{name}_activate", 0.0) >= 0.5
            self.building.inputs[name] = (active, self.sent.get(f"{name}_u", 0.0))
        self._run(min(self.now + self.step_s, self.end))
        return self.state(), " ".join(warnings)

    def _checked(self, name: str, value: Any) -> tuple[float, str]:
        stem, _, kind = name.rpartition("_")
        if stem not in PAIRS or kind not in ("u", "activate"):
            raise RefusedCallError(f"Unexpected input variable: {name}.")
        if isinstance(value, str) and value.lower() in ("true", "false"):
            value = value.lower() == "true"
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise RefusedCallError(f"Invalid value {value} for input {name}.") from None
        if kind == "activate":
            if number not in (0.0, 1.0):
                raise RefusedCallError(f"Invalid value {value} for input {name}.")
            return number, ""
        _, low, high = PAIRS[stem]
        clipped = min(max(number, low), high)
        if clipped == number:
            return number, ""
        words = f"WARNING: Value {number} of {name} is outside [{low}, {high}]; set to {clipped}."
        return clipped, words

    def _run(self, until: float) -> None:
        """Up to `until` in the building's own steps; a part step moves on without a record."""
        while self.now < until - 1e-6:
            self.measured = plant.step(self.building, self.now, self._outside(self.now))
            self.now += plant.STEP_S
            if self.now % GRID_S == 0.0:
                self.history.append((self.now, self._record()))

    def _outside(self, time_s: float) -> dict[str, float]:
        day, second = divmod(time_s, 86_400.0)
        if int(day) not in self._days:
            self._days = {int(day): self.weather.day(int(day))}
        row = int(second // plant.STEP_S)
        return {n: v[row] for n, v in self._days[int(day)].items()}

    def _record(self) -> dict[str, float]:
        inputs = {f"{n}_u": self.measured.get(f"{n}_y", 0.0) for n in PAIRS}
        switches = {f"{n}_activate": self.sent.get(f"{n}_activate", 0.0) for n in PAIRS}
        return {**self.measured, **inputs, **switches}

    def state(self) -> dict[str, float]:
        """Measurements, inputs in force and the time."""
        return {**self._record(), "time": self.now}

    # --- what can be asked ----------------------------------------------------------------------

    @staticmethod
    def measurement_names() -> tuple[str, ...]:
        calm = dict.fromkeys(
            ("outdoor.temp_degc", "outdoor.wind_m_s", "outdoor.ghi_w_m2",
             "facade_north.w_m2", "facade_south.w_m2"), 0.0,
        )  # fmt: skip
        return tuple(plant.step(plant.cold_start(), 0.0, calm))

    def measurements(self) -> dict[str, Any]:
        return {n: _about(_unit(n), n) for n in self.measurement_names()}

    @staticmethod
    def inputs() -> dict[str, Any]:
        found = {}
        for name, (unit, low, high) in PAIRS.items():
            found[f"{name}_u"] = _about(unit, name, low, high)
            found[f"{name}_activate"] = _about(None, f"activate {name}")
        return found

    @staticmethod
    def forecast_points() -> dict[str, Any]:
        prices = {f"PriceElectricPower{k}": "($/Euro)/kWh" for k in plant.PRICES}
        comfort = {f"{edge}Setp[{z}]": "K" for edge in ("Lower", "Upper") for z in plant.ZONES}
        units = {"TDryBul": "K", "HGloHor": "W/m2", **prices, **comfort}
        return {n: _about(u, n) for n, u in units.items()}

    def forecast(self, names: list[str], horizon: float, interval: float) -> dict[str, Any]:
        _known(names, self.forecast_points(), "forecast")
        if horizon < 0 or interval <= 0:
            raise RefusedCallError("horizon and interval must be positive")
        times = self.now + interval * np.arange(int(horizon // interval) + 1)
        return {"time": times.tolist(), **{n: self._ahead(n, times) for n in names}}

    def _ahead(self, name: str, times: np.ndarray) -> list[float]:
        if name == "TDryBul":
            return (self.weather.at("outdoor.temp_degc", times) + plant.ZERO_C).tolist()
        if name == "HGloHor":
            return self.weather.at("outdoor.ghi_w_m2", times).tolist()
        if name.startswith("Price"):
            kind = name.removeprefix("PriceElectricPower")
            return [plant.price(kind, t) for t in times]
        edge = 0 if name.startswith("Lower") else 1
        return [plant.baseline_setpoints(t)[edge] for t in times]

    def results(self, names: list[str], first: float, last: float) -> dict[str, Any]:
        _known(names, self.state(), "result")
        begin = bisect_left(self.history, first, key=lambda row: row[0])
        end = bisect_right(self.history, last, key=lambda row: row[0])
        rows = self.history[begin:end]
        return {"time": [t for t, _ in rows], **{n: [r[n] for _, r in rows] for n in names}}

    def kpis(self) -> dict[str, float | None]:
        """From the start on, never over the warm-up; energies a m2 of floor."""
        rows = [(t, r) for t, r in self.history if t > self.start]
        times = [t for t, _ in rows]
        watts = np.array([r["reaPTot_y"] for _, r in rows])
        kind = ELECTRICITY[self.scenario["electricity_price"]]
        prices = np.array([plant.price(kind, t) for t in times])
        kwh = watts * GRID_S / 3.6e6
        size = int(900 / GRID_S)
        whole = watts[: len(watts) // size * size].reshape(-1, size).mean(axis=1)
        return {
            "tdis_tot": self._discomfort(rows),
            "idis_tot": 0.0,
            "ener_tot": float(kwh.sum()) / plant.FLOOR_M2,
            "cost_tot": float((kwh * prices).sum()) / plant.FLOOR_M2,
            "emis_tot": float(kwh.sum()) * plant.EMISSIONS_KG_KWH / plant.FLOOR_M2,
            "pele_tot": float(whole.max()) / 1000.0 / plant.FLOOR_M2 if len(whole) else None,
            "pgas_tot": None,
            "pdih_tot": None,
            "time_rat": 1e-3,
        }

    @staticmethod
    def _discomfort(rows: list[tuple[float, dict[str, float]]]) -> float:
        total = 0.0
        for time_s, row in rows:
            low, high = plant.baseline_setpoints(time_s)
            for zone in plant.ZONES:
                air = row[f"reaTZon{zone}_y"]
                total += max(low - air, air - high, 0.0)
        return total * GRID_S / 3600.0 / len(plant.ZONES)


def _unit(name: str) -> str:
    if name.startswith("weaSta"):
        return "W/m2" if "HGlo" in name else "K"
    return {"rea": UNITS[name[3]], "ove": "1" if name == "oveHeaPumY_y" else "K"}[name[:3]]


def _known(names: list[str], known: dict[str, Any], what: str) -> None:
    for name in names:
        if name not in known:
            raise RefusedCallError(f"Unknown {what} point {name}.")


def _about(
    unit: str | None, text: str, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    return {"Unit": unit, "Description": text, "Minimum": low, "Maximum": high}
