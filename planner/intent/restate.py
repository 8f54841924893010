"""An intent in plain words, with local times. What is written here compiles to the same again."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby, pairwise

from graph.intent import (
    Band,
    Constraint,
    Intent,
    KeepOff,
    MinimumTime,
    Objective,
    RateLimit,
    StartLimit,
    TotalLimit,
)
from graph.site import Site
from planner.intent.heating_cooling import all_kept_off, split_side
from planner.intent.quantities import Unit
from planner.intent.ranking import assets_of
from planner.intent.subjects import kind_of, signals_of
from planner.intent.vocabulary import asset_name
from planner.intent.words import condition_words, instant, number, unit_sign, window_words

_QUANTITIES = {
    "cost": "minimise energy cost", "energy": "minimise grid energy",
    "emissions": "minimise CO2 emissions", "peak": "minimise peak demand",
    "comfort": "maximise comfort", "wear": "minimise wear",
    "reliability": "maximise reliability", "throughput": "maximise throughput",
    "penalty": "minimise SLA penalties",
}  # fmt: skip
_TOTALS = {"cost": "spend at most {}", "energy": "use at most {} from the grid",
           "emissions": "emit at most {} CO2"}  # fmt: skip


def restate(intent: Intent, site: Site) -> str:
    """The intent in plain words, in local time; each constraint says whether it is hard or soft."""
    aims = _objectives(intent.objectives, intent.lexicographic)
    parts = [aims, *_constraints(intent.constraints, site)]
    parts += _importance(intent, site)
    return f"{horizon_words(intent.start, intent.end, site)}: {'; '.join(parts)}."


def horizon_words(start: datetime, end: datetime, site: Site) -> str:
    """From ... until ... (zone); the end's year only where it is another."""
    zone = site.zone_info
    new_year = start.astimezone(zone).year != end.astimezone(zone).year
    until = instant(end, zone, year=new_year)
    return f"From {instant(start, zone)} until {until} ({site.time_zone})"


def _objectives(objectives: Sequence[Objective], lexicographic: bool) -> str:
    words = []
    weighted = len({o.weight for o in objectives}) > 1
    for objective in objectives:
        weight = f" weight {number(objective.weight)}" if weighted else ""
        words.append(_QUANTITIES[objective.quantity] + weight)
    if lexicographic and len(words) > 1:
        return f"{words[0]} first, then " + ", then ".join(words[1:])
    return " and ".join(words)


def constraint_words(constraint: Constraint, site: Site) -> str:
    """One constraint, with its window and whether it is hard or soft."""
    kind = "(hard)" if constraint.hard else "(soft)"
    kind += condition_words(constraint.window, site.zone_info)
    match constraint:
        case Band():
            return f"{_band(constraint, site)} {kind}"
        case RateLimit():
            text = _rate(constraint)
        case MinimumTime():
            text = _stay(constraint, site)
        case StartLimit():
            name = asset_name(site, constraint.point.split(".", 1)[0])
            text = f"at most {constraint.maximum} {name} starts a day"
        case TotalLimit():
            unit = unit_sign(constraint.unit)
            text = _TOTALS[constraint.quantity].format(f"{number(constraint.maximum)} {unit}")
            if constraint.signal:
                name = asset_name(site, constraint.signal.split(".", 1)[0])
                text = f"let the {name} use at most {number(constraint.maximum)} {unit}"
            text += " a day" if constraint.daily else ""
        case KeepOff():
            text = f"keep {kept_off(site, (constraint,))} off"
    every_day = not isinstance(constraint, TotalLimit)
    return f"{text}{window_words(constraint.window, site.zone_info, every_day)} {kind}"


def _rate(limit: RateLimit) -> str:
    verb = {"both": "change", "up": "ramp up", "down": "ramp down"}[limit.direction]
    unit = "K" if limit.unit == "degC" else unit_sign(limit.unit)
    return f"{verb} {' and '.join(limit.signals)} by at most {number(limit.maximum)} {unit} an hour"


def _stay(limit: MinimumTime, site: Site) -> str:
    minutes = f"at least {number(limit.minimum_s / 60)} minutes at a time"
    names = " and ".join(limit.points)
    if limit.state == "same":
        return f"hold {names} for {minutes}"
    name = asset_name(site, limit.points[0].split(".", 1)[0])
    if limit.state == "on":
        return f"run the {name} for {minutes}"
    return f"keep the {name} off for {minutes}"


