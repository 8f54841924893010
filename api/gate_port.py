"""The service's view of the gate: what can be asked of it, wherever it runs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol


class GatePort(Protocol):
    """A gate. Every refusal is a RefusedError with the gate's own name for it.

    The process beside the plant answers through `safety.gate.client.GateClient`; laboratory runs
    use `api.local_gate.LocalGate`. Each call returns where the gate stands afterwards.
    """

    def submit(self, bundle: bytes) -> Mapping[str, Any]:
        """Hand over an approved bundle; it comes into force or is refused."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Modes by loop, phase, engaged order, holds, alarms, plant time."""
        ...

    def heartbeat(self) -> Mapping[str, Any]:
        """The service lives."""
        ...

    def abort(self, reason: str = "aborted", by: str = "") -> Mapping[str, Any]:
        """Roll back what is engaged."""
        ...

    def all_local(self, by: str = "") -> Mapping[str, Any]:
        """Everything back to the plant's local law, loops OFF."""
        ...

    def set_mode(self, mode: str, loop: str | None = None, by: str = "") -> Mapping[str, Any]:
        """Set one loop's mode, or every loop's."""
        ...

    def override(
        self, point: str, by: str, until: datetime | None = None, value: float | None = None
    ) -> Mapping[str, Any]:
        """A person takes a point."""
        ...

    def hand_back(self, point: str, by: str = "") -> Mapping[str, Any]:
        """A person gives a point back."""
        ...

    def reports(self, since: int = 0) -> Mapping[str, Any]:
        """The gate's signed record from index `since` on, and the `next` index."""
        ...

    def advance(self, seconds: float, cycle_s: float = 60.0) -> Mapping[str, Any]:
        """Laboratory only: move a stepped plant on, cycle by cycle."""
        ...
