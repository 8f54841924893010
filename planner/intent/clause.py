"""Clauses: a sentence is cut where one wish ends and the next begins."""

from dataclasses import dataclass, field, replace

from planner.intent.lexicon import Item, K
from planner.intent.when import When, combine

_AMOUNTS = (K.NUMBER, K.RANGE)
_OPENERS = (K.MINIMISE, K.MAXIMISE, K.OBJECTIVE, K.KEEP, K.NOT, K.SPARE, K.THEN, K.PREFER)
_HEADS = (K.NOT, K.OFF, K.STARTS, K.MINIMISE, K.SPARE, *_AMOUNTS)
_ROLES = {K.IF: "if", K.UNLESS: "unless", K.EXCEPT: "except"}
_EXCEPTED = (K.SUBJECT, K.SIGNAL, K.TIME, K.PER_DAY, K.UNKNOWN, K.HEAT, K.COOL)
_AFTER_CONDITION = (
    K.LET, K.KEEP, K.NOT, K.OFF, K.SUBJECT, K.THEN, K.MINIMISE, K.MAXIMISE, K.OBJECTIVE, K.USE,
    K.IMPORT, K.EXPORT, K.CHARGE, K.DISCHARGE, K.SPARE, K.HEAT, K.COOL, K.UP, K.DOWN, K.AT_MOST,
)  # fmt: skip
# A clause of only these is the topic of the next one.
_TOPIC = {
    K.SUBJECT, K.SIGNAL, K.ATTRIBUTE, K.CHARGE, K.RESERVE, K.EACH_RUN,
    K.DISCHARGE, K.IMPORT, K.EXPORT, K.HARD, K.SOFT,
}  # fmt: skip
# Items that may stand anywhere in a wish without changing it.
_BOUNDS = (K.AT_LEAST, K.AT_MOST, K.ABOVE, K.BELOW)
_STOPS = (".", ";", "!", "?", "\n")
LIGHT = (K.FILLER, K.KEEP, K.THEN, K.LET, K.MOVE)


@dataclass
class Clause:
    """The items of one wish. Parsers take the items that they explain; the rest is reported."""

    items: list[Item]
    opener: str = ""  # the break before it: "," "and" "." ...
    role: str = ""  # if, unless or except: it says when, or for what, another clause holds
    taken: set[int] = field(default_factory=set)

    @property
    def start(self) -> int:
        """First character."""
        return min(i.start for i in self.items)

    @property
    def end(self) -> int:
        """One past the last character."""
        return max(i.end for i in self.items)

    def has(self, *kinds: K) -> bool:
        """Whether an item of these kinds is there."""
        return any(i.kind in kinds for i in self.items)

    def all(self, *kinds: K) -> list[Item]:
        """The items of these kinds, in order; none is taken."""
        return [i for i in self.items if i.kind in kinds]

    def take(self, *kinds: K) -> list[Item]:
        """The items of these kinds, in order, now explained."""
        found = [(n, i) for n, i in enumerate(self.items) if i.kind in kinds]
        self.taken.update(n for n, _ in found)
        return [i for _, i in found]

    def take_known(self) -> None:
        """Everything but words that nobody knows: a question about the clause explains it."""
        self.take(*(i.kind for i in self.items if i.kind is not K.UNKNOWN))

    def when(self) -> When:
        """All times of the clause in one, now explained."""
        return combine([i.value for i in self.take(K.TIME)])

    @property
    def leftover(self) -> list[Item]:
        """Items that carry meaning and that nobody explained."""
        return [
            i for n, i in enumerate(self.items)
            if n not in self.taken and (i.kind not in LIGHT or i.value == "rank")
        ]  # fmt: skip

    @property
    def content(self) -> list[Item]:
        """Items that carry meaning."""
        return [i for i in self.items if i.kind not in LIGHT]


