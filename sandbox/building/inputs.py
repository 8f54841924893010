"""What acts on a simulated building: checked, shaped, with local law and recurring heat filled in.

Everything becomes one table in the order of the symbolic model's inputs: (N, U) where all futures
share it, (F, N, U) where they differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.schedules import covered, scheduled
from sandbox.building.calendar import hour_kinds, profile_values
from sandbox.building.layout import BuildingLayout
from sandbox.building.structure import FACADES, Structure
from sandbox.building.sun import facade_irradiance
from sandbox.faults import Fault, fault_signals

Array = NDArray[np.float64]
Series = Mapping[str, Array]
SENSOR_FAULTS = ("sensor_bias", "sensor_stuck")


@dataclass(frozen=True)
class Hours:
    """Steps of length `step_s` s: their begins and the middles in POSIX seconds, (N,)."""

    begins: tuple[datetime, ...]
    step_s: float

    @property
    def middles(self) -> Array:
        """POSIX seconds of each step's middle."""
        begins = np.array([t.timestamp() for t in self.begins])
        return np.asarray(begins + self.step_s / 2.0)


def hours_from(start: datetime, steps: int, step_s: float) -> Hours:
    """Consecutive steps from `start`."""
    first = start.astimezone(UTC)
    return Hours(tuple(first + timedelta(seconds=step_s * k) for k in range(steps)), step_s)


def weather_columns(layout: BuildingLayout, hours: Hours, w: Series) -> dict[str, Array]:
    """The shared inputs of the model by name, each (N,) or (F, N)."""
    place = layout.weather
    assert place.latitude_deg is not None
    assert place.longitude_deg is not None
    sun = facade_irradiance(
        w[layout.ghi_signal], hours.middles, place.latitude_deg, place.longitude_deg
    )
    load: Array = np.zeros(len(hours.begins))
    for asset in layout.loads:
        load = load + w[f"{asset}.power_kw"]
    found = {"outdoor_degc": np.asarray(w[layout.outdoor_signal]), "load_kw": load}
    found |= {f"sun.{f}_kw_m2": sun[f] / 1000.0 for f in FACADES}
    found["ventilating"] = ventilation(layout, hours)
    return found


def ventilation(layout: BuildingLayout, hours: Hours) -> Array:
    """1 in steps in which units ventilate by the local law, else 0; (N,)."""
    site = layout.site
    return covered(site.baseline.ventilation, hours.begins, site.zone_info).astype(float)


def recurring(
    layout: BuildingLayout, structure: Structure, hours: Hours, w: Series
) -> dict[str, Array]:
    """Gains and errors by input name: what recurs with the hour plus what `w` names."""
    kinds = hour_kinds(hours.begins, layout.site.zone_info)
    found = {}
    for zone in structure.order:
        own = profile_values(structure.gains_kw.get(zone), kinds)
        found[f"{zone}.gain_kw"] = own + w.get(f"{zone}.unexplained_kw", 0.0)
    for unit in layout.units:
        own = profile_values(structure.power_kw.get(unit.id), kinds)
        extra = w.get(f"{unit.id}.power_error_kw", 0.0)
        found[f"{unit.id}.power_error_kw"] = own + extra
    return found


def simulation_columns(
    layout: BuildingLayout, structure: Structure, futures: int, hours: Hours, w: Series,
    schedules: Mapping[str, Array | Sequence[float]], faults: Sequence[Fault], imposed: Series,
) -> dict[str, Array]:  # fmt: skip
    """Every input of the model by name, each (N,) or (F, N).

    Raises:
        InputError: a disturbance is missing, a point unknown, or a series has the wrong shape.
    """
    steps = len(hours.begins)
    check_names(layout, w, schedules)
    optional = [f"{z.id}.unexplained_kw" for z in layout.zones]
    optional += [f"{m.id}.power_error_kw" for m in layout.units]
    wanted = [*layout.disturbance_signals, *(s for s in optional if s in w)]
    series = {s: _series(s, w[s], steps, futures) for s in wanted}
    columns = weather_columns(layout, hours, series)
    columns |= recurring(layout, structure, hours, series)
    columns |= setpoints_in_force(layout, hours, schedules, futures)
    zeros, ones = np.zeros(steps), np.ones(steps)
    for zone in layout.zones:
        columns |= {f"{zone.id}.{k}": zeros for k in ("bias_k", "stuck", "shown_degc", "given",
                                                      "heat_kw")}  # fmt: skip
        given = imposed.get(f"{zone.id}.heat_kw")
        if given is not None:
            heat = _loose(given, steps, futures)
            known = np.isfinite(heat)
            columns[f"{zone.id}.given"] = known.astype(float)
            columns[f"{zone.id}.heat_kw"] = np.where(known, heat, 0.0)
    for unit in layout.units:
        columns |= {f"{unit.id}.capacity": ones, f"{unit.id}.efficiency": ones}
    return columns | _faulty(layout, faults, steps) if faults else columns


def _faulty(layout: BuildingLayout, faults: Sequence[Fault], steps: int) -> dict[str, Array]:
    """The columns that faults of sensors and units change."""
    acting = fault_signals(layout.sensors, _of_sensors(layout, faults), steps)
    found = {}
    for zone in layout.zones:
        signal = f"{zone.id}.temp_degc"
        found[f"{zone.id}.bias_k"] = _by_future(acting.bias.get(signal), steps)
        found[f"{zone.id}.stuck"] = _by_future(acting.stuck.get(signal), steps)
    for unit in layout.units:
        capacity, efficiency = _unit_health(unit.id, faults, steps)
        found |= {f"{unit.id}.capacity": capacity, f"{unit.id}.efficiency": efficiency}
    return found


