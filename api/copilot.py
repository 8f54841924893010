"""The service's core: reads the plant, decides, signs, asks for approval, hands over to the gate.

It holds the service's signing key and no handle that can write to the plant. HTTP, the command line
and the benchmarks all talk to this one object.
"""

import logging
import math
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agents.decision import Decision, World, decide
from agents.ports import Dispatcher
from agents.proposal_builder import ProposalFrame
from agents.snapshot_builder import SiteContext, build_snapshot
from agents.telemetry_feed import TelemetryFeed
from api.events import EventLog
from api.gate_port import GatePort
from api.plugins_store import plans_from_plugins
from api.second_reader import configured_reader
from api.site_policy import policy_or_reason
from api.workspace import Workspace
from graph.errors import RefusedError, UnavailableError
from graph.intent import Reading
from graph.plant import PlantReader, Readings
from graph.proposal import StandingAuthorisation
from graph.record import parse_iso
from graph.signals import Owner
from graph.sitepack import SitePack
from graph.snapshot import Forecast, Snapshot
from planner.intent.second_reader import read_twice
from safety.bundle import Attachments, Bundle, bundle_bytes, make_bundle
from safety.keys import Signer
from safety.ledger import Ledger
from safety.policy import declared_rules, with_core
from safety.policy_input import Mode
from safety.signing import proposal_digest, sign_proposal
from safety.trust_root import TrustRoot

log = logging.getLogger(__name__)

MIN_HORIZON_S = 24 * 3600  # shorter ones drain the storages at their end
MAX_HORIZON_S = 48 * 3600  # forecasts of ours carry little beyond two days


@dataclass(frozen=True)
class Covering:
    """An approved proposal whose standing authorisation covers the next plans."""

    digest: str
    reading: Reading
    approvals: tuple[dict[str, Any], ...]
    standing: StandingAuthorisation


@dataclass(frozen=True)
class Signed:
    """A proposal as it left the service."""

    id: str
    digest: str
    envelope: dict[str, Any]
    attachments: Attachments
    decision: Decision | None = None


@dataclass
class Plant:
    """The site, its twin, and where readings come from."""

    pack: SitePack
    context: SiteContext
    reader: PlantReader
    feed: TelemetryFeed


@dataclass
class Authority:
    """What the service signs with and logs to."""

    workspace: Workspace
    root: TrustRoot
    signer: Signer
    ledger: Ledger


