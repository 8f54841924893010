"""Clauses that say what to make small, and what matters more."""

from graph.intent import Objective
from planner.intent.clause import Clause
from planner.intent.lexicon import Item, K
from planner.intent.subjects import kind_of
from planner.intent.when import When
from planner.intent.wish import Context, Ranked, Wish, quantity, quote

_LARGER = ("comfort", "reliability", "throughput")  # what is wished large
_REFERENCES = (K.QUANTITY, K.OBJECTIVE, K.SUBJECT, K.SIGNAL)


def parse_order(clause: Clause, context: Context) -> Wish | None:
    """Comfort first, then cost; comfort is more important than cost; prefer X over Y."""
    weighed = _weighed(clause, context)
    if weighed:
        return weighed
    compare = clause.all(K.MORE_IMPORTANT, K.LESS_IMPORTANT)
    prefer, first = clause.has(K.PREFER), clause.has(K.FIRST)
    if clause.has(K.NUMBER, K.RANGE, K.NOT, K.OFF, K.STARTS) or not (compare or prefer or first):
        return None
    if first and clause.has(K.MINIMISE, K.MAXIMISE, K.OBJECTIVE) and not compare:
        return None  # an objective that says that it comes first
    pivot = compare[0].start if compare else _pivot(clause, context)
    references = clause.take(*_REFERENCES)
    left = _references([i for i in references if i.start < pivot], context)
    right = _references([i for i in references if i.start > pivot], context)
    if compare and compare[0].kind is K.LESS_IMPORTANT:
        left, right = right, left
    alone = prefer and not right and not clause.has(K.ABOVE)  # prioritise emissions
    if len(compare) > 1 or not left or ((compare or prefer) and not (right or first or alone)):
        return None
    clause.take(
        K.LOW, K.MORE_IMPORTANT, K.LESS_IMPORTANT, K.PREFER, K.FIRST, K.THEN, K.MINIMISE, K.MAXIMISE
    )
    if prefer:
        clause.take(K.ABOVE)
    when = clause.when()
    named = (*left, *right)
    objectives = tuple(
        Objective(quantity=quantity(n), text=context.text[clause.start : clause.end])
        for n in named
        if isinstance(n, str)
    )
    return Wish(
        objectives=objectives, order=named, compared=bool(right),
        foremost=(first or alone) and not right,
        horizon=when if when != When() else None,
        questions=when.questions, notes=when.notes,
    )  # fmt: skip


def _weighed(clause: Clause, context: Context) -> Wish | None:
    """Cost is twice as important as emissions: weights, not an order."""
    factors = clause.all(K.FACTOR)
    if len(factors) != 1 or clause.has(K.NUMBER, K.RANGE, K.NOT, K.OFF, K.STARTS):
        return None
    named = clause.all(K.QUANTITY, K.OBJECTIVE)
    left = [quantity(i.value) for i in named if i.start < factors[0].start]
    right = [quantity(i.value) for i in named if i.start > factors[0].start]
    if len(left) != 1 or len(right) != 1 or left == right:
        return None
    clause.take(K.FACTOR, K.QUANTITY, K.OBJECTIVE, K.LOW, K.MINIMISE, K.MAXIMISE, K.WEIGHT)
    text = context.text[clause.start : clause.end]
    times = float(factors[0].value)
    pair = ((left[0], max(times, 1.0)), (right[0], max(1.0 / times, 1.0)))
    objectives = tuple(Objective(quantity=q, weight=w, text=text) for q, w in pair)
    return Wish(objectives=objectives, order=tuple(q for q, _ in pair))


def parse_share(clause: Clause, context: Context) -> Wish | None:
    """60 % cost: a weight, where the clause says nothing else."""
    meant = [i for i in clause.content if i.kind is not K.WEIGHT]
    numbers, named = clause.all(K.NUMBER), clause.all(K.QUANTITY)
    if len(meant) != 2 or len(numbers) != 1 or len(named) != 1:
        return None
    share = numbers[0].value.low / 100.0
    if numbers[0].value.unit.name != "percent" or not 0 < share < 1:
        return None
    clause.take(K.NUMBER, K.QUANTITY, K.WEIGHT)
    text = context.text[clause.start : clause.end]
    name = quantity(named[0].value)
    objective = Objective(quantity=name, weight=round(share, 9), text=text)
    return Wish(objectives=(objective,), order=(name,), share=share)


def _pivot(clause: Clause, context: Context) -> float:
    """Where `prefer X over Y` and `prefer X to Y` change sides."""
    over = clause.all(K.ABOVE)
    if over:
        return over[0].start
    to = [i for i in clause.all(K.FILLER) if context.text[i.start : i.end].lower() == "to"]
    return to[-1].start if to and clause.has(K.PREFER) else float("inf")


def _references(items: list[Item], context: Context) -> tuple[Ranked, ...]:
    found: list[Ranked] = []
    for item in items:
        if item.kind in (K.QUANTITY, K.OBJECTIVE):
            found.append(quantity(item.value))
        elif item.kind is K.SIGNAL:
            found.append((item.value.split(".", 1)[0],))
        elif item.value or context.last_assets:
            found.append(item.value or context.last_assets)
    return tuple(dict.fromkeys(found))


