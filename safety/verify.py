"""Verify a bundle offline. Trust comes from the given root alone, never from the bundle."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from graph.canonical_writer import canonical_text
from graph.errors import PilothouseError
from graph.proposal import PROPOSAL_TYPE, ControlProposal
from graph.record import iso
from safety.bundle import APPROVAL_KIND, PROPOSAL_KIND, Bundle, BundleDocument, read_document
from safety.checkpoint import Checkpoint, ledger_keys, verify_checkpoint
from safety.ledger_audit import leaf_of
from safety.merkle import verify_inclusion
from safety.shape import parse_shape
from safety.signing import Statement, open_envelope
from safety.trust_root import TrustRoot
from safety.verify_approvals import (
    SignedApproval,
    binding_problems,
    open_approvals,
    person_problems,
    quorum_problems,
    role_problems,
    standing_problems,
    window_problems,
)
from safety.verify_evidence import (
    early_problems,
    late_problems,
    policy_digest_problems,
    policy_set_problems,
    read_predicate,
    rollback_problems,
    sandbox_problems,
    site_problems,
    snapshot_problems,
    twin_problems,
)
from safety.verify_report import NOT_REACHED, Checklist, VerifiedBundle, VerifyReport

TIME_NOT_ASKED = "no time was given to check against"


def verify_bundle(
    data: bytes,
    root: TrustRoot,
    now: datetime | None,
    require_approval: bool,
    *,
    required_rules: Collection[str] = (),
) -> VerifyReport:
    """Check everything that a bundle claims; every failure is reported, not just the first.

    `now` is the time to check windows against (plant time at the gate); None skips them.
    `required_rules` are rule ids that must have a verdict, beyond those that the bundle carries.

     1. canonical: the bytes are the one canonical spelling of a JSON document.
     2. schema: exactly the bundle's fields.
     3. trust_root: the root has not expired.
     4. proposal_signature: a service key of the root has signed the proposal.
     5. predicate_schema: it is a ControlProposal in full, and the statement's subject is it.
     6. snapshot_digest: the attached snapshot was signed, for the same site, twin and time.
     7. site_digest: the attached site was signed.
     8. twin_digest: the attached twin was signed.
     9. policy_digest: the attached rules were signed.
    10. policy_set: each rule has one verdict, no hard rule failed, the whole was allowed.
    11. sandbox_passed: shadow and canary passed.
    12. rollback_tested: the rollback is the one that the canary has carried out.
    13. not_yet: its time has come.
    14. expired: its time is not over.
    15. approval_signature: keys of persons have signed the approvals.
    16. approval_schema: they are Approvals in full.
    17. approval_binding: they are about this proposal, or the one that it stands under.
    18. approval_person: each signer is the person named, one signature each.
    19. approval_role: each signer holds the role named.
    20. approval_quorum: nobody rejected; required roles and number of distinct persons are there.
    21. approval_window: given before the deadline and not lapsed.
    22. standing: a standing approval covers points, ranges, time and risk.
    23. checkpoint_signature: a ledger key of the root has signed the checkpoint.
    24. ledger_inclusion: proposal and approvals are in the signed ledger, in order.
    25. no_lab_keys: always passes; says which signers used laboratory keys.
    """
    checks = Checklist()
    document, bundle = _check_document(checks, data)
    checks.judge(3, "trust_root", lambda: _root_problems(root, now))
    statement, proposal = _check_proposal(checks, bundle, root)
    digest = None if statement is None else statement.predicate_digest
    _check_evidence(checks, proposal, document, bundle, required_rules)
    _check_time(checks, proposal, now)
    approvals = _check_approval_envelopes(checks, bundle, root)
    checks.judge(17, "approval_binding", binding_problems, approvals, proposal, digest)
    checks.judge(18, "approval_person", lambda a: person_problems(a, root), approvals)
    checks.judge(19, "approval_role", lambda a: role_problems(a, root), approvals)
    _check_authority(checks, approvals, proposal, now, require_approval)
    ledger_key = _check_ledger(checks, bundle, proposal, root)
    if bundle is None or statement is None or proposal is None or approvals is None:
        checks.record(25, "no_lab_keys", True, NOT_REACHED)
        return VerifyReport(tuple(checks.checks), None)
    statements = (statement, *(item.statement for item in approvals))
    checks.record(25, "no_lab_keys", True, _lab_detail(statements, ledger_key, root))
    contents = VerifiedBundle(
        digest=statement.predicate_digest,
        proposal=proposal,
        approvals=tuple(item.approval for item in approvals),
        persons=tuple(sorted({item.approval.person for item in approvals})),
        lab=any(s.lab for s in statements),
        bundle=bundle,
    )
    return VerifyReport(tuple(checks.checks), contents)


def _check_document(checks: Checklist, data: bytes) -> tuple[BundleDocument | None, Bundle | None]:
    try:
        document = read_document(data)
    except PilothouseError as error:
        checks.record(1, "canonical", False, str(error))
        checks.record(2, "schema", False, NOT_REACHED)
        return None, None
    wrong = "the bytes are not the canonical spelling (RFC 8785) of what they say"
    checks.record(1, "canonical", document.canonical, "" if document.canonical else wrong)
    bundle = checks.attempt(2, "schema", lambda: parse_shape(Bundle, document.value, "the bundle"))
    return document, bundle


def _root_problems(root: TrustRoot, now: datetime | None) -> list[str]:
    if now is not None and now >= root.expires:
        return [f"the trust root expired at {iso(root.expires)}, now is {iso(now)}"]
    return []


def _check_proposal(
    checks: Checklist, bundle: Bundle | None, root: TrustRoot
) -> tuple[Statement | None, ControlProposal | None]:
    statement = checks.attempt(
        4,
        "proposal_signature",
        lambda b: open_envelope(b.proposal, root, "service", statement_type=PROPOSAL_TYPE),
        bundle,
    )
    return statement, checks.attempt(5, "predicate_schema", read_predicate, statement)


def _check_evidence(
    checks: Checklist,
    proposal: ControlProposal | None,
    document: BundleDocument | None,
    bundle: Bundle | None,
    required_rules: Collection[str],
) -> None:
    # Without the schema the attachments, and so their digests, may be missing.
    digests = document.digests if document is not None and bundle is not None else None
    checks.judge(6, "snapshot_digest", snapshot_problems, proposal, digests, bundle)
    checks.judge(7, "site_digest", site_problems, proposal, digests)
    checks.judge(8, "twin_digest", twin_problems, proposal, digests)
    checks.judge(9, "policy_digest", policy_digest_problems, proposal, digests)
    checks.judge(10, "policy_set", lambda p: policy_set_problems(p, required_rules), proposal)
    checks.judge(11, "sandbox_passed", sandbox_problems, proposal)
    checks.judge(12, "rollback_tested", rollback_problems, proposal)


def _check_time(checks: Checklist, proposal: ControlProposal | None, now: datetime | None) -> None:
    good = TIME_NOT_ASKED if now is None else ""
    checks.judge(13, "not_yet", lambda p: early_problems(p, now), proposal, good=good)
    checks.judge(14, "expired", lambda p: late_problems(p, now), proposal, good=good)


def _check_approval_envelopes(
    checks: Checklist, bundle: Bundle | None, root: TrustRoot
) -> list[SignedApproval] | None:
    if bundle is None:
        checks.record(15, "approval_signature", False, NOT_REACHED)
        checks.record(16, "approval_schema", False, NOT_REACHED)
        return None
    approvals, bad_signatures, bad_schemas = open_approvals(bundle, root)
    good = "" if bundle.approvals else "no approval in the bundle"
    checks.judge(15, "approval_signature", lambda: bad_signatures, good=good)
    checks.judge(16, "approval_schema", lambda: bad_schemas, good=good)
    return approvals


def _check_authority(
    checks: Checklist,
    approvals: list[SignedApproval] | None,
    proposal: ControlProposal | None,
    now: datetime | None,
    required: bool,
) -> None:
    checks.judge(
        20,
        "approval_quorum",
        lambda a, p: quorum_problems(a, p, required),
        approvals,
        proposal,
        good="" if required else "a quorum was not asked for",
    )
    judge, both = checks.judge, (approvals, proposal)
    judge(21, "approval_window", lambda a, p: window_problems(a, p, now), *both)
    judge(22, "standing", lambda a, p: standing_problems(a, p, now), *both)


def _check_ledger(
    checks: Checklist, bundle: Bundle | None, proposal: ControlProposal | None, root: TrustRoot
) -> str | None:
    """Returns the public bytes of the key that signed the checkpoint."""
    signed = checks.attempt(
        23,
        "checkpoint_signature",
        lambda b: verify_checkpoint(b.ledger.checkpoint, ledger_keys(root)),
        bundle,
    )
    checkpoint = None if signed is None else signed.checkpoint
    checks.judge(24, "ledger_inclusion", _inclusion_problems, bundle, checkpoint, proposal)
    return None if signed is None else signed.public


def _inclusion_problems(
    bundle: Bundle, checkpoint: Checkpoint, proposal: ControlProposal
) -> list[str]:
    proofs = bundle.ledger.entries
    envelopes: list[tuple[str, dict[str, Any]]] = [(PROPOSAL_KIND, bundle.proposal)]
    envelopes += [(APPROVAL_KIND, envelope) for envelope in bundle.approvals]
    if [kind for kind, _ in envelopes] != [proof.kind for proof in proofs]:
        return ["the ledger's proofs are not one for the proposal and one for each approval"]
    problems = []
    for (kind, envelope), proof in zip(envelopes, proofs, strict=True):
        leaf = leaf_of(kind, canonical_text(envelope))
        path = [bytes.fromhex(step) for step in proof.path]
        if not verify_inclusion(leaf, proof.index, checkpoint.size, path, checkpoint.root):
            problems.append(f"entry {proof.index} of the ledger is not this {kind}")
    first, *rest = [proof.index for proof in proofs]
    if rest != sorted(set(rest)):
        problems.append("the approvals are repeated or not in the ledger's order")
    # A standing approval was given before the proposals under it, any other one afterwards.
    if any((index < first) != (proposal.under is not None) for index in rest):
        problems.append("the ledger has proposal and approval in the wrong order")
    return problems


def _lab_detail(statements: tuple[Statement, ...], ledger_key: str | None, root: TrustRoot) -> str:
    names = {root.person_of(k) for s in statements for k in s.keyids if root.is_lab(k)}
    names |= {r.person for r in root.keys.values() if r.public == ledger_key and r.lab}
    if not names:
        return "no laboratory key was used"
    return f"laboratory keys were used by {', '.join(sorted(names))}"
