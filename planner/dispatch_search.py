"""Finds a plan within the gap: relaxation, pattern, fixed programme; branch and bound as needed.

1. Solve the linear relaxation: its value bounds every plan, and its infeasibility is everyone's.
   It starts from the rooms' own optima where there are several on air units (`zone_start`).
2. Without a heat pump: round the switches of flows. With one, propose on/off patterns: the
   incumbent's, shifted, where there is one; then the shortest paths.
3. Fix a pattern and solve for the powers, from the last basis. Within the gap: done. The best
   pattern's runs are then moved step by step, as long as that helps.
4. Otherwise branch and bound from the best point so far.
Every returned point comes from a linear programme with the integers fixed, so its multipliers are
those of the plan itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graph.plan import SolveStatus
from planner.dispatch_options import SolveOptions
from planner.dispatch_pattern import best_pattern, pattern_task
from planner.dispatch_problem import DispatchProblem
from planner.milp import Milp
from planner.milp_highs import LinearSession, MilpResult, relative_gap, solve
from planner.zone_start import zone_start

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
LOCAL_TRIALS = 100  # each a linear programme from the last basis, 5 to 20 ms


@dataclass(frozen=True)
class Found:
    """The end of a search. `x` and the multipliers are None when there is no point."""

    status: SolveStatus
    x: Array | None
    objective: float | None
    bound: float | None
    nodes: int
    iterations: int
    how: str
    fixed: Milp
    row_dual: Array | None = None
    column_dual: Array | None = None
    session: LinearSession | None = None  # its basis is where the refinement starts


def search(
    problem: DispatchProblem,
    cost: Array,
    offset: float,
    options: SolveOptions,
    known: Array | None = None,
    *,
    branch: bool = True,
) -> Found:
    """Minimise cost x + offset over the problem.

    Args:
        known: (N,) the incumbent's on/off, NaN where it says nothing; None without one.
        branch: whether to branch and bound when no pattern is within the gap.
    """
    session = LinearSession(problem.milp, cost, offset, options.limits)
    start = zone_start(problem, cost, options.limits)
    if start is not None:
        session.start_at(start)
    found = _search(session, problem, cost, offset, options, known, branch)
    return replace(found, session=session)


def _search(
    session: LinearSession,
    problem: DispatchProblem,
    cost: Array,
    offset: float,
    options: SolveOptions,
    known: Array | None,
    branch: bool,
) -> Found:
    milp = problem.milp
    if options.keep_pattern and known is not None and not np.isnan(known).any():
        kept = _kept(session, problem, cost, offset, options, known > 0.5)
        if kept is not None:
            return kept
    relaxed = session.solve()
    spent = relaxed.iterations
    if relaxed.x is None or relaxed.status is not SolveStatus.OPTIMAL:
        return _none(milp, relaxed, "relaxation")
    if not milp.integer.any():
        return _finish(relaxed, relaxed.objective, milp, options, 0, spent, "linear")
    best, fixed, spent = _rounded(session, problem, relaxed, spent)
    if best is not None:
        done = _finish(best, relaxed.objective, fixed, options, 0, spent, "rounded")
        if done.status.usable:
            return done
    tried: list[bytes] = []

    def latest() -> MilpResult | None:
        return best

    for name, pattern in _patterns(problem, relaxed, known, latest):
        if pattern.tobytes() in tried:
            continue
        tried.append(pattern.tobytes())
        trial = _fix(problem, pattern)
        result = _fixed_solve(session, trial, cost, offset, options)
        spent += result.iterations
        if result.x is None or (best and (result.objective or 0.0) >= (best.objective or 0.0)):
            continue
        best, fixed = result, trial
        done = _finish(best, relaxed.objective, fixed, options, 0, spent, name)
        if done.status.usable:
            return done
    if problem.hub.heat is not None and best is None:
        # Branch and bound seldom finds what no pattern came near; the elastic problem says why.
        return replace(_none(milp, relaxed, "patterns"), status=SolveStatus.ITERATION_LIMIT)
    if not branch and best is not None:
        return _finish(best, relaxed.objective, fixed, options, 0, spent, "patterns")
    return _branch(session, problem, cost, offset, options, best, fixed, spent)


def _kept(
    session: LinearSession,
    problem: DispatchProblem,
    cost: Array,
    offset: float,
    options: SolveOptions,
    pattern: Bools,
) -> Found | None:
    """The best powers for a given pattern; None where the pattern does not carry the problem."""
    if problem.hub.heat is None:
        return None
    trial = _fix(problem, pattern)
    result = _fixed_solve(session, trial, cost, offset, options)
    if result.x is None or result.status is not SolveStatus.OPTIMAL:
        return None
    # Its own bound: nothing is said of other patterns, so it never claims a gap over them.
    return _finish(result, result.objective, trial, options, 0, result.iterations, "kept pattern")


def _patterns(
    problem: DispatchProblem,
    relaxed: MilpResult,
    known: Array | None,
    latest: Callable[[], MilpResult | None],
) -> Iterator[tuple[str, Bools]]:
    """Patterns worth a try, the likeliest first; `latest` gives the best solution so far."""
    if problem.hub.heat is None:
        return
    assert relaxed.x is not None
    assert relaxed.row_dual is not None
    task = pattern_task(problem, relaxed.x, relaxed.row_dual)
    if known is not None:
        free = np.isnan(task.forced)
        yield "incumbent", best_pattern(replace(task, forced=np.where(free, known, task.forced)))
    yield "pattern", best_pattern(task)
    for share in (0.5, 0.25, 0.75):
        found = latest()
        if found is not None and found.row_dual is not None and found.x is not None:
            # What electricity costs where the pattern has put it: a peak shows only there.
            again = pattern_task(problem, found.x, found.row_dual)
            mixed = (1.0 - share) * task.price + share * again.price
            yield f"pattern {share:g}", best_pattern(replace(task, price=mixed))
    # A peak or an import limit makes high powers dearer than the multipliers say: stay near the
    # relaxation's own power, or at the least one.
    dear = problem.rates.dearest_kwh / float(np.max(task.powers))
    yield "smooth pattern", best_pattern(replace(task, smooth=dear / 10.0))
    yield "low pattern", best_pattern(replace(task, powers=task.powers[:1]))
    yield "very smooth pattern", best_pattern(replace(task, smooth=dear))
    if problem.starts_firm != problem.starts_left:
        for more in (1, 2, max(problem.starts_firm)):
            pairs = zip(problem.starts_left, problem.starts_firm, strict=True)
            allowed = tuple(min(stated + more, firm) for stated, firm in pairs)
            yield f"{more} more starts", best_pattern(replace(task, allowed=allowed))
    yield from _improved(problem, latest)


def _improved(
    problem: DispatchProblem, latest: Callable[[], MilpResult | None]
) -> Iterator[tuple[str, Bools]]:
    """Local search: move the edges of the best pattern's runs, take a run out, while that helps."""
    heat, left = problem.hub.heat, LOCAL_TRIALS
    best = latest()
    while best is not None and best.x is not None and heat is not None:
        for moved in neighbours(best.x[heat.on] > 0.5):
            yield "local search", moved
            left -= 1
            if left <= 0:
                return
            if latest() is not best:
                break
        else:
            return
        best = latest()


