"""What the core tells its driver to do. The core itself touches nothing."""

from typing import Any, Literal, NamedTuple

from pydantic import Field

from graph.errors import RefusedError
from graph.plant import LeasedSetpoint
from graph.record import Record, UtcTime
from safety.gate.state import GateState


class Write(Record):
    """Write these setpoints, each under its lease."""

    setpoints: tuple[LeasedSetpoint, ...]


class Release(Record):
    """Give these points back to the plant's local law."""

    points: tuple[str, ...]


class Alarm(Record):
    """Somebody must act. Advice is never an alarm."""

    name: str
    at: UtcTime
    text: str
    point: str = ""
    priority: Literal["low", "medium", "high"] = "medium"


class Report(Record):
    """A fact for the signed record."""

    kind: str
    at: UtcTime
    proposal_digest: str | None = None
    detail: dict[str, Any] = Field(default_factory=dict)


Command = Write | Release | Alarm | Report


class Step(NamedTuple):
    """The state afterwards and what to do now, in order."""

    state: GateState
    commands: tuple[Command, ...] = ()


class Refusal(NamedTuple):
    """A request not granted. `state` and `commands` still count: a breaker drops a loop."""

    reason: str
    message: str
    hint: str
    state: GateState
    commands: tuple[Command, ...] = ()

    def error(self) -> RefusedError:
        """The same as an exception."""
        return RefusedError(self.reason, self.message, self.hint)
