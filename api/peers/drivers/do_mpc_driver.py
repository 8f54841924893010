"""do-mpc (Lucia et al., Control Eng. Practice 60 (2017) 51, doi:10.1016/j.conengprac.2016.12.009;
LGPL) on the four tanks, with the settings that it ships with: orthogonal collocation, IPOPT with
MUMPS, interpreted; bounds hard.
"""

from importlib.metadata import version
from typing import Any

import casadi
import do_mpc
import numpy as np
from line_server import Ask, serve
from tanks import checked_rates, rates


def make(problem: dict[str, Any]) -> tuple[Ask, dict[str, Any]]:
    """The controller; targets are time-varying parameters, given anew with each question."""
    stages, step_s = problem["stages"], problem["step_s"]
    model = do_mpc.model.Model("continuous", "SX")
    h = [model.set_variable("_x", f"h{i + 1}") for i in range(4)]
    v = [model.set_variable("_u", f"v{i + 1}") for i in range(2)]
    r = [model.set_variable("_tvp", f"r{i + 1}") for i in range(2)]
    for i, rate in enumerate(rates(h, v, problem["parameters"], casadi.sqrt)):
        model.set_rhs(f"h{i + 1}", rate)
    model.setup()
    control = do_mpc.controller.MPC(model)
    control.settings.n_horizon, control.settings.t_step = stages, step_s
    control.settings.supress_ipopt_output()
    cost = sum(problem["track"][i] * (h[i] - r[i]) ** 2 for i in range(2))
    control.set_objective(mterm=cost, lterm=cost)
    control.set_rterm(v1=problem["move"], v2=problem["move"])
    for i in range(4):
        control.bounds["lower", "_x", f"h{i + 1}"] = problem["low"][i]
        control.bounds["upper", "_x", f"h{i + 1}"] = problem["high"][i]
    for i in range(2):
        control.bounds["lower", "_u", f"v{i + 1}"] = problem["least"][i]
        control.bounds["upper", "_u", f"v{i + 1}"] = problem["greatest"][i]
    template = control.get_tvp_template()
    given: dict[str, Any] = {"target": [problem["x0"][:2]] * stages, "begun": False}

    def targets(_now: Any) -> Any:
        rows = given["target"]
        for j in range(stages + 1):  # node j is the end of stage j - 1
            template["_tvp", j, "r1"], template["_tvp", j, "r2"] = rows[max(j - 1, 0)]
        return template

    control.set_tvp_fun(targets)
    control.setup()
    control.u0 = np.array(problem["u0"]).reshape(-1, 1)

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        x = np.array(question["x"]).reshape(-1, 1)
        if not given["begun"]:
            control.x0 = x
            control.set_initial_guess()
        given["begun"] = True
        given["target"] = question["target"]
        u = np.asarray(control.make_step(x), dtype=float).ravel()
        stats = control.solver_stats
        status = str(stats["return_status"])
        return {"ok": bool(stats["success"]), "status": status, "u": u.tolist()}

    return ask, {"version": version("do-mpc"), "rates": checked_rates(problem)}


if __name__ == "__main__":
    serve(make)
