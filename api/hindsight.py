"""After the fact: what a decision lost to its forecasts, and what to its optimiser.

A plan that was made at a time is looked at again when its horizon is over and telemetry tells what
the weather, the load and the sun did. In the twin, from the same estimated state:

- planned: the plan under the forecasts it was made with, what it was expected to cost;
- came: the same plan under what really came;
- best: a plan made anew, by the same planner and with the same margins, from what really came.

came - planned is by how much the promise was missed. came - best is the forecasts' error: what
knowing better would have been worth. The optimiser's is bounded by its own certificate: no plan
whatever costs less than objective - bound below the one made with the truth. What remains between
`came` and the meters is the twin's error, or a plan that was not carried out. Costs are settled for
stored energy; discomfort stands beside them, because cold rooms are cheap.
"""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from agents.decision import LEAST_MARGINS, World, planning_intent
from agents.snapshot_builder import SiteContext
from api.twin_kpis import kpis_in_twin
from graph.intent import Intent
from graph.plan import Plan
from graph.snapshot import Snapshot
from graph.telemetry import Frame
from planner.dispatch_options import SolveOptions
from planner.plan import make_plan

TRUTH = "truth"


@dataclass(frozen=True)
class Hindsight:
    """Settled costs over the horizon, in the site's currency; discomfort in K.h.

    `optimiser_at_most`: objective less bound of the plan made with the truth; None where the
    planner gives no bound.
    """

    hours: float
    planned: float
    came: float
    best: float
    planned_discomfort: float
    came_discomfort: float
    best_discomfort: float
    optimiser_at_most: float | None

    @property
    def missed(self) -> float:
        """By how much the promise was missed."""
        return self.came - self.planned

    @property
    def forecast_error(self) -> float:
        """What knowing what came would have been worth."""
        return self.came - self.best

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "missed": self.missed, "forecast_error": self.forecast_error}


def look_back(
    world: World, context: SiteContext, snapshot: Snapshot, intent: Intent, plan: Plan, frame: Frame
) -> Hindsight | None:
    """The plan again with what came; None while that is not known throughout, or without a plan.

    Args:
        frame: telemetry on the site's step, the plan's horizon in it.
    """
    true = with_truth(snapshot, frame)
    if true is None or not plan.setpoints:
        return None
    wanted = planning_intent(world, snapshot, intent)
    again = make_plan(
        world.site, world.twin, true, wanted, margin=LEAST_MARGINS, incumbent=plan,
        options=SolveOptions(explain=False),
    )  # fmt: skip
    if not again.status.usable:
        return None
    hours = snapshot.horizon_steps * snapshot.step_s / 3600.0
    planned, came, best = (
        kpis_in_twin(context, s, p, hours)
        for s, p in ((snapshot, plan), (true, plan), (true, again))
    )
    certified = again.objective is not None and again.bound is not None
    return Hindsight(
        hours, planned["settled_cost"], came["settled_cost"], best["settled_cost"],
        planned["comfort"], came["comfort"], best["comfort"],
        max(0.0, again.objective - again.bound) if certified else None,  # type: ignore[operator]
    )  # fmt: skip


def with_truth(snapshot: Snapshot, frame: Frame) -> Snapshot | None:
    """The snapshot with what telemetry says came in place of each forecast; None where it is not
    known at every step."""
    end = snapshot.as_of + timedelta(seconds=snapshot.step_s * snapshot.horizon_steps)
    cut = frame.window(snapshot.as_of, end)
    if len(cut) != snapshot.horizon_steps or frame.step_s != snapshot.step_s:
        return None
    true = []
    for forecast in snapshot.forecasts:
        if forecast.signal not in cut.names:
            return None
        values = cut.column(forecast.signal)
        if not np.isfinite(values).all():
            return None
        paths = tuple((0.0,) * len(p) for p in forecast.error_paths[:1])
        update = {"values": tuple(values.tolist()), "error_paths": paths, "method": TRUTH}
        true.append(forecast.model_copy(update=update))
    return snapshot.model_copy(update={"forecasts": tuple(true)})


def together(found: list[Hindsight]) -> dict[str, Any]:
    """Means a day over several decisions; empty without any."""
    if not found:
        return {}
    days = np.array([h.hours / 24.0 for h in found])

    def mean(values: list[float]) -> float:
        return float(np.mean(np.array(values) / days))

    bounds = [h.optimiser_at_most for h in found if h.optimiser_at_most is not None]
    return {
        "decisions": len(found),
        "planned_a_day": mean([h.planned for h in found]),
        "came_a_day": mean([h.came for h in found]),
        "best_a_day": mean([h.best for h in found]),
        "missed_a_day": mean([h.missed for h in found]),
        "forecast_error_a_day": mean([h.forecast_error for h in found]),
        "optimiser_at_most_a_day": mean(bounds) if len(bounds) == len(found) else None,
        "came_discomfort_a_day": mean([h.came_discomfort for h in found]),
        "best_discomfort_a_day": mean([h.best_discomfort for h in found]),
    }


def hindsight_text(found: dict[str, Any], currency: str) -> str:
    """For a terminal."""
    if not found:
        return "hindsight: of no decision is it known what came over its whole horizon"
    bound = found["optimiser_at_most_a_day"]
    optimiser = "no bound" if bound is None else f"at most {bound:.2f}"
    planned, came, best = (found[f"{k}_a_day"] for k in ("planned", "came", "best"))
    cold, least = (found[f"{k}_discomfort_a_day"] for k in ("came", "best"))
    return (
        f"hindsight of {found['decisions']} plans in the twin, {currency} a day: expected "
        f"{planned:.2f}, with what came {came:.2f}, planned with what came {best:.2f}\n"
        f"  lost to forecasts {found['forecast_error_a_day']:.2f}, to the optimiser {optimiser}; "
        f"discomfort {cold:.2f} K.h against {least:.2f}"
    )
