"""The branches of the scenario tree: the parameters that the twin is least sure of.

Of all directions in the twin's covariance the one is taken along which the bounded signals move
most, in units of their nominal values: with sensitivities J (signals x parameters) and a root L of
the covariance it is the first right singular vector of J L.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from planner.nmpc_data import NmpcData
from planner.nmpc_options import NmpcOptions
from sandbox.parameters import from_space, to_space

Array = NDArray[np.float64]
PART = 0.1  # of a standard error: the step of the differences


@dataclass(frozen=True)
class Branches:
    """Parameters by branch (P, B), nominal first, and how far they move a signal, by nominal."""

    theta: Array
    spread: float
    signal: str = ""
    parameter: str = ""

    @property
    def count(self) -> int:
        """Number of branches."""
        return int(self.theta.shape[1])


def branches_of(data: NmpcData, options: NmpcOptions) -> Branches:
    """One branch where the twin is sure enough, else nominal and both sides.

    Raises InputError for a number of branches other than 1 and 3.
    """
    if options.branches not in (1, 3):
        raise InputError(f"{options.branches} branches", "1 (nominal) or 3")
    parameters = data.twin.parameters
    nominal = np.array(parameters.values, dtype=float)
    signals = sorted({limit.signal for limit in data.limits} | set(data.targets))
    if options.branches == 1 or not signals or not np.any(parameters.root):
        return Branches(nominal[:, None], 0.0)
    moved = _sensitivity(data, signals) @ parameters.root
    _, sizes, right = np.linalg.svd(moved, full_matrices=False)
    spread = float(options.branch_std * sizes[0])
    worst = signals[int(np.argmax(np.abs(moved @ right[0])))]
    step = parameters.root @ right[0]
    named = parameters.names[int(np.argmax(np.abs(step)))]
    if spread < options.least_spread:
        return Branches(nominal[:, None], spread, worst, named)
    middle = to_space(parameters.values, parameters.spaces)
    sides = [
        from_space(middle + sign * options.branch_std * step, parameters.spaces) for sign in (1, -1)
    ]
    return Branches(np.stack([nominal, *sides], axis=1), spread, worst, named)


def _sensitivity(data: NmpcData, signals: list[str]) -> Array:
    """Of each signal at the end of the plan, by its nominal, to each parameter in its space."""
    twin, parameters = data.twin, data.twin.parameters
    middle = to_space(parameters.values, parameters.spaces)
    step = PART * np.sqrt(np.diag(np.asarray(parameters.covariance, dtype=float)))
    step = np.where(step > 0, step, 1e-6)
    rows = np.vstack([middle, middle + np.diag(step)])
    values = from_space(rows, parameters.spaces)
    table = np.tile(input_table(data, data.hold)[None], (len(values), 1, 1))
    x0 = np.tile(data.x0, (len(values), 1))
    shown = twin.run_table(x0, table, values, float(data.site.step_s))
    sizes = nominals(data)
    end = np.array([shown[s][:, -1] / sizes[s] for s in signals])
    return np.asarray((end[:, 1:] - end[:, :1]) / step)


def input_table(data: NmpcData, setpoints: Array) -> Array:
    """Setpoints (U, H) and forecasts as the equations' inputs, (H, inputs)."""
    named = dict(zip(data.model.points, setpoints, strict=True))
    named |= dict(zip(data.model.disturbances, data.w, strict=True))
    return np.stack([named[n] for n in data.model.symbolic.input_names], axis=1)


def nominals(data: NmpcData) -> dict[str, float]:
    """What a signal's differences are divided by: a state's nominal, an output's range."""
    found = {v.name: abs(v.nominal) for v in data.model.symbolic.states}
    for name in data.model.symbolic.output_names:
        spec = data.site.signal(name)
        found[name] = max(abs(spec.minimum), abs(spec.maximum))
    return found
