"""The building behind the test server: two zones on fan coils, one reversible heat pump.

Written for itself, unlike any twin: water between machine and rooms, effectiveness-NTU coils with a
fan that slows down, a heating curve, a compressor that cycles below a quarter of its speed, COP as
a share of Carnot's, infiltration by wind and chimney effect, walls of two layers in the sun.
Everything is in SI as in a test case: K, W, s. Explicit Euler at 15 s; the fastest part (the
compressor, 40 s) is well above that.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from graph.telemetry import read_frame

STEP_S = 15.0
AIR_J_M3_K = 1200.0
WATER_J_KG_K = 4186.0
ZERO_C = 273.15
YEAR_START = 1767254400.0  # 2026-01-01T00:00-08:00: the weather file's standard time
ZONES = ("Nor", "Sou")
FLOOR_M2 = 220.0
PRICES = {"Constant": 0.28, "Dynamic": (0.21, 0.50), "HighlyDynamic": (0.12, 0.75)}
EMISSIONS_KG_KWH = 0.25


SHIFT = np.interp(
    np.arange(1440) / 60.0, [7, 9, 12, 12.5, 13.5, 17, 18.5], [0, 1, 1, 0.5, 1, 0.8, 0]
).tolist()  # share of the staff by minute of a working day


@dataclass(frozen=True)
class ZoneDesign:
    """Fixed properties of one zone."""

    area_m2: float
    volume_m3: float
    wall_m2: float
    window_m2: float
    facade: str
    persons: float
    plug_w: float


DESIGN = {
    "Nor": ZoneDesign(120.0, 336.0, 95.0, 14.0, "facade_north.w_m2", 5.0, 900.0),
    "Sou": ZoneDesign(100.0, 280.0, 80.0, 16.0, "facade_south.w_m2", 4.0, 700.0),
}


@dataclass
class Zone:
    """Temperatures in K and the thermostat's memory."""

    air: float
    mass: float
    inner: float
    outer: float
    integral: float = 0.0
    fan: float = 0.0
    heat_w: float = 0.0


@dataclass
class Building:
    """The state between two steps, and what a step has to say."""

    zones: dict[str, Zone]
    water: float = 298.15
    mode: str = "off"
    speed: float = 0.0
    running: bool = False
    unit_w: float = 0.0
    inputs: dict[str, tuple[bool, float]] = field(default_factory=dict)


def cold_start() -> Building:
    """As the model begins before any warm-up."""
    return Building({z: Zone(293.15, 293.15, 292.15, 286.15) for z in ZONES})


class Weather:
    """The microgrid pack's typical year by seconds since 1 January, linear in between."""

    def __init__(self, data: Path) -> None:
        frame = read_frame(data / "weather.parquet", missing_allowed=False)
        middles = frame.start.timestamp() - frame.step_s / 2 - YEAR_START
        self._at = middles + frame.step_s * np.arange(len(frame))
        self._columns = {n: frame.column(n) for n in frame.names}

    def at(self, name: str, times: np.ndarray) -> np.ndarray:
        return np.interp(times, self._at, self._columns[name])

    def day(self, day: int) -> dict[str, list[float]]:
        """Every column at the building's own steps of one day."""
        times = day * 86_400.0 + STEP_S * np.arange(int(86_400 / STEP_S))
        return {n: self.at(n, times).tolist() for n in self._columns}


