"""The predictive safety filter: a proposed move passes only if the plant is proven to be kept.

After Wabersich and Zeilinger, "A predictive safety filter for learning-based control of constrained
nonlinear dynamical systems", Automatica 129 (2021), https://doi.org/10.1016/j.automatica.2021.109597,
with the plant's own law as the backup law. A move is safe if, for every disturbance inside its
bounds, the plant under that move, then the moves planned after it, and then the backup law keeps
every constraint over the horizon and ends in the terminal set. In this order:

1. A move that is not finite is none; one outside range, ramp or least power is brought inside.
2. The proposed move is safe: it passes unchanged.
3. The nearest safe one of the moves between it and the backup law's is taken: all points together,
   and one point at a time.
4. The rest of the last safe plan is safe: it goes on.
5. The backup law is safe: it takes over.
6. Nothing is safe: the plant is outside the viable set. The least violation is chosen and named.

If step 2 or 3 certified the last move, step 4 or 5 finds a safe one now as long as disturbances
stay inside their bounds and the terminal set is invariant under the backup law: the horizon's tail
was already proven (recursive feasibility).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from safety.filter.model import FilterModel

Array = NDArray[np.float64]
StateT = TypeVar("StateT")
BLENDS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)  # shares of the way to the backup law
SINGLE = (0.25, 0.5, 0.75, 1.0)  # the same for one point at a time
SAME = 1e-9  # of a point's range: smaller differences are none


class Verdict(StrEnum):
    """What the filter did."""

    UNCHANGED = "unchanged"
    CORRECTED = "corrected"
    LAST_PLAN = "last_safe_plan"
    BACKUP = "backup_law"
    LEAST_VIOLATION = "least_violation"


@dataclass(frozen=True)
class Certified:
    """The move to make and why. move: (U,), NaN leaves a point to the backup law.

    correction: greatest change of a point, as a share of its range; 1 where nothing usable was
    proposed. constraint, excess: what is exceeded at worst and by how many tolerances, where
    nothing is safe; else what the proposed move would have exceeded ("" where nothing).
    """

    move: Array
    verdict: Verdict
    correction: float
    constraint: str = ""
    excess: float = 0.0
    reason: str = ""

    @property
    def safe(self) -> bool:
        """Whether the move is proven."""
        return self.verdict is not Verdict.LEAST_VIOLATION


class SafetyFilter(Generic[StateT]):
    """Certifies move after move of one plant; remembers the last safe plan."""

    def __init__(self, model: FilterModel[StateT]) -> None:
        self.model = model
        self._plan = np.empty((0, len(model.points)))

    def certify(self, state: StateT, proposed: Array) -> Certified:
        """The move to make now.

        Args:
            state: what the model looks ahead from.
            proposed: (U,), or (K, U) with the moves that are meant to follow.

        Raises:
            InputError: not that many points.
        """
        model = self.model
        wanted = np.atleast_2d(np.asarray(proposed, dtype=float))
        if wanted.ndim != 2 or wanted.shape[1] != len(model.points) or not len(wanted):
            raise InputError(
                f"a move of shape {np.shape(proposed)}", f"expected ({len(model.points)},)"
            )
        last, self._plan = self._plan[1:], self._plan[:0]
        if not np.isfinite(wanted).all():  # 1
            return self._fall_back(state, last, "the proposed move is not finite", None)
        usable = _admissible(model, state, wanted)
        reason = _changed(model, wanted[0], usable[0])
        beyond = model.excess(state, usable[None])
        worst = int(beyond[0].argmax())
        if (beyond <= 0.0).all():  # 2
            self._plan = usable
            verdict = Verdict.CORRECTED if reason else Verdict.UNCHANGED
            return Certified(usable[0], verdict, _size(model, wanted[0], usable[0]), reason=reason)
        name, amount = model.constraints[worst], float(beyond[0, worst])
        found = self._nearest(state, wanted[0], usable[0])  # 3
        if found is not None:
            self._plan = found[None]
            return Certified(found, Verdict.CORRECTED, _size(model, wanted[0], found), name, amount)
        return self._fall_back(state, last, "", (wanted[0], usable, name, amount))

    def _nearest(self, state: StateT, wanted: Array, usable: Array) -> Array | None:
        moves = _between(usable, self.model.backup_move(state))
        moves = self.model.admissible(state, moves)
        safe = (self.model.excess(state, moves[:, None]) <= 0.0).all(axis=1)
        if not safe.any():
            return None
        sizes = np.array([_distance(self.model, wanted, m) for m in moves])
        return np.asarray(moves[int(np.where(safe, sizes, np.inf).argmin())])

    def _fall_back(
        self, state: StateT, last: Array, reason: str,
        proposed: tuple[Array, Array, str, float] | None,
    ) -> Certified:  # fmt: skip
        model = self.model
        points = len(model.points)
        name, amount = ("", 0.0) if proposed is None else proposed[2:]
        local = np.full(points, np.nan)
        options: list[tuple[Verdict, Array]] = []
        if len(last):  # 4
            options.append((Verdict.LAST_PLAN, last))
        options.append((Verdict.BACKUP, np.empty((0, points))))  # 5
        found: list[tuple[float, int, Array]] = []
        for verdict, moves in options:
            beyond = model.excess(state, moves[None])[0]
            worst = int(beyond.argmax())
            if beyond[worst] <= 0.0:
                self._plan = moves
                move = moves[0] if len(moves) else local
                size = 1.0 if proposed is None else self._moved(state, proposed[0], move)
                return Certified(move, verdict, size, name, amount, reason)
            found.append((float(beyond[worst]), worst, moves[0] if len(moves) else local))
        if proposed is not None:  # 6
            found += self._violations(state, proposed[1][0])
        amount, worst, move = min(found, key=lambda f: f[0])
        size = 1.0 if proposed is None else self._moved(state, proposed[0], move)
        return Certified(
            move, Verdict.LEAST_VIOLATION, size, model.constraints[worst], amount,
            reason or "the plant is outside the viable set",
        )  # fmt: skip

    def _violations(self, state: StateT, usable: Array) -> list[tuple[float, int, Array]]:
        """Worst excess, which constraint, and move, of the proposed one and those between."""
        between = _between(usable, self.model.backup_move(state))
        moves = self.model.admissible(state, np.concatenate([usable[None], between]))
        beyond = self.model.excess(state, moves[:, None])
        return [(float(b.max()), int(b.argmax()), m) for b, m in zip(beyond, moves, strict=True)]

    def _moved(self, state: StateT, wanted: Array, move: Array) -> float:
        made = np.where(np.isnan(move), self.model.backup_move(state), move)
        return _size(self.model, wanted, made)


def _admissible(model: FilterModel[StateT], state: StateT, wanted: Array) -> Array:
    """The plan with its first move as the plant would take it, the others inside their ranges."""
    first = model.admissible(state, wanted[:1])
    return np.concatenate([first, np.clip(wanted[1:], model.low, model.high)])


def _between(usable: Array, backup: Array) -> Array:
    """Moves between the proposed one and the backup law's, (M, U)."""
    moves = [usable + share * (backup - usable) for share in BLENDS]
    for i in range(len(usable)):
        for share in SINGLE:
            move = usable.copy()
            move[i] += share * (backup[i] - usable[i])
            moves.append(move)
    return np.array(moves)


def _distance(model: FilterModel[StateT], one: Array, other: Array) -> float:
    """Euclidean, in shares of the ranges: which of several moves is nearest."""
    gap = (np.clip(one, model.low, model.high) - other) / (model.high - model.low)
    return float(np.sqrt((gap * gap).sum()))


def _size(model: FilterModel[StateT], one: Array, other: Array) -> float:
    """Greatest change of a point as a share of its range, at most 1."""
    share = float((np.abs(one - other) / (model.high - model.low)).max())
    return min(share, 1.0) if share > SAME else 0.0


def _changed(model: FilterModel[StateT], wanted: Array, usable: Array) -> str:
    """Which points were outside what the plant takes; "" for none."""
    moved = np.abs(wanted - usable) > SAME * (model.high - model.low)
    names = [p for p, m in zip(model.points, moved, strict=True) if m]
    return f"outside range, ramp or least power: {', '.join(names)}" if names else ""
