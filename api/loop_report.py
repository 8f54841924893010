"""A closed loop beside the plant's own law on the same days."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.inprocess_dispatch import InProcessDispatcher
from api.closed_loop import loop_result, open_loop, run_loop
from api.references import baseline_day
from graph.errors import InputError
from graph.kpis import KPI_UNITS
from graph.sitepack import load_site


def run_and_compare(
    folder: Path, start: datetime, end: datetime, text: str | None, futures: int | None, seed: int,
    work: Path, say: Callable[[str], None],
) -> tuple[dict[str, Any], str]:  # fmt: skip
    """Run the loop; returns the document and a table. Raises InputError for an empty stretch."""
    if end <= start:
        raise InputError("the run ends before it begins", "give --from before --to")
    pack = load_site(folder)
    wanted = text or (pack.intents[0].text if pack.intents else None)
    if wanted is None:
        raise InputError("what is wanted?", "pass --intent, or add intents.yaml to the pack")
    loop = open_loop(folder, start, seed, work, InProcessDispatcher())
    run_loop(loop, wanted, end, futures, say)
    result, _ = loop_result(loop, start, end)
    loop.plant.write_log(work / "plant.csv")
    hours = (end - start).total_seconds() / 3600
    baseline = baseline_day(folder, start, hours, seed).kpis
    loop.operations.close()
    document = {
        "site": pack.site.id, "intent": wanted, "laboratory": True, "hours": hours,
        "copilot": result.kpis, "baseline": baseline, **result.model_dump(exclude={"kpis"}),
    }  # fmt: skip
    lines = [f"{'':24}{'copilot':>14}{'baseline':>14}"]
    for name, value in result.kpis.items():
        unit = KPI_UNITS[name].replace("money", pack.site.currency)
        lines.append(f"{name + ' [' + unit + ']':24}{value:14.2f}{baseline[name]:14.2f}")
    states = ", ".join(f"{n} {s}" for s, n in sorted(result.by_state.items()))
    lines.append(f"{result.proposals} signed proposals: {states}; approved by a laboratory key")
    lines += [f"no plan: {m}" for m in (*result.undecided, *result.missed_replans)]
    return document, "\n".join(lines)
