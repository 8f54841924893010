"""The least that any control could have paid: one linear programme over the whole run, foreseen."""

import numpy as np

from api.peers.dispatch_case import DispatchCase
from graph.errors import InputError


def floor_cost(case: DispatchCase) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Settled cost and the battery's powers, (steps,), of the best control in hindsight.

    Columns: charge, discharge, import, export and energy a step. No binary keeps charging from
    discharging: dropping one can only lower the floor.

    Raises:
        InputError: no control keeps the connection's limits.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    n, h, b = case.steps, case.hours, case.battery
    eye, zero = sparse.identity(n, format="csr"), sparse.csr_matrix((n, n))
    shift = sparse.diags([1.0, -1.0], [0, -1], shape=(n, n), format="csr")
    # e_k - e_(k-1) - h eta c + h d / eta = 0, with the start in row 0
    # import - export - c + d = load - pv
    dynamics = sparse.hstack(
        [-h * b.eta_charge * eye, h / b.eta_discharge * eye, zero, zero, shift]
    )
    balance = sparse.hstack([-eye, eye, eye, -eye, zero])
    net = case.actual(case.load_kw) - case.actual(case.pv_kw)
    known = np.zeros(n)
    known[0] = b.start_kwh
    cost = np.concatenate([
        np.full(n, h * b.eta_charge * case.wear_per_kwh),
        np.full(n, h / b.eta_discharge * case.wear_per_kwh),
        h * case.actual(case.import_price), -h * case.actual(case.export_price),
        np.zeros(n - 1), [-case.worth_per_kwh],
    ])  # fmt: skip
    bounds = (
        [(0.0, b.charge_kw)] * n + [(0.0, b.discharge_kw)] * n + [(0.0, case.import_limit_kw)] * n
        + [(0.0, case.export_limit_kw)] * n + [(b.low_kwh, b.high_kwh)] * n
    )  # fmt: skip
    found = linprog(
        cost, A_eq=sparse.vstack([dynamics, balance]), b_eq=np.concatenate([known, net]),
        bounds=bounds, method="highs",
    )  # fmt: skip
    if found.status != 0:
        raise InputError(f"the stated problem has no solution: {found.message}", "widen its limits")
    return float(found.fun) + case.worth_per_kwh * b.start_kwh, found.x[:n] - found.x[n : 2 * n]
