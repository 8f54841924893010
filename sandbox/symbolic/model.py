"""What a model is: named, united variables and one function that writes its equations.

    dx/dt = f(x, u, p)     y = g(x, u, p)     z+ = j(x, u, p)

x states, u inputs (held over a step), p parameters, y outputs, z discrete states. Everything else
(simulation, batches, Jacobians, steady states, the planner's constraints) is derived from `f`, `g`
and `j`, so that no second copy of the equations can disagree with the first.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr, column, symbols

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Variable:
    """A state or an input. `nominal` scales residuals and tolerances; bounds are physical."""

    name: str
    unit: str
    lower: float = -math.inf
    upper: float = math.inf
    nominal: float = 1.0


@dataclass(frozen=True)
class Parameter:
    """A constant of the model; `space` says in which space it is fitted (log: positive)."""

    name: str
    unit: str
    value: float
    space: Literal["log", "linear"] = "linear"


@dataclass(frozen=True)
class Output:
    """What is reported a step: the mean over it (flows, powers) or the value at its end."""

    name: str
    unit: str
    mean: bool = False


@dataclass(frozen=True)
class Equations:
    """Right-hand sides by name.

    `derivative`: of states, per second. `outputs`: every output, at the instant. `jumps`: the new
    values of discrete states at the end of each substep, from the values just reached. A state
    may flow and jump (a timer); one that only jumps keeps its value between.
    """

    derivative: Mapping[str, Expr]
    outputs: Mapping[str, Expr]
    jumps: Mapping[str, Expr] = field(default_factory=dict)


Names = Mapping[str, Expr]
EquationsOf = Callable[[Names, Names, Names], Equations]


@dataclass(frozen=True)
class SymbolicModel:
    """One definition of a plant or a part of one. `source`: the publication it follows."""

    name: str
    states: tuple[Variable, ...]
    inputs: tuple[Variable, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    equations: EquationsOf
    source: str = ""

    def __post_init__(self) -> None:
        """Raises InputError on a name that is used twice."""
        for kind, group in (("state", self.states), ("input", self.inputs),
                            ("parameter", self.parameters), ("output", self.outputs)):  # fmt: skip
            names = [item.name for item in group]
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise InputError(f"model {self.name}: {kind} {', '.join(twice)} declared twice")

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of x in order."""
        return tuple(v.name for v in self.states)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of u in order."""
        return tuple(v.name for v in self.inputs)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of p in order."""
        return tuple(v.name for v in self.parameters)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of y in order."""
        return tuple(v.name for v in self.outputs)

    @property
    def defaults(self) -> Array:
        """The declared parameter values, (P,)."""
        return np.array([v.value for v in self.parameters], dtype=float)

    @cached_property
    def written(self) -> "Written":
        """The equations over this model's own symbols. Raises InputError where they misfit."""
        return _write(self)


@dataclass(frozen=True)
class Written:
    """A model's symbols and right-hand sides as columns of scalar expressions.

    `flow` (S,): derivative per second, zero where a state only jumps. `outputs` (Y,).
    `jumped` (S,): the states after the jumps. `jumps` tells whether any state jumps.
    """

    x: Expr
    u: Expr
    p: Expr
    flow: Expr
    outputs: Expr
    jumped: Expr
    jumps: bool


def parameter_vector(model: SymbolicModel, changed: Mapping[str, float]) -> Array:
    """The declared values with some replaced by name, (P,). Raises InputError on other names."""
    names = model.parameter_names
    unknown = sorted(set(changed) - set(names))
    if unknown:
        raise InputError(
            f"model {model.name} has no parameter {', '.join(unknown)}", f"it has {_list(names)}"
        )
    return np.array([changed.get(v.name, v.value) for v in model.parameters], dtype=float)


def _write(model: SymbolicModel) -> Written:
    x, u, p = (
        symbols(n) for n in (model.state_names, model.input_names, model.parameter_names)
    )  # fmt: skip
    equations = model.equations(
        dict(zip(model.state_names, x, strict=True)),
        dict(zip(model.input_names, u, strict=True)),
        dict(zip(model.parameter_names, p, strict=True)),
    )
    _check(model, equations)
    flow = [equations.derivative.get(n, 0.0) for n in model.state_names]
    jumped = [equations.jumps.get(n, x[i]) for i, n in enumerate(model.state_names)]
    read = [equations.outputs[n] for n in model.output_names]
    return Written(
        column(x), column(u), column(p), column(flow), column(read), column(jumped),
        bool(equations.jumps),
    )  # fmt: skip


def _check(model: SymbolicModel, equations: Equations) -> None:
    moved = [*equations.derivative, *equations.jumps]
    _same_names(model, "states", model.state_names, moved)
    _same_names(model, "outputs", model.output_names, list(equations.outputs))


def _same_names(
    model: SymbolicModel, kind: str, declared: Sequence[str], written: Sequence[str]
) -> None:
    lacking = [n for n in declared if n not in written]
    unknown = sorted(set(written) - set(declared))
    if lacking:
        raise InputError(
            f"model {model.name}: no equation for {kind} {_list(lacking)}",
            "give every state a derivative or a jump, every output an expression",
        )
    if unknown:
        raise InputError(
            f"model {model.name}: equations for undeclared {kind} {_list(unknown)}",
            f"declared: {_list(declared)}",
        )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
