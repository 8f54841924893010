"""The bench's four tanks under do-mpc (S. Lucia et al., Control Eng. Practice 60 (2017) 51,
doi:10.1016/j.conengprac.2016.12.009), with the settings that it ships with: orthogonal collocation,
IPOPT with MUMPS, interpreted. The only importer of do-mpc; nothing else needs it.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.symbolic.batch import BatchSimulator

Array = NDArray[np.float64]


def do_mpc_loop(
    task: Any, steps: int, paid: Callable[[Any, int, Array, Array], float]
) -> tuple[Array, int, float]:
    """CPU ms of each solve after the first, failed solves, what the loop cost.

    Args:
        task: `api.bench_planner.Task` of the tanks.
        paid: what a step cost.
    """
    control = _controller(task)
    symbolic = task.model.symbolic
    plant = BatchSimulator(symbolic, task.step_s, 24)
    generator = np.random.default_rng(0)
    x, times, failures, cost = task.x0, [], 0, 0.0
    control.x0 = x.reshape(-1, 1)
    control.u0 = task.u0.reshape(-1, 1)
    control.set_initial_guess()
    for k in range(steps):
        seen = x + task.noise * generator.standard_normal(len(x))
        begun = time.process_time()
        u = np.asarray(control.make_step(seen.reshape(-1, 1))).ravel()
        times.append(1e3 * (time.process_time() - begun))
        failures += not control.solver_stats["success"]
        row = np.array([[*u, *task.w[k]]])
        states, outputs = plant.run(x[None], row[None], symbolic.defaults)
        x = states[0, 0]
        cost += paid(task, k, x, outputs[0, 0])
    return np.array(times[1:]), failures, cost


def _controller(task: Any) -> Any:
    """The tanks' own equations in do-mpc's model; targets as time-varying parameters."""
    import casadi
    import do_mpc

    written = task.model.symbolic.written
    flow = casadi.Function("flow", [written.x, written.u, written.p], [written.flow])
    model = do_mpc.model.Model("continuous", "SX")
    h = [model.set_variable("_x", f"h{i + 1}") for i in range(4)]
    v = [model.set_variable("_u", f"v{i + 1}") for i in range(2)]
    r = [model.set_variable("_tvp", f"r{i + 1}") for i in range(2)]
    rates = flow(casadi.vertcat(*h), casadi.vertcat(*v, 0.3), task.model.symbolic.defaults)
    for i in range(4):
        model.set_rhs(f"h{i + 1}", rates[i])
    model.setup()
    control = do_mpc.controller.MPC(model)
    control.settings.n_horizon, control.settings.t_step = 24, task.step_s
    control.settings.supress_ipopt_output()
    cost = sum(task.track[i] * (h[i] - r[i]) ** 2 for i in range(2))
    control.set_objective(mterm=cost, lterm=cost)
    control.set_rterm(v1=1e-2 / 9.0, v2=1e-2 / 9.0)
    for i in range(4):
        low = task.low[i] if np.isfinite(task.low[i]) else 0.0
        control.bounds["lower", "_x", f"h{i + 1}"] = max(low, 0.05)
        control.bounds["upper", "_x", f"h{i + 1}"] = task.high[i]
    for i in range(2):
        control.bounds["lower", "_u", f"v{i + 1}"] = task.least[i]
        control.bounds["upper", "_u", f"v{i + 1}"] = task.greatest[i]
    template = control.get_tvp_template()

    def targets(now: Any) -> Any:
        k = round(float(np.ravel(now)[0]) / task.step_s)
        for j in range(25):
            row = task.target[max(k + j - 1, 0)]  # node j is the end of step j - 1
            template["_tvp", j, "r1"], template["_tvp", j, "r2"] = row
        return template

    control.set_tvp_fun(targets)
    control.setup()
    return control
