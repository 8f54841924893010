"""`pilothouse bench`: measure, beside the targets."""

from pathlib import Path

import click

from api.bench_figure import Figure
from api.cli import emit

BENCHES = ("decision", "rollouts")


@click.command()
@click.argument("name", type=click.Choice(BENCHES))
@click.option("--quick", is_flag=True, help="Fewer repetitions and one day in place of fourteen.")
@click.option("--check", is_flag=True, help="Exit 1 where a target is missed.")
@click.option("--site", "folder", type=click.Path(exists=True, path_type=Path), default=None)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bench(name: str, quick: bool, check: bool, folder: Path | None, as_json: bool) -> None:
    """Print each figure beside its target and what it is compared with."""
    figures = _figures(name, quick, folder)
    document = {"bench": name, "quick": quick, "figures": [f.row() for f in figures]}
    emit(document, as_json, "\n".join(f.text() for f in figures))
    if check and not all(f.ok for f in figures):
        raise SystemExit(1)


def _figures(name: str, quick: bool, folder: Path | None) -> list[Figure]:
    if name == "rollouts":
        from api.bench_rollouts import run_bench as rollouts

        return rollouts(quick=quick)
    from api.bench_decision import run_bench as decision
    from api.sites import DEMO_SITE

    return decision(folder or DEMO_SITE, quick=quick, say=lambda line: click.echo(line, err=True))
