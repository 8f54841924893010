"""What is to be coupled: FMUs, connections, what comes in from outside and what is watched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graph.simulators import FmuSimulator
from graph.sitepack import inner_path
from sandbox.fmi.coupling import CouplingPlan, plan_coupling, split_name
from sandbox.fmi.description import FmuDescription, FmuInterface, InterfaceKind
from sandbox.fmi.limits import FmuLimits
from sandbox.fmi.process import describe_fmu


@dataclass(frozen=True)
class FmuPart:
    """One FMU, its start values, and the interface to use (None: co-simulation if it has it)."""

    file: Path
    parameters: Mapping[str, float] = field(default_factory=dict)
    interface: InterfaceKind | None = None


@dataclass(frozen=True)
class FmuSystem:
    """Coupled FMUs. All names are `component.variable`.

    connections: (output, input). inputs: fed from outside. watch: read after each step.
    """

    parts: Mapping[str, FmuPart]
    connections: tuple[tuple[str, str], ...] = ()
    inputs: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()

    def descriptions(self, limits: FmuLimits | None = None) -> dict[str, FmuDescription]:
        """What each FMU says of itself; no code of theirs runs. Raises InputError."""
        return {name: describe_fmu(part.file, limits) for name, part in self.parts.items()}

    def interfaces(self, limits: FmuLimits | None = None) -> dict[str, FmuInterface]:
        """The interface that each FMU is run through. Raises InputError."""
        descriptions = self.descriptions(limits)
        return {n: descriptions[n].interface(p.interface) for n, p in self.parts.items()}

    def plan(self, descriptions: Mapping[str, FmuDescription]) -> CouplingPlan:
        """Order and checks of the connections; every watched name exists. Raises InputError."""
        for name in self.watch:
            component, variable = split_name(name, descriptions)
            descriptions[component].variable(variable)
        return plan_coupling(descriptions, self.connections, self.inputs)


def limits_of(simulator: FmuSimulator) -> FmuLimits:
    """What a site pack lets each of its FMUs use."""
    return FmuLimits(call_s=simulator.call_s, memory_mb=simulator.memory_mb)


def system_of(simulator: FmuSimulator, folder: Path, setpoints: frozenset[str]) -> FmuSystem:
    """The system that a site pack in `folder` declares.

    Args:
        setpoints: which of the mapped signals are commanded; the others are read.

    Raises:
        SitePackError: a file name that leads out of the pack.
    """
    commanded = [m for s, m in simulator.points.items() if s in setpoints]
    driven = [m.name for m in commanded] + [m.activate for m in commanded if m.activate]
    read = [m.name for s, m in simulator.points.items() if s not in setpoints]
    return FmuSystem(
        parts={
            name: FmuPart(inner_path(folder, c.file), c.parameters, c.interface)
            for name, c in simulator.components.items()
        },
        connections=tuple((c.source, c.target) for c in simulator.connections),
        inputs=tuple(dict.fromkeys([*driven, *simulator.inputs.values()])),
        watch=tuple(dict.fromkeys(read)),
    )
