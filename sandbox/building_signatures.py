"""How each cause would show in a building's heat balances and powers.

Channels, hourly means, kW: by zone the heat that no model explains, by unit the electric power
beyond the model's, and the balance of the meters at the grid connection. The model is linear in
what sensors tell it, so a sensor's sign is what the residuals would change by if it read one more:

- a room sensor that reads 1 K too high from some hour on: a jump of apparent heat (the air seems to
  have warmed without any), then what walls would lose at 1 K more, and the reverse in neighbours;
- the outdoor sensor: every room's losses at once;
- a zone's heat meter: apparent heat against metered heat, and power against power;
- more outdoor air in a zone (a window, a leak): heat along with outdoor less room temperature;
- new heat in a zone, alone or together with a share of the metered load;
- a unit that needs more power for the same heat;
- a model that is off: in every zone a level, a course of the day, the sun and the weather, and in
  every unit its power for the heat.
"""

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graph.telemetry import Frame
from sandbox.building.equations import COOLING_RATED_DEGC, HEATING_RATED_DEGC
from sandbox.building.errors import row_errors
from sandbox.building.predict import input_table, states_of, zone_values
from sandbox.building.rows import mean_over, prepare_rows
from sandbox.building.twin import BuildingTwin
from sandbox.building.zone_linear import ZoneLinear
from sandbox.model_errors import HEAT, POWER
from sandbox.residual_causes import Cause

Array = NDArray[np.float64]
# How large an effect usually is when it is there, and from where on it matters.
SENSOR_K, LEAST_SENSOR_K = 1.5, 0.4
OUTDOOR_K, LEAST_OUTDOOR_K = 3.0, 1.5
METER, LEAST_METER = 0.3, 0.1
AIR_KW_K_M2, LEAST_AIR_KW_K_M2 = 1e-3, 2e-4
GAIN_KW_M2, LEAST_GAIN_KW_M2 = 8e-3, 2e-3
POWER_SHARE, LEAST_POWER_SHARE = 0.3, 0.1
BALANCE_KW, LEAST_BALANCE_KW = 1.0, 0.3
BALANCE_STD_KW = 0.1
MODEL_KW_M2 = 2e-3  # each term of a model that is off
HEAT_ACCURACY, POWER_ACCURACY = 0.03, 0.05  # what a lumped model is good for
HIDDEN_START_K = 0.5  # masses whose temperature nobody saw when the record began
MOST_KEPT = 256  # shapes; a telemetry of weeks has thousands
DAY_TERMS = 2  # harmonics of a course over the day
USUAL_SUN_KW_M2, USUAL_APART_K = 0.3, 10.0


