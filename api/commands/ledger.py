"""`pilothouse ledger`: the tamper-evident log."""

from pathlib import Path

import click

from api.cli import emit


@click.group()
def ledger() -> None:
    """The tamper-evident log of proposals, approvals and outcomes."""


@ledger.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--checkpoint", type=click.Path(exists=True, path_type=Path), default=None,
              help="An earlier checkpoint; default: the one beside FILE.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(file: Path, root: Path, checkpoint: Path | None, as_json: bool) -> None:
    """Recompute every leaf and the tree of FILE; one changed byte is found and named."""
    from safety.ledger_audit import checkpoint_path, verify_ledger
    from safety.trust_root import load_root

    kept = checkpoint or checkpoint_path(file)
    report = verify_ledger(file, kept, load_root(root))
    document = {
        "ok": report.ok,
        "entries": report.entries,
        "root": report.root,
        "failures": list(report.failures),
    }
    lines = [f"FAIL {f}" for f in report.failures] or [f"ok: {report.entries} entries"]
    emit(document, as_json, "\n".join(lines))
    if not report.ok:
        raise SystemExit(1)
