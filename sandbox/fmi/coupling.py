"""The graph of connections between FMUs: checked, ordered, and its loops named.

Two graphs matter. Between components, connections give the order in which a Gauss-Seidel master
steps them; where they form a circle, some connection carries a value that is one macro step old.
Between variables, a connection leads from an output to an input and an FMU's own feedthrough from
an input to an output; a circle there is an algebraic loop.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from graph.errors import InputError
from sandbox.fmi.description import REALS, FmuDescription, FmuVariable
from sandbox.fmi.fmu_units import IDENTITY, Affine, between

POSSIBLE = " (possible: not every FMU of it declares its dependencies)"

Graph = dict[str, dict[str, None]]  # by node: the nodes that come before it, in a fixed order


@dataclass(frozen=True)
class Wire:
    """One connection: `source` drives `target`, both (component, variable), through `unit`."""

    source: tuple[str, str]
    target: tuple[str, str]
    unit: Affine = IDENTITY

    def __str__(self) -> str:
        return f"{'.'.join(self.source)} -> {'.'.join(self.target)}"


@dataclass(frozen=True)
class CouplingPlan:
    """What a master needs to know, and what a person should.

    order: components, sources first. delayed: wires against that order, whose value is one macro
    step old (with the Jacobi scheme every wire's is). loops: algebraic loops, each as a chain of
    names. unconnected: inputs that keep their start value. unchecked: wires whose units nobody
    could compare.
    """

    order: tuple[str, ...]
    wires: tuple[Wire, ...]
    delayed: tuple[str, ...]
    loops: tuple[str, ...]
    unconnected: tuple[str, ...]
    unchecked: tuple[str, ...]


def split_name(name: str, components: Iterable[str]) -> tuple[str, str]:
    """`component.variable` in two; the variable may hold dots itself. Raises InputError."""
    component, dot, variable = name.partition(".")
    known = list(components)
    if not dot or component not in known:
        raise InputError(
            f"{name!r} names no component", f"expected component.variable with {', '.join(known)}"
        )
    return component, variable


def plan_coupling(
    descriptions: Mapping[str, FmuDescription],
    connections: Sequence[tuple[str, str]],
    inputs: Iterable[str],
) -> CouplingPlan:
    """Check the connections and order the components.

    Args:
        descriptions: by component.
        connections: (output, input), both `component.variable`.
        inputs: inputs that are fed from outside.

    Raises:
        InputError: an unknown name, a wrong causality, an input driven twice, units that measure
            different things.
    """
    wires, unchecked = [], []
    driven: dict[tuple[str, str], str] = {}
    for name in inputs:
        _claim(driven, _end(descriptions, name, "input")[0], "the inputs from outside")
    for source, target in connections:
        wire, is_checked = _wire(descriptions, source, target)
        _claim(driven, wire.target, source)
        wires.append(wire)
        if not is_checked:
            unchecked.append(str(wire))
    order, delayed = _order(list(descriptions), wires)
    return CouplingPlan(
        order=order,
        wires=tuple(wires),
        delayed=delayed,
        loops=_loops(descriptions, wires),
        unconnected=tuple(
            f"{c}.{n}"
            for c, d in descriptions.items()
            for n in d.of_causality("input")
            if (c, n) not in driven
        ),
        unchecked=tuple(unchecked),
    )


def _end(
    descriptions: Mapping[str, FmuDescription], name: str, causality: str
) -> tuple[tuple[str, str], FmuVariable]:
    component, variable_name = split_name(name, descriptions)
    variable = descriptions[component].variable(variable_name)
    if variable.causality != causality:
        raise InputError(
            f"{name} is {variable.causality}, not {causality}",
            "a connection leads from an output to an input",
        )
    if not variable.usable:
        raise InputError(f"{name} is {variable.kind}", "scalar numbers and booleans only")
    return (component, variable_name), variable


def _wire(
    descriptions: Mapping[str, FmuDescription], source: str, target: str
) -> tuple[Wire, bool]:
    from_end, output = _end(descriptions, source, "output")
    to_end, driven = _end(descriptions, target, "input")
    if output.kind in REALS and driven.kind not in REALS:
        raise InputError(
            f"{source} is a real number and {target} is {driven.kind}", "an output of that type"
        )
    try:
        unit = between(output.unit, driven.unit)
    except InputError as error:
        raise InputError(
            f"{source} -> {target}: {error.message}", "connect what measures the same"
        ) from error
    return Wire(from_end, to_end, unit or IDENTITY), unit is not None


def _claim(driven: dict[tuple[str, str], str], target: tuple[str, str], source: str) -> None:
    if target in driven:
        raise InputError(
            f"{'.'.join(target)} is driven twice: by {driven[target]} and by {source}",
            "keep one of them",
        )
    driven[target] = source


def _order(names: list[str], wires: Sequence[Wire]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sources first; a circle is opened before the component of it that was declared first."""
    before: Graph = {name: {} for name in names}
    for wire in wires:
        if wire.source[0] != wire.target[0]:
            before[wire.target[0]][wire.source[0]] = None
    while (cycle := _cycle(before)) is not None:
        first = min(cycle, key=names.index)
        del before[first][cycle[cycle.index(first) - 1]]
    order = tuple(TopologicalSorter(before).static_order())
    late = [w for w in wires if order.index(w.source[0]) >= order.index(w.target[0])]
    return order, tuple(map(str, late))


def _loops(descriptions: Mapping[str, FmuDescription], wires: Sequence[Wire]) -> tuple[str, ...]:
    """Algebraic loops, each found once; a `possible` one goes through an FMU that is silent."""
    before: Graph = {}
    silent: set[tuple[str, str]] = set()
    for wire in wires:
        before.setdefault(".".join(wire.target), {})[".".join(wire.source)] = None
    for component, output in dict.fromkeys(w.source for w in wires):
        description = descriptions[component]
        through = description.feedthrough.get(output)
        if through is None:
            through = frozenset(description.of_causality("input"))
            silent |= {(f"{component}.{i}", f"{component}.{output}") for i in through}
        node = before.setdefault(f"{component}.{output}", {})
        node.update(dict.fromkeys(f"{component}.{i}" for i in sorted(through)))
    found = []
    while (cycle := _cycle(before)) is not None:
        chain = [*cycle, cycle[0]]
        is_sure = silent.isdisjoint(pairwise(chain))
        found.append(" -> ".join(chain) + ("" if is_sure else POSSIBLE))
        del before[chain[1]][chain[0]]
    return tuple(found)


def _cycle(before: Graph) -> list[str] | None:
    """One circle, each node before the next and the first not repeated; None without any."""
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        nodes: list[str] = error.args[1][:-1]
        start = nodes.index(min(nodes))
        return nodes[start:] + nodes[:start]
    return None
