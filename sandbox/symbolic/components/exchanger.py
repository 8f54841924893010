"""Heat exchangers by effectiveness and number of transfer units.

    NTU = UA / C_min    Cr = C_min / C_max    q = eps(NTU, Cr) C_min (T_hot_in - T_cold_in)

Effectiveness relations of W. M. Kays, A. L. London, Compact Heat Exchangers, 3rd ed., 1984, as in
F. P. Incropera, D. P. DeWitt, Fundamentals of Heat and Mass Transfer, table 11.3. At rest (no flow
on one side) the outlets are the inlets and no heat flows.
"""

from typing import Literal

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr, absolute, exp, maximum, minimum, sqrt, where
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable

Arrangement = Literal["counterflow", "parallel", "crossflow_unmixed", "shell_and_tube"]
ARRANGEMENTS = ("counterflow", "parallel", "crossflow_unmixed", "shell_and_tube")
NO_FLOW_KW_K = 1e-9
NEARLY_EQUAL = 1e-6  # of Cr = 1, where the counterflow relation is 0/0 and its limit is used


def heat_exchanger(ua_kw_k: float, arrangement: Arrangement = "counterflow") -> SymbolicModel:
    """Inputs hot_in_degc, cold_in_degc, hot_kw_k, cold_kw_k (flow x specific heat).

    Outputs heat_kw, hot_out_degc, cold_out_degc, effectiveness. Static: no states. `crossflow` has
    both fluids unmixed; `shell_and_tube` one shell pass and 2, 4, ... tube passes. Raises
    InputError on an unknown arrangement.
    """
    if arrangement not in ARRANGEMENTS:
        raise InputError(f"unknown arrangement {arrangement!r}", f"known: {ARRANGEMENTS}")

    def equations(_: Names, u: Names, p: Names) -> Equations:
        hot, cold = maximum(u["hot_kw_k"], 0.0), maximum(u["cold_kw_k"], 0.0)
        low, high = minimum(hot, cold), maximum(hot, cold)
        ntu = p["ua_kw_k"] / maximum(low, NO_FLOW_KW_K)
        eps = effectiveness(arrangement, ntu, low / maximum(high, NO_FLOW_KW_K))
        heat = eps * low * (u["hot_in_degc"] - u["cold_in_degc"])
        outputs = {
            "heat_kw": heat, "effectiveness": eps,
            "hot_out_degc": u["hot_in_degc"] - heat / maximum(hot, NO_FLOW_KW_K),
            "cold_out_degc": u["cold_in_degc"] + heat / maximum(cold, NO_FLOW_KW_K),
        }  # fmt: skip
        return Equations({}, outputs)

    return SymbolicModel(
        f"heat exchanger, {arrangement}", states=(),
        inputs=(Variable("hot_in_degc", "degC"), Variable("cold_in_degc", "degC"),
                Variable("hot_kw_k", "kW/K", 0.0), Variable("cold_kw_k", "kW/K", 0.0)),
        parameters=(Parameter("ua_kw_k", "kW/K", ua_kw_k, "log"),),
        outputs=(Output("heat_kw", "kW", True), Output("hot_out_degc", "degC", True),
                 Output("cold_out_degc", "degC", True), Output("effectiveness", "1", True)),
        equations=equations, source="Kays and London 1984; Incropera and DeWitt, table 11.3",
    )  # fmt: skip


def effectiveness(arrangement: Arrangement, ntu: Expr, cr: Expr) -> Expr:
    """eps(NTU, Cr) of an arrangement."""
    if arrangement == "parallel":
        return (1.0 - exp(-ntu * (1.0 + cr))) / (1.0 + cr)
    if arrangement == "crossflow_unmixed":
        # NTU^0.22 / Cr has no limit at Cr = 0 that a computer could form: hold Cr off it.
        ratio = maximum(cr, 1e-9)
        return 1.0 - exp(ntu**0.22 / ratio * (exp(-ratio * ntu**0.78) - 1.0))
    if arrangement == "shell_and_tube":
        root = sqrt(1.0 + cr * cr)
        decay = exp(-ntu * root)
        return 2.0 / (1.0 + cr + root * (1.0 + decay) / (1.0 - decay))
    decay = exp(-ntu * (1.0 - cr))
    unequal = (1.0 - decay) / where(absolute(1.0 - cr) < NEARLY_EQUAL, 1.0, 1.0 - cr * decay)
    return where(absolute(1.0 - cr) < NEARLY_EQUAL, ntu / (1.0 + ntu), unequal)
