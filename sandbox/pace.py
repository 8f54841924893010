"""How fast traces change, and how long what they show stays as it is."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
CHANGED = 1e-6  # setpoints are rounded far coarser than this


def greatest_rate(
    trace: Array, hours: float, mask: Bools, direction: str, before: float | None
) -> Array:
    """Greatest change an hour over the masked steps, (F,), in the trace's unit.

    Args:
        trace: (F, N). mask: (N,), the step at whose end a change has happened.
        direction: up, down or both. before: the value before the first step, None unknown.
    """
    change = np.diff(trace, axis=1) / hours
    counted = mask[1:]
    if before is not None:
        change = np.concatenate([(trace[:, :1] - before) / hours, change], axis=1)
        counted = mask
    change = {"up": change, "down": -change, "both": np.abs(change)}[direction]
    if not counted.any():
        return np.full(trace.shape[0], -np.inf)
    return np.asarray(change[:, counted].max(axis=1))


def shortest_stay(
    trace: Array, state: str, threshold: float, step_s: float, mask: Bools, on_before: bool,
    held_s: float,
) -> Array:  # fmt: skip
    """Seconds of the shortest stay that ends within the masked steps, (F,); infinite without any.

    Args:
        trace: (F, N). state: on (above the threshold), off, or same (any value).
        on_before: whether it was on before the first step. held_s: for how long, before it.
    """
    futures, steps = trace.shape
    same = state == "same"
    on = trace > threshold
    shortest, length = np.full(futures, np.inf), np.full(futures, held_s)
    for k in range(steps):
        if same:
            # Without a value before the first step, that step is no change.
            changed = np.abs(trace[:, k] - trace[:, max(k - 1, 0)]) > CHANGED
            counts = changed
        else:
            was = on[:, k - 1] if k else np.full(futures, on_before)
            changed = on[:, k] != was
            counts = changed & (was == (state == "on"))
        if mask[k]:
            shortest = np.where(counts, np.minimum(shortest, length), shortest)
        length = np.where(changed, step_s, length + step_s)
    return shortest
