"""Water tanks: one mixed volume, or n layers from top (1) to bottom (n).

Layer i of capacity C/n, with mass flow m from the inlet's end to the outlet's (downwards when
m > 0: hot water enters at the top and leaves at the bottom; upwards when m < 0):

    (C/n) dT_i/dt = |m| cp (T_upstream - T_i) + Q_i - (UA/n) (T_i - T_ambient)
                    + K (T_(i-1) - T_i) + K (T_(i+1) - T_i)

K is conduction and, where a layer is warmer than the one above it, fast mixing. The upwind layer
model of J. A. Duffie, W. A. Beckman, Solar Engineering of Thermal Processes, 4th ed., 2013,
section 8.4. Without conduction and loss a step at the inlet washes out as n stirred tanks in series
(O. Levenspiel, Chemical Reaction Engineering, 3rd ed., 1999, chapter 14).
"""

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr, maximum, where
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable

WATER_KJ_KG_K = 4.186


def tank(
    volume_l: float, layers: int = 1, ua_kw_k: float = 0.002, conductance_kw_k: float = 0.0,
    mixing_kw_k: float = 5.0,
) -> SymbolicModel:  # fmt: skip
    """States `layer1_degc` (top) .. `layerN_degc`.

    Inputs: flow_kg_s (+ downwards), inlet_degc (of what enters), heat_top_kw, heat_bottom_kw,
    ambient_degc. Outputs: top_degc, bottom_degc, outlet_degc, mean_degc, loss_kw. Parameters:
    c_kwh_k, ua_kw_k, conductance_kw_k between neighbours, mixing_kw_k. Raises InputError when
    layers < 1.
    """
    if layers < 1:
        raise InputError(f"a tank of {layers} layers", "expected at least one")
    names = tuple(f"layer{i + 1}_degc" for i in range(layers))
    capacity = volume_l * WATER_KJ_KG_K / 3600.0  # 1 l = 1 kg
    return SymbolicModel(
        f"tank of {layers}",
        states=tuple(Variable(n, "degC", 0.0, 100.0, 45.0) for n in names),
        inputs=(
            Variable("flow_kg_s", "kg/s"), Variable("inlet_degc", "degC"),
            Variable("heat_top_kw", "kW"), Variable("heat_bottom_kw", "kW"),
            Variable("ambient_degc", "degC"),
        ),
        parameters=(
            Parameter("c_kwh_k", "kWh/K", capacity, "log"),
            Parameter("ua_kw_k", "kW/K", ua_kw_k, "log"),
            Parameter("conductance_kw_k", "kW/K", conductance_kw_k),
            Parameter("mixing_kw_k", "kW/K", mixing_kw_k),
        ),
        outputs=(*(Output(f"{n}_degc", "degC") for n in ("top", "bottom", "outlet", "mean")),
                 Output("loss_kw", "kW", mean=True)),
        equations=lambda x, u, p: _layers([x[n] for n in names], names, u, p),
        source="Duffie and Beckman 2013, 8.4",
    )  # fmt: skip


def _layers(t: list[Expr], names: tuple[str, ...], u: Names, p: Names) -> Equations:
    n, flow = len(t), u["flow_kg_s"] * WATER_KJ_KG_K  # kW/K
    down, up = maximum(flow, 0.0), maximum(-flow, 0.0)
    heat = [0.0] * n
    heat[0], heat[-1] = heat[0] + u["heat_top_kw"], heat[-1] + u["heat_bottom_kw"]
    for i in range(n):
        above = t[i - 1] if i else u["inlet_degc"]
        below = t[i + 1] if i < n - 1 else u["inlet_degc"]
        heat[i] = heat[i] + down * (above - t[i]) + up * (below - t[i])
        heat[i] = heat[i] - p["ua_kw_k"] / n * (t[i] - u["ambient_degc"])
    for i in range(n - 1):
        rising = p["mixing_kw_k"] * maximum(t[i + 1] - t[i], 0.0)
        upwards = p["conductance_kw_k"] * (t[i + 1] - t[i]) + rising
        heat[i], heat[i + 1] = heat[i] + upwards, heat[i + 1] - upwards
    rates = {names[i]: heat[i] * n / (3600.0 * p["c_kwh_k"]) for i in range(n)}
    mean = sum(t[1:], t[0]) / n
    outputs = {
        "top_degc": t[0], "bottom_degc": t[-1], "mean_degc": mean,
        "outlet_degc": where(flow >= 0, t[-1], t[0]),
        "loss_kw": p["ua_kw_k"] * (mean - u["ambient_degc"]),
    }  # fmt: skip
    return Equations(rates, outputs)
