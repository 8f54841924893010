"""Stretches of a column that were written in another unit than the site declares.

Each sample was written in the declared unit or in one of a few others. The cheapest reading of
the whole column is found by dynamic programming (Viterbi 1967, doi:10.1109/TIT.1967.1054010):
a value outside the declared range costs, and so does every change of unit. Where the other unit
has another zero (degF, K), a jump costs too: a stretch of degF among degC shows by its two edges
even where its values could be degC. Powers jump by themselves, so there the range alone decides.
A column that is cheap as it stands is not looked at further.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from graph.signals import SignalSpec
from graph.units import canonical_unit
from sandbox.telemetry_report import Findings, Rows, Table

Array = NDArray[np.float64]
Reading = Callable[[Array], Array]

# Declared unit: what loggers write in its place, and how it becomes the declared one.
OTHERS: dict[str, dict[str, Reading]] = {
    "degC": {"degF": lambda x: (x - 32.0) / 1.8, "K": lambda x: x - 273.15},
    "kW": {"W": lambda x: x / 1000.0},
    "kWh": {"Wh": lambda x: x / 1000.0},
    "percent": {"share": lambda x: x * 100.0},
}
BY_JUMPS = ("degC", "percent")
OUTSIDE = 10.0  # cost of a value that the declaration excludes
CHANGE = 20.0  # cost of a change of unit
START = 15.0  # cost of a file that begins in another unit
ORDINARY = 0.3  # cost of reading a power that the declaration allows as a thousandth of itself
JUMP_FREE, JUMP_MOST = 3.0, 30.0  # in the signal's usual changes: free up to, and never dearer than
LEAST_ROWS = 3  # fewer are spikes, not a stretch
SURE = 15.0  # by so much the other unit must be the cheaper reading to be used unasked
EDGE = 10.0  # by so much a change of unit must explain a jump better than no change
NOTHING = 1e-3  # of the range: a smaller power looks the same in any unit
REACH = 0.5  # of the span of the rest: converted values this far beyond it are doubted
ENOUGH_ROWS = 50
EDGE_ROWS = 8  # a stretch of powers may end in so many that are small enough for either unit


@dataclass(frozen=True)
class _Problem:
    """Readings (U, n) of the good samples in each unit, the first as declared.

    usual: the change that is usual between neighbours, (n - 1,); infinite where jumps are free.
    local: cost of each sample in each unit, (U, n).
    """

    units: tuple[str, ...]
    readings: Array
    outside: NDArray[np.bool_]
    usual: Array
    local: Array
    telling: NDArray[np.bool_]


def mend_units(table: Table, spec: SignalSpec, findings: Findings) -> None:
    """Convert stretches of `spec`'s column that stand in another unit, or ask."""
    others = OTHERS.get(canonical_unit(spec.unit), {})
    values = table.columns[spec.id]
    good = np.flatnonzero(np.isfinite(values))
    if not others or len(good) < 2 * LEAST_ROWS:
        return
    problem = _problem(values[good], table.seconds[good], spec, others)
    if not _worth_a_look(problem):
        return
    path = _cheapest(problem)
    for begin, end in _stretches(path):
        unit = int(path[begin])
        first, stop = _widened(problem, unit, begin, end)
        read = problem.readings[unit, first:stop]
        one_number = len(np.unique(values[good[first:stop]])) == 1  # it says "unknown"
        if (
            one_number
            or not _shown(problem, unit, first, stop)
            or not _fits(problem, read, first, stop)
        ):
            continue
        sure = _gain(problem, unit, first, stop) >= SURE
        _convert(table, spec, good[first:stop], problem.units[unit], read, sure, findings)


def _problem(
    values: Array, seconds: Array, spec: SignalSpec, others: dict[str, Reading]
) -> _Problem:
    readings = np.stack([values, *(read(values) for read in others.values())])
    outside = (readings < spec.minimum) | (readings > spec.maximum)
    usual = np.full(len(values) - 1, np.inf)
    if canonical_unit(spec.unit) in BY_JUMPS:
        inside = ~(outside[0, 1:] | outside[0, :-1])
        change = np.abs(np.diff(values))[inside]
        scale = float(np.quantile(change, 0.95)) if change.size else 0.0
        apart = np.diff(seconds)
        longer = np.sqrt(np.clip(apart / max(float(np.median(apart)), 1e-9), 1.0, 25.0))
        usual = np.maximum(scale, 1e-3 * (spec.maximum - spec.minimum)) * longer
    span = max(abs(spec.minimum), abs(spec.maximum))
    telling = np.abs(values) > NOTHING * span
    local: Array = np.asarray(OUTSIDE * outside, dtype=np.float64)
    if np.isinf(usual).all():
        local[1:] += ORDINARY * (telling & ~outside[0])
    return _Problem(("as declared", *others), readings, outside, np.asarray(usual), local, telling)


def _worth_a_look(problem: _Problem) -> bool:
    """Whether any change of unit could make the column cheaper."""
    if problem.outside[0].sum() * OUTSIDE >= CHANGE:
        return True
    stay = _staying(problem)
    others = range(1, len(problem.units))
    return any((stay > _changing(problem, 0, u)).any() for u in others) or any(
        (stay > _changing(problem, u, 0)).any() for u in others
    )


def _cost_of(change: Array, usual: Array) -> Array:
    return np.asarray(np.clip(np.abs(change) / usual - JUMP_FREE, 0.0, JUMP_MOST))