def split(items: list[Item]) -> list[Clause]:
    """Cut at punctuation, `and`, `but`, ... and where a new imperative begins."""
    clauses: list[Clause] = []
    current: list[Item] = []
    opener = ""
    for n, plain in enumerate(items):
        item = _turned(plain, items[n + 1 :])
        if item.kind is K.BREAK and _more_times(current, items[n + 1 :], item):
            current.append(replace(item, kind=K.FILLER, value="and"))
            continue
        if item.kind is K.BREAK and not _joins_subjects(current, items[n + 1 :], item):
            _close(clauses, current, opener)
            current, opener = [], str(item.value or "and")
            continue
        if item.kind in _ROLES or _condition_ends(current, item):
            if any(i.kind is not K.FILLER for i in current):
                _close(clauses, current, opener)
                opener = "" if item.kind in _ROLES else "then"
            current = []
            if item.kind is K.THEN:
                continue
        if item.kind in _OPENERS and _complete(current, item):
            _close(clauses, current, opener)
            current, opener = [], ""
        # A joining `and` stays in the clause, as a function word.
        current.append(replace(item, kind=K.FILLER) if item.kind is K.BREAK else item)
    _close(clauses, current, opener)
    return _join_halves(_carry_times(_join_times(clauses)))


def _join_times(clauses: list[Clause]) -> list[Clause]:
    """`..., 07-19 h, Mon-Fri`: times that stand beside each other are one."""
    found: list[Clause] = []
    for clause in clauses:
        last = found[-1] if found else None
        pair = last is not None and not (last.role or clause.role) and clause.opener == ","
        if last is not None and pair and all(_mere_time(c) for c in (last, clause)):
            found[-1] = Clause([*last.items, *clause.items], last.opener)
        else:
            found.append(clause)
    return found


def _mere_time(clause: Clause) -> bool:
    times = clause.all(K.TIME)
    return {i.kind for i in clause.content} == {K.TIME} and not any(i.value.until for i in times)


def _carry_times(clauses: list[Clause]) -> list[Clause]:
    """`tomorrow if the price is above 0.40 ...`: a time before a condition is its wish's."""
    found: list[Clause] = []
    carried: list[Item] = []
    for n, clause in enumerate(clauses):
        after = clauses[n + 1] if n + 1 < len(clauses) else None
        times = {i.kind for i in clause.content} == {K.TIME}
        leads = after is not None and after.role in ("if", "unless") and not clause.role
        bounded = any(i.value.until for i in clause.all(K.TIME))
        if times and leads and after is not None and not bounded:
            carried += clause.items
            clauses[n + 1] = replace(after, opener=clause.opener or ".")
            continue
        if carried and not clause.role:
            clause, carried = replace(clause, items=[*clause.items, *carried]), []
        found.append(clause)
    return [*found, Clause(carried)] if carried else found


def _close(clauses: list[Clause], items: list[Item], opener: str) -> None:
    if any(i.kind is not K.FILLER for i in items):
        role = next((_ROLES[i.kind] for i in items if i.kind in _ROLES), "")
        clauses.append(Clause(list(items), opener, role=role))


def _turned(item: Item, after: list[Item]) -> Item:
    """`while the price` begins a condition; `but not below 20` is no exception."""
    following = [i.kind for i in after if i.kind is not K.FILLER]
    if item.kind is K.BREAK and item.value == "while" and following[:1] == [K.SOURCE]:
        return replace(item, kind=K.IF)
    if item.kind is K.EXCEPT and following[:1] and following[0] not in _EXCEPTED:
        return replace(item, kind=K.NOT, value="")
    return item


def _more_times(current: list[Item], after: list[Item], mark: Item) -> bool:
    """Whether `and` stands between two times of an exception: except at night and on weekends."""
    meant = [i for i in current if i.kind is not K.FILLER]
    following = [i.kind for i in after if i.kind is not K.FILLER]
    joins = mark.value is None and following[:1] == [K.TIME]
    ends = len(following) < 2 or following[1] in (K.BREAK, *_ROLES)
    return joins and ends and bool(meant) and meant[0].kind is K.EXCEPT


def _condition_ends(current: list[Item], item: Item) -> bool:
    """Whether a condition has its number and what follows is what it is for."""
    kinds = [i.kind for i in current if i.kind is not K.FILLER]
    has_number = K.NUMBER in kinds and kinds[0] in (K.IF, K.UNLESS)
    return has_number and item.kind in _AFTER_CONDITION


def _complete(current: list[Item], item: Item) -> bool:
    kinds = {i.kind for i in current}
    if item.kind is K.THEN:
        return item.value is None and bool(kinds - {K.FILLER})
    objective = K.OBJECTIVE in kinds or (
        K.QUANTITY in kinds and bool(kinds & {K.MINIMISE, K.MAXIMISE})
    )
    bound = bool(kinds & set(_AMOUNTS)) and bool(
        kinds & {K.SUBJECT, K.SIGNAL, K.AT_MOST, K.AT_LEAST}
    )
    return objective or bound


