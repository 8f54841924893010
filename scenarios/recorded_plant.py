"""Recorded telemetry as a plant that can be read and stepped, and never written.

Its time moves through the record; at each moment it shows the row that ends there and remembers
those before. There is nothing to command: who tries is refused by name.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NoReturn

import numpy as np

from graph.errors import InputError, RefusedError
from graph.plant import LeasedSetpoint, Readings
from graph.record import as_utc, iso
from graph.signals import Owner, PointState, Quality, Reading
from graph.site import Site
from graph.telemetry import Frame

READ_ONLY = "read_only"


class RecordedPlant:
    """Implements `PlantReader` and `SteppablePlant`. `at`: plant time; may also be set.

    Args:
        frame: the site's signals on a grid; NaN marks missing samples, which read as bad.
        at: the moment to begin at, the end of a row.
    """

    def __init__(self, site: Site, frame: Frame, at: datetime) -> None:
        self._site, self._frame = site, frame
        self.at = as_utc(at)

    @property
    def time(self) -> datetime:
        """Plant time, UTC."""
        return self.at

    def advance(self, dt_s: float) -> None:
        """Move on by a whole number of rows. Raises InputError for other spans, and at the end."""
        rows = dt_s / self._frame.step_s
        until = self.at + timedelta(seconds=dt_s)
        if not (rows >= 1 and rows == int(rows)):
            raise InputError(
                f"a recording cannot advance by {dt_s} s",
                f"expected a multiple of its step of {self._frame.step_s} s",
            )
        if until > self._frame.end:
            raise InputError(
                f"the recording ends at {iso(self._frame.end)}", f"it cannot show {iso(until)}"
            )
        self.at = until

    def read(self) -> Readings:
        """The row that ends at `at`. Raises InputError where there is none."""
        row = self._frame.window(self.at - timedelta(seconds=self._frame.step_s), self.at)
        if len(row) != 1:
            raise InputError(
                f"no telemetry for {self.at.isoformat()}",
                f"the pack's series runs to {self._frame.end.isoformat()}",
            )
        values = {n: _reading(float(row.column(n)[0]), self.at) for n in row.names}
        points = {
            s.id: PointState(applied=values[s.id].value or 0.0, owner=Owner.LOCAL)
            for s in self._site.setpoints
        }
        return Readings(time=self.at, values=values, points=points)

    def image(self) -> Readings:
        """The same as `read`, by the name that stepped plants have."""
        return self.read()

    def history(self, signals: Sequence[str], since: datetime) -> dict[str, list[Reading]]:
        """Rows after `since` up to `at`, one reading a row."""
        rows = self._frame.window(since, self.at)
        return {
            s: [_reading(float(v), t) for t, v in zip(rows.times, rows.column(s), strict=True)]
            for s in signals
        }

    def close(self) -> None:
        """Nothing is held."""

    # --- the write side that is not there -------------------------------------------------------

    def claim(self, gate_id: str) -> int:
        """Refused: RefusedError("read_only")."""
        self._refuse(f"{gate_id or 'nobody'} cannot claim it")

    def write(self, epoch: int, seq: int, setpoints: Sequence[LeasedSetpoint]) -> NoReturn:
        """Refused: RefusedError("read_only")."""
        del epoch, seq
        self._refuse(f"{', '.join(s.point for s in setpoints) or 'nothing'} cannot be set")

    def release(self, epoch: int, seq: int, points: Sequence[str]) -> NoReturn:
        """Refused: RefusedError("read_only")."""
        del epoch, seq
        self._refuse(f"{', '.join(points) or 'nothing'} cannot be released")

    def heartbeat(self, epoch: int) -> None:
        """Refused: RefusedError("read_only")."""
        del epoch
        self._refuse("nobody commands it")

    def _refuse(self, what: str) -> NoReturn:
        raise RefusedError(
            READ_ONLY,
            f"site {self._site.id} is recorded telemetry: {what}",
            "run `pilothouse shadow`, which writes nothing",
        )


def _reading(value: float, time: datetime) -> Reading:
    if np.isnan(value):
        return Reading(value=None, time=time, quality=Quality.BAD)
    return Reading(value=value, time=time)
