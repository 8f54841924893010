"""The building's equations, once: zones as resistance-capacitance chains, thermostats, air units.

Per zone, temperatures in degC, heat in kW, capacities in kWh/K, time in hours:

    C_air dTa/dt  = q + (UA_out + v UA_open) (To - Ta) + sum UA_ij (Tj - Ta) + UA_mass (Tm - Ta)
                    + (1 - s) sun + g L + gain
    C_mass dTm/dt = UA_mass (Ta - Tm) + UA_deep (Td - Tm) + s sun        (order 2: outdoors here)
    C_deep dTd/dt = UA_deep (Tm - Td) + UA_core_out (To - Td)            (order 3)

q is the heat that a zone's unit delivers, as its meter shows it: the coil's, plus what the outdoor
air that the fan brings along and the fan itself do while ventilation is on (v = 1):

    q = coil + v (fan_heat + UA_vent (To - Ta)),   or   q = coil + v UA_supply (T_supply - Ta)

where an air handler keeps a least flow of air that it cools centrally (`Structure.supplied`). Such
a zone's greatest cooling is that of its greatest flow, in proportion to Ta - T_supply.

The thermostat asks for the coil heat that moves the air to its setpoint with time constant tau and
holds it there; between the setpoints it asks for nothing. The unit gives what it can: its capacity
falls with the outdoor temperature, and zones that share a unit share its capacity. Electric power
is base + v fan + heat / COP_heating + cold / COP_cooling, COPs affine in the outdoor temperature,
and a crankcase heater's in the cold; without ventilation the fan runs in proportion to the coil.
Source of the network: Bacher and Madsen (2011), doi:10.1016/j.enbuild.2011.02.005 (TiTe, TiTeTh).
"""

from collections.abc import Mapping
from typing import Literal

from sandbox.building.layout import BuildingLayout
from sandbox.building.structure import FACADES, Structure
from sandbox.symbolic.casadi_sx import Expr, clip, maximum, minimum, where
from sandbox.symbolic.model import Equations, Output, Parameter, SymbolicModel, Variable

HEATING_RATED_DEGC = 8.3  # outdoor temperatures of the rating conditions (AHRI 210/240)
COOLING_RATED_DEGC = 35.0
LEAST_COP = 0.5
SECONDS = 3600.0
CALL_KW = 0.05  # what a zone asks for before its air handler starts at night
RATED_AIR_DEGC = 24.0  # of a zone that gets all the supplied air that it can
LEAST_GAP_K = 4.0  # supplied air is colder than that zone by so much at least
LEAST_BAND_K = 1.0  # the plant's shell keeps the setpoints apart; so does the twin
Drive = Literal["thermostat", "coil"]
Names = Mapping[str, Expr]


def zone_inputs(zone: str, drive: Drive) -> tuple[Variable, ...]:
    """What acts on one zone. `drive`: whether its own thermostat or an input sets the coil."""
    gain = Variable(f"{zone}.gain_kw", "kW")
    if drive == "coil":
        return (gain, Variable(f"{zone}.coil_kw", "kW"))
    return (
        gain,
        Variable(f"{zone}.heating_setpoint_degc", "degC"),
        Variable(f"{zone}.cooling_setpoint_degc", "degC"),
        Variable(f"{zone}.bias_k", "delta_degC"),
        Variable(f"{zone}.stuck", "1", 0.0, 1.0),
        Variable(f"{zone}.shown_degc", "degC"),
        Variable(f"{zone}.given", "1", 0.0, 1.0),
        Variable(f"{zone}.heat_kw", "kW"),
    )


def shared_inputs() -> tuple[Variable, ...]:
    """What acts on every zone: weather, sun (kW/m2), metered load, ventilation on or off."""
    sun = tuple(Variable(f"sun.{f}_kw_m2", "kW/m^2", 0.0) for f in FACADES)
    return (Variable("outdoor_degc", "degC"), *sun, Variable("load_kw", "kW"),
            Variable("ventilating", "1", 0.0, 1.0))  # fmt: skip


