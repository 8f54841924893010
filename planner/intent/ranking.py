"""What matters more: the order of objectives and of constraints."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from graph.intent import (
    Band,
    Constraint,
    KeepOff,
    MinimumTime,
    Objective,
    RateLimit,
    StartLimit,
    TotalLimit,
)
from planner.intent.wish import Ranked, Wish


@dataclass(frozen=True)
class Ranking:
    """Objectives in order, whether the order is strict, and constraint indices in order."""

    objectives: tuple[Objective, ...]
    lexicographic: bool
    priority: tuple[int, ...]
    questions: tuple[str, ...] = ()


def rank(wishes: Sequence[Wish], constraints: Sequence[Constraint]) -> Ranking:
    """Order everything that the wishes compare, in the order of the text where they don't.

    1. Each comparison is an edge from the more important to the less important.
    2. `first` is an edge to everything that is not first; `then` an edge from what went before.
    3. Sort topologically, stable; a circle is a question.
    """
    named: dict[Ranked, None] = {}
    objectives: dict[str, Objective] = {}
    for wish in wishes:
        named.update(dict.fromkeys(wish.order))
        for objective in wish.objectives:
            known = objectives.setdefault(objective.quantity, objective)
            if known.weight == 1.0 != objective.weight:
                objectives[objective.quantity] = objective
    edges = _edges(wishes, list(named))
    order = _sorted(list(named), edges)
    if order is None:
        return Ranking(
            (), False, (), ("The order of importance runs in a circle: what comes first?",)
        )
    ordered = [objectives[n] for n in order if isinstance(n, str) and n in objectives]
    strict = any(isinstance(a, str) and isinstance(b, str) for a, b in edges)
    priority, questions = _priority(order, edges, constraints)
    if any(isinstance(a, str) != isinstance(b, str) for a, b in edges):
        questions = (*questions, "An objective and a limit cannot be compared: which is meant?")
    return Ranking(tuple(ordered), strict and len(ordered) > 1, priority, questions)


def _edges(wishes: Sequence[Wish], named: list[Ranked]) -> set[tuple[Ranked, Ranked]]:
    edges: set[tuple[Ranked, Ranked]] = set()
    first = {r for w in wishes if w.foremost for r in w.order}
    before: tuple[Ranked, ...] = ()
    for wish in wishes:
        if wish.compared:
            edges.update(pairwise(wish.order))
        if wish.foremost:
            # Objectives are first among objectives, assets among assets.
            edges.update(
                (a, b)
                for a in wish.order
                for b in named
                if b not in first and isinstance(a, str) == isinstance(b, str)
            )
        if wish.follows and before and wish.order:
            edges.add((before[-1], wish.order[0]))
        before = wish.order or before
    return {(a, b) for a, b in edges if a != b}


def _sorted(named: list[Ranked], edges: set[tuple[Ranked, Ranked]]) -> list[Ranked] | None:
    waiting, done = list(named), []
    while waiting:
        free = next((n for n in waiting if not any(a in waiting for a, b in edges if b == n)), None)
        if free is None:
            return None
        waiting.remove(free)
        done.append(free)
    return done


def _priority(
    order: list[Ranked], edges: set[tuple[Ranked, Ranked]], constraints: Sequence[Constraint]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    ranked = {n for edge in edges for n in edge if not isinstance(n, str)}
    found: dict[int, None] = {}
    for name in order:
        if name not in ranked:
            continue
        indices = [i for i, c in enumerate(constraints) if set(assets_of(c)) & set(name)]
        if not indices:
            return (), (f"Nothing is asked of {', '.join(name)}: what is it compared for?",)
        found.update(dict.fromkeys(indices))
    if not found:
        return (), ()
    found.update(dict.fromkeys(range(len(constraints))))
    return tuple(found), ()


def assets_of(constraint: Constraint) -> tuple[str, ...]:
    """The assets that a constraint speaks of."""
    match constraint:
        case Band() | RateLimit():
            return tuple(dict.fromkeys(s.split(".", 1)[0] for s in constraint.signals))
        case MinimumTime():
            return tuple(dict.fromkeys(p.split(".", 1)[0] for p in constraint.points))
        case StartLimit() | KeepOff():
            return (constraint.point.split(".", 1)[0],)
        case TotalLimit():
            return (constraint.signal.split(".", 1)[0],) if constraint.signal else ()
