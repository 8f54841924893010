"""`pilothouse site residuals`: is it the twin, a sensor, or has the plant changed?"""

from pathlib import Path

import click

from api.cli import emit


@click.command("residuals")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--telemetry",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="Parquet or CSV with the site's signals; the pack's own if absent.",
)
@click.option("--from", "begin", default=None, help="First moment (the site's zone if none).")
@click.option("--to", "end", default=None, help="Last moment.")
@click.option(
    "--days",
    type=click.FloatRange(min=1.0),
    default=None,
    help="Only the last days of it; 28 unless --from is given.",
)
@click.option(
    "--recalibrate",
    is_flag=True,
    help="Fit a new twin to what was confirmed and, if it proves better, write it beside the old.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def residuals(
    folder: Path, telemetry: Path | None, begin: str | None, end: str | None, days: float | None,
    recalibrate: bool, as_json: bool,
) -> None:  # fmt: skip
    """Watch the twin of the pack in FOLDER over telemetry and name what is wrong, if anything.

    Exit status 1 when a cause is confirmed and still there at the end.
    """
    from api.residuals import attempt, attempt_lines, document, lines, telemetry_of, watch_pack
    from graph.sitepack import load_site

    pack = load_site(folder)
    frame = telemetry_of(pack, telemetry, begin, end, days)
    watched = watch_pack(pack, frame)
    made = attempt(pack, watched, frame) if recalibrate else None
    said = [*lines(watched), *(attempt_lines(made) if made is not None else ())]
    emit(document(watched, made), as_json, "\n".join(said))
    if watched.present:
        raise SystemExit(1)
