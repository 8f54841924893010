"""What the plant does besides the equations: a steady drift of the states, from the last minutes.

Each step of the history is played from what the sensors showed; what they showed next, less what
the equations say, is what drift has done in that step. A steady drift d does G d in a step, with G
the integral of exp(A t) over it and A the equations' Jacobian. Its mean over the last `STEPS` steps
is carried through the plan, so that a leak or a pump that gives less leaves no lasting offset (the
disturbance model of U. Maeder, F. Borrelli, M. Morari, Automatica 45 (2009) 2214,
doi:10.1016/j.automatica.2009.06.005, with an average for its observer). A mean that is no larger
than its own standard error explains is taken as none.
"""

import numpy as np
from numpy.typing import NDArray

from graph.snapshot import Snapshot
from planner.nmpc_stage import EDGE
from sandbox.ode_twin import OdeTwin
from sandbox.symbolic.casadi_sx import casadi

Array = NDArray[np.float64]
STEPS = 20
LEAST = 8  # whole steps, or the mean is not worth having
SURE = 3.0  # standard errors


def drift_of(twin: OdeTwin, snapshot: Snapshot) -> Array:
    """What each state moves by a second besides the equations, (S,); 0 where nobody can know.

    Known only where a sensor shows every state and the history holds every input.
    """
    names, model = twin.state_names, twin.model
    none = np.zeros(len(names))
    shown = {state: signal for signal, state in twin.layout.state_of.items()}
    history = snapshot.history
    needed = [shown.get(n, "") for n in names] + list(model.input_names)
    if history.step_s != snapshot.step_s or any(n not in history.signals for n in needed):
        return none
    table = np.array([_tail(history.signals[n]) for n in needed]).T
    x, u = table[:, : len(names)], table[:, len(names) :]
    if len(x) < 2:
        return none
    # A row's input is the one in force during the step that ends there.
    whole = np.all(np.isfinite(table[1:]), axis=1) & np.all(np.isfinite(x[:-1]), axis=1)
    if whole.sum() < LEAST:
        return none
    reached = twin.run_states(x[:-1][whole], u[1:][whole][:, None], float(history.step_s))[:, 0]
    done = x[1:][whole] - reached
    gain = _gain(twin, x[:-1][whole].mean(axis=0), u[1:][whole].mean(axis=0), history.step_s)
    rate = np.linalg.solve(gain, done.T).T
    mean, sure = rate.mean(axis=0), SURE * rate.std(axis=0) / np.sqrt(len(rate))
    found = np.where(np.abs(mean) > sure, mean, 0.0)
    return found if np.all(np.isfinite(found)) else none


def _gain(twin: OdeTwin, x: Array, u: Array, step_s: float) -> Array:
    """What a unit of drift does to the states in one step, (S, S)."""
    from scipy.linalg import expm

    ca, written = casadi(), twin.model.written
    slopes = ca.Function("a", [written.x, written.u, written.p], [
        ca.jacobian(written.flow, written.x)
    ])  # fmt: skip
    size = len(x)
    low = [v.lower + EDGE * abs(v.nominal) for v in twin.model.states]
    A = np.array(slopes(np.maximum(x, low), u, np.array(twin.parameters.values)))
    both = np.block([[A, np.eye(size)], [np.zeros((size, 2 * size))]])
    return np.asarray(expm(both * step_s)[:size, size:])


def _tail(values: tuple[float | None, ...]) -> Array:
    return np.array([np.nan if v is None else v for v in values[-STEPS - 1 :]], dtype=float)
