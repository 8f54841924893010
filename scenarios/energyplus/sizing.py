"""What the engine made of the equipment when it sized it, from its own `eplusout.eio`."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graph.errors import InputError, UnavailableError

MARK = "Component Sizing Information"


@dataclass(frozen=True)
class Nameplate:
    """An air unit's sizes, kW: rated heat pump heat, resistance heat, total and sensible cooling,
    fan."""

    heat_pump_kw: float
    resistance_kw: float
    cooling_kw: float
    sensible_kw: float
    fan_kw: float


def read_sizes(eio: Path) -> dict[str, dict[str, float]]:
    """Component's name (upper case) -> description -> value in the engine's units.

    Raises:
        UnavailableError: there is no such file.
    """
    try:
        text = eio.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnavailableError(f"EnergyPlus wrote no {eio.name}: {error.strerror}") from error
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        fields = [f.strip() for f in line.split(",")]
        if fields[0] == MARK and len(fields) >= 5:
            with contextlib.suppress(ValueError):  # some sizes are words
                found.setdefault(fields[2].upper(), {})[fields[3]] = float(fields[4])
    return found


def nameplate(sizes: Mapping[str, Mapping[str, float]], parts: tuple[str, ...]) -> Nameplate:
    """The sizes of one unit out of its coils and fans. Raises InputError for an unknown part."""
    heat_pump = resistance = cooling = sensible = fan = 0.0
    for part in parts:
        size = sizes.get(part.upper())
        if size is None:
            raise InputError(f"the engine has sized no {part!r}", f"it has: {', '.join(sizes)}")
        heat_pump += _first(size, "Design Size Gross Rated Heating Capacity [W]")
        resistance += _first(size, "Design Size Nominal Capacity [W]")
        cools = _first(
            size,
            "Design Size Gross Rated Total Cooling Capacity [W]",
            "Design Size High Speed Gross Rated Total Cooling Capacity [W]",
        )
        cooling += cools
        sensible += cools * _first(
            size,
            "Design Size Gross Rated Sensible Heat Ratio",
            "Design Size High Speed Rated Sensible Heat Ratio",
        )
        fan += _first(size, "Design Electric Power Consumption [W]")
    return Nameplate(*(w / 1000.0 for w in (heat_pump, resistance, cooling, sensible, fan)))


def _first(size: Mapping[str, float], *names: str) -> float:
    return next((size[n] for n in names if n in size), 0.0)
