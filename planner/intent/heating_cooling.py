"""Heating and cooling in the words of operators, where rooms have a setpoint for each.

Only sites with air units know all of these words: elsewhere *heating* may be the name of a machine.
"""

from functools import cache

from graph.intent import KeepOff
from graph.site import Site
from planner.intent.clause import Clause
from planner.intent.lexicon import K, Phrase
from planner.intent.wish import Context

_WORDS: tuple[tuple[K, str, str], ...] = (
    (K.HEAT, "heating", "heat|heats|heated|heating|heat up|heating up|warm|warm up|warming|preheat|"
     "preheating|pre heat|pre heated|preheated|pre warm|heater|heaters"),
    (K.COOL, "cooling", "cool|cools|cooled|cooling|cool down|cooling down|precool|precooling|"
     "pre cool|pre cooled|precooled|chill|air conditioning|air con|ac|aircon"),
    (K.ATTRIBUTE, "heating_setpoint", "heating setpoint|heating setpoints|heating set point|"
     "heating set points|heating thermostat|heating thermostats"),
    (K.ATTRIBUTE, "cooling_setpoint", "cooling setpoint|cooling setpoints|cooling set point|"
     "cooling set points|cooling thermostat|cooling thermostats"),
)  # fmt: skip


@cache
def _phrases() -> dict[Phrase, tuple[K, str]]:
    return {tuple(p.split()): (kind, value) for kind, value, words in _WORDS
            for p in words.split("|")}  # fmt: skip


def heating_cooling_phrases(site: Site) -> dict[Phrase, tuple[K, str]]:
    """The words of this file where the site has air units; where it has other rooms, the verb."""
    if site.of_kind("air_unit"):
        return dict(_phrases())
    verbs = ("heat", "heats", "heated", "warm", "warmed", "preheat")
    words: dict[Phrase, tuple[K, str]] = {(verb,): (K.HEAT, "heating") for verb in verbs}
    return words | {("cool",): (K.MOVE, "")} if site.of_kind("zone") else {}


def zones_of(site: Site, assets: tuple[str, ...]) -> tuple[str, ...] | None:
    """The zones that assets stand for: zones themselves, air units for those that they serve; all
    zones when nothing is named; None when something else is named."""
    units = {u.id for u in site.of_kind("air_unit")}
    served = [(z.id, getattr(z, "source", "")) for z in site.of_kind("zone")]
    zones = {zone for zone, source in served if source in units}
    if set(assets) - units - zones:
        return None
    chosen = (z for z, source in served if not assets or z in assets or source in assets)
    return tuple(z for z in chosen if z in zones)


def side_points(site: Site, side: str, assets: tuple[str, ...]) -> tuple[str, ...]:
    """The setpoints of one side (heating or cooling) of the zones that `assets` stand for."""
    known = {s.id for s in site.setpoints}
    points = (f"{z}.{side}_setpoint_degc" for z in zones_of(site, assets) or ())
    return tuple(p for p in points if p in known)


def sides(clause: Clause) -> tuple[str, ...]:
    """What of heating and cooling a clause names, in its order."""
    return tuple(dict.fromkeys(i.value for i in clause.all(K.HEAT, K.COOL)))


def target_side(clause: Clause) -> str:
    """`heat the rooms to 22`: which way the number is meant; empty where the words leave it open.

    Heating to a temperature asks for no less, cooling to it for no more.
    """
    named = sides(clause)
    firm = clause.has(K.NOT, K.OFF, K.ATTRIBUTE)
    return named[0] if len(named) == 1 and not firm else ""


def all_kept_off(context_site: Site, wishes: tuple[KeepOff, ...]) -> str:
    """`cooling` where the wishes keep that side of every zone off; else empty."""
    points = {w.point for w in wishes}
    for side in ("heating", "cooling"):
        every = side_points(context_site, side, ())
        if every and points == set(every):
            return side
    return ""


def split_side(point: str) -> tuple[str, str]:
    """(asset, heating or cooling) of a thermostat's setpoint; (asset, "") of any other point."""
    asset, name = point.split(".", 1)
    side = name.removesuffix("_setpoint_degc")
    return asset, side if side in ("heating", "cooling") else ""


def named_sides(clause: Clause, context: Context, assets: tuple[str, ...]) -> tuple[str, ...]:
    """The setpoints that `no cooling in the south rooms` keeps off; empty for another wish."""
    named = sides(clause)
    units = {u.id for u in context.site.of_kind("air_unit")}
    if not named and assets and set(assets) <= units:
        named = ("heating", "cooling")  # the unit itself stands still, its fan aside
    return tuple(p for side in named for p in side_points(context.site, side, assets))
