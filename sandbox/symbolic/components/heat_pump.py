"""Heat pumps: heat = COP x electric power, with two laws for the COP.

`affine`: COP = c0 + c1 (T_source - 7) + c2 (T_sink - 35), at least 1; three catalogue points of
EN 14511 (A7/W35, A2/W35, A7/W45) determine it.

`carnot`: COP = eta (T_sink + a) / ((T_sink + a) - (T_source - a)), temperatures in K and `a` the
approach of each heat exchanger; at least 1, at most COP_MOST. One rating point determines eta.
From 28 to 52 K of lift it stays within 9 % of the field regression of I. Staffell, D. Brett,
N. Brandon, A. Hawkes, Energy and Environmental Science 5 (2012) 9291, doi:10.1039/c2ee22653g:
COP = 6.81 - 0.121 dT + 0.000630 dT^2 for air-source units.
"""

from typing import Literal

from sandbox.symbolic.casadi_sx import Expr, clip, maximum
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable

RATED_SOURCE_DEGC, RATED_SINK_DEGC = 7.0, 35.0  # A7/W35
KELVIN = 273.15
COP_MOST = 12.0  # where sink and source meet the Carnot law has a pole
LEAST_LIFT_K = 1.0


def heat_pump(
    rated_cop: float = 4.0, max_power_kw: float = 10.0, min_power_kw: float = 0.0,
    law: Literal["carnot", "affine"] = "carnot", approach_k: float = 5.0,
    cop_per_source_k: float = 0.08, cop_per_sink_k: float = -0.07,
) -> SymbolicModel:  # fmt: skip
    """Inputs power_set_kw, source_degc, sink_degc. Outputs heat_kw, power_kw, cop. Static.

    `rated_cop` at A7/W35 under both laws. A setpoint below half of the least power is "off".
    """
    parameters = [Parameter("rated_cop", "1", rated_cop, "log"),
                  Parameter("max_power_kw", "kW", max_power_kw, "log"),
                  Parameter("min_power_kw", "kW", min_power_kw)]  # fmt: skip
    if law == "carnot":
        parameters.append(Parameter("approach_k", "K", approach_k))
    else:
        parameters += [Parameter("cop_per_source_k", "1/K", cop_per_source_k),
                       Parameter("cop_per_sink_k", "1/K", cop_per_sink_k)]  # fmt: skip

    def equations(_: Names, u: Names, p: Names) -> Equations:
        cop = (_carnot if law == "carnot" else _affine)(u, p)
        runs = u["power_set_kw"] >= p["min_power_kw"] / 2.0
        power = runs * clip(u["power_set_kw"], p["min_power_kw"], p["max_power_kw"])
        power = maximum(power, 0.0)
        return Equations({}, {"heat_kw": cop * power, "power_kw": power, "cop": cop})

    return SymbolicModel(
        f"heat pump, {law}", states=(),
        inputs=(Variable("power_set_kw", "kW", 0.0), Variable("source_degc", "degC"),
                Variable("sink_degc", "degC")),
        parameters=tuple(parameters),
        outputs=(Output("heat_kw", "kW", True), Output("power_kw", "kW", True),
                 Output("cop", "1", True)),
        equations=equations, source="EN 14511; Staffell et al. 2012, doi:10.1039/c2ee22653g",
    )  # fmt: skip


def _affine(u: Names, p: Names) -> Expr:
    cop = (
        p["rated_cop"]
        + p["cop_per_source_k"] * (u["source_degc"] - RATED_SOURCE_DEGC)
        + p["cop_per_sink_k"] * (u["sink_degc"] - RATED_SINK_DEGC)
    )
    return clip(cop, 1.0, COP_MOST)


def _carnot(u: Names, p: Names) -> Expr:
    a = p["approach_k"]
    rated = (RATED_SINK_DEGC + KELVIN + a) / (RATED_SINK_DEGC - RATED_SOURCE_DEGC + 2.0 * a)
    lift = maximum(u["sink_degc"] - u["source_degc"] + 2.0 * a, LEAST_LIFT_K)
    ideal = (u["sink_degc"] + KELVIN + a) / lift
    return clip(p["rated_cop"] / rated * ideal, 1.0, COP_MOST)
