"""The twin as the safety filter's model: bounded disturbances, the plant's own law as backup.

Disturbances are bounded by what nine of ten sampled futures of a snapshot span at each step:
weather, loads and the twin's own errors alike. The corners that are simulated:
the expected future, and cold or hot with much or little load; rooms, tank and storage answer
monotonically to each of these, so what lies between is not worse. Errors that act on nothing else
(temperatures read wrongly) shift the bounds instead.

The terminal set is the box from which the backup law was seen to keep every limit
(`sandbox.viable_set`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graph import kpis
from graph.signals import SignalSpec
from graph.site import Limit
from graph.snapshot import Snapshot
from graph.units import canonical_unit
from sandbox.checks import TOLERANCE, running_signal
from sandbox.futures import Futures, expected_future, sample_futures
from sandbox.model_errors import TEMPERATURE
from sandbox.state_box import Box
from sandbox.twin import Twin

Array = NDArray[np.float64]
LOOK_AHEAD_H = 2.0  # longer than a heat pump's least running and standing times together
BOUND_FUTURES = 64
TAIL = 0.05  # of the futures, on either side of every step, is beyond the bounds
FREE_S = 1e9
RESERVE_H = 4.0  # hours that a start of the backup law lasts at least: its hysteresis is wide
MEAN_S = 7200


@dataclass(frozen=True)
class FilterState:
    """One plant at step k of the snapshot's horizon: x (S,), its heat pump, starts, setpoints."""

    x: Array
    running: bool
    held_s: float
    setpoints: Array
    starts: Array
    k: int


@dataclass(frozen=True)
class Bounds:
    """Corners of the disturbances, by signal (D, N), and the reading errors' reach by signal."""

    corners: Mapping[str, Array]
    reading: Mapping[str, float]
    futures: Futures

    @property
    def count(self) -> int:
        """How many corners."""
        return len(next(iter(self.corners.values())))


