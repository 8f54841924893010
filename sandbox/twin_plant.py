"""The twin dressed as a plant: images, leases, ownership and an epoch, stepped in plant time.

It lets the gate's own code run against the model. It keeps the plant's side of the contract:
an old epoch or sequence is refused, a lease that is over returns its point to the local law, an
operator's point takes no writes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.plant import LeasedSetpoint, Readings, WriteResult
from graph.signals import Owner, PointState, Reading, Role
from graph.snapshot import Snapshot
from sandbox.futures import expected_future
from sandbox.scenario import heat_pump_state
from sandbox.twin import Twin

DEFAULT_NOISE = {"degC": 0.02, "%": 0.05}  # one minute's sensor scatter where no fit tells it


class TwinPlant:
    """One run of the expected future from a snapshot, with scatter on the sensors."""

    def __init__(self, twin: Twin, snapshot: Snapshot, start: datetime, seed: int) -> None:
        """`start`: plant time of the first image, at or after the snapshot's."""
        self.twin = twin
        self.time = start
        self.epoch = 0
        self._seq = -1
        self._begin = snapshot.as_of
        self._future = expected_future(twin, snapshot)
        self._x = self._future.x0
        self._on, self._held = heat_pump_state(twin, snapshot)
        self._generator = np.random.default_rng(np.random.SeedSequence(seed))
        self._noise = self._sensor_noise()
        known = twin.layout.points
        self.points = {
            # What an earlier order commands is no part of this trial: it starts from local law.
            p: s if s.owner is Owner.OPERATOR else PointState(applied=s.applied, owner=Owner.LOCAL)
            for p, s in snapshot.points.items()
            if p in known
        }
        self._values = {
            s: Reading(value=r.value, time=max(r.time, start), quality=r.quality)
            for s, r in snapshot.readings.items()
        }

    def read(self) -> Readings:
        """The present image."""
        return Readings(
            time=self.time, values=dict(self._values), points=dict(self.points), epoch=self.epoch
        )

    def claim(self) -> int:
        """A new epoch for a new writer."""
        self.epoch += 1
        return self.epoch

    def write(self, epoch: int, seq: int, setpoints: Sequence[LeasedSetpoint]) -> list[WriteResult]:
        """Take leased setpoints; see the module's text for refusals."""
        results = []
        for item in setpoints:
            reason = self._refusal(epoch, seq, item.point)
            if not reason:
                until = self.time + timedelta(seconds=item.ttl_s)
                self.points[item.point] = PointState(
                    applied=item.value, owner=Owner.REMOTE, lease_until=until
                )
            results.append(WriteResult(point=item.point, accepted=not reason, reason=reason))
        self._seq = max(self._seq, seq)
        return results

    def release(self, epoch: int, seq: int, points: Sequence[str]) -> list[WriteResult]:
        """Give points back to the local law."""
        results = []
        for point in points:
            reason = self._refusal(epoch, seq, point)
            if not reason:
                self._to_local(point)
            results.append(WriteResult(point=point, accepted=not reason, reason=reason))
        self._seq = max(self._seq, seq)
        return results

    def advance(self, dt_s: float) -> None:
        """Move plant time forward; leases that are over end first."""
        for point, state in self.points.items():
            if state.lease_until is not None and state.lease_until <= self.time:
                self._to_local(point)
        elapsed = (self.time - self._begin).total_seconds()
        k = int(elapsed // self.twin.site.step_s)
        w = {s: v[:, min(k, v.shape[1] - 1)][:, None] for s, v in self._future.w.items()}
        commands = {p: [s.applied] for p, s in self.points.items() if s.owner is not Owner.LOCAL}
        rollout = self.twin.simulate(
            self._x, w, commands, self.time, self._on, hp_held_s=self._held, step_s=dt_s
        )
        self._x = rollout.final_state
        self._on, self._held = bool(rollout.hp_on[0]), float(rollout.hp_held_s[0])
        self.time += timedelta(seconds=dt_s)
        self._take(rollout.traces)

    def _take(self, traces: dict[str, NDArray[np.float64]]) -> None:
        for spec in self.twin.site.signals:
            if spec.id not in traces:
                continue
            value = float(traces[spec.id][0, -1])
            if spec.role is not Role.SETPOINT:
                scatter = self._noise.get(spec.id, 0.0) * float(self._generator.standard_normal())
                value = min(max(value + scatter, spec.minimum), spec.maximum)
            elif self.points[spec.id].owner is Owner.LOCAL:
                self.points[spec.id] = PointState(applied=value, owner=Owner.LOCAL)
            else:
                value = self.points[spec.id].applied
            self._values[spec.id] = Reading(value=value, time=self.time)

    def _refusal(self, epoch: int, seq: int, point: str) -> str:
        if epoch != self.epoch:
            return "stale_epoch"
        if seq <= self._seq:
            return "replayed_seq"
        if point not in self.points:
            return "unknown_point"
        return "operator_hold" if self.points[point].owner is Owner.OPERATOR else ""

    def _to_local(self, point: str) -> None:
        applied = self.points[point].applied
        self.points[point] = PointState(applied=applied, owner=Owner.LOCAL)

    def _sensor_noise(self) -> dict[str, float]:
        fitted = self.twin.parameters.report.get("measurement_std", {})
        sensors = self.twin.layout.sensors
        unit = {s: self.twin.site.signal(s).unit for s in sensors}
        return {s: float(fitted.get(s, DEFAULT_NOISE.get(unit[s], 0.0))) for s in sensors}
