"""Series that a plan rests on, checked: long enough, and numbers throughout."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.snapshot import Snapshot

Array = NDArray[np.float64]


def usable_series(what: str, values: Any, steps: int) -> Array:
    """The first `steps` of `values`, (steps,).

    Raises:
        InputError: there are fewer, or one is no number; `what` names them.
    """
    array = np.asarray(values, dtype=float)
    if len(array) < steps:
        raise InputError(
            f"{what}: {len(array)} steps for a horizon of {steps}",
            "shorten the horizon or extend the series",
        )
    bad = np.flatnonzero(~np.isfinite(array[:steps]))
    if len(bad):
        raise InputError(f"{what}: not a number at step {int(bad[0])}", "mend the series")
    return array[:steps]


def forecast_series(snapshot: Snapshot, signal: str) -> Array:
    """A forecast over the snapshot's whole horizon, (N,), however much of it is planned.

    Raises:
        InputError: the snapshot has none of `signal`, or it is not usable.
    """
    try:
        values = snapshot.forecast(signal).values
    except KeyError:
        raise InputError(f"the snapshot has no forecast of {signal}", "forecast it first") from None
    return usable_series(f"forecast of {signal}", values, snapshot.horizon_steps)
