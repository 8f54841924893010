"""Telemetry as somebody else wrote it: every row and cell is taken in or named, nothing is guessed.

CSV (comma, semicolon or tab; UTF-8, UTF-16 with a mark, or Latin-1; decimal comma where the comma
does not separate) and Parquet. Cells are numbers or they are listed as unreadable; text is never
evaluated. What the times and values mean is judged by `sandbox.telemetry_quality`.
"""

import csv
import io
import re
from array import array
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from graph.errors import SitePackError

Array = NDArray[np.float64]
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_CELLS = 100_000_000  # 0.8 GB of numbers: a year of minutes of 190 signals
MAX_LINE_CHARS = 1 << 20
SHOWN_CHARS = 60
LATEST_S = 7.2e9  # the year 2198: a later stamp is none, and breaks what computes with times
MAX_UNREADABLE = 20_000  # more bad cells than this is no telemetry
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
# What loggers write where they have no value.
EMPTY = frozenset(("", "-", "--", "nan", "null", "none", "na", "n/a", "#n/a", "nil"))
BINARY = {
    b"PK\x03\x04": "a zip archive or an Excel workbook", b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a gzip archive", b"%PDF": "a PDF", b"PAR1": "a Parquet file",
    b"SQLi": "an SQLite database",
}  # fmt: skip


@dataclass(frozen=True)
class Unreadable:
    """A cell or row that holds no number or time. signal: "" for a whole row, "time" for its stamp.

    text: what stands there, shortened.
    """

    line: int
    signal: str
    text: str


@dataclass(frozen=True)
class RawTable:
    """Rows in the order of the file.

    seconds: stamps (rows,), since 1970 in UTC, or on the wall clock where `has_zone` is False.
    lines: line of a CSV or row of a Parquet file, from 1, for each row.
    columns: by name, (rows,), NaN where there is no number.
    unreadable: everything that was not empty and not a number, nor a usable row.
    unused: columns of the file that nobody asked for.
    """

    name: str
    seconds: Array
    has_zone: bool
    lines: NDArray[np.int64]
    columns: Mapping[str, Array]
    unreadable: tuple[Unreadable, ...] = ()
    unused: tuple[str, ...] = ()
    rows_read: int = 0

    def __len__(self) -> int:
        return len(self.seconds)


def read_raw(
    path: Path, wanted: Collection[str], rename: Mapping[str, str] | None = None
) -> RawTable:
    """Read a telemetry file of foreign origin.

    Args:
        wanted: the columns to take; others are named and left alone.
        rename: new name by name in the file; one of the new names may be `time`.

    Raises:
        SitePackError: the file is unreadable as a whole: missing, too big, binary, without a column
            `time`, with a column twice, with hardly a row that makes sense, or with times of which
            some have a zone and some have not.
    """
    path = Path(path)
    name = path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise SitePackError(f"cannot be read: {error.strerror}", "expected a file", name) from error
    if size > MAX_FILE_BYTES:
        hint = f"at most {MAX_FILE_BYTES} can be read at once; split it by time"
        raise SitePackError(f"{size} bytes", hint, name)
    if path.suffix.lower() in (".parquet", ".pq"):
        from graph.arrow_raw import read_raw_parquet

        return read_raw_parquet(path, wanted, dict(rename or {}))
    for magic, what in BINARY.items():
        if head.startswith(magic):
            raise SitePackError(f"is {what}", "export it as CSV or Parquet", name)
    with _open_text(path) as text:
        return _Rows(name, text, wanted, dict(rename or {})).read()


