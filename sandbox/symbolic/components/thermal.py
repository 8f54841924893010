"""Heated rooms as networks of heat capacities (kWh/K) and conductances (kW/K).

`thermal_network`: any number of zones of one to three nodes each (air; air and mass; air, mass and
envelope), coupled with each other; the grey-box structures of P. Bacher, H. Madsen, Energy and
Buildings 43 (2011) 1511, doi:10.1016/j.enbuild.2011.02.005:

    C_air  dT_air/dt  = UA_out (T_out - T_air) + UA_mass (T_mass - T_air) + couplings
                        + q + (1 - s) A G
    C_mass dT_mass/dt = UA_mass (T_air - T_mass) + UA_env (T_env - T_mass) + s A G
    C_env  dT_env/dt  = UA_env (T_mass - T_env) + UA_face (T_out - T_env)

`iso13790_zone`: the simple hourly method's five conductances and one capacity (ISO 13790:2008,
clause 12.2 and annex C), with its algebraic air and surface nodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable

SECONDS = 3600.0  # kWh to kW s
ISO_SURFACES_PER_FLOOR = 4.5  # A_t / A_f, 7.2.2.2
ISO_AIR_TO_SURFACE_KW_M2K = 3.45e-3  # h_is, 7.2.2.2


@dataclass(frozen=True)
class Zone:
    """A room and its first guesses; `nodes` is 1, 2 or 3. `s` is the sun's share into the mass."""

    name: str
    nodes: int = 2
    c_air_kwh_k: float = 1.0
    c_mass_kwh_k: float = 10.0
    c_env_kwh_k: float = 10.0
    ua_out_kw_k: float = 0.1
    ua_mass_kw_k: float = 1.0
    ua_env_kw_k: float = 0.5
    ua_face_kw_k: float = 0.2
    sun_aperture_m2: float = 2.0
    sun_into_mass: float = 0.5

    def __post_init__(self) -> None:
        """Raises InputError unless there are one to three nodes."""
        if self.nodes not in (1, 2, 3):
            raise InputError(f"zone {self.name} has {self.nodes} nodes", "expected 1, 2 or 3")


Couplings = Mapping[tuple[str, str], float]


def thermal_network(zones: Sequence[Zone], couplings: Couplings | None = None) -> SymbolicModel:
    """States `<zone>.air_degc`, `.mass_degc`, `.env_degc`; inputs outdoor_degc, ghi_w_m2 and
    `<zone>.heat_kw`; output `<zone>.temp_degc`. `couplings`: kW/K by pair of zones.

    Raises InputError on a coupling between zones that do not exist.
    """
    pairs = dict(couplings or {})
    known = {zone.name for zone in zones}
    unknown = sorted({name for pair in pairs for name in pair} - known)
    if unknown:
        raise InputError(f"a coupling names {', '.join(unknown)}", f"zones: {', '.join(known)}")
    heats = [Variable(f"{z.name}.heat_kw", "kW", nominal=5.0) for z in zones]
    return SymbolicModel(
        "thermal_network",
        states=tuple(v for z in zones for v in _states(z)),
        inputs=(Variable("outdoor_degc", "degC"), Variable("ghi_w_m2", "W/m2", 0.0), *heats),
        parameters=(
            *(p for z in zones for p in _parameters(z)),
            *(Parameter(f"ua.{a}.{b}", "kW/K", ua, "log") for (a, b), ua in pairs.items()),
        ),
        outputs=tuple(Output(f"{z.name}.temp_degc", "degC") for z in zones),
        equations=lambda x, u, p: _network(zones, list(pairs), x, u, p),
        source="Bacher and Madsen 2011, doi:10.1016/j.enbuild.2011.02.005",
    )


def _states(zone: Zone) -> list[Variable]:
    nodes = ("air", "mass", "env")[: zone.nodes]
    return [Variable(f"{zone.name}.{n}_degc", "degC", -60.0, 100.0, 20.0) for n in nodes]


def _parameters(zone: Zone) -> list[Parameter]:
    names = ["c_air_kwh_k", "ua_out_kw_k", "sun_aperture_m2"]
    names += ["c_mass_kwh_k", "ua_mass_kw_k"] if zone.nodes > 1 else []
    names += ["c_env_kwh_k", "ua_env_kw_k", "ua_face_kw_k"] if zone.nodes > 2 else []
    units = {"c": "kWh/K", "u": "kW/K", "s": "m2"}
    found = [Parameter(f"{zone.name}.{n}", units[n[0]], getattr(zone, n), "log") for n in names]
    if zone.nodes > 1:
        found.append(Parameter(f"{zone.name}.sun_into_mass", "1", zone.sun_into_mass))
    return found