class Copilot:
    """One site's copilot. Decisions run one at a time; everything else may be called freely."""

    def __init__(
        self, plant: Plant, authority: Authority, dispatcher: Dispatcher, gate: GatePort | None
    ) -> None:
        self.plant, self.authority = plant, authority
        self.dispatcher, self.gate = dispatcher, gate
        self.policies = with_core(plant.pack.policies)
        self.rules = declared_rules(self.policies)
        self._one_decision = threading.Lock()
        self.last_image: Readings | None = None
        self.policy_refused = ""  # why the pack's learned policy was left out last

    @property
    def site(self) -> Any:
        """The site's declaration."""
        return self.plant.pack.site

    def observe(self) -> Readings:
        """Read the plant once and take its history in."""
        image = self.plant.reader.read()
        self.plant.feed.update(self.plant.reader, image.time)
        self.last_image = image
        return image

    def compile(self, text: str, actor: str, now: datetime) -> Reading:
        """The intent compiler on this site, with a second reading where one is configured."""
        return read_twice(text, self.plant.pack.site, now, actor, configured_reader())

    def snapshot(
        self, image: Readings, until: datetime,
        incumbent: Mapping[str, tuple[float, ...]] | None = None,
        forecasts: tuple[Forecast, ...] | None = None,
    ) -> Snapshot:  # fmt: skip
        """Freeze `image` with forecasts until `until`, at least a day, and with the points that
        people hold at the gate.
        """
        seconds = (until - image.time).total_seconds()
        seconds = min(max(seconds, MIN_HORIZON_S), MAX_HORIZON_S)
        steps = math.ceil(seconds / self.plant.pack.site.step_s)
        image = self._with_holds(image)
        return build_snapshot(
            self.plant.context, image, self.plant.feed, steps, incumbent, forecasts
        )

    def _with_holds(self, image: Readings) -> Readings:
        """The image in which a point that was taken at the gate is a person's, as at the panel.

        The plant itself shows only what was taken at its own panel.
        """
        if self.gate is None:
            return image
        try:
            taken = self.gate.status().get("holds") or {}
        except UnavailableError as error:
            log.warning("nobody can say what is held at the gate: %s", error)
            return image  # the gate refuses an order for a held point all the same
        points = dict(image.points)
        for point, hold in taken.items():
            until = hold.get("until")
            points[point] = points[point].model_copy(
                update={
                    "owner": Owner.OPERATOR,
                    "by": hold["by"],
                    # Taken at the gate, not set at the panel: the plant's own law goes on there.
                    "local_law": points[point].owner is not Owner.OPERATOR,
                    "until": parse_iso(until) if until else None,
                }
            )
        return image.model_copy(update={"points": points})

    def decide(
        self, text: str, actor: str, events: EventLog | None = None,
        covering: Covering | None = None, futures: int | None = None,
        incumbent: Mapping[str, tuple[float, ...]] | None = None,
    ) -> tuple[Decision, Snapshot | None]:  # fmt: skip
        """From words to a complete predicate, or to the reason why there is none."""
        events = events or EventLog()
        with self._one_decision:
            image = self.observe()
            reading = covering.reading if covering else self.compile(text, actor, image.time)
            events.add("intent", restatement=reading.restatement, questions=list(reading.questions))
            if reading.intent is None:
                return Decision(
                    outcome="needs_answer", reasons=reading.questions, reading=reading
                ), None
            snapshot = self.snapshot(image, reading.intent.end, incumbent)
            events.add("snapshot", digest=snapshot.digest, as_of=image.time.isoformat())
            site = self.plant.pack.site
            world = self.world
            if self.policy_refused:
                events.add("learned_policy", refused=self.policy_refused)
            decision = decide(
                world, snapshot, reading,
                self.frame(snapshot, reading, covering), self.dispatcher,
                futures or site.autonomy.futures,
                lambda kind, data: events.add(kind, **dict(data)),
                plans_from_plugins(self.authority.workspace, snapshot, site),
            )  # fmt: skip
            events.add("decision", outcome=decision.outcome, reasons=list(decision.reasons))
            return decision, snapshot

    @property
    def world(self) -> World:
        """What every decision here stands on besides its snapshot."""
        plant = self.plant
        policy, self.policy_refused = policy_or_reason(
            plant.pack, plant.context.twin, self.authority.root
        )
        return World(plant.pack.site, plant.context.twin, self.policies, self.rules, policy)

    def frame(
        self, snapshot: Snapshot, reading: Reading, covering: Covering | None
    ) -> ProposalFrame:
        """Identity and times of the next proposal, in plant time."""
        assert reading.intent is not None
        autonomy = self.plant.pack.site.autonomy
        seq = len(self.authority.ledger) + 1
        start = snapshot.as_of
        expires = min(reading.intent.end, start + timedelta(seconds=autonomy.proposal_valid_s))
        if covering is not None:
            expires = min(expires, covering.standing.until)
        decide_by = min(start + timedelta(seconds=autonomy.decision_deadline_s), expires)
        mode: Mode = "auto" if covering else "approve" if self.gate else "shadow"
        return ProposalFrame(
            id=f"{self.plant.pack.site.id}-{seq:06d}", seq=seq, nonce=secrets.token_hex(16),
            not_before=start, expires=expires, decide_by=decide_by, seed=seq, mode=mode,
            under=covering.digest if covering else None,
        )  # fmt: skip

    def sign(self, decision: Decision, snapshot: Snapshot) -> Signed:
        """Sign a finished proposal and write it to the ledger: the prediction is now committed."""
        proposal = decision.proposal
        if proposal is None:
            raise RefusedError("no_proposal", f"the decision ended as {decision.outcome}")
        digest = proposal_digest(proposal)
        envelope = sign_proposal(proposal, self.authority.signer)
        self.authority.ledger.append("proposal", envelope)
        pack = self.plant.pack
        attachments = Attachments(
            snapshot=snapshot.model_dump(mode="json"),
            site=pack.site.model_dump(mode="json"),
            policies=dict(self.policies),
            twin=self.plant.context.twin.parameters.model_dump(mode="json"),
        )
        return Signed(proposal.id, digest, envelope, attachments, decision)

    def bundle(self, signed: Signed, approvals: tuple[dict[str, Any], ...]) -> Bundle:
        """The proposal with its approvals, attachments and proofs of inclusion."""
        return make_bundle(self.authority.ledger, signed.envelope, approvals, signed.attachments)

    def bundle_file(self, signed: Signed, approvals: tuple[dict[str, Any], ...]) -> bytes:
        """Canonical bytes of the bundle, kept under the proposal's id."""
        data = bundle_bytes(self.bundle(signed, approvals))
        folder = self.authority.workspace.proposals
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{signed.id}.json").write_bytes(data)
        return data
