"""From moments to a policy: demonstrations, a cloned start, reinforcement, comparison, files.

Everything that a later run needs lies in the output folder, so that a run that was cut off goes on:
examples are not planned twice, and the optimiser goes on from its checkpoint.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from graph.canonical import digest_bytes
from planner.rl.actor import Actor, load_actor, save_actor
from planner.rl.bank import EpisodeBank
from planner.rl.demonstrations import Examples, corrections, demonstrations
from planner.rl.episodes import Episode, Moment, sampled, scattered
from planner.rl.evaluate import Controller, Day, Learned, LocalLaw, Planned, Score, play
from planner.rl.filtered import Filtered
from planner.rl.observation import DAY_S, ObservationSpace
from planner.rl.onnx_actor_export import actor_bytes
from planner.rl.policy_manifest import (
    MANIFEST_FILE,
    NETWORK_FILE,
    Compared,
    PolicyManifest,
    code_digest,
    save_manifest,
)
from planner.rl.sb3_ppo import PpoSettings, Trained, improve, require_sb3
from planner.rl.torch_clone import EPOCHS, clone
from planner.rl.world import BatchWorld
from sandbox.surrogates.guard import Guard, fit_guard

Say = Callable[[str], None]
CLONE, EXAMPLES = "clone.npz", "examples.npz"
VALIDATION_SEED, BANK_SEED, GUARD_SEED = 1_000_003, 2_000_003, 3_000_017


@dataclass(frozen=True)
class TrainOptions:
    """How much of everything. minutes, steps: of reinforcement; whichever is over first."""

    minutes: float | None = 8.0
    steps: int | None = None
    seed: int = 1
    demonstration_futures: int = 5
    bank_futures: int = 16
    validation_futures: int = 2
    epochs: int = EPOCHS
    ppo: PpoSettings = field(default_factory=PpoSettings)


@dataclass(frozen=True)
class TrainResult:
    """The policy, its record, what it was compared with, and how long everything took."""

    actor: Actor
    manifest: PolicyManifest
    scores: tuple[Score, ...]
    seconds: dict[str, float]
    steps: int

    @property
    def met(self) -> bool:
        """Better than the baseline and than the cloned start, without a hard limit broken."""
        baseline, cloned, trained, *_ = self.scores
        cheaper = trained.total < baseline.total and trained.total < cloned.total
        return cheaper and trained.violations == 0


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._at = time.monotonic()

    def lap(self, name: str) -> None:
        """The stage that ends now."""
        now = time.monotonic()
        self.seconds[name] = round(now - self._at, 1)
        self._at = now


def train(
    space: ObservationSpace, training: Sequence[Moment], days: Sequence[Day], out: Path,
    options: TrainOptions, say: Say,
) -> TrainResult:  # fmt: skip
    """Train, compare, write. Raises InputError and UnavailableError as its parts do."""
    require_sb3()
    out.mkdir(parents=True, exist_ok=True)
    watch = Stopwatch()
    examples, start = begin(space, training, out, options, say)
    watch.lap("demonstrations and cloning")
    bank = EpisodeBank(training, options.bank_futures, options.seed + BANK_SEED)
    kept = validation(training, options)
    seconds = None if options.minutes is None else options.minutes * 60.0
    trained = improve(space, bank, kept, start, options.ppo, options.seed, out,
                      until_s=seconds, until_steps=options.steps, say=say)  # fmt: skip
    watch.lap("reinforcement")
    scores = compare(space, days, start, trained.actor, say)
    watch.lap("comparison")
    guard = valid_range(space, bank, examples, (start, trained.actor), options.seed)
    network = actor_bytes(trained.actor)
    data = b"".join(np.ascontiguousarray(a, "<f8").tobytes()
                    for a in (examples.observed, examples.actions))  # fmt: skip
    manifest = _manifest(space, options, trained, guard, network, digest_bytes(data), scores)
    (out / NETWORK_FILE).write_bytes(network)
    save_manifest(out / MANIFEST_FILE, manifest)
    watch.lap("export")
    return TrainResult(trained.actor, manifest, scores, watch.seconds, trained.steps)


def begin(
    space: ObservationSpace, training: Sequence[Moment], out: Path, options: TrainOptions, say: Say
) -> tuple[Examples, Actor]:
    """Examples and the cloned start, from `out` where they are there already."""
    if (out / CLONE).exists() and (out / EXAMPLES).exists():
        with np.load(out / EXAMPLES, allow_pickle=False) as file:
            return Examples(file["observed"], file["actions"]), load_actor(out / CLONE)
    futures, seed = options.demonstration_futures, options.seed
    days = by_day(training)
    first = [m for i, day in enumerate(days) for m in (day[0], *day[1 + i % 3 : 2 + i % 3])]
    examples = demonstrations(space, first, futures, seed, say)
    start = clone(examples, seed, say, epochs=max(1, options.epochs // 2))
    if any(len(day) > 1 for day in days):
        examples = examples.joined(corrections(space, start, days, futures, seed, say))
        start = clone(examples, seed, say, epochs=options.epochs)
    np.savez(out / EXAMPLES, observed=examples.observed, actions=examples.actions)
    save_actor(out / CLONE, start)
    return examples, start


def by_day(moments: Sequence[Moment]) -> list[list[Moment]]:
    """Moments of less than a day from the first of a group together."""
    groups: list[list[Moment]] = []
    for moment in sorted(moments, key=lambda m: m.snapshot.as_of):
        first = groups[-1][0].snapshot.as_of if groups else None
        if first is not None and (moment.snapshot.as_of - first).total_seconds() < DAY_S:
            groups[-1].append(moment)
        else:
            groups.append([moment])
    return groups


def validation(training: Sequence[Moment], options: TrainOptions) -> list[Episode]:
    """Episodes to choose the best actor by; none of them is trained on, nor compared on."""
    generator = np.random.default_rng(options.seed + VALIDATION_SEED)
    return [
        scattered(episode, generator) if k % 2 else episode
        for i, moment in enumerate(training)
        for k, episode in enumerate(
            sampled(moment, options.validation_futures, VALIDATION_SEED + i)
        )
    ]


def compare(
    space: ObservationSpace, days: Sequence[Day], start: Actor, trained: Actor, say: Say
) -> tuple[Score, ...]:
    """Baseline, cloned start and trained policy, both behind the safety filter, and MPC."""
    controllers: tuple[Controller, ...] = (
        LocalLaw(), Filtered(Learned("cloned start", start)),
        Filtered(Learned("trained policy", trained)), Planned(),
    )  # fmt: skip
    scores = []
    for controller in controllers:
        say(f"comparing on {len(days)} days: {controller.name}")
        found = play(space, days, controller)
        if isinstance(controller, Filtered):
            found = replace(found, corrected_share=controller.corrected_share,
                            correction=controller.correction)  # fmt: skip
        scores.append(found)
    return tuple(scores)


def valid_range(
    space: ObservationSpace, bank: EpisodeBank, examples: Examples, actors: Sequence[Actor],
    seed: int,
) -> Guard:  # fmt: skip
    """The range of the examples and of what the actors themselves lead to."""
    generator = np.random.default_rng(seed + GUARD_SEED)
    one = space.site.twin.kind != "energy_hub"
    seen = [examples.observed]
    for actor in actors:
        world = BatchWorld(space)
        observed = world.reset(bank.draw(256, generator, one_moment=one))
        while not world.done:
            seen.append(observed)
            world.step(actor.act(observed))
            observed = world.observe()
    table = np.concatenate(seen)
    return fit_guard(table[:, None, :], np.empty((len(table), 1, 0)))


def _manifest(
    space: ObservationSpace, options: TrainOptions, trained: Trained, guard: Guard,
    network: bytes, data: str, scores: Sequence[Score],
) -> PolicyManifest:  # fmt: skip
    world = BatchWorld(space)
    recorded: dict[str, Any] = asdict(options)
    hyperparameters = {**recorded.pop("ppo"), "hidden": list(trained.actor.hidden)}
    return PolicyManifest(
        site=space.site.id, twin_kind=space.site.twin.kind, twin_digest=space.twin.digest,
        step_s=space.site.step_s, points=world.actions.points,
        low=tuple(world.actions.low.tolist()), high=tuple(world.actions.high.tolist()),
        columns=space.names, guard=guard, network_digest=digest_bytes(network),
        algorithm="behaviour cloning, then PPO", hyperparameters=hyperparameters,
        training={**recorded, "environment_steps": trained.steps, "rounds": trained.rounds,
                  "validation": trained.score},
        seed=options.seed, data_digest=data, code_digest=code_digest(),
        compared=tuple(
            Compared(name=s.name, settled_cost=s.settled_cost, comfort_kh=s.comfort_kh,
                     total=s.total, violations=s.violations, corrected_share=s.corrected_share,
                     correction=s.correction)
            for s in scores
        ),
    )  # fmt: skip
