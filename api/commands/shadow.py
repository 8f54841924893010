"""`pilothouse shadow`."""

from pathlib import Path

import click

from api.cli import emit


@click.command()
@click.option("--site", "folder", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--from", "start", required=True, help="First decision (the site's zone if none).")
@click.option("--to", "end", required=True, help="End, not included.")
@click.option("--intent", "text", default=None, help="What is wanted; default: the pack's first.")
@click.option("--futures", default=50, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--plant", "on_plant", is_flag=True, help="Beside the simulated plant instead.")
@click.option("--hindsight", is_flag=True,
              help="Plan each decision again with what came: whose error cost what.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def shadow(
    folder: Path, start: str, end: str, text: str | None, futures: int, seed: int, on_plant: bool,
    hindsight: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the copilot over recorded telemetry, hourly, with no write handle in the process.

    Reports what it would have proposed, what that was expected to change, and where its
    expectations missed what the plant did.
    """
    from api.shadow import run_shadow, shadow_text
    from api.times import parse_local
    from graph.errors import InputError
    from graph.sitepack import load_site

    pack = load_site(folder)
    zone = pack.site.time_zone
    wanted = text or (pack.intents[0].text if pack.intents else None)
    if wanted is None:
        raise InputError("what is wanted?", "pass --intent, or add intents.yaml to the pack")
    run = run_shadow(
        folder, parse_local(start, zone), parse_local(end, zone), wanted, futures, seed,
        lambda line: click.echo(line, err=True), on_plant=on_plant, hindsight=hindsight,
    )  # fmt: skip
    emit(run.document(), as_json, shadow_text(run, pack.site.currency))