def local_hour(time_s: float) -> tuple[float, bool]:
    """Hour of the day and whether it is a working day (1 January 2026 is a Thursday)."""
    day = int(time_s // 86_400)
    return (time_s % 86_400) / 3600.0, (day + 3) % 7 < 5


def occupied(time_s: float) -> bool:
    hour, working = local_hour(time_s)
    return working and 7.0 <= hour < 18.0


def people(time_s: float) -> float:
    """Share of the staff that is in; from day to day a few more or less."""
    hour, working = local_hour(time_s)
    if not working:
        return 0.0
    day, shape = int(time_s // 86_400), SHIFT[int(hour * 60.0)]
    return shape * (0.9 + 0.2 * ((day * 37) % 11) / 10.0)


def baseline_setpoints(time_s: float) -> tuple[float, float]:
    """The embedded thermostats' heating and cooling setpoints in K."""
    return (294.15, 297.15) if occupied(time_s) else (290.15, 301.15)


def plug_w(zone: str, time_s: float) -> float:
    minute = int(time_s // 600)
    ripple = 1.0 + 0.15 * math.sin(minute * 2.399)  # irrational in minutes: never the same twice
    return DESIGN[zone].plug_w * (0.12 + 0.88 * people(time_s)) * ripple


def step(b: Building, time_s: float, weather: dict[str, float]) -> dict[str, float]:
    """Move the building by STEP_S and return its measurements at the end."""
    outside = weather["outdoor.temp_degc"] + ZERO_C
    sets = {z: setpoints(b, z, time_s) for z in ZONES}
    calls = {z: _fan(b.zones[z], *sets[z], b.mode) for z in ZONES}
    _mode(b, sets)
    share = people(time_s)
    drawn = fans = 0.0
    for zone in ZONES:
        z = b.zones[zone]
        z.fan = calls[zone] if b.mode != "off" else 0.0
        z.heat_w = _coil(z.fan, b.water, z.air, b.mode)
        drawn += z.heat_w
        fans += 90.0 * z.fan**3 + (8.0 if z.fan > 0 else 0.0)
    other = {"Nor": b.zones["Sou"].air, "Sou": b.zones["Nor"].air}
    plugs = {z: plug_w(z, time_s) for z in ZONES}
    machine = _heat_pump(b, outside, drawn)
    for zone in ZONES:
        gains = plugs[zone] + 95.0 * DESIGN[zone].persons * share
        _move_zone(DESIGN[zone], b.zones[zone], outside, weather, gains, other[zone])
    b.unit_w = machine + fans
    return _measurements(b, sets, plugs, outside, weather)


def setpoints(b: Building, zone: str, time_s: float) -> tuple[float, float]:
    """Heating and cooling setpoint in force; heating wins where they cross."""
    heating, cooling = baseline_setpoints(time_s)
    heating = _overridden(b, f"oveTSetHea{zone}", heating)
    cooling = _overridden(b, f"oveTSetCoo{zone}", cooling)
    return heating, max(cooling, heating + 0.5)


def _overridden(b: Building, name: str, own: float) -> float:
    active, value = b.inputs.get(name, (False, 0.0))
    return value if active else own


def _fan(z: Zone, heating: float, cooling: float, mode: str) -> float:
    """PI law with anti-windup; what the fan should do if the water is of use."""
    error = z.air - cooling if mode == "cool" else heating - z.air
    z.integral = min(max(z.integral + error * STEP_S / 2500.0, 0.0), 0.8)
    return min(max(0.9 * error + z.integral, 0.0), 1.0)


def _mode(b: Building, sets: dict[str, tuple[float, float]]) -> None:
    """Change over by the greatest call, with half a kelvin of hysteresis."""
    cold = max(sets[z][0] - b.zones[z].air for z in ZONES)
    warm = max(b.zones[z].air - sets[z][1] for z in ZONES)
    before = b.mode
    if cold > 0.2 and cold >= warm:
        b.mode = "heat"
    elif warm > 0.2:
        b.mode = "cool"
    elif (b.mode == "heat" and cold < -0.3) or (b.mode == "cool" and warm < -0.3):
        b.mode = "off"
    if b.mode != before:
        for z in b.zones.values():
            z.integral = 0.0


def _coil(fan: float, water: float, air: float, mode: str) -> float:
    """Heat to the zone in W: effectiveness-NTU, a shut valve against heat of the wrong sign."""
    if fan <= 0.0:
        return 0.0
    capacity = 330.0 * fan
    effectiveness = 1.0 - math.exp(-1.6 * fan ** (0.65 - 1.0))
    heat = effectiveness * capacity * (water - air)
    return max(heat, 0.0) if mode == "heat" else min(heat, 0.0)


def _heat_pump(b: Building, outside: float, drawn_w: float) -> float:
    """Move compressor and water; electric power of compressor and pump in W."""
    heating = b.mode == "heat"
    curve = min(max(315.15 - 0.7 * (outside - 273.15), 305.15), 318.15)
    wanted = curve if heating else 281.15
    error = (wanted - b.water) * (1.0 if heating else -1.0)
    if b.mode == "off":
        b.running = False
    elif b.running:
        b.running = error > -2.0
    else:
        b.running = error > 2.0
    speed = min(max(0.25 + 0.15 * error, 0.25), 1.0) if b.running else 0.0
    speed = _overridden(b, "oveHeaPumY", speed) if b.mode != "off" else 0.0
    b.speed += (speed - b.speed) * STEP_S / 40.0
    capacity = (8500.0 if heating else 7000.0) * b.speed
    capacity *= 1.0 + (0.022 if heating else -0.012) * (outside - (280.15 if heating else 308.15))
    hot, cold = (b.water + 5.0, outside - 8.0) if heating else (outside + 10.0, b.water - 5.0)
    lift = max(hot - cold, 15.0)
    carnot = (hot if heating else cold) / lift
    cop = min(0.42 * carnot * (0.85 + 0.15 * b.speed), 6.5)
    power = capacity / cop + (60.0 if b.mode != "off" else 0.0) + 15.0
    heat = capacity if heating else -capacity
    loss = 9.0 * (b.water - 293.15)
    b.water += STEP_S * (heat - drawn_w - loss) / (160.0 * WATER_J_KG_K)
    return power


def _move_zone(
    d: ZoneDesign, z: Zone, outside: float, weather: dict[str, float], gains: float, other: float
) -> None:
    sun = weather[d.facade]
    wind = weather["outdoor.wind_m_s"]
    spread = outside - z.air
    changes_h = 0.10 + 0.035 * wind + 0.06 * math.sqrt(abs(spread))
    leak = AIR_J_M3_K * d.volume_m3 * changes_h / 3600.0
    solar = 0.5 * d.window_m2 * sun
    to_mass, to_wall = 4.5 * d.area_m2 * (z.air - z.mass), 5.5 * d.wall_m2 * (z.air - z.inner)
    through = 0.75 * d.wall_m2 * (z.inner - z.outer)
    radiated = 14.0 * d.wall_m2 * (z.outer - outside) - 0.55 * sun * d.wall_m2 * 0.6
    air_w = (
        0.9 * z.heat_w + 0.55 * gains + 0.15 * solar - to_mass - to_wall
        + (leak + 1.5 * d.window_m2) * spread + 35.0 * (other - z.air)
    )  # fmt: skip
    z.mass += (
        STEP_S * (to_mass + 0.45 * gains + 0.85 * solar + 0.1 * z.heat_w) / (52_000.0 * d.area_m2)
    )
    z.air += STEP_S * air_w / (4.0 * AIR_J_M3_K * d.volume_m3)
    z.inner += STEP_S * (to_wall - through) / (70_000.0 * d.wall_m2)
    z.outer += STEP_S * (through - radiated) / (120_000.0 * d.wall_m2)


def _measurements(
    b: Building, sets: dict[str, tuple[float, float]], plugs: dict[str, float], outside: float,
    weather: dict[str, float],
) -> dict[str, float]:  # fmt: skip
    found = {
        "reaPUni_y": b.unit_w,
        "reaPPlu_y": sum(plugs.values()),
        "reaPTot_y": b.unit_w + sum(plugs.values()),
        "reaTSup_y": b.water,
        "oveHeaPumY_y": b.speed,
        "weaSta_reaWeaTDryBul_y": outside,
        "weaSta_reaWeaHGloHor_y": weather["outdoor.ghi_w_m2"],
    }
    for zone in ZONES:
        found[f"reaTZon{zone}_y"] = b.zones[zone].air
        found[f"reaQ{zone}_y"] = b.zones[zone].heat_w
        found[f"oveTSetHea{zone}_y"], found[f"oveTSetCoo{zone}_y"] = sets[zone]
    return found


def price(kind: str, time_s: float) -> float:
    """Currency a kWh by the scenario's `electricity_price`."""
    hour, _ = local_hour(time_s)
    if kind == "Constant":
        return float(PRICES["Constant"])
    low, high = PRICES[kind]
    if kind == "Dynamic":
        return high if 16.0 <= hour < 21.0 else low
    return low + (high - low) * (0.5 - 0.5 * math.cos((hour - 3.0) / 24.0 * 2.0 * math.pi)) ** 3


SITE_ZONE = ZoneInfo("America/Los_Angeles")