def _open_text(path: Path) -> TextIO:
    """The file as text, in the encoding that its first bytes show."""
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return path.open(encoding="utf-16", errors="replace", newline="")
    try:
        io.TextIOWrapper(io.BytesIO(head[: max(0, len(head) - 4)]), "utf-8").read()
    except UnicodeDecodeError:
        return path.open(encoding="latin-1", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def header_names(found: list[str], rename: dict[str, str], name: str) -> list[str]:
    """Column names after renaming. Raises SitePackError for a missing `time` or a name twice."""
    missing = [old for old in rename if old not in found]
    if missing:
        raise SitePackError(
            f"there is no column {missing[0]!r}", f"the file has: {', '.join(found)[:300]}", name, 1
        )
    names = [rename.get(n, n) for n in found]
    if "time" not in names:
        raise SitePackError(
            "the column is missing",
            f"say which it is: --map NAME=time; the file has: {', '.join(found)[:300]}",
            name, 1, "time",
        )  # fmt: skip
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        raise SitePackError("the column is here twice", "rename or remove one", name, 1, twice[0])
    return names


@dataclass
class _Rows:
    """Reads one CSV file row by row."""

    name: str
    text: TextIO
    wanted: Collection[str]
    rename: dict[str, str]
    seconds: array = field(default_factory=lambda: array("d"))  # type: ignore[type-arg]
    lines: array = field(default_factory=lambda: array("q"))  # type: ignore[type-arg]
    zoned: int = 0
    first_other: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)

    def read(self) -> RawTable:
        header = self.text.readline(MAX_LINE_CHARS)
        delimiter = max(",;\t", key=header.count)
        self.comma = delimiter != ","
        found = [n.strip() for n in _cells(header.rstrip("\r\n"), delimiter)]
        names = header_names(found, self.rename, self.name)
        at = names.index("time")
        columns = {n: array("d") for n in names if n in self.wanted and n != "time"}
        unused = tuple(n for n in names if n not in columns and n != "time")
        total = 0
        for line, cells in self._records(delimiter):
            total += 1
            if total * len(names) > MAX_CELLS:
                raise SitePackError("too many cells", f"at most {MAX_CELLS}; split it", self.name)
            if len(cells) != len(names):
                self._bad(line, "", f"{len(cells)} cells: {delimiter.join(cells)}")
                continue
            stamp = self._stamp(cells[at], line)
            if stamp is None:
                continue
            self.seconds.append(stamp)
            self.lines.append(line)
            for column, cell in zip(names, cells, strict=True):
                if column in columns:
                    columns[column].append(self._number(cell, line, column))
        return self._table(columns, unused, total)

    def _records(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Physical lines as cells: a quote that never closes cannot swallow the rest of a file."""
        line = 1
        while True:
            text = self.text.readline(MAX_LINE_CHARS)
            line += 1
            if not text:
                return
            if len(text) == MAX_LINE_CHARS:
                raise SitePackError("a line without end", "is this telemetry?", self.name, line)
            text = text.rstrip("\r\n")
            if not text.strip(" ," + delimiter):
                continue
            yield line, _cells(text, delimiter)

    def _stamp(self, cell: str, line: int) -> float | None:
        found = parse_stamp(cell)
        if found is None:
            self._bad(line, "time", cell)
            return None
        seconds, zoned = found
        self.zoned += zoned
        if not self.first_other and self.zoned not in (0, len(self.seconds) + 1):
            self.first_other = line
        return seconds

    def _number(self, cell: str, line: int, column: str) -> float:
        text = cell.strip()
        if self.comma and "," in text and "." not in text:
            text = text.replace(",", ".", 1)
        if len(text) < SHOWN_CHARS and text.isascii() and NUMBER.fullmatch(text):
            return float(text)
        if text.lower() not in EMPTY:
            self._bad(line, column, cell)
        return float("nan")

    def _bad(self, line: int, signal: str, text: str) -> None:
        self.unreadable.append(Unreadable(line, signal, shown(text)))
        if len(self.unreadable) > MAX_UNREADABLE:
            first = self.unreadable[0]
            raise SitePackError(
                f"more than {MAX_UNREADABLE} cells are neither numbers nor times, first "
                f"{first.text!r}",
                "is this telemetry?", self.name, first.line, first.signal,
            )  # fmt: skip

    def _table(
        self, columns: dict[str, "array[float]"], unused: tuple[str, ...], total: int
    ) -> RawTable:
        check_rows(self.name, len(self.seconds), total, self.unreadable)
        if self.first_other:
            raise SitePackError(
                "some times have a zone and some have none",
                "write all with an offset, or all without and give --zone",
                self.name, self.first_other, "time",
            )  # fmt: skip
        return RawTable(
            self.name,
            np.array(self.seconds, dtype=np.float64),
            bool(self.zoned),
            np.array(self.lines, dtype=np.int64),
            {n: np.array(a, dtype=np.float64) for n, a in columns.items()},
            tuple(self.unreadable),
            unused,
            total,
        )


def check_rows(name: str, usable: int, total: int, unreadable: list[Unreadable]) -> None:
    """Raises SitePackError unless at least two rows, and half of all, have a usable time."""
    if usable >= 2 and usable * 2 >= total:
        return
    first = next((u for u in unreadable if u.signal in ("", "time")), None)
    raise SitePackError(
        f"only {usable} of {total} rows have a time"
        + (f"; this is none: {first.text!r}" if first else ""),
        "expected e.g. 2026-01-20T18:00:00-08:00 or 2026-01-20 18:00, and at least two rows",
        name, first.line if first else 0, "time",
    )  # fmt: skip


def _cells(text: str, delimiter: str) -> list[str]:
    """The cells of one line; quotes are taken off where they are used as quotes."""
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:  # a cell beyond csv's own limit
        return text.split(delimiter)


def parse_stamp(text: str) -> tuple[float, bool] | None:
    """Seconds and whether the time has a zone; None for what is no time.

    ISO 8601 with a date and a time of day, or seconds, milliseconds, microseconds or nanoseconds
    since 1970 (told apart by their size, which overlaps for no year of telemetry).
    """
    text = text.strip()
    if len(text) > 40 or not text.isascii():
        return None
    if re.fullmatch(r"\d{9,19}(\.\d+)?", text):
        seconds, zoned = epoch_seconds(float(text)), True
    elif re.match(r"\d{4}-?\d\d-?\d\d[T ]", text):
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError:
            return None
        zoned = parsed.tzinfo is not None
        seconds = (parsed if zoned else parsed.replace(tzinfo=UTC)).timestamp()
    else:
        return None
    return (seconds, zoned) if 0.0 <= seconds < LATEST_S else None


def epoch_seconds(value: float) -> float:
    """Seconds from an epoch number of unknown unit (1e9 s, 1e12 ms, 1e15 us and 1e18 ns: 2001)."""
    for scale in (1e9, 1e6, 1e3):
        if abs(value) >= 1e8 * scale:
            return value / scale
    return value


def shown(text: object) -> str:
    """A cell as it can be printed: one line, no control characters, at most `SHOWN_CHARS`."""
    clean = "".join(c if c.isprintable() else "�" for c in str(text)[: SHOWN_CHARS + 1])
    return clean if len(clean) <= SHOWN_CHARS else clean[: SHOWN_CHARS - 1] + "…"
