"""The plant's side of the writing port, whatever stands behind it: claims, leases, the watchdog,
people at the panel, the image. Subclasses move time, own the physics and take the samples.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from graph.clock import Clock, SystemClock
from graph.errors import InputError, RefusedError
from graph.plant import LeasedSetpoint, Readings, WriteResult
from graph.record import as_utc
from graph.signals import Owner, PointState, Quality, Reading
from scenarios.plant_log import PlantLog
from scenarios.points import PointTable
from scenarios.sensors import Sensors


class LeasedPlant(ABC):
    """A steppable plant with owners, leases, fencing and a watchdog of its own.

    A subclass sets `log`, `_table`, `_sensors`, `_now` and `_sampled` (epoch seconds of plant time
    and of the last sample).

    Args:
        clock: wall time for the watchdog.
        watchdog_s: wall seconds without a heartbeat after which all points turn local; infinite
            for stepped runs that must not depend on wall time.
    """

    log: PlantLog
    _table: PointTable
    _sensors: Sensors
    _now: float
    _sampled: float

    def __init__(self, clock: Clock | None, watchdog_s: float) -> None:
        self._clock = clock or SystemClock()
        self._watchdog_s = watchdog_s
        self._last_heartbeat = -math.inf
        self.watchdog_healthy = True

    @property
    def time(self) -> datetime:
        """Plant time, UTC."""
        return _datetime(self._now)

    def arm_watchdog(self, watchdog_s: float) -> None:
        """Let the watchdog wait so many wall seconds for a heartbeat; it starts to count now."""
        self._watchdog_s = watchdog_s
        self._last_heartbeat = self._clock.monotonic()

    @abstractmethod
    def advance(self, dt_s: float) -> None:
        """Move plant time forward by `dt_s` seconds."""

    @abstractmethod
    def inject_fault(self, name: str, **parameters: Any) -> None:
        """Break something. Raises InputError for what this plant cannot show."""

    @abstractmethod
    def clear_faults(self) -> None:
        """Mend everything."""

    # --- reading ------------------------------------------------------------------------------

    def image(self) -> Readings:
        """Everything that the plant says just now (`Readings`)."""
        sampled, now = _datetime(self._sampled), self.time
        values: dict[str, Reading] = {}
        for name in self.log.signals:
            point = self._table.points.get(name)
            if point is not None:
                values[name] = Reading(value=point.applied, time=now)
                continue
            value = self._sensors.values[name]
            quality = Quality.GOOD if value is not None else Quality.BAD
            values[name] = Reading(value=value, time=sampled, quality=quality)
        return Readings(
            time=now, values=values, points=self.point_states(),
            remote_allowed=self._table.remote_allowed, watchdog_healthy=self.watchdog_healthy,
            epoch=self._table.epoch,
        )  # fmt: skip

    def point_states(self) -> dict[str, PointState]:
        """Read-back of every setpoint."""
        return {
            name: PointState(
                applied=p.applied, owner=p.owner, lease_until=_when(p.lease_until), by=p.by,
                until=_when(p.until),
            )
            for name, p in self._table.points.items()
        }  # fmt: skip

    def write_log(self, path: Path) -> None:
        """The log since the start of the run as CSV."""
        self.log.write(path)

    # --- writing ------------------------------------------------------------------------------

    def claim(self, gate_id: str) -> int:
        """Become the single writer; see `PlantWriter.claim`. Raises InputError without a name."""
        if not gate_id:
            raise InputError("a claim needs the gate's name")
        epoch = self._table.claim()
        self._last_heartbeat = self._clock.monotonic()
        self.watchdog_healthy = True
        return epoch

    def write(self, epoch: int, seq: int, setpoints: Sequence[LeasedSetpoint]) -> list[WriteResult]:
        """See `PlantWriter.write`; refusals are named in the results."""
        self.check_watchdog()
        if not self.watchdog_healthy:
            return [
                WriteResult(point=s.point, accepted=False, reason="stale_epoch") for s in setpoints
            ]
        return self._table.write(epoch, seq, setpoints, self._now)

    def release(self, epoch: int, seq: int, points: Sequence[str]) -> list[WriteResult]:
        """See `PlantWriter.release`."""
        return self._table.release(epoch, seq, points)

    def heartbeat(self, epoch: int) -> None:
        """The gate lives. Raises RefusedError("stale_epoch") for an epoch that is over."""
        self._table.check_epoch(epoch)
        self.check_watchdog()
        if not self.watchdog_healthy:
            raise RefusedError("stale_epoch", "the watchdog has tripped", "claim the plant again")
        self._last_heartbeat = self._clock.monotonic()

    def check_watchdog(self) -> bool:
        """All points turn local if the gate has been silent for too long; whether it is healthy."""
        remote = any(p.owner is Owner.REMOTE for p in self._table.points.values())
        if remote and self._clock.monotonic() - self._last_heartbeat > self._watchdog_s:
            self._table.all_local()
            self.watchdog_healthy = False
        return self.watchdog_healthy

    def operator_write(
        self, point: str, value: float, by: str, until: datetime | None = None
    ) -> None:
        """A person takes a point at the plant itself. Raises InputError."""
        end = None if until is None else as_utc(until).timestamp()
        if end is not None and end <= self._now:
            raise InputError(f"the hold of {point} would end at {until}, before it begins")
        self._table.operator_write(point, value, by, end)

    def operator_hand_back(self, point: str) -> None:
        """The person lets go of the point. Raises InputError when nobody holds it."""
        self._table.operator_hand_back(point)

    def set_remote_allowed(self, allowed: bool) -> None:
        """The plant's local/remote switch."""
        self._table.set_remote_allowed(allowed)

    def close(self) -> None:  # noqa: B027 (most plants hold nothing)
        """Let go of what stands behind the plant; nothing, for most."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _set_ignoring(self, names: set[str]) -> None:
        for name, point in self._table.points.items():
            point.ignoring = name in names


def _datetime(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=epoch_s)


def _when(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else _datetime(epoch_s)