class BuildingSigns:
    """`sandbox.residual_monitor.Signs` of a building twin over a stretch of telemetry."""

    def __init__(self, twin: BuildingTwin, frame: Frame) -> None:
        """Raises InputError for telemetry that lacks a column."""
        self.twin = twin
        self.rows = prepare_rows(twin.layout, frame)
        self.grid = twin.layout.grid_signal
        hourly = {n: self._hourly(v) for n, v in row_errors(twin, self.rows).items()}
        columns = {n: np.asarray(frame.column(n)) for n in frame.names}
        hourly[self.grid] = self._hourly(twin.direct_residuals(columns)[self.grid])
        self._names = (*sorted(n for n in hourly if n != self.grid), self.grid)
        self._values = np.stack([hourly[n] for n in self._names], axis=1)
        self._zones = {z: ZoneLinear(twin.structure, z, self.rows) for z in twin.structure.order}
        self._made: dict[tuple[str, int | None], Array] = {}

    # What the monitor asks for ----------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Channels: units' power errors and zones' unexplained heat by name, then the grid."""
        return self._names

    @property
    def values(self) -> Array:
        """Hourly residuals (H, C) in kW."""
        return self._values

    @cached_property
    def begins(self) -> tuple[datetime, ...]:
        """Begin of each hour in the site's zone."""
        first = self.rows.hours.begins[self._skip].astimezone(self.twin.site.zone_info)
        utc = [first.timestamp() + 3600.0 * k for k in range(len(self._values))]
        return tuple(datetime.fromtimestamp(t, first.tzinfo) for t in utc)

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """Every cause of the module's text for every zone and unit."""
        found = []
        for zone in self.twin.layout.zones:
            found += _zone_causes(zone.id, zone.label or zone.id, zone.floor_area_m2)
        for unit in self.twin.layout.units:
            found.append(_unit_cause(unit.id, unit.label or unit.id))
        weather, site = self.twin.layout.outdoor_signal, self.twin.site.id
        found.append(Cause(
            f"sensor:{weather}", "sensor_fault", "sensor", weather.split(".", 1)[0],
            f"the sensor {weather} is off", (OUTDOOR_K,), "K", LEAST_OUTDOOR_K,
        ))  # fmt: skip
        found.append(Cause(
            "grid.balance", "sensor_fault", "sensor", self.grid.split(".", 1)[0],
            "the grid meter is off, or something draws power that nobody meters",
            (BALANCE_KW,), "kW", LEAST_BALANCE_KW,
        ))  # fmt: skip
        areas = [z.floor_area_m2 for z in self.twin.layout.zones]
        terms = [MODEL_KW_M2 * a for a in areas for _ in range(2 * DAY_TERMS + 3)]
        found.append(Cause(
            "model", "model_error", "model", f"twin of {site}",
            "the twin is off everywhere: its errors follow the hour, the sun and the weather",
            (*terms, *(POWER_SHARE for _ in self.twin.layout.units)), "kW", always=True,
        ))  # fmt: skip
        return tuple(found)

    def direction(self, cause: str, onset: int | None) -> Array:
        """See `Signs.direction`."""
        kind, _, signal = cause.partition(":")
        subject = signal.split(".", 1)[0]
        moved = kind == "sensor" and subject in self._zones
        key = (cause, onset if moved else None)
        if key not in self._made:
            if len(self._made) >= MOST_KEPT:
                del self._made[next(iter(self._made))]
            made = self._room_sensor(subject, onset) if moved else self._steady(kind, subject)
            self._made[key] = np.nan_to_num(made)
        found = self._made[key]
        if onset is not None and not moved:
            found = found.copy()
            found[:onset] = 0.0
        return found

    def usual(self) -> tuple[Array, tuple[float, ...]]:
        """The hidden masses' unknown start, which fades."""
        return self._starts, (HIDDEN_START_K,) * self._starts.shape[2]

    @cached_property
    def spread(self) -> Array:
        """A share of the heat and power of the hour, more where the fit was unsure of a COP."""
        found = np.zeros_like(self._values)
        for zone in self._zones:
            heat = np.abs(self._hourly(self.rows.heat[zone]))
            found[:, self._at(zone + HEAT)] = HEAT_ACCURACY * np.nan_to_num(heat)
        for unit, served in self.twin.layout.zones_of.items():
            known = POWER_ACCURACY * self._works(served, unit)
            doubt = self._works(served, unit, self._cop_doubt(unit))
            hourly = self._hourly(np.hypot(known, doubt))
            found[:, self._at(unit + POWER)] = np.nan_to_num(hourly)
        return found

    def _cop_doubt(self, unit: str) -> tuple[Array, Array]:
        """Relative standard deviations (R,) of heating and cooling COP after the fit."""
        p, outdoor = self.twin.parameters, self.rows.shared["outdoor_degc"]
        variance = np.diag(np.asarray(p.covariance))
        found = []
        for mode, rated, cop in zip(
            ("heating", "cooling"), (HEATING_RATED_DEGC, COOLING_RATED_DEGC),
            self.twin.unit_cop(unit, outdoor), strict=True,
        ):  # fmt: skip
            level = (
                variance[p.names.index(f"{unit}.cop_{mode}")] * p.value(f"{unit}.cop_{mode}") ** 2
            )
            slope = variance[p.names.index(f"{unit}.cop_{mode}_per_k")] * (outdoor - rated) ** 2
            found.append(np.sqrt(level + slope) / cop)
        return np.asarray(found[0]), np.asarray(found[1])

    @cached_property
    def _starts(self) -> Array:
        parts = [self._hidden_start(z) for z in self._zones]
        return np.nan_to_num(np.concatenate(parts, axis=2))

    # Signatures -------------------------------------------------------------------------------

    def _steady(self, kind: str, subject: str) -> Array:
        """A cause that has been there all the time."""
        made = {
            "air": self._air, "gain": self._gain, "load": self._load, "meter": self._meter,
            "power": self._power,
        }  # fmt: skip
        if kind in made:
            return made[kind](subject)
        if kind == "sensor":
            return self._outdoor_sensor()
        if kind == "grid.balance":
            return self._single(self.grid, np.ones(len(self._values)))
        return self._model_off()

    def _air(self, zone: str) -> Array:
        return self._single(zone + HEAT, self._apart(zone))

    def _gain(self, zone: str) -> Array:
        return self._single(zone + HEAT, np.ones(len(self._values)))

    def _load(self, zone: str) -> Array:
        """The load's meter shows it too, and the model gives every zone its share of that."""
        found = self._gain(zone)
        for other in self._zones:
            share = self.twin.parameters.value(f"{other}.gain_per_load")
            found[:, self._at(other + HEAT), 0] -= share
        return found

    def _meter(self, zone: str) -> Array:
        unit = next(z.source for z in self.twin.layout.zones if z.id == zone)
        found = self._single(zone + HEAT, -self._hourly(self.rows.heat[zone]))
        found[:, self._at(unit + POWER), 0] = -self._hourly(self._works([zone], unit))
        return found

    def _power(self, unit: str) -> Array:
        served = self.twin.layout.zones_of[unit]
        return self._single(unit + POWER, self._hourly(self._works(served, unit)))

    def _room_sensor(self, zone: str, onset: int | None) -> Array:
        """1 K too much from the hour `onset` on."""
        shift = np.ones(len(self.rows))
        if onset is not None:
            shift[: self._skip + onset * self.rows.steps(1.0)] = 0.0
        model = self._zones[zone]
        moved = copy.copy(model)
        moved.measured = model.measured + shift
        moved.middle = model.middle + mean_over(shift)
        found = self._single(zone + HEAT, self._hourly(self._change(model, moved)))
        for other, name in self.twin.structure.neighbours(zone):
            across = -self.twin.parameters.value(name) * mean_over(shift)
            found[:, self._at(other + HEAT), 0] = self._hourly(across)
        return found

    def _outdoor_sensor(self) -> Array:
        found = self._blank(1)
        for zone, model in self._zones.items():
            moved = copy.copy(model)
            table = model.table.copy()
            table[:, model.inputs.index("outdoor_degc")] += 1.0
            moved.__dict__["table"] = table
            found[:, self._at(zone + HEAT), 0] = self._hourly(self._change(model, moved))
        return found

    def _model_off(self) -> Array:
        hour = np.array([t.hour for t in self.begins]) / 24.0 * 2.0 * np.pi
        ghi = self._hourly(np.nan_to_num(self.rows.raw[self.twin.layout.ghi_signal])) / 1000.0
        shared = [np.ones(len(hour)), ghi / USUAL_SUN_KW_M2]
        for k in range(1, DAY_TERMS + 1):
            shared += [np.cos(k * hour), np.sin(k * hour)]
        size, units = len(shared) + 1, self.twin.layout.units
        found = self._blank(size * len(self._zones) + len(units))
        for i, unit in enumerate(units, size * len(self._zones)):
            found[:, :, i] = self.direction(f"power:{unit.id}", None)[:, :, 0]
        for i, zone in enumerate(self._zones):
            terms = [*shared, self._apart(zone) / USUAL_APART_K]
            found[:, self._at(zone + HEAT), i * size : (i + 1) * size] = np.stack(terms, axis=1)
        return found

    def _hidden_start(self, zone: str) -> Array:
        """1 K more in each hidden mass where each stretch begins."""
        model = self._zones[zone]
        m = model.matrices(zone_values(self.twin, model.names)[None])
        size = model.order - 1
        found = self._blank(size)
        rows = np.zeros((len(self.rows), size))
        for part in model.stretches:
            state = np.eye(size)
            for k in range(part.start + 1, part.stop):
                on = model.ventilating[k]
                gain = m.B[on, 0, 0, model.gain_column]
                rows[k] = -(m.A[on, 0, 0, 1:] @ state) / gain
                state = m.inner[0] @ state
        for i in range(size):
            found[:, self._at(zone + HEAT), i] = self._hourly(rows[:, i])
        return found

    # Parts ------------------------------------------------------------------------------------

    def _change(self, model: ZoneLinear, moved: ZoneLinear) -> Array:
        """Unexplained heat (R,) of `moved` less that of `model`; both are linear, gains cancel."""
        values, zero = zone_values(self.twin, model.names), np.zeros(len(self.rows))
        return np.asarray(moved.unexplained(values, zero) - model.unexplained(values, zero))

    def _works(
        self, zones: Sequence[str], unit: str, share: tuple[Array, Array] | None = None
    ) -> Array:
        """Electric power (R,) that the model's coils of some zones need for the metered heat.

        share: what part of it counts while heating and while cooling.
        """
        outdoor = self.rows.shared["outdoor_degc"]
        heating, cooling = self.twin.unit_cop(unit, outdoor)
        warm, cold = share or (np.ones(1), np.ones(1))
        total = np.zeros(len(self.rows))
        for zone in zones:
            coil = self._coils[zone]
            total = total + warm * np.maximum(coil, 0.0) / heating
            total = total + cold * np.maximum(-coil, 0.0) / cooling
        return total

    @cached_property
    def _coils(self) -> Mapping[str, Array]:
        """Coil heat (R,) by zone as the model has it for the metered heat."""
        table = input_table(self.twin, self.rows, given_heat=True)
        states = np.nan_to_num(states_of(self.twin, self.rows), nan=20.0)
        _, outputs = self.twin.run_table(states[:-1], table[1:, None, :])
        names = self.twin.model.output_names
        return {
            z: np.concatenate([[0.0], outputs[:, 0, names.index(f"{z}.coil_kw")]])
            for z in self._zones
        }

    def _apart(self, zone: str) -> Array:
        """Outdoor less room temperature, hourly."""
        return self._hourly(self.rows.shared["outdoor_degc"] - mean_over(self.rows.temps[zone]))

    @cached_property
    def _skip(self) -> int:
        """The row that begins the first full hour."""
        begin = self.rows.hourly(np.zeros(len(self.rows)))[1]
        step = timedelta(seconds=self.rows.step_s)
        return round((begin - self.rows.hours.begins[0]) / step)

    def _hourly(self, values: Array) -> Array:
        return self.rows.hourly(values)[0]

    def _at(self, name: str) -> int:
        return self._names.index(name)

    def _blank(self, size: int) -> Array:
        return np.zeros((len(self._values), len(self._names), size))

    def _single(self, name: str, values: Array) -> Array:
        found = self._blank(1)
        found[:, self._at(name), 0] = values
        return found


