"""The master: several FMUs, each in its own process, coupled at communication points.

At a communication point every FMU stands at the same time. For the next macro step its inputs are
held: from outside, and from the other FMUs' outputs. Jacobi takes all outputs at the step's begin
and lets all FMUs step at once; Gauss-Seidel goes in the order of the connections and takes outputs
at the step's end where their FMU has already stepped. Both are of first order in the step.
Source: Gomes et al., Co-simulation: a survey, ACM Computing Surveys 51(3), 2018, section 4.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from graph.errors import InputError
from sandbox.fmi.coupling import split_name
from sandbox.fmi.description import FmuInterface
from sandbox.fmi.fmu_units import Affine
from sandbox.fmi.hosted import FmuError
from sandbox.fmi.limits import FmuLimits
from sandbox.fmi.process import FmuProcess
from sandbox.fmi.system import FmuSystem

Scheme = Literal["gauss_seidel", "jacobi"]
SETTLED = 1e-12  # relative change of initial outputs that counts as none
MAX_PASSES = 200
HUGE = 1e30  # an initial value of this size runs away


@dataclass(frozen=True)
class CoupledState:
    """A kept communication point: a handle for each FMU, valid in these processes only."""

    time_s: float
    values: Mapping[str, float]
    held: Mapping[str, float]
    handles: Mapping[str, int]


@dataclass(frozen=True)
class PackedState:
    """A kept communication point that other processes of the same FMUs can take on."""

    time_s: float
    values: Mapping[str, float]
    held: Mapping[str, float]
    states: Mapping[str, str]


@dataclass(frozen=True)
class _Feed:
    """Where one component's inputs come from: (input, source, unit), and inputs from outside."""

    wired: tuple[tuple[str, str, Affine], ...]
    outside: tuple[tuple[str, str], ...]


