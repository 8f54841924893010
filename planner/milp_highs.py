"""Solves a `Milp` with HiGHS, directly: the only file that imports highspy.

Why not through cvxpy: the plan needs a start point that survives a changed horizon, the node count
and the bound at the stop, the multipliers of named rows after fixing the integers, and several
solves of one matrix that differ in bounds or costs only. cvxpy offers none of the first three for
HiGHS and re-compiles for the fourth. The formulation stays readable because `MilpBuilder` keeps a
name for each block of rows.

Deterministic: one thread, a fixed seed, stops by gap and nodes. The wall clock only aborts.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from graph.errors import UnavailableError
from graph.plan import SolveStatus
from planner.milp import Milp

Array = NDArray[np.float64]
SEED = 20260101
IIS_FROM_RAY, IIS_IRREDUCIBLE = 2, 4  # HiGHS's bits: from the dual ray, then made smaller
IIS_SECONDS = 10.0  # aborts only; a second or two on a day's plan


@dataclass(frozen=True)
class SolverLimits:
    """When to stop.

    `gap`: relative, (objective - bound) / |objective|; `absolute_gap` in the objective's unit
    counts too, because a relative gap means nothing near an objective of 0. `checks`: how often
    branch and bound may look at its limits; HiGHS does so at fixed points of its course (about 40
    a second here), inside the root node too, so this bounds its work where a node count cannot.
    """

    gap: float = 0.01
    absolute_gap: float = 0.01
    nodes: int = 4000
    checks: int = 400
    iterations: int = 2_000_000
    abort_after_s: float = 60.0


@dataclass(frozen=True)
class MilpResult:
    """How the solve ended. `x` is None unless a point came back; duals only from an LP."""

    status: SolveStatus
    x: Array | None
    objective: float | None
    bound: float | None
    nodes: int
    iterations: int
    row_dual: Array | None = None
    column_dual: Array | None = None
    message: str = ""


def solve(
    problem: Milp, cost: Array, offset: float, limits: SolverLimits, start: Array | None = None
) -> MilpResult:
    """Minimise cost x + offset over `problem`, from the point `start` if one is given.

    Raises:
        UnavailableError: highspy is not installed.
    """
    highspy = _highspy()
    solver = highspy.Highs()
    _configure(solver, limits)
    if _pass(highspy, solver, problem, cost, offset) == highspy.HighsStatus.kError:
        return _nothing(SolveStatus.BAD_INPUT, "HiGHS refused the model")
    if start is not None and problem.integer.any():
        point = highspy.HighsSolution()
        point.col_value = np.clip(start, problem.lower, problem.upper)
        solver.setSolution(point)
    if problem.integer.any():
        _count_checks(solver, limits.checks)
    solver.run()
    return _result(highspy, solver, problem, limits)


def _count_checks(solver: Any, most: int) -> None:
    """Interrupt at the `most`-th check of limits."""
    seen = 0

    def check(event: Any) -> None:
        nonlocal seen
        seen += 1
        if seen >= most:
            event.interrupt()

    solver.cbMipInterrupt.subscribe(check)


@dataclass(frozen=True)
class Basis:
    """Which columns and rows are basic, in HiGHS's codes; each int8."""

    columns: NDArray[np.int8]
    rows: NDArray[np.int8]

    AT_LOWER: ClassVar[int] = 0
    BASIC: ClassVar[int] = 1
    AT_UPPER: ClassVar[int] = 2
    FREE: ClassVar[int] = 3

    @classmethod
    def logical(cls, problem: Milp) -> "Basis":
        """Every row basic, every column at a bound (or at 0 without one)."""
        columns = np.full(problem.columns, cls.AT_LOWER, dtype=np.int8)
        columns[~np.isfinite(problem.lower)] = cls.AT_UPPER
        columns[~np.isfinite(problem.lower) & ~np.isfinite(problem.upper)] = cls.FREE
        return cls(columns, np.full(len(problem.row_lower), cls.BASIC, dtype=np.int8))


