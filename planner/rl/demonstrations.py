"""What the project's own planner does, as examples to learn from.

Each moment is planned as an operator's everyday wish (cost, rooms inside the comfort band), and the
plan is played in several futures: what was seen and what was done there are the examples. Later in
a future the plant is where the plan did not expect it, and a new plan would differ: so a first
clone is played, and plans from where it leads to are learned as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.intent import Band, Intent, Objective
from graph.plan import Plan
from graph.site import Site
from graph.snapshot import Snapshot
from planner.dispatch_options import SolveOptions
from planner.margins import Margins
from planner.plan import make_plan
from planner.rl.actor import Actor
from planner.rl.episodes import Moment, expected, sampled, scattered, state_span
from planner.rl.observation import ObservationSpace
from planner.rl.world import BatchWorld

Array = NDArray[np.float64]
MARGINS = Margins(comfort_k=0.3, tank_k=1.0, soc_pct=1.0, import_kw=2.0)
OPTIONS = SolveOptions(gap=0.02, checks=30, explain=False, rescue=False)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Examples:
    """observed (n, D), actions (n, U)."""

    observed: Array
    actions: Array

    def joined(self, other: "Examples") -> "Examples":
        """Both."""
        return Examples(np.concatenate([self.observed, other.observed]),
                        np.concatenate([self.actions, other.actions]))  # fmt: skip


def everyday_intent(site: Site, snapshot: Snapshot) -> Intent:
    """As cheap as possible, the rooms inside the comfort band, over the snapshot's horizon."""
    end = snapshot.as_of + timedelta(seconds=snapshot.step_s * snapshot.horizon_steps)
    bands: tuple[Band, ...] = ()
    if site.comfort is not None:
        group = site.comfort.group
        rooms = tuple(
            f"{z.id}.temp_degc" for z in site.of_kind("zone") if getattr(z, "group", "") == group
        )
        if rooms:
            bands = (Band(signals=rooms, minimum=site.comfort.lower_degc,
                          maximum=site.comfort.upper_degc, unit="degC"),)  # fmt: skip
    return Intent(
        text="minimise cost, rooms inside the comfort band", actor="training",
        objectives=(Objective(quantity="cost"),), constraints=bands, start=snapshot.as_of, end=end,
    )  # fmt: skip


def plan_of(site: Site, twin: object, snapshot: Snapshot) -> Plan:
    """The planner's answer to the everyday wish."""
    intent = everyday_intent(site, snapshot)
    return make_plan(site, twin, snapshot, intent, margin=MARGINS, options=OPTIONS)


def plan_table(space: ObservationSpace, plan: Plan, steps: int) -> Array:
    """The plan's setpoints (N, U); NaN where a point stays with the local law."""
    table = np.full((steps, len(space.points)), np.nan)
    for i, spec in enumerate(space.points):
        values = plan.setpoints.get(spec.id, ())[:steps]
        table[: len(values), i] = values
    return table


def elsewhere(moment: Moment, generator: np.random.Generator) -> Moment:
    """The moment with the plant in another state."""
    return standing(moment, scattered(expected(moment), generator).x0)


def demonstrations(
    space: ObservationSpace, moments: Sequence[Moment], futures: int, seed: int, say: Say
) -> Examples:
    """Plan every moment, one of two from a start elsewhere, and play it (see `played_plans`).

    Raises:
        InputError: not one moment could be planned.
    """
    generator = np.random.default_rng(seed)
    moved = [elsewhere(m, generator) if i % 2 else m for i, m in enumerate(moments)]
    return played_plans(space, moved, futures, seed, say)


def corrections(
    space: ObservationSpace, actor: Actor, days: Sequence[Sequence[Moment]], futures: int,
    seed: int, say: Say,
) -> Examples:  # fmt: skip
    """Plans from where a cloned actor itself leads to: what to do about its own mistakes.

    After Ross, Gordon and Bagnell, "A reduction of imitation learning and structured prediction to
    no-regret online learning", AISTATS 2011: the actor is played from each day's first moment, and
    at the day's later ones the planner is asked about the plant as it stands then.
    """
    visited = []
    for first, *later in days:
        world = BatchWorld(space)
        observed = world.reset([sampled(first, 1, seed)[0]])
        times = {m.snapshot.as_of: m for m in later}
        while not world.done and times:
            now = first.snapshot.as_of + timedelta(seconds=world.k * first.snapshot.step_s)
            if now in times:
                visited.append(standing(times.pop(now), world.state.x[0]))
            world.step(actor.act(observed))
            observed = world.observe()
    return played_plans(space, visited, futures, seed + 1, say)


def standing(moment: Moment, x: Array) -> Moment:
    """The moment with the plant in state x (S,), brought inside the site's limits."""
    low, high = state_span(moment.space.twin)
    inside = np.where(np.isnan(low), x, np.clip(x, low, high))
    snapshot = moment.snapshot
    estimate = snapshot.estimate.model_copy(update={"mean": tuple(inside.tolist())})
    return Moment(moment.space, snapshot.model_copy(update={"estimate": estimate}))


def played_plans(
    space: ObservationSpace, moments: Sequence[Moment], futures: int, seed: int, say: Say
) -> Examples:
    """Plan every moment and play the plan in `futures` sampled futures and the expected one.

    Raises:
        InputError: not one moment could be planned.
    """
    observed: list[Array] = []
    actions: list[Array] = []
    world = BatchWorld(space)
    for i, moment in enumerate(moments):
        plan = plan_of(space.site, space.twin, moment.snapshot)
        say(f"planning {i + 1} of {len(moments)}: {plan.status.value}")
        if not plan.status.usable:
            continue
        table = plan_table(space, plan, moment.snapshot.horizon_steps)
        episodes = [expected(moment), *sampled(moment, futures, seed + i)]
        seen = world.reset(episodes)
        for row in table:
            asked = np.broadcast_to(row, (len(episodes), len(row)))
            world.apply(asked)
            # What the plan leaves to the local law is learned as what that law did.
            done = np.where(np.isnan(asked), world.state.setpoints, asked)
            observed.append(seen)
            actions.append(world.actions.actions(done))
            seen = world.observe()
    if not observed:
        raise InputError("no moment could be planned", "see the planner's status of each")
    return Examples(np.concatenate(observed), np.concatenate(actions))
