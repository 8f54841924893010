"""The plant's own log: one row a sample with every signal and the owner of every setpoint."""

import csv
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from graph.errors import InputError
from graph.record import iso
from graph.signals import Role, SignalSpec
from graph.telemetry import Frame

RATES = ("_kw", "_w_m2", "_kg_s", "_l_s", "_m3_s", "_m_s")


@dataclass(frozen=True, slots=True)
class LogRow:
    """The sample taken at `epoch_s`; None where a sensor gave nothing."""

    epoch_s: int
    values: tuple[float | None, ...]
    owners: tuple[str, ...]


class PlantLog:
    """Rows in order of time, `row_s` apart.

    started_s marks where the run began, after the warm-up.
    """

    def __init__(
        self, signals: Sequence[SignalSpec], points: Sequence[str], started_s: int, row_s: int = 60
    ) -> None:
        self.signals = tuple(s.id for s in signals)
        self.points = tuple(points)
        self.started_s = started_s
        self.row_s = row_s
        self.rows: list[LogRow] = []
        # A state is what it is at the end of a step; a rate or a command is a mean over it.
        self._state = frozenset(s.id for s in signals if not _is_mean(s))

    def __len__(self) -> int:
        """Number of rows, those of the warm-up among them."""
        return len(self.rows)

    def __iter__(self) -> Iterator[LogRow]:
        """All rows, oldest first."""
        return iter(self.rows)

    def branch(self) -> "PlantLog":
        """A copy that can grow on its own; the rows so far are shared (they never change)."""
        copy = object.__new__(PlantLog)
        copy.__dict__.update(self.__dict__)
        copy.rows = list(self.rows)
        return copy

    def history(
        self, signal: str, start: datetime | None, end: datetime | None
    ) -> list[tuple[datetime, float | None]]:
        """(time, value) of one signal with start <= time <= end. Raises KeyError."""
        column = self.signals.index(signal) if signal in self.signals else None
        if column is None:
            raise KeyError(signal)
        times = [row.epoch_s for row in self.rows]
        first = 0 if start is None else bisect_right(times, start.timestamp() - 1e-3)
        stop = len(times) if end is None else bisect_right(times, end.timestamp())
        return [
            (datetime.fromtimestamp(row.epoch_s, UTC), row.values[column])
            for row in self.rows[first:stop]
        ]

    def write(self, path: Path) -> None:
        """CSV from the start of the run: time, every signal, `<point>#owner` for every setpoint."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            out = csv.writer(stream)
            out.writerow(["time", *self.signals, *(f"{p}#owner" for p in self.points)])
            for row in self.rows:
                if row.epoch_s > self.started_s:
                    when = iso(datetime.fromtimestamp(row.epoch_s, UTC))
                    values = ["" if v is None else f"{v:.10g}" for v in row.values]
                    out.writerow([when, *values, *row.owners])

    def frame(self, step_s: int, warm_up: bool = False) -> Frame:
        """The log on a coarser grid: states at the end of each step, means of everything else.

        Whole steps only, aligned to multiples of `step_s`; a step without any value is NaN.

        Raises:
            InputError: no whole number of rows a step, or fewer rows than one step.
        """
        begin = self.rows[0].epoch_s - self.row_s if warm_up and self.rows else self.started_s
        begin = -(-begin // step_s) * step_s
        rows = [r for r in self.rows if r.epoch_s > begin]
        size = step_s // self.row_s
        if size == 0 or step_s % self.row_s:
            raise InputError(
                f"the log has a row each {self.row_s} s", f"a step of {step_s} s is no multiple"
            )
        count = len(rows) // size
        if count == 0:
            raise InputError(f"no whole step of {step_s} s in {len(rows)} rows of log")
        table = np.array([r.values for r in rows[: count * size]], dtype=np.float64)
        blocks = table.reshape(count, size, len(self.signals))
        valid = np.isfinite(blocks)
        sums, seen = np.where(valid, blocks, 0.0).sum(axis=1), valid.sum(axis=1)
        means = np.where(seen > 0, sums / np.maximum(seen, 1), np.nan)
        columns = {
            name: (blocks[:, -1, i] if name in self._state else means[:, i])
            for i, name in enumerate(self.signals)
        }
        return Frame(datetime.fromtimestamp(begin + step_s, UTC), step_s, columns)


def _is_mean(spec: SignalSpec) -> bool:
    return spec.role is Role.SETPOINT or spec.asset == "outdoor" or spec.id.endswith(RATES)
