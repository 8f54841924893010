"""The face of a twin: what estimation, sandbox, planner and agents ask of any model of a site.

Two kinds of sites, two models, one face: `energy_hub` (heat pump, tank, battery), `building` (zones
on air units), and `ode` (equations from the site pack). `make_twin` chooses by the parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.site import Site
from graph.snapshot import History
from sandbox.faults import Fault
from sandbox.parameters import TwinParameters

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rollout:
    """What the twin did.

    `traces`: by signal, (F, N), as the sensors show it (a biased sensor shows the bias), with
    heat flows that no sensor shows. `states`: true states by name, (F, N). `final_state`: (F, S).
    `hp_on`, `hp_held_s`: (F,); False and large where the site has no heat pump.
    """

    traces: dict[str, Array]
    states: dict[str, Array]
    final_state: Array
    hp_on: NDArray[np.bool_]
    hp_held_s: Array


class TwinLayout(Protocol):
    """Which signals of the site play which part in the model."""

    @property
    def points(self) -> tuple[str, ...]:
        """Every setpoint that the model understands."""
        ...

    @property
    def disturbance_signals(self) -> tuple[str, ...]:
        """What acts on the plant and is forecast rather than modelled."""
        ...

    @property
    def outdoor_signal(self) -> str:
        """Outdoor temperature; empty where the model has none."""
        ...

    @property
    def zone_signals(self) -> tuple[str, ...]:
        """Measured temperature of each zone."""
        ...

    @property
    def sensors(self) -> tuple[str, ...]:
        """Every measured signal that shows a state."""
        ...

    @property
    def state_of(self) -> Mapping[str, str]:
        """The state that each of `sensors` shows."""
        ...

    @property
    def main_signals(self) -> tuple[str, ...]:
        """What charts show."""
        ...

    @property
    def imposable(self) -> tuple[str, ...]:
        """Measured flows that may replace the model's own (`imposed` of `simulate`)."""
        ...

    @property
    def pvs(self) -> tuple[str, ...]:
        """Assets that produce and are forecast."""
        ...

    @property
    def loads(self) -> tuple[str, ...]:
        """Assets that consume and are forecast."""
        ...

    def off(self, asset: str) -> Fault | None:
        """The fault that stands for `asset` standing still; None where the model has none."""
        ...


class Twin(Protocol):
    """A model of one site with its identified parameters."""

    @property
    def site(self) -> Site:
        """The site that it models."""
        ...

    @property
    def layout(self) -> TwinLayout:
        """Its signals by part."""
        ...

    @property
    def parameters(self) -> TwinParameters:
        """Values, covariance and the report of the fit."""
        ...

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states in order."""
        ...

    @property
    def structure_gaps(self) -> tuple[str, ...]:
        """Sentences on what the model leaves out by construction."""
        ...

    @property
    def digest(self) -> str:
        """Digest of the parameters that make this twin."""
        ...

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
        """Simulate F futures over N steps; see `sandbox.energy_hub.HubTwin.simulate`."""
        ...

    def direct_residuals(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Residuals that need no state, by signal, (rows,): balances, following of commands."""
        ...

    def recent_errors(self, history: History) -> dict[str, Array]:
        """The model's own errors in the last hours, (hours,) by name, newest last, NaN unknown.

        Names as in `report["model_errors"]` (`sandbox.model_errors`); {} where nothing is known.
        """
        ...


def make_twin(site: Site, parameters: TwinParameters) -> Twin:
    """The twin that the parameters belong to.

    Raises:
        InputError: the parameters are of another kind than the site's twin, or of another site.
    """
    if parameters.kind != site.twin.kind:
        raise InputError(
            f"site {site.id} declares a twin of kind {site.twin.kind}, "
            f"the parameters are of kind {parameters.kind}",
            "fit the twin again with `pilothouse site fit`",
        )
    if parameters.kind == "building":
        from sandbox.building.twin import BuildingTwin

        return BuildingTwin(site, parameters)
    if parameters.kind == "ode":
        from sandbox.ode_twin import OdeTwin

        return OdeTwin(site, parameters)
    from sandbox.energy_hub import HubTwin

    return HubTwin(site, parameters)