def _constraints(constraints: Sequence[Constraint], site: Site) -> list[str]:
    """One entry a constraint; neighbours that keep one side of several rooms off are said at
    once."""
    parts: list[str] = []
    for _, group in groupby(constraints, key=_together):
        alike = list(group)
        words = [constraint_words(c, site) for c in alike]
        off = tuple(c for c in alike if isinstance(c, KeepOff))
        if len(off) > 1 and len(off) == len(alike):
            one, all_of_them = kept_off(site, off[:1]), kept_off(site, off)
            words = [words[0].replace(f"keep {one} off", f"keep {all_of_them} off", 1)]
        parts += words
    return parts


def _together(constraint: Constraint) -> tuple[object, ...]:
    if isinstance(constraint, KeepOff) and split_side(constraint.point)[1]:
        return ("off", split_side(constraint.point)[1], constraint.hard, constraint.window)
    return ("alone", id(constraint))


def kept_off(site: Site, wishes: tuple[KeepOff, ...]) -> str:
    """What stays off: an asset, or heating or cooling of some rooms or of all."""
    assets = [split_side(w.point)[0] for w in wishes]
    names = " and ".join(f"the {asset_name(site, a)}" for a in assets)
    side = split_side(wishes[0].point)[1]
    if not side:
        return names
    return f"the {side}" if all_kept_off(site, wishes) else f"the {side} of {names}"


def _band(band: Band, site: Site) -> str:
    low, high, unit = band.minimum, band.maximum, unit_sign(band.unit)
    when = window_words(band.window, site.zone_info, True)
    if not band.hard:
        share = Decimal(repr(band.chance or 0.95)) * 100
        when += f" in at least {share.normalize():f} % of cases"
    flow = _flow(band, site)
    if flow:
        return f"{flow}{when}"
    names = " and ".join(_names(band, site))
    if low is not None and high is not None:
        always = "always " if band.hard else ""
        return f"{always}keep {names} between {number(low)} and {number(high)} {unit}{when}"
    way, value = ("below", low) if low is not None else ("above", high)
    verb = "fall" if low is not None else "rise"
    if band.hard:
        return f"never let {names} {verb} {way} {number(value or 0.0)} {unit}{when}"
    way = "above" if way == "below" else "below"
    return f"keep {names} {way} {number(value or 0.0)} {unit}{when}"


def _flow(band: Band, site: Site) -> str:
    """Import and export caps in the words that people use."""
    grids = [f"{g.id}.power_kw" for g in site.of_kind("grid_connection")]
    if len(grids) != 1 or band.signals != (grids[0],):
        return ""
    if band.minimum is None and band.maximum is not None and band.maximum >= 0:
        return f"import at most {number(band.maximum)} kW from the grid"
    if band.maximum is None and band.minimum is not None and band.minimum <= 0:
        return f"export at most {number(0.0 - band.minimum)} kW to the grid"
    return ""


def _names(band: Band, site: Site) -> list[str]:
    """What to call each signal: its asset where the unit then chooses the signal, else its id."""
    names = []
    for signal in band.signals:
        asset = signal.split(".", 1)[0]
        dimension = {"degC": "temperature", "kW": "power", "%": "ratio", "percent": "ratio",
                     "cm": "length", "mm": "length", "V": "voltage"}  # fmt: skip
        unit = Unit("percent" if band.unit == "%" else band.unit, dimension.get(band.unit, ""))
        found, question = signals_of(site, (asset,), "", unit)
        one_way = kind_of(site, asset) in ("heat_pump", "air_unit")
        signed = unit.dimension == "power" and not one_way
        plain = not question and found == (signal,) and not signed
        names.append(f"the {asset_name(site, asset)}" if plain else signal)
    return names


def _importance(intent: Intent, site: Site) -> list[str]:
    """The order of the constraints by the assets that they speak of."""
    order: dict[str, None] = {}
    for index in intent.priority:
        order.update(dict.fromkeys(assets_of(intent.constraints[index])[:1]))
    names = [asset_name(site, a) for a in order]
    return [f"the {a} ahead of the {b}" for a, b in pairwise(names)]
