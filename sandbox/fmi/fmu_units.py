"""Units across FMUs, and between an FMU and the site.

Every unit is brought to a known one of the registry (graph/units): by its SI exponents, factor and
offset where the FMU defines them, else by its name. FMI's K is a temperature unless the variable
says `relativeQuantity`; the site's K is a difference.
"""

import re
from dataclasses import dataclass

from graph.errors import InputError
from graph.units import canonical_unit, convert
from sandbox.fmi.description import BASES, FmuUnit, FmuVariable

KELVIN = tuple(int(b == "K") for b in BASES)
NAMES = {"k": "degK", "-": "dimensionless", "": "dimensionless"}
DIFFERENCES = {"degK": "delta_degC", "degC": "delta_degC", "degF": "delta_degF"}


@dataclass(frozen=True)
class Affine:
    """target = source x scale + offset."""

    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, value: float) -> float:
        return value * self.scale + self.offset

    def inverse(self) -> "Affine":
        """The way back."""
        return Affine(1.0 / self.scale, -self.offset / self.scale)


IDENTITY = Affine()


def between(source: FmuUnit | None, target: FmuUnit | None) -> Affine | None:
    """From one FMU's unit to another's; None where one of them says nothing or nobody knows it.

    Raises:
        InputError: they measure different things.
    """
    if source is None or target is None:
        return None
    if source == target:
        return IDENTITY
    ends = _registered(source), _registered(target)
    if ends[0] is None or ends[1] is None:
        return None
    (source_name, source_map), (target_name, target_map) = ends[0], ends[1]
    middle = _affine(source_name, target_name)
    return _chain(_chain(source_map, middle), target_map.inverse())


def to_site(variable: FmuVariable, unit: str | None) -> Affine:
    """From a variable's own unit to a unit of the site; identity where either is not given.

    Raises:
        InputError: they measure different things, or nobody knows the site's unit.
    """
    return checked_to_site(variable, unit) or IDENTITY


def from_site(variable: FmuVariable, unit: str | None) -> Affine:
    """Inverse of `to_site`."""
    return to_site(variable, unit).inverse()


def checked_to_site(variable: FmuVariable, unit: str | None) -> Affine | None:
    """Like `to_site`; None where nothing could be checked."""
    known = None if unit is None or variable.unit is None else _registered(variable.unit)
    if known is None or unit is None:
        return None
    name, own = known
    try:
        return _chain(own, _affine(name, canonical_unit(unit)))
    except InputError as error:
        raise InputError(f"{variable.name}: {error.message}", error.hint) from error


def _registered(unit: FmuUnit) -> tuple[str, Affine] | None:
    """A unit of the registry and the way to it; None for a name that nobody knows."""
    if unit.base is not None:
        offset = 0.0 if unit.relative else unit.base.offset
        if unit.base.exponents == KELVIN:
            return "delta_degC" if unit.relative else "degK", Affine(unit.base.factor, offset)
        parts = [f"{_si(b)}**{e}" for b, e in zip(BASES, unit.base.exponents, strict=True) if e]
        return "*".join(parts) or "dimensionless", Affine(unit.base.factor, offset)
    name = NAMES.get(unit.name.strip().lower(), unit.name)
    try:
        name = canonical_unit(_spelt(name))
    except InputError:
        return None
    return (DIFFERENCES.get(name, name) if unit.relative else name), IDENTITY


def _si(base: str) -> str:
    return {"s": "second", "rad": "radian", "K": "delta_degC"}.get(base, base)


def _spelt(name: str) -> str:
    """Modelica writes m3/s and W/(m2.K); the registry m^3/s and W/(m^2*K)."""
    return re.sub(r"(?<=[A-Za-z])(-?\d+)", r"^\1", name).replace(".", "*")


def _affine(source: str, target: str) -> Affine:
    if source == target:
        return IDENTITY
    offset = convert(0.0, source, target)
    return Affine(convert(1.0, source, target) - offset, offset)


def _chain(first: Affine, second: Affine) -> Affine:
    return Affine(first.scale * second.scale, first.offset * second.scale + second.offset)
