"""Proposals from signature to rollout: the lifecycle, approvals, and the way to the gate and back.

All times are plant time. The service only collects approvals: they are signed with keys that it
does not hold, and the gate verifies them again against its own root.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from api.copilot import Copilot, Covering, Signed
from api.desk_checks import personal_approval, read_back
from api.events import EventLog
from api.resolution import PredictionResolution, score
from graph.errors import RefusedError, UnavailableError
from graph.intent import Reading
from graph.plant import Readings
from graph.proposal import APPLIED_TYPE, APPROVAL_TYPE, RESOLUTION_TYPE, ControlProposal
from graph.record import parse_iso
from safety.event_store import LifecycleStore
from safety.lifecycle import Event, Message, Standing, State
from safety.signing import open_envelope, sign_statement
from safety.trust_root import PERSON_ROLES
from safety.verify import verify_bundle

log = logging.getLogger(__name__)

ACTOR = "service"
# What may still be missing from a proposal that waits for a second person.
INCOMPLETE = {"approval_quorum"}
# The gate's reports that end a rollout, and what they make of the proposal.
ENDINGS = {"rolled_back": State.ROLLED_BACK, "shed": State.ROLLED_BACK, "completed": State.CLOSED}


@dataclass(frozen=True)
class Entry:
    """A proposal in the service's hands."""

    signed: Signed
    proposal: ControlProposal
    reading: Reading
    approvals: tuple[dict[str, Any], ...] = ()
    events: EventLog | None = None
    resolution: PredictionResolution | None = None


