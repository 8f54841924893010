"""A Gymnasium environment of a site: one episode of its twin at a time.

`reset(seed)` draws a moment, a future and a start; with the same seed they are the same. An episode
is truncated at the horizon's end and never terminated before: a plant goes on.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from planner.rl.episodes import Episode, Moment, sampled, scattered
from planner.rl.observation import ObservationSpace
from planner.rl.world import BatchWorld

Floats = NDArray[np.float32]
# Wider than any quantity in its unit; what a policy may be asked about is stated by its guard.
EDGE = np.float32(1e6)


class SiteEnv(gymnasium.Env[Floats, Floats]):  # type: ignore[misc]
    """Actions in [-1, 1] a point; observations in physical units (`ObservationSpace.names`)."""

    def __init__(
        self, space: ObservationSpace, moments: Sequence[Moment], *, scatter: bool = True
    ) -> None:
        """`moments`: snapshots to begin at. scatter: begin away from their states."""
        self._world, self._moments, self._scatter = BatchWorld(space), list(moments), scatter
        size = len(space.names)
        self.observation_space = gymnasium.spaces.Box(-EDGE, EDGE, (size,), np.float32)
        points = len(self._world.actions.points)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (points,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begin an episode; options: {"episode": Episode} plays a given one."""
        super().reset(seed=seed, options=options)
        given = (options or {}).get("episode")
        episode = given or draw(self._moments, self.np_random, scatter=self._scatter)
        observed = self._world.reset([episode])
        return observed[0].astype(np.float32), {"as_of": episode.moment.snapshot.as_of.isoformat()}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """One step of the site."""
        worth = self._world.step(np.asarray(action, dtype=float)[None])
        info = {
            "cost": float(worth.cost[0]), "stored": float(worth.stored[0]),
            "comfort": float(worth.comfort[0]), "penalty": float(worth.penalty[0]),
        }  # fmt: skip
        observed = self._world.observe()[0].astype(np.float32)
        return observed, float(worth.reward[0]), False, self._world.done, info


def draw(
    moments: Sequence[Moment], generator: np.random.Generator, *, scatter: bool = True
) -> Episode:
    """A random future of a random moment."""
    moment = moments[int(generator.integers(len(moments)))]
    (episode,) = sampled(moment, 1, int(generator.integers(2**31)))
    return scattered(episode, generator) if scatter else episode
