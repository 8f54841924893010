"""One zone's model on telemetry: linear for given ventilation, so windows run as matrix products.

The matrices are the symbolic model's own Jacobians (exact: the model is linear in states and
inputs), discretised by zero-order hold. Nodes behind the air, which nobody measures, follow from
the measured air by their own equations over the whole record. Everything is done for K parameter
vectors at once, so that a fit's Jacobian is one call.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.building.equations import zone_model
from sandbox.building.names import symbolic_parameters, zone_names
from sandbox.building.rows import Ints, Rows, mean_over
from sandbox.building.structure import Structure
from sandbox.symbolic.casadi_sx import casadi

Array = NDArray[np.float64]
SETTLE_H = 6.0  # the hidden nodes of a stretch start at its mean air temperature of so many hours


@dataclass(frozen=True)
class Matrices:
    """x+ = A x + B u of K parameter vectors, without (index 0) and with (1) ventilation.

    A (2, K, S, S), B (2, K, S, U). Of the nodes behind the air alone, with the air as an input:
    h+ = inner h + air Ta + drive u; inner (K, S-1, S-1), air (K, S-1), drive (K, S-1, U).
    """

    A: Array
    B: Array
    inner: Array
    air: Array
    drive: Array


class ZoneLinear:
    """The model of one zone with `structure`, over `rows`."""

    def __init__(self, structure: Structure, zone: str, rows: Rows) -> None:
        self.structure, self.zone, self.rows = structure, zone, rows
        pairs = tuple(name for _, name in structure.neighbours(zone))
        self.names = (*zone_names(structure, zone), *pairs)
        self.model = zone_model(structure, zone, symbolic_parameters(self.names, {}))
        self.inputs = tuple(n for n in self.model.input_names if n != "ventilating")
        self.order = structure.order[zone]
        self.gain_column = self.inputs.index(f"{zone}.gain_kw")
        self.ventilating = np.asarray(rows.shared["ventilating"] > 0.5, dtype=np.int64)
        self.measured = np.nan_to_num(rows.temps[zone])
        self.middle = np.nan_to_num(mean_over(rows.temps[zone]))
        self.stretches = rows.stretches(0, len(rows))

    @cached_property
    def _jacobian(self) -> Any:
        """(u (U, K), p (P, K)) -> continuous (A (S, S K), B (S, U K)) per second."""
        ca, w = casadi(), self.model.written
        parts = [ca.densify(ca.jacobian(w.flow, v)) for v in (w.x, w.u)]
        parts = [ca.substitute(e, w.x, ca.DM.zeros(w.x.shape)) for e in parts]
        return ca.Function("jacobian", [w.u, w.p], parts)

    @cached_property
    def table(self) -> Array:
        """Inputs (R, U) of every row with no gain: neighbours' air is the mean over the row."""
        rows = self.rows
        columns = {n: v for n, v in rows.shared.items() if n != "ventilating"}
        columns[f"{self.zone}.gain_kw"] = np.zeros(len(rows))
        columns[f"{self.zone}.heat_kw"] = rows.heat[self.zone]
        for other, _ in self.structure.neighbours(self.zone):
            columns[f"{other}.air"] = mean_over(rows.temps[other])
        return np.nan_to_num(np.stack([columns[n] for n in self.inputs], axis=1))

    def driven(self, gain: Array) -> Array:
        """`table` with a gain (R,) in it."""
        found = self.table.copy()
        found[:, self.gain_column] = gain
        return found

    def matrices(self, values: Array) -> Matrices:
        """Discrete matrices over a row at parameter values (K, P) in the order of `names`."""
        count, size = len(values), self.order
        names = self.model.input_names
        keep = [i for i, n in enumerate(names) if n != "ventilating"]
        slow = np.zeros((2, count, size, size))
        drive = np.zeros((2, count, size, len(keep)))
        for on in (0, 1):
            u = np.zeros((len(names), count))
            u[names.index("ventilating")] = on
            a, b = (np.array(m, dtype=float) for m in self._jacobian(u, values.T))
            slow[on] = a.reshape(size, count, size).transpose(1, 0, 2)
            drive[on] = b.reshape(size, count, len(names)).transpose(1, 0, 2)[:, :, keep]
        step = self.rows.step_s
        moved, gain = _hold(slow, step)
        inner, behind = _hold(slow[0][:, 1:, 1:], step)
        return Matrices(
            A=moved,
            B=np.einsum("vkij,vkju->vkiu", gain, drive),
            inner=inner,
            air=np.einsum("kij,kj->ki", behind, slow[0][:, 1:, 0]),
            drive=np.einsum("kij,kju->kiu", behind, drive[0][:, 1:]),
        )

    def hidden(self, m: Matrices, table: Array) -> Array:
        """States (K, R, S) at each row's end: air as measured, hidden nodes by their equations.

        The nodes behind the air do not see ventilation, so one matrix serves all rows. Within a
        row the air is taken at the mean of its measured ends.
        """
        count = len(m.inner)
        states = np.full((count, len(self.rows), self.order), np.nan)
        states[:, :, 0] = self.measured
        if self.order == 1:
            return states
        forcing = _product(table, m.drive) + self.middle[None, :, None] * m.air[:, None]
        settle = self.rows.steps(SETTLE_H)
        for part in self.stretches:
            level = float(np.mean(self.measured[part.start : part.start + settle]))
            for k in range(count):
                states[k, part, 1:] = _recursion(m.inner[k], forcing[k, part], level)
        return states

    def errors(
        self, values: Array, gain: Array, starts: Ints, length: int, level: Array | None = None
    ) -> Array:
        """Air temperature predicted less measured (K, W, length) from measured starts.

        gain: (R,) for all parameter vectors; level: (K,) kW more of it for each.
        """
        m, table = self.matrices(values), self.driven(gain)
        x = self.hidden(m, table)[:, starts]
        vent = self.ventilating
        forced = np.where(vent[:, None] > 0, _product(table, m.B[1]), _product(table, m.B[0]))
        if level is not None:
            # Gains reach the air only, so the hidden nodes above need no level.
            column = m.B[:, :, :, self.gain_column] * level[None, :, None]
            forced = forced + np.where(vent[:, None] > 0, column[1][:, None], column[0][:, None])
        still, airy = (np.ascontiguousarray(a.transpose(0, 2, 1)) for a in m.A)
        index = starts[:, None] + 1 + np.arange(length)[None]
        found = np.empty((len(values), len(starts), length))
        for k in range(length):
            at = index[:, k]
            on = vent[at][:, None] > 0
            x = np.where(on, x @ airy, x @ still) + forced[:, at]
            found[:, :, k] = x[:, :, 0]
        return np.asarray(found - self.measured[index][None])

    def unexplained(self, values: Array, gain: Array) -> Array:
        """Heat (R,) in kW that would have made each row's prediction right at values (P,).

        NaN where unknown.
        """
        m, table = self.matrices(values[None]), self.driven(gain)
        states, vent = self.hidden(m, table)[0], self.ventilating
        before = np.concatenate([np.full((1, self.order), np.nan), states[:-1]])
        step = np.einsum("rij,rj->ri", m.A[vent, 0], before)[:, 0]
        ends = step + np.einsum("ru,ru->r", m.B[vent, 0, 0], table)
        found = (self.measured - ends) / m.B[vent, 0, 0, self.gain_column]
        known = self.rows.usable & np.concatenate([[False], self.rows.settled[:-1]])
        return np.where(known, found, np.nan)


