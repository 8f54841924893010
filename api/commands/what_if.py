"""`pilothouse what-if`."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from api.cli import emit
from graph.errors import InputError


@click.command(name="what-if")
@click.option("--site", "folder", type=click.Path(exists=True, path_type=Path), default=None)
@click.option("--at", default=None, help="When (default: the end of the pack's telemetry).")
@click.option("--outdoor", type=float, default=None, help="Kelvin warmer outside.")
@click.option("--price", type=float, default=None, help="Import price times this.")
@click.option("--set", "held", multiple=True, help="point=value, held over the horizon.")
@click.option("--off", multiple=True, help="An asset that stands still.")
@click.option("--hours", default=24.0, show_default=True)
@click.option("--futures", default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def what_if(
    folder: Path | None, at: str | None, outdoor: float | None, price: float | None,
    held: tuple[str, ...], off: tuple[str, ...], hours: float, futures: int, as_json: bool,
) -> None:  # fmt: skip
    """Ask the twin what would happen: the same futures with and without the changes."""
    changes = changes_of(outdoor, price, held, off)
    from agents.snapshot_builder import build_snapshot
    from agents.telemetry_feed import TelemetryFeed
    from api.assemble import load_context
    from api.offline import RecordedPlant, pick_time
    from api.sites import DEMO_SITE
    from api.what_if import answer, answer_text

    pack, context = load_context(folder or DEMO_SITE)
    frame = pack.telemetry()
    reader = RecordedPlant(pack.site, frame, pick_time(pack, at, frame))
    past = frame.window(frame.start - timedelta(seconds=frame.step_s), reader.at)
    steps = int(hours * 3600 // pack.site.step_s)
    snapshot = build_snapshot(context, reader.read(), TelemetryFeed(pack.site, past), steps)
    document = answer(context.twin, snapshot, changes, futures)
    emit(document, as_json, answer_text(document))


def changes_of(
    outdoor: float | None, price: float | None, held: tuple[str, ...], off: tuple[str, ...]
) -> dict[str, Any]:
    """The changes as the sandbox names them. Raises InputError for a bad --set or none at all."""
    changes: dict[str, Any] = {}
    if outdoor is not None:
        changes["outdoor_add_k"] = outdoor
    if price is not None:
        changes["price_factor"] = price
    for item in held:
        point, _, value = item.partition("=")
        try:
            changes.setdefault("set", {})[point] = float(value)
        except ValueError as error:
            raise InputError(
                f"--set {item!r} is not point=value", "e.g. hp.power_set_kw=0"
            ) from error
    if off:
        changes["off"] = list(off)
    if not changes:
        raise InputError("what if what?", "give --outdoor, --price, --set or --off")
    return changes
