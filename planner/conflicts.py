"""Which wishes stand against each other, and what each of them would have to give way alone.

The elastic problem (`relaxation`) says which wishes give way in the cheapest cure of all. For each
of those:

1. The operator's other hard wishes are dropped one after the other, first all that give way too;
   one without which there would be a plan is part of the conflict (a deletion filter; J. Chinneck,
   Feasibility and Infeasibility in Optimization, 2008, 7.3). What remains is irreducible.
2. Beside them stand limits of the site and what people hold: those that HiGHS names in an
   irreducible infeasible subset of the linear programme.
3. Each wish of the conflict is asked what it alone would have to give, the others firm, or as the
   cheapest cure of all left them: the least that leaves a plan, and what that plan costs. The
   cheapest comes first, as the intent counts.
"""

from dataclasses import dataclass, replace

import numpy as np

from graph.intent import Intent
from graph.plan import Conflict, Cure, SolveStatus
from planner.conflict_text import conflict_at
from planner.dispatch_constraints import Slack, SlackKind
from planner.dispatch_objective import COST_PARTS
from planner.dispatch_options import SolveOptions
from planner.dispatch_problem import DispatchProblem
from planner.dispatch_search import Found, search
from planner.intent.restate import constraint_words
from planner.milp import INF, Array
from planner.milp_highs import LinearSession

MOST_WISHES = 12  # of a sentence; each costs a linear programme or two
Loose = dict[int, float | Array]  # how far a wish may give way: in all, or by column
ANY_GAP = 0.99  # whether there is a plan at all: the first one found will do
ROOM = 1e-6  # beyond what the joint cure loosened: the solver's tolerance


@dataclass(frozen=True)
class Elastic:
    """The elastic problem, its objective with the price of loosening in it, the cheapest cure."""

    problem: DispatchProblem
    intent: Intent
    cost: Array
    plain: Array
    offset: float
    options: SolveOptions
    x: Array

    def wishes(self) -> dict[int, list[Slack]]:
        """The hard wishes by their place in the intent, each with what lets it give way."""
        found: dict[int, list[Slack]] = {}
        for slack in self.problem.slacks:
            if slack.kind is SlackKind.ELASTIC:
                found.setdefault(int(slack.id.split(":")[1]), []).append(slack)
        return found

    def words(self, wish: int) -> str:
        """A wish in plain words."""
        return constraint_words(self.intent.constraints[wish], self.problem.data.site)

    def loosened(self, most: "Loose") -> DispatchProblem:
        """Firm but for the wishes of `most`, which may give way so far."""
        upper = self.problem.milp.upper.copy()
        for wish, slacks in self.wishes().items():
            for slack in slacks:
                given = most.get(wish, 0.0)
                at = slack.columns
                upper[at] = given[at] if isinstance(given, np.ndarray) else given
        return replace(self.problem, milp=replace(self.problem.milp, upper=upper))

    def solved(self, problem: DispatchProblem) -> Found:
        """The cheapest loosening within `problem`."""
        return search(problem, self.cost, self.offset, self.options, branch=False)


def told(elastic: Elastic, conflicts: list[tuple[Slack, Conflict]]) -> tuple[Conflict, ...]:
    """The conflicts, with what they stand against and what else would cure them."""
    if len(elastic.wishes()) > MOST_WISHES:
        return tuple(c for _, c in conflicts)
    relaxed = {_wish(slack) for slack, _ in conflicts}
    known: dict[int, dict[str, object]] = {}
    for wish in sorted(relaxed):
        others: Loose = dict.fromkeys(relaxed - {wish}, elastic.x + ROOM)
        against = _irreducible(elastic, wish, relaxed - {wish})
        known[wish] = {
            "wish": elastic.words(wish),
            "against": tuple(elastic.words(w) for w in against),
            "limits": _limits(elastic, {wish, *against}),
            "cures": _cures(elastic, (wish, *against), others) if against else (),
        }
    told_ = [c.model_copy(update=known[_wish(slack)]) for slack, c in conflicts]
    return tuple(c.model_copy(update={"text": _sentence(c)}) for c in told_)