def _staying(problem: _Problem) -> Array:
    """Cost (n - 1,) of no change of unit between neighbours, the same for all units.

    Were it measured in each unit's own reading, the unit that shrinks the numbers would win.
    """
    return _cost_of(np.diff(problem.readings[0]), problem.usual)


def _changing(problem: _Problem, before: int, after: int) -> Array:
    """Cost (n - 1,) of a change of unit between neighbours."""
    change = problem.readings[after, 1:] - problem.readings[before, :-1]
    return _cost_of(change, problem.usual) + CHANGE


def _cheapest(problem: _Problem) -> NDArray[np.int64]:
    """The cheapest sequence of units, (n,)."""
    count, n = problem.readings.shape
    local, stay, units = problem.local, _staying(problem), range(count)
    steps = np.array([[stay if a == b else _changing(problem, a, b) for b in units] for a in units])
    best = local[:, 0] + START * (np.arange(count) > 0)
    came = np.zeros((n, count), dtype=np.int64)
    for k in range(1, n):
        ways = best[:, None] + steps[:, :, k - 1]
        came[k] = ways.argmin(axis=0)
        best = ways[came[k], np.arange(count)] + local[:, k]
    path = np.empty(n, dtype=np.int64)
    path[-1] = int(best.argmin())
    for k in range(n - 1, 0, -1):
        path[k - 1] = came[k, path[k]]
    return path


def _stretches(path: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Begin and end of each run in another unit that is long enough."""
    edges = np.flatnonzero(np.diff(path)) + 1
    return [
        (a, b)
        for a, b in pairwise([0, *edges.tolist(), len(path)])
        if path[a] != 0 and b - a >= LEAST_ROWS
    ]


def _widened(problem: _Problem, unit: int, first: int, stop: int) -> tuple[int, int]:
    """A stretch of powers with the neighbours that move least if they belong to it, too.

    Near its ends values may be so small in the other unit that the declared range allows them.
    """
    if np.isfinite(problem.usual).any():
        return first, stop
    plain, read = problem.readings[0], problem.readings[unit]

    def extra(side: Array, other: Array) -> int:
        """How many of `side` (outwards from the stretch's last reading other[0]) to take in."""
        ways = [
            float(np.abs(np.diff(np.concatenate([other[: k + 1], side[k:]]))).sum())
            for k in range(len(side))
        ]
        best = int(np.argmin(ways)) if ways else 0
        return best if ways and ways[best] < 0.5 * ways[0] else 0

    after = slice(stop, stop + EDGE_ROWS)
    before = slice(first - 1, first - 1 - EDGE_ROWS if first > EDGE_ROWS else None, -1)
    late = extra(plain[after], read[stop - 1 : stop + EDGE_ROWS])
    early = 0
    if first > 0:
        early = extra(plain[before], np.concatenate([[read[first]], read[before]]))
    return first - early, stop + late


def _gain(problem: _Problem, unit: int, first: int, stop: int) -> float:
    """By how much the stretch first..stop-1 is cheaper in its unit than as declared."""
    gain = float(problem.local[0, first:stop].sum() - problem.local[unit, first:stop].sum())
    return gain + sum(_edges(problem, unit, first, stop))


def _edges(problem: _Problem, unit: int, first: int, stop: int) -> list[float]:
    """How much better a change of unit explains the jumps at the stretch's ends inside the file."""
    stay = _staying(problem)
    return [
        float(stay[at] - _changing(problem, before, after)[at]) + CHANGE
        for at, before, after in ((first - 1, 0, unit), (stop - 1, unit, 0))
        if 0 <= at < len(stay)
    ]


def _shown(problem: _Problem, unit: int, first: int, stop: int) -> bool:
    """Whether the stretch shows its unit: by most of its values, or by both of its edges."""
    telling = problem.telling[first:stop]
    if problem.outside[0, first:stop][telling].sum() * 2 > telling.sum():
        return True
    edges = _edges(problem, unit, first, stop)
    return bool(edges) and min(edges) >= EDGE


def _fits(problem: _Problem, read: Array, first: int, stop: int) -> bool:
    """Whether the converted values look like the rest of the column, where there is enough."""
    rest = np.ones(problem.readings.shape[1], dtype=bool)
    rest[first:stop] = False
    rest &= ~problem.outside[0]
    if rest.sum() < ENOUGH_ROWS:
        return True
    low, high = problem.readings[0, rest].min(), problem.readings[0, rest].max()
    reach = REACH * (high - low)
    return bool((read >= low - reach).all() and (read <= high + reach).all())


def _convert(
    table: Table, spec: SignalSpec, rows: Rows, unit: str, converted: Array, sure: bool,
    findings: Findings,
) -> None:  # fmt: skip
    lines = f"{table.lines[rows[0]]} to {table.lines[rows[-1]]}"
    what = f"{len(rows)} values stand in {unit}, not in the declared {spec.unit}"
    answer = unit
    if not sure:
        answer = findings.ask(
            f"unit:{spec.id}:line-{table.lines[rows[0]]}", table, rows,
            f"are the values of {spec.id} on lines {lines} in {unit}?", (unit, "as-declared"),
        )  # fmt: skip
    if answer == unit:
        findings.defect("unit", table, rows, what, f"converted from {unit}", signal=spec.id,
                        next_step="correct the unit at the logger")  # fmt: skip
        findings.change(f"unit {unit}", table, rows, spec.id, converted)
        return
    treatment = "left out" if answer == "missing" else "as decided: left as they are"
    findings.defect("unit", table, rows, f"perhaps {what}", treatment, signal=spec.id)
    if answer == "missing":
        findings.set_missing("unit", table, rows, spec.id)
