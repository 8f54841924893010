"""Values that a sensor cannot have seen: outside its range, alone among its neighbours, stuck."""

import numpy as np
from numpy.typing import NDArray

from graph.signals import Role, SignalSpec
from graph.units import canonical_unit
from sandbox.telemetry_report import Findings, Rows, Table

Array = NDArray[np.float64]

DOUBTED_RANGE = 0.05  # share of a column outside its range that says the range may be wrong
LEAST_JUMP = {"degC": 3.0, "percent": 15.0}  # a smaller jump of a stock is no spike
USUAL_JUMPS = 6.0  # and none is smaller than so many usual changes
LONGEST_SPIKE = 3  # samples
LONGEST_DROP = 16  # samples of one value; longer ones are judged as stuck
RETURN_SHARE = 0.3  # of the jump: the sensor is back when it comes so close to where it was
STUCK_S = 4 * 3600.0  # for signals that declare nothing else
STUCK_RUNS = 4.0  # times as long as the third longest run of one value
AT_SETPOINT_K = 0.1
MOVING_KW = 0.001  # a step: a loop that works never gives the same heat twice
FREEZING_UNITS = ("degC",)  # what always moves a little; a battery or a power may stand for days


def check_range(table: Table, spec: SignalSpec, findings: Findings) -> None:
    """Values outside the declared range, and infinities, are left out."""
    values = table.columns[spec.id]
    known = int((~np.isnan(values)).sum())
    rows = np.flatnonzero((values < spec.minimum) | (values > spec.maximum))
    if not len(rows):
        return
    treatment = "left out"
    if len(rows) > DOUBTED_RANGE * known:
        answer = findings.ask(
            f"range:{spec.id}", table, rows,
            f"{len(rows)} of {known} values of {spec.id} lie outside {spec.minimum:g} to "
            f"{spec.maximum:g} {spec.unit}: is the declared range wrong, or the sensor?",
            ("keep",),
        )  # fmt: skip
        treatment = "as decided: kept" if answer == "keep" else "left out"
        if answer == "keep":
            rows = np.flatnonzero(np.isinf(values))
    worst = values[rows[np.argmax(np.abs(values[rows]))]] if len(rows) else np.nan
    findings.defect(
        "out_of_range", table, rows,
        f"values outside {spec.minimum:g} to {spec.maximum:g} {spec.unit}, as far as {worst:g}",
        treatment, signal=spec.id, next_step="check the sensor, or the range in site.yaml",
    )  # fmt: skip
    findings.set_missing("out_of_range", table, rows, spec.id)


def check_spikes(table: Table, spec: SignalSpec, findings: Findings) -> None:
    """A stock that jumps and comes back within a few samples has not moved: left out.

    Powers do jump; only their declared greatest rate is held against them.
    """
    values, seconds = table.columns[spec.id], table.seconds
    good = np.flatnonzero(np.isfinite(values))
    if len(good) < 8:
        return
    x, apart = values[good], np.diff(seconds[good])
    change = np.diff(x)
    limit = _jump_limit(spec, change, apart)
    usual = float(np.quantile(np.abs(change), 0.95))
    parts = np.cumsum(np.concatenate([[0], apart > 1.5 * np.median(apart)]))
    found: list[int] = []
    for k in np.flatnonzero(np.abs(change) > limit):
        if not found or k > found[-1]:
            # Beyond a gap much may have happened: only samples before the next one count.
            stop = int(np.searchsorted(parts, parts[k], side="right"))
            found += _spike(x[:stop], int(k), usual)
    if found:
        rows = good[np.array(found)]
        findings.defect(
            "spike", table, rows, "values that jump and come back", "left out", signal=spec.id,
            next_step="check the sensor's wiring",
        )  # fmt: skip
        findings.set_missing("spike", table, rows, spec.id)


def _jump_limit(spec: SignalSpec, change: Array, apart: Array) -> Array:
    """The greatest believable change between neighbours, (n - 1,)."""
    declared = np.full(len(apart), np.inf)
    if spec.max_rate_per_s is not None:
        declared = spec.max_rate_per_s * apart
    least = LEAST_JUMP.get(canonical_unit(spec.unit))
    if least is None:
        return declared
    usual = USUAL_JUMPS * float(np.quantile(np.abs(change), 0.95))
    return np.asarray(np.minimum(declared, max(least, usual)))


