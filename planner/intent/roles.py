"""Clauses that say when, or for what, another one holds: if, unless, except."""

from dataclasses import dataclass, replace

from graph.intent import Condition, Constraint, Window
from planner.intent.clause import Clause
from planner.intent.conditions import on_condition, read_condition
from planner.intent.exceptions import read_exception
from planner.intent.lexicon import Item, K
from planner.intent.parsers import read_clause
from planner.intent.subjects import named_assets
from planner.intent.wish import Context, Wish, quote

_LEADS_TO = ("", ",", "then", ":")  # a wish that so follows a condition is what it is for


@dataclass
class Pending:
    """A condition that waits for its wish, and goes on over wishes joined by `and`."""

    condition: Condition | None
    unless: bool
    text: str
    used: bool = False

    def goes_on(self, clause: Clause) -> bool:
        """Whether the clause belongs to the condition."""
        return not self.used or clause.opener == "and"

    def apply(self, wish: Wish, clause: Clause, context: Context) -> Wish:
        """The wish on the condition."""
        first, self.used = not self.used, True
        if self.condition is None:
            return wish
        changed = conditional(wish, self.condition, self.unless, self.text)
        if first or not wish.constraints:
            return changed
        note = f"{quote(clause, context)} is read as holding {self.text} too"
        return replace(changed, notes=(*changed.notes, note))


def conditional(wish: Wish, condition: Condition, unless: bool, text: str) -> Wish:
    """A wish whose constraints hold on a condition only, or not on it."""
    if wish.objectives:
        ask = f"An objective holds for the whole plan: what is to hold {text}?"
        return replace(wish, questions=(*wish.questions, ask))
    found: list[Constraint] = []
    if wish.inverted:  # run it only if ...: off unless ...
        wish, unless = replace(wish, questions=wish.questions[:-1], inverted=False), not unless
    for constraint in wish.constraints:
        window = on_condition(constraint.window, condition, unless)
        if window is None:
            ask = f"{text}: only one condition can be kept for a wish. Which one holds?"
            return replace(wish, questions=(*wish.questions, ask))
        found.append(constraint.model_copy(update={"window": window}))
    if not found and not wish.questions:
        ask = f"What is to hold {text}?"
        return replace(wish, questions=(ask,))
    return replace(wish, constraints=tuple(found))


def read_role(
    clauses: list[Clause], n: int, context: Context, pending: Pending | None
) -> tuple[Context, Pending | None, list[Item]]:
    """What clause `n` does to the wish before it or to the one that follows.

    Returns:
        The context, a condition that waits, and the items that nobody explained.
    """
    clause = clauses[n]
    if clause.role == "except":
        return _except(clause, context, pending)
    condition, wish = read_condition(clause, context)
    text = quote(clause, context)
    unexplained = [i for i in clause.items if i.kind is K.UNKNOWN]
    context = replace(context, before=(*context.before, wish)) if _says(wish) else context
    following = clauses[n + 1] if n + 1 < len(clauses) else None
    leads = following is not None and not following.role and following.opener in _LEADS_TO
    has_before = any(w.constraints or w.objectives for w in context.before)
    begins = (
        not has_before
        or clause.opener not in ("", ",")
        or (clause.role == "if" and clause.opener == ",")
    )
    waits = Pending(condition, clause.role == "unless", text)
    if leads and begins and clause.opener != "":
        return context, waits, unexplained
    if leads and not has_before:
        return context, waits, unexplained
    if condition is None:
        return context, pending, unexplained
    unless = clause.role == "unless"
    context = _to_wish_before(context, condition, unless, text)
    turned = following is not None and _turns(following, unless)
    waiting = Pending(condition, not unless, f"where not {text}") if turned else pending
    return context, waiting, unexplained


def _turns(following: Clause, unless: bool) -> bool:
    """Whether what follows is for the other case: X if C, otherwise Y; X unless C, then Y."""
    first = following.content[0].kind if following.content else K.FILLER
    then = any(i.kind is K.THEN for i in following.items[:2])
    return first is K.OTHERWISE or (unless and then and not following.has(K.QUANTITY, K.OBJECTIVE))


def otherwise(clause: Clause, wish: Wish, context: Context) -> Wish:
    """`rooms 20-23 from 8 to 18, otherwise 16-26`: outside the window of the wish before."""
    if not clause.has(K.OTHERWISE) or not wish.constraints:
        return wish
    held = [c.window for w in context.before[-1:] for c in w.constraints]
    free = all(c.window == Window() for c in wish.constraints)
    if not held or held[0] == Window() or len(set(map(str, held))) > 1 or not free:
        ask = f"Otherwise than when, in {quote(clause, context)}?"
        return replace(wish, questions=(*wish.questions, ask))
    window = Window(exceptions=(held[0],))
    found = tuple(c.model_copy(update={"window": window}) for c in wish.constraints)
    return replace(wish, constraints=found)


def _says(wish: Wish) -> bool:
    return bool(wish.questions or wish.notes)


def _to_wish_before(context: Context, condition: Condition, unless: bool, text: str) -> Context:
    at = next((i for i in range(len(context.before) - 1, -1, -1)
               if context.before[i].constraints or context.before[i].objectives), None)  # fmt: skip
    if at is None:
        open_ = any(w.questions for w in context.before)
        wish = Wish(questions=() if open_ else (f"What is to hold {text}?",))
        return replace(context, before=(*context.before, wish))
    wish = context.before[at]
    changed = conditional(wish, condition, unless, text)
    if any(w.constraints for w in context.before[:at]) and wish.constraints:
        said = wish.constraints[0].text.strip()
        note = f"{text} is read as belonging to “{said}” only"
        changed = replace(changed, notes=(*changed.notes, note))
    return replace(context, before=(*context.before[:at], changed, *context.before[at + 1 :]))


def _except(
    clause: Clause, context: Context, pending: Pending | None
) -> tuple[Context, Pending | None, list[Item]]:
    """An exception; where it has a number of its own, that is a wish about what is excepted."""
    meant = Clause(list(clause.items), clause.opener, role="except")
    if clause.has(K.NUMBER, K.RANGE):
        only = [i for i in clause.items if i.kind in (K.EXCEPT, K.SUBJECT, K.SIGNAL)]
        meant = Clause(only, clause.opener, role="except")
    context, questions = read_exception(meant, context)
    meant.take(K.PER_DAY, K.HEAT, K.COOL)
    unknown = [i for i in clause.items if i.kind is K.UNKNOWN]
    if questions:
        before = (*context.before, Wish(questions=questions))
        return replace(context, before=before), pending, unknown
    named = named_assets(clause.all(K.SUBJECT, K.SIGNAL))
    if named and not clause.has(K.NUMBER, K.RANGE):  # `they` in what follows are the excepted ones
        context = replace(context, before=(*context.before, Wish(assets=named)))
    if meant is not clause and clause.has(K.NUMBER, K.RANGE):
        rest = Clause([i for i in clause.items if i.kind is not K.EXCEPT], clause.opener)
        wish, unexplained = read_clause(rest, context)
        return replace(context, before=(*context.before, wish)), pending, unexplained
    words = meant.leftover
    if words:
        said = ", ".join(f"“{context.text[i.start : i.end]}”" for i in words)
        ask = f"What does {said} mean in {quote(clause, context)}? Say it in other words."
        return replace(context, before=(*context.before, Wish(questions=(ask,)))), pending, words
    return context, pending, []