class LinearSession:
    """One linear programme solved again and again with other column bounds, from the last basis.

    Integrality is left out: fix the integers through the bounds. Without presolve: measured on the
    dispatch problem it saves nothing, and on priced-out recoveries it stalled for good.
    """

    def __init__(self, problem: Milp, cost: Array, offset: float, limits: SolverLimits) -> None:
        """Raises UnavailableError when highspy is not installed."""
        self._highspy, self._problem, self._limits = _highspy(), problem.relaxed(), limits
        self._solver = self._highspy.Highs()
        _configure(self._solver, limits)
        self._solver.setOptionValue("presolve", "off")
        _pass(self._highspy, self._solver, self._problem, cost, offset)

    def start_from(self, other: "LinearSession") -> None:
        """Take the last basis of a programme with the same rows and columns."""
        basis = other._solver.getBasis()
        if basis.valid:
            self._solver.setBasis(basis)

    def start_at(self, basis: "Basis") -> None:
        """Start from a basis that was put together elsewhere.

        Its edge weights are not known: Devex takes them as 1, where steepest edge would spend a
        linear system a row on them (measured: ten times the whole solve). Without scaling, because
        rows in K and kW need none, and scaled ones end less exact.
        """
        found = self._highspy.HighsBasis()
        by_value = [self._highspy.HighsBasisStatus(v) for v in range(5)]
        found.col_status = [by_value[v] for v in basis.columns]
        found.row_status = [by_value[v] for v in basis.rows]
        found.valid = found.alien = True
        self._solver.setOptionValue("simplex_dual_edge_weight_strategy", 1)
        self._solver.setOptionValue("simplex_scale_strategy", 0)
        self._solver.setBasis(found)

    def basis(self) -> "Basis | None":
        """The last basis, if the simplex ended with one."""
        found = self._solver.getBasis()
        if not found.valid:
            return None
        columns, rows = (np.array([int(v) for v in part], dtype=np.int8)
                         for part in (found.col_status, found.row_status))  # fmt: skip
        return Basis(columns, rows)

    def move_rows(self, lower: Array, upper: Array) -> None:
        """Give the rows other bounds, each (rows,)."""
        rows = np.arange(len(lower), dtype=np.int32)
        self._solver.changeRowsBounds(len(rows), rows, lower, upper)

    def renew(self, problem: Milp, cost: Array, offset: float) -> None:
        """Another problem with as many rows and columns, from the last basis.

        Where a coefficient changes the edge weights are lost, and to find them again would cost
        several times what the few steps from the last basis do: see `start_at`.

        Raises:
            ValueError: another number of rows or columns.
        """
        known = self._problem
        shapes = [(p.columns, len(p.row_lower)) for p in (known, problem)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"a session of {shapes[0]} columns and rows cannot take {shapes[1]}")
        basis = self._solver.getBasis()
        self._problem = problem.relaxed()
        self._solver.setOptionValue("simplex_dual_edge_weight_strategy", 1)
        self._solver.setOptionValue("simplex_scale_strategy", 0)
        _pass(self._highspy, self._solver, self._problem, cost, offset)
        if basis.valid:
            self._solver.setBasis(basis)

    def infeasible_rows(self) -> NDArray[np.int64]:
        """Rows of an irreducible infeasible subset of the programme that the last solve refused.

        Empty where HiGHS gives none: versions before 1.11 do not look for one.
        """
        if not hasattr(self._highspy.Highs, "getIis"):
            return np.zeros(0, dtype=np.int64)
        self._solver.setOptionValue("iis_strategy", IIS_FROM_RAY + IIS_IRREDUCIBLE)
        self._solver.setOptionValue("iis_time_limit", IIS_SECONDS)
        status, found = self._solver.getIis()
        if status == self._highspy.HighsStatus.kError:
            return np.zeros(0, dtype=np.int64)
        return np.array(found.row_index_, dtype=np.int64)

    def reprice(self, cost: Array) -> None:
        """Give the columns other costs, (columns,)."""
        columns = np.arange(len(cost), dtype=np.int32)
        self._solver.changeColsCost(len(columns), columns, cost)

    def solve(self, lower: Array | None = None, upper: Array | None = None) -> MilpResult:
        """Solve with these column bounds, (columns,); None means the problem's own."""
        low = self._problem.lower if lower is None else lower
        high = self._problem.upper if upper is None else upper
        columns = np.arange(self._problem.columns, dtype=np.int32)
        self._solver.changeColsBounds(len(columns), columns, low, high)
        self._solver.run()
        answered = (
            self._highspy.HighsModelStatus.kOptimal,
            self._highspy.HighsModelStatus.kInfeasible,
        )
        if self._solver.getModelStatus() not in answered:  # the simplex lost its way
            self._solver.clearSolver()
            self._solver.setOptionValue("solver", "ipm")
            self._solver.run()
            self._solver.setOptionValue("solver", "choose")
        return _result(self._highspy, self._solver, self._problem, self._limits)


def _highspy() -> Any:
    try:
        import highspy
    except ImportError as error:
        raise UnavailableError("highspy is not installed", "pip install highspy") from error
    return highspy


def _configure(solver: Any, limits: SolverLimits) -> None:
    options = {
        "output_flag": False,
        "threads": 1,
        "parallel": "off",
        "random_seed": SEED % 2**31,
        "mip_rel_gap": limits.gap,
        "mip_abs_gap": limits.absolute_gap,
        "mip_max_nodes": limits.nodes,
        "simplex_iteration_limit": limits.iterations,
        "time_limit": limits.abort_after_s,
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)


