"""A logger's clock that was wrong for a while, seen in the file's own order or against the sun.

In the file: rows that run ahead begin with a jump forward and end with the same jump back, where
stamps come a second time with other values; a clock that stood behind shows the two jumps the
other way round. One jump back alone, with other values on the same stamps, is a clock that was
set back: the file cannot say which side is right.

Against the sun: the middle of the day's light is solar noon, whatever the clouds. Solar noon from
longitude and the equation of time (Spencer 1971, as given by Iqbal, An Introduction to Solar
Radiation, 1983, eq. 1.4.1); without a longitude only a change within the file can be seen.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sandbox.telemetry_report import Findings, Rows, Table
from sandbox.telemetry_rows import Grid, without

Array = NDArray[np.float64]
DAY_S = 86_400.0
IRREGULAR_SHARE = 0.1  # of the step: a larger deviation from it is a jump
LEAST_BLOCK = 3  # rows: one or two are rows out of order
LIT_W_M2 = 10.0
LEAST_LIT_STEPS = 4
LEAST_DAYS = 5
WHOLE_FILE_S = 2700.0  # hills and trees shorten one side of the day by less than three quarters
CHANGE_S = 1500.0
ROUND_S = 900.0
NOTHING: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class _Block:
    first: int
    stop: int
    ahead_s: float


def jumps(table: Table, grid: Grid, findings: Findings) -> Table:
    """Find and ask about wrong clocks in the order of the file. Rows keep that order."""
    if not grid.regular:
        return table
    drop = [
        _treated(table, np.arange(block.first, block.stop), block.ahead_s, findings,
                 f"line-{table.lines[block.first]}", "by the jumps at both ends")
        for block in _blocks(table, grid)
    ]  # fmt: skip
    return without(table, np.concatenate([NOTHING, *drop]), findings, "clock_shift")


def _blocks(table: Table, grid: Grid) -> list[_Block]:
    """Blocks between a jump and its opposite, whose stamps clash with their neighbours'."""
    deviation = np.diff(table.seconds) - grid.step_s
    at = np.flatnonzero(np.abs(deviation) > IRREGULAR_SHARE * grid.step_s)
    found, used = [], -1
    for a, b in pairwise(at):
        opposite = abs(deviation[a] + deviation[b]) <= IRREGULAR_SHARE * grid.step_s
        if a <= used or not opposite or b - a < LEAST_BLOCK:
            continue
        block = _Block(int(a) + 1, int(b) + 1, float(deviation[a]))
        if _clashes(table, block, grid):
            found.append(block)
            used = int(b)
    return found


def _clashes(table: Table, block: _Block, grid: Grid) -> bool:
    """Whether the block's stamps are impossible: taken by other values, or off the grid."""
    if abs(block.ahead_s / grid.step_s - round(block.ahead_s / grid.step_s)) > IRREGULAR_SHARE:
        return True
    inside = np.arange(block.first, block.stop)
    outside = np.setdiff1d(np.arange(len(table)), inside, assume_unique=True)
    _, here, there = np.intersect1d(
        np.round(table.seconds[inside]), np.round(table.seconds[outside]), return_indices=True
    )
    if not len(here):
        return False
    different = np.zeros(len(here), dtype=bool)
    for values in table.columns.values():
        different |= np.abs(values[inside[here]] - values[outside[there]]) > 0
    return bool(different.mean() > 0.5)


def _treated(
    table: Table, rows: Rows, ahead_s: float, findings: Findings, name: str, how: str
) -> Rows:
    """Ask about rows that run `ahead_s` before the others; moves them, or returns them to drop."""
    word = "ahead of" if ahead_s > 0 else "behind"
    what = f"stamps run {abs(ahead_s):g} s {word} the others ({how})"
    answer = findings.ask(
        f"clock:{name}", table, rows,
        f"{len(rows)} {what}: was the logger's clock wrong, and are the rows to be moved back?",
        ("move", "keep"),
    )  # fmt: skip
    treatment = {
        "move": "as decided: moved back", "keep": "as decided: kept", "missing": "left out"
    }[answer]  # fmt: skip
    findings.defect(
        "clock_shift", table, rows, what, treatment,
        next_step="" if answer != "missing" else f"answer --decide clock:{name}=move|keep|missing",
    )  # fmt: skip
    if answer == "move":
        table.seconds[rows] -= ahead_s
    return rows if answer == "missing" else NOTHING


def set_back(table: Table, grid: Grid, findings: Findings) -> Table:
    """A clock that was set back once for all: other values on stamps that were there before."""
    back = np.flatnonzero(np.diff(table.seconds) < -grid.step_s / 2.0)
    for b in back:
        ahead = grid.step_s - float(table.seconds[b + 1] - table.seconds[b])
        block = _Block(0, int(b) + 1, ahead)
        forward = np.diff(table.seconds[: b + 1])
        if len(back) > 1 or (forward < 0).any() or not _clashes(table, block, grid):
            continue
        name = f"line-{table.lines[b + 1]}"
        again = np.flatnonzero(table.seconds[: b + 1] >= table.seconds[b + 1])
        answer = findings.ask(
            f"clock:{name}", table, np.array([b, b + 1]),
            f"the clock goes back by {ahead:g} s here and the stamps before come again with other "
            "values: are the rows before to be moved back, or those after forward?",
            ("before", "after"),
        )  # fmt: skip
        findings.defect(
            "clock_shift", table, again, f"stamps that come again {ahead:g} s later",
            "left out" if answer == "missing" else f"as decided: the rows {answer} were moved",
            next_step="" if answer != "missing" else f"answer --decide clock:{name}=before|after",
        )  # fmt: skip
        if answer == "before":
            table.seconds[: b + 1] -= ahead
        elif answer == "after":
            table.seconds[b + 1 :] += ahead
    return table


