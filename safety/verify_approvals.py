"""Checks on approvals: whose they are, what they are about, and whether they are enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from graph.errors import PilothouseError
from graph.proposal import APPROVAL_TYPE, Approval, ControlProposal, StandingAuthorisation
from graph.record import iso
from safety.bundle import Bundle
from safety.signing import APPROVAL_SUBJECT, Statement, open_envelope
from safety.trust_root import PERSON_ROLES, TrustRoot, distinct_persons
from safety.verify_evidence import read_approval

CLOCK_SKEW = timedelta(minutes=5)  # an approver's clock may run ahead by this much
_RISKS = ("low", "medium", "high")


@dataclass(frozen=True)
class SignedApproval:
    """An approval with the statement that it was read from."""

    approval: Approval
    statement: Statement


def open_approvals(
    bundle: Bundle, root: TrustRoot
) -> tuple[list[SignedApproval], list[str], list[str]]:
    """Open each approval: (those that hold, signature problems, schema problems)."""
    opened: list[SignedApproval] = []
    bad_signatures, bad_schemas = [], []
    for number, envelope in enumerate(bundle.approvals):
        try:
            statement = open_envelope(envelope, root, *PERSON_ROLES, statement_type=APPROVAL_TYPE)
        except PilothouseError as error:
            bad_signatures.append(f"approval {number}: {error}")
            continue
        try:
            opened.append(SignedApproval(read_approval(statement), statement))
        except PilothouseError as error:
            bad_schemas.append(f"approval {number}: {error}")
    return opened, bad_signatures, bad_schemas


def binding_problems(
    approvals: Sequence[SignedApproval], proposal: ControlProposal, digest: str
) -> list[str]:
    """Each is about this proposal, or about the one under which this one stands."""
    expected = proposal.under or digest
    return [
        f"{item.approval.person} approved {item.approval.proposal_digest}, not {expected}"
        for item in approvals
        if item.approval.proposal_digest != expected
        or item.statement.subjects != {APPROVAL_SUBJECT: expected}
    ]


def person_problems(approvals: Sequence[SignedApproval], root: TrustRoot) -> list[str]:
    """Each is one person's, signed with that person's own key."""
    problems = []
    for item in approvals:
        keyids, claim = item.statement.keyids, item.approval
        if len(keyids) != 1:
            problems.append(f"{claim.person}'s approval carries {len(keyids)} signatures, not one")
        elif root.person_of(keyids[0]) != claim.person:
            problems.append(f"{root.person_of(keyids[0])} signed as {claim.person}")
        elif root.is_lab(keyids[0]) != claim.lab:
            problems.append(f"{claim.person}'s approval hides or invents a laboratory key")
    return problems


def role_problems(approvals: Sequence[SignedApproval], root: TrustRoot) -> list[str]:
    """Each is given in a role that the signing key holds."""
    return [
        f"{item.approval.person} approved as {item.approval.role}, "
        f"but holds {' and '.join(root.roles_of(item.statement.keyids[0]))}"
        for item in approvals
        if item.approval.role not in root.roles_of(item.statement.keyids[0])
    ]


def quorum_problems(
    approvals: Sequence[SignedApproval], proposal: ControlProposal, required: bool
) -> list[str]:
    """Nobody said no; each required role said yes, by enough distinct persons and keys."""
    rule = proposal.required_approvals
    problems = [
        f"{item.approval.person} rejected it: {item.approval.reason}"
        for item in approvals
        if item.approval.decision != "approve"
    ]
    if not required:
        return problems
    counted = [
        i for i in approvals if i.approval.decision == "approve" and i.approval.role in rule.roles
    ]
    missing = [role for role in rule.roles if role not in {i.approval.role for i in counted}]
    problems += [f"nobody approved as {role}" for role in missing]
    persons = distinct_persons(i.approval.person for i in counted)
    keys = {keyid for i in counted for keyid in i.statement.keyids}
    if min(len(persons), len(keys)) < rule.min_persons:
        problems.append(f"approved by {len(persons)} of {rule.min_persons} persons")
    if not rule.roles:
        problems.append("the proposal names no role that could approve it")
    return problems


def window_problems(
    approvals: Sequence[SignedApproval], proposal: ControlProposal, now: datetime | None
) -> list[str]:
    """Each was given before the deadline, and has not lapsed."""
    problems = []
    for item in approvals:
        claim = item.approval
        if claim.at > proposal.decide_by:
            problems.append(f"{claim.person} approved after the deadline {iso(proposal.decide_by)}")
        if claim.at > claim.not_after:
            problems.append(f"{claim.person}'s approval had lapsed when it was given")
        if now is not None and now > claim.not_after:
            problems.append(f"{claim.person}'s approval lapsed at {iso(claim.not_after)}")
        if now is not None and claim.at > now + CLOCK_SKEW:
            problems.append(f"{claim.person}'s approval is dated {iso(claim.at)}, in the future")
    return problems


def standing_problems(
    approvals: Sequence[SignedApproval], proposal: ControlProposal, now: datetime | None
) -> list[str]:
    """Under a standing approval: each approver gave leave that covers this proposal."""
    if proposal.under is None:
        return []
    if not approvals:
        return ["it claims a standing approval and carries none"]
    problems = []
    for item in approvals:
        leave = item.approval.standing
        if leave is None:
            problems.append(f"{item.approval.person} gave no standing approval")
        else:
            problems += _uncovered(leave, proposal, now)
    return problems


def _uncovered(
    leave: StandingAuthorisation, proposal: ControlProposal, now: datetime | None
) -> list[str]:
    problems = []
    for item in proposal.proposed_policy.schedule:
        low, high = leave.points.get(item.point, (None, None))
        if low is None or high is None:
            problems.append(f"{item.point} is not in the standing approval")
        elif not low <= min(item.min, *item.value) <= max(item.max, *item.value) <= high:
            problems.append(f"{item.point} may leave the approved range {low:g} to {high:g}")
    if proposal.expires > leave.until or (now is not None and now > leave.until):
        problems.append(f"it outlasts the standing approval, which ends {iso(leave.until)}")
    if _RISKS.index(proposal.risk.level) > _RISKS.index(leave.max_risk):
        problems.append(f"risk {proposal.risk.level} exceeds the approved {leave.max_risk}")
    return problems
