"""`pilothouse demo`."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from api.cli import emit


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Folder for what it leaves; default: out/demo-<time>.")  # fmt: skip
@click.option("--site", "folder", type=click.Path(exists=True, path_type=Path), default=None,
              help="Site pack with an emulated plant; default: the microgrid.")  # fmt: skip
@click.option("--sentence", default=None, help="What to ask for.")
@click.option("--seed", default=1, show_default=True, help="Of the plant's disturbances.")
@click.option("--hours", default=24.0, show_default=True, help="How long the day is followed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def demo(
    out: Path | None, folder: Path | None, sentence: str | None, seed: int, hours: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Run a simulated day: a sentence, a signed proposal, a rollout, a fault, a rollback.

    Starts an emulated plant (OPC UA), the gate and the service. No person approves anything here:
    a laboratory key does, and everything that it signs says so.
    """
    from api.demo import SENTENCE, DemoSettings, run_demo
    from api.demo_document import build, leave_files, table_text
    from api.sites import DEMO_SITE

    began = time.monotonic()
    target = out or Path("out") / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"

    def say(text: str) -> None:
        stamp = f"[{time.monotonic() - began:6.1f} s]"
        click.echo(f"{stamp} {text}", err=True)
        sys.stderr.flush()

    settings = DemoSettings(
        folder or DEMO_SITE, target, sentence or SENTENCE, seed=seed, hours=hours
    )
    run = run_demo(settings, say)
    document = build(run)
    files = leave_files(run, document)
    because = [f"because: {b['text']}" for b in document["causal"]["because"]]
    flips = [f"flip: {f}" for f in document["counterfactuals"]["flip"]]
    text = "\n".join(
        [table_text(document["kpis"]), "", *because, *flips, document["rollback"]["summary"], ""]
        + [str(f) for f in files.values()]
    )
    say("done")
    emit(document, as_json, text)
    if not document["rollback"]["rolled_back"]:
        raise SystemExit(1)
