"""A mixed-integer linear programme whose rows and columns remember what they stand for.

    minimise  c x + offset   subject to   row_lower <= A x <= row_upper,  lower <= x <= upper,
    x_i integer where `integer`

Built in blocks, one block a constraint of the operator, the site or the physics, so that a
multiplier or a violation can be given back in the operator's words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]
INF = float("inf")


@dataclass(frozen=True)
class About:
    """What a block of rows or columns stands for. `steps[i]` belongs to the i-th row."""

    id: str
    label: str = ""
    signal: str | None = None
    unit: str = ""
    steps: tuple[int, ...] = ()


@dataclass(frozen=True)
class Block:
    """Consecutive rows (or columns) about one thing."""

    about: About
    index: Index


@dataclass(frozen=True)
class Milp:
    """The frozen problem. Matrix in triplets; costs by term, each (columns,)."""

    lower: Array
    upper: Array
    integer: NDArray[np.bool_]
    rows: Index
    cols: Index
    values: Array
    row_lower: Array
    row_upper: Array
    row_blocks: tuple[Block, ...]
    column_blocks: tuple[Block, ...]
    costs: dict[str, Array]
    constants: dict[str, float]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.lower)

    def activity(self, x: Array) -> Array:
        """A x, shape (rows,)."""
        product = self.values * x[self.cols]
        sums = np.bincount(self.rows, weights=product, minlength=len(self.row_lower))
        return np.asarray(sums, dtype=float)

    def residual(self, x: Array) -> float:
        """Greatest violation of any row, bound or integrality by `x`, in the rows' own units."""
        activity = self.activity(x)
        worst = [
            np.max(self.row_lower - activity, initial=0.0),
            np.max(activity - self.row_upper, initial=0.0),
            np.max(self.lower - x, initial=0.0),
            np.max(x - self.upper, initial=0.0),
            np.max(np.abs(x - np.round(x))[self.integer], initial=0.0),
        ]
        return float(max(worst))

    def term(self, name: str, x: Array) -> float:
        """Value of one cost term at `x`."""
        return float(self.costs[name] @ x) + self.constants.get(name, 0.0)

    def fixed(self, columns: Index, values: ArrayLike) -> "Milp":
        """The same problem with some columns fixed."""
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[columns] = values
        upper[columns] = values
        return replace(self, lower=lower, upper=upper)

    def relaxed(self) -> "Milp":
        """The linear relaxation."""
        return replace(self, integer=np.zeros_like(self.integer))

    def bounded(self, about: About, coefficients: Array, maximum: float) -> "Milp":
        """The same problem with one more row: coefficients x <= maximum."""
        at = np.flatnonzero(coefficients)
        row = len(self.row_lower)
        return replace(
            self,
            rows=np.concatenate([self.rows, np.full(len(at), row)]),
            cols=np.concatenate([self.cols, at]),
            values=np.concatenate([self.values, coefficients[at]]),
            row_lower=np.append(self.row_lower, -INF),
            row_upper=np.append(self.row_upper, maximum),
            row_blocks=(*self.row_blocks, Block(about, np.array([row], dtype=np.int64))),
        )


Term = tuple[Index, ArrayLike]


@dataclass(frozen=True)
class Switch:
    """Binaries that keep two flows apart: 1 leaves `flow` open, 0 `counterflow`; all (n,)."""

    columns: Index
    flow: Index
    counterflow: Index

    def guess(self, x: Array) -> Array:
        """The side of the greater flow at a point, (n,)."""
        return (x[self.flow] >= x[self.counterflow]).astype(float)