class ProposalDesk:
    """Everything between a signed proposal and the gate's last word on it."""

    def __init__(self, copilot: Copilot, lives: LifecycleStore) -> None:
        self.copilot, self.lives = copilot, lives
        self._entries: dict[str, Entry] = {}
        self._by_digest: dict[str, str] = {}
        self._lock = threading.RLock()
        # Every report of the gate is in the ledger: after a restart the count goes on from there.
        self._seen_reports = len(copilot.authority.ledger.entries(kind="applied"))
        self._restore()

    def _restore(self) -> None:
        """Take the open proposals of earlier runs in hand again, from the bundles kept of them."""
        authority = self.copilot.authority
        for standing in self.lives.standings():
            file = authority.workspace.proposals / f"{standing.proposal_id}.json"
            if not standing.open or not file.exists():
                continue
            found = read_back(file, authority.root)
            if found is None:
                log.error("%s is not the bundle that was signed; left alone", file)
                continue
            signed, proposal, reading, approvals = found
            self._entries[signed.id] = Entry(signed, proposal, reading, tuple(approvals))
            self._by_digest[signed.digest] = signed.id

    # Opening -------------------------------------------------------------------------------

    def open(self, signed: Signed, events: EventLog | None = None) -> Standing:
        """Record what the proposal went through and put it before the people who decide."""
        assert signed.decision is not None
        proposal = signed.decision.proposal
        assert proposal is not None
        entry = Entry(signed, proposal, signed.decision.reading, events=events)
        with self._lock:
            self._entries[signed.id] = entry
            self._by_digest[signed.digest] = signed.id
            self.copilot.bundle_file(signed, ())
            at = proposal.not_before
            for state in (State.DRAFTED, State.SHADOWED, State.CANARIED, State.COMPLIANT):
                self._move(signed.id, Event(to=state, at=at, actor=ACTOR))
            return self._move(
                signed.id,
                Event(to=State.PENDING, at=at, actor=ACTOR, deadline=proposal.decide_by),
            )

    def open_covered(self, signed: Signed, covering: Covering) -> Standing:
        """A plan under a standing authorisation: approved by it, and handed over at once."""
        standing = self.open(signed)
        with self._lock:
            entry = replace(self._entries[signed.id], approvals=covering.approvals)
            self._entries[signed.id] = entry
            self._check(entry, entry.proposal.not_before)
            at = entry.proposal.not_before
            event = Event(to=State.APPROVED, at=at, actor=ACTOR, reason=f"under {covering.digest}",
                          messages=(self._order_message(signed.id),))  # fmt: skip
            standing = self._move(signed.id, event)
        self.deliver(at)
        return standing

    # Deciding ------------------------------------------------------------------------------

    def approve(self, proposal_id: str, envelope: Mapping[str, Any], image: Readings) -> Standing:
        """Take in one person's signed approval; with the quorum complete it goes to the gate.

        Raises:
            RefusedError: naming every check that fails, or the guard that the plant has left.
            ConflictError: somebody else was first.
        """
        with self._lock:
            entry = self.entry(proposal_id)
            self.expire(image.time)
            self._require(proposal_id, State.PENDING)
            self._guards_hold(entry, image)
            root = self.copilot.authority.root
            given = personal_approval(envelope, root, entry.signed.digest)
            if given.decision != "approve":
                raise RefusedError(
                    "not_an_approval", "the statement rejects this proposal", "hand it to /reject"
                )
            tried = replace(entry, approvals=(*entry.approvals, dict(envelope)))
            self.copilot.authority.ledger.append("approval", envelope)
            missing = self._check(tried, image.time)
            self._entries[proposal_id] = tried
            if missing:
                return self.lives.standing(proposal_id)
            standing = self._move(
                proposal_id,
                Event(
                    to=State.APPROVED, at=image.time, actor=given.person, reason=given.reason,
                    messages=(self._order_message(proposal_id),),
                ),
            )  # fmt: skip
        return self.deliver(image.time) or standing

    def reject(self, proposal_id: str, envelope: Mapping[str, Any], at: datetime) -> Standing:
        """Take in one person's signed no; one is enough."""
        with self._lock:
            entry = self.entry(proposal_id)
            root = self.copilot.authority.root
            given = personal_approval(envelope, root, entry.signed.digest)
            if given.decision != "reject":
                raise RefusedError("not_a_rejection", "the statement does not reject this proposal")
            self.copilot.authority.ledger.append("approval", envelope)
            event = Event(to=State.REJECTED, at=at, actor=given.person, reason=given.reason)
            return self._move(proposal_id, event)

    def expire(self, now: datetime) -> None:
        """A deadline that passes means expired, never approved."""
        for proposal_id in self.lives.expire_overdue(now):
            log.info("proposal %s expired", proposal_id)

    # The gate ------------------------------------------------------------------------------

    def deliver(self, now: datetime) -> Standing | None:
        """Hand waiting orders to the gate. At least once; the gate counts each once."""
        last = None
        for message in self.lives.undelivered():
            if message.kind != "order" or self.copilot.gate is None:
                continue
            last = self._deliver_order(message, now)
        return last

    def _deliver_order(self, message: Message, now: datetime) -> Standing | None:
        proposal_id = str(message.body["proposal_id"])
        gate = self.copilot.gate
        assert gate is not None
        entry = self._entries.get(proposal_id)
        if entry is None:
            self.lives.delivered(message.key, now)
            return None
        data = self.copilot.bundle_file(entry.signed, entry.approvals)
        try:
            gate.submit(data)
        except UnavailableError as error:
            log.warning("the gate did not take %s: %s", proposal_id, error)
            return None  # it stays in the outbox
        except RefusedError as error:
            self.lives.delivered(message.key, now)
            if error.reason != "replayed":
                why = f"{error.reason}: {error.message}"
                self._move(proposal_id, Event(to=State.VOID, at=now, actor="gate", reason=why))
                raise
        self.lives.delivered(message.key, now)
        return self._move(proposal_id, Event(to=State.ROLLING_OUT, at=now, actor="gate"))

    def follow(self) -> list[dict[str, Any]]:
        """Read the gate's new reports, check their signatures, move the proposals they speak of."""
        gate = self.copilot.gate
        if gate is None:
            return []
        found = gate.reports(self._seen_reports)
        self._seen_reports = int(found["next"])
        facts = []
        for envelope in found["reports"]:
            statement = open_envelope(
                envelope, self.copilot.authority.root, "gate", statement_type=APPLIED_TYPE
            )
            fact = dict(statement.predicate)
            self.copilot.authority.ledger.append("applied", envelope)
            self._take(fact)
            facts.append(fact)
        return facts

    def _take(self, fact: Mapping[str, Any]) -> None:
        """Move the proposals that a fact speaks of, and score those that it ends."""
        digest, kind = str(fact["proposal_digest"]), str(fact["kind"])
        detail, at = fact["detail"], parse_iso(str(fact["at"]))
        if kind == "engaged":
            self._end(str(detail.get("replaces")), State.CLOSED, at, "replaced by a newer plan")
            if detail.get("stage") == "full":
                self._to(digest, State.PROMOTED, at, "goes on in the stage of its predecessor")
        elif kind == "promoted":
            self._to(digest, State.PROMOTED, at, "")
        elif kind in ENDINGS:
            self._end(digest, ENDINGS[kind], at, str(detail.get("reason", "")))

    def _to(self, digest: str, state: State, at: datetime, reason: str) -> str | None:
        proposal_id = self._by_digest.get(digest)
        if proposal_id is None:
            return None
        try:
            self._move(proposal_id, Event(to=state, at=at, actor="gate", reason=reason))
        except RefusedError as error:
            log.info("%s: %s", proposal_id, error)
        return proposal_id

    def _end(self, digest: str, state: State, at: datetime, reason: str) -> None:
        proposal_id = self._to(digest, state, at, reason)
        if proposal_id is not None:
            self._resolve(proposal_id, at, reason)

    def _resolve(self, proposal_id: str, at: datetime, reason: str) -> None:
        """Score what the proposal predicted against what came while it was in force; log it."""
        entry = self._entries[proposal_id]
        frame = self.copilot.plant.feed.frame
        site = self.copilot.plant.pack.site
        found = score(site, entry.proposal, entry.signed.digest, frame, at, reason)
        if found is None:
            return
        authority = self.copilot.authority
        subjects = {entry.proposal.target: entry.signed.digest}
        envelope = sign_statement(RESOLUTION_TYPE, subjects, found, authority.signer)
        authority.ledger.append("resolution", envelope)
        self._entries[proposal_id] = replace(entry, resolution=found)

    # Looking -------------------------------------------------------------------------------

    def entry(self, proposal_id: str) -> Entry:
        """A proposal of this run. Raises RefusedError "not_found"."""
        try:
            return self._entries[proposal_id]
        except KeyError:
            raise RefusedError("not_found", f"there is no proposal {proposal_id}") from None

    def entries(self) -> list[Entry]:
        """All proposals of this run, newest first."""
        return list(reversed(self._entries.values()))

    def covering(self, proposal_id: str) -> Covering | None:
        """The standing authorisation that this proposal's approvals grant, if they all do."""
        entry = self.entry(proposal_id)
        leaves = [self._leave(envelope) for envelope in entry.approvals]
        if not leaves or leaves[0] is None or any(item != leaves[0] for item in leaves):
            return None
        return Covering(entry.signed.digest, entry.reading, entry.approvals, leaves[0])

    def _leave(self, envelope: Mapping[str, Any]) -> Any:
        from graph.proposal import Approval

        return Approval.model_validate(self._open_approval(envelope).predicate).standing

    # Helpers -------------------------------------------------------------------------------

    def _open_approval(self, envelope: Mapping[str, Any]) -> Any:
        root = self.copilot.authority.root
        return open_envelope(envelope, root, *PERSON_ROLES, statement_type=APPROVAL_TYPE)

    def _check(self, entry: Entry, now: datetime) -> set[str]:
        """Verify the bundle as the gate will. Returns what is incomplete; raises on the rest."""
        data = self.copilot.bundle_file(entry.signed, entry.approvals)
        report = verify_bundle(data, self.copilot.authority.root, now, True)
        wrong = [c for c in report.checks if not c.ok and c.name not in INCOMPLETE]
        if wrong:
            detail = "; ".join(f"{c.name}: {c.detail}" for c in wrong)
            raise RefusedError("unverified", f"the approval does not hold: {detail}")
        return {c.name for c in report.checks if not c.ok}

    def _guards_hold(self, entry: Entry, image: Readings) -> None:
        for guard in entry.proposal.void_if:
            reading = image.values.get(guard.signal)
            value = reading.value if reading else None
            if value is None or not guard.minimum <= value <= guard.maximum:
                event = Event(to=State.VOID, at=image.time, actor=ACTOR,
                              reason=f"{guard.signal} is {value}")  # fmt: skip
                self._move(entry.signed.id, event)
                raise RefusedError(
                    "void_guard",
                    f"{guard.signal} is {value}, outside {guard.minimum}..{guard.maximum}",
                    "the plant has moved on; ask again",
                )

    def _require(self, proposal_id: str, state: State) -> None:
        found = self.lives.standing(proposal_id).state
        if found is not state:
            raise RefusedError(str(found), f"proposal {proposal_id} is {found}, not {state}")

    def _move(self, proposal_id: str, event: Event) -> Standing:
        version = self.lives.standing(proposal_id).version
        standing = self.lives.append(proposal_id, version, event)
        entry = self._entries.get(proposal_id)
        if entry is not None and entry.events is not None:
            entry.events.add("state", state=str(standing.state), reason=event.reason)
        return standing

    def _order_message(self, proposal_id: str) -> Message:
        return Message(key=f"order:{proposal_id}", kind="order", body={"proposal_id": proposal_id})
