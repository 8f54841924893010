"""`pilothouse site surrogate`: a network in place of the twin or the FMUs, and its worth."""

from pathlib import Path
from typing import Any

import click

from api.cli import emit


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(("residual", "neural-ode")), default="residual",
              show_default=True,
              help="Known physics and a correction, or a field from data alone.")  # fmt: skip
@click.option("--of", "replaces", type=click.Choice(("twin", "fmu")), default="twin",
              show_default=True,
              help="What is replaced: the twin, or the FMUs of the pack's plant.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--effort", type=click.FloatRange(0.01, 10.0), default=1.0, show_default=True,
              help="Share of the usual futures and updates.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def surrogate(
    folder: Path, kind: str, replaces: str, seed: int, effort: float, as_json: bool
) -> None:
    """Train a network on the twin of the pack in FOLDER, measure it, write both down."""
    from api.surrogates import train_for_pack
    from graph.sitepack import load_site
    from sandbox.surrogates.manifest import MANIFEST_FILE, NETWORK_FILE, save_manifest

    pack = load_site(folder)
    made = train_for_pack(pack, kind, replaces, seed, effort, lambda s: click.echo(s, err=True))
    (pack.folder / NETWORK_FILE).write_bytes(made.network)
    save_manifest(pack.folder / MANIFEST_FILE, made.manifest)
    document: dict[str, Any] = {
        "network": str(pack.folder / NETWORK_FILE), "manifest": str(pack.folder / MANIFEST_FILE),
        "network_digest": made.manifest.network_digest, "digest": made.manifest.digest,
        "worth_it": made.manifest.worth_it, "within_limits": made.manifest.within_limits,
        "reasons": list(made.manifest.reasons),
        "share_outside": made.manifest.share_outside,
        "speed": {**made.manifest.speed.model_dump(), "factor": made.manifest.factor},
        "errors": [{**r.model_dump(), "ok": r.ok} for r in made.manifest.errors],
    }  # fmt: skip
    from api.surrogates import text_of

    wrote = f"wrote {pack.folder / NETWORK_FILE} and {pack.folder / MANIFEST_FILE}"
    emit(document, as_json, f"{text_of(made.manifest)}\n{wrote}")
