"""The heated zones: air, furnishings and a three-layer wall each, a radiator, infiltration by wind.

Explicit Euler: the stiffest node (the radiator, some 100 s) is well above the plant's step.
Powers in kW, capacities in kJ/K, conductances in kW/K.
"""

from dataclasses import dataclass

WATER_KJ_PER_KG_K = 4.18


@dataclass(frozen=True, slots=True)
class ZoneDesign:
    """Fixed properties of one zone."""

    air_kj_k: float
    mass_kj_k: float
    wall_kj_k: float  # each of three layers
    air_mass: float
    air_wall: float
    wall_wall: float
    wall_out: float
    window: float
    leak: float  # infiltration at rest
    leak_wind: float  # a m/s
    leak_stack: float  # a kelvin, the chimney effect
    door: float  # an open door
    glass_m2: float  # effective: area x solar transmittance
    facade_m2: float  # opaque area x absorptance
    radiator_kw: float  # output = this x (T_radiator - T_air) ** 1.2
    radiator_kj_k: float
    flow_kg_s: float


@dataclass(slots=True)
class ZoneState:
    """Temperatures in degC; `valve` is the stem's position, 0 shut to 1 open."""

    air: float
    mass: float
    wall: list[float]
    radiator: float
    valve: float = 0.0
    integral: float = 0.35


def steady(inside: float, outside: float) -> ZoneState:
    """A plausible state to start from: walls on the straight line between the two sides."""
    span = outside - inside
    wall = [inside + span * share for share in (0.2, 0.5, 0.85)]
    return ZoneState(inside, inside, wall, inside + 8.0)


def thermostat(s: ZoneState, setpoint: float, measured: float, dt: float) -> float:
    """PI law with anti-windup on the valve; the stem needs two minutes from end to end."""
    gain, reset_s, stroke_s = 0.5, 2400.0, 120.0
    error = setpoint - measured
    wanted = gain * error + s.integral
    if 0.0 < wanted < 1.0 or (wanted >= 1.0 and error < 0) or (wanted <= 0.0 and error > 0):
        s.integral = min(max(s.integral + gain * error * dt / reset_s, -0.5), 1.0)
    wanted = min(max(wanted, 0.0), 1.0)
    move = min(max(wanted - s.valve, -dt / stroke_s), dt / stroke_s)
    return s.valve + move


def flow(d: ZoneDesign, valve: float) -> float:
    """Water flow in kg/s; the valve opens gently at first."""
    return d.flow_kg_s * valve * (0.35 + 0.65 * valve)


def step_zone(
    d: ZoneDesign, s: ZoneState, dt: float, supply: float, outside: float, wind: float,
    facade_w_m2: float, gains_kw: float, door: float, neighbour_kw: float,
) -> tuple[float, float]:  # fmt: skip
    """Move the zone by `dt` seconds; return (water flow kg/s, heat taken from the water kW)."""
    m = flow(d, s.valve)
    # A radiator never heats the water: with a cold tank the loop's check valve stays shut.
    water = max(m * WATER_KJ_PER_KG_K * (supply - s.radiator), 0.0)
    lift = s.radiator - s.air
    emitted = d.radiator_kw * lift**1.2 if lift > 0 else d.radiator_kw * lift
    leak = d.leak + d.leak_wind * wind + d.leak_stack * abs(s.air - outside) + d.door * door
    sun = facade_w_m2 / 1000.0
    w1, w2, w3 = s.wall
    to_mass, to_wall = d.air_mass * (s.air - s.mass), d.air_wall * (s.air - w1)
    air_kw = (
        0.7 * emitted + 0.6 * gains_kw + 0.25 * d.glass_m2 * sun + neighbour_kw
        - to_mass - to_wall - (d.window + leak) * (s.air - outside)
    )  # fmt: skip
    mass_kw = to_mass + 0.3 * emitted + 0.4 * gains_kw + 0.75 * d.glass_m2 * sun
    q12, q23 = d.wall_wall * (w1 - w2), d.wall_wall * (w2 - w3)
    out_kw = d.wall_out * (w3 - outside) - d.facade_m2 * sun
    s.air += dt * air_kw / d.air_kj_k
    s.mass += dt * mass_kw / d.mass_kj_k
    s.wall[0] = w1 + dt * (to_wall - q12) / d.wall_kj_k
    s.wall[1] = w2 + dt * (q12 - q23) / d.wall_kj_k
    s.wall[2] = w3 + dt * (q23 - out_kw) / d.wall_kj_k
    s.radiator += dt * (water - emitted) / d.radiator_kj_k
    return (m if water > 0 else 0.0), water
