"""What a learned policy sees, in physical units: plant, time, prices, and forecasts with spread.

The same code serves training and a decision: both look at a snapshot and a step of its horizon.

- plant: the twin's states, whether a heat pump runs and for how long, starts made today, and the
  setpoints in force where a ramp can hold the next one back;
- time: sine and cosine of the local hour, weekend;
- prices and carbon: now and means over the windows ahead;
- forecasts: the expected value now and over the windows, and the spread of the error paths.

Rows beyond the horizon's end are those of the same time of the day before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.kpis import comfort_edges
from graph.signals import SignalSpec
from graph.site import Site
from graph.snapshot import Forecast, Snapshot
from sandbox.twin import Twin

Array = NDArray[np.float64]
WINDOWS_H = ((0, 1), (1, 3), (3, 6), (6, 12), (12, 24))
SPREAD_WINDOWS_H = ((0, 6), (6, 24))
DAY_S = 86_400
LONGEST_HELD_H = 1.0  # beyond it a machine is free to change anyway


@dataclass(frozen=True)
class PlantState:
    """The batch's plants, rows aligned: x (F, S), running (F,), held_s (F,), starts (F, R) made
    today by counted point, setpoints (F, U) in force.
    """

    x: Array
    running: NDArray[np.bool_]
    held_s: Array
    starts: Array
    setpoints: Array


@dataclass(frozen=True)
class ObservationSpace:
    """Names of the observation's columns, of one twin: plant first, then what is known ahead."""

    twin: Twin

    @property
    def site(self) -> Site:
        """The site."""
        return self.twin.site

    @property
    def points(self) -> tuple[SignalSpec, ...]:
        """The commanded points in the twin's order."""
        return tuple(self.site.signal(p) for p in self.twin.layout.points)

    @property
    def counted(self) -> tuple[int, ...]:
        """Which points have a limit on starts a day."""
        return tuple(i for i, s in enumerate(self.points) if s.max_starts_per_day is not None)

    @property
    def ramped(self) -> tuple[int, ...]:
        """Which points cannot cross their range within a step."""
        return tuple(i for i, s in enumerate(self.points) if ramp_step(self.site, s) is not None)

    @property
    def plant_names(self) -> tuple[str, ...]:
        """Columns that depend on what was done."""
        pumps = ("running", "held_h") if self.site.of_kind("heat_pump") else ()
        starts = tuple(f"{self.points[i].id}.starts_today" for i in self.counted)
        last = tuple(f"{self.points[i].id}.in_force" for i in self.ramped)
        return (*self.twin.state_names, *pumps, *starts, *last)

    @property
    def ahead_names(self) -> tuple[str, ...]:
        """Columns that do not."""
        spans = [f"{a}-{b}h" for a, b in WINDOWS_H]
        wide = [f"{a}-{b}h" for a, b in SPREAD_WINDOWS_H]
        names = ["hour_sin", "hour_cos", "weekend"]
        if self.site.comfort is not None and self.site.comfort.hours:
            names += ["comfort_counts", *(f"comfort_counts {s}" for s in spans)]
        for series in ("import_price", "export_price", "carbon"):
            names += [series, *(f"{series} {s}" for s in spans)]
        for signal in self.twin.layout.disturbance_signals:
            names += [signal, *(f"{signal} {s}" for s in spans)]
            names += [f"{signal} spread {s}" for s in wide]
        return tuple(names)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns in order."""
        return (*self.plant_names, *self.ahead_names)

    def plant(self, state: PlantState) -> Array:
        """The plant's columns, (F, P)."""
        parts = [state.x]
        if self.site.of_kind("heat_pump"):
            held = np.minimum(state.held_s / 3600.0, LONGEST_HELD_H)
            parts += [state.running[:, None].astype(float), held[:, None]]
        parts += [state.starts, state.setpoints[:, list(self.ramped)]]
        return np.concatenate(parts, axis=1)

    def ahead(self, snapshot: Snapshot) -> Array:
        """The columns of each step of a snapshot's horizon, (N, A)."""
        steps, step_s = snapshot.horizon_steps, snapshot.step_s
        times = [snapshot.as_of + timedelta(seconds=step_s * k) for k in range(steps)]
        columns = [*_clock(self.site, times)]
        if self.site.comfort is not None and self.site.comfort.hours:
            low, _ = comfort_edges(self.site, snapshot.as_of, step_s, steps)
            columns += _windows(np.isfinite(low).astype(float), step_s, WINDOWS_H, now=True)
        prices = snapshot.prices
        for series in (prices.import_price, prices.export_price, prices.carbon_g_per_kwh):
            columns += _windows(np.asarray(series, dtype=float), step_s, WINDOWS_H, now=True)
        for signal in self.twin.layout.disturbance_signals:
            forecast = snapshot.forecast(signal)
            values = np.asarray(forecast.values, dtype=float)
            columns += _windows(values, step_s, WINDOWS_H, now=True)
            columns += _windows(_spread(forecast, steps, step_s), step_s, SPREAD_WINDOWS_H)
        return np.stack(columns, axis=1)


def ramp_step(site: Site, spec: SignalSpec) -> float | None:
    """The most that a point may move within a step; None where it may cross its range."""
    if spec.ramp_per_s is None:
        return None
    most = spec.ramp_per_s * site.step_s
    return most if most < spec.maximum - spec.minimum else None


def _clock(site: Site, times: Sequence[datetime]) -> list[Array]:
    local = [t.astimezone(site.zone_info) for t in times]
    angle = 2.0 * np.pi * np.array([t.hour + t.minute / 60.0 for t in local]) / 24.0
    weekend = np.array([float(t.weekday() >= 5) for t in local])
    return [np.sin(angle), np.cos(angle), weekend]


def _windows(
    values: ArrayLike, step_s: int, spans: Sequence[tuple[int, int]], *, now: bool = False
) -> list[Array]:
    """The value of each step, and means over the spans after it, each (N,)."""
    row = np.asarray(values, dtype=float)
    steps, day = len(row), max(1, DAY_S // step_s)
    index = np.arange(steps + day)
    # Beyond the horizon: the same time of the day before (of the last known day).
    back = np.where(index < steps, index, index - day * -(-(index - steps + 1) // day))
    longer = row[np.maximum(back, 0)]
    total = np.concatenate([[0.0], np.cumsum(longer)])
    found = [row] if now else []
    for begin_h, end_h in spans:
        begin = begin_h * 3600 // step_s
        end = max(begin + 1, end_h * 3600 // step_s)
        at = np.arange(steps)
        first, last = np.minimum(at + begin, len(longer) - 1), np.minimum(at + end, len(longer))
        found.append((total[last] - total[first]) / (last - first))
    return found


def _spread(forecast: Forecast, steps: int, step_s: int) -> Array:
    """Standard deviation of the error paths at each step's lead, (N,)."""
    paths = np.asarray(forecast.error_paths, dtype=float)
    leads = forecast.error_step_s * np.arange(paths.shape[1] + 1)
    deviation = np.concatenate([[0.0], paths.std(axis=0)])
    return np.asarray(np.interp(step_s * np.arange(1, steps + 1), leads, deviation))
