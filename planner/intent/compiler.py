"""Compile a sentence into an intent, or into questions. Nothing in it is dropped silently."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from graph.intent import Constraint, Intent, NotUnderstood, Reading, Window
from graph.site import Site
from planner.intent.aims import parse_objective, parse_order
from planner.intent.bands import parse_bound
from planner.intent.clause import Clause, split
from planner.intent.horizon import Horizon, choose_horizon
from planner.intent.items import read_items
from planner.intent.lexicon import Item, K
from planner.intent.moments import WEEKDAYS, Now
from planner.intent.ranking import rank
from planner.intent.restate import constraint_words, restate
from planner.intent.site_limits import contradictions, outside, within_site
from planner.intent.suggestions import not_understood
from planner.intent.switching import parse_off, parse_starts
from planner.intent.tokens import MAX_CHARACTERS
from planner.intent.when import condensed
from planner.intent.wish import Context, Wish, quote

_PARSERS = (parse_order, parse_starts, parse_bound, parse_off, parse_objective)
NO_OBJECTIVE = (
    "What is to be made small: energy cost, energy, CO2 emissions, peak demand or wear; "
    "or is it comfort that matters?"
)


@dataclass(frozen=True)
class Analysis:
    """A reading with its account: each item's fate is used, function or reported."""

    reading: Reading
    fates: tuple[tuple[Item, str], ...]


def compile_intent(text: str, site: Site, now: datetime, actor: str = "operator") -> Reading:
    """Read an operator's sentence.

    Args:
        text: the words; English, see docs/reference/intent-grammar.md.
        site: declares assets, synonyms, units, limits, tariff and time zone.
        now: the moment of speaking, aware.
        actor: who said it.

    Returns:
        A reading. Its intent is None while there are questions. What was not understood is listed
        with its place and why; what was assumed is listed too.
    """
    return analyse(text, site, now, actor).reading


def analyse(text: str, site: Site, now: datetime, actor: str = "operator") -> Analysis:
    """As `compile_intent`, with the account of every item.

    1. Tokens, items, clauses. 2. Each clause by the first parser that explains all of it.
    3. Horizon. 4. Site limits and contradictions. 5. Order of importance. 6. Restatement.
    """
    if len(text) > MAX_CHARACTERS:
        question = f"The text has {len(text)} characters; at most {MAX_CHARACTERS} are read."
        return Analysis(Reading(text=text, intent=None, restatement="", questions=(question,)), ())
    clock = Now(now.astimezone(UTC), site.zone_info)
    items = read_items(text, site, clock)
    context = Context(site, clock, text)
    left: list[NotUnderstood] = []
    reported: set[int] = set()
    for clause in split(items):
        wish, unexplained = _read_clause(clause, context)
        if unexplained:
            left.extend(not_understood(text, unexplained, clause, site))
            reported.update(i.start for i in unexplained)
        context = _with(context, wish)
    reading = _assemble(context, tuple(left), actor)
    return Analysis(reading, tuple((i, _fate(i, reported)) for i in items))


def _fate(item: Item, reported: set[int]) -> str:
    if item.start in reported:
        return "reported"
    return "function" if item.kind in (K.FILLER, K.BREAK) else "used"


def _with(context: Context, wish: Wish) -> Context:
    """Add a wish; a window that stood alone goes to the constraints of the wish before it."""
    last = context.before[-1] if context.before else None
    alone = wish.horizon and not wish.objectives and not wish.constraints
    held = last.constraints if last else ()
    free = bool(held) and all(c.window == Window() for c in held)
    if last is None or wish.horizon is None or not alone or not free or wish.horizon.until:
        return replace(context, before=(*context.before, wish))
    window = wish.horizon.window
    joined = replace(
        last,
        constraints=tuple(c.model_copy(update={"window": window}) for c in held),
        notes=last.notes + wish.notes,
        questions=last.questions + wish.questions,
    )
    return replace(context, before=(*context.before[:-1], joined))


