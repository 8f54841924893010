"""The energy-hub twin: heated zones, a buffer tank, a heat pump, a battery, PV and loads.

Physics in `thermal` (zones) and `hub_step` (tank, heat pump, battery and their local laws);
here are the model's face, its accessors and the preparation of a simulation. Vectorised over
futures; every sum has a fixed order, so a batch of F futures equals F single runs bit for bit.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.site import Site
from graph.snapshot import History
from sandbox.faults import Fault
from sandbox.hub_inputs import prepare_inputs
from sandbox.hub_layout import hub_layout
from sandbox.hub_step import HubModel, run
from sandbox.parameters import COP_AT_OUTDOOR_DEGC, COP_AT_TANK_DEGC, TwinParameters, first_guess
from sandbox.thermal import ThermalMatrices, continuous, discretise
from sandbox.twin import Rollout

Array = NDArray[np.float64]
MAX_SUBSTEP_S = 300.0


STRUCTURE_GAPS = (
    "the twin's tank is one node: stratification is not represented",
    "the twin's rooms have two heat nodes each: layers of walls are lumped",
    "the twin's heat pump has a COP that is affine in two temperatures: no part load, no defrost",
    "the twin's battery has one constant efficiency: no voltage curve, no ageing",
)


class HubTwin:
    """What we believe of one site: its structure and its identified parameters."""

    def __init__(self, site: Site, parameters: TwinParameters) -> None:
        """Raises InputError when the parameters are not those of this site."""
        self.site = site
        self.layout = hub_layout(site)
        self.parameters = parameters
        expected = set(first_guess(self.layout))
        if set(parameters.names) != expected:
            wrong = sorted(expected.symmetric_difference(parameters.names))
            raise InputError(
                f"twin parameters are not those of site {site.id}: {', '.join(wrong)}",
                "fit the twin again with `site fit`",
            )
        self._models: dict[tuple[float, int], HubModel] = {}

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states in order: zones' air and mass, tank, battery."""
        return self.layout.state_names

    @property
    def digest(self) -> str:
        """Digest of the parameters that make this twin."""
        return self.parameters.digest

    @property
    def structure_gaps(self) -> tuple[str, ...]:
        """See `Twin.structure_gaps`."""
        return STRUCTURE_GAPS

    def direct_residuals(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """See `Twin.direct_residuals`: metered heat, balance at the grid, following."""
        from sandbox.validation import direct_residuals

        return direct_residuals(self, columns)

    def recent_errors(self, history: History) -> dict[str, Array]:
        """See `Twin.recent_errors`: heat that no model explains."""
        from sandbox.hub_errors import recent_errors

        return recent_errors(self, history)

    # Accessors for planners -----------------------------------------------------------------

    @property
    def tank_capacity_kwh_k(self) -> float:
        """Heat capacity of the tank."""
        return self.parameters.value("tank.c_kwh_k")

    @property
    def tank_loss_kw_k(self) -> float:
        """Heat-loss coefficient of the tank."""
        return self.parameters.value("tank.loss_kw_k")

    @property
    def tank_ambient_degc(self) -> float:
        """Temperature that the tank loses heat to."""
        return self.parameters.value("tank.ambient_degc")

    @property
    def thermostat_tau_h(self) -> float:
        """Time constant with which a thermostat closes its error."""
        return self.parameters.value("zones.thermostat_tau_h")

    def emitter_ua_kw_k(self, zone: str) -> float:
        """Greatest heat of a zone's emitter per K between tank and air."""
        return self.parameters.value(f"{zone}.ua_emit_kw_k")

    @property
    def battery_charge_efficiency(self) -> float:
        """Stored energy per energy drawn."""
        return self.parameters.value("battery.efficiency")

    @property
    def battery_discharge_efficiency(self) -> float:
        """Delivered energy per energy taken from store (equal to charging: see `fit_parts`)."""
        return self.parameters.value("battery.efficiency")

    @property
    def battery_capacity_kwh(self) -> float:
        """Effective capacity between 0 and 100 % state of charge."""
        return self.parameters.value("battery.capacity_kwh")

    @property
    def battery_standby_kw(self) -> float:
        """Constant drain of the store."""
        return self.parameters.value("battery.standby_kw")

    @property
    def auxiliary_kw(self) -> float:
        """Constant consumption that no asset's meter shows (pumps, controls)."""
        return self.parameters.value("grid.auxiliary_kw")

    def cop(self, outdoor_degc: Array | float, tank_degc: Array | float) -> Array:
        """Heat per electric power at an outdoor and a tank temperature (broadcasts)."""
        value = self.parameters.value
        affine = (
            value("hp.cop")
            + value("hp.cop_per_outdoor") * (np.asarray(outdoor_degc) - COP_AT_OUTDOOR_DEGC)
            + value("hp.cop_per_tank") * (np.asarray(tank_degc) - COP_AT_TANK_DEGC)
        )
        return np.maximum(affine, 1.0)

    def discrete_thermal(self, step_s: float) -> ThermalMatrices:
        """The zones' network over a step with constant inputs, at the point estimate."""
        values = self._columns(None, 1)
        zones = tuple(z.id for z in self.layout.zones)
        A, B, e = (m[..., 0] for m in discretise(*continuous(values, zones), step_s / 3600.0))

        air, mass = B[:, 0::2], B[:, 1::2]

        def each(name: str) -> Array:
            return np.array([self.parameters.value(f"{zone}.{name}") for zone in zones])

        return ThermalMatrices(
            A=A,
            B=air,
            e_outdoor=e,
            e_ghi=(air @ each("aperture_m2") + mass @ each("aperture_mass_m2")) / 1000.0,
            e_load=air @ each("gain_per_load"),
            constant=air @ each("gain_kw"),
        )

    # Simulation -----------------------------------------------------------------------------

    def simulate(
        self,
        x0: Array,
        w: Mapping[str, Array],
        schedules: Mapping[str, Array | Sequence[float]],
        start: datetime,
        hp_on0: bool | NDArray[np.bool_] = False,
        parameters: Array | None = None,
        faults: Sequence[Fault] = (),
        *,
        imposed: Mapping[str, Array] | None = None,
        hp_held_s: float | Array = 1e9,
        step_s: float | None = None,
    ) -> Rollout:
        """Simulate F futures over N steps of `step_s` (the site's unless given).

        Args:
            x0: initial states (F, S) in the order of `state_names`.
            w: disturbances by signal, each (N,) or (F, N); heat that no model explains may be
                among them, `<zone>.unexplained_kw` and `<tank>.unexplained_kw`.
            schedules: commands by point, (n,) or (F, n) with n <= N; where a schedule is absent,
                has ended or is NaN, the plant's local law acts.
            start: begin of the first step.
            hp_on0, hp_held_s: whether the heat pump runs, and for how long it has or has not.
            parameters: (F, P) draws; None means the point estimate.
            faults: see `Fault`.
            imposed: measured heat pump power or heat, or battery power, that replace the model's
                (for identification and estimation), each (N,) or (F, N).
            step_s: length of a step.

        Raises:
            InputError: a signal is missing, not finite, or has the wrong shape.
        """
        step = float(step_s or self.site.step_s)
        x0 = np.atleast_2d(np.asarray(x0, dtype=float))
        futures = x0.shape[0]
        if x0.shape[1] != len(self.state_names) or not np.all(np.isfinite(x0)):
            raise InputError(
                f"initial states have shape {x0.shape} or are not finite",
                f"expected (F, {len(self.state_names)}) finite: {', '.join(self.state_names)}",
            )
        model = self._model(parameters, futures, step)
        inputs = prepare_inputs(
            self.layout, futures, w, schedules, start, step, faults, imposed or {}
        )
        on = np.broadcast_to(np.asarray(hp_on0, dtype=bool), (futures,))
        held = np.broadcast_to(np.asarray(hp_held_s, dtype=float), (futures,))
        raw = run(model, inputs, x0.T.copy(), on.copy(), held.copy())
        return Rollout(
            traces={k: np.ascontiguousarray(v.T) for k, v in raw.traces.items()},
            states={k: np.ascontiguousarray(v.T) for k, v in raw.states.items()},
            final_state=np.ascontiguousarray(raw.x.T),
            hp_on=raw.on,
            hp_held_s=raw.held_s,
        )

    def _columns(self, parameters: Array | None, futures: int) -> dict[str, Array]:
        names = self.parameters.names
        if parameters is None:
            return {
                n: np.full(futures, v) for n, v in zip(names, self.parameters.values, strict=True)
            }
        table = np.asarray(parameters, dtype=float)
        if table.shape != (futures, len(names)):
            raise InputError(
                f"parameters have shape {table.shape}", f"expected ({futures}, {len(names)})"
            )
        return {n: np.ascontiguousarray(table[:, i]) for i, n in enumerate(names)}

    def _model(self, parameters: Array | None, futures: int, step_s: float) -> HubModel:
        key = (step_s, futures)
        if parameters is None and key in self._models:
            return self._models[key]
        substeps = max(1, int(np.ceil(step_s / MAX_SUBSTEP_S)))
        values = self._columns(parameters, futures)
        zones = tuple(z.id for z in self.layout.zones)
        step_h = step_s / substeps / 3600.0
        A, B, e = discretise(*continuous(values, zones), step_h)
        model = HubModel(self.layout, values, A, B, e, substeps, step_s / substeps)
        if parameters is None:
            self._models[key] = model
        return model

    def with_parameters(self, parameters: TwinParameters) -> "HubTwin":
        """The same site believed to have other parameters."""
        return HubTwin(self.site, parameters)
