"""`pilothouse run`: the closed loop on a plant that can be stepped."""

import tempfile
from pathlib import Path

import click

from api.cli import emit


@click.command()
@click.option("--site", "folder", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--from", "start", required=True, help="Plant time (the site's zone if none).")
@click.option("--to", "end", required=True)
@click.option("--mode", type=click.Choice(["auto"]), default="auto", show_default=True,
              help="auto: a laboratory key approves, with leave to re-plan hourly.")  # fmt: skip
@click.option("--intent", "text", default=None, help="What is wanted; default: the pack's first.")
@click.option("--futures", default=None, type=int, help="Default: the site's.")
@click.option("--seed", default=1, show_default=True, help="Of the plant's disturbances.")
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Keep keys, ledger, bundles and the plant's log here.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(
    folder: Path, start: str, end: str, mode: str, text: str | None, futures: int | None,
    seed: int, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Close the loop on an emulated plant and compare the KPIs with the plant's own law.

    Nobody approves anything: a laboratory key does, and says so in everything that it signs.
    """
    from api.loop_report import run_and_compare
    from api.times import parse_local
    from graph.sitepack import load_site

    zone = load_site(folder).site.time_zone
    with tempfile.TemporaryDirectory() as temporary:
        document, table = run_and_compare(
            folder, parse_local(start, zone), parse_local(end, zone), text, futures, seed,
            out or Path(temporary) / "run", lambda line: click.echo(line, err=True),
        )  # fmt: skip
    emit({"mode": mode, **document}, as_json, table)