def free_heat(
    structure: Structure, zone: str, x: Names, u: Names, p: Names
) -> tuple[Expr, dict[str, Expr]]:
    """Heat into the zone's air without its unit (kW), and dT/dt (K/h) of the nodes behind it.

    Temperatures of neighbours are looked up as `other.air` in x, else in u.
    """
    air, outdoor = x[f"{zone}.air"], u["outdoor_degc"]
    order = structure.order[zone]
    sun = sum(p[f"{zone}.aperture_{f}_m2"] * u[f"sun.{f}_kw_m2"] for f in structure.facades[zone])
    into_mass = minimum(p[f"{zone}.sun_to_mass"], 1.0) * sun if order > 1 else 0.0
    conductance = p[f"{zone}.ua_out_kw_k"] + u["ventilating"] * p[f"{zone}.ua_open_kw_k"]
    heat = (conductance * (outdoor - air) + (sun - into_mass) + u[f"{zone}.gain_kw"]
            + p[f"{zone}.gain_per_load"] * u["load_kw"])  # fmt: skip
    for other, name in structure.neighbours(zone):
        there = x[f"{other}.air"] if f"{other}.air" in x else u[f"{other}.air"]
        heat = heat + p[name] * (there - air)
    behind: dict[str, Expr] = {}
    if order > 1:
        mass = x[f"{zone}.mass"]
        inner = p[f"{zone}.ua_mass_kw_k"] * (mass - air)
        heat = heat + inner
        flow = into_mass - inner
        leak = p[f"{zone}.ua_core_out_kw_k"]
        if order > 2:
            deep = x[f"{zone}.deep"]
            through = p[f"{zone}.ua_deep_kw_k"] * (deep - mass)
            flow = flow + through
            back = leak * (outdoor - deep) - through
            behind[f"{zone}.deep"] = back / p[f"{zone}.c_deep_kwh_k"]
        else:
            flow = flow + leak * (outdoor - mass)
        behind[f"{zone}.mass"] = flow / p[f"{zone}.c_mass_kwh_k"]
    return heat, behind


def fresh_air(structure: Structure, zone: str, x: Names, u: Names, p: Names) -> Expr:
    """Heat that ventilation brings into the zone (kW): the fan's and the outdoor air's, or that of
    the least flow of supplied air.
    """
    if zone in structure.supplied:
        gap = p[f"{zone}.supply_degc"] - x[f"{zone}.air"]
        return u["ventilating"] * p[f"{zone}.ua_supply_kw_k"] * gap
    exchange = p[f"{zone}.ua_vent_kw_k"] * (u["outdoor_degc"] - x[f"{zone}.air"])
    return u["ventilating"] * (p[f"{zone}.fan_heat_kw"] + exchange)


def _asked(zone: str, free: Expr, x: Names, u: Names, p: Names) -> Expr:
    """Coil heat that the zone's thermostat asks for; cooling negative."""
    healthy = x[f"{zone}.air"] + u[f"{zone}.bias_k"]
    seen = where(u[f"{zone}.stuck"] > 0.5, u[f"{zone}.shown_degc"], healthy)
    low = u[f"{zone}.heating_setpoint_degc"]
    high = maximum(u[f"{zone}.cooling_setpoint_degc"], low + LEAST_BAND_K)
    # Without ventilation units cycle on a wider band: on average the air stays off its setpoint.
    slack = (1.0 - u["ventilating"]) * p["zones.night_band_k"]
    pace = p[f"{zone}.c_air_kwh_k"] / p["zones.thermostat_tau_h"]
    heating = maximum(pace * (low - slack - seen) - free, 0.0)
    cooling = minimum(pace * (high + slack - seen) - free, 0.0)
    return heating + cooling


def _night_flow(
    structure: Structure, asked: Mapping[str, Expr], x: Names, u: Names, p: Names
) -> dict[str, Expr]:
    """Heat (kW) that supplied zones get without ventilation because one of their unit's asks.

    An air handler that one zone calls blows into all; it runs for the share of time by which units
    cycle.
    """
    supplied = [z for z in asked if z in structure.supplied]
    wanted = sum(maximum(q, -q) for q in asked.values())
    still = (1.0 - u["ventilating"]) * minimum(p["zones.night_duty"], 1.0)
    called = where(wanted > CALL_KW, still, 0.0)
    return {
        z: called * p[f"{z}.ua_supply_kw_k"] * (p[f"{z}.supply_degc"] - x[f"{z}.air"])
        for z in supplied
    }