def _spike(x: Array, k: int, usual: float) -> list[int]:
    """Samples after k that stand apart from both sides; none where the value stays."""
    if k + 2 >= len(x):
        return []
    jump = abs(x[k + 1] - x[k])

    def returned(back: int) -> bool:
        moved = min(0.6 * jump, 1.5 * usual * (back - k))  # what it would have done meanwhile
        return bool(abs(x[back] - x[k]) <= max(RETURN_SHARE * jump, moved))

    for back in range(k + 2, min(len(x), k + 2 + LONGEST_SPIKE)):
        if returned(back):
            return list(range(k + 1, back))
    other = np.flatnonzero(x[k + 1 : k + 2 + LONGEST_DROP] != x[k + 1])
    if len(other) and returned(k + 1 + int(other[0])):  # fell to one value for a while
        return list(range(k + 1, k + 1 + int(other[0])))
    return []


def check_stuck(table: Table, spec: SignalSpec, findings: Findings) -> None:
    """A sensor that shows one value for longer than it ever does when it works: left out.

    The first sample of the run is kept: it may be the last true one.
    """
    freezes = canonical_unit(spec.unit) in FREEZING_UNITS
    if spec.role is Role.SETPOINT or not (freezes or spec.stuck_after_s):
        return
    values, seconds = table.columns[spec.id], table.seconds
    good = np.flatnonzero(np.isfinite(values))
    if len(good) < 3:
        return
    begins = np.flatnonzero(np.concatenate([[True], np.diff(values[good]) != 0]))
    ends = np.append(begins[1:], len(good)) - 1
    # Samples count, not the time between them: a gap is no proof that a sensor stood still.
    lasted = (ends - begins) * float(np.median(np.diff(seconds[good])))
    limit = spec.stuck_after_s or max(STUCK_S, STUCK_RUNS * _third(np.asarray(lasted)))
    for run in np.flatnonzero((lasted >= limit) & (ends > begins)):
        rows = good[begins[run] + 1 : ends[run] + 1]
        if _held(table, spec, rows):
            continue
        findings.defect(
            "stuck", table, rows,
            f"{values[rows[0]]:g} {spec.unit} without a change for {lasted[run] / 3600:.1f} h",
            "left out, but for the first value", signal=spec.id, next_step="check the sensor",
        )  # fmt: skip
        findings.set_missing("stuck", table, rows, spec.id)


def _held(table: Table, spec: SignalSpec, rows: Rows) -> bool:
    """Whether a control loop may hold the value: it stands at its setpoint, and its heat moves."""
    value = table.columns[spec.id][rows[0]]
    heat = table.columns.get(f"{spec.asset}.heat_kw")
    if heat is None or not spec.id.endswith(".temp_degc"):
        return False
    moved = heat[rows][np.isfinite(heat[rows])]
    setpoints = [
        v[rows]
        for n, v in table.columns.items()
        if n.startswith(f"{spec.asset}.") and n.endswith("setpoint_degc")
    ]
    near = any(np.nanmin(np.abs(s - value), initial=np.inf) <= AT_SETPOINT_K for s in setpoints)
    return bool(near and moved.size > 1 and np.median(np.abs(np.diff(moved))) > MOVING_KW)


def _third(lasted: Array) -> float:
    longest = np.sort(lasted)[::-1]
    return float(longest[2]) if len(longest) > 2 else 0.0


def check_text(
    table: Table, unreadable: dict[str, list[tuple[int, str]]], findings: Findings
) -> None:
    """Cells that hold no number are missing; they are named by line, and never evaluated."""
    for signal, cells in unreadable.items():
        lines = np.array([line for line, _ in cells], dtype=np.int64)
        rows: Rows = np.flatnonzero(np.isin(table.lines, lines))
        first = cells[0]
        where = "rows" if signal == "" else "times" if signal == "time" else "cells"
        findings.defect(
            "unreadable", table, rows,
            f"{len(cells)} {where} that cannot be read, first on line {first[0]}: {first[1]!r}",
            "left out", signal="" if signal in ("", "time") else signal,
            next_step="correct them in the file", count=len(cells),
        )  # fmt: skip
