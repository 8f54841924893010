"""`pilothouse verify`: check a signed bundle offline."""

from datetime import UTC, datetime
from pathlib import Path

import click

from api.cli import emit


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--root", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The root of trust (root.json). Nothing in the bundle itself is trusted.",
)  # fmt: skip
@click.option("--at", default=None, help="Judge validity at this time (ISO 8601) instead of now.")
@click.option(
    "--ignore-expiry",
    is_flag=True,
    help="An archived bundle: do not ask whether it is still valid.",
)
@click.option("--approved", "approval", is_flag=True, help="Demand a full quorum of approvals.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(
    file: Path, root: Path, at: str | None, ignore_expiry: bool, approval: bool, as_json: bool
) -> None:
    """Check signature, digests, expiry, policies, approvals and ledger inclusion of FILE.

    A laboratory's root says that its plant's clock is simulated: then validity is judged only at
    the time given with --at. Exit status 1 when any check fails; every failure is named.
    """
    from api.times import parse_time
    from safety.trust_root import load_root
    from safety.verify import verify_bundle

    trusted = load_root(root)
    simulated = trusted.plant_clock == "simulated" and at is None
    now = None if ignore_expiry or simulated else parse_time(at) if at else datetime.now(UTC)
    data = file.read_bytes()
    report = verify_bundle(data, trusted, now=now, require_approval=approval)
    lines = [
        f"{'ok  ' if c.ok else 'FAIL'} {c.number:2d} {c.name}: {c.detail}" for c in report.checks
    ]
    if simulated:
        lines.append("     its plant's clock was simulated: pass --at to judge validity at a time")
    verdict = "the bundle is what it claims to be" if report.ok else "the bundle is NOT good"
    document = {
        "ok": report.ok,
        "file": str(file),
        "checks": [
            {"number": c.number, "name": c.name, "ok": c.ok, "detail": c.detail}
            for c in report.checks
        ],
    }
    emit(document, as_json, "\n".join([*lines, verdict]))
    if not report.ok:
        raise SystemExit(1)
