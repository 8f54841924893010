"""The port through which the safety filter looks ahead. It knows no planner and no twin."""

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
StateT = TypeVar("StateT", contravariant=True)


class FilterModel(Protocol[StateT]):
    """A plant with a backup law of its own, under bounded disturbances.

    Moves are setpoints (U,) in the order of `points`; NaN leaves a point to the backup law.
    """

    @property
    def points(self) -> tuple[str, ...]:
        """The commanded points."""
        ...

    @property
    def low(self) -> Array:
        """Least setpoint of each point, (U,)."""
        ...

    @property
    def high(self) -> Array:
        """Greatest setpoint of each point, (U,)."""
        ...

    @property
    def constraints(self) -> tuple[str, ...]:
        """What must hold, in words, (C,)."""
        ...

    def admissible(self, state: StateT, moves: Array) -> Array:
        """The nearest moves (M, U) that the plant would take: range, ramp, least power."""
        ...

    def backup_move(self, state: StateT) -> Array:
        """What the backup law would set first, (U,), finite."""
        ...

    def excess(self, state: StateT, moves: Array) -> Array:
        """How far each constraint is exceeded at worst, (M, C); at most 0: it is kept.

        moves: (M, K, U), K >= 0: applied step by step, then the backup law to the horizon's end.
        The worst is taken over the steps and over the disturbances inside their bounds; constraints
        on the end (the terminal set) are among the C. In tolerances of each constraint, so that
        they compare.
        """
        ...
