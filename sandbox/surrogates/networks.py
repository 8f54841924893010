"""The two networks, each written once over a handful of operations.

Training reads them with torch's operations, the export with a graph writer's, so that the file
holds what was trained. `x` (F, S), `u` (F, U) are in physical units, `w` are the weights by name.
States that the replaced model clips (a tank's level) are clipped here too.

Residual (physics informed): the known linear step, plus the heat that the network says is delivered
through the known gain of heat, plus a residual r that no heat explains and that training punishes:

    x+ = x + drift(x, u) + heat y + r

Neural ODE (R. T. Q. Chen et al. (2018), arXiv:1806.07366): dx/dt = f(x, u) by classic Runge-Kutta
steps of a fixed length, outputs the mean of g(x, u) over the stages with the method's weights.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Kind = Literal["residual", "neural-ode"]
KINDS: tuple[Kind, ...] = ("residual", "neural-ode")
Value = Any  # a tensor while training, a name while writing the file


class Operations(Protocol):
    """What both networks are made of."""

    def gemm(self, a: Value, weight: Value, offset: Value) -> Value:
        """a weight + offset."""
        ...

    def add(self, a: Value, b: Value) -> Value:
        """Sum."""
        ...

    def mul(self, a: Value, row: Value) -> Value:
        """Product with a row of constants."""
        ...

    def relu(self, a: Value) -> Value:
        """max(a, 0)."""
        ...

    def tanh(self, a: Value) -> Value:
        """Hyperbolic tangent."""
        ...

    def concat(self, *parts: Value) -> Value:
        """Columns side by side."""
        ...


def residual_step(
    ops: Operations, w: Mapping[str, Value], x: Value, u: Value
) -> tuple[Value, Value, Value]:
    """x+, y and r in units of a usual change."""
    z = ops.concat(x, u)
    drift = ops.gemm(z, w["drift"], w["drift0"])
    seen = [ops.add(ops.mul(z, w["z_scale"]), w["z_shift"])]
    if "feature" in w:
        switch = ops.gemm(z, w["feature"], w["feature0"])
        seen += [switch, ops.relu(switch)]
    first = ops.concat(*seen)
    hidden = ops.relu(ops.gemm(first, w["w1"], w["b1"]))
    hidden = ops.relu(ops.gemm(hidden, w["w2"], w["b2"]))
    last = ops.concat(hidden, first)
    y = ops.add(ops.mul(ops.gemm(last, w["wy"], w["by"]), w["y_scale"]), w["y_mean"])
    r = ops.gemm(last, w["wr"], w["br"])
    change = ops.add(ops.add(drift, ops.mul(r, w["dx_scale"])), ops.gemm(y, w["heat"], w["heat0"]))
    return _clipped(ops, w, ops.add(x, change)), y, r


def ode_step(
    ops: Operations, w: Mapping[str, Value], x: Value, u: Value, substeps: int
) -> tuple[Value, Value]:
    """x+ and y after `substeps` classic Runge-Kutta steps; w["half"] etc. are their lengths."""
    total = None
    for _ in range(substeps):
        k1, y1 = _field(ops, w, x, u)
        k2, y2 = _field(ops, w, ops.add(x, ops.mul(k1, w["half"])), u)
        k3, y3 = _field(ops, w, ops.add(x, ops.mul(k2, w["half"])), u)
        k4, y4 = _field(ops, w, ops.add(x, ops.mul(k3, w["whole"])), u)
        ends, middles = ops.add(k1, k4), ops.add(k2, k3)
        slope = ops.add(ends, ops.add(middles, middles))
        x = ops.add(x, ops.mul(slope, w["sixth"]))
        shown = ops.add(ops.add(y1, y4), ops.add(ops.add(y2, y2), ops.add(y3, y3)))
        total = shown if total is None else ops.add(total, shown)
    return _clipped(ops, w, x), ops.add(ops.mul(total, w["y_scale"]), w["y_mean"])


def _field(ops: Operations, w: Mapping[str, Value], x: Value, u: Value) -> tuple[Value, Value]:
    """dx/dt in usual changes a step, and outputs in their spread."""
    z = ops.concat(x, u)
    first = ops.add(ops.mul(z, w["z_scale"]), w["z_shift"])
    hidden = ops.tanh(ops.gemm(first, w["w1"], w["b1"]))
    hidden = ops.tanh(ops.gemm(hidden, w["w2"], w["b2"]))
    last = ops.concat(hidden, first)
    slope = ops.mul(ops.gemm(last, w["wr"], w["br"]), w["dx_scale"])
    return slope, ops.gemm(last, w["wy"], w["by"])


def _clipped(ops: Operations, w: Mapping[str, Value], x: Value) -> Value:
    """min(max(x, low), high) from relu: high - relu(high - low - relu(x - low))."""
    if "low" not in w:
        return x
    above = ops.relu(ops.add(x, w["minus_low"]))
    short = ops.relu(ops.add(ops.mul(above, w["minus_one"]), w["span"]))
    return ops.add(ops.mul(short, w["minus_one"]), w["high"])


CONSTANTS = (
    "drift", "drift0", "feature", "feature0", "z_scale", "z_shift", "y_scale", "y_mean",
    "dx_scale", "heat", "heat0", "half", "whole", "sixth",
    "low", "minus_low", "span", "high", "minus_one",
)  # fmt: skip
