"""Shadow runs: the whole pipeline over recorded telemetry, or beside a simulated plant, hour by
hour, with no way to write.

Each decision sees only what was recorded before it. What it would have proposed is kept, and what
it expected of doing nothing is compared with what the plant did, which is what shadow mode is for:
a twin and forecasts that miss show it before anybody relies on them.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agents.decision import Decision
from agents.snapshot_builder import SiteContext
from api.assemble import load_context
from api.hindsight import Hindsight, hindsight_text, look_back, together
from api.offline import decide_recorded, recorded_snapshot, recorded_world
from api.plant_log import PlantLog, log_kpis, row_before
from api.shadow_source import PlantSource, RecordedSource, ShadowSource
from graph.errors import InputError, PilothouseError
from graph.record import iso, parse_iso
from graph.sitepack import SitePack
from graph.snapshot import Snapshot
from graph.telemetry import Frame

DECIDE_EVERY_S = 3600
Say = Callable[[str], None]


@dataclass
class ShadowRun:
    """What a shadow run found, decision by decision."""

    site: str
    text: str
    futures: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    misses: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    days: float = 0.0
    looked_back: bool = False
    hindsight: list[Hindsight] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        outcomes = Counter(r["outcome"] for r in self.rows)
        checked = [r for r in self.rows if r.get("came") is not None]
        inside = [r for r in checked if r["inside"]]
        saved = [r["saving"] for r in self.rows if r.get("saving") is not None]
        return {
            "site": self.site, "text": self.text, "futures": self.futures,
            "decisions": len(self.rows), "outcomes": dict(outcomes),
            "mean_saving_a_day": float(np.mean(saved)) if saved else None,
            "idle_cost_checked": len(checked), "idle_cost_inside_90": len(inside),
            "misses": self.misses, "seconds": self.seconds,
            "seconds_per_site_day": self.seconds / self.days if self.days else None,
            **({"hindsight": together(self.hindsight)} if self.looked_back else {}),
            "rows": self.rows,
        }  # fmt: skip


def run_shadow(
    folder: Path, start: datetime, end: datetime, text: str, futures: int, seed: int,
    say: Say = lambda _: None, *, on_plant: bool = False, hindsight: bool = False,
) -> ShadowRun:  # fmt: skip
    """Decide every hour from `start` (inclusive) to `end` (exclusive).

    on_plant: look at the pack's simulated plant, left to its own law, in place of its recorded
    telemetry, which then only has to reach up to `start`.
    hindsight: afterwards plan each decision again with what came; see `api.hindsight`.

    Raises:
        InputError: the telemetry does not cover the time, or there is no such plant.
        UnavailableError: the plant does not answer.
    """
    if start >= end:
        raise InputError(f"cannot run from {iso(start)} to {iso(end)}", "give --from before --to")
    pack, context = load_context(folder)
    source: ShadowSource = (
        PlantSource(pack, start, seed) if on_plant else RecordedSource(pack, start, end)
    )
    run = ShadowRun(pack.site.id, text, futures, days=(end - start) / timedelta(days=1))
    run.looked_back = hindsight
    made: list[tuple[dict[str, Any], Snapshot, Decision]] = []
    try:
        now = start
        while now < end:
            began = time.perf_counter()
            row, decision = _decide(pack, context, source, now, text, futures, seed)
            run.rows.append(row)
            if hindsight and decision is not None and decision.reading.intent is not None:
                snapshot = recorded_snapshot(
                    pack, context, source.reader.read(), source.known(), decision.reading.intent
                )
                made.append((row, snapshot, decision))
            run.seconds += time.perf_counter() - began
            say("  ".join((iso(now), run.rows[-1]["outcome"], run.rows[-1].get("summary", ""))))
            step = min(timedelta(seconds=DECIDE_EVERY_S), end - now)
            source.advance(step.total_seconds())
            now += step
        frame = source.known()
    finally:
        source.close()
    for row, snapshot, decision in made:
        _look_back(run, pack, context, frame, row, snapshot, decision)
    for row in run.rows:
        _check(run, pack, frame, parse_iso(row["at"]), row)
    return run


def _decide(
    pack: SitePack, context: SiteContext, source: ShadowSource, now: datetime, text: str,
    futures: int, seed: int,
) -> tuple[dict[str, Any], Decision | None]:  # fmt: skip
    row: dict[str, Any] = {"at": iso(now)}
    try:
        known = source.known()
        decision = decide_recorded(pack, context, source.reader, known, text, futures, seed)
    except PilothouseError as error:
        return {**row, "outcome": "failed", "summary": str(error)}, None
    row.update(outcome=decision.outcome, reasons=list(decision.reasons))
    row.update(_figures(decision))
    return row, decision


def _look_back(
    run: ShadowRun, pack: SitePack, context: SiteContext, frame: Frame, row: dict[str, Any],
    snapshot: Snapshot, decision: Decision,
) -> None:  # fmt: skip
    """The candidate's plan again, with what came."""
    if decision.shadow is None or decision.reading.intent is None:
        return
    plan = next(p for p in decision.plans if p.source == decision.shadow.candidate)
    world = recorded_world(pack, context)
    found = look_back(world, context, snapshot, decision.reading.intent, plan, frame)
    if found is not None:
        row["hindsight"] = found.document()
        run.hindsight.append(found)