@dataclass
class MilpBuilder:
    """Collects blocks; `freeze` makes the problem."""

    _lower: list[Array] = field(default_factory=list)
    _upper: list[Array] = field(default_factory=list)
    _integer: list[NDArray[np.bool_]] = field(default_factory=list)
    _entries: list[tuple[Index, Index, Array]] = field(default_factory=list)
    _row_lower: list[Array] = field(default_factory=list)
    _row_upper: list[Array] = field(default_factory=list)
    _row_blocks: list[Block] = field(default_factory=list)
    _column_blocks: list[Block] = field(default_factory=list)
    _costs: dict[str, list[tuple[Index, Array]]] = field(default_factory=dict)
    _constants: dict[str, float] = field(default_factory=dict)
    _columns: int = 0
    _rows: int = 0

    def columns(
        self,
        count: int,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        integer: bool = False,
        about: About | None = None,
    ) -> Index:
        """Add `count` columns; bounds are scalars or (count,). Returns their indices."""
        index = np.arange(self._columns, self._columns + count, dtype=np.int64)
        self._columns += count
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=float), (count,)))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=float), (count,)))
        self._integer.append(np.full(count, integer))
        if about is not None:
            self._column_blocks.append(Block(about, index))
        return index

    def rows(
        self,
        terms: Sequence[Term],
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        about: About | None = None,
    ) -> Index:
        """Add len(columns) rows: lower <= sum over terms of coefficient * column <= upper.

        Each term is (columns, coefficients), one column a row; coefficients scalar or per row.
        """
        count = len(terms[0][0])
        index = np.arange(self._rows, self._rows + count, dtype=np.int64)
        self._rows += count
        self._row_lower.append(np.broadcast_to(np.asarray(lower, dtype=float), (count,)))
        self._row_upper.append(np.broadcast_to(np.asarray(upper, dtype=float), (count,)))
        for columns, coefficients in terms:
            self.add(index, columns, coefficients)
        if about is not None:
            self._row_blocks.append(Block(about, index))
        return index

    def row(
        self, terms: Sequence[Term], lower: float, upper: float, *, about: About | None = None
    ) -> Index:
        """Add one row over all columns of all terms. Returns its index, shape (1,)."""
        index = np.array([self._rows], dtype=np.int64)
        self._rows += 1
        self._row_lower.append(np.array([lower]))
        self._row_upper.append(np.array([upper]))
        for columns, coefficients in terms:
            self.add(np.repeat(index, len(columns)), columns, coefficients)
        if about is not None:
            self._row_blocks.append(Block(about, index))
        return index

    def add(self, rows: Index, columns: Index, coefficients: ArrayLike) -> None:
        """Add coefficients to rows that exist."""
        values = np.broadcast_to(np.asarray(coefficients, dtype=float), (len(rows),))
        self._entries.append((rows, columns, values))

    def cost(self, term: str, columns: Index, coefficients: ArrayLike) -> None:
        """Add coefficient * column to a cost term."""
        values = np.broadcast_to(np.asarray(coefficients, dtype=float), (len(columns),))
        self._costs.setdefault(term, []).append((columns, values))

    def constant(self, term: str, value: float) -> None:
        """Add a constant to a cost term."""
        self._costs.setdefault(term, [])
        self._constants[term] = self._constants.get(term, 0.0) + value

    def freeze(self) -> Milp:
        """The problem as collected so far; equal (row, column) pairs are summed."""
        rows, cols, values = self._triplets()
        return Milp(
            lower=np.concatenate(self._lower),
            upper=np.concatenate(self._upper),
            integer=np.concatenate(self._integer),
            rows=rows,
            cols=cols,
            values=values,
            row_lower=np.concatenate(self._row_lower),
            row_upper=np.concatenate(self._row_upper),
            row_blocks=tuple(self._row_blocks),
            column_blocks=tuple(self._column_blocks),
            costs={name: self._dense(parts) for name, parts in self._costs.items()},
            constants=dict(self._constants),
        )

    def _triplets(self) -> tuple[Index, Index, Array]:
        rows = np.concatenate([e[0] for e in self._entries])
        cols = np.concatenate([e[1] for e in self._entries])
        values = np.concatenate([e[2] for e in self._entries])
        keys, inverse = np.unique(rows * self._columns + cols, return_inverse=True)
        summed = np.bincount(inverse, weights=values)
        keep = summed != 0.0
        keys = keys[keep]
        return keys // self._columns, keys % self._columns, summed[keep]

    def _dense(self, parts: list[tuple[Index, Array]]) -> Array:
        dense = np.zeros(self._columns)
        for columns, values in parts:
            np.add.at(dense, columns, values)
        return dense
