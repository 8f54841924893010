"""Series on a regular grid: the Frame, and its files.

Row k of a frame covers (start - step + k*step, start + k*step]: its label is the END of the
interval. In files the column `time` holds that label, with a zone; the other columns are signal
ids. Parquet and CSV are read; Parquet is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, SitePackError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """Columns of equal length on a regular grid.

    start: END label of the first row, UTC; step_s: seconds; columns: signal id -> (rows,) float64,
    NaN = missing, read only.
    """

    start: datetime
    step_s: int
    columns: Mapping[str, Array]

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise InputError("a frame's start has no zone", "expected an aware datetime")
        if self.step_s <= 0:
            raise InputError(f"a frame's step is {self.step_s} s", "expected more than 0")
        fixed: dict[str, Array] = {}
        for name, values in self.columns.items():
            array = np.array(values, dtype=np.float64)
            if array.ndim != 1:
                raise InputError(f"column {name} has shape {array.shape}", "expected (rows,)")
            array.setflags(write=False)
            fixed[name] = array
        if len({len(a) for a in fixed.values()}) > 1:
            sizes = ", ".join(f"{n}: {len(a)}" for n, a in fixed.items())
            raise InputError(f"columns differ in length ({sizes})", "expected equal lengths")
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "columns", fixed)

    def __len__(self) -> int:
        """Number of rows."""
        return next((len(a) for a in self.columns.values()), 0)

    @property
    def end(self) -> datetime:
        """END label of the last row (of an empty frame: the instant before its first row)."""
        return self.start + timedelta(seconds=self.step_s * (len(self) - 1))

    @property
    def times(self) -> tuple[datetime, ...]:
        """END labels of all rows, UTC."""
        return tuple(self.start + timedelta(seconds=self.step_s * k) for k in range(len(self)))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(self.columns)

    def column(self, name: str) -> Array:
        """One column, shape (rows,). Raises InputError for a name that is not there."""
        try:
            return self.columns[name]
        except KeyError as error:
            known = ", ".join(self.columns) or "none"
            raise InputError(f"the frame has no column {name!r}", f"it has: {known}") from error

    def select(self, names: Sequence[str]) -> "Frame":
        """The same rows with only these columns, in this order."""
        return Frame(self.start, self.step_s, {n: self.column(n) for n in names})

    def rows(self, first: int, stop: int) -> "Frame":
        """Rows first..stop-1 (0 <= first <= stop <= len)."""
        if not 0 <= first <= stop <= len(self):
            raise InputError(f"rows {first}..{stop} of a frame with {len(self)} rows")
        start = self.start + timedelta(seconds=self.step_s * first)
        return Frame(start, self.step_s, {n: a[first:stop] for n, a in self.columns.items()})

    def window(self, start: datetime, end: datetime) -> "Frame":
        """The rows whose label t has start < t <= end: the intervals of (start, end]."""
        origin = self.start.timestamp()
        first = int(np.floor((start.timestamp() - origin) / self.step_s)) + 1
        stop = int(np.floor((end.timestamp() - origin) / self.step_s)) + 1
        first = min(max(first, 0), len(self))
        return self.rows(first, min(max(stop, first), len(self)))

    def tail(self, n: int) -> "Frame":
        """The last n rows, or all if there are fewer."""
        return self.rows(max(len(self) - n, 0), len(self))

    def append(self, other: "Frame") -> "Frame":
        """This frame with `other` after it. Raises InputError unless it continues the grid."""
        expected = self.end + timedelta(seconds=self.step_s)
        if other.step_s != self.step_s or other.start != expected:
            raise InputError(
                f"a frame from {other.start} with step {other.step_s} s does not continue this one",
                f"expected {expected} and step {self.step_s} s",
            )
        if set(other.columns) != set(self.columns):
            odd = ", ".join(sorted(set(other.columns) ^ set(self.columns)))
            raise InputError("the frames' columns differ", f"only in one of them: {odd}")
        joined = {n: np.concatenate([a, other.columns[n]]) for n, a in self.columns.items()}
        return Frame(self.start, self.step_s, joined)


def read_frame(
    path: Path,
    columns: Sequence[str] | None = None,
    *,
    missing_allowed: bool = True,
    minimum: float = -np.inf,
    name: str = "",
) -> Frame:
    """Read a series from Parquet (`.parquet`) or CSV (`.csv`).

    Args:
        path: the file; its column `time` holds the end of each interval, with a zone.
        columns: which columns are needed; None reads all but `time`.
        missing_allowed: whether NaN and empty cells may stand for missing samples.
        minimum: a smaller value is an error.
        name: how errors call the file (default: its path).

    Raises:
        SitePackError: file, row (line of a CSV) and column of what is wrong: a missing column, a
            time without zone, times unsorted, twice or off the grid, NaN where not allowed, an
            infinity, text in place of a number.
    """
    from graph import arrow_files

    name = name or str(path)
    if path.suffix not in (".parquet", ".csv"):
        raise SitePackError(
            f"unknown kind of file {path.suffix!r}", "expected .parquet, .csv", name
        )
    is_csv = path.suffix == ".csv"
    read = arrow_files.read_csv if is_csv else arrow_files.read_parquet
    seconds, found = read(path, columns, name)
    # The first row of a CSV stands on line 2; rows of Parquet count from 1.
    first_line = 2 if is_csv else 1
    start, step_s = _regular_grid(seconds, name, first_line)
    for column, values in found.items():
        missing = np.isnan(values)
        for wrong, what, expected in (
            (np.isinf(values), "an infinity", "a finite number"),
            (missing & (not missing_allowed), "NaN or an empty cell", "a finite number"),
            (values < minimum, "a value too low", f"at least {minimum:g}"),
        ):
            if wrong.any():
                what = f"{what} ({int(wrong.sum())} in this column)"
                row = int(np.argmax(wrong)) + first_line
                raise SitePackError(what, f"expected {expected}", name, row, column)
    return Frame(start, step_s, found)


def _regular_grid(seconds: Array, name: str, first_line: int) -> tuple[datetime, int]:
    if len(seconds) < 2:
        raise SitePackError(
            f"{len(seconds)} rows", "expected at least two to know the step", name, 0, "time"
        )
    gaps = np.diff(seconds)
    _, inverse, counts = np.unique(gaps, return_inverse=True, return_counts=True)
    step = float(gaps[np.argmax(counts[inverse])])  # the commonest; among equals the first
    for wrong, what, hint in (
        (gaps == 0, "this time is here twice", "one row a time"),
        (gaps < 0, "times run backwards", "sort the rows by time"),
        (gaps != step, "the step changes", f"expected one row each {step:g} s; write empty cells"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong)) + 1
            at = datetime.fromtimestamp(float(seconds[row]), UTC).isoformat()
            raise SitePackError(f"{what} at {at}", hint, name, row + first_line, "time")
    if step != int(step):
        raise SitePackError(f"the step is {step} s", "expected whole seconds", name, 0, "time")
    return datetime.fromtimestamp(float(seconds[0]), UTC), int(step)


def write_frame(path: Path, frame: Frame) -> None:
    """Write Parquet: `time` (UTC, microseconds) and one float64 column a signal."""
    from graph import arrow_files

    seconds = frame.start.timestamp() + frame.step_s * np.arange(len(frame), dtype=np.float64)
    arrow_files.write_parquet(path, seconds, frame.columns)


def query(sql: str, frames: Mapping[str, Frame]) -> list[dict[str, object]]:
    """Run SQL over frames, each a table by its name with `time` and one column a signal.

    The connection is in memory and reaches neither files nor the network.

    Raises:
        InputError: the SQL is wrong.
    """
    from graph import duckdb_query

    return duckdb_query.run(sql, frames)
