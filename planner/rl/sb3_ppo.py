"""Proximal policy optimisation from a cloned start, with stable-baselines3.

1. The network is the cloned actor's; a critic of its own begins at zero.
2. The critic alone is fitted for the first `CRITIC_FIRST` rounds, so that the first gradients do
   not undo what was cloned.
3. Each round plays one horizon in every environment and updates. Every `VALIDATE` rounds the actor
   is played, without noise, on episodes that are kept for that; the best one is what comes out.
4. A checkpoint holds everything that a later run needs to go on.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graph.canonical import digest
from graph.errors import InputError, UnavailableError
from planner.rl.actor import Actor, Floats, load_actor, save_actor
from planner.rl.bank import EpisodeBank
from planner.rl.episodes import Episode
from planner.rl.observation import ObservationSpace
from planner.rl.world import BatchWorld

Say = Callable[[str], None]
CRITIC_FIRST = 6
VALIDATE = 6
CHECKPOINT, PROGRESS, BEST = "checkpoint.zip", "progress.json", "best.npz"


@dataclass(frozen=True)
class PpoSettings:
    """Hyperparameters; they go into the policy's record."""

    environments: int = 256
    rate: float = 3e-4
    batch: int = 2048
    epochs: int = 6
    discount: float = 0.99
    lam: float = 0.95
    clip: float = 0.1
    noise: float = 0.06  # standard deviation of the first actions, as a share of half the range
    entropy: float = 0.0


@dataclass(frozen=True)
class Trained:
    """What came out: the best actor, its validation score, steps played, seconds."""

    actor: Actor
    score: float
    steps: int
    seconds: float
    rounds: int


def require_sb3() -> Any:
    """stable_baselines3. Raises UnavailableError without it."""
    try:
        import stable_baselines3
    except ImportError as error:
        raise UnavailableError(
            "training needs stable-baselines3", "pip install 'pilothouse[train]'"
        ) from error
    return stable_baselines3


def improve(
    space: ObservationSpace, bank: EpisodeBank, kept: list[Episode], start: Actor,
    settings: PpoSettings, seed: int, out: Path, *, until_s: float | None, until_steps: int | None,
    say: Say,
) -> Trained:  # fmt: skip
    """Train until the time or the steps are over; goes on from a checkpoint in `out`.

    kept: episodes to choose the best actor by. Raises UnavailableError without
    stable-baselines3, InputError where the checkpoint is of other settings.
    """
    run = _Run(space, bank, kept, start, settings, seed, out, say)
    begun = time.monotonic() - run.seconds
    while True:
        spent = time.monotonic() - begun
        if until_s is not None and spent >= until_s:
            break
        if until_steps is not None and run.model.num_timesteps >= until_steps:
            break
        run.round(spent)
    run.validate(time.monotonic() - begun)
    run.save(time.monotonic() - begun)
    return Trained(run.best, run.best_score, run.model.num_timesteps,
                   time.monotonic() - begun, run.rounds)  # fmt: skip


