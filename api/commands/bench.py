"""`pilothouse bench`: measure, beside the targets."""

from pathlib import Path

import click

from api.bench_figure import Figure
from api.cli import emit
from graph.errors import InputError

BENCHES = ("decision", "rollouts", "calibration", "forecasts")


@click.command()
@click.argument("name", type=click.Choice(BENCHES))
@click.option("--quick", is_flag=True, help="Fewer repetitions and one day in place of fourteen.")
@click.option("--check", is_flag=True, help="Exit 1 where a target is missed.")
@click.option("--site", "folder", type=click.Path(exists=True, path_type=Path), default=None)
@click.option("--out", "plot", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="calibration: write the reliability diagram to this PNG.")  # fmt: skip
@click.option(
    "--store", is_flag=True, help="calibration: keep the correction with the site's twin."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bench(
    name: str, quick: bool, check: bool, folder: Path | None, plot: Path | None, store: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Print each figure beside its target and what it is compared with."""
    if name == "calibration":
        _calibration(quick, check, folder, plot, store, as_json)
        return
    if plot is not None or store:
        raise InputError(f"bench {name} has no --out and no --store", "they are for calibration")
    figures = _figures(name, quick, folder)
    document = {"bench": name, "quick": quick, "figures": [f.row() for f in figures]}
    emit(document, as_json, "\n".join(f.text() for f in figures))
    if check and not all(f.ok for f in figures):
        raise SystemExit(1)


def _figures(name: str, quick: bool, folder: Path | None) -> list[Figure]:
    if name == "rollouts":
        from api.bench_rollouts import run_bench as rollouts

        return rollouts(quick=quick)
    from api.sites import DEMO_SITE

    def say(line: str) -> None:
        click.echo(line, err=True)

    if name == "forecasts":
        from api.bench_forecasts import run_bench as forecasts

        return forecasts(folder or DEMO_SITE, quick=quick, say=say)
    from api.bench_decision import run_bench as decision

    return decision(folder or DEMO_SITE, quick=quick, say=say)


def _calibration(
    quick: bool, check: bool, folder: Path | None, plot: Path | None, store: bool, as_json: bool
) -> None:
    from api.bench_calibration import run_calibration, store_correction
    from api.calibration_report import document_of, draw_plot, text_of
    from api.sites import OFFICE_SITE

    site = folder or OFFICE_SITE
    found = run_calibration(site, quick=quick, say=lambda line: click.echo(line, err=True))
    emit({"bench": "calibration", "quick": quick, **document_of(found)}, as_json, text_of(found))
    if plot is not None:
        draw_plot(found, plot)
    if store:
        click.echo(f"written to {store_correction(site, found)}", err=True)
    if check and not found.ok:
        raise SystemExit(1)
