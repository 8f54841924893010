"""A cooled, stirred reactor with one exothermic first-order reaction A -> B (Arrhenius).

    V dc/dt = q (c_in - c) - V k0 exp(-E / (R T)) c
    V rho cp dT/dt = q rho cp (T_in - T) + V (-dH) k0 exp(-E / (R T)) c + UA (T_cool - T)

The same coolant can hold three steady states, the middle one unstable: that is why it is the
benchmark of nonlinear control (B. W. Bequette, Process Control: Modeling, Design, and Simulation,
2003, module 9; D. E. Seborg, T. F. Edgar, D. A. Mellichamp, Process Dynamics and Control, section
2.4.6, whose constants are the defaults here).
"""

from sandbox.symbolic.casadi_sx import exp
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable

GAS_CONSTANT = 8.31446  # J/(mol K)


def reactor(
    volume_m3: float = 0.1, k0_per_s: float = 7.2e10 / 60.0, activation_k: float = 8750.0,
    heat_kj_mol: float = 50.0, rho_cp_kj_m3_k: float = 239.0, ua_kw_k: float = 50.0 / 60.0,
) -> SymbolicModel:  # fmt: skip
    """States concentration_mol_m3, temp_k. Inputs flow_m3_s, feed_mol_m3, feed_k, coolant_k.

    Outputs temp_k, conversion (1 - c / c_in), reaction_kw, cooling_kw. `activation_k` is E / R,
    `heat_kj_mol` the heat set free, -dH.
    """
    values = (
        ("volume_m3", "m3", volume_m3), ("k0_per_s", "1/s", k0_per_s),
        ("activation_k", "K", activation_k), ("heat_kj_mol", "kJ/mol", heat_kj_mol),
        ("rho_cp_kj_m3_k", "kJ/m3/K", rho_cp_kj_m3_k), ("ua_kw_k", "kW/K", ua_kw_k),
    )  # fmt: skip
    return SymbolicModel(
        "stirred reactor",
        states=(Variable("concentration_mol_m3", "mol/m3", 0.0, nominal=1000.0),
                Variable("temp_k", "K", 250.0, 600.0, 350.0)),
        inputs=(Variable("flow_m3_s", "m3/s", 0.0), Variable("feed_mol_m3", "mol/m3", 0.0),
                Variable("feed_k", "K"), Variable("coolant_k", "K")),
        parameters=tuple(Parameter(n, unit, v, "log") for n, unit, v in values),
        outputs=(Output("conversion", "1"), Output("reaction_kw", "kW", True),
                 Output("cooling_kw", "kW", True)),
        equations=_reactor, source="Seborg, Edgar and Mellichamp, 2.4.6; Bequette 2003, module 9",
    )  # fmt: skip


def _reactor(x: Names, u: Names, p: Names) -> Equations:
    c, temp = x["concentration_mol_m3"], x["temp_k"]
    rate = p["k0_per_s"] * exp(-p["activation_k"] / temp) * c  # mol/(m3 s)
    residence = u["flow_m3_s"] / p["volume_m3"]
    heat = p["heat_kj_mol"] * rate * p["volume_m3"]
    cooling = p["ua_kw_k"] * (temp - u["coolant_k"])
    warming = (heat - cooling) / (p["rho_cp_kj_m3_k"] * p["volume_m3"])
    derivative = {
        "concentration_mol_m3": residence * (u["feed_mol_m3"] - c) - rate,
        "temp_k": residence * (u["feed_k"] - temp) + warming,
    }
    conversion = 1.0 - c / u["feed_mol_m3"]
    return Equations(
        derivative, {"conversion": conversion, "reaction_kw": heat, "cooling_kw": cooling}
    )
