"""How a call of a plugin ended, and what came of it."""

from enum import StrEnum

from pydantic import Field

from graph.plan import Plan
from graph.record import Record


class Outcome(StrEnum):
    """The closed list of ends. Only OK can carry plans."""

    OK = "ok"
    DECLINED = "declined"  # the plugin itself said that it has nothing to offer, and why
    OUT_OF_FUEL = "out_of_fuel"  # too many instructions: raise `fuel`, or mend an endless loop
    DEADLINE = "deadline"  # interrupted inside the guest
    MEMORY = "memory"  # a limit on memories, tables or instances
    TRAP = "trap"  # the guest failed by itself
    BAD_OUTPUT = "bad_output"  # an answer that is not what the world says
    KILLED = "killed"  # its process did not answer in time, or died
    REFUSED = "refused"  # nothing it handed in was allowed, or it is in quarantine

    @property
    def failed(self) -> bool:
        """Whether this end counts towards quarantine."""
        return self not in (Outcome.OK, Outcome.DECLINED, Outcome.REFUSED)


class LogLine(Record):
    """What a plugin said, cut to the host's bound."""

    severity: str
    message: str


class PluginRun(Record):
    """The account of one call: what it asked, used, proposed, and was refused."""

    plugin: str = Field(description="name@version")
    component: str
    author: str
    outcome: Outcome
    detail: str = Field("", description="why, when the outcome is not ok")
    plans: tuple[Plan, ...] = ()
    refusals: tuple[str, ...] = Field((), description="each names the point and the reason")
    log: tuple[LogLine, ...] = ()
    log_dropped: int = 0
    calls: dict[str, int] = Field(default_factory=dict, description="host calls by function")
    fuel_used: int | None = None
