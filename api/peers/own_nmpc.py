"""Our programme of the four tanks by the measured default route, asked as every peer is.

    python -m api.peers.own_nmpc

It is what `planner.nmpc` solves for a site: multiple shooting, bounds softened at a price.
`PILOTHOUSE_CODE=interpreted` does without the C compiler.
"""

import os
from dataclasses import replace
from typing import Any

import numpy as np

from api.bench_planner import LIMIT_S, Task, _first_guess, _numbers, _shape, shifted, tanks
from api.peers.own_dispatch import serve_lines
from planner.nmpc_problem import build
from planner.nmpc_routes import DEFAULT, Code, make_solver, route_of
from sandbox.symbolic.compiled_c import c_compiler


def stated(problem: dict[str, Any]) -> Task:
    """The bench's task with the stated bounds; targets come with each question."""
    task = tanks(0)
    return replace(
        task, low=np.array(problem["low"]), high=np.array(problem["high"]),
        least=np.array(problem["least"]), greatest=np.array(problem["greatest"]),
        move=np.full(2, 1e3), bounded=task.model.states, u0=np.array(problem["u0"]),
    )  # fmt: skip


def make(problem: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The solver, built and compiled once."""
    task = stated(problem)
    forced = os.environ.get("PILOTHOUSE_CODE")
    code: Code = "compiled" if c_compiler() and forced != "interpreted" else "interpreted"
    programme = build(task.model, _shape(task))
    solver = make_solver(programme, route_of(DEFAULT), code)
    kept: dict[str, Any] = {"u": task.u0, "start": None}

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        x = np.array(question["x"])
        now = replace(task, target=np.array(question["target"]))
        start = kept["start"] or _first_guess(programme, x, kept["u"])
        found = solver.solve(_numbers(now, programme, 0, x, kept["u"]), start, LIMIT_S)
        status = found.status.value
        if found.point is None or not found.status.usable:
            return {"ok": False, "status": status}  # nothing is handed on
        kept["u"] = found.point.z[programme.at.u[0, 0]] * task.model.input_scale
        kept["start"] = shifted(programme, found.point)
        return {"ok": True, "status": status, "u": kept["u"].tolist()}

    return ask, {"version": code, "rates": _rates(task)}


def _rates(task: Task) -> list[float]:
    import casadi

    written, theta = task.model.symbolic.written, task.model.symbolic.defaults
    flow = casadi.Function("flow", [written.x, written.u, written.p], [written.flow])
    found = flow(task.x0, [*task.u0, 0.3], theta)
    return [float(v) for v in np.asarray(found).ravel()]


if __name__ == "__main__":
    serve_lines(make)
