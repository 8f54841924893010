"""A photovoltaic field from irradiance in its plane.

    T_cell = T_air + (NOCT - 20) G / 800                      (R. G. Ross, IEEE PVSC 1976)
    P_dc = P_dc0 G / 1000 (1 + gamma (T_cell - 25)) (1 - losses)
    P_ac = eta(z) P_dc, z = P_dc / P_dc0_inverter, at most P_ac0

with the inverter curve of PVWatts version 5 (A. P. Dobos, NREL/TP-6A20-62641, 2014).
"""

from sandbox.symbolic.casadi_sx import clip, maximum, minimum
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable

REFERENCE_EFFICIENCY = 0.9637  # of the curve's inverter
LEAST_LOAD = 1e-9


def photovoltaics(
    dc_kw: float, ac_kw: float | None = None, gamma_per_k: float = -0.0035, noct_degc: float = 45.0,
    losses: float = 0.14, inverter_efficiency: float = 0.96,
) -> SymbolicModel:  # fmt: skip
    """Inputs irradiance_w_m2 (plane of array), air_degc. Outputs power_kw (ac), cell_degc.

    `ac_kw`: the inverter's rating (default: of the field, 1.1 direct to alternating).
    """
    rating = dc_kw / 1.1 if ac_kw is None else ac_kw
    values = (("dc_kw", "kW", dc_kw), ("ac_kw", "kW", rating),
              ("inverter_efficiency", "1", inverter_efficiency))  # fmt: skip
    linear = (("gamma_per_k", "1/K", gamma_per_k), ("noct_degc", "degC", noct_degc),
              ("losses", "1", losses))  # fmt: skip
    return SymbolicModel(
        "photovoltaics", states=(),
        inputs=(Variable("irradiance_w_m2", "W/m2", 0.0), Variable("air_degc", "degC")),
        parameters=(*(Parameter(n, unit, v, "log") for n, unit, v in values),
                    *(Parameter(n, unit, v) for n, unit, v in linear)),
        outputs=(Output("power_kw", "kW", True), Output("dc_power_kw", "kW", True),
                 Output("cell_degc", "degC", True)),
        equations=_photovoltaics, source="PVWatts 5, NREL/TP-6A20-62641; Ross 1976",
    )  # fmt: skip


def _photovoltaics(_: Names, u: Names, p: Names) -> Equations:
    sun = maximum(u["irradiance_w_m2"], 0.0)
    cell = u["air_degc"] + (p["noct_degc"] - 20.0) * sun / 800.0
    warm = 1.0 + p["gamma_per_k"] * (cell - 25.0)
    direct = maximum(p["dc_kw"] * sun / 1000.0 * warm * (1.0 - p["losses"]), 0.0)
    inlet = p["ac_kw"] / p["inverter_efficiency"]
    load = maximum(direct / inlet, LEAST_LOAD)
    curve = -0.0162 * load - 0.0059 / load + 0.9858
    efficiency = p["inverter_efficiency"] / REFERENCE_EFFICIENCY * curve
    power = clip(minimum(direct * efficiency, p["ac_kw"]), 0.0, p["ac_kw"])
    return Equations({}, {"power_kw": power, "dc_power_kw": direct, "cell_degc": cell})
