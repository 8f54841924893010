"""Exceptions: except the south rooms, but not on Saturday, except from 12:00 to 13:00."""

from dataclasses import replace

from graph.intent import Band, Constraint, KeepOff, MinimumTime, RateLimit, Window
from planner.intent.clause import Clause
from planner.intent.lexicon import Item, K
from planner.intent.ranking import assets_of
from planner.intent.subjects import named_assets
from planner.intent.vocabulary import asset_name
from planner.intent.when import When, combine, condensed
from planner.intent.wish import Context, quote


def read_exception(clause: Clause, context: Context) -> tuple[Context, tuple[str, ...]]:
    """The context in which the wish before has the exception; questions where it cannot.

    The clause's items that the exception explains are taken.
    """
    clause.take(K.EXCEPT)
    assets = named_assets(clause.take(K.SUBJECT, K.SIGNAL))
    whens, questions = _times(clause)
    at = next((i for i in range(len(context.before) - 1, -1, -1)
               if context.before[i].constraints or context.before[i].objectives), None)  # fmt: skip
    text = quote(clause, context)
    if questions:
        return context, questions
    if at is None or not (assets or whens):
        return context, (f"{text}: an exception to what?",)
    wish = context.before[at]
    if not wish.constraints:
        return context, (
            f"An objective holds for the whole plan and everything in it; what does {text} except?",
        )
    constraints, question = _excepted(wish.constraints, assets, whens, context, text)
    if question:
        return context, (question,)
    notes = tuple(n for w in whens for n in w.notes)
    changed = replace(wish, constraints=constraints, notes=wish.notes + notes)
    return replace(context, before=(*context.before[:at], changed, *context.before[at + 1 :])), ()


def _times(clause: Clause) -> tuple[list[When], tuple[str, ...]]:
    """One exception for each time that an `and` sets apart."""
    groups: list[list[Item]] = [[]]
    for item in clause.items:
        if item.kind is K.FILLER and item.value == "and":
            groups.append([])
        elif item.kind is K.TIME:
            groups[-1].append(item)
    clause.take(K.TIME)
    whens = [combine([i.value for i in group]) for group in groups if group]
    return whens, tuple(q for w in whens for q in w.questions)


def _excepted(
    constraints: tuple[Constraint, ...], assets: tuple[str, ...], whens: list[When],
    context: Context, text: str,
) -> tuple[tuple[Constraint, ...], str]:  # fmt: skip
    windows = tuple(condensed(w.window, context.now) for w in whens)
    if not assets:
        return tuple(_in_part(c, windows) for c in constraints), ""
    spoken = {a for c in constraints for a in assets_of(c)}
    strange = [a for a in assets if a not in spoken]
    if strange or (spoken <= set(assets) and not windows):
        name = asset_name(context.site, (strange or assets)[0])
        why = "does not speak of it" if strange else "speaks of nothing else"
        return (), f"{text}: the wish before {why} (the {name}). What is meant?"
    found: list[Constraint] = []
    for constraint in constraints:
        rest, cut = _divided(constraint, assets)
        whole = bool(assets_of(constraint)) and set(assets_of(constraint)) <= set(assets)
        if rest is constraint and windows and whole:
            rest, cut = None, constraint  # starts and totals are of one machine
        found += [rest] if rest is not None else []
        found += [_in_part(cut, windows)] if cut is not None and windows else []
    return tuple(found), ""


def _in_part(constraint: Constraint, windows: tuple[Window, ...]) -> Constraint:
    exceptions = (*constraint.window.exceptions, *windows)
    window = constraint.window.model_copy(update={"exceptions": exceptions})
    return constraint.model_copy(update={"window": window})


def _divided(
    constraint: Constraint, assets: tuple[str, ...]
) -> tuple[Constraint | None, Constraint | None]:
    """What is left of a constraint without the assets, and what speaks of them only."""
    if isinstance(constraint, Band | RateLimit):
        name, members = "signals", constraint.signals
    elif isinstance(constraint, MinimumTime):
        name, members = "points", constraint.points
    elif isinstance(constraint, KeepOff) and constraint.point.split(".", 1)[0] in assets:
        return None, constraint
    else:
        return constraint, None
    cut = tuple(m for m in members if m.split(".", 1)[0] in assets)
    kept = tuple(m for m in members if m not in cut)
    left = constraint.model_copy(update={name: kept}) if kept else None
    return left, constraint.model_copy(update={name: cut}) if cut else None
