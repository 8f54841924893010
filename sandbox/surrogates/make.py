"""From futures to a surrogate: train, write, measure, record."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from graph.canonical import digest_bytes
from graph.errors import InputError
from graph.telemetry import Frame
from sandbox.surrogates.guard import fit_guard
from sandbox.surrogates.initial_weights import initial_weights
from sandbox.surrogates.manifest import Speed, SurrogateManifest, code_digest
from sandbox.surrogates.measure import (
    ROUNDS,
    Limits,
    measure_errors,
    measure_speed,
    stated_limits,
)
from sandbox.surrogates.networks import KINDS, Kind
from sandbox.surrogates.onnx_export import network_bytes
from sandbox.surrogates.replaced import Replaced, model_twin, replaced_twin
from sandbox.surrogates.simulator import SurrogateSimulator, surrogate_of
from sandbox.surrogates.train_loop import Training, require_torch, train
from sandbox.surrogates.train_neural_ode import neural_ode_training
from sandbox.surrogates.train_residual import residual_training
from sandbox.surrogates.training_data import Futures, futures_of_twin
from sandbox.twin import Twin

LEARN_FUTURES, FRESH_FUTURES = 400, 100
SPEED_FUTURES = 100
DAY_H = 24.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """A surrogate, its record and the bytes of its network."""

    surrogate: SurrogateSimulator
    manifest: SurrogateManifest
    network: bytes


@dataclass(frozen=True)
class Lesson:
    """What to learn from and what to be measured on, with the limits that were stated first."""

    replaced: Replaced
    data: Futures
    fresh: Futures
    limits: Limits
    speed_futures: int = SPEED_FUTURES
    speed_rounds: int = ROUNDS


def surrogate_of_twin(
    twin: Twin, frame: Frame, kind: Kind = "residual", seed: int = 0, *, effort: float = 1.0,
    say: Say = lambda _: None,
) -> Made:  # fmt: skip
    """Train a surrogate of a twin on plans of its own and the weather of its telemetry.

    Args:
        effort: share of the usual number of futures and updates.

    Raises:
        InputError: a twin that no network replaces, or too little telemetry.
        UnavailableError: without the extra `train`.
    """
    model_twin(twin)
    require_torch()
    lesson = twin_lesson(twin, frame, seed, effort, say)
    return make_surrogate(lesson, kind, seed, effort=effort, say=say)


def twin_lesson(twin: Twin, frame: Frame, seed: int, effort: float, say: Say) -> Lesson:
    """Futures of a twin to learn from and to be measured on."""
    known, replaced = model_twin(twin), replaced_twin(twin)
    learn, fresh = generators(seed, 2)
    count = max(8, round(LEARN_FUTURES * effort))
    say(f"rolling out {count} futures of the {replaced.name} to learn from")
    data = futures_of_twin(known, replaced, frame, learn, count, DAY_H)
    kept = max(8, round(FRESH_FUTURES * min(effort, 1.0)))
    apart = futures_of_twin(known, replaced, frame, fresh, kept, DAY_H, kept=True)
    judged = [s.id for s in known.site.signals]
    limits = stated_limits(replaced, data, judged, _own_error(known.parameters.prediction_rmse))
    return Lesson(replaced, data, apart, limits)


def _own_error(
    errors: Callable[[str], Mapping[float, float]],
) -> Callable[[str], Mapping[float, float]]:
    """The twin's own errors that are known and not zero."""
    return lambda signal: {h: e for h, e in errors(signal).items() if e > 0.0}


def make_surrogate(
    lesson: Lesson, kind: Kind, seed: int, *, effort: float = 1.0, say: Say = lambda _: None
) -> Made:
    """Train on a lesson and measure. Raises InputError on an unknown kind."""
    if kind not in KINDS:
        raise InputError(f"unknown kind of surrogate {kind!r}", f"known: {', '.join(KINDS)}")
    replaced, data = lesson.replaced, lesson.data
    guard = fit_guard(data.befores, data.u)
    size = len(replaced.states)
    given = np.array([i - size for i in guard.active if i >= size], dtype=np.int64)
    if kind == "residual":
        knows = replaced.physics is not None
        training = residual_training(replaced.step_s, effort, knows_heat=knows)
    else:
        training = neural_ode_training(replaced.step_s, effort)
    say(f"training the {kind} network on {data.u.shape[0]} x {data.u.shape[1]} steps")
    layers, order = (int(g.integers(2**31)) for g in generators(seed + 1, 2))
    start = initial_weights(kind, data, given, replaced.physics, replaced.bounds,
                            training.hidden, training.substeps,
                            np.random.default_rng(layers))  # fmt: skip
    weights = train(training, data, given, start, order)
    network = network_bytes(kind, weights, len(given), training.substeps)
    manifest = SurrogateManifest(
        kind=kind, replaces=replaced.kind, replaces_name=replaced.name,
        replaces_digest=replaced.digest, step_s=replaced.step_s, states=replaced.states,
        inputs=replaced.inputs, outputs=replaced.outputs, given=tuple(int(i) for i in given),
        guard=guard, network_digest=digest_bytes(network), errors=(), share_outside=0.0,
        measured_futures=len(lesson.fresh.x0), speed=_unmeasured(lesson),
        training=_recorded(training, lesson, network), seed=seed, data_digest=data.digest,
        code_digest=code_digest(),
    )  # fmt: skip
    say("measuring errors and speed on futures that were kept apart")
    return measured(manifest, network, lesson, seed)


def measured(manifest: SurrogateManifest, network: bytes, lesson: Lesson, seed: int) -> Made:
    """The surrogate with the errors and the speed that it has here and now."""
    surrogate = surrogate_of(manifest, network, lesson.replaced)
    found = measure_errors(surrogate, lesson.fresh, lesson.limits, seed)
    speed = measure_speed(surrogate, lesson.fresh, lesson.speed_futures, lesson.speed_rounds)
    full = manifest.model_copy(update={
        "errors": found.errors, "share_outside": found.share_outside, "speed": speed,
    })  # fmt: skip
    return Made(surrogate_of(full, network, lesson.replaced), full, network)


def generators(seed: int, count: int) -> list[np.random.Generator]:
    """Independent generators of one seed."""
    return [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(count)]


def _unmeasured(lesson: Lesson) -> Speed:
    return Speed(futures=1, steps=lesson.fresh.u.shape[1], surrogate_per_s=1.0, replaced_per_s=1.0,
                 machine="", surrogate_runs="", replaced_runs="")  # fmt: skip


def _recorded(training: Training, lesson: Lesson, network: bytes) -> dict[str, object]:
    return {**asdict(training), "stages": [asdict(s) for s in training.stages],
            "futures": len(lesson.data.x0), "steps": lesson.data.u.shape[1],
            "network_bytes": len(network)}  # fmt: skip
