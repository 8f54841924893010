"""The FMUs of a site pack, checked without running any code of theirs.

What is checked: each file is a sound FMU with a binary for this machine; parameters, connections
and mapped points exist and have the right causality; units agree; every signal is mapped and every
setpoint has a local value; the recorded inputs are there.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from graph.errors import InputError
from graph.signals import Role, SignalSpec
from graph.simulators import FmuSimulator, PointMap
from graph.site import Site
from sandbox.fmi.archive import open_archive
from sandbox.fmi.binaries import binary_of
from sandbox.fmi.coupling import split_name
from sandbox.fmi.description import FmuDescription
from sandbox.fmi.fmu_units import checked_to_site
from sandbox.fmi.limits import FmuLimits
from sandbox.fmi.process import describe_fmu
from sandbox.fmi.recorded_inputs import load_inputs
from sandbox.fmi.system import FmuPart, FmuSystem, system_of

SAME = 1e-9  # relative: two ways to write one factor


def check_fmus(site: Site, folder: Path) -> list[dict[str, Any]]:
    """Lines of `site validate`: {check, ok, detail}; none where the plant is not made of FMUs."""
    simulator = site.plant.simulator
    if not isinstance(simulator, FmuSimulator):
        return []
    try:
        system = system_of(simulator, folder, frozenset(s.id for s in site.setpoints))
    except InputError as error:
        return [{"check": "fmu files", "ok": False, "detail": str(error)}]
    descriptions: dict[str, FmuDescription] = {}
    lines = [
        _line(f"fmu {name}", partial(_component, name, part, simulator, descriptions))
        for name, part in system.parts.items()
    ]
    if len(descriptions) == len(system.parts):
        lines.append(_line("fmu connections", partial(_connections, system, descriptions)))
        lines.append(_line("fmu points", partial(_points, site, simulator, descriptions)))
        lines.append(_line("fmu inputs", partial(_inputs, site, simulator, folder, descriptions)))
    return lines


def require_sound(site: Site, folder: Path) -> None:
    """Raises InputError with the first thing that `check_fmus` finds wrong."""
    for line in check_fmus(site, folder):
        if not line["ok"]:
            raise InputError(f"{line['check']}: {line['detail']}", "pilothouse site validate")


def _line(name: str, check: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"check": name, "ok": True, "detail": check()}
    except InputError as error:
        return {"check": name, "ok": False, "detail": str(error)}


def _component(
    name: str, part: FmuPart, simulator: FmuSimulator, found: dict[str, FmuDescription]
) -> str:
    description = found[name] = describe_fmu(part.file)
    interface = description.interface(part.interface)
    binary_of(open_archive(part.file, FmuLimits()), description.version, interface.identifier)
    for parameter in part.parameters:
        if not description.variable(parameter).is_settable_at_start:
            raise InputError(f"{parameter} is no parameter", "only parameters take start values")
    if simulator.tolerance is not None and not (interface.can_snapshot and interface.variable_step):
        raise InputError(
            "it keeps no snapshots or wants a fixed step, so the macro step cannot adapt",
            "leave out plant.simulator.tolerance",
        )
    keeps = "keeps" if interface.can_snapshot else "no"
    kind = interface.kind.replace("_", " ")
    return (
        f"FMI {description.version} {kind}, {len(description.variables)} variables, "
        f"{keeps} snapshots, by {description.tool or 'an unknown tool'}"
    )


def _connections(system: FmuSystem, descriptions: Mapping[str, FmuDescription]) -> str:
    plan = system.plan(descriptions)
    said = [f"{len(plan.wires)} connections, order {', '.join(plan.order)}"]
    for what, names in (
        ("one macro step late", plan.delayed), ("algebraic loop", plan.loops),
        ("not connected", plan.unconnected), ("units not compared", plan.unchecked),
    ):  # fmt: skip
        if names:
            said.append(f"{what}: {', '.join(names)}")
    return "; ".join(said)


def _points(site: Site, simulator: FmuSimulator, descriptions: Mapping[str, FmuDescription]) -> str:
    unchecked = []
    for spec in site.signals:
        point = simulator.points.get(spec.id)
        if spec.role is Role.SETPOINT and (point is None or spec.id not in simulator.local):
            raise InputError(
                f"the setpoint {spec.id} needs an entry in plant.simulator.points and in .local",
                "local: the value of the plant's own law",
            )
        if point is not None and not _point(spec, point, descriptions):
            unchecked.append(spec.id)
        if point is None and spec.id not in simulator.inputs:
            raise InputError(
                f"nothing measures {spec.id}",
                "map it in plant.simulator.points, or record it as a column of data/inputs",
            )
    said = f"{len(simulator.points)} points"
    return said + (f"; units not compared: {', '.join(unchecked)}" if unchecked else "")


def _point(spec: SignalSpec, point: PointMap, descriptions: Mapping[str, FmuDescription]) -> bool:
    """Whether the unit could be compared. Raises InputError for a point that cannot work."""
    component, name = split_name(point.name, descriptions)
    variable = descriptions[component].variable(name)
    is_setpoint = spec.role is Role.SETPOINT
    if (variable.causality == "input") != is_setpoint:
        raise InputError(
            f"{spec.id} is a {spec.role.value} and {point.name} is {variable.causality}",
            "a setpoint drives an input; a measurement reads anything else",
        )
    if not variable.usable or point.scale == 0.0:
        raise InputError(f"{spec.id}: {point.name} cannot be mapped", "a scalar, a scale not 0")
    if point.activate is not None:
        owner, switch = split_name(point.activate, descriptions)
        if descriptions[owner].variable(switch).causality != "input":
            raise InputError(f"{spec.id}: {point.activate} is no input", "expected a switch")
    wanted = checked_to_site(variable, spec.unit)
    if wanted is None:
        return False
    same_scale = math.isclose(abs(point.scale), abs(wanted.scale), rel_tol=SAME)
    same_zero = wanted.offset == 0.0 or (
        point.scale > 0 and math.isclose(point.offset, wanted.offset, rel_tol=SAME)
    )
    if not (same_scale and same_zero):
        raise InputError(
            f"{spec.id} is in {spec.unit} and {point.name} in "
            f"{variable.unit.name if variable.unit else '?'}: scale {point.scale:g} and offset "
            f"{point.offset:g} do not convert it",
            f"expected scale {wanted.scale:.12g} and offset {wanted.offset:.12g}",
        )
    return True


def _inputs(
    site: Site, simulator: FmuSimulator, folder: Path, descriptions: Mapping[str, FmuDescription]
) -> str:
    recorded = load_inputs(simulator, folder, site, descriptions)
    if recorded is None:
        return "none"
    frame = recorded.frame
    return f"{len(recorded.targets)} columns, {len(frame)} rows of {frame.step_s} s to {frame.end}"
