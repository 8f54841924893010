"""`pilothouse ask`: what the copilot makes of a sentence."""

from pathlib import Path
from typing import Any

import click

from api.cli import emit


@click.command()
@click.argument("text")
@click.option("--site", "folder", type=click.Path(path_type=Path), default=None,
              help="Site pack; the demonstration's microgrid if absent.")  # fmt: skip
@click.option(
    "--at", default=None, help="Plant time of the question (default: the pack's last telemetry)."
)
@click.option("--dry-run", is_flag=True, help="Compile and restate only; nothing is dispatched.")
@click.option("--futures", default=None, type=int, help="Sampled futures (default: the site's).")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ask(
    text: str, folder: Path | None, at: str | None, dry_run: bool, futures: int | None, seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Compile TEXT into objectives and constraints, restate it and, unless --dry-run, decide.

    Without a running service the decision is made on the pack's recorded telemetry and is not
    signed: it shows what would be proposed.
    """
    if dry_run:
        from api.sites import compile_text

        reading = compile_text(text, folder, at)
        emit(_reading_document(reading), as_json, reading_text(reading))
        if reading.intent is None:
            raise SystemExit(1)
        return
    from api.offline import offline_decision

    decision = offline_decision(text, folder, at, futures, seed)
    emit(decision.document(), as_json, decision.text())
    if decision.proposal is None:
        raise SystemExit(1)


def _reading_document(reading: Any) -> dict[str, Any]:
    document: dict[str, Any] = reading.model_dump(mode="json")
    return document


def _assumption(said: str) -> str:
    """What was assumed; what was set aside or mended begins its line by that."""
    aside = "Set aside as said around the wish: "
    if said.startswith(aside):
        return f"set aside, as said around the wish: {said.removeprefix(aside)}"
    return (
        f"read: {said}" if said.startswith("“") and " is read as " in said else f"assumed: {said}"
    )


def reading_text(reading: Any) -> str:
    """The restatement, with what was assumed, not understood or asked."""
    lines = [reading.restatement] if reading.restatement else []
    lines += [_assumption(a) for a in reading.assumptions]
    lines += [f"not understood: “{n.text}”: {n.why}" + (f"; {n.suggestion}" if n.suggestion else "")
              for n in reading.not_understood]  # fmt: skip
    lines += [f"please say: {q}" for q in reading.questions]
    return "\n".join(lines)
