"""A battery as an energy store with one-way efficiencies, standby and a taper near its ends.

    (capacity/100) dsoc/dt = eta max(P, 0) + min(P, 0) / eta - standby

P at the terminals, charging +. P is held inside the power limits and inside what empties or fills
the store in `taper_h`, so the state of charge approaches its bounds and never passes them. The
usual energy model of dispatch and storage studies (e.g. NREL, Annual Technology Baseline, utility
battery storage: round trip 0.85, eta = sqrt(0.85) = 0.922).
"""

from sandbox.symbolic.casadi_sx import maximum, minimum, where
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable


def battery(
    capacity_kwh: float, max_charge_kw: float, max_discharge_kw: float, efficiency: float = 0.95,
    standby_kw: float = 0.0, soc_min_pct: float = 0.0, soc_max_pct: float = 100.0,
    taper_h: float = 0.1,
) -> SymbolicModel:  # fmt: skip
    """State soc_pct; input power_set_kw; outputs power_kw (at the terminals), loss_kw, soc_pct.

    Standby drains the store until it is at zero.
    """
    values = (
        ("capacity_kwh", "kWh", capacity_kwh), ("max_charge_kw", "kW", max_charge_kw),
        ("max_discharge_kw", "kW", max_discharge_kw), ("efficiency", "1", efficiency),
        ("taper_h", "h", taper_h),
    )  # fmt: skip
    linear = (
        ("standby_kw", "kW", standby_kw), ("soc_min_pct", "%", soc_min_pct),
        ("soc_max_pct", "%", soc_max_pct),
    )  # fmt: skip
    return SymbolicModel(
        "battery",
        states=(Variable("soc_pct", "%", 0.0, 100.0, 50.0),),
        inputs=(Variable("power_set_kw", "kW"),),
        parameters=(*(Parameter(n, unit, v, "log") for n, unit, v in values),
                    *(Parameter(n, unit, v) for n, unit, v in linear)),
        outputs=(Output("power_kw", "kW", True), Output("loss_kw", "kW", True),
                 Output("soc_pct", "%")),
        equations=_battery, source="energy store with one-way efficiencies; NREL ATB",
    )  # fmt: skip


def _battery(x: Names, u: Names, p: Names) -> Equations:
    soc, eta = x["soc_pct"], p["efficiency"]
    store = p["capacity_kwh"] / 100.0  # kWh per percent
    room = maximum(p["soc_max_pct"] - soc, 0.0) * store / p["taper_h"] / eta
    stock = maximum(soc - p["soc_min_pct"], 0.0) * store / p["taper_h"] * eta
    most, least = minimum(p["max_charge_kw"], room), -minimum(p["max_discharge_kw"], stock)
    power = maximum(minimum(u["power_set_kw"], most), least)
    standby = minimum(p["standby_kw"], maximum(soc, 0.0) * store / p["taper_h"])
    stored = where(power > 0, power * eta, power / eta) - standby
    outputs = {"power_kw": power, "loss_kw": power - stored, "soc_pct": soc}
    return Equations({"soc_pct": stored / store / 3600.0}, outputs)