def setpoints_in_force(
    layout: BuildingLayout, hours: Hours, schedules: Mapping[str, Array | Sequence[float]],
    futures: int,
) -> dict[str, Array]:  # fmt: skip
    """Setpoint of each point during each step: the command, else the local law's; (N,), (F, N)."""
    site, steps = layout.site, len(hours.begins)
    law = site.baseline
    found = {}
    for points, rules in ((layout.heating_points, law.zone_heating_degc),
                          (layout.cooling_points, law.zone_cooling_degc)):  # fmt: skip
        local: Array | None = None
        for point in points:
            command = _command(point, schedules.get(point), steps, futures)
            if command is not None and not np.isnan(command).any():
                found[point] = command
                continue
            if local is None:
                local = scheduled(rules, hours.begins, site.zone_info)
            own: Array = local
            found[point] = own if command is None else np.where(np.isnan(command), own, command)
    return found


def stack(names: Sequence[str], columns: Series, futures: int) -> Array:
    """The table of inputs: (N, U) where no column differs between futures, else (F, N, U)."""
    parts = [np.asarray(columns[n], dtype=float) for n in names]
    if all(p.ndim == 1 or p.shape[0] == 1 for p in parts):
        return np.stack([p.reshape(-1) for p in parts], axis=-1)
    steps = parts[0].shape[-1]
    table = np.empty((futures, steps, len(parts)))
    for i, part in enumerate(parts):
        table[:, :, i] = part
    return table


def check_names(
    layout: BuildingLayout, w: Mapping[str, Array], schedules: Mapping[str, object]
) -> None:
    """Raises InputError for a missing disturbance or an unknown point."""
    missing = [s for s in layout.disturbance_signals if s not in w]
    if missing:
        raise InputError(f"no disturbance for {', '.join(missing)}", "give (N,) or (F, N)")
    unknown = sorted(set(schedules) - set(layout.points))
    if unknown:
        raise InputError(
            f"schedule for unknown point {', '.join(unknown)}",
            f"the twin commands {', '.join(layout.points)}",
        )


def _series(name: str, values: Array, steps: int, futures: int) -> Array:
    array = np.asarray(values, dtype=float)
    if array.shape not in ((steps,), (futures, steps)) or not np.all(np.isfinite(array)):
        raise InputError(
            f"{name} has shape {array.shape} or holds NaN",
            f"expected ({steps},) or ({futures}, {steps}), finite",
        )
    return array


def _loose(values: Array, steps: int, futures: int) -> Array:
    """A measured flow: NaN leaves the step to the model."""
    array = np.asarray(values, dtype=float)
    if array.shape not in ((steps,), (futures, steps)):
        raise InputError(
            f"an imposed flow has shape {array.shape}",
            f"expected ({steps},) or ({futures}, {steps})",
        )
    return array


def _command(
    point: str, values: Array | Sequence[float] | None, steps: int, futures: int
) -> Array | None:
    """(n,) or (F, n), n <= N, as (N,) or (F, N); NaN where the local law acts."""
    if values is None:
        return None
    array = np.asarray(values, dtype=float)
    rows = 1 if array.ndim == 1 else array.shape[0]
    if array.ndim not in (1, 2) or rows not in (1, futures) or np.isinf(array).any():
        raise InputError(
            f"schedule {point} has shape {array.shape} or holds infinities",
            f"expected (n,) or ({futures}, n); NaN hands the step to the local law",
        )
    array = array[..., :steps]
    if array.shape[-1] == steps:
        return array
    rest = [(0, 0)] * (array.ndim - 1) + [(0, steps - array.shape[-1])]
    return np.asarray(np.pad(array, rest, constant_values=np.nan))


def _by_future(values: NDArray[np.float64] | NDArray[np.bool_] | None, steps: int) -> Array:
    """A sensor's fault, (N, 1) or (N, F), as (N,) or (F, N); zeros without one."""
    if values is None:
        return np.zeros(steps)
    table = np.asarray(values, dtype=float)
    return np.ascontiguousarray(table.T) if table.shape[1] > 1 else table[:, 0]


def _of_sensors(layout: BuildingLayout, faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """Faults of sensors; Raises InputError for one that a building cannot have."""
    kinds = ("unit_dead", "unit_weak")
    for fault in faults:
        if fault.kind not in (*kinds, *SENSOR_FAULTS):
            raise InputError(
                f"a building has no fault {fault.kind}",
                f"known: {', '.join((*SENSOR_FAULTS, *kinds))}",
            )
        if fault.kind in kinds and fault.signal not in layout.zones_of:
            raise InputError(
                f"{fault.kind} names {fault.signal!r}", f"one of {', '.join(layout.zones_of)}"
            )
    return tuple(f for f in faults if f.kind in SENSOR_FAULTS)


def _unit_health(unit: str, faults: Sequence[Fault], steps: int) -> tuple[Array, Array]:
    """Factors on a unit's capacity and COP, (N,) each."""
    capacity, efficiency = np.ones(steps), np.ones(steps)
    for fault in faults:
        if fault.signal != unit:
            continue
        when = slice(max(0, int(np.max(fault.start_step))), None)
        if fault.kind == "unit_dead":
            capacity[when] = 0.0
        elif fault.kind == "unit_weak":
            capacity[when] *= fault.size
            efficiency[when] *= fault.size
    return capacity, efficiency