class FmuMaster:
    """Coupled FMUs at one communication point.

    `time_s`: where all stand. `values`: watched and connected outputs there, by full name, in the
    FMUs' own units.

    Args:
        inputs: initial values of inputs from outside; the others begin at their start values.

    Raises:
        InputError: the system does not fit together, or its initial values do not settle.
        FmuError: an FMU does not start.
    """

    def __init__(
        self, system: FmuSystem, *, scheme: Scheme = "gauss_seidel", start_s: float = 0.0,
        inputs: Mapping[str, float] | None = None, limits: FmuLimits | None = None,
    ) -> None:  # fmt: skip
        self.system, self.scheme, self.time_s = system, scheme, start_s
        self.plan = system.plan(system.descriptions(limits))
        self.values: dict[str, float] = {}
        self._held = {name: self._checked(name, v) for name, v in (inputs or {}).items()}
        self._outputs = {name: self._read_of(name) for name in self.plan.order}
        self._feeds = {name: self._feed_of(name) for name in self.plan.order}
        self._processes: dict[str, FmuProcess] = {}
        try:
            for name, part in system.parts.items():
                self._processes[name] = FmuProcess(
                    part.file, name=name, interface=part.interface, parameters=part.parameters,
                    start_s=start_s, limits=limits,
                )  # fmt: skip
            self._initialise()
        except BaseException:
            self.close()
            raise

    def _read_of(self, component: str) -> tuple[str, ...]:
        wired = [w.source[1] for w in self.plan.wires if w.source[0] == component]
        ends = [split_name(n, self.system.parts) for n in self.system.watch]
        return tuple(dict.fromkeys(wired + [v for c, v in ends if c == component]))

    def _feed_of(self, component: str) -> _Feed:
        wires = [w for w in self.plan.wires if w.target[0] == component]
        ends = [(n, split_name(n, self.system.parts)) for n in self.system.inputs]
        return _Feed(
            tuple((w.target[1], ".".join(w.source), w.unit) for w in wires),
            tuple((v, n) for n, (c, v) in ends if c == component),
        )

    def _initialise(self) -> None:
        """Pass outputs on until nothing changes: exact without loops, a fixed point with them."""
        passes, settled = 0, False
        while not settled:
            before = dict(self.values)
            for name in self.plan.order:
                self._processes[name].write(self._inputs_of(name))
                self._take(name, self._processes[name].read(self._outputs[name]))
            settled = passes > 0 and all(_close(before[n], v) for n, v in self.values.items())
            passes += 1
            runs_away = any(abs(v) > HUGE for v in self.values.values())
            if not settled and (runs_away or passes == MAX_PASSES):
                loops = "; ".join(self.plan.loops) or "no algebraic loop is declared"
                raise InputError(
                    f"the initial values do not settle within {passes} passes",
                    f"give the FMUs other start values; loops: {loops}",
                )
        for name in self.plan.order:
            self._processes[name].finish_start()
            self._take(name, self._processes[name].read(self._outputs[name]))

    # --- time ---------------------------------------------------------------------------------

    def hold(self, inputs: Mapping[str, float]) -> None:
        """Inputs from outside, held from now on. Raises InputError."""
        self._held.update({name: self._checked(name, v) for name, v in inputs.items()})

    def step_to(self, end_s: float) -> None:
        """One macro step to `end_s`.

        Raises:
            FmuError: an FMU failed, refused the step or gave a value that is no finite number;
                `time_s` stays. Where it only refused (`discard`), `restore` makes all whole again.
        """
        step_s = end_s - self.time_s
        if self.scheme == "jacobi":
            self._jacobi(step_s)
        else:
            for name in self.plan.order:
                process = self._processes[name]
                self._take(
                    name,
                    process.step(self.time_s, step_s, self._inputs_of(name), self._outputs[name]),
                )
        self.time_s = end_s

    def _jacobi(self, step_s: float) -> None:
        inputs = {name: self._inputs_of(name) for name in self.plan.order}
        errors: list[FmuError] = []
        asked = []
        for name, process in self._processes.items():
            try:
                process.post_step(self.time_s, step_s, inputs[name], self._outputs[name])
                asked.append(name)
            except FmuError as error:
                errors.append(error)
        for name in asked:  # every answer is fetched: a pipe must not keep an old one
            try:
                self._take(name, self._processes[name].take_step())
            except FmuError as error:
                errors.append(error)
        if errors:
            raise min(errors, key=lambda e: e.discard)  # a failure before a mere refusal

    def _inputs_of(self, component: str) -> dict[str, float]:
        feed, held = self._feeds[component], self._held
        inputs = {v: unit(self.values[s]) for v, s, unit in feed.wired if s in self.values}
        inputs.update({v: held[n] for v, n in feed.outside if n in held})
        return inputs

    def _take(self, component: str, outputs: Mapping[str, float]) -> None:
        for variable, value in outputs.items():
            if not math.isfinite(value):
                raise FmuError(
                    f"FMU {component}: {variable} is {value} after t = {self.time_s:g} s",
                    "look at its inputs there",
                )
            self.values[f"{component}.{variable}"] = value

    def _checked(self, name: str, value: float) -> float:
        if name not in self.system.inputs or not math.isfinite(value):
            raise InputError(
                f"{name} = {value} is no input from outside",
                f"expected a finite number for one of {', '.join(self.system.inputs) or 'none'}",
            )
        return float(value)

    # --- states -------------------------------------------------------------------------------

    @property
    def processes(self) -> Mapping[str, FmuProcess]:
        """The FMUs by component."""
        return self._processes

    def snapshot(self) -> CoupledState:
        """Keep this communication point. Raises InputError where a component cannot."""
        require_snapshots({n: p.interface for n, p in self._processes.items()}, "this")
        handles = {n: p.snapshot() for n, p in self._processes.items()}
        return CoupledState(self.time_s, dict(self.values), dict(self._held), handles)

    def restore(self, state: CoupledState) -> None:
        """Return to a kept point of these processes."""
        for name, handle in state.handles.items():
            self._processes[name].restore(handle)
        self._adopt(state)

    def release(self, state: CoupledState) -> None:
        """Forget a kept point."""
        for name, handle in state.handles.items():
            self._processes[name].release(handle)

    def packed(self) -> PackedState:
        """This communication point for other processes. Raises InputError where one cannot."""
        states = {n: p.packed() for n, p in self._processes.items()}
        return PackedState(self.time_s, dict(self.values), dict(self._held), states)

    def unpack(self, state: PackedState) -> None:
        """Take on a point that `packed` gave, of the same system."""
        for name, text in state.states.items():
            self._processes[name].unpack(text)
        self._adopt(state)

    def _adopt(self, state: CoupledState | PackedState) -> None:
        self.time_s, self.values, self._held = state.time_s, dict(state.values), dict(state.held)

    def close(self) -> None:
        """End all processes. A second call does nothing."""
        for process in self._processes.values():
            process.close()

    def __enter__(self) -> "FmuMaster":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def require_snapshots(interfaces: Mapping[str, FmuInterface], why: str) -> None:
    """Raises InputError that names the components which cannot keep their state."""
    unable = [n for n, interface in interfaces.items() if not interface.can_snapshot]
    if unable:
        raise InputError(
            f"{why} needs snapshots, and these FMUs keep none: {', '.join(unable)}",
            "their modelDescription.xml lacks canGetAndSetFMUstate",
        )


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= SETTLED * max(abs(a), abs(b), 1.0)
