"""`pilothouse bench`: measure, beside the targets."""

from pathlib import Path

import click

from api.bench_figure import Figure
from api.cli import emit
from graph.errors import InputError, UnavailableError

BENCHES = (
    "decision", "rollouts", "calibration", "forecasts", "intents", "planner", "peers", "citylearn",
    "safety-filter",
)  # fmt: skip


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
@click.option("--file", "utterances", type=click.Path(exists=True, path_type=Path), multiple=True,
              help="intents: utterances of your own in place of the published ones.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bench(
    name: str, quick: bool, check: bool, folder: Path | None, plot: Path | None, store: bool,
    utterances: tuple[Path, ...], as_json: bool,
) -> None:  # fmt: skip
    """Print each figure beside its target and what it is compared with."""
    if name == "calibration":
        _calibration(quick, check, folder, plot, store, as_json)
        return
    if plot is not None or store:
        raise InputError(f"bench {name} has no --out and no --store", "they are for calibration")
    if name == "intents":
        _intents(check, folder, utterances, as_json)
        return
    if utterances:
        raise InputError(f"bench {name} has no --file", "it is for intents")
    figures = _figures(name, quick, folder)
    document = {"bench": name, "quick": quick, "figures": [f.row() for f in figures]}
    emit(document, as_json, "\n".join(f.text() for f in figures))
    if check and not all(f.ok for f in figures):
        raise SystemExit(1)


def _intents(check: bool, folder: Path | None, utterances: tuple[Path, ...], as_json: bool) -> None:
    from dataclasses import asdict

    from api.bench_intents import misses_text, published, run_bench

    if folder is not None:
        raise InputError("bench intents has no --site", "each utterance names its own")
    figures, results = run_bench(utterances or published())
    misses = [asdict(r) for r in results if not r.exact]
    document = {"bench": "intents", "figures": [f.row() for f in figures], "misses": misses}
    text = "\n".join(f.text() for f in figures)
    emit(document, as_json, f"{text}\n{misses_text(results)}".rstrip())
    if check and not all(f.ok for f in figures):
        raise SystemExit(1)


def _figures(name: str, quick: bool, folder: Path | None) -> list[Figure]:
    if name == "rollouts":
        from api.bench_rollouts import run_bench as rollouts

        return rollouts(quick=quick)
    from api.sites import DEMO_SITE

    def say(line: str) -> None:
        click.echo(line, err=True)

    if name == "planner":
        from api.bench_planner import run_bench as planner

        return planner(quick=quick, say=say)
    if name == "peers":
        from api.bench_peers import run_bench as peers

        return peers(quick=quick, say=say)
    if name == "citylearn":
        from api.bench_citylearn import run_bench as citylearn

        try:
            return citylearn(quick=quick, say=say)
        except UnavailableError as error:
            raise InputError(f"nothing was measured: {error.message}", error.hint) from error
    if name == "safety-filter":
        from api.bench_safety_filter import run_bench as safety_filter

        return safety_filter(folder or DEMO_SITE, quick=quick, say=say)
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
