"""What one clause asks for, and what a clause parser may look at."""

from dataclasses import dataclass, field

from graph.intent import Constraint, Objective, Quantity
from graph.site import Site
from planner.intent.clause import Clause
from planner.intent.moments import Now
from planner.intent.when import When

# Something that can be ranked: a quantity of an objective, or assets with their constraints.
Ranked = str | tuple[str, ...]


@dataclass(frozen=True)
class Wish:
    """The reading of one clause.

    order: what it ranks, most important first. compared: the order was said by comparing.
    foremost: it says first. follows: it says then.
    horizon: a time that bounds the whole plan. assets: what it speaks of.
    relaxes: it is a permission: see `relaxations`. refused: the questions that say no.
    inverted: it stands still except when a condition that follows holds.
    share: of an objective said in per cent.
    """

    objectives: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    order: tuple[Ranked, ...] = ()
    compared: bool = False
    foremost: bool = False
    follows: bool = False
    horizon: When | None = None
    assets: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    relaxes: bool = False
    inverted: bool = False
    share: float = 0.0


@dataclass(frozen=True)
class Context:
    """The site, the moment of speaking, and the clauses before."""

    site: Site
    now: Now
    text: str
    before: tuple[Wish, ...] = field(default=())
    slips: tuple[str, ...] = ()  # words that were mended

    @property
    def last_assets(self) -> tuple[str, ...]:
        """What the latest clause that named assets spoke of."""
        return next((w.assets for w in reversed(self.before) if w.assets), ())

    @property
    def after_objective(self) -> bool:
        """Whether the clause just before was an objective."""
        return bool(self.before and self.before[-1].objectives)


def quote(clause: Clause, context: Context) -> str:
    """The clause's own words, in quotation marks."""
    return f"“{context.text[clause.start : clause.end].strip()}”"


def quantity(name: str) -> Quantity:
    """The domain's name of a quantity."""
    names: dict[str, Quantity] = {
        "cost": "cost", "energy": "energy", "emissions": "emissions", "peak": "peak",
        "comfort": "comfort", "discomfort": "comfort", "wear": "wear", "reliability": "reliability",
        "throughput": "throughput", "penalty": "penalty",
    }  # fmt: skip
    return names[name]
