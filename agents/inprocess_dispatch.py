"""Agents run in the caller's own process, one after another: for tests, replays and the edge."""

from collections.abc import Sequence

from agents.ports import AgentReply, AgentRequest, Call
from agents.registry import run_agent


class InProcessDispatcher:
    """The plainest dispatcher. See `Dispatcher`."""

    @property
    def ready(self) -> bool:
        """Always."""
        return True

    def call(self, agent: str, request: AgentRequest) -> AgentReply:
        """See `Dispatcher.call`."""
        return run_agent(agent, request)

    def call_many(self, calls: Sequence[Call]) -> list[AgentReply]:
        """See `Dispatcher.call_many`."""
        return [run_agent(agent, request) for agent, request in calls]

    def close(self) -> None:
        """Nothing is held."""
