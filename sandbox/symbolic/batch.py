"""Many roll-outs of one model at once, by compiled code or by NumPy, from one operation list."""

import os
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from threading import Thread
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.errors import InputError
from sandbox.symbolic import llvm_kernel
from sandbox.symbolic.llvm_nodes import LANES, library_functions
from sandbox.symbolic.llvm_source import kernel_source, workspace_doubles
from sandbox.symbolic.model import SymbolicModel
from sandbox.symbolic.numpy_kernel import NumpyKernel
from sandbox.symbolic.program import Program, compile_program
from sandbox.symbolic.step import (
    STAGES,
    Method,
    StepEquations,
    check_step,
    output_order,
    step_equations,
)

Array = NDArray[np.float64]
Backend = Literal["auto", "compiled", "numpy"]
# Below this many futures x steps x substeps a second thread costs more than it saves.
WORK_WORTH_A_THREAD = 4000


class Simulates(Protocol):
    """What rolls out a model with one step: a `BatchSimulator`, or what stands in for one."""

    def run(self, x0: ArrayLike, u: ArrayLike, p: ArrayLike | None = None) -> tuple[Array, Array]:
        """See `BatchSimulator.run`."""
        ...


class BatchSimulator:
    """Roll-outs of one model with one step.

    A future's result is the same bytes whatever runs beside it and on however many threads.
    The two backends agree to rounding of the elementary functions (1e-9 relative), not to the
    byte: record which one ran where bytes matter.
    """

    def __init__(self, model: SymbolicModel, step_s: float, substeps: int = 1,
                 backend: Backend = "auto", method: Method = "rk4",
                 threads: int | None = None) -> None:  # fmt: skip
        """`threads`: at most so many; None for every core that this process may use.

        Raises InputError on a bad step or backend; UnavailableError without CasADi.
        """
        check_step(step_s, substeps)
        if backend not in ("auto", "compiled", "numpy"):
            raise InputError(f"unknown backend {backend!r}", "known: auto, compiled, numpy")
        self.model, self.step_s, self.substeps, self.method = model, step_s, substeps, method
        self.threads = threads
        self.backend: Backend = backend
        if backend == "auto":
            self.backend = "compiled" if llvm_kernel.installed() else "numpy"
        self._order = list(output_order(model))

    @cached_property
    def _equations(self) -> StepEquations:
        return step_equations(self.model, self.method)

    @cached_property
    def program(self) -> Program:
        """The operations of one substep."""
        return compile_program(self._equations)

    @cached_property
    def source(self) -> str:
        """The generated code of the compiled backend."""
        return kernel_source(self.program, STAGES[self.method], self._equations.jumps)

    @cached_property
    def _workspace(self) -> int:
        return workspace_doubles(self.program, self._equations.jumps)

    def prepare(self) -> "BatchSimulator":
        """Compile now (or load from disk) instead of at the first run."""
        _ = self._compiled if self.backend == "compiled" else self._numpy
        return self

    @cached_property
    def _compiled(self) -> llvm_kernel.Kernel:
        return llvm_kernel.compiled(self.source, library_functions(self.program))

    @cached_property
    def _numpy(self) -> NumpyKernel:
        return NumpyKernel(self.program, STAGES[self.method], self._equations.jumps)

    def run(self, x0: ArrayLike, u: ArrayLike, p: ArrayLike | None = None) -> tuple[Array, Array]:
        """Simulate from x0 (F, S) under u (N, U) or (F, N, U) with p (P,) or (F, P).

        Returns states (F, N, S) at each step's end and outputs (F, N, Y): means over the step or
        values at its end, as declared. Without `p` the declared values. Raises InputError on
        shapes that do not fit.
        """
        start, inputs, constants = self._arguments(x0, u, p)
        futures, steps = start.shape[0], inputs.shape[1]
        states = np.empty((futures, steps, start.shape[1]))
        outputs = np.empty((futures, steps, len(self.model.outputs)))
        h = self.step_s / self.substeps
        if self.backend == "numpy":
            self._numpy.run(start, inputs, constants, h, self.substeps, states, outputs)
        else:
            self._run_compiled(start, inputs, constants, states, outputs)
        in_order = self._order == list(range(len(self._order)))
        return states, outputs if in_order else outputs[:, :, self._order]

    def _run_compiled(
        self, start: Array, inputs: Array, constants: Array, states: Array, outputs: Array
    ) -> None:
        kernel, futures, steps = self._compiled, *states.shape[:2]
        arrays = [a.ctypes.data for a in (start, inputs, constants)]
        counts = (futures, steps, int(inputs.shape[0] > 1), int(constants.shape[0] > 1))
        results = (states.ctypes.data, outputs.ctypes.data)

        def work(first: int, last: int) -> None:
            memory = _aligned(self._workspace)
            kernel(memory.ctypes.data, *arrays, self.step_s / self.substeps, *counts,
                   self.substeps, first, last, *results)  # fmt: skip

        blocks = -(-futures // LANES)
        _share(work, blocks, self._workers(blocks, futures * steps * self.substeps))

    def _workers(self, blocks: int, work: int) -> int:
        most = available_cores() if self.threads is None else self.threads
        return max(1, min(most, blocks, 1 + work // WORK_WORTH_A_THREAD))

    def _arguments(
        self, x0: ArrayLike, u: ArrayLike, p: ArrayLike | None
    ) -> tuple[Array, Array, Array]:
        model = self.model
        start = _array(x0, "x0", (2,), len(model.states), "(F, S)")
        inputs = _array(u, "u", (2, 3), len(model.inputs), "(N, U) or (F, N, U)")
        given = model.defaults if p is None else p
        constants = _array(given, "p", (1, 2), len(model.parameters), "(P,) or (F, P)")
        inputs = inputs[None] if inputs.ndim == 2 else inputs
        constants = constants[None] if constants.ndim == 1 else constants
        for name, count in (("u", inputs.shape[0]), ("p", constants.shape[0])):
            if count not in (1, start.shape[0]):
                raise InputError(
                    f"{name} holds {count} futures and x0 {start.shape[0]}",
                    f"give {name} for one future or for each",
                )
        h = np.full((constants.shape[0], 1), self.step_s / self.substeps)
        return start, inputs, np.concatenate([constants, h], axis=1)


def available_cores() -> int:
    """How many cores this process may run on.

    Limits that are set for BLAS (OMP_NUM_THREADS) do not count here: they are there because its
    results depend on them, and these do not.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _share(work: Callable[[int, int], None], blocks: int, workers: int) -> None:
    """Call work(first, last) over all blocks, on `workers` threads that include this one.

    Own threads instead of a threading layer of the compiler's: those that come with it abort the
    process when two threads of a service call in at once, or after a fork.
    """
    edges = [blocks * i // workers for i in range(workers + 1)]
    errors: list[BaseException] = []

    def guarded(first: int, last: int) -> None:
        try:
            work(first, last)
        except BaseException as error:
            errors.append(error)

    others = [Thread(target=guarded, args=edge) for edge in pairwise(edges[1:])]
    for thread in others:
        thread.start()
    guarded(edges[0], edges[1])
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]


def _aligned(count: int) -> Array:
    """Uninitialised numbers that begin at a multiple of 64 bytes, as vector loads want them."""
    raw = np.empty(count + 8)
    first = -raw.ctypes.data % 64 // 8
    return raw[first : first + count]


def _array(values: ArrayLike, name: str, ranks: tuple[int, ...], width: int, shape: str) -> Array:
    array = np.ascontiguousarray(values, dtype=float)
    if array.ndim not in ranks or array.shape[-1] != width:
        raise InputError(
            f"{name} has shape {array.shape}", f"expected {shape} with a last axis of {width}"
        )
    return array
