"""From which states a plant can be kept: by its own law alone, or whatever is done next.

Both sets are boxes found by simulation (`state_box.largest_box`) under all corners of the bounded
disturbances. They are as good as the samples that they were tried on, which is said wherever they
are shown.
"""

import numpy as np
from numpy.typing import NDArray

from graph.snapshot import Snapshot
from sandbox.filter_model import FREE_S, Bounds, FilterState, TwinFilterModel
from sandbox.state_box import Box, largest_box, limit_box
from sandbox.twin import Twin

Array = NDArray[np.float64]
VIABLE_H, VIABLE_SAMPLES = 8.0, 400


def viable_box(
    twin: Twin, snapshot: Snapshot, bounds: Bounds, generator: np.random.Generator,
    *, hours: float = VIABLE_H, samples: int = VIABLE_SAMPLES,
) -> Box:  # fmt: skip
    """States from which the backup law keeps every limit for `hours`."""
    model = TwinFilterModel(twin, snapshot, bounds, None, hours)
    return largest_box(limit_box(twin), lambda x: viable(model, x), generator, samples)


def viable(model: TwinFilterModel, states: Array) -> NDArray[np.bool_]:
    """(F,) whether the backup law alone is proven from each of `states` (F, S), the heat pump just
    started or just stopped."""
    corners = model.bounds.count
    rest = {s: v[:, : model.steps] for s, v in model.ahead(0).items()}
    w = {s: np.tile(v, (len(states), 1)) for s, v in rest.items()}
    good = np.ones(len(states), dtype=bool)
    for running in (False, True):
        rollout = model.twin.simulate(
            np.repeat(states, corners, axis=0), w, {}, model.snapshot.as_of, running,
            hp_held_s=0.0,
        )  # fmt: skip
        worst = np.max(model.beyond(rollout.traces), axis=0)
        good &= (worst.reshape(len(states), corners) <= 0.0).all(axis=1)
    return good


def resting(model: TwinFilterModel, x: Array, k: int = 0) -> FilterState:
    """A state in which the heat pump has stood long enough to start."""
    applied = [model.snapshot.points[p].applied for p in model.points]
    return FilterState(x, False, FREE_S, np.array(applied), np.zeros(model.counted), k)