def _figures(decision: Decision) -> dict[str, Any]:
    shadow = decision.shadow
    if shadow is None:
        return {"summary": "; ".join(decision.reasons)}
    idle = next(o for o in shadow.outcomes if o.source == "baseline").kpis["cost"]
    delta = shadow.kpi_delta
    days = shadow.horizon_steps * shadow.step_s / 86_400
    figures: dict[str, Any] = {
        "horizon_s": shadow.horizon_steps * shadow.step_s,
        "idle_cost": [idle.low, idle.mean, idle.high],
        "kpi_delta": {k: e.mean for k, e in delta.items()},
        "saving": -delta["settled_cost"].mean / days,
        "summary": f"settled cost {delta['settled_cost'].mean:+.2f} over {days:.2g} days",
    }
    if decision.proposal is not None:
        schedule = decision.proposal.proposed_policy.schedule
        figures["proposed"] = {s.point: [list(s.t), list(s.value)] for s in schedule}
        figures["risk"] = decision.proposal.risk.level
    return figures


def _check(
    run: ShadowRun, pack: SitePack, frame: Frame, now: datetime, row: dict[str, Any]
) -> None:
    """Compare what doing nothing was expected to cost with what the plant's meters say it did."""
    if "idle_cost" not in row:
        return
    until = now + timedelta(seconds=row["horizon_s"])
    if until > frame.end:
        return
    log = PlantLog(frame.times, dict(frame.columns))
    cut = log.between(now, until)
    if any(np.isnan(v).any() for v in cut.columns.values()):
        return
    came = log_kpis(pack.site, pack.carbon, cut, row_before(log, now))["cost"]
    low, mean, high = row["idle_cost"]
    row["came"], row["inside"] = came, bool(low <= came <= high)
    if not row["inside"]:
        run.misses.append({"at": row["at"], "expected": [low, mean, high], "came": came})


def shadow_text(run: ShadowRun, currency: str) -> str:
    """For a terminal."""
    d = run.document()
    lines = [
        f"{d['decisions']} decisions: "
        + ", ".join(f"{n} {k}" for k, n in sorted(d["outcomes"].items())),
    ]
    if d["mean_saving_a_day"] is not None:
        lines.append(f"expected saving: {d['mean_saving_a_day']:.2f} {currency} a day on average")
    lines.append(
        f"cost of doing nothing: {d['idle_cost_inside_90']} of {d['idle_cost_checked']} inside the "
        "predicted 90 % interval"
    )
    lines += [
        f"  miss at {m['at']}: expected {m['expected'][0]:.2f} to {m['expected'][2]:.2f}, "
        f"came {m['came']:.2f}"
        for m in d["misses"][:10]
    ]
    if run.looked_back:
        lines.append(hindsight_text(d["hindsight"], currency))
    lines.append(f"{d['seconds_per_site_day']:.1f} s a site-day on one core; nothing was written")
    return "\n".join(lines)
