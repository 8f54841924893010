"""Setpoint steps on held-back days: the response that the twin predicted beside the real one.

A step is a change of a setpoint of LEAST_STEP_K or more that holds for HOLD_H and moves its zone,
in reality or in the prediction, by MOVED_K. From the step's begin the twin runs on its own.
Gain: change of the air temperature over the hold per kelvin of setpoint that could act; time to
63 % of the change seen.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.building.predict import input_table, predict, states_of
from sandbox.building.rows import Ints, Rows
from sandbox.building.twin import BuildingTwin

Array = NDArray[np.float64]
LEAST_STEP_K = 1.0
HOLD_H = 3.0
MOVED_K = 0.5
SHARE = 0.63


@dataclass(frozen=True)
class Response:
    """One step: zone, row before it, size in K, changes (K) and times to 63 % (h), real, twin."""

    zone: str
    row: int
    size_k: float
    actual_k: float
    twin_k: float
    actual_h: float
    twin_h: float


def responses(twin: BuildingTwin, rows: Rows, first: int, last: int) -> list[Response]:
    """All steps in rows [first, last) with their responses."""
    length = rows.steps(HOLD_H)
    states, table = states_of(twin, rows), input_table(twin, rows)
    usable = rows.starts(first, last, length, 1)
    found = []
    for zone in twin.structure.order:
        for setpoints in (rows.low[zone], rows.high[zone]):
            at = _steps(setpoints, usable, length)
            if not len(at):
                continue
            run = predict(twin, rows, at, length, states=states, table=table)
            for w, row in enumerate(at):
                begin = rows.temps[zone][row]
                real = rows.temps[zone][row + 1 : row + 1 + length] - begin
                model = run.temps[zone][w] - begin
                size = float(setpoints[row + 1] - setpoints[row])
                response = _response(zone, int(row), size, real, model, rows.step_h)
                if response is not None:
                    found.append(response)
    return found


def _steps(setpoints: Array, usable: Ints, length: int) -> Ints:
    """Rows of `usable` right after which a setpoint steps and then holds."""
    size = np.abs(setpoints[usable + 1] - setpoints[usable])
    ahead = setpoints[usable[:, None] + 1 + np.arange(length)[None]]
    holds = np.ptp(ahead, axis=1) < 1e-6
    return np.asarray(usable[(size >= LEAST_STEP_K) & holds])


def _response(
    zone: str, row: int, size: float, real: Array, model: Array, step_h: float
) -> Response | None:
    """None where neither moved, or the zone moved against the setpoint's own direction freely."""
    actual, twin = _extent(real, size), _extent(model, size)
    if max(abs(actual), abs(twin)) < MOVED_K:
        return None
    return Response(zone, row, size, actual, twin, _time(real, actual, step_h),
                    _time(model, twin, step_h))  # fmt: skip


def _extent(change: Array, size: float) -> float:
    """The greatest change towards the new setpoint; its end value where there is none."""
    toward = change * np.sign(size)
    return float(change[np.argmax(toward)]) if toward.max() > 0 else float(change[-1])


def _time(change: Array, extent: float, step_h: float) -> float:
    """Hours until the change has reached 63 % of its extent, linear between samples."""
    if abs(extent) < 1e-9:
        return float("nan")
    share = np.concatenate([[0.0], change / extent])
    k = int(np.argmax(share >= SHARE))
    if share[k] < SHARE:
        return float(len(change) * step_h)
    into = (SHARE - share[k - 1]) / max(share[k] - share[k - 1], 1e-9)
    return float((k - 1 + into) * step_h)


def summary(found: list[Response]) -> dict[str, Any]:
    """Numbers of the report: count, gains, times, share of wrong signs, per zone and overall."""
    if not found:
        return {"steps": 0}
    actual = np.array([r.actual_k for r in found])
    twin = np.array([r.twin_k for r in found])
    size = np.abs([r.size_k for r in found])
    clear = np.abs(actual) >= MOVED_K
    wrong = float(np.mean(np.sign(actual[clear]) != np.sign(twin[clear]))) if clear.any() else 0.0
    slope = float(np.sum(twin * actual) / np.sum(actual**2))
    hours = np.array([(r.actual_h, r.twin_h) for r in found])
    good = np.isfinite(hours).all(axis=1)
    return {
        "steps": len(found),
        "gain_actual": float(np.mean(np.abs(actual) / size)),
        "gain_twin": float(np.mean(np.abs(twin) / size)),
        "gain_ratio": slope,
        "error_k": float(np.sqrt(np.mean((twin - actual) ** 2))),
        "wrong_sign_share": wrong,
        "time_63_actual_h": float(np.median(hours[good, 0])),
        "time_63_twin_h": float(np.median(hours[good, 1])),
        "time_63_error_h": float(np.median(np.abs(hours[good, 1] - hours[good, 0]))),
    }
