"""A service in this process, over a stepped plant and a gate: what the tests of the API share."""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fastapi.testclient import TestClient

from agents.decision import Decision
from api.app import Service, make_app
from api.approver import sign_decision, standing_for
from api.auth import ROLES, Principal, Tokens, UserStore
from api.closed_loop import Loop
from graph.proposal import ControlProposal
from graph.snapshot import Snapshot
from safety.keys import Signer

SENTENCE = "minimise cost for the next 24 hours, keep the rooms between 20 and 24 °C"
FUTURES = 20  # with none of twenty in violation the risk is medium: one person may approve


@dataclass
class Laboratory:
    """The loop, its HTTP application, and a token a role."""

    loop: Loop
    users: UserStore
    tokens: Tokens = field(default_factory=Tokens)
    _made: tuple[Decision, Snapshot] | None = None
    _asked: Any = None

    def __post_init__(self) -> None:
        self.service = Service(self.loop.operations, self.users, self.tokens, lab=True)
        self.app = make_app(self.service)
        self.http = TestClient(self.app, raise_server_exceptions=False)

    @property
    def operations(self):
        return self.loop.operations

    @property
    def desk(self):
        return self.loop.operations.desk

    @property
    def gate(self):
        return self.loop.operations.copilot.gate

    @property
    def ledger(self):
        return self.loop.operations.copilot.authority.ledger

    @property
    def root(self):
        return self.loop.operations.copilot.authority.root

    def headers(self, role: str | None) -> dict[str, str]:
        """A bearer token with this one role; `admin` is the role, not the first user."""
        if role is None:
            return {}
        assert role in ROLES
        token = self.tokens.issue(Principal(f"the {role}", frozenset({role})))
        return {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, role: str | None = "operator", **options: Any) -> Any:
        headers = {**self.headers(role), **options.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **options)

    def get(self, path: str, role: str | None = "auditor", **options: Any) -> Any:
        return self.ask("GET", path, role, **options)

    def post(self, path: str, body: Any = None, role: str | None = "operator") -> Any:
        return self.ask("POST", path, role, json=body if body is not None else {})

    def quiet(self) -> None:
        """Nothing in force, nobody holds anything, no fault, every loop in AUTO."""
        self.loop.plant.clear_faults()
        self.operations.all_local("test")
        for point in list(self.gate.status()["holds"]):
            self.gate.hand_back(point, "test")
        self.gate.set_mode("auto", by="test")
        self.gate.advance(120)
        self.operations.tick()

    def propose(self, text: str = SENTENCE, futures: int = FUTURES) -> tuple[str, ControlProposal]:
        """A pending proposal. While plant time stands, the same question needs no new decision."""
        copilot = self.operations.copilot
        asked = (text, futures, self.loop.plant.time)
        if self._made is None or self._asked != asked:
            decision, snapshot = copilot.decide(text, "test", futures=futures)
            assert decision.proposal is not None, decision.reasons
            self._made, self._asked = (decision, snapshot), asked
        decision, snapshot = self._made
        seq = len(self.ledger) + 1
        fresh = {"id": f"microgrid-{seq:06d}", "seq": seq, "nonce": secrets.token_hex(16)}
        proposal = decision.proposal.model_copy(update=fresh)
        signed = copilot.sign(decision.model_copy(update={"proposal": proposal}), snapshot)
        self.desk.open(signed)
        return signed.id, proposal

    def approval(
        self, proposal: ControlProposal, role: str, signer: Signer | None = None,
        decision: str = "approve", standing: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """A signed statement as `pilothouse approve` makes it."""
        until = proposal.not_before + timedelta(hours=12)
        return sign_decision(
            proposal, signer or self.loop.workspace.signer("lab-approver"), decision, role, "test",
            self.loop.plant.time, standing_for(proposal, until) if standing else None,
        )  # fmt: skip

    def send(self, proposal_id: str, envelope: Any, verb: str = "approve") -> Any:
        return self.post(f"/v1/proposals/{proposal_id}/{verb}", {"envelope": envelope}, "approver")

    def approve(self, proposal_id: str, proposal: ControlProposal, standing: bool = False) -> Any:
        """Every required role, one after another; returns the last answer."""
        answers = [
            self.send(proposal_id, self.approval(proposal, role, standing=standing))
            for role in proposal.required_approvals.roles
        ]
        return answers[-1]

    def state(self, proposal_id: str) -> str:
        return self.get(f"/v1/proposals/{proposal_id}").json()["state"]


def expect_problem(answer: Any, status: int, kind: str) -> None:
    """It is an RFC 9457 document of this status and kind."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert {"type", "title", "status"} <= body.keys()
    assert body["status"] == answer.status_code
    assert (answer.status_code, body["type"]) == (status, f"urn:pilothouse:problem:{kind}"), body
