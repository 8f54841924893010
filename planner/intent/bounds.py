"""The numbers of a clause: which side they bound, and how strictly."""

from dataclasses import dataclass

from planner.intent.clause import Clause
from planner.intent.heating_cooling import target_side
from planner.intent.lexicon import Item, K
from planner.intent.quantities import NO_UNIT, Amount, Unit, to_unit
from planner.intent.site_limits import reach_words, reachable
from planner.intent.subjects import named_assets, signals_of
from planner.intent.vocabulary import asset_name
from planner.intent.wish import Context, quote
from planner.intent.words import unit_sign

DEFAULT_CHANCE = 0.95
_WAYS = (K.IMPORT, K.EXPORT, K.CHARGE, K.DISCHARGE)
DIRECTIONS = (K.AT_LEAST, K.AT_MOST, K.ABOVE, K.BELOW)


@dataclass(frozen=True)
class Bound:
    """Numbers with their sides. strength: hard, soft, or plain (the words leave it open)."""

    low: float | None
    high: float | None
    unit: Unit
    strength: str
    chance: float = DEFAULT_CHANCE


def read_bound(clause: Clause, context: Context) -> tuple[Bound | None, str]:
    """The bound of a clause; or None and a question, which is empty for an unknown pattern."""
    strength, chance, question = _strength(clause)
    if question:
        return None, f"{question} in {quote(clause, context)}?"
    amounts = clause.all(K.NUMBER, K.RANGE)
    directions = clause.all(*DIRECTIONS)
    low: float | None = None
    high: float | None = None
    unit = next((a.value.unit for a in amounts if a.value.unit.name), NO_UNIT)
    if len(amounts) == 1 and amounts[0].kind is K.RANGE and not directions:
        if clause.has(K.NOT) and not (clause.has(K.OUTSIDE) and len(clause.all(K.NOT)) == 1):
            return None, ""
        clause.take(K.NOT, K.OUTSIDE) if clause.has(K.OUTSIDE) and clause.has(K.NOT) else None
        low, high = amounts[0].value.low, amounts[0].value.high
    elif (
        amounts
        and len(amounts) == len(_distinct(directions))
        and all(a.kind is K.NUMBER for a in amounts)
    ):
        sides = _sides(clause, _distinct(directions))
        if sides is None:
            return None, ""
        for side, item in zip(sides, amounts, strict=True):
            if (low if side == "low" else high) is not None:
                return None, f"Two {side} bounds in {quote(clause, context)}: which one holds?"
            low, high = (item.value.low, high) if side == "low" else (low, item.value.low)
    elif len(amounts) == 1 and not directions:
        low, high = _target(clause, context, amounts[0].value.low)
        if low is high is None:
            return None, _exactly(clause, context, amounts[0].value)
    else:
        return None, ""
    clause.take(K.NUMBER, K.RANGE, *DIRECTIONS)
    if unit.dimension in ("none", "temperature"):
        clause.take(K.HEAT, K.COOL)
    plain = clause.has(K.ABOVE, K.BELOW) and not clause.has(K.NOT, K.HARD)
    if plain and clause.has(K.LET, K.MOVE):
        clause.take(K.SUBJECT, K.SIGNAL, K.ATTRIBUTE, K.TIME, *_WAYS)
        return None, f"{quote(clause, context)} sounds like a permission: what must hold?"
    return Bound(low, high, unit, strength, chance), ""


def _target(clause: Clause, context: Context, value: float) -> tuple[float | None, float | None]:
    """`heat the rooms to 22` bounds them below, `cool to 22` above; nothing else does."""
    side = target_side(clause)
    if not side and is_for_a_moment(clause, context):
        side = "cooling" if clause.has(K.DISCHARGE, K.COOL, K.DOWN) else "heating"
    return (value if side == "heating" else None), (value if side == "cooling" else None)


def is_for_a_moment(clause: Clause, context: Context) -> bool:
    """`22 °C by 7:00`: no less, where nothing could be meant to cool down to it."""
    return any(i.value.at for i in clause.all(K.TIME)) and not context.site.of_kind("air_unit")


