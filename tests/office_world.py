"""A two-zone world to identify: minute by minute, by plain Euler steps, with its own equations.

It shares no code with the twin: deadbeat thermostats, people, a fan, noise. `Truth` names what a
fit should find.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from graph.telemetry import Frame

START = datetime(2026, 1, 5, 8, tzinfo=UTC)  # a Monday's midnight in Los Angeles
ZONE = ZoneInfo("America/Los_Angeles")
STEP_MIN = 15
ZONES = ("core", "south")


@dataclass(frozen=True)
class Truth:
    """Physical values of the world; dictionaries by zone."""

    c_air: dict[str, float] = field(default_factory=lambda: {"core": 0.6, "south": 0.4})
    c_mass: dict[str, float] = field(default_factory=lambda: {"core": 12.0, "south": 7.0})
    ua_mass: dict[str, float] = field(default_factory=lambda: {"core": 1.2, "south": 0.8})
    ua_out: dict[str, float] = field(default_factory=lambda: {"core": 0.05, "south": 0.09})
    ua_core_out: dict[str, float] = field(default_factory=lambda: {"core": 0.04, "south": 0.06})
    skylight: dict[str, float] = field(default_factory=lambda: {"core": 1.0, "south": 3.0})
    of_load: dict[str, float] = field(default_factory=lambda: {"core": 0.4, "south": 0.3})
    people: float = 0.4
    between: float = 0.08
    cop_heating: float = 3.0
    cop_heating_per_k: float = 0.08
    fan: float = 0.30
    ua_vent: float = 0.05
    most: float = 6.0


TRUTH = Truth()


def weather(days: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Outdoor temperature and horizontal irradiance, a value a step."""
    n = days * 96
    hour = (np.arange(n) + 0.5) % 96 / 4.0
    front = np.interp(np.arange(n), np.arange(0, n + 96, 96), rng.uniform(1.0, 13.0, days + 1))
    sky = np.repeat(rng.uniform(0.15, 1.0, days), 96)
    outdoor = front + 4.0 * np.sin((hour - 9.0) / 24.0 * 2.0 * np.pi)
    sun = 550.0 * np.maximum(0.0, np.sin((hour - 7.0) / 10.0 * np.pi)) * (hour > 7) * (hour < 17)
    return outdoor, sun * sky


def setpoints(days: int, rng: np.random.Generator, excited: bool) -> dict[str, np.ndarray]:
    """Heating and cooling setpoints by point; excited ones step at random, day and night."""
    n = days * 96
    found = {}
    for z in ZONES:
        low, high = np.full(n, 21.0), np.full(n, 22.0)
        if excited:
            low, high = np.full(n, 16.0), np.full(n, 28.0)
            for day in range(days):
                open_hours = slice(day * 96 + 24, day * 96 + 76)
                low[open_hours], high[open_hours] = 20.5, 24.0
                begin = day * 96 + int(rng.integers(0, 84))
                part = slice(begin, begin + int(rng.integers(10, 30)))
                if rng.random() < 0.5:
                    low[part] = rng.uniform(18.0, 23.5)
                    high[part] = np.maximum(high[part], low[part] + 1.0)
                else:
                    high[part] = rng.uniform(20.0, 23.0)
                    low[part] = np.minimum(low[part], high[part] - 1.0)
        found[f"zone_{z}.heating_setpoint_degc"] = low
        found[f"zone_{z}.cooling_setpoint_degc"] = high
    return found


def record(days: int = 21, seed: int = 3, excited: bool = True, truth: Truth = TRUTH) -> Frame:
    """Telemetry of the world on the site's step, with sensor noise."""
    rng = np.random.default_rng(seed)
    n = days * 96
    outdoor, sun = weather(days, rng)
    points = setpoints(days, rng, excited)
    local = [(START + timedelta(minutes=STEP_MIN * k)).astimezone(ZONE) for k in range(n)]
    work = np.array([t.weekday() < 5 for t in local])
    hour = np.array([t.hour for t in local])
    on = work & (hour >= 6) & (hour < 19)
    load = 0.6 + 2.5 * (work & (hour >= 8) & (hour < 18)) + rng.uniform(-0.2, 0.2, n)
    people = truth.people * (work & (hour >= 9) & (hour < 17))
    air, mass = dict.fromkeys(ZONES, 20.0), dict.fromkeys(ZONES, 20.0)
    columns = {"outdoor.temp_degc": outdoor, "outdoor.ghi_w_m2": sun, "building.power_kw": load}
    columns |= points
    columns |= {f"zone_{z}.{q}": np.empty(n) for z in ZONES for q in ("temp_degc", "heat_kw")}
    columns |= {f"unit_{z}.power_kw": np.empty(n) for z in ZONES}
    h = 1.0 / 60.0
    for k in range(n):
        net, power = dict.fromkeys(ZONES, 0.0), dict.fromkeys(ZONES, 0.0)
        for _ in range(STEP_MIN):
            flows = {}
            for z, other in (ZONES, ZONES[::-1]):
                gain = truth.of_load[z] * load[k] + people[k]
                gain += 0.5 * truth.skylight[z] * sun[k] / 1000.0
                leak = truth.ua_out[z] * (outdoor[k] - air[z])
                leak += truth.between * (air[other] - air[z])
                inner = truth.ua_mass[z] * (mass[z] - air[z])
                fresh = on[k] * (truth.fan + truth.ua_vent * (outdoor[k] - air[z]))
                free = gain + leak + inner + fresh
                # What the thermostat needs to be at its setpoint a minute from now.
                low = points[f"zone_{z}.heating_setpoint_degc"][k]
                high = points[f"zone_{z}.cooling_setpoint_degc"][k]
                warm = max(truth.c_air[z] * (low - air[z]) / h - free, 0.0)
                cold = min(truth.c_air[z] * (high - air[z]) / h - free, 0.0)
                coil = float(np.clip(warm + cold, -truth.most, truth.most))
                flows[z] = (free + coil, inner)
                net[z] += (coil + fresh) / STEP_MIN
                power[z] += _power(truth, coil, outdoor[k], bool(on[k])) / STEP_MIN
            for z in ZONES:
                total, inner = flows[z]
                stored = 0.5 * truth.skylight[z] * sun[k] / 1000.0 - inner
                stored += truth.ua_core_out[z] * (outdoor[k] - mass[z])
                air[z] += h * total / truth.c_air[z]
                mass[z] += h * stored / truth.c_mass[z]
        for z in ZONES:
            columns[f"zone_{z}.temp_degc"][k] = air[z] + rng.normal(0.0, 0.02)
            columns[f"zone_{z}.heat_kw"][k] = net[z] + rng.normal(0.0, 0.02)
            columns[f"unit_{z}.power_kw"][k] = max(power[z] + rng.normal(0.0, 0.005), 0.0)
    columns["grid.power_kw"] = load + sum(columns[f"unit_{z}.power_kw"] for z in ZONES)
    return Frame(START + timedelta(minutes=STEP_MIN), STEP_MIN * 60, columns)


def _power(truth: Truth, coil: float, outdoor: float, on: bool) -> float:
    cop_heating = truth.cop_heating + truth.cop_heating_per_k * (outdoor - 8.3)
    works = coil / cop_heating if coil > 0 else -coil / (3.6 - 0.06 * (outdoor - 35.0))
    return works + truth.fan * (1.0 if on else abs(coil) / truth.most)
