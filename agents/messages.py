"""What a run of the agents leaves on the record. No wall times: a replay gives the same bytes."""

from typing import Literal

from pydantic import Field

from graph.evaluation import Finding, MarketView
from graph.plan import Plan
from graph.record import Record

Trigger = Literal["intent", "alarm", "schedule"]


class RunStep(Record):
    """One agent's part in a run."""

    order: int = Field(ge=0, description="place in the run; agents side by side share it")
    agent: str
    request_digest: str = ""
    reply_digest: str = ""
    outcome: str = Field(description="answered, failed, skipped")
    detail: str = Field("", description="the error, or why it was skipped")


class RunRecord(Record):
    """What the agents found, who had the last word, and every step on the way."""

    trigger: Trigger
    agents: tuple[str, ...] = Field(description="as routed")
    steps: tuple[RunStep, ...]
    findings: tuple[Finding, ...] = ()
    market: MarketView | None = None
    plans: tuple[Plan, ...] = ()
    verdict: Literal["proceed", "shed", "no_plan", "report"]
    decided_by: str = Field(description="the agent with the last word")
    reason: str = ""
