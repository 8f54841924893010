"""From what was named to signals: assets, an attribute and a unit choose them, or a question."""

from graph.signals import Role, SignalSpec
from graph.site import Site
from graph.units import same_dimension
from planner.intent.lexicon import Item, K
from planner.intent.quantities import Unit
from planner.intent.vocabulary import asset_name
from planner.intent.words import unit_sign

CONTROLLED = ("grid_connection", "battery", "heat_pump", "buffer_tank", "air_unit", "zone",
              "equipment")  # fmt: skip
# What `startswith` takes: one beginning or several.
_PREFIX: dict[str, str | tuple[str, ...]] = {
    "temp": "temp_", "soc": ("soc_", "level_"), "power": "power_", "heat": "heat_",
    "setpoint": "set", "voltage": "voltage_", "heating_setpoint": "heating_set",
    "cooling_setpoint": "cooling_set",
}  # fmt: skip
_IN_WORDS = {"soc_pct": "charge", "power_kw": "electric power", "temp_degc": "temperature",
             "heat_kw": "heat output"}  # fmt: skip


def kind_of(site: Site, asset_id: str) -> str:
    """The kind of an asset."""
    return next(a.kind for a in site.assets if a.id == asset_id)


def named_assets(items: list[Item]) -> tuple[str, ...]:
    """The assets that subject items name, each once, in order."""
    found: dict[str, None] = {}
    for item in items:
        if item.kind is K.SUBJECT:
            found.update(dict.fromkeys(item.value))
        elif item.kind is K.SIGNAL:
            found[item.value.split(".", 1)[0]] = None
    return tuple(found)


def signals_of(
    site: Site, assets: tuple[str, ...], attribute: str, unit: Unit
) -> tuple[tuple[str, ...], str]:
    """The signals meant, or a question.

    An attribute ("temperature") or else the unit chooses among an asset's measurements.
    """
    chosen: list[str] = []
    for asset in assets:
        fitting = [s for s in _candidates(site, asset, attribute) if _fits(s, unit)]
        if not fitting and kind_of(site, asset) == "equipment":
            # What is set is all that is known of it: the voltage of a pump.
            fitting = [s for s in site.setpoints if s.asset == asset and _fits(s, unit)]
        open_ = unit.dimension == "none" and kind_of(site, asset) == "heat_pump"
        if attribute != "heat" and len(fitting) > 1 and not open_:
            # Power without "heat" is electric power.
            fitting = [s for s in fitting if not s.id.endswith(".heat_kw")]
        if len(fitting) != 1:
            return (), _which(site, asset, attribute, unit)
        chosen.append(fitting[0].id)
    return tuple(chosen), ""


def _candidates(site: Site, asset: str, attribute: str) -> list[SignalSpec]:
    role = Role.SETPOINT if attribute.endswith("setpoint") else Role.MEASUREMENT
    return [
        s
        for s in site.signals
        if s.asset == asset
        and s.role is role
        and (attribute in ("", "setpoint") or s.id.split(".")[1].startswith(_PREFIX[attribute]))
    ]


def _fits(spec: SignalSpec, unit: Unit) -> bool:
    if unit.dimension == "none":
        return True
    if unit.name == "degree":
        return same_dimension(spec.unit, "degC")
    if unit.dimension in ("money", "mass", "energy"):
        return False
    return same_dimension(spec.unit, unit.name)


def _which(site: Site, asset: str, attribute: str, unit: Unit) -> str:
    name = asset_name(site, asset)
    if attribute == "setpoint" and len(_candidates(site, asset, attribute)) > 1:
        return f"The heating or the cooling setpoint of the {name}? Write which one is meant."
    specs = [s for s in site.signals if s.asset == asset and s.role is not Role.SETPOINT]
    options = " or ".join(
        f"{_IN_WORDS.get(s.id.split('.')[1], s.id)} ({unit_sign(s.unit)})" for s in specs
    )
    if unit.dimension == "none" and not attribute:
        return f"What of the {name} is meant: {options}? Write the unit with the number."
    wanted = f"has no {attribute} that is" if attribute else "is not"
    sign = {"degree": "degrees", "": "that"}.get(unit.name, unit_sign(unit.name))
    return f"The {name} {wanted} measured in {sign}: it has {options}. Which is meant?"


def groups_with_temperature(site: Site) -> tuple[str, ...]:
    """Names of everything whose temperature could be meant by `the temperature`."""
    groups = dict.fromkeys(getattr(z, "group", "") for z in site.of_kind("zone"))
    zones = [asset_name(site, z.id) for z in site.of_kind("zone")] if len(groups) else []
    tanks = [asset_name(site, t.id) for t in site.of_kind("buffer_tank")]
    several = [*groups, *zones] if len(zones) > 1 else zones
    return tuple(dict.fromkeys([*several, *tanks]))
