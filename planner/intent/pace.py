"""Clauses on pace: rate limits (no faster than 2 K/h), least running, standing, holding times."""

from graph.intent import MinimumTime, RateLimit
from graph.signals import Role
from graph.site import Site
from graph.units import convert
from planner.intent.clause import Clause
from planner.intent.lexicon import Item, K
from planner.intent.quantities import Unit
from planner.intent.subjects import CONTROLLED, kind_of, named_assets, signals_of
from planner.intent.targets import antecedent
from planner.intent.vocabulary import asset_name
from planner.intent.when import When
from planner.intent.wish import Context, Wish, quote

_UP = ("rise", "climb", "go up", "drift up", "warm", "heat", "charge")
_DOWN = ("drop", "fall", "sink", "go down", "drift down", "cool", "lower", "decrease", "reduce",
         "discharge")  # fmt: skip


def parse_rate(clause: Clause, context: Context) -> Wish | None:
    """Warm up the rooms no faster than 2 K/h; ramp the grid import by at most 5 kW per minute."""
    per = clause.all(K.PER_TIME)
    numbers = [i.value for i in clause.all(K.NUMBER)]
    if len(per) != 1 or clause.has(K.STARTS, K.TIMES, K.QUANTITY, K.OFF, K.OBJECTIVE):
        return None
    if len(numbers) != 1 or numbers[0].doubt or clause.has(K.RANGE, K.AT_LEAST, K.BELOW):
        return None
    nots, above = clause.has(K.NOT), clause.has(K.ABOVE)
    if nots != above or above == clause.has(K.AT_MOST) or len(clause.all(K.NOT)) > 1:
        return None
    unit = numbers[0].unit
    if unit.dimension in ("energy", "money", "mass", "none"):
        what = "K, kW or %" if unit.dimension == "none" else f"not {unit.name}, but K, kW or %"
        clause.take_known()
        return Wish(questions=(f"In {quote(clause, context)}: how many {what} an hour?",))
    signals, question = _targets(clause, context, unit)
    if question:
        return Wish(questions=(question,))
    if not signals:
        return None
    spec = context.site.signal(signals[0])
    maximum = _per_hour(numbers[0].low, unit, spec.unit) / per[0].value
    direction = _direction(clause, context)
    soft = bool(clause.take(K.SOFT)) or any(i.value == "soft" for i in clause.all(K.NOT))
    clause.take(K.NUMBER, K.PER_TIME, K.AT_MOST, K.NOT, K.ABOVE, K.UP, K.DOWN, K.CHANGE, K.HARD,
                K.MINIMISE, K.HEAT, K.COOL, K.USE, K.CHARGE, K.DISCHARGE, K.IMPORT)  # fmt: skip
    when = clause.when()
    if maximum <= 0:
        return Wish(questions=(f"In {quote(clause, context)}: a rate is above 0. Which one?",))
    limit = RateLimit.model_validate({
        "signals": signals, "maximum": round(maximum, 9), "unit": spec.unit, "hard": not soft,
        "direction": direction, "window": when.window,
        "text": context.text[clause.start : clause.end],
    })  # fmt: skip
    assets = tuple(dict.fromkeys(s.split(".", 1)[0] for s in signals))
    return Wish(constraints=(limit,), assets=assets, questions=when.questions, notes=when.notes)


def _per_hour(value: float, unit: Unit, target: str) -> float:
    """A change in the signal's unit: of a temperature the difference counts."""
    if unit.name in ("degree", "degC", "delta_degC"):
        return value
    if unit.name == "degF":
        return value * 5.0 / 9.0
    return convert(value * unit.scale, unit.name, target)


def _targets(clause: Clause, context: Context, unit: Unit) -> tuple[tuple[str, ...], str]:
    site = context.site
    as_signal = Unit("degC", "temperature") if unit.dimension == "difference" else unit
    items = clause.take(K.SUBJECT, K.SIGNAL)
    exact = tuple(i.value for i in items if i.kind is K.SIGNAL)
    if exact:
        settable = [s for s in exact if site.signal(s).role is Role.SETPOINT]
        ask = (
            f"The rate of {settable[0]} is the plant's own: limit what is measured."
            if settable
            else ""
        )
        return exact, ask
    attribute = next((i.value for i in clause.take(K.ATTRIBUTE)), "")
    if attribute.endswith("setpoint"):
        return (), f"{quote(clause, context)}: limit the rate of what is measured, e.g. the rooms."
    assets = named_assets(items)
    if not assets and clause.has(K.IMPORT):
        assets = tuple(g.id for g in site.of_kind("grid_connection"))
    if not assets and clause.has(K.CHARGE, K.DISCHARGE):
        assets = tuple(b.id for b in site.of_kind("battery"))
    if not assets and as_signal.dimension == "temperature" and not items:
        assets = tuple(z.id for z in site.of_kind("zone"))
    assets = assets or antecedent(context)
    deaf = [a for a in assets if kind_of(site, a) not in CONTROLLED]
    if deaf:
        return (), f"Nothing here controls the {asset_name(site, deaf[0])}: what is meant instead?"
    return signals_of(site, assets, attribute, as_signal) if assets else ((), "")


