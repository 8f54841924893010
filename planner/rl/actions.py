"""What a learned policy does: one number in [-1, 1] a point, scaled to the site's own range.

A point that runs at zero or above a least value (a heat pump) stands still below half of that
value; a ramp limits how far a setpoint may move within a step; values come on the point's own
resolution. So every action is a setpoint that the gate could take.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.rl.observation import ObservationSpace, ramp_step

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ActionSpace:
    """Scaling of U points. low, high, zero_or_above, step (U,); NaN: the point has none."""

    points: tuple[str, ...]
    low: Array
    high: Array
    zero_or_above: Array
    ramp: Array
    resolution: Array

    def setpoints(self, action: Array, in_force: Array) -> Array:
        """Setpoints (F, U) of actions (F, U), coming from the setpoints in force (F, U)."""
        share = (np.clip(action, -1.0, 1.0) + 1.0) / 2.0
        value = self.low + share * (self.high - self.low)
        moved = np.clip(value, in_force - self.ramp, in_force + self.ramp)
        value = np.where(np.isnan(self.ramp), value, moved)
        least = self.zero_or_above
        semi = np.where(value < least / 2.0, 0.0, np.maximum(value, least))
        value = np.where(np.isnan(least), value, semi)
        coarse = np.round(value / self.resolution) * self.resolution
        value = np.where(np.isnan(self.resolution), value, coarse)
        return np.clip(value, self.low, self.high)

    def actions(self, setpoints: Array) -> Array:
        """The actions (..., U) that ask for these setpoints (..., U)."""
        share = (setpoints - self.low) / (self.high - self.low)
        return np.clip(2.0 * share - 1.0, -1.0, 1.0)


def action_space(space: ObservationSpace) -> ActionSpace:
    """The action space of a twin's points."""
    specs, nan = space.points, float("nan")

    def each(values: list[float | None]) -> Array:
        return np.array([nan if v is None else v for v in values])

    return ActionSpace(
        points=tuple(s.id for s in specs),
        low=np.array([s.minimum for s in specs]),
        high=np.array([s.maximum for s in specs]),
        zero_or_above=each([s.zero_or_above for s in specs]),
        ramp=each([ramp_step(space.site, s) for s in specs]),
        resolution=each([s.resolution or None for s in specs]),
    )
