"""The twin on recorded rows: windows in closed loop from states that only the past tells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.building.inputs import recurring
from sandbox.building.rows import Ints, Rows
from sandbox.building.twin import BuildingTwin
from sandbox.building.zone_linear import ZoneLinear

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """By zone and by unit, (W, length): air temperature at each END, mean heat, mean power."""

    temps: dict[str, Array]
    heat: dict[str, Array]
    power: dict[str, Array]


def zone_values(twin: BuildingTwin, names: tuple[str, ...]) -> Array:
    """The twin's values of some parameters."""
    return np.array([twin.parameters.value(n) for n in names])


def states_of(twin: BuildingTwin, rows: Rows) -> Array:
    """States (R, S) at each row's end: air as measured, the rest filtered from the past."""
    parts = []
    gains = recurring_gain_rows(twin, rows)
    for zone in twin.structure.order:
        model = ZoneLinear(twin.structure, zone, rows)
        matrices = model.matrices(zone_values(twin, model.names)[None])
        parts.append(model.hidden(matrices, model.driven(gains[f"{zone}.gain_kw"]))[0])
    return np.concatenate(parts, axis=1)


def recurring_gain_rows(twin: BuildingTwin, rows: Rows) -> dict[str, Array]:
    """What recurs with the hour, by input name, (R,)."""
    return recurring(rows.layout, twin.structure, rows.hours, {})


def input_table(
    twin: BuildingTwin, rows: Rows, given_heat: bool = False,
    extra: dict[str, Array] | None = None,
) -> Array:  # fmt: skip
    """Inputs (R, U) of the twin's model on every row, with the setpoints that were in force.

    given_heat: metered heat instead of the thermostats. extra: added to inputs by name.
    """
    columns = {**rows.shared, **recurring_gain_rows(twin, rows)}
    ones, zeros = np.ones(len(rows)), np.zeros(len(rows))
    for zone in twin.structure.order:
        columns[f"{zone}.heating_setpoint_degc"] = rows.low[zone]
        columns[f"{zone}.cooling_setpoint_degc"] = rows.high[zone]
        columns |= {f"{zone}.{k}": zeros for k in ("bias_k", "stuck", "shown_degc")}
        known = np.isfinite(rows.heat[zone]) & given_heat
        columns[f"{zone}.given"] = known.astype(float)
        columns[f"{zone}.heat_kw"] = rows.heat[zone]
    for unit in rows.layout.units:
        columns |= {f"{unit.id}.capacity": ones, f"{unit.id}.efficiency": ones}
    for name, values in (extra or {}).items():
        columns[name] = columns[name] + values
    return np.nan_to_num(np.stack([columns[n] for n in twin.model.input_names], axis=1))


def window_rows(starts: Ints, length: int) -> Ints:
    """Indices (W, length) of the rows that windows from `starts` cover."""
    return np.asarray(starts[:, None] + 1 + np.arange(length)[None])


def predict(
    twin: BuildingTwin, rows: Rows, starts: Ints, length: int, *, states: Array | None = None,
    table: Array | None = None, parameters: Array | None = None,
) -> Predicted:  # fmt: skip
    """Closed-loop predictions of windows; `states` and `table` as made by the functions above.

    parameters: one draw (P,) for all windows; None is the point estimate.
    """
    x = (states_of(twin, rows) if states is None else states)[starts]
    inputs = (input_table(twin, rows) if table is None else table)[window_rows(starts, length)]
    found, outputs = twin.run_table(x, inputs, parameters)
    at = {n: i for i, n in enumerate(twin.model.output_names)}
    names = twin.state_names
    return Predicted(
        temps={z: found[:, :, names.index(f"{z}.air")] for z in twin.structure.order},
        heat={z: outputs[:, :, at[f"{z}.heat_kw"]] for z in twin.structure.order},
        power={u.id: outputs[:, :, at[f"{u.id}.power_kw"]] for u in rows.layout.units},
    )
