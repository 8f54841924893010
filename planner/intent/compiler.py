"""Compile a sentence into an intent, or into questions. Nothing in it is dropped silently."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from graph.intent import Constraint, Intent, NotUnderstood, Reading, Window
from graph.site import Site
from planner.intent.around import set_aside
from planner.intent.assumed_aim import NO_OBJECTIVE, assumed_aim
from planner.intent.clause import Clause, split
from planner.intent.horizon import Horizon, choose_horizon
from planner.intent.items import items_of, read_tokens
from planner.intent.lexicon import Item, K
from planner.intent.moments import WEEKDAYS, Now
from planner.intent.parsers import read_clause
from planner.intent.ranking import rank
from planner.intent.references import References
from planner.intent.refusals import asked_back, paced_totals, refused_objectives, shares
from planner.intent.relaxations import overrides, relax
from planner.intent.restate import constraint_words, restate
from planner.intent.roles import Pending, otherwise, read_role
from planner.intent.site_limits import (
    contradictions,
    outside,
    refused_constraint,
    unclear_constraints,
)
from planner.intent.suggestions import not_understood
from planner.intent.tokens import MAX_CHARACTERS
from planner.intent.when import condensed
from planner.intent.wish import Context, Wish


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
    written = read_tokens(text, site)
    items = items_of(written, text, site, clock)
    kept, around = set_aside(items, text)
    told = (f"Set aside as said around the wish: {', '.join(around)}",) if around else ()
    context = Context(site, clock, text, slips=(*written.notes, *told))
    left: list[NotUnderstood] = []
    reported: set[int] = set()
    pending: Pending | None = None
    clauses = split(kept)
    spoken_of = References(site)
    for n, clause in enumerate(clauses):
        clause = clauses[n] = spoken_of.resolved(clause, context)
        if clause.role:
            context, pending, unexplained = read_role(clauses, n, context, pending)
            clause = Clause(unexplained) if unexplained else clause
        else:
            pending = pending if pending and pending.goes_on(clause) else None
        if not clause.role:
            wish, unexplained = read_clause(clause, context)
            if pending:
                wish = pending.apply(wish, clause, context)
            else:
                wish = otherwise(clause, wish, context)
            context = _with(context, wish)
        if unexplained:
            left.extend(not_understood(text, unexplained, clause, site))
            reported.update(i.start for i in unexplained)
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


def _assemble(context: Context, left: tuple[NotUnderstood, ...], actor: str) -> Reading:
    site, wishes = context.site, context.before
    questions = [q for w in wishes for q in w.questions]
    refused = [r for w in wishes for r in w.refused] + refused_objectives(wishes, site)
    notes = [*context.slips, *(n for w in wishes for n in w.notes)]
    constraints, permissions = _constraints(context)
    constraints, said, asked = relax(constraints, permissions, site)
    constraints, replaced = overrides(constraints)
    said += replaced
    refused += [r for c in constraints for r in refused_constraint(c, site)]
    questions += [
        *asked_back(context.text),
        *asked,
        *unclear_constraints(constraints),
        *shares(wishes),
    ]
    horizon = choose_horizon(wishes, constraints, context.now)
    aims, assumed = assumed_aim(wishes, constraints, left, site)
    ranking = rank([*wishes, *aims], constraints)
    refused += horizon.refused
    clashes = contradictions(site, constraints, horizon.start, horizon.end)
    questions += [*horizon.questions, *clashes, *ranking.questions]
    questions += [
        f"“{c.text.strip()}” lies outside the planned time: is the time right?"
        for c in constraints
        if not horizon.questions and outside(c, horizon.start, horizon.end)
    ]
    notes += [
        *assumed,
        *said,
        *_void(constraints, horizon, site),
        *paced_totals(constraints, horizon),
    ]
    if not ranking.objectives and not ranking.questions:
        questions.append(NO_OBJECTIVE)
    open_ = tuple(dict.fromkeys([*refused, *questions]))
    intent = None
    if not open_:
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
        questions=open_,
        refused=tuple(dict.fromkeys(refused)),
        assumptions=tuple(dict.fromkeys((*notes, *horizon.notes))),
    )


def _constraints(context: Context) -> tuple[list[Constraint], list[Constraint]]:
    """Every constraint that was said, and those of them that are permissions."""
    found: list[Constraint] = []
    permissions: list[Constraint] = []
    for wish in context.before:
        for said in wish.constraints:
            window = condensed(said.window, context.now)
            found.append(said.model_copy(update={"window": window}))
            permissions += found[-1:] if wish.relaxes else []
    return found, permissions


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