def flow_factor(air: Expr, supply: Expr) -> Expr:
    """Cold of the greatest flow of supplied air, over what it brings to air at `RATED_AIR_DEGC`."""
    return maximum(
        1.0 + (air - RATED_AIR_DEGC) / maximum(RATED_AIR_DEGC - supply, LEAST_GAP_K), 0.0
    )


def capacities(unit: str, u: Names, p: Names) -> tuple[Expr, Expr]:
    """Greatest heating and cooling of a unit at the outdoor temperature (kW)."""
    outdoor, factor = u["outdoor_degc"], u.get(f"{unit}.capacity", 1.0)
    warm, cold = p[f"{unit}.heating_kw_per_k"], p[f"{unit}.cooling_kw_per_k"]
    heating = p[f"{unit}.heating_kw"] + warm * (outdoor - HEATING_RATED_DEGC)
    cooling = p[f"{unit}.cooling_kw"] + cold * (outdoor - COOLING_RATED_DEGC)
    # Without ventilation units run by fixed times: they give that share of what they could.
    duty = u["ventilating"] + (1.0 - u["ventilating"]) * minimum(p["zones.night_duty"], 1.0)
    factor = factor * duty
    return maximum(heating, 0.0) * factor, maximum(cooling, 0.0) * factor


def cops(unit: str, outdoor: Expr, p: Names) -> tuple[Expr, Expr]:
    """Heat, and cold, per electric power of a unit's coils."""
    heating = p[f"{unit}.cop_heating_per_k"] * (outdoor - HEATING_RATED_DEGC)
    cooling = p[f"{unit}.cop_cooling_per_k"] * (outdoor - COOLING_RATED_DEGC)
    return (maximum(p[f"{unit}.cop_heating"] + heating, LEAST_COP),
            maximum(p[f"{unit}.cop_cooling"] + cooling, LEAST_COP))  # fmt: skip


def _share(asked: dict[str, Expr], most: tuple[Expr, Expr]) -> dict[str, Expr]:
    """What each zone gets of a unit that cannot give all what they ask for."""
    got = {zone: maximum(q, 0.0) for zone, q in asked.items()}
    lost = {zone: maximum(-q, 0.0) for zone, q in asked.items()}
    scale = []
    for parts, limit in ((got, most[0]), (lost, most[1])):
        total = sum(parts.values())
        scale.append(where(total > limit, limit / maximum(total, 1e-9), 1.0))
    return {zone: got[zone] * scale[0] - lost[zone] * scale[1] for zone in asked}


def unit_power(
    unit: str, coils: Mapping[str, Expr], standing: Expr, u: Names, p: Names,
    crankcase_below_degc: float,
) -> Expr:  # fmt: skip
    """Electric power of a unit (kW) whose zones get `coils` of heat beyond its least flow.

    standing: cold of the least flow, which a coil that heats reheats.
    """
    heat = sum(maximum(q, 0.0) for q in coils.values())
    cold = sum(maximum(-q, 0.0) for q in coils.values()) + standing
    cop_heating, cop_cooling = cops(unit, u["outdoor_degc"], p)
    works = heat / cop_heating + cold / cop_cooling
    on, fan = u["ventilating"], p[f"{unit}.fan_kw"]
    running = heat / p[f"{unit}.heating_kw"] + cold / p[f"{unit}.cooling_kw"]
    healthy = on * fan + (1.0 - on) * fan * running + works / u.get(f"{unit}.efficiency", 1.0)
    # A dead unit draws nothing but its controls.
    alive = where(u.get(f"{unit}.capacity", 1.0) > 0.0, 1.0, 0.0)
    cold_outside = where(u["outdoor_degc"] < crankcase_below_degc, 1.0, 0.0)
    standing = p[f"{unit}.base_kw"] + cold_outside * p[f"{unit}.crankcase_kw"]
    return standing + alive * healthy + u.get(f"{unit}.power_error_kw", 0.0)


