"""One FMU instance through FMPy, inside the process that was made for it.

Nothing here is trusted to return: the other side of the pipe holds the clock. What FMPy offers is
used as it is (FMI calls, CVode); what it leaves open is closed here: an FMU that returns early or
asks to end is an error, and so is a failure inside CVode's callbacks, which ctypes would drop.
"""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from fmpy import fmi2, fmi3
from fmpy.fmi1 import FMICallException
from fmpy.sundials import CVodeSetMaxStep, CVodeSolver

RELATIVE_TOLERANCE = 1e-8  # tight: each restart begins at order one, and there is one a step
MAX_SOLVER_STEPS = 1_000_000  # within one step; the clock of the other side is the real bound
MAX_EVENTS = 100_000  # within one step
TOO_CLOSE = 1e-15  # relative; CVode refuses to start so close to its end
CLASSES = {
    ("2.0", "co_simulation"): fmi2.FMU2Slave,
    ("2.0", "model_exchange"): fmi2.FMU2Model,
    ("3.0", "co_simulation"): fmi3.FMU3Slave,
    ("3.0", "model_exchange"): fmi3.FMU3Model,
}


class FmuSaysNoError(Exception):
    """The FMU refused, returned early or asked to end. `discard`: a smaller step may do."""

    def __init__(self, message: str, discard: bool = False) -> None:
        super().__init__(message, discard)
        self.message, self.discard = message, discard


def open_instance(spec: dict[str, Any]) -> "Instance":
    """Load the library and instantiate. `spec`: see `FmuProcess`."""
    version, interface = spec["version"], spec["interface"]
    arguments = {
        "guid": spec["token"],
        "unzipDirectory": spec["folder"],
        "modelIdentifier": spec["identifier"],
        "instanceName": spec["name"],
    }
    if version == "2.0":
        arguments["libraryPath"] = spec["library"]
    fmu = CLASSES[version, interface](**arguments)
    fmu.instantiate()
    kind = ModelExchange if interface == "model_exchange" else Instance
    return kind(fmu, spec)


class Instance:
    """A co-simulation FMU. Times in seconds; values by FMI type and value references."""

    def __init__(self, fmu: Any, spec: dict[str, Any]) -> None:
        self.fmu, self.spec = fmu, spec
        self.is_fmi2 = spec["version"] == "2.0"
        self.is_running = False
        self.final = not spec["can_snapshot"]  # FMI: no state before this point will be set again
        self._states: dict[int, tuple[Any, Any]] = {}
        self._next_handle = 0

    # --- life ---------------------------------------------------------------------------------

    def setup(self, start_s: float) -> None:
        """Tell the start time (FMI 3 wants it when the initialisation begins)."""
        self.start_s = start_s
        if self.is_fmi2:
            self.fmu.setupExperiment(startTime=start_s)

    def begin(self) -> None:
        """Enter the initialisation."""
        if self.is_fmi2:
            self.fmu.enterInitializationMode()
        else:
            self.fmu.enterInitializationMode(startTime=self.start_s)

    def finish(self) -> None:
        """Leave the initialisation."""
        self.fmu.exitInitializationMode()
        self.is_running = True

    def end(self) -> None:
        """Let the FMU close its own files."""
        self.fmu.terminate()
        self.fmu.freeInstance()

    # --- values -------------------------------------------------------------------------------

    def set(self, groups: Sequence[tuple[str, list[int], list[Any]]]) -> None:
        """Set values, grouped by FMI type."""
        for kind, references, values in groups:
            getattr(self.fmu, f"set{self._accessor(kind)}")(references, values)

    def get(self, groups: Sequence[tuple[str, list[int]]]) -> list[list[float]]:
        """Values of each group."""
        return [
            [float(v) for v in getattr(self.fmu, f"get{self._accessor(kind)}")(references)]
            for kind, references in groups
        ]

    def _accessor(self, kind: str) -> str:
        if kind == "Enumeration":
            return "Integer" if self.is_fmi2 else "Int64"
        return kind

    # --- time ---------------------------------------------------------------------------------

    def step(self, time_s: float, step_s: float) -> None:
        """Run from `time_s` over `step_s` with the inputs held."""
        if self.is_fmi2:
            self.fmu.doStep(time_s, step_s, fmi2.fmi2True if self.final else fmi2.fmi2False)
            return
        _, wants_end, early, reached = self.fmu.doStep(time_s, step_s, self.final)
        if wants_end:
            raise FmuSaysNoError("it asked to end the simulation")
        if early:
            raise FmuSaysNoError(f"it returned early, at t = {reached:g} s", discard=True)

    # --- states -------------------------------------------------------------------------------

    def save(self) -> int:
        """Keep the present state; returns its handle."""
        return self._keep(self.fmu.getFMUState())

    def restore(self, handle: int) -> None:
        """Return to a kept state."""
        state, extra = self._states[handle]
        self.fmu.setFMUState(state)
        self._set_extra(extra)

    def free(self, handle: int) -> None:
        """Forget a kept state."""
        state, _ = self._states.pop(handle)
        self.fmu.freeFMUState(state)

    def pack(self, handle: int) -> str:
        """A kept state as text."""
        state, extra = self._states[handle]
        data = base64.b64encode(self.fmu.serializeFMUState(state)).decode()
        return json.dumps([data, extra])

    def unpack(self, text: str) -> int:
        """A kept state from text, of this FMU in any process; returns its handle."""
        data, extra = json.loads(text)
        handle = self._keep(self.fmu.deserializeFMUState(base64.b64decode(data)))
        self._states[handle] = (self._states[handle][0], extra)
        return handle

    def _keep(self, state: Any) -> int:
        self._next_handle += 1
        self._states[self._next_handle] = (state, self._extra())
        return self._next_handle

    def _extra(self) -> Any:
        """What belongs to the state and is not inside the FMU."""
        return None

    def _set_extra(self, extra: Any) -> None:
        """Inverse of `_extra`."""


