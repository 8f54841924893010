"""Rows of foreign telemetry in their right place: zone, order, duplicates, grid.

1. Stamps without a zone are read on the site's wall clock (`graph.wall_time`).
2. Stamps far from all others (a logger that restarted in 1970) are set aside.
3. A clock that was wrong for a while (`sandbox.telemetry_clock`) is found while the order of the
   file still shows it.
4. Rows are sorted; rows of one stamp become one where they agree, and are a question where not.
5. Stamps close to the grid are put on it; single ones between its points are set aside.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.raw_telemetry import RawTable
from graph.wall_time import ClockChange, parse_zone, to_utc
from sandbox.telemetry_report import Findings, Rows, Table

Array = NDArray[np.float64]
STRAY_GAP_S = 200 * 86_400.0  # a pack may hold a winter and a summer; nobody pauses for longer
STRAY_SHARE = 0.01
JITTER_SHARE = 0.1  # of the step: stamps so close to the grid are on it


@dataclass(frozen=True)
class Grid:
    """step_s: the commonest distance of stamps. phase_s: where in a step the stamps lie.

    regular: whether nearly all stamps lie on it.
    """

    step_s: float
    phase_s: float
    regular: bool


def placed(raw: RawTable, zone: str, findings: Findings) -> Table:
    """The file's rows with UTC stamps, in the order of the file."""
    columns = {n: np.array(v) for n, v in raw.columns.items()}
    table = Table(np.array(raw.seconds), np.array(raw.lines), columns)
    reads = parse_zone(zone)
    if raw.has_zone:
        return table
    wall = table.seconds
    table.seconds, changes = to_utc(wall, reads)
    drop: list[Rows] = []
    for change in changes:
        if change.kind == "repeated":
            drop.append(_repeated(table, wall, change, zone, findings))
        else:
            drop.append(_skipped(table, change, zone, findings))
    return without(table, np.concatenate(drop) if drop else np.empty(0, np.int64), findings,
                   "wall_clock")  # fmt: skip


def without(table: Table, rows: Rows, findings: Findings, reason: str) -> Table:
    """The table less `rows`, whose values are remembered."""
    if not len(rows):
        return table
    findings.set_aside(reason, table, np.sort(rows))
    keep = np.ones(len(table), dtype=bool)
    keep[rows] = False
    return table.take(keep)


def _repeated(
    table: Table, wall: Array, change: ClockChange, zone: str, findings: Findings
) -> Rows:
    """The hour that is twice on the clock: rows to leave out."""
    what = f"{len(change.rows)} rows of the hour that {zone} has twice on {change.date}"
    if change.order:
        findings.defect(
            "repeated_hour", table, change.rows, what,
            "told apart by their order: the clock steps back once",
        )  # fmt: skip
        return np.empty(0, np.int64)
    if change.alone:
        text = (
            f"{what} run through once. The logger may keep standard time all year (then import "
            "again with --zone and its fixed offset), or one of the two hours is lost: is this the "
            "first pass or the second?"
        )
        choices: tuple[str, ...] = ("first", "second")
    else:
        text = (
            f"{what} do not run through twice in order. May the first row of each stamp be taken "
            "for the first pass and the next for the second?"
        )
        choices = ("paired",)
    answer = findings.ask(f"hour:{change.date}", table, change.rows, text, choices)
    findings.defect(
        "repeated_hour", table, change.rows, what, _said(answer),
        next_step="" if answer != "missing" else f"answer --decide hour:{change.date}=…",
    )  # fmt: skip
    if answer == "second":
        table.seconds[change.rows] += 3600.0
    elif answer == "paired":
        seen: set[float] = set()
        for row in change.rows:
            if wall[row] in seen:
                table.seconds[row] += 3600.0
            seen.add(float(wall[row]))
    return change.rows if answer == "missing" else np.empty(0, np.int64)


def _skipped(table: Table, change: ClockChange, zone: str, findings: Findings) -> Rows:
    what = f"{len(change.rows)} rows of an hour that {zone} does not have on {change.date}"
    identity = f"hour:{change.date}"
    answer = findings.ask(
        identity, table, change.rows,
        f"{what}: the clock goes forward there. Does the logger keep standard time all year (then "
        "import again with --zone and its fixed offset), or did it change its clock late and "
        "these rows follow on the ones before?",
        ("late",),
    )  # fmt: skip
    findings.defect(
        "skipped_hour", table, change.rows, what, _said(answer),
        next_step="" if answer == "late" else f"answer --decide {identity}=…",
    )  # fmt: skip
    return change.rows if answer == "missing" else np.empty(0, np.int64)


def _said(answer: str) -> str:
    return "left out" if answer == "missing" else f"as decided: {answer}"


def without_strays(table: Table, findings: Findings) -> Table:
    """Leave out small groups of rows that stand years from the rest."""
    order = np.argsort(table.seconds, kind="stable")
    cuts = np.flatnonzero(np.diff(table.seconds[order]) > STRAY_GAP_S) + 1
    few = max(5.0, STRAY_SHARE * len(table))
    groups = np.split(order, cuts)
    biggest = max(len(g) for g in groups)
    stray = [g for g in groups if len(g) < few and len(g) < biggest]
    if not stray:
        return table
    rows = np.sort(np.concatenate(stray))
    findings.defect(
        "stray_stamp", table, rows, "stamps that lie years from all others: a clock that was reset",
        "left out", next_step="set the logger's clock; give these rows their true times",
    )  # fmt: skip
    return without(table, rows, findings, "stray_stamp")


