"""The twin of kind `ode`: equations from the site pack, simulated as they stand there.

States that carry a signal's name are shown by that sensor; inputs are the site's setpoints (held
over a step; the plant's own law where nobody commands) and its forecast disturbances; outputs are
powers and other signals. See `sandbox.symbolic.components.ode` for the text.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.schedules import scheduled
from graph.site import Site
from graph.snapshot import History
from sandbox.faults import Fault, fault_signals
from sandbox.ode_layout import OdeLayout, ode_layout
from sandbox.parameters import TwinParameters
from sandbox.symbolic.batch import BatchSimulator, Simulates
from sandbox.symbolic.casadi_sx import SymbolicFunction, casadi, free_symbols
from sandbox.symbolic.components.ode import parse_ode
from sandbox.symbolic.model import SymbolicModel
from sandbox.twin import Rollout

Array = NDArray[np.float64]
EQUATIONS = "equations"  # in a twin file's `structure`: the pack's model file as it was fitted
SENSOR_FAULTS = ("sensor_bias", "sensor_stuck")
DEFAULT_SUBSTEP_S = 10.0
STRUCTURE_GAPS = ("the twin is the site pack's own equations: what they leave out, it leaves out",)


class OdeTwin:
    """What we believe of one site: its equations and their parameters. Implements `Twin`."""

    def __init__(self, site: Site, parameters: TwinParameters) -> None:
        """Raises InputError when equations or parameters are not those of this site."""
        text = parameters.structure.get(EQUATIONS)
        if not isinstance(text, str):
            raise InputError(
                "the twin file holds no equations", "write it again with `pilothouse site fit`"
            )
        self.site, self.parameters = site, parameters
        self.model: SymbolicModel = parse_ode(text, site.twin.model or "model.yaml")
        self.layout: OdeLayout = ode_layout(site, self.model)
        if parameters.names != self.model.parameter_names:
            raise InputError(
                f"the twin file has parameters {', '.join(parameters.names)}",
                f"the equations have {', '.join(self.model.parameter_names)}; fit again",
            )
        self.substep_s = float(parameters.structure.get("substep_s", DEFAULT_SUBSTEP_S))
        self._simulators: dict[float, Simulates] = {}

    @property
    def state_names(self) -> tuple[str, ...]:
        """See `sandbox.twin.Twin.state_names`."""
        return self.model.state_names

    @property
    def digest(self) -> str:
        """See `sandbox.twin.Twin.digest`."""
        return self.parameters.digest

    @property
    def structure_gaps(self) -> tuple[str, ...]:
        """See `sandbox.twin.Twin.structure_gaps`."""
        return STRUCTURE_GAPS

    def with_parameters(self, parameters: TwinParameters) -> "OdeTwin":
        """The same site believed to have other parameters."""
        return OdeTwin(self.site, parameters)

    def with_simulator(self, step_s: float, simulator: Simulates) -> "OdeTwin":
        """The same twin that leaves steps of `step_s` to `simulator`."""
        other = OdeTwin(self.site, self.parameters)
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
        imposed: Mapping[str, Array] | None = None,  # noqa: ARG002
        hp_held_s: float | Array = 1e9,  # noqa: ARG002
        step_s: float | None = None,
    ) -> Rollout:
        """Simulate F futures over N steps; see `sandbox.energy_hub.HubTwin.simulate`.

        N is the length of the disturbances, or of the longest schedule where there are none.

        Raises:
            InputError: a signal is missing, not finite or of the wrong shape, or a fault that
                these equations cannot carry.
        """
        step = float(step_s or self.site.step_s)
        x0 = self._states(x0)
        futures, steps = x0.shape[0], self._steps(w, schedules)
        columns = {
            **{s: _series(s, w.get(s), futures, steps) for s in self.layout.disturbance_signals},
            **self._commands(schedules, start, futures, steps, step),
        }
        odd = [f.kind for f in faults if f.kind not in SENSOR_FAULTS]
        if odd:
            raise InputError(f"the equations cannot carry the fault {odd[0]}", "sensors only")
        table = np.stack([columns[n] for n in self.model.input_names], axis=2)
        p = np.array(self.parameters.values) if parameters is None else np.asarray(parameters)
        states, outputs = self.simulator(step).run(x0, table, p)
        return self._rollout(states, outputs, columns, faults)

    def run_table(
        self, x0: Array, table: Array, parameters: Array | None, step_s: float
    ) -> dict[str, Array]:
        """Simulate a table of inputs (F, N, U) in the equations' order; shown signals (F, N)."""
        p = np.array(self.parameters.values) if parameters is None else parameters
        states, outputs = self.simulator(step_s).run(x0, table, p)
        shown = {n: outputs[:, :, i] for i, n in enumerate(self.model.output_names)}
        for signal, state in self.layout.state_of.items():
            shown[signal] = states[:, :, self.state_names.index(state)]
        return shown

    def run_states(self, x0: Array, table: Array, step_s: float) -> Array:
        """States (F, N, S) under a table of inputs (F, N, U), at the point estimate."""
        states, _ = self.simulator(step_s).run(x0, table, np.array(self.parameters.values))
        return states

    def _rollout(
        self, states: Array, outputs: Array, columns: Mapping[str, Array], faults: Sequence[Fault]
    ) -> Rollout:
        futures, steps, _ = states.shape
        by_name = {n: np.ascontiguousarray(states[:, :, i]) for i, n in enumerate(self.state_names)}
        traces = {n: outputs[:, :, i].copy() for i, n in enumerate(self.model.output_names)}
        traces |= columns
        broken = fault_signals(self.layout.sensors, tuple(faults), steps)
        for signal, state in self.layout.state_of.items():
            shown = by_name[state] + np.asarray(broken.bias.get(signal, np.zeros((1, 1)))).T
            traces[signal] = _held(shown, broken.stuck.get(signal))
        return Rollout(
            traces=traces,
            states=by_name,
            final_state=np.ascontiguousarray(states[:, -1, :]),
            hp_on=np.zeros(futures, dtype=bool),
            hp_held_s=np.full(futures, 1e9),
        )

    def _commands(
        self, schedules: Mapping[str, Array | Sequence[float]], start: datetime, futures: int,
        steps: int, step_s: float,
    ) -> dict[str, Array]:  # fmt: skip
        """Each setpoint (F, N): what is commanded, the plant's own law elsewhere."""
        unknown = sorted(set(schedules) - set(self.layout.points))
        if unknown:
            raise InputError(
                f"schedule for unknown point {', '.join(unknown)}",
                f"the twin commands {', '.join(self.layout.points)}",
            )
        times = [start + timedelta(seconds=step_s * k) for k in range(steps)]
        found = {}
        for point in self.layout.points:
            row = np.full((futures, steps), np.nan)
            if point in schedules:
                given = np.atleast_2d(np.asarray(schedules[point], dtype=float))[:, :steps]
                if given.shape[0] not in (1, futures) or np.isinf(given).any():
                    raise InputError(
                        f"schedule {point} has shape {given.shape} or holds infinities",
                        f"expected (n,) or ({futures}, n); NaN hands the step to the local law",
                    )
                row[:, : given.shape[1]] = given
            if np.isnan(row).any():
                row = np.where(np.isnan(row), self._law(point, times)[None], row)
            found[point] = row
        return found

    def _law(self, point: str, times: Sequence[datetime]) -> Array:
        rules = self.site.baseline.points.get(point)
        if not rules:
            raise InputError(
                f"nobody says what the plant's own law sets {point} to",
                "add it to baseline.points in site.yaml",
            )
        return scheduled(rules, times, self.site.zone_info)

    def _steps(
        self, w: Mapping[str, Array], schedules: Mapping[str, Array | Sequence[float]]
    ) -> int:
        given = [w[s] for s in self.layout.disturbance_signals if s in w]
        sizes = [np.asarray(v).shape[-1] for v in given or schedules.values()]
        if not sizes or max(sizes) < 1:
            raise InputError("nothing says how many steps to simulate", "give disturbances")
        return int(max(sizes))

    def simulator(self, step_s: float) -> Simulates:
        """What rolls out the equations in steps of `step_s`."""
        if step_s not in self._simulators:
            substeps = max(1, int(np.ceil(step_s / self.substep_s)))
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

    # What the record says -------------------------------------------------------------------

    def direct_residuals(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """See `sandbox.twin.Twin.direct_residuals`: outputs that rest on no state."""
        function, names = self._stateless
        if not names:
            return {}
        rows = len(np.asarray(columns[names[0]]))
        inputs = np.array([np.asarray(columns[n], dtype=float) for n in self.model.input_names])
        values = np.tile(np.array(self.parameters.values)[:, None], rows)
        shown = np.array(function(inputs, values), dtype=float).reshape(len(names), rows)
        return {
            n: np.asarray(columns[n], dtype=float) - row
            for n, row in zip(names, shown, strict=True)
        }

    @cached_property
    def _stateless(self) -> tuple[SymbolicFunction, tuple[str, ...]]:
        """(u, p) -> the outputs that no state acts on, and their names."""
        ca, written = casadi(), self.model.written
        states = {s.name() for s in free_symbols(written.x)}
        chosen = [
            i for i in range(len(self.model.outputs))
            if states.isdisjoint(s.name() for s in free_symbols(written.outputs[i]))
        ]  # fmt: skip
        names = tuple(self.model.output_names[i] for i in chosen)
        column = written.outputs[chosen] if chosen else ca.SX(0, 1)
        return ca.Function("outputs", [written.u, written.p], [column]), names

    def recent_errors(self, history: History) -> dict[str, Array]:  # noqa: ARG002
        """See `sandbox.twin.Twin.recent_errors`: none are kept."""
        return {}


def _series(name: str, values: Array | None, futures: int, steps: int) -> Array:
    """(N,) or (F, N) as (F, N). Raises InputError."""
    if values is None:
        raise InputError(f"no disturbance for {name}", "give (N,) or (F, N)")
    array = np.asarray(values, dtype=float)
    if array.shape not in ((steps,), (futures, steps), (1, steps)) or not np.isfinite(array).all():
        raise InputError(
            f"{name} has shape {array.shape} or holds NaN",
            f"expected ({steps},) or ({futures}, {steps}), finite",
        )
    return np.array(np.broadcast_to(array, (futures, steps)))


def _held(shown: Array, stuck: NDArray[np.bool_] | None) -> Array:
    """(F, N) with the value before it stuck repeated from then on; stuck (N, 1) or (N, F)."""
    if stuck is None:
        return shown
    table = np.broadcast_to(np.asarray(stuck).T, shown.shape)
    found = shown.copy()
    for k in range(1, shown.shape[1]):
        found[:, k] = np.where(table[:, k], found[:, k - 1], shown[:, k])
    return found
