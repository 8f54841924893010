"""From raw bytes to an order: nothing enters the core that this did not verify."""

from collections.abc import Collection, Sequence
from datetime import datetime

from graph.errors import RefusedError
from graph.proposal import Approval, StandingAuthorisation
from safety.gate.order import Order, order_from_proposal
from safety.trust_root import TrustRoot


def order_from_bundle(
    data: bytes, root: TrustRoot, now: datetime, *, required_rules: Collection[str] = ()
) -> Order:
    """Verify a bundle against the gate's own root at plant time, and take the order out of it.

    Raises:
        RefusedError: "unverified", with every check that failed.
    """
    from safety.verify import verify_bundle

    report = verify_bundle(data, root, now, True, required_rules=required_rules)
    if not report.ok or report.contents is None:
        failed = "; ".join(f"{c.name}: {c.detail}" for c in report.checks if not c.ok)
        raise RefusedError(
            "unverified", f"the bundle does not verify: {failed}", "pilothouse verify shows all"
        )
    found = report.contents
    lab = found.lab or any(approval.lab for approval in found.approvals)
    standing = _standing(found.approvals)
    return order_from_proposal(found.proposal, found.digest, standing=standing, lab=lab)


def _standing(approvals: Sequence[Approval]) -> StandingAuthorisation | None:
    """The standing authorisation, if every approver has given the very same one."""
    given = [approval.standing for approval in approvals]
    if not given or any(item != given[0] for item in given):
        return None
    return given[0]
