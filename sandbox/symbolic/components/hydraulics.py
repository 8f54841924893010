"""Pumps and control valves for incompressible flow in m3/h and bar.

Pump: head H = s^2 H0 - a Q^2 at relative speed s meets the system H_static + k Q^2, so

    Q = sqrt(max(0, (s^2 H0 - H_static) / (a + k)))

With H_static = 0 this is the affinity laws: Q ~ s, H ~ s^2, P ~ s^3 (ANSI/HI 14.3; U.S. DOE,
Improving Pumping System Performance, 2nd ed., 2006). Efficiency is a parabola in Q/s through its
best point, so that similar points have equal efficiency.

Valve: Q = Kv f(x) sqrt(dp / SG), turbulent and not choked (IEC 60534-2-1); inherent characteristic
linear f = x, or equal percentage f = R^(x - 1) (IEC 60534-2-4), closed at x = 0.
"""

from typing import Literal

from sandbox.symbolic.casadi_sx import clip, maximum, sqrt, where
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable

GRAVITY = 9.80665
M_PER_BAR = 1e5 / (1000.0 * GRAVITY)  # head of water
CV_PER_KV = 1.156  # US gpm at 1 psi for 1 m3/h at 1 bar (IEC 60534-1)
LEAST_EFFICIENCY = 0.05  # the parabola is no statement about a pump that hardly moves water


def pump(
    shut_off_head_m: float, rated_flow_m3_h: float, rated_head_m: float, efficiency: float = 0.7,
    static_head_m: float = 0.0,
) -> SymbolicModel:  # fmt: skip
    """Input speed (0..1 of rated). Outputs flow_m3_h, head_m, power_kw (at the shaft).

    The system's resistance is the one that the rated point lies on. Static: no states.
    """
    square = rated_flow_m3_h**2
    values = (
        ("shut_off_head_m", "m", shut_off_head_m),
        ("pump_m_per_m6_h2", "m.h2/m6", (shut_off_head_m - rated_head_m) / square),
        ("system_m_per_m6_h2", "m.h2/m6", (rated_head_m - static_head_m) / square),
        ("best_flow_m3_h", "m3/h", rated_flow_m3_h),
        ("efficiency", "1", efficiency),
    )
    return SymbolicModel(
        "pump", states=(), inputs=(Variable("speed", "1", 0.0, 1.0),),
        parameters=(*(Parameter(n, unit, v, "log") for n, unit, v in values),
                    Parameter("static_head_m", "m", static_head_m)),
        outputs=(Output("flow_m3_h", "m3/h", True), Output("head_m", "m", True),
                 Output("power_kw", "kW", True)),
        equations=_pump, source="affinity laws, ANSI/HI 14.3",
    )  # fmt: skip


def _pump(_: Names, u: Names, p: Names) -> Equations:
    speed = clip(u["speed"], 0.0, 1.0)
    lift = speed * speed * p["shut_off_head_m"] - p["static_head_m"]
    resistance = p["pump_m_per_m6_h2"] + p["system_m_per_m6_h2"]
    flow = sqrt(maximum(lift / resistance, 0.0))
    head = p["static_head_m"] + p["system_m_per_m6_h2"] * flow * flow
    off_best = flow / (maximum(speed, 1e-6) * p["best_flow_m3_h"]) - 1.0
    efficiency = maximum(p["efficiency"] * (1.0 - off_best * off_best), LEAST_EFFICIENCY)
    power = flow / 3600.0 * head * GRAVITY / efficiency  # rho g Q H, rho = 1 t/m3
    return Equations({}, {"flow_m3_h": flow, "head_m": head, "power_kw": power})


def valve(
    kv: float, characteristic: Literal["linear", "equal_percentage"] = "equal_percentage",
    rangeability: float = 50.0, specific_gravity: float = 1.0,
) -> SymbolicModel:  # fmt: skip
    """Inputs opening (0..1), dp_bar. Outputs flow_m3_h, opening_factor f(x). Static: no states."""

    def equations(_: Names, u: Names, p: Names) -> Equations:
        opening = clip(u["opening"], 0.0, 1.0)
        factor = opening
        if characteristic == "equal_percentage":
            factor = where(opening > 0, p["rangeability"] ** (opening - 1.0), 0.0)
        drop = maximum(u["dp_bar"], 0.0) / p["specific_gravity"]
        return Equations({}, {"flow_m3_h": p["kv"] * factor * sqrt(drop), "opening_factor": factor})

    return SymbolicModel(
        f"valve, {characteristic}", states=(),
        inputs=(Variable("opening", "1", 0.0, 1.0), Variable("dp_bar", "bar", 0.0)),
        parameters=(Parameter("kv", "m3/h", kv, "log"),
                    Parameter("rangeability", "1", rangeability, "log"),
                    Parameter("specific_gravity", "1", specific_gravity, "log")),
        outputs=(Output("flow_m3_h", "m3/h", True), Output("opening_factor", "1", True)),
        equations=equations, source="IEC 60534-2-1, IEC 60534-2-4",
    )  # fmt: skip