def _direction(clause: Clause, context: Context) -> str:
    spans = [i for i in clause.items if i.kind not in (K.SUBJECT, K.SIGNAL)]  # the lower tanks
    words = " ".join(context.text[i.start : i.end] for i in spans).lower()
    up = clause.has(K.UP) or any(w in words for w in _UP if w not in ("warm", "heat", "charge"))
    down = clause.has(K.DOWN) or any(w in words for w in _DOWN if w not in ("cool", "discharge"))
    if clause.has(K.HEAT) or clause.has(K.CHARGE):
        up = True
    if clause.has(K.COOL) or clause.has(K.DISCHARGE):
        down = True
    return "both" if up == down else "up" if up else "down"


def parse_minimum_time(clause: Clause, context: Context) -> Wish | None:
    """Run the heat pump for at least 30 minutes at a time; hold each setpoint for an hour."""
    lengths: list[Item] = clause.all(K.DURATION)
    if len(lengths) != 1 or clause.has(K.NUMBER, K.RANGE, K.STARTS, K.TIMES, K.QUANTITY, K.BELOW):
        return None
    state = _state(clause)
    least = clause.has(K.AT_LEAST) or (clause.has(K.NOT) and clause.has(K.CHANGE))
    if clause.has(K.NOT, K.ABOVE) and not clause.has(K.CHANGE):
        return None
    if not state or not least or clause.has(K.AT_MOST):
        return None
    points, question = _points(clause, context, state)
    if question:
        return Wish(questions=(question,))
    if clause.has(K.SOFT):
        clause.take(K.SOFT)
        return Wish(questions=(
            f"A least time is kept always: must {quote(clause, context)} hold, or not at all?",
        ))  # fmt: skip
    clause.take(K.DURATION, K.AT_LEAST, K.RUN_TIME, K.EACH_RUN, K.OFF, K.USE, K.CHANGE, K.HARD,
                K.NOT, K.ABOVE, K.ATTRIBUTE, K.STARTS)  # fmt: skip
    when = clause.when()
    if when != When():
        return Wish(questions=(
            f"A least time holds for the whole plan: what is to hold in {quote(clause, context)}?",
        ))  # fmt: skip
    limit = MinimumTime.model_validate({
        "points": points, "state": state, "minimum_s": lengths[0].value,
        "text": context.text[clause.start : clause.end],
    })  # fmt: skip
    assets = tuple(dict.fromkeys(p.split(".", 1)[0] for p in points))
    return Wish(constraints=(limit,), assets=assets)


def _state(clause: Clause) -> str:
    named = {i.value for i in clause.all(K.RUN_TIME)}
    if len(named) > 1:
        return ""
    if named:
        return str(named.pop())
    if clause.has(K.SIGNAL) and not clause.has(K.OFF, K.USE):
        return "same"
    if clause.has(K.CHANGE) or (clause.has(K.ATTRIBUTE) and not clause.has(K.OFF, K.USE)):
        return "same"
    if clause.has(K.OFF):
        return "off"
    return "on" if clause.has(K.USE, K.EACH_RUN) else ""


def _points(clause: Clause, context: Context, state: str) -> tuple[tuple[str, ...], str]:
    site = context.site
    items = clause.take(K.SUBJECT, K.SIGNAL)
    exact = tuple(i.value for i in items if i.kind is K.SIGNAL)
    known = {s.id for s in site.setpoints}
    assets = named_assets(items) or (antecedent(context) if items else ())
    if state == "same":
        points = tuple(p for p in exact if p in known) or _setpoints(site, assets)
        ask = f"Which setpoints are meant by {quote(clause, context)}?"
        return points, "" if points else ask
    switched = [s.id for s in site.setpoints if s.zero_or_above is not None]
    chosen = tuple(p for p in switched if not assets or p.split(".", 1)[0] in assets)
    if len(chosen) == 1 and len(assets) <= 1:
        return chosen, ""
    names = ", ".join(asset_name(site, p.split(".", 1)[0]) for p in switched) or "nothing here"
    return (
        (),
        f"What has a least time in {quote(clause, context)}? On and off is known of: {names}.",
    )


def _setpoints(site: Site, assets: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(s.id for s in site.setpoints if not assets or s.asset in assets)
