"""Who commands each setpoint: ownership, leases, fencing by epoch, sequence numbers, overrides.

All times here are plant time in epoch seconds. A point that falls back to the local law starts
from the value in force and moves to the law's value at the point's ramp: no bump.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graph.errors import InputError, RefusedError
from graph.plant import LeasedSetpoint, WriteResult
from graph.signals import Owner, SignalSpec


@dataclass(slots=True)
class Point:
    """One setpoint as the plant holds it."""

    applied: float
    owner: Owner = Owner.LOCAL
    lease_until: float | None = None
    by: str = ""
    until: float | None = None
    ignoring: bool = False  # a fault: commands are accepted and have no effect

    def to_local(self) -> None:
        """Hand the point to the local law."""
        self.owner, self.lease_until, self.by, self.until = Owner.LOCAL, None, "", None


class PointTable:
    """The plant's side of writing. The order of the checks is the order of the reasons given."""

    def __init__(self, specs: Sequence[SignalSpec], initial: Mapping[str, float]) -> None:
        self.specs = {s.id: s for s in specs}
        self.points = {s.id: Point(initial[s.id]) for s in specs}
        self.epoch = 0
        self.last_seq = -1
        self.remote_allowed = True

    def claim(self) -> int:
        """A new epoch: writes with an older one are refused from now on."""
        self.epoch += 1
        self.last_seq = -1
        return self.epoch

    def write(
        self, epoch: int, seq: int, setpoints: Sequence[LeasedSetpoint], now: float
    ) -> list[WriteResult]:
        """Apply each setpoint that may be applied, under its lease."""
        fenced = self._fence(epoch, seq)
        results = []
        for item in setpoints:
            reason = fenced or self._refusal(item)
            if not reason:
                point = self.points[item.point]
                if not point.ignoring:
                    point.applied = item.value
                point.owner, point.lease_until = Owner.REMOTE, now + item.ttl_s
            results.append(WriteResult(point=item.point, accepted=not reason, reason=reason))
        return results

    def release(self, epoch: int, seq: int, points: Sequence[str]) -> list[WriteResult]:
        """Give remote points back to the local law; local ones stay local."""
        fenced = self._fence(epoch, seq)
        results = []
        for name in points:
            point = self.points.get(name)
            reason = fenced or ("unknown_point" if point is None else "")
            if not reason and point is not None:
                if point.owner is Owner.OPERATOR:
                    reason = "operator_hold"
                else:
                    point.to_local()
            results.append(WriteResult(point=name, accepted=not reason, reason=reason))
        return results

    def operator_write(self, name: str, value: float, by: str, until: float | None) -> None:
        """A person takes the point and sets it; it stays theirs until handed back or `until`.

        Raises:
            InputError: unknown point, value out of range, no name.
        """
        reason = self._value_refusal(name, value)
        if reason:
            raise InputError(f"{name} = {value}: {reason}", self._range(name))
        if not by:
            raise InputError("an override needs the operator's name")
        self.points[name] = Point(value, Owner.OPERATOR, None, by, until)

    def operator_hand_back(self, name: str) -> None:
        """The person lets go: back to the local law. Raises InputError for a point not held."""
        point = self.points.get(name)
        if point is None or point.owner is not Owner.OPERATOR:
            raise InputError(f"no operator holds {name}")
        point.to_local()

    def set_remote_allowed(self, allowed: bool) -> None:
        """The local/remote switch; off ends all leases at once."""
        self.remote_allowed = allowed
        if not allowed:
            self.all_local()

    def all_local(self) -> None:
        """End every lease; operators keep what they hold."""
        for point in self.points.values():
            if point.owner is Owner.REMOTE:
                point.to_local()

    def expire(self, now: float) -> None:
        """Leases and holds whose time has come end."""
        for point in self.points.values():
            end = point.until if point.lease_until is None else point.lease_until
            if end is not None and now >= end:
                point.to_local()

    def follow(self, name: str, wanted: float, dt: float) -> None:
        """The local law wants `wanted`: move there if the point is local, at its ramp."""
        point, spec = self.points[name], self.specs[name]
        if point.owner is not Owner.LOCAL:
            return
        semi = spec.zero_or_above
        if spec.ramp_per_s is None or (semi and (wanted == 0.0 or point.applied < semi)):
            point.applied = wanted
            return
        step = spec.ramp_per_s * dt
        point.applied = min(max(wanted, point.applied - step), point.applied + step)

    def check_epoch(self, epoch: int) -> None:
        """Raises RefusedError unless `epoch` is the current one."""
        if epoch != self.epoch:
            raise RefusedError("stale_epoch", f"epoch {epoch}; the plant is at {self.epoch}")

    def _fence(self, epoch: int, seq: int) -> str:
        if epoch != self.epoch or epoch == 0:
            return "stale_epoch"
        if seq <= self.last_seq:
            return "replayed_seq"
        self.last_seq = seq
        return ""

    def _refusal(self, item: LeasedSetpoint) -> str:
        reason = self._value_refusal(item.point, item.value)
        if reason:
            return reason
        if not (math.isfinite(item.ttl_s) and item.ttl_s > 0):
            return "bad_value"
        if self.points[item.point].owner is Owner.OPERATOR:
            return "operator_hold"
        return "" if self.remote_allowed else "local_only"

    def _value_refusal(self, name: str, value: float) -> str:
        spec = self.specs.get(name)
        if spec is None:
            return "unknown_point"
        if not math.isfinite(value):
            return "bad_value"
        if not spec.minimum <= value <= spec.maximum:
            return "out_of_range"
        semi = spec.zero_or_above
        return "out_of_range" if semi is not None and 0.0 < value < semi else ""

    def _range(self, name: str) -> str:
        spec = self.specs.get(name)
        if spec is None:
            return f"known points: {', '.join(self.specs)}"
        above = f", 0 or at least {spec.zero_or_above:g}" if spec.zero_or_above else ""
        return f"expected {spec.minimum:g} to {spec.maximum:g} {spec.unit}{above}"
