"""Ways to solve the nonlinear programme, each a solver with its settings, and what comes back.

`pilothouse bench planner` measures them. A route runs CasADi's interpreter, or C that was written
for this very programme, where a compiler made it before (`prepare`).
"""

import hashlib
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, UnavailableError
from graph.plan import SolveStatus
from planner.nmpc_problem import Programme
from sandbox.symbolic import compiled_c
from sandbox.symbolic.casadi_sx import casadi

Array = NDArray[np.float64]
Code = Literal["auto", "compiled", "interpreted"]
QUIET = {"print_time": False, "error_on_fail": False}
SQP = {"print_header": False, "print_iteration": False, "print_status": False, "max_iter": 40,
       "tol_pr": 1e-6, "tol_du": 1e-4}  # fmt: skip
IPOPT = {"print_level": 0, "sb": "yes", "tol": 1e-6, "mu_init": 1e-2, "max_iter": 120,
         "warm_start_init_point": "no"}  # fmt: skip
QRQP = {"print_iter": False, "print_header": False, "print_info": False, "error_on_fail": False}


@dataclass(frozen=True)
class Route:
    """A solver of CasADi's with its settings. `structured`: it wants to know the equations."""

    name: str
    plugin: str
    options: Mapping[str, Any]
    qp: str = ""
    structured: bool = False


def _sqp(qp: str, **settings: Any) -> Route:
    options = {**SQP, "qpsol": qp, "qpsol_options": {"error_on_fail": False, **settings}}
    return Route(f"sqp+{qp}", "sqpmethod", options, qp)


ROUTES: dict[str, Route] = {
    route.name: route
    for route in (
        _sqp("qrqp", **QRQP),
        _sqp("hpipm", hpipm={"mode": "robust"}),
        _sqp("piqp"),
        _sqp("osqp", osqp={"verbose": False}),
        Route("ipopt", "ipopt", {"ipopt": IPOPT}),
        Route("fatrop", "fatrop", {"structure_detection": "auto", "fatrop": {"print_level": 0}},
              structured=True),
    )
}  # fmt: skip
# Measured: the fastest that solved everything, and the one that fails least, for what it leaves.
DEFAULT, FALLBACK = "sqp+piqp", "ipopt"

_STATUS = {
    "Solve_Succeeded": SolveStatus.OPTIMAL,
    "Solved_To_Acceptable_Level": SolveStatus.WITHIN_GAP,
    "Infeasible_Problem_Detected": SolveStatus.INFEASIBLE,
    "Maximum_Iterations_Exceeded": SolveStatus.ITERATION_LIMIT,
    "User_Requested_Stop": SolveStatus.TIME_LIMIT,
    "Diverging_Iterates": SolveStatus.UNBOUNDED,
}


@dataclass(frozen=True)
class Point:
    """Where a solve begins: variables z and multipliers of rows and of bounds on variables."""

    z: Array
    lam_g: Array
    lam_z: Array


@dataclass(frozen=True)
class Numbers:
    """The numbers of one solve: bounds of z and g, parameters."""

    low_z: Array
    high_z: Array
    low_g: Array
    high_g: Array
    p: Array


@dataclass(frozen=True)
class Solved:
    """What a route came to. `point` is None when the solver left nothing that is a number."""

    status: SolveStatus
    point: Point | None
    objective: float
    iterations: int
    seconds: float
    route: str
    said: str = ""


@dataclass
class _Clock:
    """When to stop; read by the solver between iterations."""

    until: float = np.inf
    callback: Any = None


class _Memory:
    """A function's arguments and results in place: as matrices of CasADi's, to and fro, they cost
    a tenth of a small solve. For one solve at a time."""

    def __init__(self, function: Any) -> None:
        self._buffer, self._go = function.buffer()
        self._names = [function.name_in(i) for i in range(function.n_in())]
        self._sizes = [function.nnz_in(i) for i in range(function.n_in())]
        self._results = {
            function.name_out(i): np.zeros(function.nnz_out(i)) for i in range(function.n_out())
        }
        for i, result in enumerate(self._results.values()):
            self._buffer.set_res(i, result.data)

    def run(self, **arguments: Array) -> dict[str, Array]:
        """The results by name, each flat. Raises RuntimeError where the function fails."""
        given = [np.ascontiguousarray(arguments[n], dtype=float).ravel() for n in self._names]
        sizes = [len(v) for v in given]
        if sizes != self._sizes:
            raise RuntimeError(f"arguments of sizes {sizes}, expected {self._sizes}")
        for i, values in enumerate(given):
            self._buffer.set_arg(i, values.data)
        self._go()
        if self._buffer.ret():
            raise RuntimeError("the solver's function failed")
        return {name: values.copy() for name, values in self._results.items()}

    def stats(self) -> dict[str, Any]:
        """What the solver says of the last run."""
        return dict(self._buffer.stats())