def _wish(slack: Slack) -> int:
    return int(slack.id.split(":")[1])


def _irreducible(elastic: Elastic, wish: int, relaxed: set[int]) -> tuple[int, ...]:
    """The other wishes without which `wish` could be kept; see step 1."""
    loose: Loose = dict.fromkeys(relaxed, INF)
    if _possible(elastic, loose):
        loose = {}
    needed = []
    for other in elastic.wishes():
        if other == wish or other in loose:
            continue
        if _possible(elastic, {**loose, other: INF}):
            needed.append(other)
        else:
            loose[other] = INF
    return tuple(needed)


def _possible(elastic: Elastic, loose: Loose) -> bool:
    """Whether a plan was found with some wishes loosened, the others firm."""
    problem = elastic.loosened(loose)
    session = LinearSession(problem.milp, np.zeros_like(elastic.cost), 0.0, elastic.options.limits)
    if session.solve().x is None:
        return False
    if not problem.milp.integer.any():
        return True
    first = elastic.options.model_copy(update={"gap": ANY_GAP, "absolute_gap": np.inf})
    return search(problem, elastic.cost, elastic.offset, first, branch=False).x is not None


def _limits(elastic: Elastic, firm: set[int]) -> tuple[str, ...]:
    """The site's limits and people's holds that stand beside the firm wishes; see step 2."""
    milp = elastic.loosened(dict.fromkeys(elastic.wishes().keys() - firm, INF)).milp
    session = LinearSession(milp, np.zeros_like(elastic.cost), 0.0, elastic.options.limits)
    if session.solve().status is not SolveStatus.INFEASIBLE:
        return ()  # only on and off stand in the way: the linear programme has no answer
    rows = session.infeasible_rows()
    blocks = [b.about for b in milp.row_blocks if np.isin(b.index, rows).any()]
    return tuple(dict.fromkeys(a.label for a in blocks if not a.id.startswith("intent:")))


def _cures(elastic: Elastic, wishes: tuple[int, ...], others: Loose) -> tuple[Cure, ...]:
    """What each wish alone would have to give, the cheapest first; see step 3."""
    found = []
    for wish in wishes:
        problem = elastic.loosened({**others, wish: INF})
        solved = elastic.solved(problem)
        if solved.x is None or solved.objective is None:
            continue
        own = [c for s in elastic.wishes()[wish] if (c := conflict_at(problem, s, solved.x))]
        loosening = float((elastic.cost - elastic.plain) @ solved.x)
        if own:
            found.append(
                (solved.objective - loosening, _cure(elastic, wish, own, problem, solved.x))
            )
    return tuple(c for _, c in sorted(found, key=lambda pair: pair[0]))


def _cure(
    elastic: Elastic, wish: int, own: list[Conflict], problem: DispatchProblem, x: Array
) -> Cure:
    worst = max(own, key=lambda c: c.amount)
    milp = problem.milp
    return Cure(
        wish=elastic.words(wish),
        label=worst.label,
        amount=worst.amount,
        unit=worst.unit,
        relaxed_to=worst.relaxed_to,
        cost=sum(milp.term(name, x) for name in COST_PARTS if name in milp.costs),
        currency=problem.data.site.currency,
    )


def _sentence(conflict: Conflict) -> str:
    """What cannot be kept, beside what, and what each wish would have to give."""
    parts = [conflict.text]
    beside = [*conflict.against, *conflict.limits]
    if beside:
        parts.append(f"It stands against: {'; '.join(beside)}.")
    if len(conflict.cures) > 1:
        parts.append(f"Either of these would do: {'; '.join(c.text for c in conflict.cures)}.")
    return " ".join(parts)