def disturbance_bounds(twin: Twin, snapshot: Snapshot, seed: int = 0) -> Bounds:
    """Corners of what may act on the plant over the snapshot's horizon."""
    futures = sample_futures(twin, snapshot, BOUND_FUTURES, seed)
    mean = expected_future(twin, snapshot)
    corners: dict[str, Array] = {}
    known = {spec.id for spec in twin.site.signals}
    for signal, paths in futures.w.items():
        # Heat that no model explains moves rooms and tanks, which integrate it: its mean counts.
        felt = paths if signal in known else _running_mean(paths, 2 * MEAN_S // snapshot.step_s)
        low, high = np.quantile(felt, (TAIL, 1.0 - TAIL), axis=0)
        middle = mean.w.get(signal, paths.mean(axis=0)[None])[0]
        loads = signal.split(".", 1)[0] in twin.layout.loads
        # expected; cold and hot with little load; cold and hot with much load
        rows = (low, low, high, high) if loads else (low, high, low, high)
        corners[signal] = np.stack([middle, *rows])
    reading = {
        f"{name.removesuffix(TEMPERATURE)}.temp_degc": float(np.quantile(np.abs(paths), 1.0 - TAIL))
        for name, paths in futures.output_errors.items()
    }
    return Bounds(corners, reading, futures)


class TwinFilterModel:
    """Implements `safety.filter.model.FilterModel` for one snapshot of a site."""

    def __init__(
        self, twin: Twin, snapshot: Snapshot, bounds: Bounds, terminal: Box | None = None,
        look_ahead_h: float = LOOK_AHEAD_H,
    ) -> None:  # fmt: skip
        self.twin, self.snapshot, self.bounds, self.terminal = twin, snapshot, bounds, terminal
        self.steps = max(1, round(look_ahead_h * 3600.0 / snapshot.step_s))
        self._site = twin.site

    @property
    def points(self) -> tuple[str, ...]:
        """See `FilterModel`."""
        return self.twin.layout.points

    @cached_property
    def _specs(self) -> tuple[SignalSpec, ...]:
        return tuple(self._site.signal(p) for p in self.points)

    @cached_property
    def low(self) -> Array:
        """See `FilterModel`."""
        return np.array([s.minimum for s in self._specs])

    @cached_property
    def high(self) -> Array:
        """See `FilterModel`."""
        return np.array([s.maximum for s in self._specs])

    @cached_property
    def _limits(self) -> tuple[tuple[Limit, float, float], ...]:
        """Limits with their tolerance and how far inside them a prediction must stay."""
        rows = []
        for limit in self._site.limits:
            tolerance = TOLERANCE.get(canonical_unit(self._site.signal(limit.signal).unit), 0.1)
            rows.append((limit, tolerance, self.bounds.reading.get(limit.signal, 0.0)))
        return tuple(rows)

    @cached_property
    def _counted(self) -> tuple[int, ...]:
        return tuple(i for i, s in enumerate(self._specs) if s.max_starts_per_day is not None)

    @property
    def counted(self) -> int:
        """How many points have their starts counted."""
        return len(self._counted)

    @cached_property
    def constraints(self) -> tuple[str, ...]:
        """See `FilterModel`."""
        names = []
        for limit, _, _ in self._limits:
            names += [f"{limit.signal} at least {limit.minimum:g}"] * (limit.minimum is not None)
            names += [f"{limit.signal} at most {limit.maximum:g}"] * (limit.maximum is not None)
        names += [f"{self._specs[i].id}: starts a day" for i in self._counted]
        if self.terminal is not None:
            names += [f"{n} back in the viable set" for n in self.twin.state_names]
        return tuple(names)

    def admissible(self, state: FilterState, moves: Array) -> Array:
        """See `FilterModel`."""
        found = np.clip(moves, self.low, self.high)
        for i, spec in enumerate(self._specs):
            if spec.ramp_per_s is not None:
                most = spec.ramp_per_s * self.snapshot.step_s
                near = np.clip(found[:, i], state.setpoints[i] - most, state.setpoints[i] + most)
                found[:, i] = np.clip(near, spec.minimum, spec.maximum)
            if spec.zero_or_above is not None:
                least = spec.zero_or_above
                stands = found[:, i] < least / 2.0
                found[:, i] = np.where(stands, 0.0, np.maximum(found[:, i], least))
        return np.asarray(found)

    def backup_move(self, state: FilterState) -> Array:
        """See `FilterModel`: in the expected future."""
        w = {s: v[:1, state.k : state.k + 1] for s, v in self.ahead(state.k).items()}
        rollout = self.twin.simulate(
            state.x[None], w, {}, self.time(state.k), state.running, hp_held_s=state.held_s
        )
        return np.array([float(rollout.traces[p][0, 0]) for p in self.points])

    def excess(self, state: FilterState, moves: Array) -> Array:
        """See `FilterModel`."""
        # The backup law alone stands last: starts are judged against those that it would make.
        alone = np.full((1, *moves.shape[1:]), np.nan)
        every = np.concatenate([moves, alone])[:, : self.steps]
        count, corners = len(every), self.bounds.count
        rest = {s: v[:, state.k : state.k + self.steps] for s, v in self.ahead(state.k).items()}
        table = np.repeat(every, corners, axis=0)
        size = count * corners
        rollout = self.twin.simulate(
            np.tile(state.x, (size, 1)), {s: np.tile(v, (count, 1)) for s, v in rest.items()},
            {p: table[:, :, i] for i, p in enumerate(self.points)} if table.shape[1] else {},
            self.time(state.k), state.running, hp_held_s=state.held_s,
        )  # fmt: skip
        rows = self.beyond(rollout.traces)
        rows += self._starts(state, rollout.traces, count)
        if self.terminal is not None:
            rows += list(self.terminal.beyond(rollout.final_state).T - 1.0)
        found = np.stack(rows, axis=-1).reshape(count, corners, -1).max(axis=1)
        return np.asarray(found[:-1])

    def beyond(self, traces: Mapping[str, Array], *, reading: bool = True) -> list[Array]:
        """By limit, how far each trace (F, N) goes beyond it at worst, (F,), in tolerances."""
        found = []
        for limit, tolerance, most in self._limits:
            values, reach = traces[limit.signal], most if reading else 0.0
            if limit.minimum is not None:
                found.append((limit.minimum + reach - values.min(axis=1)) / tolerance - 1.0)
            if limit.maximum is not None:
                found.append((values.max(axis=1) - limit.maximum + reach) / tolerance - 1.0)
        return found

    def _starts(self, state: FilterState, traces: Mapping[str, Array], count: int) -> list[Array]:
        """Starts beyond the allowed ones until midnight, by counted point.

        What the backup law will need after the horizon is kept in reserve. A plan that makes no
        more starts than the backup law alone is never worse, whatever is left of the allowance.
        """
        begin = self.time(state.k).astimezone(self._site.zone_info)
        midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        hours = (midnight - begin) / timedelta(hours=1)
        today = min(self.steps, max(1, round(hours * 3600.0 / self.snapshot.step_s)))
        reserve = np.ceil(max(0.0, hours - self.steps * self.snapshot.step_s / 3600.0) / RESERVE_H)
        found = []
        for column, i in enumerate(self._counted):
            spec = self._specs[i]
            signal, threshold = running_signal(self._site, spec.id)
            begun = kpis.starts(traces[signal][:, :today], threshold, state.running)
            allowed = float(spec.max_starts_per_day or 0) - reserve
            alone = np.tile(begun.reshape(count, -1)[-1], count)
            found.append(np.minimum(state.starts[column] + begun - allowed, begun - alone))
        return found

    def ahead(self, k: int) -> dict[str, Array]:
        """Corners long enough to look ahead from step k: the last value goes on."""
        need = k + self.steps
        rows = dict(self.bounds.corners)
        have = next(iter(rows.values())).shape[1]
        if have >= need:
            return rows
        return {s: np.pad(v, ((0, 0), (0, need - have)), mode="edge") for s, v in rows.items()}

    def time(self, k: int) -> datetime:
        """Begin of step k."""
        return self.snapshot.as_of + timedelta(seconds=self.snapshot.step_s * k)


def _running_mean(paths: Array, steps: int) -> Array:
    """Means over `steps` about each step, (n, N)."""
    size = min(max(1, steps), paths.shape[1])
    total = np.cumsum(np.pad(paths, ((0, 0), (1, 0))), axis=1)
    first = np.clip(np.arange(paths.shape[1]) - size // 2, 0, paths.shape[1] - size)
    return np.asarray((total[:, first + size] - total[:, first]) / size)
