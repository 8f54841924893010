"""Controllers on the same days: what each cost, how it felt, which limits it broke.

A day is played in the twin from its recorded start under its recorded weather and loads. Forecasts
are made anew every `REFRESH_H` hours for whoever asks for them: the planner plans then, a policy
sees them at its next step. Money, comfort and limits are counted by `graph.kpis` and
`sandbox.checks`, as in the sandbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from graph.kpis import kpi_table
from graph.snapshot import Snapshot
from planner.rl.actor import Actor
from planner.rl.demonstrations import plan_of, plan_table
from planner.rl.episodes import Episode, Moment
from planner.rl.observation import ObservationSpace
from planner.rl.reward import comfort_price
from planner.rl.world import BatchWorld
from sandbox.checks import running_signal, site_checks

Array = NDArray[np.float64]
REFRESH_H = 4


@dataclass(frozen=True)
class Day:
    """A recorded day, and what was known at each refresh: the first moment begins it."""

    episode: Episode
    refreshed: tuple[Moment, ...]


class Controller(Protocol):
    """Decides the setpoints of all plants of a world."""

    name: str

    def setpoints(self, world: BatchWorld, known: Sequence[Moment] | None) -> Array:
        """Setpoints (F, U) of this step; `known`: fresh moments, on refreshes only."""
        ...


class LocalLaw:
    """The plant's own law: nobody commands anything."""

    name = "rule-based baseline"

    def setpoints(
        self,
        world: BatchWorld,
        known: Sequence[Moment] | None,  # noqa: ARG002
    ) -> Array:
        """NaN everywhere."""
        return np.full_like(world.state.setpoints, np.nan)


class Learned:
    """A policy's network."""

    def __init__(self, name: str, actor: Actor) -> None:
        self.name, self.actor = name, actor

    def setpoints(
        self,
        world: BatchWorld,
        known: Sequence[Moment] | None,  # noqa: ARG002
    ) -> Array:
        """What the network says of the present."""
        actions = self.actor.act(world.observe())
        return world.actions.setpoints(actions, world.state.setpoints)


class Planned:
    """The project's planner, planning anew at each refresh from the plants' true states."""

    name = "MPC"

    def __init__(self) -> None:
        self._tables: list[Array] = []
        self._at = 0
        self.failed = 0

    def setpoints(self, world: BatchWorld, known: Sequence[Moment] | None) -> Array:
        """The row of each plant's plan; the local law where there is none."""
        if known is not None:
            self._tables = [self._plan(world, i, m) for i, m in enumerate(known)]
            self._at = 0
        row = np.stack([t[self._at] for t in self._tables])
        self._at += 1
        return row

    def _plan(self, world: BatchWorld, i: int, moment: Moment) -> Array:
        snapshot = with_state(world, i, moment)
        plan = plan_of(world.space.site, world.space.twin, snapshot)
        if not plan.status.usable:
            self.failed += 1
            return np.full((snapshot.horizon_steps, len(world.space.points)), np.nan)
        return plan_table(world.space, plan, snapshot.horizon_steps)


def with_state(world: BatchWorld, i: int, moment: Moment) -> Snapshot:
    """The moment's snapshot as the simulated plant `i` stands at this step."""
    snapshot, state, space = moment.snapshot, world.state, world.space
    estimate = snapshot.estimate.model_copy(update={"mean": tuple(state.x[i].tolist())})
    points = {
        p: snapshot.points[p].model_copy(update={"applied": float(state.setpoints[i, j])})
        for j, p in enumerate(world.actions.points)
    }
    readings, changed = dict(snapshot.readings), dict(snapshot.last_change)
    for pump in space.site.of_kind("heat_pump"):
        signal, threshold = running_signal(space.site, f"{pump.id}.power_set_kw")
        power = 2.0 * threshold + 0.1 if state.running[i] else 0.0
        known = readings.get(signal)
        if known is not None:
            readings[signal] = known.model_copy(update={"value": power})
        if state.held_s[i] < 1e8:
            held = timedelta(seconds=float(state.held_s[i]))
            changed[f"{pump.id}.power_set_kw"] = snapshot.as_of - held
    starts = {space.points[c].id: int(state.starts[i, j]) for j, c in enumerate(space.counted)}
    return snapshot.model_copy(
        update={
            "estimate": estimate, "points": {**snapshot.points, **points}, "readings": readings,
            "last_change": changed, "starts_today": {**snapshot.starts_today, **starts},
            "incumbent": {},
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Score:
    """A controller's days: means a day, and how often a hard limit was broken.

    broken: (limit's label, days on which it was broken, worst excess). total: settled cost and
    comfort at its price, the figure that training makes small. days: the total of each day.
    """

    name: str
    settled_cost: float
    comfort_kh: float
    starts: float
    total: float
    days: tuple[float, ...]
    broken: tuple[tuple[str, int, float], ...]
    corrected_share: float | None = None
    correction: float | None = None

    @property
    def violations(self) -> int:
        """Limits broken, days counted each."""
        return sum(n for _, n, _ in self.broken)


def play(space: ObservationSpace, days: Sequence[Day], controller: Controller) -> Score:
    """Play the days side by side under one controller and count."""
    world = BatchWorld(space)
    world.reset([d.episode for d in days])
    every = max(1, REFRESH_H * 3600 // space.site.step_s)
    while not world.done:
        known = None
        if world.k % every == 0:
            at = world.k // every
            known = [d.refreshed[min(at, len(d.refreshed) - 1)] for d in days]
            world.renew(known)
        world.apply(controller.setpoints(world, known))
    return score(space, days, world.traces(), controller.name)


def score(
    space: ObservationSpace, days: Sequence[Day], traces: dict[str, Array], name: str
) -> Score:
    """KPIs and limits of traces (F, N), one row a day."""
    site, twin = space.site, space.twin
    rows: list[tuple[float, float, float, float]] = []
    broken: dict[str, tuple[int, float]] = {}
    for i, day in enumerate(days):
        snapshot = day.episode.moment.snapshot
        mine = {s: v[i : i + 1] for s, v in traces.items()}
        names = twin.state_names
        initial = {s: float(day.episode.x0[names.index(n)])
                   for s, n in twin.layout.state_of.items()}  # fmt: skip
        for pump in site.of_kind("heat_pump"):
            reading = snapshot.readings.get(f"{pump.id}.power_kw")
            initial[f"{pump.id}.power_kw"] = float((reading and reading.value) or 0.0)
        table = kpi_table(site, mine, snapshot.prices, site.step_s, initial, snapshot.as_of)
        price = float(comfort_price(float(np.mean(snapshot.prices.import_price))))
        settled, comfort = float(table["settled_cost"][0]), float(table["comfort"][0])
        rows.append((settled, comfort, float(table["starts"][0]), settled + price * comfort))
        for check in site_checks(site, snapshot, frozenset(mine)):
            excess = float(check.excess(mine)[0])
            if excess > check.tolerance:
                count, worst = broken.get(check.label, (0, 0.0))
                broken[check.label] = count + 1, max(worst, excess)
    mean = np.mean(rows, axis=0)
    return Score(
        name=name, settled_cost=float(mean[0]), comfort_kh=float(mean[1]), starts=float(mean[2]),
        total=float(mean[3]), days=tuple(r[3] for r in rows),
        broken=tuple((label, n, worst) for label, (n, worst) in sorted(broken.items())),
    )  # fmt: skip
