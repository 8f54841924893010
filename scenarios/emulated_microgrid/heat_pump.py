"""The air-to-water heat pump: COP by temperatures and part load, frost, ramps, least run times."""

from dataclasses import dataclass

from scenarios.emulated_microgrid.envelope import WATER_KJ_PER_KG_K

CARNOT_SHARE = 0.48
EVAPORATOR_K, CONDENSER_K = 6.0, 3.0  # temperature differences across the two exchangers
FLOW_KG_S = 2.0
RAMP_KW_S = 0.12
HEAT_LAG_S = 90.0
FROST_BELOW_DEGC = 6.0
DEFROST_S = 240.0
CUT_OUT_DEGC, CUT_IN_DEGC = 60.0, 55.0  # high-pressure switch, on the flow temperature


@dataclass(slots=True)
class HeatPumpState:
    """`since_s` counts since the last start or stop; `frost` defrosts at 1."""

    on: bool = False
    since_s: float = 3600.0
    power_kw: float = 0.0
    heat_kw: float = 0.0
    flow_degc: float = 40.0
    frost: float = 0.0
    defrost_left_s: float = 0.0
    locked: bool = False


def cop(outside: float, flow_degc: float, load_share: float, frost: float) -> float:
    """Carnot fraction with a part-load and a frost term."""
    hot = flow_degc + CONDENSER_K + 273.15
    lift = max(flow_degc + CONDENSER_K - outside + EVAPORATOR_K, 15.0)
    part = 1.03 - 0.5 * (load_share - 0.6) ** 2
    return CARNOT_SHARE * hot / lift * part * (1.0 - 0.07 * frost)


def step_heat_pump(
    s: HeatPumpState, dt: float, command_kw: float, outside: float, return_degc: float,
    stuck_off: bool, limits: tuple[float, float, float, float],
) -> None:  # fmt: skip
    """Move the machine by `dt` seconds. `limits`: least power, greatest power, min on, min off."""
    least, most, min_on, min_off = limits
    s.locked = s.flow_degc > (CUT_IN_DEGC if s.locked else CUT_OUT_DEGC)
    s.since_s += dt
    _switch(s, command_kw > 0.0, stuck_off or s.locked, min_on, min_off)
    if not s.on:
        s.power_kw, s.frost = 0.0, max(s.frost - dt / 7200.0, 0.0)
        s.heat_kw -= s.heat_kw * min(dt / HEAT_LAG_S, 1.0)
        s.flow_degc += (return_degc - s.flow_degc) * min(dt / 300.0, 1.0)
        return
    wanted = min(max(command_kw, least), most)
    target_heat = _defrost(s, dt, outside)
    if target_heat is None:
        step = RAMP_KW_S * dt
        low = max(s.power_kw, 0.5 * least)
        s.power_kw = min(max(wanted, low - step), low + step)
        target_heat = s.power_kw * cop(outside, s.flow_degc, s.power_kw / most, s.frost)
    else:
        s.power_kw = max(0.55 * wanted, 0.7 * least)
    s.heat_kw += (target_heat - s.heat_kw) * min(dt / HEAT_LAG_S, 1.0)
    flow_degc = return_degc + max(s.heat_kw, 0.0) / (FLOW_KG_S * WATER_KJ_PER_KG_K)
    s.flow_degc += (flow_degc - s.flow_degc) * min(dt / 60.0, 1.0)


def _switch(
    s: HeatPumpState, wanted: bool, forced_off: bool, min_on: float, min_off: float
) -> None:
    """Least run and standstill times are kept by the machine itself; a fault stops it at once."""
    if s.on and (forced_off or (not wanted and s.since_s >= min_on)):
        s.on, s.since_s, s.defrost_left_s = False, 0.0, 0.0
    elif not s.on and wanted and not forced_off and s.since_s >= min_off:
        s.on, s.since_s = True, 0.0


def _defrost(s: HeatPumpState, dt: float, outside: float) -> float | None:
    """Heat in kW while the cycle is reversed (negative), else None."""
    if s.defrost_left_s > 0.0:
        s.defrost_left_s -= dt
        if s.defrost_left_s <= 0.0:
            s.frost = 0.0
        return -5.0
    if outside < FROST_BELOW_DEGC:
        # About 70 minutes of running at 2 degC.
        s.frost += dt / 6300.0 * min(FROST_BELOW_DEGC - outside, 6.0) / 4.0 * 1.5
    if s.frost >= 1.0:
        s.defrost_left_s = DEFROST_S
        return -5.0
    return None
