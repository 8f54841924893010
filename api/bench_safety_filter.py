"""`bench safety-filter`: hostile moves from viable starts, hostile inputs, latency.

1. The viable set: states drawn from the box of the site's limits, kept where the plant's own law
   was proven to keep every limit. How large the part is, is shown.
2. From such states that also lie in the terminal set, hostile moves are certified and made in the
   twin, disturbances drawn inside their bounds: hard limits broken, and moves without a proof.
3. Inputs that are no numbers, or far outside every range: answers that the plant could not take.
4. States outside the viable set: how many answers name what is exceeded.
5. Time of one decision of a policy of the usual size with the filter behind it, along a day; of
   the processor, so that a busy machine does not count.
"""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.bench_figure import Figure
from api.training_moments import PastMoments
from graph.errors import InputError
from planner.rl.actor import Actor
from planner.rl.episodes import Moment, expected
from planner.rl.filtered import filter_of, filter_state
from planner.rl.world import BatchWorld
from safety.filter.certify import SafetyFilter, Verdict
from sandbox.filter_model import FilterState, TwinFilterModel
from sandbox.filter_trial import bounded_futures, hostile_moves, run_trial, viable_states
from sandbox.state_box import limit_box
from sandbox.viable_set import resting, viable

Array = NDArray[np.float64]
Say = Callable[[str], None]
STARTS, INPUTS, STEPS, FUTURES = 1000, 10_000, 4, 64
QUICK_STARTS, QUICK_INPUTS = 60, 300
HIDDEN = 64
TARGET_MS = 1.0


def run_bench(folder: Path, *, quick: bool, say: Say) -> list[Figure]:
    """Every figure, in one run. Raises InputError where the pack's record holds no usable day."""
    moment = _moment(folder)
    say("the viable set")
    guarded = filter_of(moment.space.twin, moment)
    model = guarded.model
    assert isinstance(model, TwinFilterModel)
    starts, inputs = (QUICK_STARTS, QUICK_INPUTS) if quick else (STARTS, INPUTS)
    figures, states = _viable(model, starts)
    say(f"hostile moves from {len(states)} states")
    figures += _trials(model, states)
    say(f"{inputs} hostile inputs")
    figures += [_inputs(model, inputs), _outside(model, starts // 10)]
    say("latency along a day")
    return [*figures, _latency(moment, model)]


def _moment(folder: Path) -> Moment:
    past = PastMoments(folder)
    starts = past.starts(kept=True)
    if not starts:
        raise InputError("the record has no whole day apart", "record a month of telemetry")
    return Moment(past.space, past.at(starts[-1]))


def _viable(model: TwinFilterModel, count: int) -> tuple[list[Figure], Array]:
    whole, box = limit_box(model.twin), model.terminal
    assert box is not None
    generator = np.random.default_rng(1)
    _, share = viable_states(model, whole.low, whole.high, count, generator)
    # Starts lie where the proof's terminal set is: from there the horizon's tail can be closed.
    states, inside = viable_states(model, box.low, box.high, count, generator)
    spans = "; ".join(f"{n} {a:.1f} to {b:.1f}"
                      for n, a, b in zip(box.names, box.low, box.high, strict=True))  # fmt: skip
    return [
        Figure("viable share of the box of the site's limits", share, "1"),
        Figure("viable share of the box taken as terminal set", inside, "1", note=spans),
    ], states


def _trials(model: TwinFilterModel, states: Array) -> list[Figure]:
    futures = bounded_futures(model, FUTURES, seed=2)
    moves = hostile_moves(model, np.random.default_rng(3))
    broken = unproven = made = 0
    verdicts = dict.fromkeys(Verdict, 0)
    names: set[str] = set()
    for i, x in enumerate(states):
        k = i % FUTURES
        trial = run_trial(model, x, futures.part(k, k + 1), moves, STEPS)
        broken += bool(trial.broken)
        names |= set(trial.broken)
        for certified in trial.certified:
            made += 1
            unproven += not certified.safe
            verdicts[certified.verdict] += 1
    told = ", ".join(f"{v.value} {n}" for v, n in verdicts.items() if n)
    what = f"{len(states)} starts x {STEPS} hostile moves"
    return [
        Figure(f"{what}: starts with a hard limit broken", broken, "1", 0.0,
               note=", ".join(sorted(names))),
        Figure(f"{what}: moves without a proof", unproven, "1", 0.0, note=f"of {made}: {told}"),
    ]  # fmt: skip


def _inputs(model: TwinFilterModel, count: int) -> Figure:
    box, generator = model.terminal, np.random.default_rng(4)
    assert box is not None
    guarded: SafetyFilter[FilterState] = SafetyFilter(model)
    moves, wrong = hostile_moves(model, generator), 0
    for _ in range(count):
        x = box.low + (box.high - box.low) * generator.random(len(box.low))
        move = guarded.certify(resting(model, x), next(moves)).move
        taken = np.where(np.isnan(move), model.low, move)  # NaN: left to the plant's own law
        wrong += bool(((taken < model.low) | (taken > model.high)).any())
    return Figure(f"{count} hostile inputs: answers that no plant takes", wrong, "1", 0.0)


def _outside(model: TwinFilterModel, count: int) -> Figure:
    """States from which the plant's own law is not proven: each answer says what is exceeded."""
    whole, generator = limit_box(model.twin), np.random.default_rng(5)
    drawn = whole.low + (whole.high - whole.low) * generator.random((20 * count, len(whole.low)))
    states = drawn[~viable(model, drawn)][:count]
    middle = (model.low + model.high) / 2.0
    silent = 0
    for x in states:
        found = SafetyFilter(model).certify(resting(model, x), middle)
        silent += found.verdict is Verdict.LEAST_VIOLATION and not found.constraint
    name = f"{len(states)} starts outside it: least violations without a name"
    return Figure(name, silent, "1", 0.0)


def _latency(moment: Moment, model: TwinFilterModel) -> Figure:
    """A policy's decision and its certificate, step by step along the expected day."""
    world, actor = BatchWorld(moment.space), _usual(len(moment.space.names), len(model.points))
    world.reset([expected(moment)])
    guarded: SafetyFilter[FilterState] = SafetyFilter(model)
    alone, both = [], []
    while not world.done:
        state, observed = filter_state(world, 0, world.k), world.observe()
        begun = time.process_time()
        action = actor.act(observed)
        wanted = world.actions.setpoints(action, world.state.setpoints)[0]
        middle = time.process_time()
        certified = guarded.certify(state, wanted)
        both.append(1e3 * (time.process_time() - begun))
        alone.append(1e3 * (middle - begun))
        world.apply(certified.move[None])
    note = f"median {np.median(both):.1f}; the policy alone {np.percentile(alone, 99):.2f}"
    p99 = float(np.percentile(both, 99))
    return Figure("policy and filter, p99 of a decision", p99, "ms", TARGET_MS, note=note)


def _usual(columns: int, points: int) -> Actor:
    """A network of the usual size with small random weights."""
    generator = np.random.default_rng(6)
    widths = (columns, HIDDEN, HIDDEN, points)
    layers = tuple(
        (generator.normal(0.0, 0.05, (a, b)).astype(np.float32), np.zeros(b, np.float32))
        for a, b in pairwise(widths)
    )
    return Actor(np.zeros(columns, np.float32), np.ones(columns, np.float32), layers)
