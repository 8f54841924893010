"""Clauses with numbers: bands, one-sided bounds, caps on import and export, totals."""

import re

from graph.intent import Band, TotalLimit
from planner.intent.bounds import DIRECTIONS, Bound, is_beyond, is_for_a_moment, read_bound
from planner.intent.clause import Clause
from planner.intent.heating_cooling import target_side
from planner.intent.lexicon import K
from planner.intent.quantities import Unit, currency_matches, to_unit
from planner.intent.subjects import CONTROLLED, kind_of, named_assets
from planner.intent.targets import find_target
from planner.intent.vocabulary import asset_name
from planner.intent.when import recurring
from planner.intent.wish import Context, Wish, quote
from planner.intent.words import unit_sign

_SUM = re.compile(
    r"\b(in total|total|together|altogether|combined|summed|sum|overall|jointly)\b", re.IGNORECASE
)


def parse_bound(clause: Clause, context: Context) -> Wish | None:
    """A clause that has a number: what it bounds and how strictly."""
    amounts = [i.value for i in clause.all(K.NUMBER, K.RANGE)]
    aim = clause.has(K.MINIMISE, K.MAXIMISE, K.OBJECTIVE, K.WEIGHT)
    if not amounts or (aim and not clause.has(*DIRECTIONS, K.RANGE)):
        return None
    given = clause.take(K.SOURCE)
    if given:
        clause.take_known()
        said = context.text[given[0].start : given[0].end]
        return Wish(questions=(f"Nothing here controls the {said}: what is meant instead?",))
    doubts = [a.doubt for a in amounts if a.doubt]
    if doubts:
        clause.take(K.NUMBER, K.RANGE)
        return Wish(questions=tuple(f"About {quote(clause, context)}: {d}." for d in doubts))
    bound, question = read_bound(clause, context)
    if bound is None:
        if not question:
            return None
        beyond = is_beyond(clause, context)
        return Wish(questions=(question,), refused=(question,) if beyond else ())
    if bound.unit.dimension in ("energy", "money", "mass"):
        return _total(clause, context, bound)
    return _band(clause, context, bound)


def _total(clause: Clause, context: Context, bound: Bound) -> Wish | None:
    """At most so much energy, money or CO2 over a window."""
    quantity = {"energy": "energy", "money": "cost", "mass": "emissions"}[bound.unit.dimension]
    about = {i.value for i in clause.all(K.QUANTITY)}
    assets = named_assets(clause.all(K.SUBJECT, K.SIGNAL))
    signal, question = _metered(context, assets, quantity)
    if question:
        clause.take(K.SUBJECT, K.SIGNAL)
        return Wish(questions=(question,))
    if bound.low is not None or bound.high is None:
        return Wish(questions=(f"A total can only be bounded above: {quote(clause, context)}.",))
    # Money is spent on electricity: "no more than 30 dollars a day on electricity".
    if about - ({quantity, "energy"} if quantity == "cost" else {quantity}):
        return None
    unit, value = _total_unit(bound, context.site.currency)
    if unit is None:
        return Wish(questions=(
            f"{bound.unit.name} is not the site's currency: how much is it in "
            f"{context.site.currency}?",
        ))  # fmt: skip
    clause.take(K.QUANTITY, K.SUBJECT, K.SIGNAL, K.SPEND, K.USE, K.IMPORT)
    daily = bool(clause.take(K.PER_DAY))
    when = clause.when()
    limit = TotalLimit(
        quantity=quantity,
        maximum=value,
        unit=unit,
        daily=daily,
        signal=signal,
        hard=bound.strength != "soft",
        window=when.window,
        text=context.text[clause.start : clause.end],
    )
    return Wish(constraints=(limit,), assets=assets, questions=when.questions, notes=when.notes)


def _metered(context: Context, assets: tuple[str, ...], quantity: str) -> tuple[str | None, str]:
    """The power signal whose energy a total counts; None for the site's; or a question."""
    whole = ("grid_connection", "load")
    site = context.site
    own = [a for a in assets if kind_of(site, a) not in whole]
    if not own:
        return None, ""
    name = asset_name(site, own[0])
    if len(own) > 1 or quantity != "energy":
        return None, "A total can be of the whole site, or of one machine's energy: which is meant?"
    if kind_of(site, own[0]) not in ("heat_pump", "air_unit"):
        return None, (
            f"The energy of the {name} cannot be limited as a total: only that of the whole site, "
            "of a heat pump or of an air unit. What is meant?"
        )
    return f"{own[0]}.power_kw", ""


