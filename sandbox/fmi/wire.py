"""Messages between the two sides of a pipe: a length of four bytes, then JSON.

JSON and not pickle: what an FMU's process says is data from outside. Numbers keep every bit
(Python writes the shortest text that reads back to the same float); NaN and infinities pass.
"""

import json
import os
import select
import time
from typing import Any

MAX_MESSAGE = 16 * 1024 * 1024
HEAD = 4


class WireError(Exception):
    """The other side broke the rules of the pipe."""


class SlowError(Exception):
    """The other side did not answer in time."""


def pack(message: Any) -> bytes:
    """The bytes of one message. Raises WireError for one that is too long."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_MESSAGE:
        raise WireError(f"a message of {len(body)} bytes")
    return len(body).to_bytes(HEAD, "big") + body


def unpack(body: bytes) -> Any:
    """The message in `body`. Raises WireError unless it is JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("an answer that is no JSON") from error


class Channel:
    """This side of two pipes, with a deadline on each transfer."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = reads, writes
        os.set_blocking(reads, False)
        os.set_blocking(writes, False)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(reads, select.POLLIN)
        self._writable.register(writes, select.POLLOUT)

    def send(self, message: Any, seconds: float) -> None:
        """Write one message. Raises SlowError, WireError, BrokenPipeError."""
        end, data = time.monotonic() + seconds, memoryview(pack(message))
        while data:
            if not self._writable.poll(_left_ms(end)):
                raise SlowError
            data = data[os.write(self._writes, data) :]

    def receive(self, seconds: float) -> Any:
        """Read one message. Raises SlowError, WireError; EOFError when the other side is gone."""
        end = time.monotonic() + seconds
        size = int.from_bytes(self._exactly(HEAD, end), "big")
        if size > MAX_MESSAGE:
            raise WireError(f"an answer of {size} bytes")
        return unpack(self._exactly(size, end))

    def _exactly(self, count: int, end: float) -> bytes:
        parts = []
        while count:
            if not self._readable.poll(_left_ms(end)):
                raise SlowError
            part = os.read(self._reads, min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _left_ms(end: float) -> float:
    return max(end - time.monotonic(), 0.0) * 1000.0
