"""Coupled FMUs replaced by a network: matrix products where processes had to be stepped.

The network's step is a whole number of the FMUs' macro steps, with inputs held. What it takes for
the state is what the FMUs show (`watch`); a state that they hide is part of the measured error.
Roll-outs begin where the FMUs start: nobody can put an unknown FMU anywhere else.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.canonical import digest, digest_bytes
from graph.errors import InputError
from sandbox.fmi.coupling import split_name
from sandbox.fmi.runs import FmuRun
from sandbox.fmi.twin_part import FmuRollout, FmuTwinPart
from sandbox.surrogates.make import (
    DAY_H,
    Lesson,
    Made,
    Say,
    generators,
    make_surrogate,
)
from sandbox.surrogates.measure import stated_limits
from sandbox.surrogates.networks import Kind
from sandbox.surrogates.plans import held_values
from sandbox.surrogates.replaced import Quantity, Replaced
from sandbox.surrogates.simulator import SurrogateSimulator, Usage, load_surrogate
from sandbox.surrogates.train_loop import require_torch
from sandbox.surrogates.training_data import Futures

Array = NDArray[np.float64]
LEARN_FUTURES, FRESH_FUTURES, SPEED_FUTURES, ROUNDS = 16, 8, 4, 1
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class CoarseFmu:
    """FMUs in steps of `stride` macro steps; `home`: what they show at their start, (S,)."""

    part: FmuTwinPart
    stride: int
    home: Array

    def run(self, x0: ArrayLike, u: ArrayLike, p: ArrayLike | None = None) -> tuple[Array, Array]:
        """See `Simulates`. Raises InputError away from the start, or with parameters."""
        start, table = np.asarray(x0, dtype=float), np.asarray(u, dtype=float)
        if p is not None or not (start == self.home).all():
            raise InputError("FMUs are rolled out from their start with their own parameters")
        table = np.broadcast_to(table, (len(start), *table.shape[-2:]))
        steps = table.shape[1]
        inputs = {name: np.repeat(table[:, :, i], self.stride, axis=1)
                  for i, name in enumerate(self.part.system.inputs)}  # fmt: skip
        rollout = self.part.simulate(len(start), steps * self.stride, inputs)
        ends = [rollout.traces[n][:, self.stride - 1 :: self.stride]
                for n in self.part.system.watch]  # fmt: skip
        return np.stack(ends, axis=2), np.stack(ends, axis=2)


def replaced_fmu(part: FmuTwinPart, step_s: float) -> Replaced:
    """The FMUs of `part` in steps of `step_s`.

    Raises:
        InputError: a step that is no multiple of the FMUs', nothing watched or driven.
        FmuError: an FMU does not start.
    """
    stride = round(step_s / part.step_s)
    if stride < 1 or abs(stride * part.step_s - step_s) > 1e-9 * step_s:
        raise InputError(f"a step of {step_s} s", f"a multiple of the FMUs' {part.step_s} s")
    system = part.system
    if not system.watch or not system.inputs:
        raise InputError("nothing drives these FMUs or nothing is watched", "map points of both")
    run = FmuRun(system, step_s=part.step_s, tolerance=part.tolerance, scheme=part.scheme,
                 limits=part.limits)  # fmt: skip
    try:
        home = np.array([run.values[n] for n in system.watch])
    finally:
        run.close()
    descriptions = system.descriptions(part.limits)

    def quantity(name: str) -> Quantity:
        component, variable = split_name(name, descriptions)
        unit = descriptions[component].variable(variable).unit
        return Quantity(name=name, unit=unit.name if unit else "-")

    watched = tuple(quantity(n) for n in system.watch)
    return Replaced(
        kind="fmu", name=f"FMUs {', '.join(system.parts)}", digest=_digest(part, step_s),
        step_s=step_s, states=watched, inputs=tuple(quantity(n) for n in system.inputs),
        outputs=watched, simulator=CoarseFmu(part, stride, home), point=None,
        shows={n: n for n in system.watch}, bounds=np.full((len(watched), 2), [-np.inf, np.inf]),
    )  # fmt: skip


def _digest(part: FmuTwinPart, step_s: float) -> str:
    system = part.system
    parts = {
        name: {"file": digest_bytes(p.file.read_bytes()), "parameters": dict(p.parameters),
               "interface": p.interface}
        for name, p in system.parts.items()
    }  # fmt: skip
    return digest({
        "parts": parts, "connections": [list(c) for c in system.connections],
        "inputs": list(system.inputs), "watch": list(system.watch), "step_s": step_s,
        "macro_step_s": part.step_s, "tolerance": part.tolerance, "scheme": part.scheme,
    })  # fmt: skip


def surrogate_of_fmu(
    part: FmuTwinPart, step_s: float, ranges: Ranges, kind: Kind = "residual", seed: int = 0, *,
    hours: float = DAY_H, effort: float = 1.0, say: Say = lambda _: None,
) -> Made:  # fmt: skip
    """Train a surrogate of FMUs under random inputs, each held for random times over its range.

    Raises:
        InputError: an input without a range; see `replaced_fmu`.
        FmuError: an FMU failed.
        UnavailableError: without the extra `train`.
    """
    require_torch()
    lacking = [n for n in part.system.inputs if n not in ranges]
    if lacking:
        raise InputError(f"no range for the inputs {', '.join(lacking)}", "(least, greatest)")
    replaced, steps = replaced_fmu(part, step_s), max(1, round(hours * 3600.0 / step_s))
    learn, fresh = generators(seed, 2)
    count = max(6, round(LEARN_FUTURES * effort))
    say(f"running the {replaced.name} for {count} futures of {hours:g} h to learn from")
    data = _futures(replaced, ranges, learn, count, steps)
    apart = _futures(replaced, ranges, fresh, max(6, round(FRESH_FUTURES * effort)), steps)
    limits = stated_limits(replaced, data, part.system.watch, lambda _: {})
    lesson = Lesson(replaced, data, apart, limits, SPEED_FUTURES, ROUNDS)
    return make_surrogate(lesson, kind, seed, effort=effort, say=say)


def _futures(
    replaced: Replaced, ranges: Ranges, generator: np.random.Generator, futures: int, steps: int
) -> Futures:
    simulator = replaced.simulator
    assert isinstance(simulator, CoarseFmu)
    u = np.stack([held_values(generator, futures, steps, *ranges[q.name])
                  for q in replaced.inputs], axis=2)  # fmt: skip
    x0 = np.tile(simulator.home, (futures, 1))
    return Futures(x0, u, *simulator.run(x0, u))


class SurrogateFmu:
    """`FmuTwinPart.simulate` in the surrogate's steps; outside its range the FMUs run."""

    def __init__(self, surrogate: SurrogateSimulator) -> None:
        """`surrogate` is one of FMUs (`surrogate_of_fmu`, `load_surrogate_fmu`)."""
        own = surrogate.replaced.simulator
        if not isinstance(own, CoarseFmu):
            raise InputError("the surrogate is not one of FMUs", "see SurrogateTwin")
        self.surrogate, self._own = surrogate, own

    @property
    def usage(self) -> Usage:
        """Futures since the start, and how many of them the FMUs simulated."""
        return self.surrogate.usage

    def simulate(
        self, futures: int, steps: int, inputs: Mapping[str, Array | Sequence[float]]
    ) -> FmuRollout:
        """F futures of N steps from the FMUs' start; inputs (N,) or (F, N) by name.

        Raises:
            InputError: a missing input or a wrong shape.
            FmuError: an FMU failed outside the range.
        """
        began = time.monotonic()
        columns = []
        for quantity in self.surrogate.replaced.inputs:
            table = np.asarray(inputs.get(quantity.name, np.empty(0)), dtype=float)
            if table.shape not in ((steps,), (futures, steps)):
                raise InputError(
                    f"input {quantity.name} has shape {table.shape}",
                    f"expected ({steps},) or ({futures}, {steps})",
                )
            columns.append(np.broadcast_to(table, (futures, steps)))
        before = self.usage.replaced
        x0 = np.tile(self._own.home, (futures, 1))
        states, _ = self.surrogate.run(x0, np.stack(columns, axis=2))
        traces = {q.name: states[:, :, i] for i, q in enumerate(self.surrogate.replaced.states)}
        starts = int(self.usage.replaced > before) * self._own.part.workers
        return FmuRollout(traces, time.monotonic() - began, starts)


def load_surrogate_fmu(part: FmuTwinPart, folder: Path, step_s: float) -> SurrogateFmu:
    """The surrogate in `folder` in the place of FMUs. Raises InputError, IntegrityError."""
    return SurrogateFmu(load_surrogate(folder, replaced_fmu(part, step_s)))
