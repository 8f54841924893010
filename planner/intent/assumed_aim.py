"""The aim of a wish that names none: what the site makes small by default, and that is told."""

from collections.abc import Sequence

from graph.intent import Constraint, NotUnderstood, Objective
from graph.site import Site
from planner.intent.wish import Wish

NO_OBJECTIVE = (
    "What is to be made small: energy cost, energy, CO2 emissions, peak demand or wear; "
    "or is it comfort that matters?"
)
_NAMES = {"cost": "cost", "energy": "grid energy", "emissions": "CO2 emissions",
          "peak": "peak demand", "wear": "wear"}  # fmt: skip


def assumed_aim(
    wishes: Sequence[Wish],
    constraints: Sequence[Constraint],
    left: Sequence[NotUnderstood],
    site: Site,
) -> tuple[list[Wish], list[str]]:
    """A wish for the site's default aim, and the assumption; nothing where an aim was named.

    Nothing is assumed where something was not understood: that may have been the aim. A text that
    holds no wish at all gets no aim either.
    """
    if any(w.objectives for w in wishes) or not constraints or left:
        return [], []
    aim = site.default_aim
    note = f"No aim was named: {_NAMES[aim]}, as this site does by default"
    return [Wish(objectives=(Objective(quantity=aim, text=""),), order=(aim,))], [note]
