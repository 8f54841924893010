"""Trials of the safety filter: hostile moves, bounded disturbances, and the twin as the plant."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safety.filter.certify import Certified, SafetyFilter
from sandbox.filter_model import FilterState, TwinFilterModel
from sandbox.futures import Futures, sample_futures
from sandbox.scenario import with_output_errors
from sandbox.viable_set import resting, viable

Array = NDArray[np.float64]
# Whatever a broken controller may say. Each is tried at any point.
HOSTILE = (np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -0.0, 1e9, -1e9)


@dataclass(frozen=True)
class Trial:
    """One start: what the filter did step by step, and the limits that were broken in the twin."""

    certified: tuple[Certified, ...]
    broken: tuple[str, ...]


def viable_states(
    model: TwinFilterModel, low: Array, high: Array, count: int, generator: np.random.Generator
) -> tuple[Array, float]:
    """`count` states of the box low..high from which the backup law is proven, (count, S), and the
    share of drawn states that were."""
    found: list[Array] = []
    drawn = kept = 0
    while kept < count:
        states = low + (high - low) * generator.random((max(64, count // 4), len(low)))
        good = viable(model, states)
        drawn += len(states)
        kept += int(good.sum())
        found.append(states[good])
        if drawn > 200 * count:
            break
    return np.concatenate(found)[:count], kept / drawn


def bounded_futures(model: TwinFilterModel, count: int, seed: int) -> Futures:
    """Sampled futures brought inside the disturbances' bounds."""
    futures = sample_futures(model.twin, model.snapshot, count, seed)
    corners = model.bounds.corners
    w = {s: np.clip(v, corners[s].min(axis=0), corners[s].max(axis=0))
         for s, v in futures.w.items()}  # fmt: skip
    errors = {}
    for name, paths in futures.output_errors.items():
        reach = model.bounds.reading.get(f"{name.split('.', 1)[0]}.temp_degc", 0.0)
        errors[name] = np.clip(paths, -reach, reach)
    return Futures(futures.x0, w, futures.parameters, errors)


def hostile_moves(model: TwinFilterModel, generator: np.random.Generator) -> Iterator[Array]:
    """Moves without end: ends of the ranges, anything between and beyond, and no numbers at all."""
    span = model.high - model.low
    while True:
        kind = int(generator.integers(5))
        move = model.low + span * generator.random(len(span))
        if kind == 0:
            move = np.where(generator.random(len(span)) < 0.5, model.low, model.high)
        elif kind == 1:
            move = model.low + span * generator.uniform(-2.0, 3.0, len(span))
        elif kind == 2:
            move[int(generator.integers(len(span)))] = generator.choice(HOSTILE)
        elif kind == 3:
            move = generator.choice(HOSTILE, len(span))
        yield np.asarray(move, dtype=float)


def run_trial(
    model: TwinFilterModel, x: Array, future: Futures, moves: Iterator[Array], steps: int
) -> Trial:
    """`steps` moves from state x (S,) in one future: each certified, then made in the twin."""
    guarded: SafetyFilter[FilterState] = SafetyFilter(model)
    state, certified, broken = resting(model, x), [], []
    for k in range(steps):
        found = guarded.certify(state, next(moves))
        certified.append(found)
        state, names = _made(model, state, found.move, future, k)
        broken += names
    return Trial(tuple(certified), tuple(broken))


def _made(
    model: TwinFilterModel, state: FilterState, move: Array, future: Futures, k: int
) -> tuple[FilterState, list[str]]:
    """The state after the move, and what was broken on the way."""
    w = {s: v[:1, k : k + 1] for s, v in future.w.items()}
    schedules = {p: [float(v)] for p, v in zip(model.points, move, strict=True)}
    rollout = model.twin.simulate(
        state.x[None], w, schedules, model.time(k), state.running, hp_held_s=state.held_s
    )
    errors = {s: v[:1, k : k + 1] for s, v in future.output_errors.items()}
    traces = with_output_errors(rollout.traces, errors)
    rows = model.beyond(traces, reading=False)
    broken = [n for n, row in zip(model.constraints, rows, strict=False) if float(row[0]) > 0.0]
    running = bool(rollout.hp_on[0])
    starts = state.starts + float(running and not state.running)
    in_force = np.array([float(traces[p][0, 0]) for p in model.points])
    after = FilterState(
        rollout.final_state[0], running, float(rollout.hp_held_s[0]), in_force, starts, k + 1
    )
    return after, broken
