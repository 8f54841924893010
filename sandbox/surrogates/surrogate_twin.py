"""A twin whose roll-outs come from a network where it may speak: drop-in for the twin it replaces.

Only the simulation changes. Traces are assembled by the replaced twin's own code, planners read its
matrices, estimators its states; faults, sampled parameters and imposed flows are outside the range
and reach the replaced twin's equations unchanged, for exactly the futures that have them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.site import Site
from graph.snapshot import History
from sandbox.faults import Fault
from sandbox.parameters import TwinParameters
from sandbox.surrogates.replaced import ModelTwin, model_twin, replaced_twin
from sandbox.surrogates.simulator import SurrogateSimulator, Usage, load_surrogate
from sandbox.twin import Rollout, Twin, TwinLayout

Array = NDArray[np.float64]


class SurrogateTwin:
    """See `sandbox.twin.Twin`. `usage` counts futures, and those that the replaced twin ran."""

    def __init__(self, twin: Twin, surrogate: SurrogateSimulator) -> None:
        """`surrogate` must be one of `twin` (see `surrogate_twin`)."""
        self.replaced: ModelTwin = model_twin(twin)
        self.surrogate = surrogate
        self._inner = self.replaced.with_simulator(surrogate.replaced.step_s, surrogate)
        self.parameters = _claims(twin.parameters, surrogate)

    @property
    def site(self) -> Site:
        """See `Twin.site`."""
        return self.replaced.site

    @property
    def layout(self) -> TwinLayout:
        """See `Twin.layout`."""
        return self.replaced.layout

    @property
    def state_names(self) -> tuple[str, ...]:
        """See `Twin.state_names`."""
        return self.replaced.state_names

    @property
    def digest(self) -> str:
        """Digest of the replaced twin's parameters together with the surrogate's record."""
        return self.parameters.digest

    @property
    def usage(self) -> Usage:
        """Futures since the start, and how many of them the replaced twin simulated."""
        return self.surrogate.usage

    @property
    def structure_gaps(self) -> tuple[str, ...]:
        """The replaced twin's, and what the network adds to them."""
        manifest = self.surrogate.manifest
        worst = [r for r in manifest.errors if r.limit and r.horizon_h == manifest.longest_h]
        said = max(worst, key=lambda r: r.upper / (r.limit or 1.0), default=None)
        bound = (
            f": at {said.horizon_h:g} h {said.signal} is off by {said.rmse:.3g} {said.unit} (rms)"
            if said else ""
        )  # fmt: skip
        return (
            *self.replaced.structure_gaps,
            f"a {manifest.kind} network stands in for the twin inside its valid range and adds an "
            f"error of its own{bound}",
            "the network knows the twin's point estimate only: futures with sampled parameters, "
            "faults or imposed flows are simulated by the twin itself",
        )

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
        """See `Twin.simulate`; steps of another length than the surrogate's are the twin's own."""
        return self._inner.simulate(
            x0, w, schedules, start, hp_on0, parameters, faults,
            imposed=imposed, hp_held_s=hp_held_s, step_s=step_s,
        )  # fmt: skip

    def direct_residuals(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """See `Twin.direct_residuals`."""
        return self.replaced.direct_residuals(columns)

    def recent_errors(self, history: History) -> dict[str, Array]:
        """See `Twin.recent_errors`."""
        return self.replaced.recent_errors(history)

    def with_parameters(self, parameters: TwinParameters) -> ModelTwin:
        """The replaced twin with other parameters: the surrogate is of these parameters alone."""
        return self.replaced.with_parameters(parameters)

    def __getattr__(self, name: str) -> Any:
        """What planners read beyond `Twin` (matrices, limits, models) is the replaced twin's."""
        if name.startswith("_") or name == "replaced":
            raise AttributeError(name)
        return getattr(self.replaced, name)


def surrogate_twin(twin: Twin, folder: Path) -> SurrogateTwin:
    """The surrogate in `folder` in the place of `twin`.

    Raises:
        InputError: no surrogate there, or a twin that no network replaces.
        IntegrityError: it is of another twin, or its files were changed.
    """
    return SurrogateTwin(twin, load_surrogate(folder, replaced_twin(twin)))


def _claims(parameters: TwinParameters, surrogate: SurrogateSimulator) -> TwinParameters:
    """The twin's parameters; fit for control only with measured errors inside the stated limits."""
    manifest = surrogate.manifest
    fit = parameters.fit_for_control and manifest.within_limits
    report = {**parameters.report, "fit_for_control": fit}
    if not fit:
        own = list(parameters.report.get("reasons", [])) if not parameters.fit_for_control else []
        wrong = [] if manifest.within_limits else ["the surrogate's errors exceed their limits"]
        report["reasons"] = own + wrong
    known = {**parameters.hyperparameters, "surrogate": manifest.digest}
    return parameters.model_copy(update={"report": report, "hyperparameters": known})
