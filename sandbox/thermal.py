"""The zones' resistance-capacitance network and its exact discretisation.

Each zone has an air node and a mass node. Air exchanges heat with the outdoors, with its mass and
with the air of its neighbour (the next zone in the site's order); solar and internal gains and the
emitter heat the air, and part of the sun reaches the mass:

    C_air dTa/dt  = UA_out (To - Ta) + UA_mass (Tm - Ta) + UA_between (Tn - Ta) + q + gains
    C_mass dTm/dt = UA_mass (Ta - Tm) + aperture_mass G

Temperatures in degC, heat in kW, capacities in kWh/K, time in hours. Discretised with all inputs
constant over a step (zero-order hold), which is exact. Source: Bacher and Madsen (2011),
doi:10.1016/j.enbuild.2011.02.005, models "TiTh".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TAYLOR_ORDER = 10  # with the argument scaled below 1/2 the remainder is under 1e-10 relative


@dataclass(frozen=True)
class ThermalMatrices:
    """x+ = A x + B q + e_outdoor To + e_ghi G + e_load L + constant, x = (air, mass, air, ...).

    Shapes for Z zones: A (2Z, 2Z), B (2Z, Z), the rest (2Z,). q in kW, To in degC, G in W/m2,
    L in kW.
    """

    A: Array
    B: Array
    e_outdoor: Array
    e_ghi: Array
    e_load: Array
    constant: Array


def continuous(parameters: dict[str, Array], zones: tuple[str, ...]) -> tuple[Array, Array, Array]:
    """A_c (S, S, F), B_c (S, 2Z, F) for heat into each node, e_c (S, F) for outdoor temperature."""
    count = len(zones)
    size = len(next(iter(parameters.values())))
    A = np.zeros((2 * count, 2 * count, size))
    B = np.zeros((2 * count, 2 * count, size))
    e = np.zeros((2 * count, size))
    for i, zone in enumerate(zones):
        air, mass = 2 * i, 2 * i + 1
        c_air, c_mass = parameters[f"{zone}.c_air_kwh_k"], parameters[f"{zone}.c_mass_kwh_k"]
        out, inner = parameters[f"{zone}.ua_out_kw_k"], parameters[f"{zone}.ua_mass_kw_k"]
        A[air, air] -= (out + inner) / c_air
        A[air, mass] = inner / c_air
        A[mass, air] = inner / c_mass
        A[mass, mass] = -inner / c_mass
        B[air, air], B[mass, mass] = 1.0 / c_air, 1.0 / c_mass
        e[air] = out / c_air
    between = parameters["zones.ua_between_kw_k"]
    for i in range(count - 1):
        for a, b in ((i, i + 1), (i + 1, i)):
            c_air = parameters[f"{zones[a]}.c_air_kwh_k"]
            A[2 * a, 2 * a] -= between / c_air
            A[2 * a, 2 * b] += between / c_air
    return A, B, e


def contract(matrix: Array, vector: Array) -> Array:
    """(m, n, F) times (n, F) -> (m, F), summed in a fixed order so that F does not matter."""
    total = matrix[:, 0] * vector[0]
    for k in range(1, vector.shape[0]):
        total = total + matrix[:, k] * vector[k]
    return np.asarray(total)


def _product(a: Array, b: Array) -> Array:
    """Matrix product of stacks laid out (n, n, F), summed in a fixed order."""
    total = a[:, 0, None, :] * b[None, 0]
    for k in range(1, a.shape[1]):
        total = total + a[:, k, None, :] * b[None, k]
    return np.asarray(total)


def expm(matrix: Array) -> Array:
    """Matrix exponential of a stack (n, n, F) by scaling, Taylor series and squaring.

    The number of squarings is a property of each column F, not of the batch, so a column's result
    does not depend on its neighbours.
    """
    n = matrix.shape[0]
    norm = np.abs(matrix).sum(axis=1).max(axis=0)
    squarings = np.maximum(0, np.ceil(np.log2(np.maximum(norm, 1e-300)) + 1.0)).astype(int)
    scaled = matrix / np.exp2(squarings)
    eye = np.repeat(np.eye(n)[:, :, None], matrix.shape[2], axis=2)
    result = eye.copy()
    for k in range(TAYLOR_ORDER, 0, -1):
        result = eye + _product(scaled, result) / k
    for done in range(int(squarings.max(initial=0))):
        result = np.where(squarings > done, _product(result, result), result)
    return np.asarray(result)


def discretise(A: Array, B: Array, e: Array, step_h: float) -> tuple[Array, Array, Array]:
    """Zero-order-hold matrices of the stacks of `continuous` over `step_h` hours."""
    n, inputs, size = A.shape[0], B.shape[1] + 1, A.shape[2]
    block = np.zeros((n + inputs, n + inputs, size))
    block[:n, :n] = A * step_h
    block[:n, n:-1] = B * step_h
    block[:n, -1] = e * step_h
    full = expm(block)
    return full[:n, :n].copy(), full[:n, n:-1].copy(), full[:n, -1].copy()
