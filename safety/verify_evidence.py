"""Checks on the signed predicate and on what it says of its evidence. Each lists its problems."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from graph.errors import IntegrityError, first_error
from graph.proposal import Approval, ControlProposal
from graph.record import Record, iso
from safety.bundle import Bundle
from safety.signing import Statement

T = TypeVar("T", bound=Record)


def read_predicate(statement: Statement) -> ControlProposal:
    """The proposal, if the statement is about it and no reader could read it otherwise."""
    proposal = read_exactly(ControlProposal, statement, "the proposal")
    if statement.subjects != {proposal.target: statement.predicate_digest}:
        raise IntegrityError("the statement's subject is not its target under its digest")
    return proposal


def read_approval(statement: Statement) -> Approval:
    """The approval in a statement, as strictly."""
    return read_exactly(Approval, statement, "the approval")


def read_exactly(model: type[T], statement: Statement, what: str) -> T:
    """The predicate as a `model`; one that validation had to complete or convert is refused.

    Strict validation tells true from 1, which Python's `==` does not.
    """
    try:
        record = model.model_validate_json(statement.predicate_bytes, strict=True)
    except ValidationError as error:
        raise IntegrityError(f"{what} is malformed: {first_error(error, what)}") from error
    if record.model_dump(mode="json") != statement.predicate:
        raise IntegrityError(
            f"{what} is not written in full: it leaves fields to their defaults or writes values "
            "in other forms than the schema's"
        )
    return record


def snapshot_problems(
    proposal: ControlProposal, digests: Mapping[str, str], bundle: Bundle
) -> list[str]:
    """The snapshot is the one that was signed, and it belongs to the same site, twin and time."""
    twin, snapshot = proposal.twin, bundle.attachments.snapshot
    problems = _digest_problem("snapshot", digests["snapshot"], twin.snapshot_digest)
    expected = {
        "site_digest": twin.site_digest,
        "twin_digest": twin.twin_digest,
        "as_of": iso(twin.as_of),
    }
    problems += [
        f"the snapshot's {name} is {snapshot.get(name)!r}, the proposal says {value!r}"
        for name, value in expected.items()
        if snapshot.get(name) != value
    ]
    return problems


def site_problems(proposal: ControlProposal, digests: Mapping[str, str]) -> list[str]:
    """The site document is the one that was signed."""
    return _digest_problem("site", digests["site"], proposal.twin.site_digest)


def twin_problems(proposal: ControlProposal, digests: Mapping[str, str]) -> list[str]:
    """The twin's parameters are the ones that were signed."""
    return _digest_problem("twin", digests["twin"], proposal.twin.twin_digest)


def policy_digest_problems(proposal: ControlProposal, digests: Mapping[str, str]) -> list[str]:
    """The rules are the ones that were signed."""
    return _digest_problem("policies", digests["policies"], proposal.policy.bundle_digest)


def _digest_problem(name: str, found: str, signed: str) -> list[str]:
    return [] if found == signed else [f"the attached {name} has {found}, signed was {signed}"]


def policy_set_problems(proposal: ControlProposal, required_rules: Collection[str]) -> list[str]:
    """Every rule has spoken once, no hard one said no, and the whole was allowed."""
    verdicts = proposal.policy.verdicts
    rules = [v.rule for v in verdicts]
    problems = [] if verdicts else ["no rule has a verdict"]
    problems += [f"rule {rule} has no verdict" for rule in sorted(set(required_rules) - set(rules))]
    problems += [
        f"rule {r} has two verdicts" for r in sorted({r for r in rules if rules.count(r) > 1})
    ]
    problems += [
        f"hard rule {v.rule} failed: {v.reason}" for v in verdicts if v.hard and v.verdict != "pass"
    ]
    if not proposal.policy.allowed:
        problems.append("the policy decision was not to allow it")
    return problems


def sandbox_problems(proposal: ControlProposal) -> list[str]:
    """Shadow and canary passed."""
    results = proposal.sandbox_results
    named = (("shadow", results.shadow), ("canary", results.canary))
    return [
        f"the {name} did not pass: {', '.join(result.reasons) or 'no reason given'}"
        for name, result in named
        if not result.passed
    ]


def rollback_problems(proposal: ControlProposal) -> list[str]:
    """The way back is the one that the canary has gone."""
    canary, problems = proposal.sandbox_results.canary, []
    if not (canary.rollback_exercised and canary.rollback_restored):
        problems.append("the canary did not take the rollback to its end")
    if proposal.rollback.tested_digest != canary.rollback_digest:
        problems.append("the rollback is not the one that the canary exercised")
    return problems


def early_problems(proposal: ControlProposal, now: datetime | None) -> list[str]:
    """It is not before its time."""
    if now is None or now >= proposal.not_before:
        return []
    return [f"valid from {iso(proposal.not_before)}, now is {iso(now)}"]


def late_problems(proposal: ControlProposal, now: datetime | None) -> list[str]:
    """It has a time, and that is not over."""
    if proposal.expires <= proposal.not_before:
        return ["it expires before it begins"]
    if now is not None and now >= proposal.expires:
        return [f"expired at {iso(proposal.expires)}, now is {iso(now)}"]
    return []
