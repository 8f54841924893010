"""What a fit chose of the building model: node orders, facades, neighbours, daily gains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graph.errors import InputError

FACADES = ("horizontal", "north", "east", "south", "west")
NODES = ("air", "mass", "deep")
DAY_KINDS = ("working_day", "weekend")
CRANKCASE_DEGC = 10.0  # compressors' oil is heated below it (usual cut-out of the heaters)
Profile = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Structure:
    """By zone: number of heat nodes (1 to 3) and facades with windows; pairs that share heat.

    `supplied`: zones that get a least flow of centrally cooled air while ventilation is on, and
    not the outdoor air itself (air handlers with variable flow).

    `gains_kw`: by zone, and by kind of day, 24 hourly values of heat that recurs (people, what is
    not metered); `power_kw`: the same by unit for electric power that recurs. Empty means 0.
    `crankcase_degc`: by unit, the outdoor temperature below which its crankcase heater works.
    """

    order: dict[str, int]
    facades: dict[str, tuple[str, ...]]
    pairs: tuple[tuple[str, str], ...] = ()
    supplied: tuple[str, ...] = ()
    gains_kw: dict[str, Profile] = field(default_factory=dict)
    power_kw: dict[str, Profile] = field(default_factory=dict)
    crankcase_degc: dict[str, float] = field(default_factory=dict)

    def crankcase_below(self, unit: str) -> float:
        """The cut-out of a unit's crankcase heater, degC; the usual one where none was seen."""
        return self.crankcase_degc.get(unit, CRANKCASE_DEGC)

    def nodes(self, zone: str) -> tuple[str, ...]:
        """State names of a zone, from the air inwards."""
        return tuple(f"{zone}.{node}" for node in NODES[: self.order[zone]])

    @cached_property
    def state_names(self) -> tuple[str, ...]:
        """All states in order."""
        return tuple(name for zone in self.order for name in self.nodes(zone))

    def neighbours(self, zone: str) -> tuple[tuple[str, str], ...]:
        """(other zone, parameter of their conductance)."""
        found = []
        for a, b in self.pairs:
            if zone in (a, b):
                found.append((b if zone == a else a, pair_name(a, b)))
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """For `TwinParameters.structure`."""
        # What was not seen is not written, as before it was looked for.
        seen: dict[str, Any] = {"supplied": list(self.supplied)} if self.supplied else {}
        if self.crankcase_degc:
            seen["crankcase_degc"] = dict(self.crankcase_degc)
        return seen | {
            "order": dict(self.order),
            "facades": {z: list(f) for z, f in self.facades.items()},
            "pairs": [list(p) for p in self.pairs],
            "gains_kw": {z: {k: list(v) for k, v in p.items()} for z, p in self.gains_kw.items()},
            "power_kw": {u: {k: list(v) for k, v in p.items()} for u, p in self.power_kw.items()},
        }


def pair_name(a: str, b: str) -> str:
    """The parameter that couples zones a and b."""
    return f"{a}.ua_{b}_kw_k"


def structure_from(document: Mapping[str, Any], zones: tuple[str, ...]) -> Structure:
    """Read `TwinParameters.structure`. Raises InputError when it is not of a building's zones."""

    def profiles(key: str) -> dict[str, Profile]:
        table = document.get(key, {})
        return {a: {k: tuple(float(x) for x in v) for k, v in p.items()} for a, p in table.items()}

    try:
        found = Structure(
            order={z: int(document["order"][z]) for z in zones},
            facades={z: tuple(document["facades"][z]) for z in zones},
            pairs=tuple((str(a), str(b)) for a, b in document.get("pairs", ())),
            supplied=tuple(str(z) for z in document.get("supplied", ())),
            gains_kw=profiles("gains_kw"),
            power_kw=profiles("power_kw"),
            crankcase_degc={
                str(u): float(v) for u, v in document.get("crankcase_degc", {}).items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"twin parameters: their structure is not of these zones ({error!r})",
            "fit the twin again with `pilothouse site fit`",
        ) from error
    known = set(zones)
    foreign = sorted({*found.order, *document["order"], *found.supplied} - known)
    if foreign:
        raise InputError(
            f"twin parameters are not those of this site: {', '.join(foreign)}",
            "fit the twin again with `pilothouse site fit`",
        )
    orders_ok = all(1 <= n <= len(NODES) for n in found.order.values())
    facades_ok = all(f in FACADES for names in found.facades.values() for f in names)
    if not (orders_ok and facades_ok and all(a in known and b in known for a, b in found.pairs)):
        raise InputError(
            "twin parameters: unknown order, facade or zone in their structure",
            "fit the twin again with `pilothouse site fit`",
        )
    return found
