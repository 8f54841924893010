"""`pilothouse site record`: telemetry of a simulated plant, to learn a twin from."""

from pathlib import Path

import click

from api.cli import emit


@click.command("record")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--from", "start", required=True, help="Begin (the site's zone if none is given).")
@click.option("--days", type=float, required=True, help="How long; three weeks at least for a fit.")
@click.option("--seed", default=7, show_default=True, help="Of the disturbances and excitation.")
@click.option("--plain", is_flag=True, help="Leave the plant to its own law, without excitation.")
@click.option("--append", is_flag=True, help="Go on after the telemetry that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def record_telemetry(
    folder: Path, start: str, days: float, seed: int, plain: bool, append: bool, as_json: bool
) -> None:
    """Run the simulated plant of the pack in FOLDER and write its telemetry.

    The plant follows its own law; on about half of the days each zone's setpoints stand elsewhere
    for some hours, drawn from the seed, because a room that never moves teaches nothing.
    """
    from api.times import parse_local
    from graph.sitepack import load_site
    from scenarios.recording import record, recorded_span, write_recording

    pack = load_site(folder)
    begin = parse_local(start, pack.site.time_zone)
    frame = record(
        pack, begin, days, seed, excite=not plain, say=lambda line: click.echo(line, err=True)
    )
    path = write_recording(pack, frame, append=append)
    first, last = recorded_span(frame)
    document = {
        "file": str(path), "rows": len(frame), "from": first.isoformat(), "to": last.isoformat(),
        "step_s": frame.step_s, "seed": seed, "excited": not plain,
    }  # fmt: skip
    text = f"{path}: {len(frame)} rows, {first.isoformat()} to {last.isoformat()}"
    emit(document, as_json, text)
