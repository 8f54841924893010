"""`pilothouse train`: a learned policy for a site pack."""

from pathlib import Path

import click

from api.cli import emit


@click.command()
@click.argument("folder", metavar="SITE", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="For policy, manifest, checkpoints; a run begun there goes on.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(min=0.0), default=None,
              help="Of reinforcement, earlier runs in --out included. Default: 8, or as --steps "
              "says.")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=0), default=None,
              help="Steps of the environment, in whole rounds; with it alone a run is "
              "reproducible.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--environments", type=click.IntRange(2, 4096), default=256, show_default=True,
              help="Plants stepped side by side.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 400), default=20, show_default=True,
              help="Days of the record to learn from, the latest ones.")  # fmt: skip
@click.option("--compare-days", "compared", type=click.IntRange(1, 60), default=6,
              show_default=True, help="Days kept apart to compare on.")  # fmt: skip
@click.option("--check", is_flag=True, help="Exit 1 where the target is missed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def train(
    folder: Path, out: Path, minutes: float | None, steps: int | None, seed: int,
    environments: int, days: int, compared: int, check: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train a policy for SITE and compare it with the plant's own law and the planner.

    A network is cloned from the planner's own plans, improved by reinforcement in the twin, and
    written as an ONNX file with a manifest, to be signed by engineers. Needs the extra `train`.
    """
    from api.training import text_of, train_for_pack
    from graph.errors import UnavailableError
    from graph.sitepack import load_site

    try:
        from planner.rl.sb3_ppo import PpoSettings
        from planner.rl.train import TrainOptions
    except ImportError as error:
        raise UnavailableError(
            f"training needs {error.name}", "pip install 'pilothouse[train]'"
        ) from error

    if minutes is None and steps is None:
        minutes = 8.0
    currency = load_site(folder).site.currency
    options = TrainOptions(
        minutes=minutes, steps=steps, seed=seed, ppo=PpoSettings(environments=environments)
    )
    _, document = train_for_pack(
        folder, out, options, lambda line: click.echo(line, err=True), days=days, compared=compared
    )
    emit(document, as_json, text_of(document, currency))
    if check and not document["met"]:
        raise SystemExit(1)
