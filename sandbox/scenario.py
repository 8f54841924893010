"""A snapshot played forward: the plant's present state, a plan's commands, people's holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.plan import Plan
from graph.snapshot import Snapshot
from sandbox.checks import running_signal
from sandbox.faults import Fault
from sandbox.futures import Futures
from sandbox.model_errors import TEMPERATURE
from sandbox.twin import Rollout, Twin

Array = NDArray[np.float64]


def roll_out(
    twin: Twin,
    snapshot: Snapshot,
    futures: Futures,
    setpoints: Mapping[str, Sequence[float]],
    faults: Sequence[Fault] = (),
) -> Rollout:
    """Simulate `setpoints` (by point, from the snapshot's time on) over the horizon in all futures.

    Points that are absent, and steps after a schedule's end, stay with the plant's local law; a
    point that a person holds keeps that value, whatever the plan says.

    Raises:
        InputError: a point that the twin does not know.
    """
    _check_points(twin, setpoints)
    rows = {p: command_row(snapshot, setpoints, p) for p in twin.layout.points}
    return _simulate(twin, snapshot, futures, rows, faults)


def roll_out_plans(
    twin: Twin,
    snapshot: Snapshot,
    futures: Futures,
    plans: Sequence[Plan | None],
    truth: bool = False,
) -> list[dict[str, Array]]:
    """Traces (n, N) of each plan (None: do nothing), simulated side by side in one batch.

    truth: measured states as they are, not as a broken sensor shows them.
    """
    given = [{} if p is None else aligned(snapshot, p) for p in plans]
    for setpoints in given:
        _check_points(twin, setpoints)
    n = futures.count
    tables = {
        point: np.repeat([command_row(snapshot, s, point) for s in given], n, axis=0)
        for point in twin.layout.points
    }
    rollout = _simulate(twin, snapshot, futures.repeated(len(plans)), tables, truth=truth)
    return [
        {s: v[i * n : (i + 1) * n] for s, v in rollout.traces.items()} for i in range(len(plans))
    ]


def heat_pump_state(twin: Twin, snapshot: Snapshot) -> tuple[bool, float]:
    """Whether the heat pump runs, and for how many seconds it has or has not."""
    pumps = twin.site.of_kind("heat_pump")
    if not pumps:
        return False, 1e9
    point = f"{pumps[0].id}.power_set_kw"
    signal, threshold = running_signal(twin.site, point)
    reading = snapshot.readings.get(signal)
    on = bool(reading and reading.value is not None and reading.value > threshold)
    changed = snapshot.last_change.get(point)
    held = 1e9 if changed is None else max(0.0, (snapshot.as_of - changed).total_seconds())
    return on, held


def aligned(snapshot: Snapshot, plan: Plan) -> dict[str, tuple[float, ...]]:
    """The plan's values from the snapshot's time on. Raises InputError off the grid."""
    shift = (snapshot.as_of - plan.start).total_seconds() / snapshot.step_s
    if plan.step_s != snapshot.step_s or shift != round(shift) or shift < 0:
        raise InputError(
            f"the plan of {plan.source} starts at {plan.start} with steps of {plan.step_s} s",
            f"expected steps of {snapshot.step_s} s on the grid of {snapshot.as_of}, not later",
        )
    return {p: v[round(shift) :] for p, v in plan.setpoints.items()}


def command_row(snapshot: Snapshot, setpoints: Mapping[str, Sequence[float]], point: str) -> Array:
    """Commands (N,) of a point; NaN hands the step to the local law. A person's hold wins."""
    steps, step_s = snapshot.horizon_steps, snapshot.step_s
    row = np.full(steps, np.nan)
    values = np.asarray(setpoints.get(point, ()), dtype=float)[:steps]
    row[: len(values)] = values
    for hold in snapshot.holds:
        if hold.point == point and hold.local_law:
            row[:] = np.nan
        elif hold.point == point:
            last = steps
            if hold.until is not None:
                last = int(np.ceil((hold.until - snapshot.as_of).total_seconds() / step_s))
            row[: max(0, last)] = hold.value
    return row


def _check_points(twin: Twin, setpoints: Mapping[str, Sequence[float]]) -> None:
    unknown = sorted(set(setpoints) - set(twin.layout.points))
    if unknown:
        raise InputError(
            f"the plan sets unknown {', '.join(unknown)}",
            f"the twin knows {', '.join(twin.layout.points)}",
        )


def _simulate(
    twin: Twin,
    snapshot: Snapshot,
    futures: Futures,
    commands: Mapping[str, Array],
    faults: Sequence[Fault] = (),
    truth: bool = False,
) -> Rollout:
    on, held = heat_pump_state(twin, snapshot)
    rollout = twin.simulate(
        futures.x0,
        futures.w,
        commands,
        snapshot.as_of,
        on,
        futures.parameters,
        (*futures.faults, *faults),
        hp_held_s=held,
    )
    shown = dict(rollout.traces)
    if truth:
        shown |= {s: rollout.states[state] for s, state in twin.layout.state_of.items()}
    return replace(rollout, traces=with_output_errors(shown, futures.output_errors))


def with_output_errors(
    traces: Mapping[str, Array], errors: Mapping[str, Array]
) -> dict[str, Array]:
    """Traces with the errors of temperatures that act on nothing else added."""
    changed = dict(traces)
    for name, error in errors.items():
        if name.endswith(TEMPERATURE):
            signal = f"{name.removesuffix(TEMPERATURE)}.temp_degc"
            changed[signal] = changed[signal] + error
    return changed