def against_the_sun(
    table: Table, grid: Grid, findings: Findings, ghi: str, longitude_deg: float | None
) -> Table:
    """Compare the middle of the light of each day with solar noon; `table` is sorted."""
    if not grid.regular or grid.step_s > 3600.0 or ghi not in table.columns:
        return table
    border_s = _darkest(table, ghi)  # whatever zone the stamps are in, a day must not break at noon
    day, late = _noons(table, grid.step_s, ghi, border_s, longitude_deg)
    if len(day) < 2 * LEAST_DAYS:
        return table
    if longitude_deg is None:
        late = late - float(np.median(late))
    smooth = np.array([np.median(late[max(0, k - 2) : k + 3]) for k in range(len(late))])
    whole = float(np.median(smooth))
    if abs(whole) >= WHOLE_FILE_S:
        table = _whole(table, _rounded(whole), findings)
        smooth = smooth - whole
    odd = np.flatnonzero(np.abs(smooth) >= CHANGE_S)
    days, drop = np.floor((table.seconds + border_s) / DAY_S), NOTHING
    for run in np.split(odd, np.flatnonzero(np.diff(odd) > 1) + 1):
        if len(run) < LEAST_DAYS - 2:
            continue
        ahead = _rounded(float(np.median(smooth[run])))
        since = -np.inf if run[0] == 0 else day[run[0]]
        until = np.inf if run[-1] == len(day) - 1 else day[run[-1]]
        rows = np.flatnonzero((days >= since) & (days <= until))
        rows = np.arange(_jump_near(table, rows[0], ahead, grid), rows[-1] + 1)
        name = f"sun-{table.lines[rows[0]]}"
        drop = np.append(drop, _treated(table, rows, ahead, findings, name, "by the sun"))
    return without(table, drop, findings, "clock_shift")


def _jump_near(table: Table, row: int, ahead_s: float, grid: Grid) -> int:
    """The row within a day and a half of `row` before which the stamps jump by `ahead_s`."""
    deviation = np.diff(table.seconds) - grid.step_s
    fits = np.flatnonzero(np.abs(deviation - ahead_s) <= ROUND_S / 2.0) + 1
    fits = fits[np.abs(table.seconds[fits] - table.seconds[row]) <= 1.5 * DAY_S]
    return int(fits[np.argmin(np.abs(fits - row))]) if len(fits) else int(row)


def _whole(table: Table, ahead_s: float, findings: Findings) -> Table:
    rows = np.arange(len(table))
    word = "later" if ahead_s > 0 else "earlier"
    text = (
        f"noon is {abs(ahead_s):g} s {word} than at the site's longitude on all days: are the "
        "stamps in another zone (then import again with --zone), or are they to be moved?"
    )
    answer = findings.ask("clock:all", table, rows, text, ("move", "keep"))
    findings.defect(
        "clock_shift", table, rows, f"the whole file runs {abs(ahead_s):g} s {word} than the sun",
        "as decided: moved back" if answer == "move" else "left as it is",
        next_step="" if answer != "missing" else "answer --decide clock:all=move|keep, or --zone",
    )  # fmt: skip
    if answer == "move":
        table.seconds = table.seconds - ahead_s
    return table


def _rounded(seconds: float) -> float:
    return float(round(seconds / ROUND_S) * ROUND_S)


def _darkest(table: Table, ghi: str) -> float:
    """Seconds to add so that the middle of the dark lies on a day's border."""
    lit = table.columns[ghi] > LIT_W_M2
    angle = table.seconds[lit] % DAY_S / DAY_S * 2.0 * np.pi
    noon = np.arctan2(np.sin(angle).sum(), np.cos(angle).sum()) / (2.0 * np.pi) * DAY_S
    return float((DAY_S / 2.0 - noon) % DAY_S)


def _noons(
    table: Table, step_s: float, ghi: str, border_s: float, longitude_deg: float | None
) -> tuple[Array, Array]:
    """Days whose light was recorded without gaps, and by how much its middle is after noon."""
    local = table.seconds + border_s - step_s / 2.0  # the middle of the interval
    mean_noon = DAY_S / 2.0 - (longitude_deg or 0.0) / 360.0 * DAY_S
    day = np.floor(local / DAY_S)
    values = table.columns[ghi]
    days, late = [], []
    begins = np.flatnonzero(np.concatenate([[True], np.diff(day) > 0]))
    for first, stop in zip(begins, [*begins[1:], len(day)], strict=True):
        known = np.isfinite(values[first:stop])
        lit = np.flatnonzero(known & (values[first:stop] > LIT_W_M2))
        whole_day = known.sum() >= 0.95 * DAY_S / step_s
        if not whole_day or len(lit) < LEAST_LIT_STEPS:
            continue
        middle = (local[first + lit[0]] + local[first + lit[-1]]) / 2.0 - border_s
        after = middle - mean_noon + equation_of_time_s(day[first])
        days.append(day[first])
        late.append((after + DAY_S / 2.0) % DAY_S - DAY_S / 2.0)
    return np.array(days), np.array(late)


def equation_of_time_s(day: float) -> float:
    """Apparent less mean solar time on a day since 1970, seconds (Spencer 1971)."""
    b = 2.0 * np.pi * ((day % 365.2425) / 365.2425)
    minutes = 229.18 * (
        0.000075 + 0.001868 * np.cos(b) - 0.032077 * np.sin(b)
        - 0.014615 * np.cos(2 * b) - 0.040849 * np.sin(2 * b)
    )  # fmt: skip
    return float(minutes * 60.0)