def _pass(highspy: Any, solver: Any, problem: Milp, cost: Array, offset: float) -> Any:
    """Hand the model over as arrays: field by field a model takes several times as long."""
    # Triplets are sorted by row already (MilpBuilder), appended rows come last.
    counts = np.bincount(problem.rows, minlength=len(problem.row_lower))
    begin = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return solver.passModel(
        problem.columns, len(problem.row_lower), len(problem.values),
        int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), float(offset), cost,
        problem.lower, problem.upper, problem.row_lower, problem.row_upper, begin,
        problem.cols.astype(np.int32), problem.values, problem.integer.astype(np.int32),
    )  # fmt: skip


def _result(highspy: Any, solver: Any, problem: Milp, limits: SolverLimits) -> MilpResult:
    info = solver.getInfo()
    feasible = int(highspy.SolutionStatus.kSolutionStatusFeasible)
    found = int(info.primal_solution_status) == feasible
    whole = bool(problem.integer.any())
    objective = float(info.objective_function_value) if found else None
    bound = float(info.mip_dual_bound) if whole else objective
    if bound is not None and not np.isfinite(bound):
        bound = None
    solution = solver.getSolution()
    model_status = solver.getModelStatus()
    return MilpResult(
        status=_status(highspy, model_status, objective, bound, limits),
        x=np.array(solution.col_value, dtype=float) if found else None,
        objective=objective,
        bound=bound,
        nodes=max(int(info.mip_node_count), 0) if whole else 0,
        iterations=max(int(info.simplex_iteration_count), 0),
        row_dual=None if whole or not found else np.array(solution.row_dual, dtype=float),
        column_dual=None if whole or not found else np.array(solution.col_dual, dtype=float),
        message=str(solver.modelStatusToString(model_status)),
    )


def relative_gap(objective: float, bound: float) -> float:
    """(objective - bound) / |objective|, 0 when both agree."""
    difference = max(objective - bound, 0.0)
    return difference / max(abs(objective), 1e-9) if difference > 0 else 0.0


def _status(
    highspy: Any, code: Any, objective: float | None, bound: float | None, limits: SolverLimits
) -> SolveStatus:
    """HiGHS's outcome in our closed enumeration. Every code of HiGHS is named here."""
    status = highspy.HighsModelStatus
    if code == status.kOptimal:
        return _quality(objective, bound, limits)
    if code == status.kSolutionLimit:  # HiGHS reports its node limit under this name
        kept = _quality(objective, bound, limits)
        return kept if kept.usable else SolveStatus.NODE_LIMIT
    if code in (status.kInterrupt, status.kHighsInterrupt):  # our own: see `_count_checks`
        kept = _quality(objective, bound, limits)
        return kept if kept.usable else SolveStatus.ITERATION_LIMIT
    named = {
        status.kInfeasible: SolveStatus.INFEASIBLE,
        # All our columns that carry a cost are bounded below, so this can only be infeasible.
        status.kUnboundedOrInfeasible: SolveStatus.INFEASIBLE,
        status.kUnbounded: SolveStatus.UNBOUNDED,
        status.kIterationLimit: SolveStatus.ITERATION_LIMIT,
        status.kTimeLimit: SolveStatus.TIME_LIMIT,
        status.kNotset: SolveStatus.NOT_SOLVED,
        status.kObjectiveBound: SolveStatus.GAP_NOT_REACHED,
        status.kObjectiveTarget: SolveStatus.GAP_NOT_REACHED,
        status.kLoadError: SolveStatus.BAD_INPUT,
        status.kModelError: SolveStatus.BAD_INPUT,
        status.kModelEmpty: SolveStatus.BAD_INPUT,
        status.kPresolveError: SolveStatus.NUMERICAL_TROUBLE,
        status.kSolveError: SolveStatus.NUMERICAL_TROUBLE,
        status.kPostsolveError: SolveStatus.NUMERICAL_TROUBLE,
        status.kMemoryLimit: SolveStatus.NUMERICAL_TROUBLE,
        status.kUnknown: SolveStatus.NUMERICAL_TROUBLE,
    }
    return named.get(code, SolveStatus.NUMERICAL_TROUBLE)


def _quality(objective: float | None, bound: float | None, limits: SolverLimits) -> SolveStatus:
    """OPTIMAL, WITHIN_GAP or GAP_NOT_REACHED of a point; the gap is checked, not believed."""
    if objective is None or bound is None:
        return SolveStatus.NUMERICAL_TROUBLE
    difference = objective - bound
    if difference <= 1e-6 * max(abs(objective), 1.0):  # HiGHS's own feasibility tolerance
        return SolveStatus.OPTIMAL
    if relative_gap(objective, bound) <= limits.gap or difference <= limits.absolute_gap:
        return SolveStatus.WITHIN_GAP
    return SolveStatus.GAP_NOT_REACHED


def _nothing(status: SolveStatus, message: str) -> MilpResult:
    return MilpResult(status, None, None, None, 0, 0, message=message)