def _joins_subjects(before: list[Item], after: list[Item], mark: Item) -> bool:
    """Whether `and` stands inside a list of assets: the north and the south rooms."""
    left = [i for i in before if i.kind is not K.FILLER]
    right = [i for i in after if i.kind is not K.FILLER]
    if mark.value in (",", ";", ".", ":", "!", "?", "\n") or not left or not right:
        return False
    if left[-1].kind not in (K.SUBJECT, K.SIGNAL) or right[0].kind not in (K.SUBJECT, K.SIGNAL):
        return False
    ends = len(right) == 1 or right[1].kind in (K.BREAK, K.TIME, K.OFF)
    # `don't run A` is a wish of its own; `never let A` waits for what A must not do.
    heads = {i.kind for i in left} & set(_HEADS)
    if any(i.kind is K.LET for i in left):
        heads.discard(K.NOT)
    return ends or not heads


def _join_halves(clauses: list[Clause]) -> list[Clause]:
    """Rejoin what a comma tore apart: `the battery, at least 20 %`; `tonight, no heat pump`."""
    joined: list[Clause] = []
    for n, clause in enumerate(clauses):
        kinds = {i.kind for i in clause.content}
        # A time behind a comma and before a full stop belongs to what went before it.
        trailing = len(joined) > 1 and joined[-1].opener == "," and clause.opener in _STOPS
        plain = joined and not joined[-1].role and not clause.role and not trailing
        after = clauses[n + 1].opener if n + 1 < len(clauses) else "."
        behind = _belongs(joined[-1], clause, after) if joined else False
        if plain and (_needs_more(joined[-1], kinds) or behind):
            joined[-1] = Clause([*joined[-1].items, *clause.items], joined[-1].opener)
        else:
            joined.append(clause)
    return joined


def _belongs(first: Clause, clause: Clause, after: str) -> bool:
    """`at most 48 °C, the hot water tank`: what a bound is of, behind it; `..., every day`."""
    kinds = {i.kind for i in clause.content}
    have = {i.kind for i in first.content}
    if clause.opener == "," and kinds and kinds <= {K.HARD, K.SOFT}:
        return bool(have & {*_AMOUNTS, K.OFF})
    if clause.opener == "," and kinds and kinds <= {*_TOPIC, K.LET, K.HARD, K.SOFT, K.ATTRIBUTE}:
        named = bool(kinds & {K.SUBJECT, K.SIGNAL})
        bound = bool(have & set(_AMOUNTS)) and bool(have & set(_BOUNDS))
        bound = bound or K.DURATION in have
        return named and bound and not have & {K.SUBJECT, K.SIGNAL, *_ROLES}
    if kinds == {K.TIME} and clause.opener == "," and after in _STOPS:
        times = [i.value for c in (first, clause) for i in c.all(K.TIME)]
        own = first.all(K.TIME)
        fits = not any("Two times" in q for q in combine(times).questions)
        open_ = any(t.until for t in times)
        return bool(own) and fits and not open_ and bool(have & {K.OFF, *_AMOUNTS})
    recurs = kinds == {K.PER_DAY} or (
        kinds == {K.PER_DAY, K.TIME} and all(i.value == type(i.value)() for i in clause.all(K.TIME))
    )
    wish = bool(have & {*_AMOUNTS, K.OFF, K.RUN_TIME}) and K.PER_DAY not in have
    return recurs and wish


def _needs_more(first: Clause, kinds: set[K]) -> bool:
    have = {i.kind for i in first.content}
    amount = bool(kinds & set(_AMOUNTS))
    amount = amount or K.DURATION in kinds
    if have and have <= {K.HARD, K.SOFT}:
        return bool(kinds)  # if possible, ...
    if have and have <= _TOPIC:
        return amount and not kinds & {K.SUBJECT, K.SIGNAL, K.QUANTITY, K.MINIMISE}
    # A time at the beginning belongs to the wish that follows; a horizon stands for itself.
    spans = [i.value for i in first.content if i.kind is K.TIME]
    return have == {K.TIME} and not any(s.until for s in spans) and bool(kinds - {K.TIME})
