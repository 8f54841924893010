"""An actor as an ONNX file, in the form that `sandbox.surrogates.onnx_check` proves: same weights,
same bytes.
"""

from typing import Any

from graph.errors import UnavailableError
from planner.rl.actor import Actor
from sandbox.surrogates.onnx_check import IR_VERSION, OPSET
from sandbox.surrogates.onnx_export import GraphWriter, constant

INPUT, OUTPUT = "observation", "action"


def actor_bytes(actor: Actor) -> bytes:
    """The file: observation (F, D) -> action (F, U), before clipping to [-1, 1].

    Raises UnavailableError without the package onnx.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise UnavailableError("writing needs onnx", "pip install 'pilothouse[train]'") from error
    writer = GraphWriter(helper)
    value = writer.mul(writer.add(INPUT, "shift"), "scale")
    for i in range(len(actor.layers)):
        value = writer.gemm(value, f"w{i}", f"b{i}")
        if i + 1 < len(actor.layers):
            value = writer.tanh(value)
    writer.nodes[-1].output[0] = OUTPUT

    def table(name: str, width: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["futures", width])

    graph = helper.make_graph(
        writer.nodes, "policy", [table(INPUT, len(actor.shift))],
        [table(OUTPUT, len(actor.layers[-1][1]))],
        [constant(helper, TensorProto, n, v) for n, v in actor.named().items()],
    )  # fmt: skip
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION,
                              producer_name="pilothouse")  # fmt: skip
    return bytes(model.SerializeToString(deterministic=True))
