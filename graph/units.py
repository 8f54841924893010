"""Units: one registry, conversion only at the edge.

A temperature difference is not a temperature: 2 K of setback is `delta_degC`, 21 °C is `degC`.
"""

from functools import cache
from typing import Any

from graph.errors import InputError

# Spellings that people and site packs use, and the registry's names for them.
ALIASES = {
    "%": "percent", "°c": "degC", "c": "degC", "degc": "degC", "celsius": "degC",
    "°f": "degF", "f": "degF", "degf": "degF", "fahrenheit": "degF",
    "k": "delta_degC", "kelvin": "delta_degC", "delta_degc": "delta_degC",
    "w/m2": "W/m^2", "w/m²": "W/m^2", "1": "dimensionless", "": "dimensionless",
    "kw": "kW", "kwh": "kWh", "mw": "MW", "mwh": "MWh", "w": "W", "wh": "Wh",
}  # fmt: skip


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True, cache_folder=None)


@cache
def canonical_unit(name: str) -> str:
    """The registry's name for `name`. Raises InputError for a unit nobody knows."""
    text = ALIASES.get(name.strip().lower(), name.strip())
    try:
        _registry().parse_units(text)
    except Exception as error:
        raise InputError(
            f"unknown unit {name!r}", "known: kW, kWh, degC, degF, K, %, W/m2, 1"
        ) from error
    return text


def convert(value: float, source: str, target: str) -> float:
    """`value` in `source` expressed in `target`. Raises InputError if they measure other things."""
    source, target = canonical_unit(source), canonical_unit(target)
    if source == target:
        return value
    registry = _registry()
    try:
        return float(registry.Quantity(value, source).to(target).magnitude)
    except Exception as error:
        raise InputError(f"{source} cannot be expressed in {target}") from error


def same_dimension(a: str, b: str) -> bool:
    """Whether two units measure the same thing (a difference of temperature is not one)."""
    a, b = canonical_unit(a), canonical_unit(b)
    if ("delta_" in a) != ("delta_" in b):
        return False
    registry = _registry()
    return bool(registry.Quantity(1, a).is_compatible_with(registry.Quantity(1, b)))
