"""The building twin: zones on air units, as learned from telemetry or from the drawing board.

The physics is one symbolic model (`equations`); simulation, matrices for planners and estimation
are derived from it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.site import Site
from graph.snapshot import History
from sandbox.building.inputs import hours_from, simulation_columns, stack
from sandbox.building.layout import building_layout
from sandbox.building.names import parameter_names
from sandbox.building.planning import PlanningFace
from sandbox.building.structure import structure_from
from sandbox.faults import Fault
from sandbox.parameters import TwinParameters
from sandbox.symbolic.batch import BatchSimulator, Simulates
from sandbox.symbolic.model import SymbolicModel
from sandbox.twin import Rollout

Array = NDArray[np.float64]
MAX_SUBSTEP_S = 300.0
STRUCTURE_GAPS = (
    "the twin's zones are chains of at most three heat nodes: layers of walls, the floor and the "
    "attic are lumped",
    "the twin's air units have a COP that is affine in the outdoor temperature: no part load, no "
    "defrost, no humidity",
    "the twin's units without ventilation hold their zone on average: their cycling is not shown",
    "wind, humidity, blinds and the number of people are not measured and act as unexplained heat",
)


class BuildingTwin(PlanningFace):
    """What we believe of one building: its structure and its identified parameters."""

    def __init__(self, site: Site, parameters: TwinParameters) -> None:
        """Raises InputError when the parameters are not those of this site."""
        self.site = site
        self.layout = building_layout(site)
        self.parameters = parameters
        zones = tuple(z.id for z in self.layout.zones)
        self.structure = structure_from(parameters.structure, zones)
        expected = parameter_names(self.layout, self.structure)
        if parameters.names != expected:
            wrong = sorted(set(expected).symmetric_difference(parameters.names))
            raise InputError(
                f"twin parameters are not those of site {site.id}: {', '.join(wrong) or 'order'}",
                "fit the twin again with `pilothouse site fit`",
            )
        self._simulators: dict[float, Simulates] = {}

    @property
    def digest(self) -> str:
        """Digest of the parameters that make this twin."""
        return self.parameters.digest

    @property
    def structure_gaps(self) -> tuple[str, ...]:
        """See `sandbox.twin.Twin.structure_gaps`."""
        return STRUCTURE_GAPS

    @cached_property
    def model(self) -> SymbolicModel:
        """The building with its own thermostats."""
        return self._model("thermostat")

    def with_parameters(self, parameters: TwinParameters) -> "BuildingTwin":
        """The same site believed to have other parameters."""
        return BuildingTwin(self.site, parameters)

    def with_simulator(self, step_s: float, simulator: Simulates) -> "BuildingTwin":
        """The same twin that leaves steps of `step_s` to `simulator`."""
        other = BuildingTwin(self.site, self.parameters)
        other._simulators[float(step_s)] = simulator
        return other

    # Simulation -----------------------------------------------------------------------------

    def simulate(
        self,
        x0: Array,
        w: Mapping[str, Array],
        schedules: Mapping[str, Array | Sequence[float]],
        start: datetime,
        hp_on0: bool | NDArray[np.bool_] = False,  # noqa: ARG002 (a part of every twin's face)
        parameters: Array | None = None,
        faults: Sequence[Fault] = (),
        *,
        imposed: Mapping[str, Array] | None = None,
        hp_held_s: float | Array = 1e9,  # noqa: ARG002
        step_s: float | None = None,
    ) -> Rollout:
        """Simulate F futures over N steps of `step_s` (the site's unless given).

        Args:
            x0: initial states (F, S) in the order of `state_names`.
            w: disturbances by signal, each (N,) or (F, N); `zone.unexplained_kw` (heat into a
                zone) and `unit.power_error_kw` (added to its electric power) may be among them.
            schedules: setpoints by point, (n,) or (F, n) with n <= N; where one is absent, has
                ended or is NaN, the site's local law acts.
            start: begin of the first step.
            hp_on0, hp_held_s: ignored; a building has no heat pump with a memory.
            parameters: (F, P) draws; None means the point estimate.
            faults: of zone sensors, `unit_dead`, `unit_weak`.
            imposed: metered heat of zones or power of units that replace the model's own, each
                (N,) or (F, N); NaN leaves a step to the model.
            step_s: length of a step.

        Raises:
            InputError: a signal is missing, not finite, or has the wrong shape.
        """
        step = float(step_s or self.site.step_s)
        x0 = self._states(x0)
        futures = x0.shape[0]
        steps = int(np.asarray(w.get(self.layout.outdoor_signal, np.empty(0))).shape[-1])
        hours = hours_from(start, steps, step)
        given = imposed or {}
        columns = simulation_columns(
            self.layout, self.structure, futures, hours, w, schedules, faults, given
        )
        states, outputs = self._run(x0, columns, step, parameters)
        for zone in self._stuck_zones(columns) if faults else ():
            # A stuck sensor repeats what it showed, which is known once the time before is.
            columns[f"{zone}.shown_degc"] = self._last_shown(zone, x0, states, columns)
            states, outputs = self._run(x0, columns, step, parameters)
        return self._rollout(states, outputs, columns, w, given)

    def _stuck_zones(self, columns: Mapping[str, Array]) -> list[str]:
        """Zones whose sensor sticks at some time, the earliest first."""
        found = {}
        for zone in self.structure.order:
            stuck = np.atleast_2d(columns[f"{zone}.stuck"]) > 0.5
            if stuck.any():
                found[zone] = int(np.argmax(stuck.any(axis=0)))
        return sorted(found, key=lambda z: found[z])

    def _last_shown(
        self, zone: str, x0: Array, states: Array, columns: Mapping[str, Array]
    ) -> Array:
        """(F, N): the value that the zone's sensor showed before it stuck."""
        index, (futures, steps) = self.state_names.index(f"{zone}.air"), states.shape[:2]
        air = np.concatenate([x0[:, index : index + 1], states[:, :, index]], axis=1)
        bias = np.broadcast_to(columns[f"{zone}.bias_k"], (futures, steps))
        stuck = np.broadcast_to(columns[f"{zone}.stuck"], (futures, steps)) > 0.5
        first = np.argmax(stuck, axis=1)
        every = np.arange(futures)
        before = np.where(first > 0, bias[every, np.maximum(first - 1, 0)], 0.0)
        return np.repeat((air[every, first] + before)[:, None], steps, axis=1)

    def run_table(
        self, x0: Array, table: Array, parameters: Array | None = None, step_s: float | None = None
    ) -> tuple[Array, Array]:
        """Simulate a table of inputs, (N, U) or (F, N, U): states (F, N, S), outputs (F, N, Y).

        For windows that begin at many moments, whose tables come from `model.input_names`.
        """
        step = float(step_s or self.site.step_s)
        p = np.array(self.parameters.values) if parameters is None else parameters
        return self.simulator(step).run(x0, table, p)

    def _run(
        self, x0: Array, columns: Mapping[str, Array], step_s: float, parameters: Array | None
    ) -> tuple[Array, Array]:
        futures, names = x0.shape[0], self.parameters.names
        if parameters is not None:
            parameters = np.asarray(parameters, dtype=float)
            if parameters.shape != (futures, len(names)):
                raise InputError(
                    f"parameters have shape {parameters.shape}",
                    f"expected ({futures}, {len(names)})",
                )
        table = stack(self.model.input_names, columns, futures)
        return self.run_table(x0, table, parameters, step_s)

    def simulator(self, step_s: float) -> Simulates:
        """What rolls out the equations in steps of `step_s`."""
        if step_s not in self._simulators:
            substeps = max(1, int(np.ceil(step_s / MAX_SUBSTEP_S)))
            self._simulators[step_s] = BatchSimulator(self.model, step_s, substeps)
        return self._simulators[step_s]

    def _states(self, x0: Array) -> Array:
        table = np.atleast_2d(np.asarray(x0, dtype=float))
        if table.shape[1] != len(self.state_names) or not np.all(np.isfinite(table)):
            raise InputError(
                f"initial states have shape {table.shape} or are not finite",
                f"expected (F, {len(self.state_names)}) finite: {', '.join(self.state_names)}",
            )
        return table

    def _rollout(
        self, states: Array, outputs: Array, columns: Mapping[str, Array],
        w: Mapping[str, Array], imposed: Mapping[str, Array],
    ) -> Rollout:  # fmt: skip
        layout, futures = self.layout, states.shape[0]
        steps = states.shape[1]

        def spread(values: Array) -> Array:
            return np.array(np.broadcast_to(np.asarray(values, dtype=float), (futures, steps)))

        by_name = {n: states[:, :, i] for i, n in enumerate(self.state_names)}
        traces = {n: outputs[:, :, i].copy() for i, n in enumerate(self.model.output_names)}
        traces |= {s: spread(w[s]) for s in layout.disturbance_signals}
        traces |= {p: spread(columns[p]) for p in layout.points}
        for signal in layout.power_signals:
            if signal in imposed:
                given = spread(imposed[signal])
                traces[signal] = np.where(np.isfinite(given), given, traces[signal])
        for zone in layout.zones:
            healthy = by_name[f"{zone.id}.air"] + columns[f"{zone.id}.bias_k"]
            stuck = np.asarray(columns[f"{zone.id}.stuck"]) > 0.5
            shown = np.where(stuck, columns[f"{zone.id}.shown_degc"], healthy)
            traces[f"{zone.id}.temp_degc"] = shown
        total = np.zeros((futures, steps))
        for sign, assets in ((1.0, layout.loads), (-1.0, layout.pvs)):
            for asset in assets:
                total = total + sign * traces[f"{asset}.power_kw"]
        for signal in layout.power_signals:
            total = total + traces[signal]
        traces[layout.grid_signal] = total
        return Rollout(
            traces=traces,
            states={n: np.ascontiguousarray(v) for n, v in by_name.items()},
            final_state=np.ascontiguousarray(states[:, -1, :]),
            hp_on=np.zeros(futures, dtype=bool),
            hp_held_s=np.full(futures, 1e9),
        )

    def recent_errors(self, history: History) -> dict[str, Array]:
        """See `sandbox.twin.Twin.recent_errors`: unexplained heat of zones, power of units."""
        from sandbox.building.errors import recent_errors

        return recent_errors(self, history)

    def direct_residuals(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """See `sandbox.twin.Twin.direct_residuals`: the balance at the grid connection."""
        layout = self.layout

        def column(name: str) -> Array:
            return np.asarray(columns[name], dtype=float)

        known = sum((column(s) for s in layout.power_signals), np.zeros(()))
        known = known + sum((column(f"{a}.power_kw") for a in layout.loads), np.zeros(()))
        known = known - sum((column(f"{a}.power_kw") for a in layout.pvs), np.zeros(()))
        return {layout.grid_signal: np.asarray(column(layout.grid_signal) - known)}