def _zone_causes(zone: str, label: str, area: float) -> list[Cause]:
    return [
        Cause(f"sensor:{zone}.temp_degc", "sensor_fault", "sensor", zone,
              f"the sensor {zone}.temp_degc is off", (SENSOR_K,), "K", LEAST_SENSOR_K),
        Cause(f"meter:{zone}.heat_kw", "sensor_fault", "sensor", zone,
              f"the meter {zone}.heat_kw shows another share of the heat than before", (METER,),
              "1", LEAST_METER),
        Cause(f"air:{zone}", "process_fault", "plant", zone,
              f"{label}: heat lost to the outdoors as never before, by a window, a door, a damper",
              (AIR_KW_K_M2 * area,), "kW/K", LEAST_AIR_KW_K_M2 * area, one_sided=True),
        Cause(f"gain:{zone}", "process_fault", "plant", zone,
              f"{label}: more or less heat than the use explains", (GAIN_KW_M2 * area,), "kW",
              LEAST_GAIN_KW_M2 * area),
        Cause(f"load:{zone}", "process_fault", "plant", zone,
              f"new equipment in {label}, whose power the load's meter shows",
              (GAIN_KW_M2 * area,), "kW", LEAST_GAIN_KW_M2 * area, one_sided=True),
    ]  # fmt: skip


def _unit_cause(unit: str, label: str) -> Cause:
    return Cause(
        f"power:{unit}", "process_fault", "plant", unit,
        f"{label} needs more power for the same heat than before", (POWER_SHARE,), "1",
        LEAST_POWER_SHARE, one_sided=True,
    )  # fmt: skip
