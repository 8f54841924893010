"""A laboratory's gate in the same process: the gate's own runtime over a plant that can be stepped.

Benchmarks and `pilothouse run` use it to save the wire, not the checks: bundles are verified
against the same root, and the same core decides.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from graph.errors import RefusedError
from graph.plant import LeasedSetpoint, Readings, WriteResult
from graph.signals import Reading
from safety.gate import core
from safety.gate.config import GateConfig
from safety.gate.intake import order_from_bundle
from safety.gate.journal import Journal
from safety.gate.routes import status_of
from safety.gate.runtime import Gate
from safety.gate.state import Mode
from safety.gate.store import StateStore
from safety.keys import Signer
from safety.trust_root import TrustRoot


class SteppedPlant(Protocol):
    """What a stepped emulator offers; see `scenarios`."""

    def advance(self, dt_s: float) -> None:
        """Move plant time on."""
        ...

    def image(self) -> Readings:
        """The present image."""
        ...

    def claim(self, gate_id: str) -> int:
        """See `PlantWriter.claim`."""
        ...

    def write(self, epoch: int, seq: int, setpoints: Sequence[LeasedSetpoint]) -> list[WriteResult]:
        """See `PlantWriter.write`."""
        ...

    def release(self, epoch: int, seq: int, points: Sequence[str]) -> list[WriteResult]:
        """See `PlantWriter.release`."""
        ...

    def heartbeat(self, epoch: int) -> None:
        """See `PlantWriter.heartbeat`."""
        ...

    @property
    def log(self) -> "MinuteLog":
        """Its own log."""
        ...


class MinuteLog(Protocol):
    """A plant's own log."""

    def history(
        self, signal: str, start: datetime | None, end: datetime | None
    ) -> list[tuple[datetime, float | None]]:
        """(time, value) of one signal with start <= time <= end."""
        ...


class DirectReader:
    """`PlantReader` on a plant in the same process."""

    def __init__(self, plant: SteppedPlant) -> None:
        self._plant = plant

    def read(self) -> Readings:
        """See `PlantReader.read`."""
        return self._plant.image()

    def history(self, signals: Sequence[str], since: datetime) -> dict[str, list[Reading]]:
        """See `PlantReader.history`."""
        log = self._plant.log
        return {
            s: [Reading(value=v, time=t) for t, v in log.history(s, since, None) if v is not None]
            for s in signals
        }

    def close(self) -> None:
        """Nothing to let go of."""


class DirectWriter:
    """`PlantWriter` on a plant in the same process."""

    def __init__(self, plant: SteppedPlant) -> None:
        self._plant = plant

    def claim(self, gate_id: str) -> int:
        """See `PlantWriter.claim`."""
        return self._plant.claim(gate_id)

    def write(self, epoch: int, seq: int, setpoints: Sequence[LeasedSetpoint]) -> list[WriteResult]:
        """See `PlantWriter.write`."""
        return self._plant.write(epoch, seq, setpoints)

    def release(self, epoch: int, seq: int, points: Sequence[str]) -> list[WriteResult]:
        """See `PlantWriter.release`."""
        return self._plant.release(epoch, seq, points)

    def heartbeat(self, epoch: int) -> None:
        """See `PlantWriter.heartbeat`."""
        self._plant.heartbeat(epoch)

    def read_back(self) -> Readings:
        """See `PlantWriter.read_back`."""
        return self._plant.image()

    def close(self) -> None:
        """Nothing to let go of."""


class LocalGate:
    """`GatePort` over the gate's runtime in this process. Laboratory configurations only."""

    def __init__(
        self, config: GateConfig, plant: SteppedPlant, root: TrustRoot, signer: Signer, folder: Path
    ) -> None:
        if not (config.lab and config.stepped):
            raise RefusedError("not_a_lab", "a gate in the service's process is for laboratories")
        from graph.canonical import digest

        self._plant, self._root = plant, root
        journal = Journal(folder / "reports.jsonl", config.gate_id, digest(config), signer)
        store = StateStore(folder / "state.json")
        self.gate = Gate(config, DirectWriter(plant), store, journal)
        self._journal = journal
        self.cycle_s = 60.0
        self.gate.start()

    def status(self) -> dict[str, Any]:
        """See `GatePort.status`."""
        return status_of(self.gate)

    def submit(self, bundle: bytes) -> dict[str, Any]:
        """See `GatePort.submit`."""
        self.gate.heard()
        self.gate.submit(lambda r: order_from_bundle(bundle, self._root, r.time))
        return self.status()

    def heartbeat(self) -> dict[str, Any]:
        """See `GatePort.heartbeat`."""
        self.gate.heard()
        return {}

    def abort(self, reason: str = "aborted", by: str = "") -> dict[str, Any]:
        """See `GatePort.abort`."""
        self.gate.act(lambda r: core.abort(self.gate.state, r.time, reason=reason, by=by))
        return self.status()

    def all_local(self, by: str = "") -> dict[str, Any]:
        """See `GatePort.all_local`."""
        gate = self.gate
        gate.act(lambda r: core.all_local(gate.state, gate.config, r, by=by))
        return self.status()

    def set_mode(self, mode: str, loop: str | None = None, by: str = "") -> dict[str, Any]:
        """See `GatePort.set_mode`."""
        gate = self.gate
        gate.act(lambda r: core.set_mode(gate.state, gate.config, Mode(mode), r, loop=loop, by=by))
        return self.status()

    def override(
        self, point: str, by: str, until: datetime | None = None, value: float | None = None
    ) -> dict[str, Any]:
        """See `GatePort.override`. Values are set at the plant's panel, not here."""
        if value is not None:
            raise RefusedError("not_a_panel", "set the value at the plant", "")
        gate = self.gate
        gate.act(
            lambda r: core.operator_hold(gate.state, gate.config, point, r.time, by=by, until=until)
        )
        return self.status()

    def hand_back(self, point: str, by: str = "") -> dict[str, Any]:
        """See `GatePort.hand_back`."""
        self.gate.act(lambda r: core.hand_back(self.gate.state, point, r.time, by=by))
        return self.status()

    def reports(self, since: int = 0) -> dict[str, Any]:
        """See `GatePort.reports`."""
        found = self._journal.since(since)
        return {"since": since, "next": since + len(found), "reports": found}

    def advance(self, seconds: float, cycle_s: float | None = None) -> dict[str, Any]:
        """See `GatePort.advance`; by default in the plant's own cycles."""
        cycles = self.gate.advance(self._plant, seconds, cycle_s or self.cycle_s)
        return {"cycles": cycles, **self.status()}
