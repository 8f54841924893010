"""The building model's parameters: names by structure, units, spaces, textbook values."""

from typing import Literal

from sandbox.building.layout import BuildingLayout
from sandbox.building.structure import FACADES, Structure, pair_name
from sandbox.symbolic.model import Parameter

Space = Literal["log", "linear"]
RESISTANCE_COP = 1.2
# May be negative or zero; every other one is positive and treated as a logarithm.
LINEAR = (
    "cop_heating_per_k", "cop_cooling_per_k", "heating_kw_per_k", "cooling_kw_per_k", "base_kw",
    "crankcase_kw", "night_band_k", "supply_degc",
)  # fmt: skip
UNITS = {"c": "kWh/K", "ua": "kW/K", "aperture": "m^2", "thermostat": "h", "night": "delta_degC"}


def zone_names(structure: Structure, zone: str) -> tuple[str, ...]:
    """Thermal parameters of one zone without its couplings."""
    names = ["c_air_kwh_k", "ua_out_kw_k", "ua_open_kw_k", "gain_per_load"]
    names += [f"aperture_{f}_m2" for f in structure.facades[zone]]
    order = structure.order[zone]
    if order > 1:
        names += ["c_mass_kwh_k", "ua_mass_kw_k", "ua_core_out_kw_k", "sun_to_mass"]
    if order > 2:
        names += ["c_deep_kwh_k", "ua_deep_kw_k"]
    return tuple(f"{zone}.{n}" for n in names)


def air_names(structure: Structure, zone: str) -> tuple[str, ...]:
    """What ventilation does to a zone."""
    if zone in structure.supplied:
        keys = ("ua_supply_kw_k", "supply_degc", "most_heating_kw", "most_cooling_kw")
        return tuple(f"{zone}.{k}" for k in keys)
    return (f"{zone}.ua_vent_kw_k", f"{zone}.fan_heat_kw")


UNIT_KEYS = (
    "cop_heating", "cop_heating_per_k", "cop_cooling", "cop_cooling_per_k", "base_kw", "fan_kw",
    "crankcase_kw", "heating_kw", "heating_kw_per_k", "cooling_kw", "cooling_kw_per_k",
)  # fmt: skip


# How thermostats hold their zones, and how units that do not ventilate cycle.
LAW_NAMES = ("zones.thermostat_tau_h", "zones.night_band_k", "zones.night_duty")


def unit_names(unit: str) -> tuple[str, ...]:
    """Parameters of one air unit."""
    return tuple(f"{unit}.{k}" for k in UNIT_KEYS)


def parameter_names(layout: BuildingLayout, structure: Structure) -> tuple[str, ...]:
    """All parameters of the whole building in order."""
    names: list[str] = []
    for zone in structure.order:
        names += [*zone_names(structure, zone), *air_names(structure, zone)]
    names += [pair_name(a, b) for a, b in structure.pairs]
    names += list(LAW_NAMES)
    for unit in layout.units:
        names += unit_names(unit.id)
    return tuple(names)


def space_of(name: str) -> Space:
    """The fitting space of a parameter."""
    return "linear" if name.split(".", 1)[1] in LINEAR else "log"


def symbolic_parameters(names: tuple[str, ...], values: dict[str, float]) -> tuple[Parameter, ...]:
    """Declarations for a symbolic model; absent values are the textbook's 1."""
    return tuple(
        Parameter(n, UNITS.get(n.split(".", 1)[1].split("_")[0], "1"), values.get(n, 1.0),
                  space_of(n)) for n in names)  # fmt: skip


def textbook(layout: BuildingLayout, structure: Structure) -> dict[str, float]:
    """Values from floor areas and nameplates only.

    Sources: air and furniture 10 Wh/(m2 K), light mass 80 Wh/(m2 K) behind 10 W/(m2 K) (ISO
    13790:2008 tables 12 and 7.2.2.2, rounded), envelope 1 W/(m2 K) of floor, apertures 1 % of the
    floor a facade, outdoor air 0.43 l/(s m2) (ASHRAE 62.1 table 6-1, office), COPs as named on the
    plate with 2 % and -2 % a kelvin, capacities with 2 % and -0.7 % a kelvin.
    """
    found: dict[str, float] = {}
    floor = sum(z.floor_area_m2 for z in layout.zones)
    fan = {u.id: u.fan_kw for u in layout.units}
    for zone in layout.zones:
        area, z = zone.floor_area_m2, zone.id
        per_area = {"c_air_kwh_k": 0.010, "ua_out_kw_k": 0.0006, "ua_open_kw_k": 0.0001,
                    "c_mass_kwh_k": 0.060, "ua_mass_kw_k": 0.010, "ua_core_out_kw_k": 0.0004,
                    "c_deep_kwh_k": 0.060, "ua_deep_kw_k": 0.003, "ua_vent_kw_k": 0.00043 * 1.2,
                    "ua_supply_kw_k": 0.0007,
                    **{f"aperture_{f}_m2": 0.01 for f in FACADES}}  # fmt: skip
        found |= {f"{z}.{k}": v * area for k, v in per_area.items()}
        found[f"{z}.gain_per_load"] = 0.8 * area / floor
        found |= {f"{z}.sun_to_mass": 0.5, f"{z}.supply_degc": 15.0}
        unit = next(u for u in layout.units if u.id == zone.source)
        found[f"{z}.most_heating_kw"] = layout.area_share[z] * unit.heating_kw
        found[f"{z}.most_cooling_kw"] = layout.area_share[z] * unit.cooling_kw
        found[f"{z}.fan_heat_kw"] = max(layout.area_share[z] * fan[zone.source], 1e-3)
    for a, b in structure.pairs:
        area = min(z.floor_area_m2 for z in layout.zones if z.id in (a, b))
        found[pair_name(a, b)] = 0.0005 * area
    found |= dict(zip(LAW_NAMES, (0.1, 0.0, 1.0), strict=True))
    for u in layout.units:
        # A COP of about 1 is electric resistance, which does not mind the weather.
        slope = 0.02 if u.nominal_cop_heating > RESISTANCE_COP else 0.0
        plate = {"cop_heating": u.nominal_cop_heating, "cop_cooling": u.nominal_cop_cooling,
                 "cop_heating_per_k": slope * u.nominal_cop_heating,
                 "cop_cooling_per_k": -0.02 * u.nominal_cop_cooling,
                 "base_kw": 0.0, "crankcase_kw": 0.0, "fan_kw": max(u.fan_kw, 1e-3),
                 "heating_kw": u.heating_kw, "heating_kw_per_k": slope * u.heating_kw,
                 "cooling_kw": u.cooling_kw, "cooling_kw_per_k": -0.007 * u.cooling_kw}  # fmt: skip
        found |= {f"{u.id}.{k}": v for k, v in plate.items()}
    return {n: found[n] for n in parameter_names(layout, structure)}