def grid_of(table: Table) -> Grid:
    """The grid that most stamps lie on. A file of two rows has the step between them."""
    seconds = np.unique(np.round(table.seconds))
    steps, counts = np.unique(np.diff(seconds), return_counts=True)
    step = float(steps[np.argmax(counts)]) if len(steps) else 0.0
    if step <= 0:
        return Grid(0.0, 0.0, regular=False)
    phases, counts = np.unique(seconds % step, return_counts=True)
    phase = float(phases[np.argmax(counts)])
    near = np.abs(off_grid(table.seconds, step, phase)) <= JITTER_SHARE * step
    return Grid(step, phase, regular=bool(near.mean() >= 0.8))


def off_grid(seconds: Array, step_s: float, phase_s: float) -> Array:
    """How far each stamp lies behind the nearest point of the grid, seconds (negative: before)."""
    return np.asarray((seconds - phase_s + step_s / 2.0) % step_s - step_s / 2.0)


def snapped(table: Table, grid: Grid, findings: Findings, site_step_s: float) -> Table:
    """Stamps that are nearly on the grid are put on it; see step 5 of the module's text."""
    if not grid.regular:
        return table
    off = off_grid(table.seconds, grid.step_s, grid.phase_s)
    close = (np.abs(off) <= JITTER_SHARE * grid.step_s) & (off != 0)
    if close.any():
        worst = float(np.abs(off[close]).max())
        findings.defect(
            "jitter", table, np.flatnonzero(close), f"stamps up to {worst:.3g} s off the grid of "
            f"{grid.step_s:g} s", "put on the grid; values unchanged",
        )  # fmt: skip
        table.seconds = np.where(close, table.seconds - off, table.seconds)
    between = np.flatnonzero(np.abs(off) > JITTER_SHARE * grid.step_s)
    if not len(between) or grid.step_s < site_step_s:
        return table  # a finer file is gathered into steps anyway
    findings.defect(
        "off_grid", table, between, f"rows between the points of the grid of {grid.step_s:g} s",
        "left out: they stand for no whole interval", next_step="see the list of changes",
    )  # fmt: skip
    return without(table, between, findings, "off_grid")


def in_order(table: Table, findings: Findings) -> Table:
    """Sorted by time; rows of one stamp stay in the order of the file."""
    newest = np.maximum.accumulate(table.seconds)
    late = np.flatnonzero(table.seconds < newest)
    if not len(late):
        return table
    order = np.argsort(table.seconds, kind="stable")
    again = _duplicated(table.seconds[order])[np.argsort(order)]
    moved = late[~again[late]]
    if len(moved):
        findings.defect(
            "out_of_order", table, moved, "rows that stand after later ones",
            "sorted by time; values unchanged",
        )  # fmt: skip
    return table.take(order)


def _duplicated(seconds: Array) -> NDArray[np.bool_]:
    """Which of sorted stamps share theirs with a neighbour."""
    same = np.diff(seconds) == 0
    return np.asarray(np.concatenate([[False], same]) | np.concatenate([same, [False]]))


def merged(table: Table, findings: Findings) -> Table:
    """One row a stamp. `table` is sorted."""
    again = _duplicated(table.seconds)
    if not again.any():
        return table
    begins = np.flatnonzero(np.concatenate([[True], np.diff(table.seconds) > 0]))
    group = np.cumsum(np.concatenate([[True], np.diff(table.seconds) > 0])) - 1
    clash = {
        n: np.fmin.reduceat(v, begins) < np.fmax.reduceat(v, begins)
        for n, v in table.columns.items()
    }
    conflicting = np.any(list(clash.values()), axis=0)[group]
    equal = np.flatnonzero(again & ~conflicting)
    if len(equal):
        findings.defect(
            "duplicate", table, equal, "rows of one stamp that agree",
            "one row kept; cells that only one of them has are kept",
        )  # fmt: skip
    answer = "missing"
    rows = np.flatnonzero(conflicting)
    if len(rows):
        cells = sum(int(c.sum()) for c in clash.values())
        answer = findings.ask(
            "duplicates", table, rows,
            f"{len(rows)} rows share their stamps with rows of other values ({cells} cells differ, "
            f"in {', '.join(n for n, c in clash.items() if c.any())}): which row counts?",
            ("first", "last"),
        )  # fmt: skip
        findings.defect(
            "conflict", table, rows, "rows of one stamp with different values",
            "differing cells left out" if answer == "missing" else f"as decided: the {answer}",
            next_step="" if answer != "missing" else "answer --decide duplicates=first|last",
        )  # fmt: skip
    return _one_a_stamp(table, begins, group, clash, answer, findings)


def _one_a_stamp(
    table: Table, begins: Rows, group: Rows, clash: dict[str, NDArray[np.bool_]], answer: str,
    findings: Findings,
) -> Table:  # fmt: skip
    out = table.take(begins)
    for name, values in table.columns.items():
        good = np.flatnonzero(np.isfinite(values))
        chosen = np.full(len(begins), np.nan)
        rows = good if answer == "last" else good[::-1]
        chosen[group[rows]] = values[rows]  # the last one assigned stays
        at = np.flatnonzero(clash[name])
        if answer == "missing":
            chosen[at] = np.nan
        differs = np.isin(group, at) & np.isfinite(values) & (values != chosen[group])
        lost = np.flatnonzero(differs)
        findings.change("conflict", table, lost, name, chosen[group[lost]])
        out.columns[name] = chosen
    return out
