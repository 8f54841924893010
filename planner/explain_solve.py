"""Why the plan is where it is: active constraints and what relaxing each would save.

A mixed-integer programme has no multipliers. The linear programme with the plan's integers fixed
has: they hold while the heat pump runs when it runs in the plan. What a start is worth is found by
solving again with one more and one fewer.
"""

from collections.abc import Callable

import numpy as np

from graph.intent import Intent, StartLimit
from graph.plan import ActiveConstraint
from planner.dispatch_problem import DispatchProblem
from planner.dispatch_search import Found
from planner.milp import Array, Block

AT_BOUND = 1e-6  # kW: the solver's own tolerance
LEAST_MULTIPLIER = 1e-3  # currency per unit, summed: a tenth of a cent is not worth a sentence
SPOKEN_UNITS = {"degC": "K", "percent": "%"}


def active_constraints(problem: DispatchProblem, found: Found) -> tuple[ActiveConstraint, ...]:
    """Active constraints of the site, the operator and the holds, the dearest first.

    `multiplier` sums the steps' |multipliers|: what the objective saves, per unit, if the bound
    gives way at all of `steps` (to first order).
    """
    if found.row_dual is None:
        return ()
    active = []
    for block, duals in (*_rows(found, found.row_dual), *_capacities(found)):
        about = block.about
        if about.unit == "starts" or duals.sum() < LEAST_MULTIPLIER:
            continue
        binding = np.flatnonzero(duals > LEAST_MULTIPLIER / max(len(duals), 1))
        steps = tuple(about.steps[i] for i in binding) if about.steps else ()
        currency = problem.data.site.currency
        unit = SPOKEN_UNITS.get(about.unit, about.unit)
        active.append(
            ActiveConstraint(
                id=about.id,
                label=about.label,
                signal=about.signal,
                steps=steps,
                multiplier=float(duals.sum()),
                unit=f"{currency}/{unit}" if unit else currency,
            )
        )
    return tuple(sorted(active, key=lambda a: (-a.multiplier, a.id)))


def _rows(found: Found, row_dual: Array) -> list[tuple[Block, Array]]:
    return [(b, np.abs(row_dual[b.index])) for b in found.fixed.row_blocks]


def _capacities(found: Found) -> list[tuple[Block, Array]]:
    """Named columns at their greatest value: a unit that can do no more."""
    if found.x is None or found.column_dual is None:
        return []
    x, most = found.x, found.fixed.upper
    full = np.isfinite(most) & (x > most - AT_BOUND) & (found.fixed.lower < most)
    worth = np.where(full, np.maximum(-found.column_dual, 0.0), 0.0)
    return [(b, worth[b.index]) for b in found.fixed.column_blocks]


def price_of_starts(
    intent: Intent,
    objective: float,
    uncertainty: float,
    solve: Callable[[Intent], float | None],
    currency: str,
) -> tuple[ActiveConstraint, ...]:
    """What one more start a day saves and one fewer costs, by solving again.

    Args:
        objective: of the plan under `intent`.
        uncertainty: its distance to its bound. A smaller difference is within the gap: it is
            reported as 0.
        solve: the objective under another intent, None when it has no plan.
    """
    found = []
    for index, item in enumerate(intent.constraints):
        if not isinstance(item, StartLimit):
            continue
        for change, word in ((1, "one more start"), (-1, "one start fewer")):
            if item.maximum + change < 0:
                continue
            other = item.model_copy(update={"maximum": item.maximum + change})
            parts = list(intent.constraints)
            parts[index] = other
            value = solve(intent.model_copy(update={"constraints": tuple(parts)}))
            if value is None:
                continue
            worth = (objective - value) * change
            worth = worth if worth > uncertainty else 0.0
            found.append(
                ActiveConstraint(
                    id=f"intent:{index}:{item.point}:starts:{change:+d}",
                    label=f"{word} a day than {item.maximum}",
                    signal=item.point,
                    steps=(),
                    multiplier=worth,
                    unit=f"{currency}/start",
                )
            )
    return tuple(found)
