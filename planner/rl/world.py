"""Many plants stepped side by side: the core of the environment, without any framework.

Every plant is one episode (`episodes`) played in the twin. A step takes the setpoints that the
actions ask for, simulates one step of the site, and returns what it was worth (`reward`).
Deterministic: the same episodes and actions give the same bytes, whatever plays beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.site import BaselineLaw
from planner.rl.actions import ActionSpace, action_space
from planner.rl.episodes import Episode, Moment, check_lengths
from planner.rl.observation import ObservationSpace, PlantState
from planner.rl.reward import Worth, step_worth
from sandbox.checks import running_signal
from sandbox.scenario import heat_pump_state, with_output_errors
from sandbox.state_box import limit_box

Array = NDArray[np.float64]
NEAR = 0.08  # of a state's range between the site's limits: there the plant's own law takes over


@dataclass
class Played:
    """What became of the plants so far: setpoints (k, F, U) and traces by signal (k, F)."""

    setpoints: list[Array]
    traces: list[Mapping[str, Array]]


class BatchWorld:
    """F episodes of one length, side by side."""

    def __init__(self, space: ObservationSpace) -> None:
        self.space = space
        self.actions: ActionSpace = action_space(space)
        self.episodes: list[Episode] = []
        self.k = 0
        whole = limit_box(space.twin)
        reach = NEAR * (whole.high - whole.low)
        # Storage that its own electronics keep needs no law to keep it.
        reach[[n.endswith("soc_pct") for n in whole.names]] = -np.inf
        self._inner = replace(whole, low=whole.low + reach, high=whole.high - reach)
        self._timeless = space.site.twin.kind == "energy_hub" and not timetable(space.site.baseline)

    def reset(self, episodes: Sequence[Episode]) -> Array:
        """Begin; returns the observations (F, D)."""
        self.steps = check_lengths(episodes)
        self.episodes, self.k = list(episodes), 0
        self.played = Played([], [])
        moments = [e.moment for e in self.episodes]
        snapshots = [m.snapshot for m in moments]
        pumps = [heat_pump_state(self.space.twin, s) for s in snapshots]
        points = self.actions.points
        self.state = PlantState(
            x=np.stack([e.x0 for e in self.episodes]),
            running=np.array([on for on, _ in pumps]),
            held_s=np.array([held for _, held in pumps]),
            starts=np.array([[float(s.starts_today.get(points[i], 0)) for i in self.space.counted]
                             for s in snapshots]).reshape(len(snapshots), -1),
            setpoints=np.array([[s.points[p].applied for p in points] for s in snapshots]),
        )  # fmt: skip
        # What settlement starts from, as the sensors show it.
        names = self.space.twin.state_names
        self._shown = {s: self.state.x[:, names.index(n)]
                       for s, n in self.space.twin.layout.state_of.items()}  # fmt: skip
        self._ahead = np.stack([m.ahead for m in moments])
        self._prices = np.stack([m.prices for m in moments], axis=1)
        self._midnight = np.stack([m.midnight for m in moments])
        self._w = _stacked([e.w for e in self.episodes])
        self._errors = _stacked([e.output_errors for e in self.episodes])
        self._peak = np.array([s.prices.peak_so_far_kw for s in snapshots])
        self._starts_at = [s.as_of for s in snapshots]
        return self.observe()

    @property
    def done(self) -> bool:
        """Whether the horizon is over."""
        return self.k >= self.steps

    def observe(self) -> Array:
        """Observations (F, D) of the present; after the end those of its last step."""
        ahead = self._ahead[:, min(self.k, self.steps - 1)]
        return np.concatenate([self.space.plant(self.state), ahead], axis=1)

    def step(self, actions: Array) -> Worth:
        """One step under actions (F, U) in [-1, 1]; near a limit the plant's own law takes over.

        That is what the safety filter comes to there, at no cost: a policy learns to live with it
        in place of learning to avoid what it will never be let into.
        """
        setpoints = self.actions.setpoints(actions, self.state.setpoints)
        near = np.asarray((self._inner.beyond(self.state.x) > 0.0).any(axis=1))
        return self.apply(np.where(near[:, None], np.nan, setpoints))

    def apply(self, setpoints: Array) -> Worth:
        """One step under setpoints (F, U); NaN leaves a point to the plant's own law."""
        k = self.k
        x, running, held, traces = self._simulate(setpoints)
        in_force = np.stack([traces[p][:, 0] for p in self.actions.points], axis=1)
        starts, begun = self._starts(traces)
        worth, self._peak = step_worth(
            self.space.site, traces, self._shown,
            self._starts_at[0] + timedelta(seconds=self.space.site.step_s * k),
            self._prices[:, :, k], self._prices[0].min(axis=1), self._prices[0].mean(axis=1),
            self._peak, begun,
        )  # fmt: skip
        self.state = PlantState(x, running, held, starts, in_force)
        self._shown = {s: traces[s][:, 0] for s in self._shown}
        self.played.setpoints.append(setpoints)
        self.played.traces.append({s: v[:, 0] for s, v in traces.items()})
        self.k += 1
        return worth

    def renew(self, moments: Sequence[Moment]) -> None:
        """From now on the plants' forecasts are those of `moments`, each made at this step."""
        for i, moment in enumerate(moments):
            rest = self.steps - self.k
            self._ahead[i, self.k :] = moment.ahead[:rest]

    def traces(self) -> dict[str, Array]:
        """What was played so far, by signal (F, k)."""
        rows = self.played.traces
        return {s: np.stack([r[s] for r in rows], axis=1) for s in rows[0]}

    def _simulate(
        self, setpoints: Array
    ) -> tuple[Array, NDArray[np.bool_], Array, dict[str, Array]]:
        """Step all plants. Those of one moment go together; where the time of day does not matter
        to the twin (a hub that is commanded at every point, or whose own law has no timetable), all
        go together.
        """
        hub = self._timeless or (
            self.space.site.twin.kind == "energy_hub" and bool(np.isfinite(setpoints).all())
        )
        times = self._starts_at
        groups = [list(range(len(times)))] if hub else _alike(times)
        size = len(times)
        x, running = np.empty_like(self.state.x), np.empty(size, dtype=bool)
        held = np.empty(size)
        traces: dict[str, Array] = {}
        for rows in groups:
            start = times[rows[0]] + timedelta(seconds=self.space.site.step_s * self.k)
            w = {s: v[rows, self.k][:, None] for s, v in self._w.items()}
            given = {p: setpoints[rows, i][:, None] for i, p in enumerate(self.actions.points)}
            found = self.space.twin.simulate(
                self.state.x[rows], w, given, start, self.state.running[rows],
                hp_held_s=self.state.held_s[rows],
            )  # fmt: skip
            x[rows], running[rows], held[rows] = found.final_state, found.hp_on, found.hp_held_s
            errors = {s: v[rows, self.k][:, None] for s, v in self._errors.items()}
            for signal, values in with_output_errors(found.traces, errors).items():
                traces.setdefault(signal, np.empty((size, 1)))[rows] = values
        return x, running, held, traces

    def _starts(self, traces: Mapping[str, Array]) -> tuple[Array, Array]:
        """Starts made today by counted point after this step, and those beyond the limit, (F,)."""
        new_day = self._midnight[:, self.k][:, None]
        starts = np.where(new_day, 0.0, self.state.starts)
        beyond = np.zeros(len(starts))
        for column, i in enumerate(self.space.counted):
            spec = self.space.points[i]
            signal, threshold = running_signal(self.space.site, spec.id)
            begun = (traces[signal][:, 0] > threshold) & ~self.state.running
            starts[:, column] += begun
            over = starts[:, column] > float(spec.max_starts_per_day or 0)
            beyond += begun & over
        return starts, beyond


def _stacked(rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Series by name, (F, N); a name that some lack is 0 there."""
    names = sorted({n for r in rows for n in r})
    size = {len(v) for r in rows for v in r.values()}
    zero = np.zeros(max(size, default=0))
    return {n: np.stack([np.asarray(r.get(n, zero), dtype=float) for r in rows]) for n in names}


def _alike(times: Sequence[datetime]) -> list[list[int]]:
    """Indices by equal time."""
    found: dict[datetime, list[int]] = {}
    for i, time in enumerate(times):
        found.setdefault(time, []).append(i)
    return list(found.values())


def timetable(law: BaselineLaw) -> bool:
    """Whether the plant's own law does different things at different hours."""
    schedules = (law.zone_setpoint_degc, law.zone_heating_degc, law.zone_cooling_degc,
                 *law.points.values())  # fmt: skip
    return bool(law.ventilation) or any(len(s) > 1 for s in schedules)