def neighbours(pattern: Bools) -> Iterator[Bools]:
    """Patterns that differ in one run: an edge moved, the run shifted, or the run taken out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], pattern, [False]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        for first, last in (
            (begin, end + 1), (begin - 1, end), (begin + 1, end), (begin, end - 1),
            (begin + 1, end + 1), (begin - 1, end - 1), (begin, begin),
        ):  # fmt: skip
            if 0 <= first <= last <= len(pattern):
                moved = pattern.copy()
                moved[begin:end] = False
                moved[first:last] = True
                yield moved


def _rounded(
    session: LinearSession, problem: DispatchProblem, relaxed: MilpResult, spent: int
) -> tuple[MilpResult | None, Milp, int]:
    """Without a heat pump: every switch on the side of the relaxation's greater flow. Gives the
    best point (if there is one), the problem so fixed, and the iterations so far."""
    milp = problem.milp
    if problem.hub.heat is not None:
        return None, milp, spent
    assert relaxed.x is not None
    for switch in problem.hub.switches:
        milp = milp.fixed(switch.columns, switch.guess(relaxed.x))
    result = session.solve(milp.lower, milp.upper)
    found = result.x is not None and result.status is SolveStatus.OPTIMAL
    return (result if found else None), milp, spent + result.iterations


def _fix(problem: DispatchProblem, pattern: Bools) -> Milp:
    assert problem.hub.heat is not None
    return problem.milp.fixed(problem.hub.heat.on, pattern.astype(float))


def _fixed_solve(
    session: LinearSession, trial: Milp, cost: Array, offset: float, options: SolveOptions
) -> MilpResult:
    """Solve with the pattern fixed; further integers (signs of flows) are branched on."""
    open_integers = trial.integer & (trial.lower < trial.upper)
    if open_integers.any():
        whole = solve(trial, cost, offset, options.limits)
        if whole.x is None:
            return whole
        at = np.flatnonzero(trial.integer)
        trial = trial.fixed(at, np.round(whole.x[at]))
    return session.solve(trial.lower, trial.upper)


def _branch(
    session: LinearSession,
    problem: DispatchProblem,
    cost: Array,
    offset: float,
    options: SolveOptions,
    best: MilpResult | None,
    fixed: Milp,
    spent: int,
) -> Found:
    """Branch and bound, then the linear programme at its integers."""
    milp = problem.milp
    start = best.x if best is not None else None
    whole = solve(milp, cost, offset, options.limits, start)
    spent += whole.iterations
    if whole.x is None:
        return replace(_none(milp, whole, "branch and bound"), iterations=spent)
    at = np.flatnonzero(milp.integer)
    fixed = milp.fixed(at, np.round(whole.x[at]))
    polished = session.solve(fixed.lower, fixed.upper)
    if polished.x is None:
        failed = replace(polished, status=SolveStatus.NUMERICAL_TROUBLE)
        return _none(milp, failed, "polish")
    found = _finish(polished, whole.bound, fixed, options, whole.nodes, spent, "branch and bound")
    # The wall clock only aborts: what it cut off is no plan, however good it looks.
    if whole.status is SolveStatus.TIME_LIMIT:
        return replace(found, status=whole.status)
    limited = whole.status in (SolveStatus.ITERATION_LIMIT, SolveStatus.NODE_LIMIT)
    return replace(found, status=whole.status) if limited and not found.status.usable else found


def _finish(
    point: MilpResult,
    bound: float | None,
    fixed: Milp,
    options: SolveOptions,
    nodes: int,
    iterations: int,
    how: str,
) -> Found:
    objective = point.objective
    status = SolveStatus.NUMERICAL_TROUBLE
    if objective is not None and bound is not None:
        difference = objective - bound
        gap = relative_gap(objective, bound)
        if difference <= 1e-6 * max(abs(objective), 1.0):
            status = SolveStatus.OPTIMAL
        elif gap <= options.gap or difference <= options.absolute_gap:
            status = SolveStatus.WITHIN_GAP
        else:
            status = SolveStatus.GAP_NOT_REACHED
    return Found(
        status, point.x, objective, bound, nodes, iterations, how, fixed,
        point.row_dual, point.column_dual,
    )  # fmt: skip


def _none(milp: Milp, result: MilpResult, how: str) -> Found:
    status = result.status
    if status.usable:
        status = SolveStatus.NUMERICAL_TROUBLE
    return Found(status, None, None, None, result.nodes, result.iterations, how, milp)
