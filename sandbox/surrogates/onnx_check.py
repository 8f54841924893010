"""An ONNX file is hostile until it is proven to be a small feed-forward network of a known kind.

What must hold, and where it is checked; nothing but this module reads the file before that:
1. It is no larger than MOST_BYTES and of the IR and operator-set versions that we write.
2. Every field of every message is one that we know. Functions, training information, sparse
   tensors, subgraphs, strings, other operator domains and external data are not among them.
3. Every constant is float32 inside the file, finite, and as long as its shape says.
4. Every operator is one of OPERATORS with the attributes that we write, its inputs exist before it
   and its output is new: no loops, no control flow, no custom code.
5. Widths fit, operator by operator, and none exceeds MOST_WIDTH, so that memory is bounded by the
   number of futures times a known number.
6. Inputs and outputs have the names and widths that the manifest declares.

Field numbers: onnx.proto of ONNX 1.17 (IR version 10), https://github.com/onnx/onnx
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.errors import IntegrityError
from sandbox.surrogates.protobuf_wire import fields, varints

MOST_BYTES = 8 << 20
MOST_NODES = 400
MOST_WIDTH = 2048
IR_VERSION, OPSET = 8, 17
FLOAT32 = 1
OPERATORS = {"Gemm": 3, "Add": 2, "Mul": 2, "Relu": 1, "Tanh": 1, "Concat": 0}  # 0: any number
MODEL = {1: "ir_version", 2: "producer_name", 7: "graph", 8: "opset_import"}
GRAPH = {1: "node", 2: "name", 5: "initializer", 11: "input", 12: "output"}
NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute"}
TENSOR = {1: "dims", 2: "data_type", 8: "name", 9: "raw_data"}
Value = int | bytes


@dataclass(frozen=True)
class CheckedGraph:
    """What was proven: widths of inputs and outputs by name, operators, count of constants."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    operators: int
    constants: int


def check_network(
    data: bytes, inputs: Mapping[str, int], outputs: Mapping[str, int]
) -> CheckedGraph:
    """Prove `data` to be a network with these inputs and outputs (widths by name).

    Raises IntegrityError with the first thing that does not hold.
    """
    if len(data) > MOST_BYTES:
        _refuse(f"the file has {len(data)} bytes", f"at most {MOST_BYTES}")
    model = _message(data, MODEL, "model")
    version = _one(model, "ir_version", "model")
    if version != IR_VERSION:
        _refuse(f"IR version {version!r}", f"expected {IR_VERSION}")
    _check_opsets(model)
    graph = _message(_bytes(model, "graph", "model"), GRAPH, "graph")
    constants = _constants(graph.get("initializer", []))
    given = _values(graph.get("input", []))
    if given != dict(inputs):
        _refuse(f"inputs {given}", f"expected {dict(inputs)}")
    widths = _walk(graph.get("node", []), constants, given)
    made = _values(graph.get("output", []))
    if made != dict(outputs) or any(widths.get(n) != w for n, w in made.items()):
        _refuse(f"outputs {made}", f"expected {dict(outputs)}, each made by the network")
    total = sum(array.size for array in constants.values())
    return CheckedGraph(given, made, len(graph.get("node", [])), total)


def _refuse(got: str, expected: str) -> None:
    raise IntegrityError(f"the network is refused: {got}", expected)


def _message(data: bytes, known: Mapping[int, str], what: str) -> dict[str, list[Value]]:
    """Fields by name in order. Raises IntegrityError on a field that is not in `known`."""
    found: dict[str, list[Value]] = {}
    for number, _, value in fields(data):
        if number not in known:
            _refuse(f"field {number} in its {what}", "only what a plain network needs")
        found.setdefault(known[number], []).append(value)
    return found


def _one(message: Mapping[str, Sequence[Value]], name: str, what: str) -> Value:
    values = message.get(name, [])
    if len(values) != 1:
        _refuse(f"{len(values)} times {name} in a {what}", "exactly once")
    return values[0]


def _bytes(message: Mapping[str, Sequence[Value]], name: str, what: str) -> bytes:
    value = _one(message, name, what)
    if not isinstance(value, bytes):
        _refuse(f"{name} of a {what} is a number", "bytes")
    assert isinstance(value, bytes)
    return value


def _text(value: Value) -> str:
    if not isinstance(value, bytes):
        _refuse("a name that is a number", "text")
    assert isinstance(value, bytes)
    try:
        return value.decode("ascii")
    except UnicodeDecodeError as error:
        raise IntegrityError("the network is refused: a name that is not ASCII") from error


def _parts(values: Sequence[Value]) -> list[bytes]:
    for value in values:
        if not isinstance(value, bytes):
            _refuse("a number in place of a message", "messages")
    return [v for v in values if isinstance(v, bytes)]


def _check_opsets(model: Mapping[str, Sequence[Value]]) -> None:
    opset = _message(_bytes(model, "opset_import", "model"), {1: "domain", 2: "version"}, "opset")
    domain = b"".join(_parts(opset.get("domain", [])))
    if domain or _one(opset, "version", "opset") != OPSET:
        _refuse(f"operators of {domain!r} {opset.get('version')}", f"the standard's, {OPSET}")


