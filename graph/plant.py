"""The two ports to a plant. Reading is everyone's; writing is built in the gate's process only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import Field

from graph.record import Record, UtcTime
from graph.signals import PointState, Reading


class Readings(Record):
    """The plant's image at one moment of plant time."""

    time: UtcTime = Field(description="plant time")
    values: dict[str, Reading]
    points: dict[str, PointState] = Field(default_factory=dict, description="setpoint read-backs")
    remote_allowed: bool = Field(True, description="the plant's own local/remote switch")
    watchdog_healthy: bool = True
    epoch: int = Field(0, description="the fencing epoch that the plant's side keeps")


class LeasedSetpoint(Record):
    """One command: a value that ends by itself."""

    point: str
    value: float
    ttl_s: float = Field(gt=0, description="plant time after which the plant returns to local")


class WriteResult(Record):
    """What the plant answered to one command."""

    point: str
    accepted: bool
    reason: str = ""


class PlantReader(Protocol):
    """Reads a plant. Holds nothing that can write."""

    def read(self) -> Readings:
        """The present image. Raises UnavailableError when the plant does not answer."""
        ...

    def history(self, signals: Sequence[str], since: datetime) -> Mapping[str, list[Reading]]:
        """Recorded readings since `since` (may be empty: not every plant keeps history)."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class PlantWriter(Protocol):
    """Writes leased setpoints. Fenced: an old epoch is refused by the plant's side."""

    def claim(self, gate_id: str) -> int:
        """Become the single writer; returns the new epoch. Writes with an older one are refused."""
        ...

    def write(self, epoch: int, seq: int, setpoints: Sequence[LeasedSetpoint]) -> list[WriteResult]:
        """Write under leases; `seq` grows with each call, a smaller or equal one is refused."""
        ...

    def release(self, epoch: int, seq: int, points: Sequence[str]) -> list[WriteResult]:
        """Give points back to the plant's local law, bumplessly."""
        ...

    def heartbeat(self, epoch: int) -> None:
        """Tell the plant's watchdog that the gate lives (wall time)."""
        ...

    def read_back(self) -> Readings:
        """The image after the write."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class SteppablePlant(Protocol):
    """A plant whose time moves when told (emulators, FMUs, EnergyPlus)."""

    def advance(self, dt_s: float) -> None:
        """Move plant time forward by `dt_s` seconds."""
        ...
