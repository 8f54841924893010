"""The port between a decision and its agents: who runs them, and where, is an adapter's affair.

An agent is a function of a request and of nothing else: no clock, no network, no keys. So it may
run here, in an actor, or twice after a crash, and the reply is the same to the last byte.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import Field

from graph.canonical import digest
from graph.errors import PilothouseError
from graph.record import Record
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.parameters import TwinParameters


class AgentContext(Record):
    """What every agent of a run looks at; dispatchers move it once and pass a reference on."""

    site: Site
    twin: TwinParameters
    snapshot: Snapshot

    @property
    def key(self) -> str:
        """Equal for equal contexts; cheap, because the snapshot knows its digest."""
        return digest([self.snapshot.digest, self.twin.digest, self.snapshot.site_digest])


class AgentRequest(Record):
    """One question to one agent. `args` are JSON values."""

    context: AgentContext | None = None
    args: dict[str, Any] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 over what the agent was asked."""
        return digest([self.context.key if self.context else None, self.args])


class AgentReply(Record):
    """What an agent answered; `value` is a JSON value."""

    agent: str
    value: dict[str, Any]

    @property
    def digest(self) -> str:
        """sha256 over the canonical bytes of the answer."""
        return digest(self.value)


class AgentFailedError(PilothouseError):
    """An agent raised something that is nobody's named error."""


Call = tuple[str, AgentRequest]


class Dispatcher(Protocol):
    """Runs agents."""

    @property
    def ready(self) -> bool:
        """Whether a call would start at once."""
        ...

    def call(self, agent: str, request: AgentRequest) -> AgentReply:
        """Run one agent and wait for it.

        Raises:
            InputError: nobody is called `agent`.
            PilothouseError: what the agent raised, of the same class.
            AgentFailedError: it raised something else.
            UnavailableError: it died twice or cannot be reached.
        """
        ...

    def call_many(self, calls: Sequence[Call]) -> list[AgentReply]:
        """Run several agents side by side; replies in the order of the calls. Raises as `call`."""
        ...

    def close(self) -> None:
        """Let go of whatever runs."""
        ...