def _constants(initializers: Sequence[Value]) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = {}
    for part in _parts(initializers):
        tensor = _message(part, TENSOR, "constant")
        name, raw = _text(_one(tensor, "name", "constant")), _bytes(tensor, "raw_data", "constant")
        shape: list[int] = []
        for value in tensor.get("dims", []):
            shape += varints(value) if isinstance(value, bytes) else [value]
        if _one(tensor, "data_type", "constant") != FLOAT32 or name in found:
            _refuse(f"constant {name} is twice there or not float32", "float32, once")
        if not 1 <= len(shape) <= 2 or any(not 1 <= n <= MOST_WIDTH for n in shape):
            _refuse(f"constant {name} has shape {shape}", f"one or two axes up to {MOST_WIDTH}")
        if len(raw) != 4 * int(np.prod(shape)):
            _refuse(f"constant {name} has {len(raw)} bytes for {shape}", "4 a number")
        array = np.frombuffer(raw, dtype="<f4").reshape(shape)
        if not np.isfinite(array).all():
            _refuse(f"constant {name} is not finite", "finite numbers")
        found[name] = array
    return found


def _values(values: Sequence[Value]) -> dict[str, int]:
    """Width by name of declared tensors (futures, width) of float32."""
    found = {}
    for part in _parts(values):
        value = _message(part, {1: "name", 2: "type"}, "tensor's declaration")
        kind = _message(_bytes(value, "type", "declaration"), {1: "tensor"}, "type")
        tensor = _message(_bytes(kind, "tensor", "type"), {1: "element", 2: "shape"}, "tensor type")
        shape = _message(_bytes(tensor, "shape", "tensor type"), {1: "dim"}, "shape")
        dims = [_message(d, {1: "value", 2: "name"}, "axis") for d in _parts(shape.get("dim", []))]
        if _one(tensor, "element", "tensor type") != FLOAT32 or len(dims) != 2:
            _refuse("an input or output that is no table of float32", "(futures, width)")
        if "value" in dims[0] or "name" not in dims[0]:
            _refuse("a fixed number of futures", "any number")
        width = _one(dims[1], "value", "axis")
        if not isinstance(width, int) or not 1 <= width <= MOST_WIDTH:
            _refuse(f"a width of {width!r}", f"1 to {MOST_WIDTH}")
        found[_text(_one(value, "name", "declaration"))] = int(width)
    return found


def _walk(
    nodes: Sequence[Value], constants: Mapping[str, NDArray[np.float32]], given: Mapping[str, int]
) -> dict[str, int]:
    """Widths of everything that the operators make, in their order."""
    if len(nodes) > MOST_NODES:
        _refuse(f"{len(nodes)} operators", f"at most {MOST_NODES}")
    widths = dict(given)
    for part in _parts(nodes):
        node = _message(part, NODE, "operator")
        kind = _text(_one(node, "op_type", "operator"))
        names = [_text(v) for v in node.get("input", [])]
        made = _text(_one(node, "output", "operator"))
        if kind not in OPERATORS or len(names) != (OPERATORS[kind] or max(len(names), 1)):
            _refuse(f"operator {kind} with {len(names)} inputs", f"one of {', '.join(OPERATORS)}")
        if made in widths or made in constants or any(
            n not in widths and n not in constants for n in names
        ):  # fmt: skip
            _refuse(f"operator {kind} reads or makes {made} out of order", "each name made once")
        _check_attributes(kind, node.get("attribute", []))
        widths[made] = _width(kind, names, widths, constants)
        if widths[made] > MOST_WIDTH:
            _refuse(f"a width of {widths[made]}", f"at most {MOST_WIDTH}")
    return widths


def _check_attributes(kind: str, attributes: Sequence[Value]) -> None:
    """None but a Concat's axis, which is 1."""
    found = [_message(p, {1: "name", 3: "i", 20: "type"}, "attribute") for p in _parts(attributes)]
    wanted = [{"name": [b"axis"], "i": [1], "type": [2]}] if kind == "Concat" else []
    if found != wanted:
        _refuse(f"attributes of {kind}", "those that we write")


def _width(
    kind: str, names: Sequence[str], widths: Mapping[str, int],
    constants: Mapping[str, NDArray[np.float32]],
) -> int:  # fmt: skip
    """The width of what an operator makes. Constants stand where we put them, and nowhere else."""
    if kind == "Concat":
        if any(n in constants for n in names):
            _refuse("a Concat of constants", "of computed tables")
        return sum(widths[n] for n in names)
    first, rest = names[0], names[1:]
    if first in constants:
        _refuse(f"{kind} of a constant", "a computed table first")
    if kind == "Gemm":
        weight, offset = (constants.get(n, np.empty(0)).shape for n in rest)
        if len(weight) != 2 or weight[0] != widths[first] or offset != (weight[1],):
            _refuse(f"Gemm of {widths[first]} columns with {weight} and {offset}", "sizes that fit")
        return int(weight[1])
    for other in rest:
        other_width = constants[other].shape if other in constants else (widths[other],)
        if other_width != (widths[first],):
            _refuse(f"{kind} of {widths[first]} columns with {other_width}", "the same width")
    return widths[first]