def _read_clause(clause: Clause, context: Context) -> tuple[Wish, list[Item]]:
    """The wish of a clause and the items that nobody explained.

    A clause that is explained in part only is not used: the part might turn its sense around.
    """
    for parser in _PARSERS:
        attempt = Clause(clause.items, clause.opener)
        wish = parser(attempt, context)
        if wish is None:
            continue
        if wish.constraints and attempt.take(K.FIRST):
            wish = replace(wish, foremost=True, order=(wish.assets,))
        unknown = [i for i in attempt.leftover if i.kind is K.UNKNOWN]
        if not attempt.leftover or (wish.questions and not unknown):
            return wish, []
        words = ", ".join(f"“{context.text[i.start : i.end]}”" for i in attempt.leftover)
        question = f"What does {words} mean in {quote(clause, context)}? Say it in other words."
        return Wish(questions=(*wish.questions, question)), attempt.leftover
    if {i.kind for i in clause.content} == {K.TIME}:
        when = clause.when()
        return Wish(horizon=when, questions=when.questions, notes=when.notes), []
    unexplained = clause.content or clause.items
    if all(i.kind in (K.UNKNOWN, K.TIME, K.HARD, K.SOFT, K.TIMES, K.OR) for i in unexplained):
        return Wish(), list(unexplained)
    question = (
        f"I did not understand {quote(clause, context)}: say it in other words or leave it out."
    )
    return Wish(questions=(question,)), list(unexplained)


def _assemble(context: Context, left: tuple[NotUnderstood, ...], actor: str) -> Reading:
    site, wishes = context.site, context.before
    questions = [q for w in wishes for q in w.questions]
    notes = [n for w in wishes for n in w.notes]
    constraints: list[Constraint] = []
    for said_so in (c for w in wishes for c in w.constraints):
        constraint = said_so.model_copy(update={"window": condensed(said_so.window, context.now)})
        cut, said, asked = within_site(constraint, site)
        constraints.append(cut)
        notes.extend(said)
        questions.extend(asked)
    horizon = choose_horizon(wishes, constraints, context.now)
    ranking = rank(wishes, constraints)
    questions += [*horizon.questions, *contradictions(constraints), *ranking.questions]
    questions += [
        f"“{c.text.strip()}” lies outside the planned time: is the time right?"
        for c in constraints
        if not horizon.questions and outside(c, horizon.start, horizon.end)
    ]
    notes += _void(constraints, horizon, site)
    if not any(w.objectives for w in wishes):
        questions.append(NO_OBJECTIVE)
    intent = None
    if not questions:
        intent = Intent(
            text=context.text, actor=actor, objectives=ranking.objectives,
            constraints=tuple(constraints), start=horizon.start, end=horizon.end,
            priority=ranking.priority, lexicographic=ranking.lexicographic,
        )  # fmt: skip
    return Reading(
        text=context.text,
        intent=intent,
        restatement=restate(intent, site) if intent else _so_far(constraints, context),
        not_understood=left,
        questions=tuple(dict.fromkeys(questions)),
        assumptions=tuple(dict.fromkeys((*notes, *horizon.notes))),
    )


def _void(constraints: list[Constraint], horizon: Horizon, site: Site) -> list[str]:
    """Weekday wishes of which no day lies in the plan."""
    return [
        f"“{c.text.strip()}” does not apply: no such day lies in the planned time"
        for c in constraints
        if c.window.days and not _a_day_of(c, horizon, site)
    ]


def _a_day_of(constraint: Constraint, horizon: Horizon, site: Site) -> bool:
    day = horizon.start.astimezone(site.zone_info).date()
    last = horizon.end.astimezone(site.zone_info).date()
    count = min((last - day).days + 1, 7)
    return any(WEEKDAYS[(day.weekday() + k) % 7] in constraint.window.days for k in range(count))


def _so_far(constraints: list[Constraint], context: Context) -> str:
    """What is clear already, while questions are open."""
    parts = [o.text.strip() for w in context.before for o in w.objectives]
    parts += [constraint_words(c, context.site) for c in constraints]
    return "Understood so far: " + "; ".join(dict.fromkeys(parts)) + "." if parts else ""
