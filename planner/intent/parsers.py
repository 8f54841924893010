"""The wish of one clause: by the first parser that explains all of it."""

import re
from dataclasses import replace

from planner.intent.aims import parse_objective, parse_order, parse_share
from planner.intent.bands import parse_bound, parse_reserve
from planner.intent.bounds import exact_question, is_beyond, is_relative
from planner.intent.clause import Clause
from planner.intent.lexicon import Item, K
from planner.intent.pace import parse_minimum_time, parse_rate
from planner.intent.relaxations import parse_relaxation
from planner.intent.site_limits import refused_constraint
from planner.intent.switching import parse_off, parse_only, parse_starts
from planner.intent.wish import Context, Wish, quote

_PARSERS = (
    parse_order, parse_minimum_time, parse_starts, parse_rate, parse_only, parse_relaxation,
    parse_reserve,
    parse_share, parse_bound, parse_off, parse_objective,
)  # fmt: skip


_GUARDS = re.compile(
    r"\b(ignor\w*|overrid\w*|bypass\w*|disregard\w*|disabl\w*|suspend\w*|violat\w*|break|lift|"
    r"remov\w*|forget|deactivat\w*|switch off|turn off)\b.*"
    r"\b(limits?|safety|safeguards?|guards?|guardrails?|protections?|interlocks?|alarms?|approvals?|"
    r"watchdog|constraints|rules)\b",
    re.IGNORECASE | re.DOTALL,
)


_NEED_NOT = re.compile(
    r"\b(need not|needn['’]t|no need|(?:do|does|did)(?:n['’]t| not) (?:have|need)|not necessary|"
    r"not (?:required|needed|obliged)|unnecessary|no longer|any ?more)\b",
    re.IGNORECASE,
)


def read_clause(clause: Clause, context: Context) -> tuple[Wish, list[Item]]:
    """The wish of a clause and the items that nobody explained.

    A clause that is explained in part only is not used: the part might turn its sense around.
    """
    said = context.text[clause.start : clause.end]
    if _GUARDS.search(said):
        unknown = [i for i in clause.items if i.kind is K.UNKNOWN]
        ask = f"“{said.strip()}” is refused: limits and guards hold whatever is said. Leave it out."
        return Wish(questions=(ask,), refused=(ask,)), unknown
    if _NEED_NOT.search(said) and clause.has(K.NUMBER, K.RANGE, K.OFF, K.STARTS):
        ask = f"“{said.strip()}” says what need not be: what must hold, and when?"
        return Wish(questions=(ask,)), [i for i in clause.items if i.kind is K.UNKNOWN]
    vague = clause.all(K.VAGUE)
    if vague:
        said = context.text[vague[0].start : vague[0].end]
        ask = f"“{said}” in {quote(clause, context)} is no number: how much, or until when?"
        return Wish(questions=(ask,)), []
    for parser in _PARSERS:
        attempt = Clause(clause.items, clause.opener)
        wish = parser(attempt, context)
        if wish is None:
            continue
        if wish.constraints:
            attempt.take(K.OTHERWISE)
        if wish.constraints and attempt.take(K.FIRST):
            wish = replace(wish, foremost=True, order=(wish.assets,))
        unknown = [i for i in attempt.leftover if i.kind is K.UNKNOWN]
        asks = wish.questions and not wish.inverted
        if not attempt.leftover or (asks and not unknown):
            return wish, []
        words = ", ".join(f"“{context.text[i.start : i.end]}”" for i in attempt.leftover)
        question = f"What does {words} mean in {quote(clause, context)}? Say it in other words."
        by = len(clause.all(K.NUMBER)) == 1 and is_relative(clause, context)
        held = () if by else wish.constraints
        beyond = tuple(r for c in held for r in refused_constraint(c, context.site))
        asked = (*wish.questions, *beyond, question)
        return Wish(questions=asked, refused=(*wish.refused, *beyond)), attempt.leftover
    if {i.kind for i in clause.content} == {K.TIME}:
        when = clause.when()
        return Wish(horizon=when, questions=when.questions, notes=when.notes), []
    unexplained = clause.content or clause.items
    if all(i.kind in (K.UNKNOWN, K.TIME, K.HARD, K.SOFT, K.TIMES, K.OR) for i in unexplained):
        return Wish(), list(unexplained)
    if is_beyond(clause, context):
        # Not understood wholly, but what it names cannot be so: that is what to say.
        _, ask = exact_question(clause, context)
        return Wish(questions=(ask,), refused=(ask,)), list(unexplained)
    question = (
        f"I did not understand {quote(clause, context)}: say it in other words or leave it out."
    )
    return Wish(questions=(question,)), list(unexplained)
