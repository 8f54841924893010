"""`pilothouse run`: the closed loop on a plant that can be stepped."""

import tempfile
from pathlib import Path

import click

from api.cli import emit


@click.command()
@click.option("--site", "folder", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--from", "starts", required=True, multiple=True,
              help="Plant time (the site's zone if none); give --from and --to again for a "
              "further stretch.")  # fmt: skip
@click.option("--to", "ends", required=True, multiple=True)
@click.option("--mode", type=click.Choice(["auto"]), default="auto", show_default=True,
              help="auto: a laboratory key approves, with leave to re-plan hourly.")  # fmt: skip
@click.option("--intent", "text", default=None, help="What is wanted; default: the pack's first.")
@click.option("--twin", type=click.Choice(["auto", "pack", "learned", "drawing-board"]),
              default="auto", show_default=True,
              help="auto: the pack's twin if it was fitted before --from, else one learned from "
              "the telemetry before it.")  # fmt: skip
@click.option("--against", multiple=True,
              type=click.Choice(["pack", "learned", "drawing-board"]),
              help="Run the same loop with another twin as well; may be repeated.")  # fmt: skip
@click.option("--futures", default=None, type=int, help="Default: the site's.")
@click.option("--seed", default=1, show_default=True, help="Of the plant's disturbances.")
@click.option("--workers", default=2, show_default=True, help="Controllers run side by side.")
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Keep keys, ledger, bundles and the plant's log here.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(
    folder: Path, starts: tuple[str, ...], ends: tuple[str, ...], mode: str, text: str | None,
    twin: str, against: tuple[str, ...], futures: int | None, seed: int, workers: int,
    out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Close the loop on a simulated plant and compare the KPIs with the plant's own law.

    Nobody approves anything: a laboratory key does, and says so in everything that it signs.
    """
    from api.loop_report import run_and_compare
    from api.times import parse_local
    from graph.errors import InputError
    from graph.sitepack import load_site

    if len(starts) != len(ends):
        raise InputError(f"{len(starts)} --from and {len(ends)} --to", "give them in pairs")
    zone = load_site(folder).site.time_zone
    spans = [
        (parse_local(a, zone), parse_local(b, zone)) for a, b in zip(starts, ends, strict=True)
    ]
    with tempfile.TemporaryDirectory() as temporary:
        document, table = run_and_compare(
            folder, spans, text, futures, seed, out or Path(temporary) / "run",
            lambda line: click.echo(line, err=True), twin, against, workers,  # type: ignore[arg-type]
        )  # fmt: skip
    emit({"mode": mode, **document}, as_json, table)