@dataclass
class Solver:
    """One programme on one route, ready to be solved again and again."""

    programme: Programme
    route: Route
    compiled: bool
    function: Any
    clock: _Clock = field(default_factory=_Clock)
    _memory: "_Memory | None" = None

    def solve(self, numbers: Numbers, start: Point, limit_s: float = np.inf) -> Solved:
        """Solve from `start`; a failure of any kind is a status, never an exception.

        Args:
            limit_s: wall time; looked at between the solver's iterations, and at the end: a late
                result is TIME_LIMIT.
        """
        begun = time.perf_counter()
        self.clock.until = begun + limit_s
        said = ""
        self._memory = self._memory or _Memory(self.function)
        try:
            found = self._memory.run(
                x0=start.z, lam_g0=start.lam_g, lam_x0=start.lam_z, p=numbers.p,
                lbx=numbers.low_z, ubx=numbers.high_z, lbg=numbers.low_g, ubg=numbers.high_g,
            )  # fmt: skip
            stats = self._memory.stats()
        except RuntimeError as error:
            found, stats, said = None, {}, str(error).strip().splitlines()[-1][:200]
        seconds = time.perf_counter() - begun
        point = None if found is None else _point(found)
        status = self._status(stats, point, seconds > limit_s)
        objective = float(found["f"][0]) if found is not None else float("nan")
        return Solved(
            status, point, objective, int(stats.get("iter_count", 0) or 0), seconds,
            self.route.name, said or str(stats.get("return_status", "")),
        )  # fmt: skip

    def _status(self, stats: Mapping[str, Any], point: Point | None, late: bool) -> SolveStatus:
        if late:
            return SolveStatus.TIME_LIMIT
        if point is None:
            return SolveStatus.NUMERICAL_TROUBLE
        if stats.get("success"):
            return _STATUS.get(str(stats.get("return_status")), SolveStatus.OPTIMAL)
        known = _STATUS.get(str(stats.get("return_status")), SolveStatus.NUMERICAL_TROUBLE)
        return SolveStatus.NUMERICAL_TROUBLE if known.usable else known


def route_of(name: str) -> Route:
    """The route called `name`. Raises InputError, or UnavailableError where CasADi lacks it."""
    if name not in ROUTES:
        raise InputError(f"no route {name}", f"known: {', '.join(ROUTES)}")
    route, ca = ROUTES[name], casadi()
    if not ca.has_nlpsol(route.plugin) or (route.qp and not ca.has_conic(route.qp)):
        raise UnavailableError(
            f"this CasADi has no {route.name}", f"take another route: {', '.join(ROUTES)}"
        )
    return route


def make_solver(programme: Programme, route: Route, code: Code = "auto") -> Solver:
    """A solver. auto: compiled code where it is kept already, else the interpreter.

    Raises UnavailableError when compiled code is demanded and cannot be had.
    """
    ca = casadi()
    library = None if code == "interpreted" else _library(programme, route, code)
    if code == "compiled" and library is None:
        raise UnavailableError(
            "the programme cannot be compiled here", 'install a C compiler, or take code="auto"'
        )
    clock = _Clock()
    clock.callback = _stop_watch(programme, clock)
    options = {**_options(programme, route), "iteration_callback": clock.callback}
    source = programme.nlp if library is None else str(library)
    function = ca.nlpsol("plan", route.plugin, source, options)
    return Solver(programme, route, library is not None, function, clock)


def _options(programme: Programme, route: Route) -> dict[str, Any]:
    options = {**QUIET, **route.options}
    if route.structured:
        options["equality"] = [bool(v) for v in programme.at.equality]
    return options


def _library(programme: Programme, route: Route, code: Code) -> Path | None:
    ca = casadi()
    name = library_name(programme, route)
    found = compiled_c.stored_library(name)
    if found is not None or code == "auto":
        return found

    def write(folder: Path) -> Path:
        function = ca.nlpsol("plan", route.plugin, programme.nlp, _options(programme, route))
        here = Path.cwd()
        try:  # CasADi writes into the working directory only
            os.chdir(folder)
            function.generate_dependencies("plan.c")
        finally:
            os.chdir(here)
        return folder / "plan.c"

    return compiled_c.make_library(name, write)


def library_name(programme: Programme, route: Route) -> str:
    """Digest of everything that the code follows from."""
    ca, nlp = casadi(), programme.nlp
    text = ca.Function("nlp", [nlp["x"], nlp["p"]], [nlp["f"], nlp["g"]]).serialize()
    made_by = (ca.__version__, platform.machine(), route.plugin, str(route.options),
               *compiled_c.FLAGS)  # fmt: skip
    return hashlib.sha256("\n".join((*made_by, text)).encode()).hexdigest()


def _point(found: Mapping[str, Any]) -> Point | None:
    z, lam_g, lam_z = (np.array(found[k], dtype=float).ravel() for k in ("x", "lam_g", "lam_x"))
    return Point(z, lam_g, lam_z) if np.all(np.isfinite(z)) else None


def _stop_watch(programme: Programme, clock: _Clock) -> Any:
    """CasADi's iteration callback that ends a solve when the clock's time is over."""
    ca = casadi()
    sizes = {"x": programme.at.variables, "f": 1, "g": len(programme.at.equality)}
    p = int(programme.nlp["p"].shape[0])
    by_name = {**sizes, "lam_x": sizes["x"], "lam_g": sizes["g"], "lam_p": p}

    class StopWatch(ca.Callback):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            ca.Callback.__init__(self)
            self.construct("stop_watch", {})

        def get_n_in(self) -> int:
            return int(ca.nlpsol_n_out())

        def get_n_out(self) -> int:
            return 1

        def get_name_in(self, i: int) -> str:
            return str(ca.nlpsol_out(i))

        def get_sparsity_in(self, i: int) -> Any:
            return ca.Sparsity.dense(by_name[ca.nlpsol_out(i)])

        def eval(self, _: Any) -> list[int]:
            return [int(time.perf_counter() > clock.until)]

    return StopWatch()
