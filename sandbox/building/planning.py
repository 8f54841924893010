"""What planners read of a building twin: matrices, forcing, limits, COPs, base power.

Everything is derived from the symbolic model with the units' coil heat as input.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graph.site import Site
from sandbox.building import equations as eq
from sandbox.building.inputs import (
    Hours,
    hours_from,
    recurring,
    stack,
    ventilation,
    weather_columns,
)
from sandbox.building.layout import BuildingLayout
from sandbox.building.names import symbolic_parameters
from sandbox.building.structure import Structure
from sandbox.parameters import TwinParameters
from sandbox.symbolic.linear import jacobians, linearise
from sandbox.symbolic.model import SymbolicModel

Array = NDArray[np.float64]
# Ventilation makes the zones' loss depend on the hour; matrices take its mean, forcing the rest
# at this air temperature.
NOMINAL_AIR_DEGC = 22.0
WARM_AIR_DEGC = 25.5  # where rooms are kept when it is warmer outside than that


class PlanningFace:
    """A building's numbers for a dispatch problem; `BuildingTwin` is one."""

    site: Site
    layout: BuildingLayout
    structure: Structure
    parameters: TwinParameters

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states in order: each zone's nodes from the air inwards."""
        return self.structure.state_names

    @cached_property
    def coil_model(self) -> SymbolicModel:
        """The building with the units' coil heat as input."""
        return self._model("coil")

    def _model(self, drive: eq.Drive) -> SymbolicModel:
        names = self.parameters.names
        values = dict(zip(names, self.parameters.values, strict=True))
        declared = symbolic_parameters(names, values)
        return eq.building_model(self.layout, self.structure, declared, drive)

    @property
    def thermostat_tau_h(self) -> float:
        """Time constant with which a thermostat closes its error."""
        return self.parameters.value("zones.thermostat_tau_h")

    @property
    def zone_states(self) -> tuple[str, ...]:
        """Names of the zones' states in the order of `zone_matrices`."""
        return self.state_names

    @property
    def zone_air(self) -> tuple[int, ...]:
        """Index of each zone's air among `zone_states`, in the site's order of zones."""
        return tuple(self.state_names.index(f"{z.id}.air") for z in self.layout.zones)

    def zone_matrices(self, step_s: float) -> tuple[Array, Array]:
        """A (S, S), B (S, Z) of x+ = A x + B q + forcing over a step: q the units' coil heat, kW.

        Exact zero-order hold at the mean share of ventilation hours (`zone_forcing` has the rest).
        """
        a, b = self._linear(step_s)
        coils = [self.coil_model.input_names.index(f"{z.id}.coil_kw") for z in self.layout.zones]
        return a, b[:, coils]

    def zone_forcing(self, w: Mapping[str, Array], as_of: datetime, steps: int) -> Array:
        """(S, N): what weather, sun, gains and ventilation add to the states in each step.

        w: disturbances by signal, each (N,) with N >= steps, on the site's step from `as_of`.
        """
        from scipy.linalg import expm

        step = float(self.site.step_s)
        hours = hours_from(as_of, steps, step)
        series = {s: np.asarray(v, dtype=float)[:steps] for s, v in w.items()}
        columns = self._coil_columns(hours, series)
        warm = float(np.mean(series[self.layout.outdoor_signal])) > NOMINAL_AIR_DEGC
        air = WARM_AIR_DEGC if warm else NOMINAL_AIR_DEGC
        nominal = np.full(len(self.state_names), air)
        table = stack(self.coil_model.input_names, columns, 1)
        rates = self._rates(nominal, table)
        jacobian = self._continuous()
        size = len(nominal)
        block = np.zeros((2 * size, 2 * size))
        block[:size, :size], block[:size, size:] = jacobian, np.eye(size)
        gain = expm(block * step)[:size, size:]
        return np.asarray(gain @ (rates - (jacobian @ nominal)[:, None]))

    def zone_heat_limits(self, zone: str) -> tuple[float, float]:
        """Greatest coil heating and cooling (kW, both positive) of a zone at rating conditions."""
        unit = next(z.source for z in self.layout.zones if z.id == zone)
        value, share = self.parameters.value, self.layout.area_share[zone]
        if zone in self.structure.supplied:
            return value(f"{zone}.most_heating_kw"), value(f"{zone}.most_cooling_kw")
        return share * value(f"{unit}.heating_kw"), share * value(f"{unit}.cooling_kw")

    def unit_capacity(self, unit: str, outdoor_degc: Array, as_of: datetime) -> tuple[Array, Array]:
        """(heating, cooling): what a unit can give in each of N steps over its rating, each (N,).

        Capacity moves with the outdoor temperature; without ventilation units run by fixed times.
        """
        outdoor, value = np.asarray(outdoor_degc, dtype=float), self.parameters.value
        on = ventilation(self.layout, hours_from(as_of, len(outdoor), float(self.site.step_s)))
        duty = on + (1.0 - on) * min(value("zones.night_duty"), 1.0)
        rated = (("heating", eq.HEATING_RATED_DEGC), ("cooling", eq.COOLING_RATED_DEGC))
        heating, cooling = (
            duty
            * np.maximum(
                1.0
                + value(f"{unit}.{mode}_kw_per_k") / value(f"{unit}.{mode}_kw") * (outdoor - at),
                0.0,
            )
            for mode, at in rated
        )
        return heating, cooling

    def unit_cop(
        self, unit: str, outdoor_degc: Array, as_of: datetime | None = None
    ) -> tuple[Array, Array]:
        """(heating, cooling): coil heat per electric power at outdoor temperatures (N,).

        With `as_of` (begin of the first of N steps of the site) the fan that runs with the coil
        outside ventilation hours counts too.
        """
        outdoor = np.asarray(outdoor_degc, dtype=float)
        value = self.parameters.value
        heating, cooling = (
            np.maximum(
                value(f"{unit}.cop_{mode}") + value(f"{unit}.cop_{mode}_per_k") * (outdoor - rated),
                eq.LEAST_COP,
            )
            for mode, rated in (
                ("heating", eq.HEATING_RATED_DEGC),
                ("cooling", eq.COOLING_RATED_DEGC),
            )
        )
        if as_of is None:
            return heating, cooling
        still = 1.0 - ventilation(
            self.layout, hours_from(as_of, len(outdoor), float(self.site.step_s))
        )
        fan = value(f"{unit}.fan_kw") * still
        return (
            1.0 / (1.0 / heating + fan / value(f"{unit}.heating_kw")),
            1.0 / (1.0 / cooling + fan / value(f"{unit}.cooling_kw")),
        )

    def unit_base_kw(
        self, unit: str, as_of: datetime, steps: int, outdoor_degc: Array | None = None
    ) -> Array:
        """Electric power (N,) that a unit draws whatever its zones ask for: controls, fan, and the
        cold of the least flows that it supplies.

        With the outdoor temperature (N,) its crankcase heater counts too.
        """
        hours = hours_from(as_of, steps, float(self.site.step_s))
        value = self.parameters.value
        extra = recurring(self.layout, self.structure, hours, {})[f"{unit}.power_error_kw"]
        fan = value(f"{unit}.fan_kw") * ventilation(self.layout, hours)
        base = value(f"{unit}.base_kw") + fan + extra
        supplied = [z for z in self.layout.zones_of[unit] if z in self.structure.supplied]
        if supplied:
            outdoor = np.full(
                steps, eq.COOLING_RATED_DEGC if outdoor_degc is None else outdoor_degc
            )
            flows = [
                value(f"{z}.ua_supply_kw_k")
                * max(NOMINAL_AIR_DEGC - value(f"{z}.supply_degc"), 0.0)
                for z in supplied
            ]
            on = ventilation(self.layout, hours)
            base = base + on * sum(flows) / self.unit_cop(unit, outdoor)[1]
        if outdoor_degc is not None:
            cold = outdoor_degc < self.structure.crankcase_below(unit)
            base = base + value(f"{unit}.crankcase_kw") * cold
        return np.asarray(base)

    def _coil_columns(self, hours: Hours, w: Mapping[str, Array]) -> dict[str, Array]:
        columns = weather_columns(self.layout, hours, w)
        columns |= recurring(self.layout, self.structure, hours, w)
        zeros = np.zeros(len(hours.begins))
        return columns | {f"{z.id}.coil_kw": zeros for z in self.layout.zones}

    def _linear(self, step_s: float) -> tuple[Array, Array]:
        x = np.full(len(self.state_names), NOMINAL_AIR_DEGC)
        a, b, _, _ = linearise(self.coil_model, x, self._mean_inputs(), None, step_s)
        return a, b

    def _continuous(self) -> Array:
        """dx/dt = A x + ..., per second, at the mean share of ventilation hours."""
        x = np.full(len(self.state_names), NOMINAL_AIR_DEGC)
        return jacobians(self.coil_model, x, self._mean_inputs(), None)[0]

    def _mean_inputs(self) -> Array:
        u = np.zeros(len(self.coil_model.input_names))
        u[self.coil_model.input_names.index("outdoor_degc")] = NOMINAL_AIR_DEGC
        u[self.coil_model.input_names.index("ventilating")] = self._ventilation_share
        return u

    @cached_property
    def _ventilation_share(self) -> float:
        week = hours_from(datetime(2001, 1, 1, tzinfo=UTC), 7 * 24, 3600.0)
        return float(ventilation(self.layout, week).mean())

    def _rates(self, x: Array, table: Array) -> Array:
        """dx/dt (S, N) per second of the coil model at one state under each row of inputs."""
        from sandbox.symbolic.casadi_sx import casadi

        written = self.coil_model.written
        function = casadi().Function("flow", [written.x, written.u, written.p], [written.flow])
        values = self.coil_model.defaults
        count = len(table)
        found = function(np.tile(x[:, None], (1, count)), table.T,
                         np.tile(values[:, None], (1, count)))  # fmt: skip
        return np.array(found, dtype=float)
