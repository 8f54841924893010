"""A driver's side of the conversation: one JSON line in, one JSON line out. Standard library only.

The first line states the problem and is answered `{"ready": true, ...}`; every later line is a
question and is answered with the planner's answer and what it took. What the peer prints goes to
standard error: the real standard output is kept for the answers.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Ask = Callable[[dict[str, Any]], dict[str, Any]]
Make = Callable[[dict[str, Any]], tuple[Ask, dict[str, Any]]]


def cpu_s() -> float:
    """Processor seconds of this process and of the children it has waited for."""
    own, theirs = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime


def serve(make: Make) -> None:
    """Answer until standard input ends. `make(statement)` gives the planner and what to say of it.

    An exception of the planner is an answer too: `{"ok": false, "status": ...}` without a control.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ask, about = make(json.loads(sys.stdin.readline()))
    print(json.dumps({"ready": True, **about}), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        wall, cpu = time.perf_counter(), cpu_s()
        try:
            answer = ask(question)
        except Exception as error:  # what a peer raises is its answer
            answer = {"ok": False, "status": f"{type(error).__name__}: {error}"[:200]}
        answer["cpu_ms"] = 1e3 * (cpu_s() - cpu)
        answer["wall_ms"] = 1e3 * (time.perf_counter() - wall)
        print(json.dumps(answer), file=answers, flush=True)
