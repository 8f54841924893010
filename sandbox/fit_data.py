"""Telemetry made ready for identification: small gaps bridged, large ones left out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.canonical import digest_bytes
from graph.errors import InputError
from graph.telemetry import Frame
from sandbox.hub_layout import HubLayout

Array = NDArray[np.float64]
BRIDGED_S = 7200.0  # a weather gap up to two hours is interpolated; longer ones are not guessed


@dataclass(frozen=True)
class FitData:
    """Columns (rows,) of a site's telemetry.

    `inputs`: every series that drives the model, bridged; NaN where a gap is too long.
    `measured`: states as measured, NaN where missing. `usable`: rows with all inputs.
    """

    layout: HubLayout
    step_s: int
    inputs: dict[str, Array]
    measured: dict[str, Array]
    usable: NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.usable)

    @property
    def step_h(self) -> float:
        """Step in hours."""
        return self.step_s / 3600.0

    def starts(self, first: int, last: int, length: int, stride: int) -> NDArray[np.int64]:
        """Rows r in [first, last - length] whose states are known and whose next rows are usable.

        A window from r has its initial state at the end of row r and covers rows r+1 .. r+length.
        """
        known = np.all([np.isfinite(v) for v in self.measured.values()], axis=0)
        bad = np.concatenate([[0], np.cumsum(~self.usable)])
        rows = np.arange(first, last - length, stride)
        clear = bad[rows + length + 1] == bad[rows + 1]
        return np.asarray(rows[known[rows] & clear], dtype=np.int64)


def prepare(layout: HubLayout, frame: Frame) -> FitData:
    """Take what the fit needs from `frame`. Raises InputError for missing or empty columns."""
    if frame.step_s != layout.site.step_s:
        raise InputError(
            f"the telemetry's step is {frame.step_s} s, the site's is {layout.site.step_s} s",
            "resample the telemetry to the site's step",
        )
    unit, battery = layout.heat_pump.id, layout.battery.id
    driven = (
        *layout.disturbance_signals, *layout.zone_points, f"{unit}.power_kw", f"{unit}.heat_kw",
        f"{battery}.power_kw",
    )  # fmt: skip
    states = (*layout.zone_signals, layout.tank_signal, layout.soc_signal)
    for name in (*driven, *states):
        if not np.isfinite(frame.column(name)).any():
            raise InputError(f"telemetry column {name} holds no value at all")
    limit = int(BRIDGED_S // frame.step_s)
    inputs = {n: bridge(frame.column(n), limit, hold=n in layout.zone_points) for n in driven}
    measured = {n: np.array(frame.column(n)) for n in states}
    usable = np.all([np.isfinite(v) for v in inputs.values()], axis=0)
    return FitData(layout, frame.step_s, inputs, measured, usable)


def bridge(values: Array, limit: int, hold: bool) -> Array:
    """Fill gaps of up to `limit` samples, by the last value (`hold`) or linearly."""
    filled = np.array(values)
    missing = np.isnan(filled)
    if not missing.any() or missing.all():
        return filled
    index = np.arange(len(filled))
    good = index[~missing]
    if hold:
        last = np.maximum.accumulate(np.where(missing, -1, index))
        candidate = np.where(last >= 0, filled[np.maximum(last, 0)], filled[good[0]])
    else:
        candidate = np.interp(index, good, filled[good])
    begin = 0
    for run in np.split(index[missing], np.flatnonzero(np.diff(index[missing]) > 1) + 1):
        begin = len(run)
        if begin <= limit:
            filled[run] = candidate[run]
    return filled


def frame_digest(frame: Frame) -> str:
    """sha256 over start, step and every column's bytes in the order of names."""
    head = f"{frame.start.isoformat()}|{frame.step_s}|".encode()
    parts = [
        n.encode() + b"=" + frame.column(n).astype("<f8").tobytes() for n in sorted(frame.names)
    ]
    return digest_bytes(head + b"|".join(parts))
