"""Conditions on what is forecast: if the price goes above 0.40, unless it is below 5 °C outside."""

from graph.intent import Condition, Window
from graph.signals import SignalSpec
from graph.site import Site
from planner.intent.clause import Clause
from planner.intent.lexicon import K
from planner.intent.quantities import Amount, currency_matches, to_unit
from planner.intent.subjects import kind_of, named_assets, signals_of
from planner.intent.vocabulary import asset_name
from planner.intent.wish import Context, Wish, quote

_OPS = {K.ABOVE: "above", K.BELOW: "below", K.AT_LEAST: "at_least", K.AT_MOST: "at_most"}
_OPPOSITE = {"above": "at_most", "below": "at_least", "at_least": "below", "at_most": "above"}
_FORECAST = ("weather", "pv", "load")  # kinds of which the snapshot has forecasts
_DEAREST = 10.0  # a price so many times the tariff's dearest is not meant

Read = tuple[Condition | None, str, tuple[str, ...]]


def read_condition(clause: Clause, context: Context) -> tuple[Condition | None, Wish]:
    """The condition of a clause that begins with if or unless; None with a wish that asks."""
    clause.take(K.IF, K.UNLESS)
    found, question, notes = _read(clause, context)
    if question:
        return None, Wish(questions=(question,))
    words = [context.text[i.start : i.end] for i in clause.leftover]
    if found is None or words:
        what = f" what does “{words[0]}” mean?" if found is not None and words else ""
        ask = (
            f"About {quote(clause, context)}:{what} A condition names a forecast and a number, "
            "e.g. if the price goes above 0.40, or unless the outdoor temperature is below 5 °C."
        )
        return None, Wish(questions=(ask,))
    return found, Wish(notes=notes)


def _read(clause: Clause, context: Context) -> Read:
    directions = clause.all(*_OPS)
    numbers = [i.value for i in clause.all(K.NUMBER)]
    source, question = _source(clause, context, numbers)
    if question:
        return None, question, ()
    nots = clause.all(K.NOT)
    if not source or len(directions) != 1 or len(numbers) != 1 or len(nots) > 1:
        return None, "", ()
    if numbers[0].doubt:
        return None, f"About {quote(clause, context)}: {numbers[0].doubt}.", ()
    op = _OPS[directions[0].kind]
    op = _OPPOSITE[op] if nots else op
    clause.take(K.NOT, K.NUMBER, K.PER_KWH, K.UP, K.DOWN, *_OPS)
    value, unit, question, notes = _value(source, numbers[0], clause, context)
    if question:
        return None, question, ()
    condition = Condition.model_validate({"source": source, "op": op, "value": value, "unit": unit})
    return condition, "", notes


def _source(clause: Clause, context: Context, numbers: list[Amount]) -> tuple[str, str]:
    """What the condition reads, or a question."""
    site = context.site
    named = {i.value for i in clause.take(K.SOURCE)} | {"outdoor" for _ in clause.take(K.OUTSIDE)}
    exact = [i.value for i in clause.all(K.SIGNAL)]
    assets = named_assets(clause.take(K.SUBJECT, K.SIGNAL))
    if len(exact) == 1 and len(assets) == 1 and kind_of(site, assets[0]) in _FORECAST:
        return (exact[0], "") if not named else ("", "")
    if not assets and not named and any(i.value == "soc" for i in clause.all(K.ATTRIBUTE)):
        assets = tuple(b.id for b in site.of_kind("battery"))
    grams = bool(numbers) and numbers[0].unit.dimension in ("mass", "none")
    if not assets and not named and grams:
        carbon = any(i.value == "emissions" for i in clause.all(K.QUANTITY))
        named = {"carbon"} if carbon and clause.take(K.QUANTITY) else named
    money = bool(numbers) and numbers[0].unit.dimension == "money"
    if not named and not assets and money and clause.take(K.QUANTITY, K.SPEND):
        named = {"import_price"}  # electricity costs more than 40 cents
    if named & {"import_price", "export_price", "carbon"}:
        only = {a for a in assets if kind_of(site, a) != "grid_connection"}
        return ("", "") if len(named) > 1 or only else (named.pop(), "")
    outdoor = bool(assets) and all(kind_of(site, a) == "weather" for a in assets)
    if not assets and named:
        outdoor = named == {"outdoor"}
        kind = {"outdoor": "weather", "pv": "pv"}[named.pop()]
        assets = tuple(a.id for a in site.of_kind(kind))
        if not assets:
            return "", f"This site has no {kind}: what is meant by {quote(clause, context)}?"
    if not assets or not numbers:
        return "", ""
    decided = [a for a in assets if kind_of(site, a) not in _FORECAST]
    if decided:
        name = asset_name(site, decided[0])
        return "", (
            f"{quote(clause, context)} cannot be a condition: the {name} is what the plan itself "
            "decides. A condition can be on a price, the carbon intensity, the weather, PV or load."
        )
    attributes = {i.value for i in clause.take(K.ATTRIBUTE)}
    if outdoor and numbers[0].unit.dimension == "none":
        attributes = attributes or {"temp"}  # below zero outside
    signals, question = signals_of(site, assets, next(iter(attributes), ""), numbers[0].unit)
    return ("", question) if question or len(signals) != 1 else (signals[0], "")


def _value(
    source: str, amount: Amount, clause: Clause, context: Context
) -> tuple[float, str, str, tuple[str, ...]]:
    """The number in the source's unit, that unit, a question, and what was assumed."""
    said, text = amount.unit, quote(clause, context)
    currency = context.site.currency
    if source in ("import_price", "export_price"):
        unit = f"{currency}/kWh"
        if said.dimension == "money" and not currency_matches(said, currency):
            return 0.0, "", f"{said.name} is not the site's currency: how much is it in {unit}?", ()
        if said.dimension not in ("money", "none"):
            return 0.0, "", f"In {text}: how much is it in {unit}?", ()
        value = round(amount.low * said.scale, 9)
        if value > _DEAREST * dearest(context.site):
            known = f"the tariff goes up to {dearest(context.site):g} {unit}"
            return 0.0, "", f"In {text}: is {value:g} {unit} meant? {known.capitalize()}.", ()
        note = f"{amount.low:g} in {text} is read as {unit}"
        return value, unit, "", () if said.dimension == "money" else (note,)
    if source == "carbon":
        if said.dimension not in ("mass", "none"):
            return 0.0, "", f"In {text}: how much is it in g/kWh?", ()
        value = amount.low if said.dimension == "none" else to_unit(amount.low, said, "g")
        note = f"{amount.low:g} in {text} is read as g/kWh"
        return value, "g/kWh", "", () if said.name else (note,)
    spec: SignalSpec = context.site.signal(source)
    note = f"{amount.low:g} in {text} is read as {spec.unit}"
    plain = said.name in ("", "degree")
    return to_unit(amount.low, said, spec.unit), spec.unit, "", (note,) if plain else ()


def dearest(site: Site) -> float:
    """The dearest import price of the tariff."""
    return max(p.price for p in site.tariff.import_periods)


def on_condition(window: Window, condition: Condition, unless: bool) -> Window | None:
    """`window` where the condition holds (or does not); None where it has another condition."""
    if unless:
        exception = Window(condition=condition)
        return window.model_copy(update={"exceptions": (*window.exceptions, exception)})
    if window.condition is not None:
        return None
    return window.model_copy(update={"condition": condition})
