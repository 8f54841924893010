"""A bank of training episodes: sampled once, drawn from many times with ever new starts."""

from collections.abc import Sequence

import numpy as np

from planner.rl.episodes import Episode, Moment, sampled, scattered

SCATTERED = 0.5  # of the episodes begin away from the recorded start


class EpisodeBank:
    """Futures of many moments. `draw` is a function of the generator alone."""

    def __init__(self, moments: Sequence[Moment], futures: int, seed: int) -> None:
        self.by_moment = [sampled(m, futures, seed + i) for i, m in enumerate(moments)]

    def draw(
        self, count: int, generator: np.random.Generator, *, one_moment: bool
    ) -> list[Episode]:
        """`count` episodes from scattered starts; all of one moment where the twin asks for it."""
        drawn: list[Episode] = []
        which = int(generator.integers(len(self.by_moment)))
        for _ in range(count):
            if not one_moment:
                which = int(generator.integers(len(self.by_moment)))
            futures = self.by_moment[which]
            episode = futures[int(generator.integers(len(futures)))]
            drawn.append(
                scattered(episode, generator) if generator.random() < SCATTERED else episode
            )
        return drawn
