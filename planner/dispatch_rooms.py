"""The rooms' thermal network as columns and rows, whatever heats or cools them."""

import numpy as np
from numpy.typing import NDArray

from planner.dispatch_inputs import DispatchInputs
from planner.milp import INF, Index, MilpBuilder, Term

Array = NDArray[np.float64]
# A coefficient this small moves a temperature by less than 1e-5 K over the whole horizon; the
# exact network couples every room with every other, most of them by less.
LEAST_COEFFICIENT = 1e-8


def add_rooms(
    builder: MilpBuilder, data: DispatchInputs, flows: tuple[tuple[Term, ...], ...]
) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
    """x+ = A x + B q + forcing, exactly as the twin's zero-order hold has it.

    Args:
        flows: by zone, the terms of its heat q, each with columns (N,) that are equal within a
            period of the grid.

    Returns:
        By state, columns (N,) that stand for its value at the end of each step's period, and rows
        (P,) of its balance.
    """
    zones, grid = data.hub.zones, data.grid
    assert zones is not None
    count, periods = len(zones.states), len(grid.ends)
    ends = tuple(builder.columns(periods, -INF, INF) for _ in range(count))
    state: list[list[Index]] = [[] for _ in range(count)]
    where: list[Index] = []
    for length in np.unique(grid.lengths):
        chosen = np.flatnonzero(grid.lengths == length)
        A, B, forcing = _over(data, int(length), chosen)
        first = int(chosen[0]) == 0
        if first:
            forcing[:, 0] += A @ data.zone_state
        at = grid.ends[chosen]
        for s in range(count):
            terms: list[Term] = [(ends[s][chosen], 1.0)]
            for z, flow in enumerate(flows):
                if abs(B[s, z]) > LEAST_COEFFICIENT:
                    terms += [(q[at], -B[s, z] * np.asarray(sign)) for q, sign in flow]
            rows = builder.rows(terms, forcing[s], forcing[s])
            for other in np.flatnonzero(np.abs(A[s]) > LEAST_COEFFICIENT):
                skip = int(first)
                builder.add(rows[skip:], ends[other][chosen[skip:] - 1], -A[s, other])
            state[s].append(rows)
        where.append(chosen)
    order = np.argsort(np.concatenate(where))
    balances = tuple(np.concatenate(parts)[order] for parts in state)
    return tuple(e[grid.period] for e in ends), balances


def _over(data: DispatchInputs, length: int, periods: Index) -> tuple[Array, Array, Array]:
    """A, B and the forcing (S, len(periods)) over `length` steps of constant heat."""
    zones = data.hub.zones
    assert zones is not None
    A, B = np.eye(len(zones.states)), np.zeros_like(zones.B)
    forcing = np.zeros((len(zones.states), len(periods)))
    first = data.grid.ends[periods] - length + 1
    for k in range(length):
        A, B = zones.A @ A, zones.A @ B + zones.B
        forcing = zones.A @ forcing + data.forcing[:, first + k]
    return A, B, forcing


def room_path(data: DispatchInputs, heat: Array) -> Array:
    """States at the end of every step, (S, N), under the zones' heat (Z, N) in kW."""
    zones = data.hub.zones
    assert zones is not None
    path, x = np.empty((len(zones.states), data.steps)), data.zone_state
    for k in range(data.steps):
        x = zones.A @ x + zones.B @ heat[:, k] + data.forcing[:, k]
        path[:, k] = x
    return path
