"""What a surrogate is worth: its error at each lead, the share outside its range, its speed."""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.surrogates.manifest import HorizonError, Speed
from sandbox.surrogates.onnx_runtime import runtime_version
from sandbox.surrogates.replaced import Replaced
from sandbox.surrogates.simulator import SurrogateSimulator
from sandbox.surrogates.training_data import Futures
from sandbox.symbolic.batch import BatchSimulator, available_cores

Array = NDArray[np.float64]
HORIZONS_H = (1.0, 6.0, 24.0)
RESAMPLES = 1000
CONFIDENCE = 0.95
SPREAD_SHARE = 0.10  # of a quantity's standard deviation: explains 99 % of its variance
TWIN_SHARE = 0.5  # of the twin's own error: the two together are then 12 % worse than the twin
ROUNDS = 5
HOUR_S = 3600.0
# Limit and its basis, by quantity and lead; a quantity that is absent is reported and not judged.
Limits = Mapping[tuple[str, float], tuple[float, str]]


@dataclass(frozen=True)
class Measured:
    """Errors by quantity and lead, and the share of futures that left the range."""

    errors: tuple[HorizonError, ...]
    share_outside: float


def stated_limits(
    replaced: Replaced, data: Futures, judged: Sequence[str],
    own_error: Callable[[str], Mapping[float, float]],
) -> Limits:  # fmt: skip
    """What the errors must keep, stated from the training data and the twin before any measuring.

    Args:
        judged: which signals count: those that a sensor or a meter shows.
        own_error: by signal, the twin's own error on days that it was held back from, by lead.
    """
    found: dict[tuple[str, float], tuple[float, str]] = {}
    values = np.concatenate([data.states, data.outputs], axis=2)
    for i, signal, _ in quantities(replaced):
        if signal not in judged:
            continue
        spread = SPREAD_SHARE * float(values[:, :, i].std())
        for horizon in HORIZONS_H:
            limit, basis = spread, f"{SPREAD_SHARE:.0%} of its standard deviation"
            known = own_error(signal).get(horizon)
            if known is not None and TWIN_SHARE * known < limit:
                limit, basis = TWIN_SHARE * known, f"{TWIN_SHARE:.0%} of the twin's own error"
            found[signal, horizon] = limit, basis
    return found


def quantities(replaced: Replaced) -> list[tuple[int, str, str]]:
    """(place, signal or state or output, unit) of all that a step gives, each name once."""
    every = [(replaced.shows.get(q.name, q.name), q.unit) for q in replaced.states]
    every += [(q.name, q.unit) for q in replaced.outputs]
    names = [name for name, _ in every]
    return [(i, n, unit) for i, (n, unit) in enumerate(every) if names.index(n) == i]


def measure_errors(
    surrogate: SurrogateSimulator, fresh: Futures, limits: Limits, seed: int
) -> Measured:
    """Errors at each lead on futures that nothing was learned from, those in range."""
    states, outputs, inside = surrogate.attempt(fresh.x0, fresh.u)
    wrong = np.concatenate([states - fresh.states, outputs - fresh.outputs], axis=2)[inside]
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(9,)))
    rows = []
    for horizon in HORIZONS_H:
        step = round(horizon * HOUR_S / surrogate.replaced.step_s) - 1
        if not 0 <= step < wrong.shape[1] or not len(wrong):
            continue
        chosen = generator.integers(len(wrong), size=(RESAMPLES, len(wrong)))
        for i, signal, unit in quantities(surrogate.replaced):
            squared = wrong[:, step, i] ** 2
            resampled = np.sqrt(squared[chosen].mean(axis=1))
            limit, basis = limits.get((signal, horizon), (None, ""))
            rows.append(HorizonError(
                signal=signal, unit=unit, horizon_h=horizon, limit=limit, basis=basis,
                rmse=float(np.sqrt(squared.mean())),
                upper=float(np.quantile(resampled, CONFIDENCE)),
            ))  # fmt: skip
    return Measured(tuple(rows), float(1.0 - inside.mean()))


def measure_speed(surrogate: SurrogateSimulator, fresh: Futures, most: int, rounds: int) -> Speed:
    """Both in turns on the same `most` futures; the best turn of each counts."""
    inside = np.flatnonzero(surrogate.attempt(fresh.x0, fresh.u)[2])
    # Futures that the guard sends back would time the replaced model twice.
    rows = np.resize(inside if len(inside) else np.arange(len(fresh.x0)), most)
    x0, u = fresh.x0[rows], np.ascontiguousarray(fresh.u[rows])
    best = [np.inf, np.inf]
    runs: list[Callable[[Array, Array], object]] = [surrogate.attempt, surrogate.replaced.run]
    for _ in range(rounds):
        for i, run in enumerate(runs):
            began = time.perf_counter()
            run(x0, u)
            best[i] = min(best[i], time.perf_counter() - began)
    own = surrogate.replaced.simulator
    words = "FMU, one future after the other"
    if isinstance(own, BatchSimulator):
        words = f"{own.backend} batch, up to {available_cores()} threads"
    return Speed(
        futures=len(rows), steps=u.shape[1], surrogate_per_s=len(rows) / best[0],
        replaced_per_s=len(rows) / best[1], machine=machine(), replaced_runs=words,
        surrogate_runs=f"onnxruntime {runtime_version()}, one thread, range check included",
    )  # fmt: skip


def machine() -> str:
    """Processor, number of cores and system, in words."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [line.split(":", 1)[1].strip() for line in stream if "model name" in line]
        name = names[0] if names else name
    except OSError:
        pass  # no such file outside Linux
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
