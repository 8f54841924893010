"""A model near a point: exact zero-order-hold matrices of its analytic Jacobians, steady states."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.errors import InputError, UnavailableError
from sandbox.symbolic.casadi_sx import casadi
from sandbox.symbolic.model import SymbolicModel
from sandbox.symbolic.step import check_step

Array = NDArray[np.float64]
STEADY_TOLERANCE = 1e-10  # largest derivative, in nominal values a second: 1 part in 1e4 a week


def jacobians(
    model: SymbolicModel, x: ArrayLike, u: ArrayLike, p: ArrayLike | None = None
) -> tuple[Array, Array, Array, Array]:
    """Continuous A (S, S), B (S, U), C (Y, S), D (Y, U) at a point, of deviations from it.

    dx/dt = A x + B u, y = C x + D u. Raises InputError on shapes or where they are not finite.
    """
    ca, w = casadi(), model.written
    parts = [ca.jacobian(e, v) for e in (w.flow, w.outputs) for v in (w.x, w.u)]
    function = ca.Function("jacobians", [w.x, w.u, w.p], [ca.densify(e) for e in parts])
    found = [np.array(m, dtype=float) for m in function(*_point(model, x, u, p))]
    if not all(np.isfinite(m).all() for m in found):
        raise InputError(
            f"model {model.name} has no finite Jacobian at x = {np.asarray(x)}",
            "linearise at a point where the equations are smooth",
        )
    return found[0], found[1], found[2], found[3]


def linearise(
    model: SymbolicModel, x: ArrayLike, u: ArrayLike, p: ArrayLike | None, step_s: float
) -> tuple[Array, Array, Array, Array]:
    """A, B, C, D of deviations: x+ = A x + B u over a step of held u, y = C x + D u at an instant.

    A = exp(Ac T), B = integral of exp(Ac t) Bc, both from one exponential of the block matrix
    [[Ac, Bc], [0, 0]] T (C. F. Van Loan, IEEE Trans. Automatic Control 23 (1978) 395). A state
    that only jumps is held. Raises InputError on shapes, a bad step or a point without Jacobian.
    """
    from scipy.linalg import expm

    check_step(step_s, 1)
    a, b, c, d = jacobians(model, x, u, p)
    size, inputs = b.shape
    block = np.zeros((size + inputs, size + inputs))
    block[:size, :size], block[:size, size:] = a, b
    moved = expm(block * step_s)
    return moved[:size, :size], moved[:size, size:], c, d


def steady_state(
    model: SymbolicModel, u: ArrayLike, p: ArrayLike | None = None, guess: ArrayLike | None = None
) -> Array:
    """The states (S,) at which dx/dt = 0 under u, found from `guess` (default: the nominal values).

    States that do not flow keep their guess. Raises InputError on shapes, and UnavailableError
    with the residual when Newton's method finds none (an integrator has none).
    """
    w = model.written
    nominal = np.array([v.nominal for v in model.states])
    x, held, constants = _point(model, nominal if guess is None else guess, u, p)
    moving = [i for i in range(len(model.states)) if not w.flow[i].is_zero()]
    if not moving:
        return x
    x[moving], found, residual = _newton(model, moving, x, held, constants)
    if not found or not residual <= STEADY_TOLERANCE:
        raise UnavailableError(
            f"model {model.name} found no steady state: at {_named(model, x)} the largest scaled "
            f"derivative is {residual:.3g} per second",
            "start nearer to it, or hold the states that integrate",
        )
    return x


def _newton(
    model: SymbolicModel, moving: list[int], x: Array, u: Array, p: Array
) -> tuple[Array, bool, float]:
    """(moving states, whether the solver says it converged, largest scaled derivative per s)."""
    ca, w = casadi(), model.written
    scale = np.array([model.states[i].nominal for i in moving])
    z, c = ca.SX.sym("z", len(moving)), ca.vertcat(w.x, w.u, w.p)
    inside = ca.SX(w.x)
    inside[moving] = z * scale
    flow = ca.substitute(w.flow[moving], w.x, inside) / scale
    options = {"error_on_fail": False, "abstol": STEADY_TOLERANCE / 10, "max_iter": 200}
    try:  # a singular Jacobian is thrown, by the solver's set-up or by its linear algebra
        solver = ca.rootfinder("steady", "newton", {"x": z, "p": c, "g": flow}, options)
        answer = solver(x0=x[moving] / scale, p=np.concatenate([x, u, p]))["x"]
    except RuntimeError:
        return x[moving], False, float("inf")
    values = np.array(answer, dtype=float).ravel()
    check = ca.Function("check", [z, c], [flow])(values, np.concatenate([x, u, p]))
    residual = float(np.abs(np.array(check, dtype=float)).max())
    return values * scale, bool(solver.stats()["success"]), residual


def _point(
    model: SymbolicModel, x: ArrayLike, u: ArrayLike, p: ArrayLike | None
) -> tuple[Array, Array, Array]:
    given = (
        ("x", x, len(model.states)), ("u", u, len(model.inputs)),
        ("p", model.defaults if p is None else p, len(model.parameters)),
    )  # fmt: skip
    found = []
    for name, values, size in given:
        array = np.array(values, dtype=float)
        if array.shape != (size,):
            raise InputError(
                f"{name} of model {model.name} has shape {array.shape}", f"expected ({size},)"
            )
        found.append(array)
    return found[0], found[1], found[2]


def _named(model: SymbolicModel, x: Array) -> str:
    return ", ".join(f"{n} = {v:.6g}" for n, v in zip(model.state_names, x, strict=True))
