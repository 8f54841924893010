"""What-if questions over the API and the command line: changes, futures, two outcomes."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from api.copilot import Copilot
from graph.plant import Readings
from graph.snapshot import Snapshot
from sandbox.ab import p_text
from sandbox.twin import Twin
from sandbox.what_if import what_if

SEED = 0  # the same question gets the same answer


def run_what_if(
    copilot: Copilot, image: Readings, changes: Mapping[str, Any], futures: int, hours: float
) -> dict[str, Any]:
    """Ask the twin from the plant's present state."""
    snapshot = copilot.snapshot(image, image.time + timedelta(hours=hours))
    return answer(copilot.plant.context.twin, snapshot, changes, futures)


def answer(
    twin: Twin, snapshot: Snapshot, changes: Mapping[str, Any], futures: int
) -> dict[str, Any]:
    """Both outcomes and their difference, future by future, with interval and p-value."""
    as_is, changed, difference = what_if(twin, snapshot, changes, futures, SEED)
    return {
        "as_of": snapshot.model_dump(mode="json")["as_of"],
        "futures": futures,
        "changes": dict(changes),
        "as_is": as_is.model_dump(mode="json", exclude={"traces"}),
        "what_if": changed.model_dump(mode="json", exclude={"traces"}),
        "difference": {k: d.model_dump(mode="json") for k, d in difference.differences.items()},
    }


def answer_text(document: Mapping[str, Any]) -> str:
    """For a terminal."""
    lines = [f"{'':16}{'as it is':>12}{'what if':>12}{'difference':>12}   {'95 % interval':24}p"]
    for name, delta in document["difference"].items():
        one, other = (document[k]["kpis"][name]["mean"] for k in ("as_is", "what_if"))
        interval = f"{delta['low']:+.2f} to {delta['high']:+.2f} {delta['unit']}"
        lines.append(
            f"{name:16}{one:12.2f}{other:12.2f}{delta['mean']:+12.2f}   {interval:24}"
            f"{p_text(delta['p_value'])}"
        )
    return "\n".join(lines)
