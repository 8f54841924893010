"""The process of one FMU: `python -m sandbox.fmi.worker LIMITS`, commands in, answers out.

1. Bind the process (memory, CPU time, file size) before anything heavy is loaded.
2. Keep the two pipes under numbers of their own and point the standard ones elsewhere, so that
   what an FMU prints lands in the log file and cannot pass for an answer.
3. End when the other side is gone: at the end of the pipe or, while FMU code runs, by a watch.
"""

import json
import os
import sys
import threading
import time
from typing import Any

from sandbox.fmi.limits import confine
from sandbox.fmi.wire import HEAD, MAX_MESSAGE, pack, unpack

WATCH_S = 2.0


def main() -> None:
    """Serve one FMU until the pipe ends."""
    limits = json.loads(sys.argv[1])
    confine(limits["cpu_s"], limits["memory_mb"], limits["output_mb"])
    source, target = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    serve(source, target)


def serve(source: int, target: int) -> None:
    """Answer each list of operations with the list of their results, or with what failed."""
    from sandbox.fmi import fmpy_instance

    instance = None
    while (operations := _read(source)) is not None:
        results: list[Any] = []
        try:
            for name, *arguments in operations:
                if name == "load":
                    instance = fmpy_instance.open_instance(*arguments)
                    results.append(None)
                else:
                    results.append(getattr(instance, name)(*arguments))
            answer: dict[str, Any] = {"ok": results}
        except Exception as error:
            answer = {"at": len(results), **fmpy_instance.explain(error)}
        sys.stdout.flush()
        _write(target, pack(answer))


def _read(source: int) -> Any:
    head = _exactly(source, HEAD)
    size = int.from_bytes(head, "big")
    if len(head) < HEAD or size > MAX_MESSAGE:
        return None
    return unpack(_exactly(source, size))


def _exactly(source: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = os.read(source, count - len(data))
        if not part:
            return b""
        data += part
    return data


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(0)


if __name__ == "__main__":
    main()
