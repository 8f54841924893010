"""The bench's model written by hand for numba: one future after the other, futures in parallel."""

import numpy as np
from numba import njit, prange, set_num_threads
from numpy.typing import NDArray

from api.rollout_rivals import ZONES, Rival

Array = NDArray[np.float64]


@njit(error_model="numpy")  # type: ignore[untyped-decorator]
def _slopes(x: Array, u: Array, p: Array, rate: Array) -> float:
    total = 0.0
    ua_next, ua_emit, supply = p[6 * ZONES], p[6 * ZONES + 1], p[6 * ZONES + 2]
    for z in range(ZONES):
        air, mass = x[2 * z], x[2 * z + 1]
        beside = x[2 * (z - 1 if z else ZONES - 1)] + x[2 * (z + 1 if z < ZONES - 1 else 0)]
        most = max(ua_emit * (supply - air), 0.0)
        heat = max(min(u[2 + z], most), 0.0)
        sun, inward = p[4 * ZONES + z] * u[1], p[3 * ZONES + z] * (air - mass)
        into = p[5 * ZONES + z] * sun
        flow = p[2 * ZONES + z] * (u[0] - air) + ua_next * (beside - 2.0 * air)
        rate[2 * z] = (flow + heat - inward + sun - into) / (3600.0 * p[z])
        rate[2 * z + 1] = (inward + into) / (3600.0 * p[ZONES + z])
        total += heat
    return total


@njit(parallel=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _run(x0: Array, u: Array, p: Array, h: float, states: Array, outputs: Array) -> None:
    size = x0.shape[1]
    for f in prange(x0.shape[0]):
        x, there = x0[f].copy(), np.empty(size)
        k1, k2, k3, k4 = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
        for k in range(u.shape[1]):
            q = _slopes(x, u[f, k], p[f], k1)
            for i in range(size):
                there[i] = x[i] + h / 2 * k1[i]
            q += 2 * _slopes(there, u[f, k], p[f], k2)
            for i in range(size):
                there[i] = x[i] + h / 2 * k2[i]
            q += 2 * _slopes(there, u[f, k], p[f], k3)
            for i in range(size):
                there[i] = x[i] + h * k3[i]
            q += _slopes(there, u[f, k], p[f], k4)
            for i in range(size):
                x[i] += h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i])
                states[f, k, i] = x[i]
            outputs[f, k, 0] = q / 6


def numba_rollouts(step_s: float, threads: int) -> Rival:
    """The compiled roll-outs."""
    set_num_threads(threads)

    def run(x0: Array, u: Array, p: Array) -> tuple[Array, Array]:
        states, outputs = np.empty((*u.shape[:2], x0.shape[1])), np.empty((*u.shape[:2], 1))
        _run(x0, u, p, step_s, states, outputs)
        return states, outputs

    return run
