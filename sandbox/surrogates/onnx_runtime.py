"""onnxruntime behind one function: a checked network, one step of many futures at a time."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.canonical import digest_bytes
from graph.errors import IntegrityError, UnavailableError
from sandbox.surrogates.onnx_check import MOST_BYTES, check_network

Floats = NDArray[np.float32]
# A matrix product's kernel for one row sums in another order than for several. Rows in whole
# blocks give each future the same bytes whatever runs beside it.
BLOCK = 16


class StepNetwork:
    """x+ (F, S) and y (F, Y) of one step from x (F, S) and u (F, U), all float32.

    One thread, no custom operators, no other provider than the CPU: the same input gives the same
    bytes on the same machine.
    """

    def __init__(self, data: bytes, states: int, inputs: int, outputs: int) -> None:
        """Raises IntegrityError when `data` is not such a network, UnavailableError without ORT."""
        self.widths = {"x": states, "u": inputs}
        check_network(data, self.widths, {"x_next": states, "y": outputs})
        self._session = session_of(data)

    def step(self, x: Floats, u: Floats) -> tuple[Floats, Floats]:
        """One step; F must be a multiple of BLOCK (see `padded`)."""
        x_next, y = self._session.run(["x_next", "y"], {"x": x, "u": u})
        return x_next, y


def session_of(data: bytes) -> Any:
    """A session for a checked network: one thread, the CPU, nothing custom.

    Raises UnavailableError without onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UnavailableError("onnxruntime is missing", "pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def padded(futures: int) -> int:
    """The number of rows that `futures` need."""
    return -(-futures // BLOCK) * BLOCK


def runtime_version() -> str:
    """onnxruntime's version, for records."""
    import onnxruntime

    return str(onnxruntime.__version__)


def read_network(path: Path, digest: str) -> bytes:
    """The bytes of a network's file, no more than allowed and with this sha256.

    Raises IntegrityError when they are others, UnavailableError when they cannot be read.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be read ({error})", "pilothouse site surrogate"
        ) from error
    if len(data) > MOST_BYTES:
        raise IntegrityError(f"{path} has more than {MOST_BYTES} bytes", "no network of ours")
    found = digest_bytes(data)
    if found != digest:
        raise IntegrityError(
            f"{path} has digest {found[:16]}, its manifest says {digest[:16]}",
            "one of the two was changed; train again with `pilothouse site surrogate`",
        )
    return data