def parse_objective(clause: Clause, context: Context) -> Wish | None:
    """Minimise energy cost; as cheap as possible; spare the heat pump."""
    if clause.has(K.OFF, K.RANGE) or not _avoided(clause, context):
        return None
    names = _quantities(clause, context)
    if names is None:
        return None
    text = context.text[clause.start : clause.end]
    if isinstance(names, str):
        clause.take(K.QUANTITY, K.OBJECTIVE, K.MINIMISE, K.MAXIMISE, K.NOT)
        return Wish(questions=(names,))
    weights = _weights(clause)
    clause.take(
        K.MINIMISE,
        K.MAXIMISE,
        K.OBJECTIVE,
        K.QUANTITY,
        K.NOT,
        K.LOW,
        K.KEEP,
        K.SPARE,
        K.THEN,
        K.SOFT,
        K.HARD,
    )
    clause.take(K.OTHERWISE)
    first = bool(clause.take(K.FIRST))
    when = clause.when()
    last = context.before[-1] if context.before else None
    if clause.has(K.THEN) and last and last.objectives and last.horizon and last.horizon.end:
        ask = f"{quote(clause, context)}: next in importance, or later in time?"
        return Wish(questions=(ask,))
    pairs = zip(names, weights + [1.0] * len(names), strict=False)
    objectives = tuple(Objective(quantity=quantity(n), weight=w, text=text) for n, w in pairs)
    questions = when.questions
    if when.daily or when.days:
        questions = (
            *questions,
            f"An objective holds for the whole plan; what is to hold in “{text}”?",
        )
    return Wish(
        objectives=objectives, order=tuple(o.quantity for o in objectives),
        foremost=first, follows=clause.has(K.THEN), horizon=when if when != When() else None,
        questions=questions, notes=when.notes,
    )  # fmt: skip


def _avoided(clause: Clause, context: Context) -> bool:
    """Whether every `not` of the clause is an `avoid` before what is to be made small."""
    return all(
        context.text[i.start : i.end].lower().startswith("avoid")
        and clause.has(K.QUANTITY) and not clause.has(K.NUMBER, K.SPARE, K.STARTS)
        for i in clause.all(K.NOT)
    )  # fmt: skip


def _quantities(clause: Clause, context: Context) -> list[str] | str | None:
    """Names of what to minimise, a question, or None if this is no objective."""
    whole = [i.value for i in clause.all(K.OBJECTIVE)]
    named = [i.value for i in clause.all(K.QUANTITY)]
    down, up = clause.has(K.MINIMISE, K.LOW, K.NOT), clause.has(K.MAXIMISE)
    if clause.has(K.SPARE):
        clause.take(K.SUBJECT)
        return ["wear"] if clause.has(K.SUBJECT) and not named else None
    if clause.has(K.STARTS) and down and not named:
        clause.take(K.STARTS, K.SUBJECT)
        return ["wear"]
    if clause.has(K.IMPORT) and down:
        clause.take(K.IMPORT)
        named = named or ["energy"]
    if whole and not clause.has(K.NUMBER):
        _take_whole_site(clause, context)
        return list(dict.fromkeys([*whole, *named]))
    alone = all(i.kind in (K.QUANTITY, K.THEN) for i in clause.content)
    if not named or not (down or up or context.after_objective or alone):
        return None
    _take_whole_site(clause, context)
    verbless = not (down or up) and context.after_objective and not clause.has(K.THEN)
    if verbless and set(named) & set(_LARGER) and _made_small(context):
        return f"Is {next(n for n in named if n in _LARGER)} to be made larger or smaller?"
    wrong = [
        n
        for n in named
        if (n in _LARGER and down and not up) or (n not in _LARGER and up and not down)
    ]
    if wrong:
        return f"Is {wrong[0]} to be made larger or smaller?"
    return list(dict.fromkeys(named))


def _made_small(context: Context) -> bool:
    """Whether the objective before said to make something small: minimise cost and comfort."""
    said = context.before[-1].objectives[-1].text.lower()
    return any(verb in said for verb in ("minimi", "reduc", "lower", "cut", "decreas"))


def _take_whole_site(clause: Clause, context: Context) -> None:
    """`run the building as cheaply as possible`, `comfortable rooms`: the objective's own place."""
    places = [a for i in clause.all(K.SUBJECT) for a in i.value]
    if not places:
        clause.take(K.SUBJECT)  # make it as cheap as possible
    comfort = any(i.value == "comfort" for i in clause.all(K.OBJECTIVE, K.QUANTITY))
    kinds = {"load", "grid_connection"} | ({"zone"} if comfort else set())
    zones = {z.id for z in context.site.of_kind("zone")}
    if places and all(kind_of(context.site, a) in kinds for a in places):
        if comfort and set(places) & zones and not zones <= set(places):
            return  # the comfort of some rooms only is not what this objective measures
        clause.take(K.SUBJECT)
    clause.take(K.USE)


def _weights(clause: Clause) -> list[float]:
    """`energy cost (weight 2) and emissions`."""
    weights = [i.value.low for i in clause.all(K.NUMBER)]
    if clause.has(K.WEIGHT) and len(weights) == len(clause.all(K.QUANTITY)) and min(weights) > 0:
        clause.take(K.WEIGHT, K.NUMBER)
        return weights
    return []