class _Run:
    """One training as it goes."""

    def __init__(
        self, space: ObservationSpace, bank: EpisodeBank, kept: list[Episode], start: Actor,
        settings: PpoSettings, seed: int, out: Path, say: Say,
    ) -> None:  # fmt: skip
        sb3 = require_sb3()
        from planner.rl.sb3_vec_env import SiteVecEnv

        self.space, self.kept, self.say, self.out = space, kept, say, out
        self.settings, self.start = settings, start
        scale, self.best_score = _played(space, kept, start)
        self.best, self.rounds, self.seconds = start, 0, 0.0
        self.key = digest([asdict(settings), seed, list(space.names), list(start.hidden)])
        envs = SiteVecEnv(space, bank, settings.environments, seed, scale)
        logs = str(out / "tensorboard") if _tensorboard() else None
        steps = kept[0].steps
        self.model = sb3.PPO(
            "MlpPolicy", envs, learning_rate=settings.rate, n_steps=steps,
            batch_size=settings.batch, n_epochs=settings.epochs, gamma=settings.discount,
            gae_lambda=settings.lam, clip_range=settings.clip, ent_coef=settings.entropy,
            seed=seed, device="cpu", tensorboard_log=logs, verbose=0,
            policy_kwargs=_network(start, float(np.log(settings.noise))),
        )  # fmt: skip
        _put(self.model.policy, start)
        self.round_steps = steps * settings.environments
        self._resume()
        say(f"validation: the start is worth {self.best_score:.3f} a day")

    def round(self, spent: float) -> None:
        """Play a horizon everywhere and update."""
        _actor_learns(self.model.policy, self.rounds >= CRITIC_FIRST)
        self.model.learn(self.round_steps, reset_num_timesteps=False, tb_log_name="ppo")
        self.rounds += 1
        if self.rounds % VALIDATE == 0:
            self.validate(spent)
            self.save(spent)

    def validate(self, spent: float) -> None:
        """Play the present actor on the kept episodes; remember it where it is the best."""
        actor = _taken(self.model.policy, self.start)
        _, found = _played(self.space, self.kept, actor)
        if found > self.best_score:
            self.best, self.best_score = actor, found
        self.say(f"{spent:5.0f} s, {self.model.num_timesteps:9d} steps: worth {found:.3f} a day, "
                 f"best {self.best_score:.3f}")  # fmt: skip

    def save(self, spent: float) -> None:
        """Write the checkpoint."""
        self.model.save(self.out / CHECKPOINT)
        save_actor(self.out / BEST, self.best)
        progress = {"key": self.key, "rounds": self.rounds, "seconds": spent,
                    "best_score": self.best_score, "steps": self.model.num_timesteps}  # fmt: skip
        (self.out / PROGRESS).write_text(json.dumps(progress) + "\n", encoding="utf-8")

    def _resume(self) -> None:
        file = self.out / PROGRESS
        if not file.exists():
            return
        known = json.loads(file.read_text(encoding="utf-8"))
        if known.get("key") != self.key:
            raise InputError(
                f"{self.out} holds a checkpoint of another training", "choose another --out"
            )
        self.model.set_parameters(str(self.out / CHECKPOINT), device="cpu")
        self.model.num_timesteps = int(known["steps"])
        self.best, self.best_score = load_actor(self.out / BEST), float(known["best_score"])
        self.rounds, self.seconds = int(known["rounds"]), float(known["seconds"])
        # Other episodes than those already seen: the run before drew from the same seed.
        self.model.env.envs_seed(self.rounds)
        self.say(f"going on after {self.rounds} rounds")


def _played(space: ObservationSpace, episodes: list[Episode], actor: Actor) -> tuple[float, float]:
    """Spread of a step's reward, and the mean reward of an episode."""
    world = BatchWorld(space)
    observed, rewards = world.reset(episodes), []
    while not world.done:
        rewards.append(world.step(actor.act(observed)).reward)
        observed = world.observe()
    table = np.array(rewards)
    return max(float(table.std()), 1e-6), float(table.sum(axis=0).mean())


def _tensorboard() -> bool:
    import importlib.util

    return importlib.util.find_spec("tensorboard") is not None


def _network(start: Actor, log_noise: float) -> dict[str, Any]:
    """Policy arguments: normalised inputs, the actor's widths, tanh."""
    import torch
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Normalised(BaseFeaturesExtractor):  # type: ignore[misc]
        """Observations in the units of the cloned start."""

        def __init__(self, observation_space: Any) -> None:
            super().__init__(observation_space, len(start.shift))
            self.register_buffer("shift", torch.from_numpy(start.shift.copy()))
            self.register_buffer("scale", torch.from_numpy(start.scale.copy()))

        def forward(self, observed: Any) -> Any:
            """Normalise."""
            return (observed + self.shift) * self.scale

    widths = list(start.hidden)
    return {
        "features_extractor_class": Normalised, "activation_fn": torch.nn.Tanh,
        "net_arch": {"pi": widths, "vf": widths}, "log_std_init": log_noise, "ortho_init": True,
    }  # fmt: skip


def _layers(policy: Any) -> list[Any]:
    hidden = [m for m in policy.mlp_extractor.policy_net if hasattr(m, "weight")]
    return [*hidden, policy.action_net]


def _put(policy: Any, actor: Actor) -> None:
    """Write an actor into the policy."""
    import torch

    with torch.no_grad():
        for layer, (weight, offset) in zip(_layers(policy), actor.layers, strict=True):
            layer.weight.copy_(torch.from_numpy(weight.T.copy()))
            layer.bias.copy_(torch.from_numpy(offset.copy()))


def _taken(policy: Any, like: Actor) -> Actor:
    """Read the policy's actor."""

    def arrays(layer: Any) -> tuple[Floats, Floats]:
        weight = layer.weight.detach().numpy().T.copy()
        return weight, layer.bias.detach().numpy().copy()

    return Actor(like.shift, like.scale, tuple(arrays(layer) for layer in _layers(policy)))


def _actor_learns(policy: Any, learns: bool) -> None:
    for layer in _layers(policy):
        layer.weight.requires_grad_(learns)
        layer.bias.requires_grad_(learns)
    policy.log_std.requires_grad_(learns)
