"""`bench rollouts`: how many roll-outs a second the one definition gives, beside hand-written ones.

All contenders compute the same 1,000 futures x 96 steps x 10 states by RK4, each future with its
own weather and parameters, and their results are compared before anything is timed. They take
turns, so that a busy machine slows them all; the best turn of each counts.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.bench_figure import Figure
from api.rollout_rivals import (
    Rival,
    c_compiler,
    casadi_c_rollouts,
    definition,
    numpy_rollouts,
)
from sandbox.symbolic import llvm_kernel
from sandbox.symbolic.batch import BatchSimulator, available_cores

Array = NDArray[np.float64]
STEP_S = 900.0
FUTURES, STEPS = 1000, 96
PART = 1e-9  # relative: they are the same sums in another order
WITHIN = 1.5  # of the fastest that a person would write
OURS, PLAIN = "one definition, compiled", "one definition, NumPy"

COMPILE = """
import json, time
from sandbox.symbolic.batch import BatchSimulator
from sandbox.symbolic.components.thermal import Zone, thermal_network
zones = [Zone(f"z{i}", 3) for i in range(5)]
model = thermal_network(zones, {(f"z{i}", f"z{(i + 1) % 5}"): 0.2 for i in range(5)})
began = time.perf_counter()
batch = BatchSimulator(model, 900.0, backend="compiled")
batch.source
written = time.perf_counter()
batch.prepare()
print(json.dumps([written - began, time.perf_counter() - written]))
"""


def run_bench(*, quick: bool) -> list[Figure]:
    """Every figure, in one run."""
    rounds = 5 if quick else 25
    threads = available_cores()
    data = _futures(np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        contenders = _contenders(threads, Path(folder))
        worst = _compare(contenders, data)
        seconds = _race(contenders, data, rounds)
    rates = {name: FUTURES / best for name, best in seconds.items()}
    note = f"{FUTURES} x {STEPS} x 10 states, RK4, {threads} threads"
    figures = [Figure(f"roll-outs a second: {n}", r, "1/s", note=note) for n, r in rates.items()]
    rivals = {name: rate for name, rate in rates.items() if name not in (OURS, PLAIN)}
    fastest = max(rivals, key=lambda name: rivals[name])
    ours = rates.get(OURS, rates[PLAIN])
    return [
        *figures,
        Figure("largest relative difference of their results", worst / PART, "1e-9", 1.0),
        Figure("fastest hand-written over ours", rivals[fastest] / ours, "1", WITHIN, note=fastest),
        *_compile_times(),
    ]


def _futures(generator: np.random.Generator) -> tuple[Array, Array, Array]:
    hour = np.arange(1, STEPS + 1) / 4
    x0 = generator.uniform(17, 23, (FUTURES, 10))
    u = np.empty((FUTURES, STEPS, 7))
    u[:, :, 0] = 4 + 5 * np.sin((hour - 9) / 12 * np.pi) + generator.normal(0, 2, (FUTURES, 1))
    u[:, :, 1] = 0.5 * np.maximum(0, np.sin((hour - 7) / 10 * np.pi)) * (hour < 17)
    u[:, :, 2:] = generator.uniform(-1, 9, (FUTURES, STEPS, 5))
    p = definition().defaults * generator.lognormal(0, 0.1, (FUTURES, len(definition().parameters)))
    return x0, u, p


def _contenders(threads: int, folder: Path) -> dict[str, Rival]:
    model = definition()
    found: dict[str, Rival] = {}
    if llvm_kernel.installed():
        found[OURS] = BatchSimulator(model, STEP_S, threads=threads).prepare().run
    found[PLAIN] = BatchSimulator(model, STEP_S, backend="numpy").run
    found["by hand, NumPy"] = numpy_rollouts(STEP_S)
    if importlib.util.find_spec("numba"):
        from api.numba_rival import numba_rollouts

        found["by hand, numba"] = numba_rollouts(STEP_S, threads)
    if c_compiler():
        found["CasADi's C"] = casadi_c_rollouts(STEP_S, threads, folder)
    return found


def _compare(contenders: dict[str, Rival], data: tuple[Array, Array, Array]) -> float:
    """Largest difference from the plain NumPy version, relative to the values' size."""
    reference = contenders["by hand, NumPy"](*data)
    worst = 0.0
    for run in contenders.values():
        for ours, theirs in zip(run(*data), reference, strict=True):
            worst = max(worst, float(np.max(np.abs(ours - theirs) / (1.0 + np.abs(theirs)))))
    return worst


def _race(
    contenders: dict[str, Rival], data: tuple[Array, Array, Array], rounds: int
) -> dict[str, float]:
    best = dict.fromkeys(contenders, np.inf)
    for _ in range(rounds):
        for name, run in contenders.items():
            began = time.perf_counter()
            run(*data)
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def _compile_times() -> list[Figure]:
    """A new process with an empty cache, and another that finds the first one's code."""
    if not llvm_kernel.installed():
        return []
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for name, target in (("cold", 5.0), ("from disk", 1.0)):
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", COMPILE], check=True, capture_output=True, text=True,
                cwd=Path(__file__).resolve().parents[1],
                env={**os.environ, "XDG_CACHE_HOME": cache},
            )  # fmt: skip
            written, compiled = json.loads(done.stdout)
            note = f"and {written:.2f} s to write its operations"
            rows.append(
                Figure(f"compiling a model of 15 states, {name}", compiled, "s", target, note=note)
            )
    return rows