def building_model(
    layout: BuildingLayout, structure: Structure, parameters: tuple[Parameter, ...],
    drive: Drive = "thermostat",
) -> SymbolicModel:  # fmt: skip
    """The whole building. `drive` = coil: the units' coil heat is an input (for planners)."""
    zones = tuple(structure.order)
    inputs = [*shared_inputs(), *(v for z in zones for v in zone_inputs(z, drive))]
    if drive == "thermostat":
        inputs += [v for m in layout.units for v in _unit_inputs(m.id)]

    def equations(x: Names, u: Names, p: Names) -> Equations:
        derivative: dict[str, Expr] = {}
        outputs: dict[str, Expr] = {}
        for unit, served in layout.zones_of.items():
            free: dict[str, Expr] = {}
            for z in served:
                free[z], behind = free_heat(structure, z, x, u, p)
                derivative |= {name: rate / SECONDS for name, rate in behind.items()}
            air = {z: fresh_air(structure, z, x, u, p) for z in served}
            standing = sum(maximum(-air[z], 0.0) for z in served if z in structure.supplied)
            if drive == "coil":
                coils = {z: u[f"{z}.coil_kw"] for z in served}
                net = {z: coils[z] + air[z] for z in served}
            else:
                asked = {z: _asked(z, free[z] + air[z], x, u, p) for z in served}
                flow = _night_flow(structure, asked, x, u, p)
                for z, q in flow.items():
                    air[z] = air[z] + q
                    standing = standing + maximum(-q, 0.0)
                    asked[z] = _asked(z, free[z] + air[z], x, u, p)
                    most = p[f"{z}.most_cooling_kw"] * flow_factor(
                        x[f"{z}.air"], p[f"{z}.supply_degc"]
                    )
                    asked[z] = clip(asked[z], -most, p[f"{z}.most_heating_kw"])
                own = _share(asked, capacities(unit, u, p))
                net = {z: where(u[f"{z}.given"] > 0.5, u[f"{z}.heat_kw"], own[z] + air[z])
                       for z in served}  # fmt: skip
                coils = {z: net[z] - air[z] for z in served}
            for z in served:
                rate = (free[z] + net[z]) / p[f"{z}.c_air_kwh_k"]
                derivative[f"{z}.air"] = rate / SECONDS
                outputs |= {f"{z}.heat_kw": net[z], f"{z}.coil_kw": coils[z]}
            outputs[f"{unit}.power_kw"] = unit_power(
                unit, coils, standing, u, p, structure.crankcase_below(unit)
            )
        return Equations(derivative, outputs)

    heat = [Output(f"{z}.{q}_kw", "kW", mean=True) for z in zones for q in ("heat", "coil")]
    power = [Output(f"{m.id}.power_kw", "kW", mean=True) for m in layout.units]
    return SymbolicModel(
        name=f"building, {drive}",
        states=tuple(Variable(s, "degC", -60.0, 80.0, 1.0) for s in structure.state_names),
        inputs=tuple(inputs),
        parameters=parameters,
        outputs=(*heat, *power),
        equations=equations,
        source="Bacher and Madsen (2011), doi:10.1016/j.enbuild.2011.02.005",
    )


def _unit_inputs(unit: str) -> tuple[Variable, ...]:
    return (
        Variable(f"{unit}.capacity", "1", 0.0),
        Variable(f"{unit}.efficiency", "1", 0.0),
        Variable(f"{unit}.power_error_kw", "kW"),
    )


def zone_model(structure: Structure, zone: str, parameters: tuple[Parameter, ...]) -> SymbolicModel:
    """One zone alone, with its metered heat and its neighbours' temperatures as inputs.

    For identification: the same `free_heat` as in the whole building.
    """
    others = tuple(Variable(f"{o}.air", "degC") for o, _ in structure.neighbours(zone))
    own = (Variable(f"{zone}.gain_kw", "kW"), Variable(f"{zone}.heat_kw", "kW"))

    def equations(x: Names, u: Names, p: Names) -> Equations:
        free, behind = free_heat(structure, zone, x, u, p)
        rate = (free + u[f"{zone}.heat_kw"]) / p[f"{zone}.c_air_kwh_k"]
        rates = {f"{zone}.air": rate, **behind}
        return Equations({s: r / SECONDS for s, r in rates.items()}, {})

    return SymbolicModel(
        name=f"{zone}, order {structure.order[zone]}",
        states=tuple(Variable(s, "degC", -60.0, 80.0, 1.0) for s in structure.nodes(zone)),
        inputs=(*shared_inputs(), *own, *others),
        parameters=parameters,
        outputs=(),
        equations=equations,
        source="Bacher and Madsen (2011), doi:10.1016/j.enbuild.2011.02.005",
    )
