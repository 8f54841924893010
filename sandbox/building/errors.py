"""What a building twin gets wrong hour by hour: heat that no model explains, power beyond it.

Zone heat is metered, so what a zone's balance lacks follows directly: the heat that, added to the
model from measured air and filtered hidden nodes, gives the air temperature that was measured. The
power error is metered power less what the model needs for the metered heat. Both are beyond what
recurs with the hour (`Structure.gains_kw`, `power_kw`). What both leave of a temperature half an
hour on, with the model's own thermostats (units that cycle, sensors), is an error of the
temperature itself. Hours after a setpoint was moved otherwise than by the law count as without one:
the error belongs to the move and would act at hours without any. See `sandbox.model_errors`.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.snapshot import History
from graph.telemetry import Frame
from sandbox.building.inputs import setpoints_in_force
from sandbox.building.predict import (
    input_table,
    predict,
    recurring_gain_rows,
    states_of,
    zone_values,
)
from sandbox.building.rows import Rows, prepare_rows
from sandbox.building.twin import BuildingTwin
from sandbox.building.zone_linear import ZoneLinear
from sandbox.model_errors import HEAT, POWER, TEMPERATURE, ModelErrors, by_day

Array = NDArray[np.float64]
RECENT_H = 30  # hours of errors that are told of the present: the last day and some
RECENT_WARM_UP_H = 12.0  # a history is short: its errors begin while hidden nodes still settle
LEAST_RECENT_H = 6
SETTLING_H = 2.0  # after a setpoint was moved
LEAST_MOVE_K = 0.05


def row_errors(twin: BuildingTwin, rows: Rows) -> dict[str, Array]:
    """Errors (R,) of every row by name; NaN where telemetry is missing."""
    found = {}
    gains = recurring_gain_rows(twin, rows)
    for zone in twin.structure.order:
        model = ZoneLinear(twin.structure, zone, rows)
        gain = gains[f"{zone}.gain_kw"]
        found[f"{zone}{HEAT}"] = model.unexplained(zone_values(twin, model.names), gain)
    for unit, power in modelled_power(twin, rows).items():
        found[f"{unit}{POWER}"] = np.where(rows.usable, rows.power[unit] - power, np.nan)
    return found


def modelled_power(twin: BuildingTwin, rows: Rows) -> dict[str, Array]:
    """Electric power (R,) by unit that the model needs for the metered heat; NaN in row 0."""
    table = input_table(twin, rows, given_heat=True)
    states = np.nan_to_num(states_of(twin, rows), nan=20.0)
    _, outputs = twin.run_table(states[:-1], table[1:, None, :])
    names = twin.model.output_names
    return {
        u.id: np.concatenate([[np.nan], outputs[:, 0, names.index(f"{u.id}.power_kw")]])
        for u in rows.layout.units
    }


def model_errors(twin: BuildingTwin, rows: Rows, first: int, last: int) -> ModelErrors:
    """Whole local days of hourly errors in rows [first, last)."""
    hourly = {}
    begin = rows.hours.begins[0]
    for name, values in row_errors(twin, rows).items():
        part = values.copy()
        part[:first], part[last:] = np.nan, np.nan
        hourly[name], begin = rows.hourly(part)
    hourly |= temperature_errors(twin, rows, hourly)
    return by_day(hourly, begin.astimezone(rows.layout.site.zone_info))


def temperature_errors(
    twin: BuildingTwin, rows: Rows, hourly: Mapping[str, Array]
) -> dict[str, Array]:
    """What each hour's unexplained heat leaves of the temperatures in its middle, (hours,)."""
    per_hour = rows.steps(1.0)
    count = len(next(iter(hourly.values())))
    _, begin = rows.hourly(np.zeros(len(rows)))
    skip = rows.hours.begins.index(begin)
    before = skip - 1 + per_hour * np.arange(count)
    extra = {}
    for zone in twin.structure.order:
        each = np.repeat(hourly[f"{zone}{HEAT}"], per_hour)
        extra[f"{zone}.gain_kw"] = np.zeros(len(rows))
        extra[f"{zone}.gain_kw"][skip : skip + len(each)] = np.nan_to_num(each)
    states = states_of(twin, rows)
    known = (before >= 0) & np.isfinite(states[before]).all(axis=1)
    table = input_table(twin, rows, extra=extra)
    found = predict(twin, rows, before[known], per_hour, states=states, table=table)
    middle = per_hour // 2
    errors = {}
    for zone in twin.structure.order:
        left = np.full(count, np.nan)
        actual = rows.temps[zone][before[known] + middle]
        left[known] = actual - found.temps[zone][:, middle - 1]
        moved = recently_moved(rows, zone)[np.clip(before + middle, 0, len(rows) - 1)]
        left = np.where(moved & np.isfinite(left), 0.0, left)
        # An hour whose heat is unknown has no error of its own either.
        errors[f"{zone}{TEMPERATURE}"] = np.where(
            np.isfinite(hourly[f"{zone}{HEAT}"]), left, np.nan
        )
    return errors


def recently_moved(rows: Rows, zone: str) -> NDArray[np.bool_]:
    """Rows (R,) up to `SETTLING_H` after a setpoint of the zone left or joined the law's."""
    law = setpoints_in_force(rows.layout, rows.hours, {}, 1)
    moved = np.zeros(len(rows), dtype=bool)
    for point, values in (("heating", rows.low[zone]), ("cooling", rows.high[zone])):
        offset = values - law[f"{zone}.{point}_setpoint_degc"]
        moved[1:] |= np.abs(np.diff(offset)) > LEAST_MOVE_K
    reach = rows.steps(SETTLING_H)
    total = np.concatenate([[0], np.cumsum(moved)])
    stop = np.arange(len(rows)) + 1
    return np.asarray(total[stop] > total[np.maximum(stop - reach, 0)])


def centred(errors: ModelErrors) -> ModelErrors:
    """The same days without their mean day: what recurs is in the twin already.

    Errors of refits have means of their own, which are the refits' and not the twin's.
    """
    paths = {n: v - errors.mean_day[n] for n, v in errors.paths.items()}
    return ModelErrors(errors.days, paths, errors.of_parameters)


def recent_errors(twin: BuildingTwin, history: History) -> dict[str, Array]:
    """Errors (hours,) of the whole hours up to the end of `history`, newest last; {} if unknown."""
    columns = {s: np.array(v, dtype=float) for s, v in history.signals.items()}
    frame = Frame(history.start, history.step_s, columns)
    try:
        rows = replace(prepare_rows(twin.layout, frame), warm_up_h=RECENT_WARM_UP_H)
    except InputError:
        return {}
    if rows.inferred or not twin.layout.heat_metered or not rows.stretches(0, len(rows)):
        return {}
    found = {}
    for name, values in row_errors(twin, rows).items():
        hourly, _ = rows.hourly(values)
        if np.isfinite(hourly).sum() >= LEAST_RECENT_H:
            found[name] = hourly[-RECENT_H:]
    return found
