"""Adaptive macro steps: each is done once whole and once in two halves.

The scheme is of first order, so the difference of the two results estimates the local error, which
grows with the square of the step. A step is kept (the halves' result) when the greatest difference
over all coupled and watched outputs, relative to `tolerance`, is below 1.
Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, section II.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graph.errors import InputError
from sandbox.fmi.description import FmuInterface
from sandbox.fmi.hosted import FmuError
from sandbox.fmi.master import CoupledState, FmuMaster, require_snapshots

SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0  # Hairer's usual bounds on the change of a step
SMALLEST = 1e-6  # of the whole step; below it the outputs jump, and halving will not end
REFUSED = 4.0  # error that stands for a step which an FMU refused: halve it


@dataclass
class StepSize:
    """The controller's memory: the next macro step to try, seconds (None: all at once)."""

    next_s: float | None = None


def require_adaptive(interfaces: Mapping[str, FmuInterface]) -> None:
    """Raises InputError that names the FMUs which cannot be stepped adaptively."""
    require_snapshots(interfaces, "an adaptive macro step")
    fixed = [n for n, interface in interfaces.items() if not interface.variable_step]
    if fixed:
        raise InputError(
            f"an adaptive macro step varies, and these FMUs want it fixed: {', '.join(fixed)}",
            "their modelDescription.xml lacks canHandleVariableCommunicationStepSize",
        )


def advance(
    master: FmuMaster, end_s: float, tolerance: float, size: StepSize
) -> list[tuple[float, dict[str, float]]]:
    """Step to `end_s` in macro steps whose error is below `tolerance`.

    tolerance: local error of one macro step, relative to the greater of the output's magnitude and
    its nominal value (1 where the FMU declares none).

    Returns:
        (length, outputs at its end) of each macro step that was kept.

    Raises:
        FmuError: an FMU failed, or the error stays above the tolerance at the smallest step.
    """
    begin_s, scales, kept = master.time_s, _nominals(master), []
    while master.time_s < end_s:
        start_s = master.time_s
        whole = end_s - start_s
        step_s = min(size.next_s or whole, whole)
        if whole - step_s < 0.1 * step_s:  # no sliver at the end
            step_s = whole
        error = _attempt(master, start_s, step_s, end_s, tolerance, scales)
        change = SAFETY / max(error, 1e-12) ** 0.5
        proposed = step_s * min(max(change, SHRINK), GROW)
        if error <= 1.0:
            # A step cut short by the end says little of the length that is possible.
            is_cut = step_s == whole and size.next_s is not None and size.next_s > step_s
            size.next_s = max(proposed, size.next_s or 0.0) if is_cut else proposed
            kept.append((master.time_s - start_s, dict(master.values)))
            continue
        size.next_s = proposed
        if proposed < SMALLEST * (end_s - begin_s):
            raise FmuError(
                f"the error stays above {tolerance:g} at t = {start_s:g} s, even over {step_s:g} s",
                "an output jumps there, or an FMU refuses the step: take a fixed macro step",
            )
    return kept


def _attempt(
    master: FmuMaster, start_s: float, step_s: float, end_s: float, tolerance: float,
    scales: Mapping[str, float],
) -> float:  # fmt: skip
    """Error of a step over its tolerance; the step is taken if that is at most 1."""
    state = master.snapshot()
    target = end_s if start_s + step_s >= end_s else start_s + step_s
    try:
        try:
            master.step_to(target)
            whole = dict(master.values)
            master.restore(state)
            master.step_to(start_s + 0.5 * (target - start_s))
            master.step_to(target)
        except FmuError as error:
            if not error.discard:
                raise
            return _undo(master, state, REFUSED)
        errors = [
            abs(master.values[n] - v) / (tolerance * max(abs(v), scales[n]))
            for n, v in whole.items()
        ]
        worst = max(errors, default=0.0)
        return worst if worst <= 1.0 else _undo(master, state, worst)
    finally:
        _forget(master, state)


def _undo(master: FmuMaster, state: CoupledState, error: float) -> float:
    master.restore(state)
    return error


def _forget(master: FmuMaster, state: CoupledState) -> None:
    import contextlib

    with contextlib.suppress(FmuError):  # one that died needs no freeing
        master.release(state)


def _nominals(master: FmuMaster) -> dict[str, float]:
    found = {}
    for name in master.values:
        component, _, variable = name.partition(".")
        nominal = master.processes[component].description.variables[variable].nominal
        found[name] = abs(nominal) if nominal else 1.0
    return found
