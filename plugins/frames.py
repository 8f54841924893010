"""Length-prefixed messages between the host and a worker process: JSON, or bytes as they are."""

import json
import struct
from typing import Any, BinaryIO

HEADER = struct.Struct(">I")


def pack(data: bytes) -> bytes:
    """`data` with its length before it."""
    return HEADER.pack(len(data)) + data


def pack_json(value: Any) -> bytes:
    """A JSON frame. Raises ValueError for NaN and infinities."""
    return pack(json.dumps(value, allow_nan=False, separators=(",", ":")).encode())


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame, or None at the end of the stream (blocking; the worker's side)."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (size,) = HEADER.unpack(header)
    data = stream.read(size)
    return data if len(data) == size else None
