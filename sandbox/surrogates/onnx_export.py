"""A trained network as an ONNX file: the same bytes for the same weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import UnavailableError
from sandbox.surrogates.initial_weights import Weights
from sandbox.surrogates.networks import Kind, ode_step, residual_step
from sandbox.surrogates.onnx_check import IR_VERSION, OPSET


class GraphWriter:
    """`networks.Operations` that write operators; a value is its name."""

    def __init__(self, helper: Any) -> None:
        self._helper = helper
        self.nodes: list[Any] = []

    def _node(self, kind: str, *names: str, **attributes: int) -> str:
        made = f"t{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, list(names), [made], **attributes))
        return made

    def gemm(self, a: str, weight: str, offset: str) -> str:
        """a weight + offset."""
        return self._node("Gemm", a, weight, offset)

    def add(self, a: str, b: str) -> str:
        """Sum."""
        return self._node("Add", a, b)

    def mul(self, a: str, row: str) -> str:
        """Product with a row of constants."""
        return self._node("Mul", a, row)

    def relu(self, a: str) -> str:
        """max(a, 0)."""
        return self._node("Relu", a)

    def tanh(self, a: str) -> str:
        """Hyperbolic tangent."""
        return self._node("Tanh", a)

    def concat(self, *parts: str) -> str:
        """Columns side by side."""
        return parts[0] if len(parts) == 1 else self._node("Concat", *parts, axis=1)


def network_bytes(kind: Kind, weights: Weights, inputs: int, substeps: int) -> bytes:
    """The file of one step: x (F, S), u (F, `inputs`) -> x_next (F, S), y (F, Y).

    Raises UnavailableError without the package onnx.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise UnavailableError("writing needs onnx", "pip install 'pilothouse[train]'") from error
    writer = GraphWriter(helper)
    names = {n: n for n in weights}
    if kind == "residual":
        x_next, y, _ = residual_step(writer, names, "x", "u")
    else:
        x_next, y = ode_step(writer, names, "x", "u", substeps)
    for node in writer.nodes:  # the last operators make what is asked for
        renamed = {x_next: "x_next", y: "y"}
        for names_of in (node.input, node.output):
            for i, name in enumerate(names_of):
                names_of[i] = renamed.get(name, name)
    used = {name for node in writer.nodes for name in node.input}
    states, outputs = weights["dx_scale"].shape[0], weights["y_mean"].shape[0]

    def table(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["futures", width])

    graph = helper.make_graph(
        writer.nodes, "surrogate", [table("x", states), table("u", inputs)],
        [table("x_next", states), table("y", outputs)],
        [constant(helper, TensorProto, n, v) for n, v in weights.items() if n in used],
    )  # fmt: skip
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION,
                              producer_name="pilothouse")  # fmt: skip
    return bytes(model.SerializeToString(deterministic=True))


def constant(helper: Any, kinds: Any, name: str, values: NDArray[np.float32]) -> Any:
    """An initializer of little-endian float32."""
    raw = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return helper.make_tensor(name, kinds.FLOAT, list(values.shape), raw, raw=True)
