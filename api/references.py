"""What a day under the copilot is compared with: the plant's own law, and planning with hindsight.

- baseline: the same plant, day and seed, left to itself.
- foresight of the twin: one plan over the day with the weather, load and sun that really came,
  played in the twin. It bounds what this twin could promise.
- foresight of the plant: plans with the true disturbances, made anew every hour from the plant's
  own readings and carried out on the plant. The twin's errors remain in it, so it is what perfect
  forecasts would have been worth to this planner, not the optimum of the plant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agents.decision import LEAST_MARGINS
from agents.snapshot_builder import build_snapshot
from agents.telemetry_feed import TelemetryFeed
from api.assemble import load_context
from api.local_gate import DirectReader
from api.plant_log import PlantLog, log_kpis, log_prices, row_before
from api.twin_kpis import kpis_in_twin
from graph.intent import Intent
from graph.kpis import comfort_by_zone
from graph.plan import Plan
from graph.plant import LeasedSetpoint
from graph.sitepack import SitePack, load_site
from graph.snapshot import Forecast
from planner.dispatch_options import SolveOptions
from planner.plan import make_plan

REPLAN_S = 3600
MIN_AHEAD_S, MAX_AHEAD_S = 24 * 3600, 48 * 3600  # as far as the service looks ahead
HINDSIGHT = SolveOptions(gap=0.01, explain=False)


@dataclass(frozen=True)
class DayResult:
    """A day's KPIs by name and the log that they come from (None for the twin's)."""

    kpis: dict[str, float]
    log: PlantLog | None


def emulated(pack: SitePack, start: datetime, seed: int) -> Any:
    """The site's plant in this process. Its watchdog needs no wall time here."""
    from scenarios.plants import build_plant

    return build_plant(pack, start, seed)


def minute_log(plant: Any) -> PlantLog:
    """The plant's own log, warm-up included, as arrays."""
    frame = plant.log.frame(plant.log.row_s, warm_up=True)
    return PlantLog(frame.times, dict(frame.columns))


def day_kpis(pack: SitePack, log: PlantLog, start: datetime, end: datetime) -> dict[str, float]:
    """KPIs of start..end by the one KPI code, from the plant's log alone."""
    return log_kpis(pack.site, pack.carbon, log.between(start, end), row_before(log, start))


def day_comfort(pack: SitePack, log: PlantLog, start: datetime, end: datetime) -> dict[str, float]:
    """Degree hours outside the comfort band by zone over start..end, K.h."""
    cut = log.between(start, end)
    begin = cut.times[0] - timedelta(seconds=cut.step_s)
    table = comfort_by_zone(pack.site, cut.columns, cut.step_s, begin)
    return {zone: float(value) for zone, value in table.items()}


def baseline_day(folder: Path, start: datetime, hours: float, seed: int) -> DayResult:
    """The plant left to its own law."""
    pack = load_site(folder)
    plant = emulated(pack, start, seed)
    plant.advance(hours * 3600)
    log = minute_log(plant)
    return DayResult(day_kpis(pack, log, start, start + timedelta(hours=hours)), log)


def true_forecasts(plant: Any, forecasts: tuple[Forecast, ...], start: datetime,
                   steps: int, step_s: int) -> tuple[Forecast, ...]:  # fmt: skip
    """The same forecasts with the values that will come and no error."""
    return tuple(
        f.model_copy(
            update={
                "values": tuple(plant.truth(f.signal, start, steps, step_s).tolist()),
                "error_paths": tuple((0.0,) * len(p) for p in f.error_paths[:1]),
                "method": "truth",
            }
        )
        for f in forecasts
    )


def foresight_days(
    folder: Path, start: datetime, hours: float, seed: int, intent: Intent
) -> dict[str, DayResult]:
    """Both hindsight references over one stretch: keys `twin` and `plant`."""
    pack, context = load_context(folder)
    plant = emulated(pack, start, seed)
    reader = DirectReader(plant)
    feed = TelemetryFeed(pack.site, pack.telemetry())
    epoch, seq = plant.claim("hindsight"), 0
    results: dict[str, DayResult] = {}
    last: Plan | None = None
    end = start + timedelta(hours=hours)
    step = pack.site.step_s
    while plant.time < end:
        image = reader.read()
        feed.update(reader, image.time)
        ahead = max((end - image.time).total_seconds(), MIN_AHEAD_S)
        steps = int(min(ahead, MAX_AHEAD_S) // step)
        snapshot = build_snapshot(context, image, feed, steps)
        true = true_forecasts(plant, snapshot.forecasts, image.time, steps, step)
        snapshot = snapshot.model_copy(update={"forecasts": true})
        plan = make_plan(
            pack.site, context.twin, snapshot, intent, margin=LEAST_MARGINS, incumbent=last,
            options=HINDSIGHT,
        )  # fmt: skip
        last = plan if plan.status.usable else last
        if not results and plan.status.usable:
            results["twin"] = DayResult(kpis_in_twin(context, snapshot, plan, hours), None)
        for _ in range(REPLAN_S // step):
            seq += 1
            plant.write(epoch, seq, commands_at(last, plant.time, step))
            plant.advance(step)
    log = minute_log(plant)
    results["plant"] = DayResult(day_kpis(pack, log, start, end), log)
    return results


def commands_at(plan: Plan | None, now: datetime, step: int) -> list[LeasedSetpoint]:
    """What a plan commands in the step that begins now; nothing without one or beyond its end."""
    if plan is None:
        return []
    k = int((now - plan.start).total_seconds() // step)
    return [
        LeasedSetpoint(point=p, value=v[k], ttl_s=2.0 * step)
        for p, v in plan.setpoints.items()
        if k < len(v)
    ]


def captured_share(
    copilot: Mapping[str, float], baseline: Mapping[str, float], best: Mapping[str, float]
) -> float:
    """Share of the best's settled saving over the baseline that was got; NaN without one."""
    possible = baseline["settled_cost"] - best["settled_cost"]
    got = baseline["settled_cost"] - copilot["settled_cost"]
    return got / possible if abs(possible) > 1e-9 else float(np.nan)


def prices_of(pack: SitePack, log: PlantLog) -> Any:
    """Prices along a log."""
    return log_prices(pack.site, pack.carbon, log)
