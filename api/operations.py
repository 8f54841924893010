"""The running service: decisions in the background, re-planning under standing authorisations, and
what to do as plant time moves.
"""

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agents.decision import Decision
from agents.safeguards import CANARY_S
from api.copilot import Copilot, Covering
from api.events import EventLog
from api.gate_port import GatePort
from api.proposals import ProposalDesk
from graph.errors import ConflictError, InputError, PilothouseError, RefusedError
from graph.plan import Plan
from safety.gate.state import Mode
from safety.lifecycle import State

log = logging.getLogger(__name__)
REPLAN_S = 3600  # hourly: forecasts of load and weather change little within an hour


@dataclass
class DecisionRecord:
    """A decision in the making or made."""

    id: str
    text: str
    actor: str
    events: EventLog = field(default_factory=EventLog)
    decision: Decision | None = None
    proposal_id: str | None = None
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.events.closed


class Operations:
    """One site's service. Thread safe."""

    def __init__(self, copilot: Copilot, desk: ProposalDesk) -> None:
        self.copilot, self.desk = copilot, desk
        self.decisions: dict[str, DecisionRecord] = {}
        self.covering: Covering | None = None
        self._replanned_at: datetime | None = None
        self._in_force: Plan | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="decision")
        self._lock = threading.RLock()
        self.facts: list[dict[str, Any]] = []
        self.missed_replans: list[str] = []
        self.unfinished: list[str] = []
        self.undecided: list[str] = []

    # Decisions -----------------------------------------------------------------------------

    def ask(self, text: str, actor: str, futures: int | None = None) -> DecisionRecord:
        """Start a decision; it runs in the background and its events tell how far it is."""
        with self._lock:
            record = DecisionRecord(f"d-{len(self.decisions) + 1:05d}", text, actor)
            self.decisions[record.id] = record
        self._pool.submit(self._run, record, futures)
        return record

    def _run(self, record: DecisionRecord, futures: int | None) -> None:
        try:
            decision, snapshot = self.copilot.decide(
                record.text, record.actor, record.events, futures=futures
            )
            record.decision = decision
            if decision.proposal is not None and snapshot is not None:
                signed = self.copilot.sign(decision, snapshot)
                record.proposal_id = signed.id
                self.desk.open(signed, record.events)
                record.events.add("proposal", id=signed.id, digest=signed.digest)
        except PilothouseError as error:
            record.error = str(error)
            record.events.add("error", message=str(error))
        except Exception as error:
            # A decision that broke is reported, not retried: nothing was sent to the plant.
            log.exception("decision %s failed", record.id)
            record.error = f"{type(error).__name__}: {error}"
            record.events.add("error", message=record.error)
        finally:
            record.events.close()

    # Plant time ----------------------------------------------------------------------------

    def tick(self, futures: int | None = None) -> None:
        """What is due now: deadlines, waiting orders, the gate's reports, the next plan."""
        image = self.copilot.observe()
        self.desk.expire(image.time)
        self.desk.deliver(image.time)
        self.facts += self.desk.follow()
        self._replan(image.time, futures)

    def engage(self, proposal_id: str) -> None:
        """Note that an approved proposal is in force, and whether it may be re-planned."""
        entry = self.desk.entry(proposal_id)
        self.covering = self.desk.covering(proposal_id)
        self._replanned_at = entry.proposal.not_before
        self._in_force = chosen_plan(entry.signed.decision)

    def disengage(self) -> None:
        """No more plans under the standing authorisation."""
        self.covering = None

    def _replan(self, now: datetime, futures: int | None) -> None:
        covering, last = self.covering, self._replanned_at
        if covering is None or last is None or now < last + timedelta(seconds=until_replan(last)):
            return
        if now >= covering.standing.until or self._taken_back():
            self.disengage()
            return
        if now + timedelta(seconds=CANARY_S) >= covering.standing.until:
            return  # the leave ends before a new plan had passed its first stage
        self._replanned_at = now
        try:
            decision, snapshot = self.copilot.decide(
                covering.reading.text,
                "service",
                covering=covering,
                incumbent=self._shifted(now),
                futures=futures,
            )
            if decision.outcome == "shed":
                # Diagnostics no longer trusts an input that the plan in force rests on, too.
                self.abort(f"shed: {'; '.join(decision.reasons)}"[:200], "diagnostics")
            if decision.proposal is None or snapshot is None:
                raise InputError(f"{decision.outcome}: {'; '.join(decision.reasons)}")
            signed = self.copilot.sign(decision, snapshot)
            self.desk.open_covered(signed, covering)
            self._in_force = chosen_plan(decision)
        except (PilothouseError, ConflictError) as error:
            # The plan in force goes on: it was approved for its whole window.
            self.missed_replans.append(f"{now.isoformat()}: {error}")
            log.warning("no new plan at %s: %s", now.isoformat(), error)

    def _taken_back(self) -> bool:
        """Whether the last order ended otherwise than by its time: then people decide first.

        An order that only ran out may be followed by the next plan under the same leave.
        """
        gate = self.copilot.gate
        status: Mapping[str, Any] = gate.status() if gate else {}
        last = status.get("last") or {}
        return not status.get("engaged") and last.get("outcome") != "completed"

    def _shifted(self, now: datetime) -> dict[str, tuple[float, ...]]:
        """The plan in force from `now` on."""
        plan = self._in_force
        if plan is None:
            return {}
        gone = int((now - plan.start).total_seconds() // plan.step_s)
        return {p: v[gone:] for p, v in plan.setpoints.items() if len(v) > gone}

    # Rollouts ------------------------------------------------------------------------------

    def abort(self, reason: str, by: str) -> Mapping[str, Any]:
        """Roll back what is in force."""
        self.disengage()
        return dict(self._gate().abort(reason, by))

    def all_local(self, by: str) -> Mapping[str, Any]:
        """Everything to the plant's local law, at once."""
        self.disengage()
        return dict(self._gate().all_local(by))

    def _gate(self) -> GatePort:
        if self.copilot.gate is None:
            raise RefusedError("no_gate", "this service has no gate", "it runs in shadow")
        return self.copilot.gate

    def plant_time(self) -> datetime | None:
        """Plant time as last seen."""
        image = self.copilot.last_image
        return None if image is None else image.time

    def recover(self) -> None:
        """After a start: nothing is resumed. Every loop goes to SHADOW, so that what an earlier run
        left in force is given back, and people decide what comes next.
        """
        in_force = (State.ROLLING_OUT, State.PROMOTED)
        self.unfinished += [
            s.proposal_id for s in self.desk.lives.standings() if s.state in in_force
        ]
        gate = self.copilot.gate
        try:
            if gate is not None:
                modes = set(dict(gate.status()["modes"]).values())
                if modes & {Mode.APPROVE.value, Mode.AUTO.value}:
                    gate.set_mode(Mode.SHADOW.value, None, "service restarted")
            self.facts += self.desk.follow()
        except PilothouseError as error:
            log.warning("the gate does not answer at the start: %s", error)
        for proposal_id in self.unfinished:
            log.warning("%s was in force when the service stopped", proposal_id)

    def close(self) -> None:
        """Finish the decision in progress and stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def until_replan(time: datetime) -> float:
    """Seconds from `time` to the next re-plan: on the full hour, where the steps of every site and
    the hours of its tariff and its comfort begin.
    """
    return REPLAN_S - time.timestamp() % REPLAN_S


def chosen_plan(decision: Decision | None) -> Plan | None:
    """The plan behind a proposal; None for one of an earlier run."""
    if decision is None or decision.shadow is None:
        return None
    return next((p for p in decision.plans if p.source == decision.shadow.candidate), None)
