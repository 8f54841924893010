"""Plans a plant that is described by equations: from a snapshot and an intent to setpoints.

1. Check and gather (`nmpc_data`); anything unusable is a plan with status BAD_INPUT.
2. Branches of the uncertain parameters (`nmpc_tree`), the programme (`nmpc_problem`), its solve
   (`nmpc_routes`), whose status is always looked at.
3. Round the setpoints, play them in the twin, and see which limits they keep (`nmpc_report`).
4. Where one is missed, solve once more for the least miss: what cannot be helped is said, what
   could have been helped is no plan.
"""

import numpy as np

from graph.errors import InputError, UnavailableError
from graph.intent import Intent
from graph.plan import Plan, SolveStatus
from graph.site import Site
from graph.snapshot import Snapshot
from planner.nmpc_data import NmpcData, nmpc_data
from planner.nmpc_offset import drift_of
from planner.nmpc_options import NmpcOptions
from planner.nmpc_report import (
    Array,
    Break,
    active,
    breaks,
    conflict_of,
    note_of,
    played,
    setpoints,
    terms,
    tolerance_of,
)
from planner.nmpc_routes import Point, Solved
from planner.nmpc_solve import Problem, least_slack, make_problem, solve
from planner.nmpc_tree import Branches, branches_of
from sandbox.ode_twin import OdeTwin

SOURCE = "nmpc"
AVOIDABLE = 1.2  # a miss so many times the least one could have been avoided


def plan_nmpc(
    site: Site, twin: OdeTwin, snapshot: Snapshot, intent: Intent, *,
    options: NmpcOptions | None = None,
) -> Plan:  # fmt: skip
    """Plan the snapshot's horizon (or its first `options.reach_steps`, then hold).

    Returns:
        A plan. Only OPTIMAL and WITHIN_GAP are usable. BAD_INPUT and SOLVER_MISSING say why in
        `notes`; INFEASIBLE has `conflicts`: the demands that cannot be kept, and by how much.
        Nothing is raised for what a snapshot or an intent may hold.
    """
    options = options or NmpcOptions()
    try:
        drift = drift_of(twin, snapshot)
        data = nmpc_data(site, twin, snapshot, intent, drift, options)
        branches = branches_of(data, options)
        problem = make_problem(data, branches, options)
    except InputError as error:
        return _failed(snapshot, SolveStatus.BAD_INPUT, str(error))
    except UnavailableError as error:
        return _failed(snapshot, SolveStatus.SOLVER_MISSING, str(error))
    return _plan(problem, branches, options)


def _plan(problem: Problem, branches: Branches, options: NmpcOptions) -> Plan:
    found = solve(problem, options)
    if not found.status.usable or found.point is None:
        said = f"{found.route} ended with {found.said or found.status.value}"
        if found.status is SolveStatus.TIME_LIMIT:
            said = f"{found.route} was stopped after {options.abort_after_s:g} s"
        return _failed(problem.data.snapshot, found.status, said)
    points = setpoints(problem, found.point)
    traces = played(problem, points)
    if not all(np.all(np.isfinite(v)) for v in traces.values()):
        said = "the twin gives no numbers under this plan"
        return _failed(problem.data.snapshot, SolveStatus.NUMERICAL_TROUBLE, said)
    broken = breaks(problem, traces)
    notes = (*problem.data.notes, *_about_tree(branches, options))
    if not broken:
        return _report(problem, found, points, traces, options, found.status, notes)
    return _judged(problem, found, points, traces, options, broken, notes)


def _judged(
    problem: Problem, found: Solved, points: dict[str, Array], traces: dict[str, Array],
    options: NmpcOptions, broken: tuple[Break, ...], notes: tuple[str, ...],
) -> Plan:  # fmt: skip
    """A plan that misses a limit: no plan (a demand), a report (the site's), or noted (a wish).

    1. A demand, or a limit of the site, that the plant is outside of already may be returned to.
    2. Any other demand that is missed is a conflict.
    3. A wish may be missed where no plan misses it by less.
    """
    said = tuple(note_of(b) for b in broken)
    demands = [b for b in broken if b.limit.tier == "demand" and (b.lasting or not b.outside)]
    if demands:
        conflicts = tuple(conflict_of(problem, b) for b in demands)
        plan = _failed(problem.data.snapshot, SolveStatus.INFEASIBLE, *said)
        return plan.model_copy(update={"conflicts": conflicts, "slack": _slack(broken)})
    left = options.abort_after_s - found.seconds
    assert found.point is not None
    helped = _avoidable(problem, broken, options, found.point, left)
    lasting = [b for b in broken if b.limit.tier == "site" and (b.lasting or not b.outside)]
    status = found.status
    if lasting:
        words = "a limit of the site itself cannot be kept from here; this is the least break of it"
        status, notes = SolveStatus.ON_SLACK, (words, *notes)
    elif helped:
        status = SolveStatus.ON_SLACK
    words = "no plan does better from the present state under what else is asked"
    notes = (*notes, *(n if helped else f"{n}; {words}" for n in said))
    plan = _report(problem, found, points, traces, options, status, notes)
    return plan.model_copy(update={"slack": _slack(broken)})


def _avoidable(
    problem: Problem, broken: tuple[Break, ...], options: NmpcOptions, found: Point, left_s: float
) -> bool:
    """Whether another plan would miss the limits by noticeably less."""
    least = least_slack(problem, options, found, left_s)
    if not least.status.usable or least.point is None:
        return True  # not proven
    other = {
        b.limit.id: b for b in breaks(problem, played(problem, setpoints(problem, least.point)))
    }
    price = options.prices

    def weighed(those: tuple[Break, ...]) -> float:
        return sum(
            b.total * price[b.limit.tier] * b.limit.rank / tolerance_of(problem.data, b.limit)
            for b in those
        )

    return weighed(broken) > AVOIDABLE * weighed(tuple(other.values())) + options.wish_price


def _slack(broken: tuple[Break, ...]) -> dict[str, float]:
    return {b.limit.id: float(f"{b.total:.6g}") for b in broken}


def _about_tree(branches: Branches, options: NmpcOptions) -> tuple[str, ...]:
    if options.branches == 1 or not branches.signal:
        return ()
    if branches.count == 1:
        return (
            f"one branch: the twin's parameters move {branches.signal} by no more than "
            f"{100 * branches.spread:.2g} % of its nominal value",
        )
    return (
        f"{branches.count} branches: {branches.parameter} and what varies with it move "
        f"{branches.signal} by {100 * branches.spread:.2g} % of its nominal value",
    )


def _report(
    problem: Problem, found: Solved, points: dict[str, Array], traces: dict[str, Array],
    options: NmpcOptions, status: SolveStatus, notes: tuple[str, ...],
) -> Plan:  # fmt: skip
    data: NmpcData = problem.data
    assert found.point is not None
    parts = terms(problem, traces, points)
    return Plan(
        source=SOURCE,
        status=status,
        start=data.snapshot.as_of,
        step_s=data.site.step_s,
        setpoints={n: tuple(map(float, v)) for n, v in points.items()},
        predicted={n: tuple(round(float(x), 6) + 0.0 for x in v) for n, v in traces.items()},
        objective=parts["priced_power"],
        objective_terms=parts,
        iterations=found.iterations,
        active=active(problem, found.point) if options.explain else (),
        notes=notes,
    )


def _failed(snapshot: Snapshot, status: SolveStatus, *notes: str) -> Plan:
    return Plan(
        source=SOURCE, status=status, start=snapshot.as_of, step_s=snapshot.step_s, notes=notes
    )
