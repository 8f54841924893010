"""A building's telemetry made ready for identification: complete rows, inputs of the model.

Gaps of up to two hours are bridged; longer ones end the stretches on which windows lie.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.telemetry import Frame
from sandbox.building.calendar import hour_kinds
from sandbox.building.inputs import Hours, hours_from, weather_columns
from sandbox.building.layout import BuildingLayout
from sandbox.fit_data import BRIDGED_S, bridge

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
HOUR_S = 3600.0
DAY_H = 24


@dataclass(frozen=True)
class Rows:
    """Telemetry of consecutive steps, all (R,); values at a step's END are states.

    `shared`: the model's weather inputs by name. `heat`: net heat into each zone; `inferred` says
    that it was computed from power. `power` by unit, `low` and `high` the setpoints by zone,
    `kinds` the hour of each step in 48 (working days, weekends), `usable` rows with every input.
    """

    layout: BuildingLayout
    hours: Hours
    shared: dict[str, Array]
    temps: dict[str, Array]
    heat: dict[str, Array]
    power: dict[str, Array]
    low: dict[str, Array]
    high: dict[str, Array]
    raw: dict[str, Array]
    kinds: Ints
    usable: NDArray[np.bool_]
    warm_up_h: float = 48.0
    inferred: bool = False

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.usable)

    @property
    def step_s(self) -> float:
        """Step in seconds."""
        return self.hours.step_s

    @property
    def step_h(self) -> float:
        """Step in hours."""
        return self.hours.step_s / HOUR_S

    def steps(self, hours: float) -> int:
        """How many steps `hours` are."""
        return round(hours / self.step_h)

    def with_heat(self, heat: dict[str, Array]) -> "Rows":
        """The same rows with heat that was inferred."""
        return replace(self, heat=heat, inferred=True)

    def starts(self, first: int, last: int, length: int, stride: int) -> Ints:
        """Rows r in [first, last - length) after which `length` usable rows follow, all < last.

        A window from r has its initial state at the end of row r and covers rows r+1 .. r+length.
        """
        rows = np.arange(first, last - length, max(1, stride))
        bad = np.concatenate([[0], np.cumsum(~self.usable)])
        clear = (bad[rows + length + 1] == bad[rows]) & self.settled[rows]
        return np.asarray(rows[clear], dtype=np.int64)

    @cached_property
    def settled(self) -> NDArray[np.bool_]:
        """Rows so long after a gap that hidden nodes have forgotten where they were begun."""
        found = np.zeros(len(self), dtype=bool)
        for part in self.stretches(0, len(self)):
            found[part.start + self.steps(self.warm_up_h) : part.stop] = True
        return found

    def stretches(self, first: int, last: int) -> list[slice]:
        """Maximal runs of usable rows in [first, last), each at least a day long."""
        good = np.concatenate([[False], self.usable[first:last], [False]])
        edges = np.flatnonzero(np.diff(good.astype(int))) + first
        least = self.steps(DAY_H)
        runs = zip(edges[::2], edges[1::2], strict=True)
        return [slice(int(a), int(b)) for a, b in runs if b - a >= least]

    def hourly(self, values: Array) -> tuple[Array, datetime]:
        """Hourly means from the first full hour on, NaN where a row is missing, and its begin."""
        per_hour = self.steps(1.0)
        begins = self.hours.begins
        skip = next((k for k, t in enumerate(begins[: per_hour + 1]) if t.minute == 0), 0)
        count = (len(values) - skip) // per_hour
        table = np.asarray(values[skip : skip + count * per_hour]).reshape(count, per_hour)
        return table.mean(axis=1), begins[skip]


def needed_columns(layout: BuildingLayout) -> tuple[str, ...]:
    """Signals that a fit reads."""
    heat = layout.heat_signals if layout.heat_metered else ()
    return (*layout.disturbance_signals, *layout.points, *layout.zone_signals, *heat,
            *layout.power_signals)  # fmt: skip


def prepare_rows(layout: BuildingLayout, frame: Frame) -> Rows:
    """Take what the fit needs from `frame`.

    Raises:
        InputError: another step than the site's, or a column is missing or empty.
    """
    if frame.step_s != layout.site.step_s:
        raise InputError(
            f"the telemetry's step is {frame.step_s} s, the site's is {layout.site.step_s} s",
            "resample the telemetry to the site's step",
        )
    names = needed_columns(layout)
    for name in names:
        if not np.isfinite(frame.column(name)).any():
            raise InputError(f"telemetry column {name} holds no value at all")
    limit = int(BRIDGED_S // frame.step_s)
    filled = {n: bridge(frame.column(n), limit, hold=n in layout.points) for n in names}
    usable = np.all([np.isfinite(v) for v in filled.values()], axis=0)
    hours = hours_from(frame.start - timedelta(seconds=frame.step_s), len(frame), frame.step_s)
    present = {n: np.nan_to_num(v) for n, v in filled.items()}

    def by_zone(quantity: str) -> dict[str, Array]:
        return {z.id: filled[f"{z.id}.{quantity}"] for z in layout.zones}

    zones = tuple(z.id for z in layout.zones)
    empty = {z: np.full(len(frame), np.nan) for z in zones}
    return Rows(
        layout=layout,
        hours=hours,
        shared=weather_columns(layout, hours, present),
        temps=by_zone("temp_degc"),
        heat=by_zone("heat_kw") if layout.heat_metered else empty,
        power={u.id: filled[f"{u.id}.power_kw"] for u in layout.units},
        low=by_zone("heating_setpoint_degc"),
        high=by_zone("cooling_setpoint_degc"),
        raw={n: np.asarray(frame.column(n)) for n in names},
        kinds=hour_kinds(hours.begins, layout.site.zone_info),
        usable=usable,
    )


def last_weeks(layout: BuildingLayout, frame: Frame, weeks: float) -> Frame:
    """The frame's last rows that hold `weeks` of complete telemetry, gaps not counted.

    Ends with the last complete row; a record that holds less is taken as a whole.
    """
    names = [n for n in needed_columns(layout) if n in frame.columns]
    complete = np.all([np.isfinite(frame.column(n)) for n in names], axis=0)
    index = np.flatnonzero(complete)
    if not len(index):
        return frame
    wanted = round(weeks * 7 * 86_400 / frame.step_s)
    first = int(index[-wanted]) if len(index) >= wanted else int(index[0])
    return frame.rows(first, int(index[-1]) + 1)


def begin_of(values: Array) -> Array:
    """The value at the begin of each row: the one before's END, (R,); the first repeats."""
    return np.concatenate([values[:1], values[:-1]])


def mean_over(values: Array) -> Array:
    """Mean of a state over each row, by its two ends."""
    return np.asarray((values + begin_of(values)) / 2.0)