class ModelExchange(Instance):
    """A model-exchange FMU with CVode (variable-order BDF), restarted at each step.

    A restart costs some small steps and makes a step depend on nothing but the FMU's own state:
    that is what lets a snapshot continue bit for bit.
    """

    next_event: float | None = None
    _solver: Any = None

    def begin(self) -> None:
        super().begin()
        self.callback_error: Exception | None = None

    def finish(self) -> None:
        super().finish()
        self._settle()

    def set(self, groups: Sequence[tuple[str, list[int], list[Any]]]) -> None:
        """While it runs, new inputs are an event."""
        if not self.is_running:
            super().set(groups)
            return
        self.fmu.enterEventMode()
        super().set(groups)
        self._settle()

    def step(self, time_s: float, step_s: float) -> None:
        """Integrate over the step.

        1. Restart the solver from the FMU's state, no internal step longer than the step.
        2. Integrate to the end or to the next time event, whichever is first; a state event ends
           the integration where its indicator crosses zero.
        3. Tell the FMU that a step is complete; let it handle the event; from 2 until the end.
        """
        end, now = time_s + step_s, time_s
        solver = self._restart(now, step_s)
        for _ in range(MAX_EVENTS):
            target = end if self.next_event is None else min(end, self.next_event)
            is_state_event = False
            if target - now > TOO_CLOSE * max(abs(target), 1.0):
                is_state_event, now = self._integrate(solver, now, target)
            elif target > now:
                now = target
                self.fmu.setTime(now)
            is_time_event = self.next_event is not None and now >= self.next_event
            if self._complete_step() or is_state_event or is_time_event:
                self.fmu.enterEventMode()
                self._settle()
                solver.reset(now)
            if now >= end:
                return
        raise FmuSaysNoError(f"more than {MAX_EVENTS} events within one step", discard=True)

    def _restart(self, now: float, step_s: float) -> Any:
        self.fmu.setTime(now)
        if self._solver is None:
            self._solver = self._make_solver(now)
        self._solver.reset(now)
        CVodeSetMaxStep(self._solver.cvode_mem, step_s)
        return self._solver

    def _integrate(self, solver: Any, now: float, target: float) -> tuple[bool, float]:
        is_event, _, reached = solver.step(now, target)
        if self.callback_error is not None:
            error, self.callback_error = self.callback_error, None
            raise error
        self.fmu.setTime(reached)
        return is_event, reached

    def _complete_step(self) -> bool:
        if not self.spec["needs_completed_step"]:
            return False
        wants_event, wants_end = self.fmu.completedIntegratorStep(self.final)
        if wants_end:
            raise FmuSaysNoError("it asked to end the simulation")
        return bool(wants_event)

    def _settle(self) -> None:
        """Update discrete states until the FMU is content, then back to continuous time."""
        update = self.fmu.newDiscreteStates if self.is_fmi2 else self.fmu.updateDiscreteStates
        for _ in range(MAX_EVENTS):
            again, wants_end, _, _, is_defined, at = update()
            if wants_end:
                raise FmuSaysNoError("it asked to end the simulation")
            if not again:
                self.next_event = at if is_defined else None
                self.fmu.enterContinuousTimeMode()
                return
        raise FmuSaysNoError("its discrete states do not settle")

    def _make_solver(self, now: float) -> Any:
        fmu = self.fmu
        derivatives = fmu.getDerivatives if self.is_fmi2 else fmu.getContinuousStateDerivatives
        states, indicators = self.spec["states"], self.spec["indicators"]
        if not self.is_fmi2:
            states, indicators = fmu.getNumberOfContinuousStates(), fmu.getNumberOfEventIndicators()
        return CVodeSolver(
            nx=states,
            nz=indicators,
            get_x=self._guarded(fmu.getContinuousStates),
            set_x=self._guarded(fmu.setContinuousStates),
            get_dx=self._guarded(derivatives),
            get_z=self._guarded(fmu.getEventIndicators),
            get_nominals=fmu.getNominalsOfContinuousStates,
            set_time=self._guarded(fmu.setTime),
            input=_HeldInputs(),
            startTime=now,
            relativeTolerance=RELATIVE_TOLERANCE,
            maxNumSteps=MAX_SOLVER_STEPS,
        )

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """An exception inside a callback is lost on its way through C: keep the first."""

        def guarded(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            except Exception as error:
                self.callback_error = self.callback_error or error
                return None

        return guarded

    def _extra(self) -> Any:
        return self.next_event

    def _set_extra(self, extra: Any) -> None:
        self.next_event = extra


class _HeldInputs:
    """FMPy's solver asks for inputs at each internal step; ours are held over the step."""

    def apply(self, *_: Any, **__: Any) -> None:
        """Nothing to do."""


def explain(error: Exception) -> dict[str, Any]:
    """What went wrong, for the other side."""
    if isinstance(error, FmuSaysNoError):
        return {"error": error.message, "discard": error.discard}
    if isinstance(error, FMICallException):
        return {"error": str(error), "discard": error.status == fmi2.fmi2Discard}
    return {"error": f"{type(error).__name__}: {error}"[:2000], "discard": False}
