"""What was found in foreign telemetry: defects by name and place, questions, and every change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from graph.errors import InputError
from graph.record import Record, UtcTime

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
MAX_SPANS = 200  # a report is for people; `count` is always complete, and so is the list of changes
ANY_QUESTION = "all"
ASIDE = "missing"  # the answer that every question takes: leave those rows or cells out


class Span(Record):
    """Neighbouring rows. Lines as in the file (rows of a Parquet file, from 1)."""

    first_line: int
    last_line: int
    since: UtcTime
    until: UtcTime
    rows: int


class Defect(Record):
    """One kind of defect in one signal (or in the rows themselves: signal is empty)."""

    kind: str
    signal: str = ""
    count: int = Field(description="rows or cells concerned")
    spans: tuple[Span, ...] = Field((), description=f"where; the first {MAX_SPANS} at most")
    text: str = Field(description="what was found")
    treatment: str = Field(description="what was done about it")
    next_step: str = ""


class Question(Record):
    """What the data do not say and a person must."""

    id: str
    text: str
    choices: tuple[str, ...]
    spans: tuple[Span, ...] = ()


class QualityReport(Record):
    """How a file became telemetry."""

    file: str
    rows_read: int
    rows_used: int
    zone: str = Field(description="how stamps were read")
    raw_step_s: float
    step_s: int
    start: UtcTime
    end: UtcTime
    rows: int
    missing_share: dict[str, float] = Field(description="by signal, of the rows written")
    defects: tuple[Defect, ...]
    questions: tuple[Question, ...] = Field(description="open ones; nothing is written until none")
    answers: dict[str, str] = Field(default_factory=dict)
    unused_columns: tuple[str, ...] = ()

    @property
    def doubtful(self) -> bool:
        """Whether a person must decide something first."""
        return bool(self.questions)


@dataclass(frozen=True)
class Change:
    """Cells that do not stand in the result as they stood in the file."""

    reason: str
    signal: str
    lines: Rows
    seconds: Array
    was: Array
    used: Array

    def rows(self) -> list[dict[str, Any]]:
        """One document a cell, for a file of JSON lines."""
        return [
            {
                "line": int(line),
                "time": _iso(at),
                "signal": self.signal,
                "was": None if np.isnan(was) else float(was) if np.isfinite(was) else str(was),
                "used": None if np.isnan(used) else float(used),
                "reason": self.reason,
            }
            for line, at, was, used in zip(
                self.lines, self.seconds, self.was, self.used, strict=True
            )
        ]


@dataclass
class Table:
    """Rows with their stamps (UTC seconds), file lines, and columns that checks may change."""

    seconds: Array
    lines: Rows
    columns: dict[str, Array]

    def __len__(self) -> int:
        return len(self.seconds)

    def take(self, index: Any) -> "Table":
        """The rows at `index`, in that order."""
        columns = {n: v[index] for n, v in self.columns.items()}
        return Table(self.seconds[index], self.lines[index], columns)


@dataclass
class Findings:
    """Collects what the checks find, and answers them from what the person has decided."""

    answers: Mapping[str, str]
    defects: list[Defect] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    used_answers: dict[str, str] = field(default_factory=dict)

    def defect(
        self, kind: str, table: Table, rows: Rows, text: str, treatment: str,
        *, signal: str = "", next_step: str = "", count: int | None = None,
    ) -> None:  # fmt: skip
        """Report a defect at `rows` (indices into `table`); `count` where not all are in it."""
        self.defects.append(
            Defect(
                kind=kind, signal=signal, count=len(rows) if count is None else count,
                spans=spans(table, rows), text=text, treatment=treatment, next_step=next_step,
            )
        )  # fmt: skip

    def gaps(
        self, places: Table, parts: list[Rows], text: str, treatment: str, next_step: str
    ) -> None:
        """Report rows that are not in the file; `places` has a row for each, `parts` each gap."""
        shown = [spans(places, part)[0] for part in parts[:MAX_SPANS]]
        count = len(places)
        self.defects.append(
            Defect(kind="gap", count=count, spans=tuple(shown), text=text, treatment=treatment,
                   next_step=next_step)
        )  # fmt: skip

    def ask(
        self, identity: str, table: Table, rows: Rows, text: str, choices: tuple[str, ...]
    ) -> str:
        """The person's answer to a question about `rows`; unanswered, `missing`, and it stays open.

        Raises:
            InputError: an answer that is none of the choices.
        """
        choices = (*choices, ASIDE)
        answer = self.answers.get(identity, self.answers.get(ANY_QUESTION))
        if answer is None:
            question = Question(id=identity, text=text, choices=choices, spans=spans(table, rows))
            self.questions.append(question)
            return ASIDE
        if answer not in choices:
            raise InputError(
                f"{answer!r} is no answer to question {identity}", f"one of {', '.join(choices)}"
            )
        self.used_answers[identity] = answer
        return answer

    def change(self, reason: str, table: Table, rows: Rows, signal: str, used: Array) -> None:
        """Put `used` into cells and remember what stood there."""
        if not len(rows):
            return
        column = table.columns[signal]
        was = column[rows]
        column[rows] = used
        self.changes.append(
            Change(reason, signal, table.lines[rows], table.seconds[rows], was, column[rows])
        )

    def set_missing(self, reason: str, table: Table, rows: Rows, signal: str) -> None:
        """Leave cells out."""
        self.change(reason, table, rows, signal, np.full(len(rows), np.nan))

    def set_aside(self, reason: str, table: Table, rows: Rows) -> None:
        """Remember all values of rows that are about to be left out."""
        for signal, column in table.columns.items():
            kept = rows[~np.isnan(column[rows])]
            if len(kept):
                nothing = np.full(len(kept), np.nan)
                self.changes.append(
                    Change(reason, signal, table.lines[kept], table.seconds[kept],
                           column[kept], nothing)
                )  # fmt: skip


def spans(table: Table, rows: Rows) -> tuple[Span, ...]:
    """Runs of neighbouring rows, in the order of the table."""
    if not len(rows):
        return ()
    rows = np.sort(rows)
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)[:MAX_SPANS]
    return tuple(
        Span(
            first_line=int(table.lines[run].min()),
            last_line=int(table.lines[run].max()),
            since=_time(table.seconds[run].min()),
            until=_time(table.seconds[run].max()),
            rows=len(run),
        )
        for run in runs
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


def _iso(seconds: float) -> str:
    return _time(seconds).isoformat().replace("+00:00", "Z")
