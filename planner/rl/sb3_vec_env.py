"""Many sites side by side as stable-baselines3 wants them: one call a step for all of them."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from planner.rl.bank import EpisodeBank
from planner.rl.gymnasium_env import EDGE
from planner.rl.observation import ObservationSpace
from planner.rl.world import BatchWorld

Floats = NDArray[np.float32]


class SiteVecEnv(VecEnv):  # type: ignore[misc]
    """`count` episodes of a bank in lockstep; all begin and end together.

    scale: rewards are divided by it. Ends are truncations: the plant goes on, so the value of what
    comes after belongs to the last step.
    """

    def __init__(
        self, space: ObservationSpace, bank: EpisodeBank, count: int, seed: int, scale: float
    ) -> None:
        size = len(space.names)
        super().__init__(
            count,
            gymnasium.spaces.Box(-EDGE, EDGE, (size,), np.float32),
            gymnasium.spaces.Box(-1.0, 1.0, (len(space.points),), np.float32),
        )
        self._world, self._bank, self._scale = BatchWorld(space), bank, scale
        self._first, self._generator = seed, np.random.default_rng(seed)
        self._one = space.site.twin.kind != "energy_hub"
        self._actions = np.zeros((count, len(space.points)))

    def envs_seed(self, rounds: int) -> None:
        """Draw on from another stream: a run that goes on sees other episodes."""
        self._generator = np.random.default_rng([self._first, rounds])

    def reset(self) -> Floats:
        """New episodes."""
        drawn = self._bank.draw(self.num_envs, self._generator, one_moment=self._one)
        return self._world.reset(drawn).astype(np.float32)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions of the next step."""
        self._actions = np.asarray(actions, dtype=float)

    def step_wait(self) -> tuple[Floats, Floats, NDArray[np.bool_], list[dict[str, Any]]]:
        """One step of all."""
        worth = self._world.step(self._actions)
        observed = self._world.observe().astype(np.float32)
        reward = (worth.reward / self._scale).astype(np.float32)
        done = np.full(self.num_envs, self._world.done)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if self._world.done:
            infos = [{"terminal_observation": o, "TimeLimit.truncated": True} for o in observed]
            observed = self.reset()
        return observed, reward, done, infos

    def close(self) -> None:
        """Nothing is held."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The same attribute for each."""
        value = getattr(self, attr_name, None)
        return [value] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not offered: the environments share everything."""
        raise NotImplementedError("environments of one batch share their attributes")

    def env_method(
        self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any
    ) -> list[Any]:
        """Not offered."""
        raise NotImplementedError("environments of one batch have no methods of their own")

    def env_is_wrapped(
        self,
        wrapper_class: Any,  # noqa: ARG002
        indices: Any = None,
    ) -> list[bool]:
        """Never."""
        return [False] * len(list(self._get_indices(indices)))
