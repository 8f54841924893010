"""`pilothouse approve`: read a proposal, sign a decision with your own key."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from api.cli import emit
from api.times import parse_time
from graph.errors import InputError


@click.command()
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path),
              help="Your copy of the root of trust; the bundle is verified first.")  # fmt: skip
@click.option("--key", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--role", required=True, type=click.Choice(["operator", "approver", "engineer"]))
@click.option("--reason", required=True)
@click.option("--reject", is_flag=True, help="Sign a rejection instead.")
@click.option("--standing-until", default=None,
              help="Also allow re-planning inside its envelope until then.")  # fmt: skip
@click.option("--at", default=None, help="Time of the decision (plant time of a laboratory).")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the envelope.")
@click.option("--json", "as_json", is_flag=True, help="Print the envelope as one JSON document.")
def approve(
    bundle: Path, root: Path, key: Path, role: str, reason: str, reject: bool,
    standing_until: str | None, at: str | None, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Verify BUNDLE, show what it would do, and sign yes or no with your own key.

    The statement goes to the service (POST /v1/proposals/{id}/approve) or by any other way: it
    counts because of its signature, not because of how it came.
    """
    from api.approver import sign_decision, standing_for
    from api.commands.keys import passphrase
    from safety.keys import load_signer
    from safety.trust_root import load_root
    from safety.verify import verify_bundle

    when = parse_time(at) if at else datetime.now(UTC)
    report = verify_bundle(bundle.read_bytes(), load_root(root), now=when, require_approval=False)
    proposal = report.require().proposal
    click.echo(proposal.restatement, err=True)
    click.echo(f"risk {proposal.risk.level}, confidence {proposal.confidence:.0%}", err=True)
    try:
        signer = load_signer(key, None)
    except InputError:  # sealed
        signer = load_signer(key, passphrase())
    until = parse_time(standing_until) if standing_until else None
    decision: Literal["approve", "reject"] = "reject" if reject else "approve"
    standing = standing_for(proposal, until) if until and not reject else None
    envelope = sign_decision(proposal, signer, decision, role, reason, when, standing)
    if out is not None:
        out.write_text(json.dumps(envelope))
    emit({"envelope": envelope}, as_json, f"signed: {decision} by {signer.person}")
