"""A controller behind the safety filter: each plant's every move is certified before it is made."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.rl.episodes import Moment
from planner.rl.evaluate import Controller
from planner.rl.world import BatchWorld
from safety.filter.certify import Certified, SafetyFilter, Verdict
from sandbox.filter_model import FilterState, TwinFilterModel, disturbance_bounds
from sandbox.state_box import Box
from sandbox.twin import Twin
from sandbox.viable_set import viable_box

Array = NDArray[np.float64]
BOX_SEED = 5


def filter_of(twin: Twin, moment: Moment, box: Box | None = None) -> SafetyFilter[FilterState]:
    """A filter for a moment: its disturbances' bounds, and the viable set as terminal set."""
    bounds = disturbance_bounds(twin, moment.snapshot)
    if box is None:
        generator = np.random.default_rng(BOX_SEED)
        box = viable_box(twin, moment.snapshot, bounds, generator)
    return SafetyFilter(TwinFilterModel(twin, moment.snapshot, bounds, box))


def filter_state(world: BatchWorld, i: int, k: int) -> FilterState:
    """Plant `i` of a world, at step k of the filter's snapshot."""
    state = world.state
    return FilterState(state.x[i], bool(state.running[i]), float(state.held_s[i]),
                       state.setpoints[i], state.starts[i], k)  # fmt: skip


class Filtered:
    """Another controller's moves, certified."""

    def __init__(self, inner: Controller) -> None:
        self.inner, self.name = inner, inner.name
        self._filters: list[SafetyFilter[FilterState]] = []
        self._begun = 0
        self.seen: list[Certified] = []

    def setpoints(self, world: BatchWorld, known: Sequence[Moment] | None) -> Array:
        """See `Controller`."""
        wanted = self.inner.setpoints(world, known)
        if known is not None:
            boxes = [_box_of(f) for f in self._filters] or [None] * len(known)
            twin = world.space.twin
            self._filters = [filter_of(twin, m, b) for m, b in zip(known, boxes, strict=True)]
            self._begun = world.k
        made = np.empty_like(wanted)
        for i, one in enumerate(self._filters):
            certified = one.certify(filter_state(world, i, world.k - self._begun), wanted[i])
            self.seen.append(certified)
            made[i] = certified.move
        return made

    @property
    def corrected_share(self) -> float:
        """Share of the moves that were changed."""
        changed = [c for c in self.seen if c.verdict is not Verdict.UNCHANGED]
        return len(changed) / len(self.seen) if self.seen else 0.0

    @property
    def correction(self) -> float:
        """Mean size of the changes, of the points' ranges."""
        sizes = [c.correction for c in self.seen if c.verdict is not Verdict.UNCHANGED]
        return float(np.mean(sizes)) if sizes else 0.0


def _box_of(one: SafetyFilter[FilterState]) -> Box | None:
    """The viable set is found once a day: it changes little from hour to hour."""
    model = one.model
    return model.terminal if isinstance(model, TwinFilterModel) else None
