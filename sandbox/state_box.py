"""Boxes of states, and the largest one about whose states something is known to hold."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graph.units import canonical_unit
from sandbox.checks import TOLERANCE
from sandbox.twin import Twin

Array = NDArray[np.float64]
Holds = Callable[[Array], NDArray[np.bool_]]  # of states (F, S): whether it holds from each
EDGE_STEP = 0.02  # of a state's range: how finely a box is cut
MOST_CORNERS = 64


@dataclass(frozen=True)
class Box:
    """A box of states, low and high (S,), with the scale that its distances are counted in."""

    names: tuple[str, ...]
    low: Array
    high: Array
    scale: Array

    def beyond(self, states: Array) -> Array:
        """How far states (F, S) lie outside, (F, S), in scales; at most 0 inside."""
        return np.maximum(self.low - states, states - self.high) / self.scale

    def corners(self) -> Array:
        """All corners, (2^S, S)."""
        grid = np.meshgrid(*zip(self.low, self.high, strict=True), indexing="ij")
        return np.stack([g.ravel() for g in grid], axis=1)


def limit_box(twin: Twin) -> Box:
    """The site's limits on each state; what has none takes those of its asset's measured state."""
    site = twin.site
    by_state = {state: signal for signal, state in twin.layout.state_of.items()}
    by_asset = {state.split(".", 1)[0]: state for state in twin.layout.state_of.values()}
    limits = {item.signal: item for item in site.limits}
    low, high, scale = [], [], []
    for name in twin.state_names:
        seen = name if name in by_state else by_asset.get(name.split(".", 1)[0], name)
        spec = site.signal(by_state[seen]) if seen in by_state else None
        limit = limits.get(by_state.get(seen, ""))
        lowest = spec.minimum if spec else -1e6
        highest = spec.maximum if spec else 1e6
        low.append(lowest if limit is None or limit.minimum is None else limit.minimum)
        high.append(highest if limit is None or limit.maximum is None else limit.maximum)
        scale.append(TOLERANCE.get(canonical_unit(spec.unit), 0.1) if spec else 0.1)
    return Box(twin.state_names, np.array(low), np.array(high), np.array(scale))


def largest_box(whole: Box, holds: Holds, generator: np.random.Generator, samples: int) -> Box:
    """A part of `whole` in which `holds` is true at every sampled state, corners among them.

    A state from which it does not hold is blamed on those of its coordinates that alone, moved to
    the middle, would mend it; edges move in where most is to blame, until none is left inside.
    """
    drawn = whole.low + (whole.high - whole.low) * generator.random((samples, len(whole.low)))
    tried = np.concatenate([drawn, _some(whole.corners(), generator)])
    bad = tried[~holds(tried)]
    centre, step = (whole.low + whole.high) / 2.0, EDGE_STEP * (whole.high - whole.low)
    blamed = np.zeros(bad.shape, dtype=bool)
    for i in range(bad.shape[1] if len(bad) else 0):
        mended = bad.copy()
        mended[:, i] = centre[i]
        blamed[:, i] = holds(mended)
    blamed[~blamed.any(axis=1)] = True  # two at once are to blame: any of them will do
    box = whole
    while (inside := (box.beyond(bad) <= 0.0).all(axis=1)).any():
        above = bad > centre
        counts = [(blamed[inside] & side[inside]).sum(axis=0) for side in (~above, above)]
        side, i = divmod(int(np.argmax(counts)), len(centre))
        low, high = box.low.copy(), box.high.copy()
        if side == 0:
            low[i] += step[i]
        else:
            high[i] -= step[i]
        box = replace(box, low=low, high=high)
    return box


def _some(corners: Array, generator: np.random.Generator) -> Array:
    if len(corners) <= MOST_CORNERS:
        return corners
    return corners[generator.choice(len(corners), MOST_CORNERS, replace=False)]
