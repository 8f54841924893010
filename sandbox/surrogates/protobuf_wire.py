"""Protocol buffers as bytes: fields of one message, read without trusting a length.

Source: Protocol Buffers encoding, https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

from graph.errors import IntegrityError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_VARINT_BYTES = 10


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """(number, wire type, value) of each field: an int for a varint, bytes for all others.

    Raises IntegrityError on anything that is cut off or not of these wire types.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire, -1)
        if wire == BYTES:
            size, at = _varint(data, at)
        if size < 0 or at + size > len(data) or number == 0:
            raise IntegrityError("the network's file is cut off or no ONNX file")
        yield number, wire, data[at : at + size]
        at += size


def varints(data: bytes) -> list[int]:
    """The numbers of a packed field."""
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(MOST_VARINT_BYTES):
        if at + i >= len(data):
            break
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise IntegrityError("the network's file is cut off or no ONNX file")
