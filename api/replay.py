"""Run a decision again from its bundle and compare it byte for byte.

1. The bundle is verified against the given root; what is not authentic is not replayed.
2. The fingerprint of processor, libraries and code is compared; where it differs, equal bytes are
   not promised, and the answer says so.
3. Site, twin, rules and snapshot come from the bundle's attachments, identity and times from its
   proposal. The decision runs in this process.
4. The new predicate's canonical bytes are compared with the signed ones; the first step that
   differs is named.
"""

from dataclasses import dataclass
from typing import Any

from agents.decision import Decision, World, decide
from agents.fingerprint import code_digest, fingerprint
from agents.inprocess_dispatch import InProcessDispatcher
from agents.proposal_builder import ProposalFrame
from graph.canonical import canonical_bytes, digest_bytes
from graph.errors import InputError
from graph.intent import Reading
from graph.proposal import ControlProposal
from graph.sitepack import site_from_document
from graph.snapshot import Snapshot
from planner.intent.compiler import compile_intent
from safety.policy import declared_rules
from safety.trust_root import TrustRoot
from safety.verify import verify_bundle
from sandbox.parameters import parameters_from_document
from sandbox.twin import make_twin

# Fields in the order in which a decision makes them: the first that differs is where it went apart.
STEPS = (
    ("compiled_intent", "intent"), ("restatement", "intent"), ("proposed_policy", "plan"),
    ("technical_basis", "plan"), ("alternatives", "plan"), ("sandbox_results", "sandbox"),
    ("confidence", "sandbox"), ("causal", "explanation"), ("counterfactuals", "explanation"),
    ("risk", "risk"), ("policy", "compliance"), ("rollout", "safeguards"),
    ("rollback", "safeguards"), ("void_if", "safeguards"),
)  # fmt: skip


@dataclass(frozen=True)
class ReplayReport:
    """What came of it."""

    identical: bool
    signed_digest: str
    replayed_digest: str | None
    differs: tuple[str, ...]
    environment: tuple[str, ...]
    outcome: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "identical": self.identical, "outcome": self.outcome,
            "signed_digest": self.signed_digest, "replayed_digest": self.replayed_digest,
            "differs": list(self.differs), "environment": list(self.environment),
        }  # fmt: skip


def replay_bundle(data: bytes, root: TrustRoot) -> ReplayReport:
    """Replay a bundle. Raises IntegrityError when it does not verify."""
    contents = verify_bundle(data, root, now=None, require_approval=False).require()
    signed = contents.proposal
    decision = replay_decision(signed, contents.bundle.attachments)
    environment = environment_differences(signed)
    if decision.proposal is None:
        reasons = (f"{decision.outcome}: {'; '.join(decision.reasons)}",)
        return ReplayReport(False, contents.digest, None, reasons, environment, decision.outcome)
    # The fingerprint says where a decision was made, so it is compared apart.
    again = decision.proposal.model_copy(update={"provenance": signed.provenance})
    replayed = digest_bytes(canonical_bytes(again))
    return ReplayReport(
        identical=replayed == contents.digest,
        signed_digest=contents.digest,
        replayed_digest=replayed,
        differs=tuple(differences(signed, again)),
        environment=environment,
        outcome=decision.outcome,
    )


def replay_decision(signed: ControlProposal, attachments: Any) -> Decision:
    """The decision once more, from what travelled with it."""
    if signed.provenance.plugins:
        raise InputError(
            f"plugins were asked: {', '.join(signed.provenance.plugins)}",
            "a decision with plugins is replayed where they are installed; not offered yet",
        )
    learned = [m.model for m in signed.provenance.models if m.model.startswith("learned policy")]
    if learned:
        raise InputError(
            f"a {learned[0]} was asked, which does not travel in the bundle",
            "a decision with a learned policy is replayed where it is installed; not offered yet",
        )
    world = recorded_world(attachments)
    snapshot = Snapshot.model_validate(attachments.snapshot)
    return decide_again(world, snapshot, signed, recorded_reading(world, snapshot, signed))


def recorded_world(attachments: Any) -> World:
    """Site, twin and rules that travelled with a decision."""
    site = site_from_document(attachments.site)
    twin = make_twin(site, parameters_from_document(attachments.twin))
    policies = dict(attachments.policies)
    return World(site, twin, policies, declared_rules(policies))


def recorded_reading(
    world: World, snapshot: Snapshot, signed: ControlProposal, sentence: str | None = None
) -> Reading:
    """The decision's sentence, or another, as read at the decision's time."""
    made_at = snapshot.as_of if signed.under is None else signed.compiled_intent.start
    text = signed.intent if sentence is None else sentence
    return compile_intent(text, world.site, made_at, signed.compiled_intent.actor)


def decide_again(
    world: World, snapshot: Snapshot, signed: ControlProposal, reading: Reading
) -> Decision:
    """A decision with the identity, times and futures of a signed one, in this process."""
    frame = ProposalFrame(
        id=signed.id, seq=signed.seq, nonce=signed.nonce, not_before=signed.not_before,
        expires=signed.expires, decide_by=signed.decide_by, actor=signed.actor,
        seed=signed.provenance.seeds["futures"], mode=signed.mode, under=signed.under,
    )  # fmt: skip
    shadow = signed.sandbox_results.shadow
    futures = shadow.asked or shadow.futures
    return decide(world, snapshot, reading, frame, InProcessDispatcher(), futures)


def differences(signed: ControlProposal, again: ControlProposal) -> list[str]:
    """Which steps differ, first one first."""
    one, other = signed.model_dump(mode="json"), again.model_dump(mode="json")
    found = [f"{step}: {name}" for name, step in STEPS if one[name] != other[name]]
    known = {name for name, _ in STEPS}
    return found + [f"proposal: {k}" for k in one if k not in known and one[k] != other[k]]


def environment_differences(signed: ControlProposal) -> tuple[str, ...]:
    """How this machine differs from the one that decided."""
    here, there = fingerprint(), signed.provenance.fingerprint
    found = [
        f"{name}: {there.get(name, 'unknown')} then, {here.get(name, 'unknown')} here"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]
    if signed.provenance.code != code_digest():
        found.append("the program's own code is another")
    return tuple(found)
