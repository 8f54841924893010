"""The plant's two ports over OPC UA: one batched Read a cycle, methods for everything else.

Node ids are `s=<signal id>`; a setpoint has `#owner`, `#lease_until`, `#by` and `#until` beside
it; the object `s=plant` carries time, epoch, switch and watchdog, and the methods.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from graph.errors import UnavailableError
from graph.plant import LeasedSetpoint, Readings, WriteResult
from graph.record import parse_iso
from graph.signals import Owner, PointState, Quality, Reading
from safety.gate.opcua_link import OpcUaLink

PLANT_NODES = ("plant#time", "plant#epoch", "plant#remote_allowed", "plant#watchdog_healthy")
POINT_NODES = ("", "#owner", "#lease_until", "#by", "#until")


class OpcUaReader:
    """Reads a plant; holds nothing that can write. Implements `PlantReader`."""

    def __init__(
        self, endpoint: str, namespace: str, signals: Sequence[str], points: Sequence[str]
    ) -> None:
        self._link = OpcUaLink(endpoint, namespace)
        self._points = tuple(points)
        self._signals = tuple(s for s in signals if s not in self._points)
        self._names = (
            *PLANT_NODES,
            *self._signals,
            *(p + suffix for p in self._points for suffix in POINT_NODES),
        )

    def read(self) -> Readings:
        """See `PlantReader.read`."""
        data = self._link.read(self._names)
        when = _value(data[0])
        if not isinstance(when, datetime):
            raise UnavailableError(
                "the plant gives no time", "its node plant#time must be readable"
            )
        now = _utc(when)
        first = len(PLANT_NODES)
        values = {
            name: _reading(item, now)
            for name, item in zip(self._signals, data[first:], strict=False)
        }
        points: dict[str, PointState] = {}
        at = first + len(self._signals)
        for name in self._points:
            state = _point(data[at : at + len(POINT_NODES)])
            values[name] = _reading(data[at], now)
            if state is not None:
                points[name] = state
            at += len(POINT_NODES)
        return Readings(
            time=now,
            values=values,
            points=points,
            epoch=int(_value(data[1]) or 0),
            # What cannot be read is not granted.
            remote_allowed=bool(_value(data[2])),
            watchdog_healthy=bool(_value(data[3])),
        )

    def history(self, signals: Sequence[str], since: datetime) -> Mapping[str, list[Reading]]:
        """See `PlantReader.history`."""
        return {
            name: [_reading(item, since) for item in self._link.history(name, since)]
            for name in signals
        }

    def close(self) -> None:
        """See `PlantReader.close`."""
        self._link.close()


class OpcUaWriter(OpcUaReader):
    """Writes under leases. Implements `PlantWriter`; built in the gate's process only."""

    def claim(self, gate_id: str) -> int:
        """See `PlantWriter.claim`."""
        return int(self._link.call("claim", (gate_id, "String")))

    def write(self, epoch: int, seq: int, setpoints: Sequence[LeasedSetpoint]) -> list[WriteResult]:
        """See `PlantWriter.write`."""
        names = [s.point for s in setpoints]
        answers = self._link.call(
            "write",
            (epoch, "Int64"),
            (seq, "Int64"),
            (names, "String"),
            ([s.value for s in setpoints], "Double"),
            ([s.ttl_s for s in setpoints], "Double"),
        )
        return _results(names, answers)

    def release(self, epoch: int, seq: int, points: Sequence[str]) -> list[WriteResult]:
        """See `PlantWriter.release`."""
        names = list(points)
        answers = self._link.call("release", (epoch, "Int64"), (seq, "Int64"), (names, "String"))
        return _results(names, answers)

    def heartbeat(self, epoch: int) -> None:
        """See `PlantWriter.heartbeat`."""
        self._link.call("heartbeat", (epoch, "Int64"))

    def read_back(self) -> Readings:
        """See `PlantWriter.read_back`."""
        return self.read()


class OpcUaLab:
    """What only an emulated plant lets one do: move its time, break it, play the operator."""

    def __init__(self, endpoint: str, namespace: str) -> None:
        self._link = OpcUaLink(endpoint, namespace, timeout_s=30.0)

    def advance(self, dt_s: float) -> None:
        """See `SteppablePlant.advance`."""
        self._link.call("advance", (float(dt_s), "Double"))

    def inject_fault(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Break something."""
        self._link.call("inject_fault", (name, "String"), (json.dumps(dict(parameters)), "String"))

    def clear_faults(self) -> None:
        """Mend everything."""
        self._link.call("clear_faults")

    def operator_write(self, point: str, value: float, by: str, until: datetime | None) -> None:
        """What an operator does at the panel."""
        self._link.call(
            "operator_write",
            (point, "String"),
            (float(value), "Double"),
            (by, "String"),
            (until.isoformat() if until else "", "String"),
        )

    def operator_hand_back(self, point: str) -> None:
        """The operator lets go at the panel."""
        self._link.call("operator_hand_back", (point, "String"))

    def set_remote_allowed(self, allowed: bool) -> None:
        """Turn the plant's own local/remote switch."""
        self._link.call("set_remote_allowed", (allowed, "Boolean"))

    def close(self) -> None:
        """End the session."""
        self._link.close()


def _utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _value(item: Any) -> Any:
    return item.Value.Value if item.Value is not None else None


def _quality(item: Any) -> Quality:
    status = item.StatusCode
    if status is None or status.is_good():
        return Quality.GOOD
    return Quality.UNCERTAIN if status.is_uncertain() else Quality.BAD


def _reading(item: Any, now: datetime) -> Reading:
    value, quality = _value(item), _quality(item)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        value, quality = None, Quality.BAD
    when = _utc(item.SourceTimestamp) if item.SourceTimestamp else now
    return Reading(value=None if value is None else float(value), time=when, quality=quality)


def _point(data: Sequence[Any]) -> PointState | None:
    """The read-back, or None when the plant does not say what is in force or whose it is."""
    applied, owner = _value(data[0]), _value(data[1])
    if not isinstance(applied, (int, float)) or not math.isfinite(applied):
        return None
    if owner not in {o.value for o in Owner}:
        return None
    return PointState(
        applied=float(applied),
        owner=Owner(owner),
        lease_until=_when(data[2]),
        by=_value(data[3]) or "",
        until=_when(data[4]),
    )


def _when(item: Any) -> datetime | None:
    text = _value(item)
    return parse_iso(text) if text else None


def _results(names: Sequence[str], answers: Any) -> list[WriteResult]:
    answers = list(answers or [])
    if len(answers) != len(names):
        raise UnavailableError(f"the plant answered {len(answers)} of {len(names)} commands")
    return [
        WriteResult(point=name, accepted=not reason, reason=reason or "")
        for name, reason in zip(names, answers, strict=True)
    ]
