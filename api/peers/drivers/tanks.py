"""Johansson's four tanks (2000, doi:10.1109/87.845876) as every driver of equations states them."""

from collections.abc import Callable, Sequence
from typing import Any

AREA = (28.0, 32.0, 28.0, 32.0)  # cm2
OUTLET = (0.071, 0.057, 0.071, 0.057)
GRAVITY = 981.0  # cm/s2


def rates(
    h: Sequence[Any], v: Sequence[Any], p: dict[str, float], sqrt: Callable[[Any], Any]
) -> list[Any]:
    """Level changes in cm/s of levels `h` (cm) under pump voltages `v`; floats or symbols."""
    out = [a * sqrt(2.0 * GRAVITY * x) for a, x in zip(OUTLET, h, strict=True)]
    flow = p["k1"] * v[0], p["k2"] * v[1]
    net = [
        out[2] - out[0] + p["gamma1"] * flow[0],
        out[3] - out[1] + p["gamma2"] * flow[1],
        (1.0 - p["gamma2"]) * flow[1] - out[2],
        (1.0 - p["gamma1"]) * flow[0] - out[3],
    ]
    return [q / a for q, a in zip(net, AREA, strict=True)]


def checked_rates(problem: dict[str, Any]) -> list[float]:
    """The rates at the start, by which the asker sees that the same plant is meant."""
    found = rates(problem["x0"], problem["u0"], problem["parameters"], lambda x: x**0.5)
    return [float(r) for r in found]
