"""Closed loops beside the plant's own law on the same days, and beside the same loop on another
twin.

Each controller on each stretch is a leg: one plant, one service, one gate in a process of its own,
so that legs run side by side and one simulator's crash is one leg's.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from agents.inprocess_dispatch import InProcessDispatcher
from api.learned_twin import TwinChoice, choose_twin
from api.plant_log import PlantLog
from api.references import day_comfort, day_kpis, emulated, minute_log
from graph.errors import InputError
from graph.kpis import KPI_UNITS
from graph.record import iso
from graph.sitepack import SitePack, load_site
from scenarios.plants import refuse_recorded

Say = Callable[[str], None]
Span = tuple[datetime, datetime]
BASELINE = "baseline"


@dataclass(frozen=True)
class Leg:
    """One controller over one stretch. `twin` is empty for the plant's own law."""

    name: str
    folder: Path
    span: Span
    seed: int
    work: Path
    twin: TwinChoice | None = None
    text: str = ""
    futures: int | None = None


@dataclass(frozen=True)
class LegResult:
    """What a leg came to; `loop` is empty for the plant's own law."""

    leg: Leg
    kpis: dict[str, float]
    comfort_by_zone: dict[str, float]
    loop: dict[str, Any] = field(default_factory=dict)


def run_and_compare(
    folder: Path, spans: Sequence[Span], text: str | None, futures: int | None, seed: int,
    work: Path, say: Say, twin: TwinChoice = "auto", against: Sequence[TwinChoice] = (),
    workers: int = 2,
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Run every leg; returns the document and a table.

    Args:
        spans: stretches of plant time; KPIs are given for each.
        twin: the copilot's twin; `against`: further ones, for the same loop and plant.
        workers: legs that run at the same time.

    Raises:
        InputError: an empty stretch, nothing wanted, or a leg that could not be run.
        RefusedError: `read_only`, for a site of recorded telemetry.
    """
    pack = load_site(folder)
    refuse_recorded(pack.site)
    wanted = text or (pack.intents[0].text if pack.intents else None)
    if wanted is None:
        raise InputError("what is wanted?", "pass --intent, or add intents.yaml to the pack")
    if not spans or any(end <= start for start, end in spans):
        raise InputError("the run ends before it begins", "give --from before --to")
    legs = _legs(folder, spans, wanted, futures, seed, work, twin, against)
    results = _run_all(legs, say, workers)
    stretches = [_stretch(pack, span, [r for r in results if r.leg.span == span]) for span in spans]
    document = {
        "site": pack.site.id, "intent": wanted, "laboratory": True, "twin": twin,
        "against": list(against), "stretches": stretches,
        # The first stretch at the top level, as one stretch has always been printed.
        **stretches[0],
    }  # fmt: skip
    return document, "\n\n".join(_table(pack, s) for s in stretches)


def _legs(
    folder: Path, spans: Sequence[Span], text: str, futures: int | None, seed: int, work: Path,
    twin: TwinChoice, against: Sequence[TwinChoice],
) -> list[Leg]:  # fmt: skip
    found = []
    for k, span in enumerate(spans):
        place = work if len(spans) == 1 else work / f"stretch-{k + 1}"
        found.append(Leg("copilot", folder, span, seed, place, twin, text, futures))
        for other in against:
            name = f"with {other} twin"
            found.append(Leg(name, folder, span, seed, place / other, other, text, futures))
        found.append(Leg(BASELINE, folder, span, seed, place))
    return found


def _run_all(legs: Sequence[Leg], say: Say, workers: int) -> list[LegResult]:
    """Each leg in a process of its own, in the order of `legs`."""
    if len(legs) == 1 or workers <= 1:
        return [run_leg(leg) for leg in legs]
    done: dict[int, LegResult] = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), max_tasks_per_child=1) as pool:
        waiting = {pool.submit(run_leg, leg): k for k, leg in enumerate(legs)}
        for future in as_completed(waiting):
            k = waiting[future]
            done[k] = future.result()
            begin, end = legs[k].span
            say(f"{legs[k].name}: {iso(begin)} to {iso(end)} done")
    return [done[k] for k in range(len(legs))]


def run_leg(leg: Leg) -> LegResult:
    """One controller over one stretch. Raises PilothouseError."""
    return _baseline(leg) if leg.twin is None else _copilot(leg, leg.twin)


def _baseline(leg: Leg) -> LegResult:
    pack = load_site(leg.folder)
    start, end = leg.span
    plant = emulated(pack, start, leg.seed)
    plant.advance((end - start).total_seconds())
    return _result(leg, pack, minute_log(plant), {})


def _copilot(leg: Leg, choice: TwinChoice) -> LegResult:
    from api.closed_loop import loop_result, open_loop, run_loop

    pack = load_site(leg.folder)
    start, end = leg.span
    twin = choose_twin(pack, choice, start)
    loop = open_loop(leg.folder, start, leg.seed, leg.work, InProcessDispatcher(), twin)
    try:
        run_loop(loop, leg.text, end, leg.futures)
        result, log = loop_result(loop, start, end)
        loop.plant.write_log(leg.work / "plant.csv")
    finally:
        loop.operations.close()
    facts = result.model_dump(exclude={"kpis", "comfort_by_zone"})
    facts["twin_digest"], facts["twin_fit_for_control"] = twin.digest, twin.fit_for_control
    return _result(leg, pack, log, facts)


def _result(leg: Leg, pack: SitePack, log: PlantLog, facts: dict[str, Any]) -> LegResult:
    start, end = leg.span
    kpis, comfort = day_kpis(pack, log, start, end), day_comfort(pack, log, start, end)
    return LegResult(leg, kpis, comfort, facts)


def _stretch(pack: SitePack, span: Span, results: Sequence[LegResult]) -> dict[str, Any]:
    by_name = {r.leg.name: r for r in results}
    copilot = by_name["copilot"]
    return {
        "from": iso(span[0]), "to": iso(span[1]),
        "hours": (span[1] - span[0]).total_seconds() / 3600,
        "copilot": copilot.kpis, "baseline": by_name[BASELINE].kpis,
        "controllers": {
            name: {"kpis": r.kpis, "comfort_by_zone": r.comfort_by_zone, **r.loop}
            for name, r in by_name.items()
        },
        "currency": pack.site.currency,
        **copilot.loop,
    }  # fmt: skip


def _table(pack: SitePack, stretch: dict[str, Any]) -> str:
    controllers = stretch["controllers"]
    names = list(controllers)
    lines = [f"{stretch['from']} to {stretch['to']}"]
    lines.append(f"{'':34}" + "".join(f"{name:>26}" for name in names))
    for kpi in stretch["copilot"]:
        unit = KPI_UNITS[kpi].replace("money", pack.site.currency)
        values = "".join(f"{controllers[n]['kpis'][kpi]:26.2f}" for n in names)
        lines.append(f"{kpi + ' [' + unit + ']':34}{values}")
    for zone in controllers[BASELINE]["comfort_by_zone"]:
        values = "".join(f"{controllers[n]['comfort_by_zone'][zone]:26.2f}" for n in names)
        lines.append(f"{'discomfort ' + zone + ' [K.h]':34}{values}")
    for name in names:
        facts = controllers[name]
        if "proposals" not in facts:
            continue
        states = ", ".join(f"{n} {s}" for s, n in sorted(facts["by_state"].items()))
        lines.append(
            f"{name}: {facts['proposals']} signed proposals: {states}; approved by a laboratory key"
        )
        lines += [f"  rolled back: {r}" for r in facts["rollbacks"]]
        lines += [f"  no plan: {m}" for m in (*facts["undecided"], *facts["missed_replans"])]
    return "\n".join(lines)