def _hold(slow: Array, step_s: float) -> tuple[Array, Array]:
    """exp(A h) and its integral for stacks of continuous matrices (..., n, n)."""
    from scipy.linalg import expm

    size = slow.shape[-1]
    block = np.zeros((*slow.shape[:-2], 2 * size, 2 * size))
    block[..., :size, :size] = slow * step_s
    block[..., :size, size:] = np.eye(size) * step_s
    moved = expm(block)
    return moved[..., :size, :size], moved[..., :size, size:]


def _product(rows: Array, matrix: Array) -> Array:
    """rows (R, U) times matrices (K, S, U), (K, R, S)."""
    return np.asarray(rows[None] @ np.ascontiguousarray(matrix.transpose(0, 2, 1)))


def _recursion(matrix: Array, forcing: Array, level: float) -> Array:
    """x_k = matrix x_(k-1) + forcing_k from all nodes at `level`, (n, s), by the real modes."""
    from scipy.signal import lfilter

    values, vectors = np.linalg.eig(matrix)
    values, vectors = values.real, vectors.real
    back = np.linalg.inv(vectors)
    modal = forcing @ back.T
    start = back @ np.full(len(matrix), level)
    for i, value in enumerate(values):
        modal[:, i], _ = lfilter([1.0], [1.0, -value], modal[:, i], zi=[value * start[i]])
    return np.asarray(modal @ vectors.T)
