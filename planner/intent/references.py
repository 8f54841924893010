"""What points back: during that time, the same hours, the other rooms."""

from dataclasses import dataclass, field, replace

from graph.site import Site
from planner.intent.clause import Clause
from planner.intent.lexicon import Item, K
from planner.intent.subjects import kind_of
from planner.intent.when import When, combine
from planner.intent.wish import Context

OTHERS = ("others",)  # the value of a subject that means all other assets of its kind


@dataclass
class References:
    """The time that was said last, for the clauses that refer to it."""

    site: Site
    when: When | None = field(default=None)
    goes_on: bool = False

    def resolved(self, clause: Clause, context: Context) -> Clause:
        """The clause with the time, and the other rooms, in the place of what refers to them."""
        items = self._both([self._one(i, context) for i in clause.items], context)
        first = clause.content[:1]
        leads = bool(first) and first[0].kind is K.TIME and first[0].value.same
        timed = any(i.kind is K.TIME for i in items)
        if self.goes_on and clause.opener in (",", "and") and not timed and not clause.role:
            at = clause.start
            items = [Item(K.TIME, self.when, at, at), *items] if self.when else items
        else:
            self.goes_on = leads  # meanwhile A, B: both in that time
        changed = replace(clause, items=items) if items != clause.items else clause
        own = [i.value for i in changed.items if i.kind is K.TIME]
        if own:
            self.when = combine(own)
        return changed

    def _both(self, items: list[Item], context: Context) -> list[Item]:
        """`tank 1 above 8, tank 2 above 9, both below 15`: the two that were named before."""
        kinds = {i.kind for i in items}
        amount = bool(kinds & {K.NUMBER, K.RANGE})
        if not amount or kinds & {K.SUBJECT, K.SIGNAL, K.IF, K.UNLESS}:
            return items
        found = []
        for item in items:
            word = context.text[item.start : item.end].lower()
            if item.kind is K.FILLER and word in ("both", "all"):
                named = tuple(dict.fromkeys(a for w in context.before for a in w.assets))
                alike = len({kind_of(self.site, a) for a in named}) == 1
                fits = alike and len(named) > 1 and (word == "all" or len(named) == 2)
                kind = K.SUBJECT if fits else K.UNKNOWN
                item = replace(item, kind=kind, value=named if fits else word)
            found.append(item)
        return found

    def _one(self, item: Item, context: Context) -> Item:
        if item.kind is K.TIME and item.value.same:
            if self.when is None:
                ask = "Which time is meant by “that time”?"
                return replace(item, value=When(questions=(ask,)))
            return replace(item, value=replace(self.when, questions=item.value.questions))
        before = self.when
        if item.kind is K.TIME and item.value.rest and before is not None and before.daily:
            # `22 to 6 ...; the rest of the day ...`: the other hours of each day.
            if before.start or before.end or before.days or item.value.end is None:
                ask = "The rest of the time: from when to when?"
                return replace(item, value=When(questions=(ask,)))
            return replace(item, value=When(daily=(before.daily[1], before.daily[0])))
        if item.kind is K.SUBJECT and item.value == OTHERS:
            zones = tuple(z.id for z in self.site.of_kind("zone"))
            said = {a for w in context.before for a in w.assets}
            rest = tuple(z for z in zones if z not in said)
            known = bool(set(zones) & said) and bool(rest)
            return replace(item, value=rest) if known else replace(item, kind=K.UNKNOWN)
        return item
