"""Keeps the history that decisions look back on: recorded frames plus what the plant says now."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.plant import PlantReader
from graph.resampling import binned, is_state, step_index
from graph.signals import Quality, Reading
from graph.site import Site
from graph.telemetry import Frame

# Six weeks: what forecasts and hindcasts look back on. Older rows are dropped from memory.
KEEP_S = 45 * 86_400


def resample(
    site: Site, raw: Mapping[str, Sequence[Reading]], start: datetime, step_s: int, rows: int
) -> Frame:
    """Readings onto `rows` steps after `start`: means of flows, last values of stocks.

    Bad readings count as missing; a step without any reading is NaN.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    for spec in site.signals:
        series = [
            r for r in raw.get(spec.id, ()) if r.value is not None and r.quality is not Quality.BAD
        ]
        columns[spec.id] = _bin(series, start, step_s, rows, last=is_state(site, spec.id))
    return Frame(start + timedelta(seconds=step_s), step_s, columns)


def _bin(
    series: Sequence[Reading], start: datetime, step_s: int, rows: int, *, last: bool
) -> NDArray[np.float64]:
    offsets = np.array([(r.time - start).total_seconds() for r in series], dtype=float)
    values = [r.value for r in series]
    return binned(step_index(offsets, 0.0, step_s), values, rows, last=last)


class TelemetryFeed:
    """The growing frame of one site. `update` pulls what the plant recorded since the last row."""

    def __init__(self, site: Site, recorded: Frame) -> None:
        self._site = site
        names = [s.id for s in site.signals if s.id in recorded.columns]
        self._frame = recorded.select(names)
        self._minutes: dict[str, list[Reading]] = {}

    @property
    def frame(self) -> Frame:
        """All rows up to the last complete step."""
        return self._frame

    def update(self, reader: PlantReader, now: datetime) -> None:
        """Append the complete steps up to `now`; steps nobody recorded become missing rows."""
        since = self._frame.end
        step = self._frame.step_s
        rows = int((now - since).total_seconds() // step)
        if rows <= 0:
            return
        raw = reader.history(list(self._frame.names), since)
        fresh = resample(self._site, raw, since, step, rows).select(self._frame.names)
        self._frame = self._frame.append(fresh).tail(KEEP_S // step)
        self._remember(raw, now)

    def minute_readings(self, signal: str) -> list[Reading]:
        """The finest readings of the last day that the plant gave for `signal`."""
        return self._minutes.get(signal, [])

    def _remember(self, raw: Mapping[str, list[Reading]], now: datetime) -> None:
        floor = now - timedelta(days=1, hours=2)
        for signal, readings in raw.items():
            known = self._minutes.setdefault(signal, [])
            newest = known[-1].time if known else None
            known += [r for r in readings if newest is None or r.time > newest]
            self._minutes[signal] = [r for r in known if r.time >= floor]
