"""The dispatch planner's optimum against the same problem written in cvxpy, without our rows."""

import numpy as np
import pytest

from planner.dispatch import solve_problem
from planner.dispatch_inputs import DispatchInputs, dispatch_inputs
from planner.dispatch_objective import objective
from planner.dispatch_options import SolveOptions
from planner.dispatch_problem import DispatchProblem, build_problem
from planner.hub_model import hub_numbers
from planner.margins import Margins
from planner.milp_highs import LinearSession, SolverLimits, solve
from tests.test_dispatch import Day, site, twin, wish

EXACT = SolverLimits(gap=1e-6, absolute_gap=1e-9, nodes=10**6, checks=10**6)


def seeded_day(seed: int, steps: int) -> Day:
    """A winter day drawn from a seed, with nothing outside its bounds."""
    draw = np.random.default_rng(seed).uniform
    return Day(draw(-4, 7), draw(0, 1), draw(20.3, 23.5), draw(36, 50), draw(25, 90),
               int(draw(1, 24)), steps)  # fmt: skip


def posed(day: Day) -> tuple[DispatchInputs, DispatchProblem]:
    snapshot = day.snapshot()
    data = dispatch_inputs(site(), hub_numbers(site(), twin()), snapshot)
    return data, build_problem(data, wish(snapshot), Margins())


def test_the_relaxations_optimum_is_that_of_a_second_formulation():
    pytest.importorskip("cvxpy")
    from api.cvxpy_rival import HubOracle, Wish

    session = oracle = None
    for seed in range(4):
        data, problem = posed(seeded_day(seed, 96))
        cost, offset = objective(problem.milp, problem.weights, problem.rates, True)
        if session is None:
            session = LinearSession(problem.milp, cost, offset, EXACT)
            oracle = HubOracle(data, Wish(), whole=False)
        session.renew(problem.milp, cost, offset)
        renewed, theirs = session.solve().objective, oracle.solve(data)
        anew = LinearSession(problem.milp, cost, offset, EXACT).solve().objective
        assert renewed == pytest.approx(theirs, rel=1e-6, abs=1e-6), seed
        assert anew == pytest.approx(theirs, rel=1e-6, abs=1e-6), seed


def test_on_and_off_are_planned_as_well_as_by_a_second_formulation():
    pytest.importorskip("cvxpy")
    from api.cvxpy_rival import HubOracle, Wish

    for seed in range(2):
        data, problem = posed(seeded_day(seed, 24))
        theirs = HubOracle(data, Wish(), whole=True).solve(data)
        cost, offset = objective(problem.milp, problem.weights, problem.rates, True)
        ours = solve(problem.milp, cost, offset, EXACT)
        assert ours.objective == pytest.approx(theirs, rel=1e-5, abs=1e-5), seed
        found = solve_problem(problem, SolveOptions())
        assert theirs - 1e-4 <= found.objective <= theirs + 0.01 * abs(theirs) + 0.1, seed