def parse_reserve(clause: Clause, context: Context) -> Wish | None:
    """Keep 30 % in the battery for an outage; hold 20 kWh in reserve."""
    numbers = [i.value for i in clause.all(K.NUMBER)]
    if not clause.has(K.RESERVE):
        return None
    if len(numbers) != 1 or numbers[0].doubt or clause.has(K.RANGE, K.AT_MOST, K.BELOW, K.NOT):
        return None
    named = named_assets(clause.take(K.SUBJECT, K.SIGNAL))
    batteries = tuple(b for b in context.site.of_kind("battery") if not named or b.id in named)
    if len(batteries) != 1 or len(named) > 1:
        clause.take_known()
        ask = f"A reserve is charge in a battery: in which one, in {quote(clause, context)}?"
        return Wish(questions=(ask,))
    battery, amount = batteries[0], numbers[0]
    notes: tuple[str, ...] = ()
    if amount.unit.dimension == "energy":
        kwh = to_unit(amount.low, amount.unit, "kWh")
        share = round(100.0 * kwh / float(getattr(battery, "capacity_kwh", 0.0)), 9)
        notes = (f"{kwh:g} kWh are {share:g} % of the {asset_name(context.site, battery.id)}",)
    elif amount.unit.dimension == "ratio":
        share = amount.low
    else:
        clause.take_known()
        return Wish(
            questions=(f"How much is the reserve in {quote(clause, context)}: in % or kWh?",)
        )
    soft = bool(clause.take(K.SOFT))
    clause.take(K.NUMBER, K.RESERVE, K.AT_LEAST, K.ABOVE, K.HARD, K.ATTRIBUTE, K.CHARGE, K.USE)
    when = clause.when()
    band = Band(
        signals=(f"{battery.id}.soc_pct",), minimum=share, unit="%", hard=not soft,
        chance=0.95 if soft else None, window=when.window,
        text=context.text[clause.start : clause.end],
    )  # fmt: skip
    return Wish(
        constraints=(band,), assets=(battery.id,), questions=when.questions,
        notes=(*when.notes, *notes),
    )  # fmt: skip


def _total_unit(bound: Bound, currency: str) -> tuple[str | None, float]:
    high = bound.high or 0.0
    if bound.unit.dimension == "money":
        fits = currency_matches(bound.unit, currency)
        return (currency, high * bound.unit.scale) if fits else (None, 0.0)
    unit = "kWh" if bound.unit.dimension == "energy" else "kg"
    return unit, to_unit(high, bound.unit, unit)


def _band(clause: Clause, context: Context, bound: Bound) -> Wish | None:
    signals, sign, question = find_target(clause, context, bound.unit)
    when = recurring(clause.when(), clause.has(K.PER_DAY))
    if clause.has(K.RANGE):
        clause.take(K.CHANGE)  # may vary between 18 and 26
    clause.take(K.PER_DAY, K.USE if clause.has(K.IMPORT) else K.KEEP)
    if question:
        return Wish(questions=(question,))
    if not signals:
        return None
    if len(signals) > 1 and _SUM.search(context.text[clause.start : clause.end]):
        return Wish(questions=(
            f"The sum over several cannot be bounded: is it each, in {quote(clause, context)}?",
        ))  # fmt: skip
    assets = tuple(dict.fromkeys(s.split(".", 1)[0] for s in signals))
    deaf = [a for a in assets if kind_of(context.site, a) not in CONTROLLED]
    if deaf:
        name = asset_name(context.site, deaf[0])
        return Wish(questions=(f"Nothing here controls the {name}: what is meant instead?",))
    spec = context.site.signal(signals[0])
    ends = [
        None if v is None else to_unit(v, bound.unit, spec.unit) for v in (bound.low, bound.high)
    ]
    low, high = ends if sign > 0 else [None if v is None else -v + 0.0 for v in reversed(ends)]
    hard = bound.strength == "hard" or (
        bound.strength == "plain" and None in (low, high) and _is_firm(context, signals)
        and not target_side(clause)  # a wish for warmth is no limit
        and not (spec.unit == "degC" and is_for_a_moment(clause, context))
    )  # fmt: skip
    band = Band(
        signals=signals,
        minimum=low,
        maximum=high,
        unit=spec.unit,
        hard=hard,
        chance=None if hard else bound.chance,
        window=when.window,
        text=context.text[clause.start : clause.end],
    )
    notes = (*when.notes, *_unit_note(bound.unit, spec.unit, clause, context))
    return Wish(constraints=(band,), assets=assets, questions=when.questions, notes=notes)


def _is_firm(context: Context, signals: tuple[str, ...]) -> bool:
    """Plain above and below are hard where the signal is commanded directly or protected."""
    limited = {limit.signal for limit in context.site.limits}
    direct = ("battery", "heat_pump", "grid_connection", "air_unit")
    kinds = {s: kind_of(context.site, s.split(".", 1)[0]) for s in signals}
    set_ = {s.id for s in context.site.setpoints if kinds.get(s.id) == "equipment"}
    return all(s in limited or s in set_ or kinds[s] in direct for s in signals)


def _unit_note(said: Unit, unit: str, clause: Clause, context: Context) -> tuple[str, ...]:
    if said.name and said.name != "degree":
        return ()
    how = "degrees" if said.name else "numbers without a unit"
    return (f"{how} in {quote(clause, context)} are read as {unit_sign(unit)}",)