def _network(
    zones: Sequence[Zone], pairs: list[tuple[str, str]], x: Names, u: Names, p: Names
) -> Equations:
    derivative: dict[str, Expr] = {}
    for zone in zones:
        air, name = x[f"{zone.name}.air_degc"], zone.name
        flow = p[f"{name}.ua_out_kw_k"] * (u["outdoor_degc"] - air) + u[f"{name}.heat_kw"]
        for a, b in pairs:
            if name in (a, b):
                other = x[f"{b if name == a else a}.air_degc"]
                flow = flow + p[f"ua.{a}.{b}"] * (other - air)
        sun = p[f"{name}.sun_aperture_m2"] * u["ghi_w_m2"] / 1000.0
        if zone.nodes > 1:
            share = p[f"{name}.sun_into_mass"]
            to_mass = p[f"{name}.ua_mass_kw_k"] * (air - x[f"{name}.mass_degc"])
            flow = flow - to_mass + (1.0 - share) * sun
            into = to_mass + share * sun
            if zone.nodes > 2:
                into = into - _envelope(name, x, u, p, derivative)
            rate = into / (SECONDS * p[f"{name}.c_mass_kwh_k"])
            derivative[f"{name}.mass_degc"] = rate
        else:
            flow = flow + sun
        derivative[f"{name}.air_degc"] = flow / (SECONDS * p[f"{name}.c_air_kwh_k"])
    return Equations(derivative, {f"{z.name}.temp_degc": x[f"{z.name}.air_degc"] for z in zones})


def _envelope(name: str, x: Names, u: Names, p: Names, derivative: dict[str, Expr]) -> Expr:
    """Heat from the mass into the envelope; writes the envelope's balance."""
    mass, env = x[f"{name}.mass_degc"], x[f"{name}.env_degc"]
    inward = p[f"{name}.ua_env_kw_k"] * (mass - env)
    outward = p[f"{name}.ua_face_kw_k"] * (env - u["outdoor_degc"])
    derivative[f"{name}.env_degc"] = (inward - outward) / (SECONDS * p[f"{name}.c_env_kwh_k"])
    return inward


def iso13790_zone(
    floor_m2: float, h_ve_kw_k: float, h_w_kw_k: float, h_em_kw_k: float,
    c_m_kwh_k: float, mass_area_m2: float,
) -> SymbolicModel:  # fmt: skip
    """One zone by the simple hourly method.

    State mass_degc; inputs outdoor_degc, supply_degc, heat_kw (to the air node), air_gain_kw,
    surface_gain_kw, mass_gain_kw; outputs temp_degc (air), operative_degc (0.3 air + 0.7 surface),
    surface_degc. `mass_area_m2` is A_m; h_ms is 9.1 W/m2K, h_is 3.45 W/m2K.
    """
    h_is = ISO_AIR_TO_SURFACE_KW_M2K * ISO_SURFACES_PER_FLOOR * floor_m2
    values = {
        "h_ve_kw_k": h_ve_kw_k, "h_w_kw_k": h_w_kw_k, "h_em_kw_k": h_em_kw_k,
        "h_is_kw_k": h_is, "h_ms_kw_k": 9.1e-3 * mass_area_m2,
    }  # fmt: skip
    gains = ("heat_kw", "air_gain_kw", "surface_gain_kw", "mass_gain_kw")
    return SymbolicModel(
        "iso13790_zone",
        states=(Variable("mass_degc", "degC", -60.0, 100.0, 20.0),),
        inputs=(Variable("outdoor_degc", "degC"), Variable("supply_degc", "degC"),
                *(Variable(n, "kW") for n in gains)),
        parameters=(*(Parameter(n, "kW/K", v, "log") for n, v in values.items()),
                    Parameter("c_m_kwh_k", "kWh/K", c_m_kwh_k, "log")),
        outputs=tuple(Output(f"{n}_degc", "degC") for n in ("temp", "operative", "surface")),
        equations=_iso13790,
        source="ISO 13790:2008, 12.2 and annex C",
    )  # fmt: skip


def _iso13790(x: Names, u: Names, p: Names) -> Equations:
    mass, outdoor, supply = x["mass_degc"], u["outdoor_degc"], u["supply_degc"]
    ve, w, em = p["h_ve_kw_k"], p["h_w_kw_k"], p["h_em_kw_k"]
    to_air = u["air_gain_kw"] + u["heat_kw"]
    h1 = 1.0 / (1.0 / ve + 1.0 / p["h_is_kw_k"])  # C.6
    h2 = h1 + w  # C.7
    h3 = 1.0 / (1.0 / h2 + 1.0 / p["h_ms_kw_k"])  # C.8
    seen = u["surface_gain_kw"] + w * outdoor + h1 * (to_air / ve + supply)
    into = u["mass_gain_kw"] + em * outdoor + h3 * seen / h2  # C.5
    surface = (p["h_ms_kw_k"] * mass + seen) / (p["h_ms_kw_k"] + w + h1)  # C.10
    air = (p["h_is_kw_k"] * surface + ve * supply + to_air) / (p["h_is_kw_k"] + ve)  # C.11
    rate = (into - (h3 + em) * mass) / (SECONDS * p["c_m_kwh_k"])
    outputs = {"temp_degc": air, "operative_degc": 0.3 * air + 0.7 * surface}
    return Equations({"mass_degc": rate}, {**outputs, "surface_degc": surface})