def _exactly(clause: Clause, context: Context, amount: Amount) -> str:
    """`keep it at 20` names no band; which one is meant is not ours to guess."""
    clause.take(K.NUMBER, K.SUBJECT, K.SIGNAL, K.ATTRIBUTE, K.TIME, K.HARD, K.SOFT, K.IMPORT)
    number = f"{amount.low:g}"
    unit = f" {unit_sign(amount.unit.name)}" if amount.unit.name else ""
    what = "" if amount.unit.name else f"{number} of what: °C, % or kW? And "
    which = "" if clause.has(K.SUBJECT, K.SIGNAL, K.IMPORT) else "what is meant by it, and "
    if any(s.value == () for s in clause.all(K.SUBJECT)):
        which = "what is “it”, and "
    beyond = _beyond(clause, context, amount)
    text = f"In {quote(clause, context)}: {beyond}{which}{what}which band? "
    if beyond:
        return text.strip()
    return f"{text}Write e.g. at least {number}{unit}, or {number}{unit} ± 1."


def exact_question(clause: Clause, context: Context) -> tuple[None, str]:
    """The question about a clause with one number and no side."""
    amounts = [i.value for i in clause.all(K.NUMBER)]
    return None, _exactly(clause, context, amounts[0])


def is_beyond(clause: Clause, context: Context) -> bool:
    """Whether the clause's one number lies where its signal can never be."""
    amounts = [i.value for i in clause.all(K.NUMBER)]
    return len(amounts) == 1 and bool(_beyond(clause, context, amounts[0]))


def _beyond(clause: Clause, context: Context, amount: Amount) -> str:
    """Names the range where the value cannot be reached at all."""
    assets = named_assets(clause.all(K.SUBJECT, K.SIGNAL))
    if not assets or not amount.unit.name or is_relative(clause, context):
        return ""
    attributes = {i.value for i in clause.all(K.ATTRIBUTE)}
    signals, question = signals_of(context.site, assets, next(iter(attributes), ""), amount.unit)
    if question or len(attributes) > 1:
        return ""
    unit = context.site.signal(signals[0]).unit
    low, high = reachable(context.site, signals[0])
    if low <= to_unit(amount.low, amount.unit, unit) <= high:
        return ""
    name = asset_name(context.site, assets[0])
    return f"the {name} {reach_words(context.site, signals[0])}; "


def is_relative(clause: Clause, context: Context) -> bool:
    """`drop it five degrees`, `raise it by 2 °C`: by how much, not to what."""
    number = clause.all(K.NUMBER)[0]
    words = context.text[clause.start : number.start].lower().split()
    moves = clause.has(K.MOVE, K.UP, K.DOWN, K.MINIMISE, K.LOW)
    return moves and (not words or words[-1] not in ("to", "at", "of", "above", "below", "="))


def _distinct(directions: list[Item]) -> list[Item]:
    """Directions without repetition: `limit the import to at most 40 kW` says one thing twice."""
    kept: list[Item] = []
    for item in directions:
        if not (kept and kept[-1].kind is item.kind is K.AT_MOST):
            kept.append(item)
    return kept


def _sides(clause: Clause, directions: list[Item]) -> list[str] | None:
    """Low or high for each direction; a `not` turns the next above or below around."""
    sides: list[str] = []
    negated = used = 0
    for item in clause.items:
        if item.kind in DIRECTIONS and item not in directions:
            continue
        if item.kind is K.NOT:
            negated += 1
        elif item.kind is K.OR and used:
            negated = 1  # never below 20 or above 24: the `never` holds for both
        elif item.kind in DIRECTIONS:
            low = item.kind in (K.AT_LEAST, K.ABOVE)
            if negated > 1 or (negated and item.kind in (K.AT_LEAST, K.AT_MOST)):
                return None
            sides.append("low" if low != bool(negated) else "high")
            used, negated = negated, 0
    if negated or len(sides) != len(directions):
        return None
    clause.take(K.NOT, K.OR)
    return sides


def _strength(clause: Clause) -> tuple[str, float, str]:
    """hard, soft or plain; the chance of a soft bound; a question where the words clash."""
    nots = [i.value for i in clause.all(K.NOT)]
    hard = bool(clause.take(K.HARD)) or "hard" in nots
    chances = [i.value for i in clause.take(K.CHANCE)]
    soft = bool(clause.take(K.SOFT)) or "soft" in nots or bool(chances)
    if len(chances) > 1 or any(not 0 < c < 1 for c in chances):
        return "", 0.0, "What chance, between 0 and 100 %, is meant"
    if hard and soft:
        return "", 0.0, "Must this hold, or only as far as possible,"
    chance = chances[0] if chances else DEFAULT_CHANCE
    if soft:
        return "soft", chance, ""
    turned = "" in nots and clause.has(K.ABOVE, K.BELOW)
    if hard or turned or clause.has(K.AT_LEAST, K.AT_MOST):
        return "hard", chance, ""
    return "plain", chance, ""
