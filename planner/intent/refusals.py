"""What is refused or remarked on over the whole of a reading."""

import re
from collections.abc import Sequence

from graph.intent import UNPLANNED, Constraint, TotalLimit
from graph.site import Site
from planner.intent.horizon import Horizon
from planner.intent.wish import Wish

AHEAD_H = 48.0  # what a decision looks ahead: forecasts carry little beyond two days
_WORDS = {"throughput": "throughput", "penalty": "an SLA penalty"}


def refused_objectives(wishes: Sequence[Wish], site: Site) -> list[str]:
    """Objectives that nothing at this site counts, by name."""
    found = []
    for objective in (o for w in wishes for o in w.objectives):
        if objective.quantity in UNPLANNED:
            found.append(
                f"{_WORDS[objective.quantity].capitalize()} cannot be planned at {site.name}: "
                "no model of this site counts it. What is to be made small or kept in its place?"
            )
        if objective.quantity == "reliability" and not site.of_kind("battery"):
            found.append(
                f"Reliability cannot be planned at {site.name}: it means charge kept in a battery "
                "for an outage, and there is none. What is meant in its place?"
            )
        if objective.quantity == "comfort" and not site.of_kind("zone"):
            found.append(f"Comfort cannot be planned at {site.name}: it has no rooms.")
    return found


_ASKS = re.compile(
    r"(?:^|[,.!?;\n])\s*((?:please\s+|so\s+|and\s+)?(?:is|are|was|were|has|had|does|did|should|"
    r"shall|will(?!\s+you)|why|what|how|where|which|who|whose)\b(?:[^.!?;\n]|\.(?=\d)){0,300}\?)",
    re.IGNORECASE,
)


def asked_back(text: str) -> list[str]:
    """Questions in the text: is the battery above 20 %? They are no wish."""
    return [
        f"“{found.strip()}” is a question, and this reads wishes: what is to hold?"
        for found in _ASKS.findall(text)
    ]


def shares(wishes: Sequence[Wish]) -> list[str]:
    """A question where weights in per cent do not add up."""
    said = [w.share for w in wishes if w.share]
    if not said or abs(sum(said) - 1.0) < 1e-6:
        return []
    return [f"The shares of the objectives add up to {sum(said):.0%}: which ones are meant?"]


def paced_totals(constraints: Sequence[Constraint], horizon: Horizon) -> list[str]:
    """What a budget means where the plan sees a part of its time only."""
    totals = [c for c in constraints if isinstance(c, TotalLimit)]
    notes = []
    if any(c.daily for c in totals):
        notes.append("of a budget a day, each day gets the share of its hours that are planned")
    ends = [c.window.end or horizon.end for c in totals if not c.daily]
    if any((end - horizon.start).total_seconds() > AHEAD_H * 3600 for end in ends):
        notes.append(
            f"a plan looks {AHEAD_H:.0f} hours ahead: of a longer budget it gets its hours' share"
        )
    return notes
