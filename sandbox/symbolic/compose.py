"""Joins models by named connections into one model.

Variables of part `tank` are called `tank.<name>`. A connection feeds an input from an output, or
from the sum of several, of the same unit; inputs that are not fed are inputs of the whole. Outputs
that depend on inputs at the same instant are put in order; where they go round in a circle the
circle is named and refused (put a state, e.g. a sensor's lag, into it).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr, free_symbols, substituted, symbol
from sandbox.symbolic.model import Equations, Names, Output, SymbolicModel

Connections = Mapping[str, str | Sequence[str]]


def compose(
    name: str, parts: Mapping[str, SymbolicModel], connections: Connections,
    outputs: Sequence[str] | None = None,
) -> SymbolicModel:  # fmt: skip
    """One model of `parts`; `connections`: source output(s) by fed input, as `part.variable`.

    `outputs` chooses what is reported (default: everything). Raises InputError on unknown names,
    units that differ, and algebraic loops.
    """
    sources = {t: (s,) if isinstance(s, str) else tuple(s) for t, s in connections.items()}
    _check(parts, sources)
    reported = [
        replace(o, name=f"{part}.{o.name}") for part, model in parts.items() for o in model.outputs
    ]
    if outputs is not None:
        reported = _chosen(reported, outputs)

    def equations(x: Names, u: Names, p: Names) -> Equations:
        return _joined(parts, sources, [o.name for o in reported], x, u, p)

    model = SymbolicModel(
        name,
        states=_prefixed(parts, "states"),
        inputs=tuple(v for v in _prefixed(parts, "inputs") if v.name not in sources),
        parameters=_prefixed(parts, "parameters"),
        outputs=tuple(reported),
        equations=equations,
        source="; ".join(dict.fromkeys(m.source for m in parts.values() if m.source)),
    )
    _ = model.written  # an algebraic loop is refused here
    return model


def _prefixed(parts: Mapping[str, SymbolicModel], kind: str) -> tuple[Any, ...]:
    return tuple(
        replace(v, name=f"{part}.{v.name}")
        for part, model in parts.items()
        for v in getattr(model, kind)
    )


def _chosen(reported: list[Output], names: Sequence[str]) -> list[Output]:
    known = {o.name: o for o in reported}
    unknown = [n for n in names if n not in known]
    if unknown:
        raise InputError(f"no output {', '.join(unknown)}", f"outputs: {', '.join(known)}")
    return [known[n] for n in names]


def _check(parts: Mapping[str, SymbolicModel], sources: Mapping[str, tuple[str, ...]]) -> None:
    inputs = {v.name: v.unit for v in _prefixed(parts, "inputs")}
    outputs = {v.name: v.unit for v in _prefixed(parts, "outputs")}
    for target, names in sources.items():
        if target not in inputs:
            raise InputError(f"no input {target}", f"inputs: {', '.join(inputs)}")
        for source in names:
            if source not in outputs:
                raise InputError(f"no output {source}", f"outputs: {', '.join(outputs)}")
            if outputs[source] != inputs[target]:
                raise InputError(
                    f"{source} in {outputs[source]} cannot feed {target} in {inputs[target]}",
                    "convert it in a part of its own",
                )


def _joined(
    parts: Mapping[str, SymbolicModel], sources: Mapping[str, tuple[str, ...]],
    reported: Sequence[str], x: Names, u: Names, p: Names,
) -> Equations:  # fmt: skip
    """Each part over placeholders for what feeds it; then the placeholders are replaced."""
    placeholders = {target: symbol(f">{target}") for target in sources}
    written = {
        part: _part(part, model, {**u, **placeholders}, x, p) for part, model in parts.items()
    }
    outputs = {f"{part}.{n}": e for part, eq in written.items() for n, e in eq.outputs.items()}
    fed: dict[str, Expr] = {}
    solved: dict[str, Expr] = {}

    def value(target: str, path: tuple[str, ...]) -> Expr:
        """What feeds an input, over the whole's own symbols."""
        if target in path:
            circle = " -> ".join([*path[path.index(target) :], target])
            raise InputError(
                f"algebraic loop: {circle}", "put a part with a state, e.g. a lag, into it"
            )
        if target not in fed:
            total = [resolved(s, (*path, target)) for s in sources[target]]
            fed[target] = sum(total[1:], total[0])
        return fed[target]

    def resolved(source: str, path: tuple[str, ...]) -> Expr:
        if source not in solved:
            solved[source] = settled(outputs[source], path)
        return solved[source]

    def settled(expression: Expr, path: tuple[str, ...] = ()) -> Expr:
        inside = [s.name()[1:] for s in free_symbols(expression) if s.name()[0] == ">"]
        return substituted(expression, [(placeholders[t], value(t, path)) for t in inside])

    derivative, jumps = {}, {}
    for part, eq in written.items():
        derivative.update({f"{part}.{n}": settled(e) for n, e in eq.derivative.items()})
        jumps.update({f"{part}.{n}": settled(e) for n, e in eq.jumps.items()})
    return Equations(derivative, {n: resolved(n, ()) for n in reported}, jumps)


def _part(part: str, model: SymbolicModel, u: Names, x: Names, p: Names) -> Equations:
    """A part's equations over the whole's symbols, by the part's own names."""
    return model.equations(
        {v.name: x[f"{part}.{v.name}"] for v in model.states},
        {v.name: u[f"{part}.{v.name}"] for v in model.inputs},
        {v.name: p[f"{part}.{v.name}"] for v in model.parameters},
    )
