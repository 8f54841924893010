"""A pack's surrogate: what to train it from, and its record in words."""

from collections.abc import Callable

import numpy as np

from graph.errors import InputError
from graph.simulators import FmuSimulator
from graph.sitepack import SitePack
from sandbox.fmi.recorded_inputs import load_inputs
from sandbox.fmi.system import limits_of, system_of
from sandbox.fmi.twin_part import FmuTwinPart
from sandbox.parameters import load_parameters
from sandbox.surrogates.make import Made, surrogate_of_twin
from sandbox.surrogates.manifest import SurrogateManifest
from sandbox.surrogates.surrogate_fmu import Ranges, surrogate_of_fmu
from sandbox.twin import make_twin


def train_for_pack(
    pack: SitePack, kind: str, replaces: str, seed: int, effort: float, say: Callable[[str], None]
) -> Made:
    """Train a surrogate of the pack's twin or of its FMUs.

    Raises:
        InputError: no twin file, no FMUs, a twin that no network replaces, too little telemetry.
        UnavailableError: without the extra `train`.
    """
    if replaces == "fmu":
        part, ranges = fmu_part(pack)
        step_s = float(pack.site.step_s)
        return surrogate_of_fmu(part, step_s, ranges, kind, seed, effort=effort, say=say)  # type: ignore[arg-type]
    twin = make_twin(pack.site, load_parameters(pack.file(pack.site.twin.parameters)))
    return surrogate_of_twin(twin, pack.telemetry(), kind, seed, effort=effort, say=say)  # type: ignore[arg-type]


def fmu_part(pack: SitePack) -> tuple[FmuTwinPart, Ranges]:
    """The pack's FMUs, and the range of each of their inputs in the FMU's own unit.

    Setpoints move over their declared ranges, recorded inputs over what was recorded.

    Raises:
        InputError: the plant is not made of FMUs, or an input has no range.
    """
    simulator = pack.site.plant.simulator
    if not isinstance(simulator, FmuSimulator):
        raise InputError(
            f"the plant of site {pack.site.id} is not made of FMUs", "leave out --of fmu"
        )
    limits = limits_of(simulator)
    system = system_of(simulator, pack.folder, frozenset(s.id for s in pack.site.setpoints))
    ranges: dict[str, tuple[float, float]] = {}
    for spec in pack.site.setpoints:
        point = simulator.points[spec.id]
        ends = [(v - point.offset) / point.scale for v in (spec.minimum, spec.maximum)]
        ranges[point.name] = min(ends), max(ends)
        if point.activate is not None:
            ranges[point.activate] = 1.0, 1.0
    recorded = load_inputs(simulator, pack.folder, pack.site, system.descriptions(limits))
    if recorded is not None:
        for column, (name, unit) in recorded.targets.items():
            values = recorded.frame.column(column)
            ends = [unit(float(values.min())), unit(float(values.max()))]
            ranges[name] = min(ends), max(ends)
    if not all(np.isfinite(edge) for ends in ranges.values() for edge in ends):
        raise InputError("an input of the FMUs has no finite range", "declare minimum and maximum")
    part = FmuTwinPart(
        system, step_s=simulator.step_s, tolerance=simulator.tolerance, scheme=simulator.scheme,
        limits=limits,
    )  # fmt: skip
    return part, ranges


def text_of(manifest: SurrogateManifest) -> str:
    """Errors by lead, speed and range, for a terminal."""
    leads = sorted({r.horizon_h for r in manifest.errors})
    lines = [f"{manifest.kind} network in the place of the {manifest.replaces_name}",
             f"{'error (rms)':34}" + "".join(f"{f'{h:g} h':>10}" for h in leads)
             + f"{'limit':>10}"]  # fmt: skip
    for signal in dict.fromkeys(r.signal for r in manifest.errors if r.limit is not None):
        rows = [r for r in manifest.errors if r.signal == signal and r.limit is not None]
        cells = "".join(f"{r.rmse:10.3g}" for r in rows)
        least = min(r.limit for r in rows if r.limit is not None)
        mark = "" if all(r.ok for r in rows) else "  EXCEEDED"
        lines.append(f"{f'{signal} [{rows[0].unit}]':34}{cells}{least:10.3g}{mark}")
    speed = manifest.speed
    lines += [
        f"speed, {speed.futures} futures of {speed.steps} steps, roll-outs a second:",
        f"  the network     {speed.surrogate_per_s:10.4g}  ({speed.surrogate_runs})",
        f"  what it replaces{speed.replaced_per_s:10.4g}  ({speed.replaced_runs})",
        f"  {speed.factor:.2f} times as fast, on {speed.machine}",
        f"outside its range: {manifest.share_outside:.0%} of {manifest.measured_futures} futures "
        "that nothing was learned from; the replaced model runs those",
        "worth it: " + ("yes" if manifest.worth_it else f"no, {'; '.join(manifest.reasons)}"),
    ]
    return "\n".join(lines)
