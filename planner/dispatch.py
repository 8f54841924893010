"""Plans an energy hub or a building: from a snapshot and an intent to setpoints.

Every plan carries the account of its solve.

A mixed-integer linear programme on the twin's numbers (`dispatch_physics`), solved by HiGHS
(`milp_highs` says why directly). Every outcome is a `Plan` with a status; only a usable one may
become a candidate.
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, UnavailableError
from graph.intent import Intent
from graph.plan import ActiveConstraint, Conflict, Plan, SolveStatus
from graph.site import Site
from graph.snapshot import Snapshot
from planner.dispatch_assess import Assessment, assess
from planner.dispatch_inputs import DispatchInputs, dispatch_inputs
from planner.dispatch_level import levelled
from planner.dispatch_objective import objective, quantity_constant, quantity_cost
from planner.dispatch_options import PEAK_RESOLUTION_KW, SolveOptions
from planner.dispatch_physics import CopPoint
from planner.dispatch_problem import DispatchProblem, build_problem, reference_cop
from planner.dispatch_reach import within_reach
from planner.dispatch_refine import refine
from planner.dispatch_search import Found, search
from planner.dispatch_setpoints import margins_by_hour, predicted, setpoints
from planner.explain_solve import active_constraints, price_of_starts
from planner.hub_model import hub_numbers
from planner.margins import Margins
from planner.milp import About
from planner.milp_highs import relative_gap
from planner.minimum_times import with_minimum_times
from planner.relaxation import explain_infeasible, rescue_problem

Array = NDArray[np.float64]
SOURCE = "milp-dispatch"
BASELINE = "baseline"
# Proven infeasible, or no point found within the limits: both ask what stands in the way.
NO_POINT = (SolveStatus.INFEASIBLE, SolveStatus.ITERATION_LIMIT, SolveStatus.NODE_LIMIT)


def plan_dispatch(
    site: Site,
    twin: object,
    snapshot: Snapshot,
    intent: Intent,
    *,
    margin: Margins | None = None,
    incumbent: Plan | None = None,
    options: SolveOptions | None = None,
) -> Plan:
    """Plan the snapshot's whole horizon.

    Args:
        twin: a `HubModel`, or for a site with air units a `BuildingModel`: see `hub_model`.
        margin: how far inside its bounds the plan stays (default: not at all).
        incumbent: the last plan; its on/off pattern, shifted to now, is tried first.
        options: gap, limits, what to explain.

    Returns:
        A plan. Unusable input gives BAD_INPUT with the reason in `notes`; an infeasible intent
        gives INFEASIBLE with its conflicts, a missing solver SOLVER_MISSING; all without setpoints.
    """
    margin, options = margin or Margins(), options or SolveOptions()
    try:
        tight = with_minimum_times(site, intent)
        data = dispatch_inputs(tight, hub_numbers(tight, twin), snapshot)
        return _plan(data, intent, margin, incumbent, options)
    except InputError as error:
        return _nothing(site, snapshot, SolveStatus.BAD_INPUT, error)
    except UnavailableError as error:
        return _nothing(site, snapshot, SolveStatus.SOLVER_MISSING, error)


def _nothing(
    site: Site, snapshot: Snapshot, status: SolveStatus, error: InputError | UnavailableError
) -> Plan:
    """No plan, and why."""
    return Plan(
        source=SOURCE, status=status, start=snapshot.as_of, step_s=site.step_s, notes=(str(error),)
    )


def baseline_plan(site: Site, snapshot: Snapshot) -> Plan:
    """Doing nothing: every point stays with the plant's local law."""
    return Plan(
        source=BASELINE, status=SolveStatus.OPTIMAL, start=snapshot.as_of, step_s=site.step_s
    )


def _plan(
    data: DispatchInputs,
    intent: Intent,
    margin: Margins,
    incumbent: Plan | None,
    options: SolveOptions,
) -> Plan:
    known = incumbent_pattern(data, incumbent)
    cop = reference_cop(data, _running_tank(data, incumbent))
    problem = build_problem(data, intent, margin, cop=cop)
    found = solve_problem(problem, options, known)
    if found.x is None and found.status in NO_POINT:
        conflicts, known = explain_infeasible(data, intent, options)
        if not conflicts and known is not None and found.status is not SolveStatus.INFEASIBLE:
            found = solve_problem(problem, options, known)
        if found.x is None:
            return _infeasible(data, intent, options, problem, found, conflicts)
    refined = found
    if options.refine:
        problem, refined = refine(problem, found, intent, margin, options)
    refined = within_reach(problem, refined)
    if options.level:
        refined = levelled(problem, refined, options)
    checked = assess(problem, refined, options)
    plan = _report(problem, refined, checked, ())
    if not options.explain or not plan.status.usable:
        return plan
    active = active_constraints(problem, refined)
    if options.price_starts and found.objective is not None:
        active += _starts(data, intent, margin, options, found, cop)
    return plan.model_copy(update={"active": active})


def solve_problem(
    problem: DispatchProblem,
    options: SolveOptions,
    known: Array | None = None,
    *,
    branch: bool = True,
) -> Found:
    """The weighted sum, or the objectives one after the other.

    In lexicographic order each objective may lose at most the gap to the ones after it; the ones
    before the last take the best pattern's value, without branch and bound.
    """
    milp, priced, rates = problem.milp, problem.wear_priced, problem.rates
    indifferent = problem.weights.get("peak", 0.0) * rates.peak * PEAK_RESOLUTION_KW
    options = options.model_copy(update={"absolute_gap": options.absolute_gap + indifferent})
    if not problem.intent.lexicographic or len(problem.weights) == 1:
        cost, offset = objective(milp, problem.weights, rates, priced)
        return search(problem, cost, offset, options, known, branch=branch)
    found: Found | None = None
    last = list(problem.weights)[-1]
    for quantity in problem.weights:
        cost, offset = objective(problem.milp, {quantity: 1.0}, rates, priced)
        found = search(problem, cost, offset, options, known, branch=quantity == last)
        if found.x is None:
            return found
        if problem.hub.heat is not None:
            known = np.round(found.x[problem.hub.heat.on])
        own = quantity_cost(problem.milp, quantity, rates, priced)
        value = float(own @ found.x)
        total = value + quantity_constant(problem.milp, quantity, rates)
        room = options.gap * abs(total) + options.absolute_gap
        about = About(f"objective:{quantity}", f"{quantity} no worse than its best", None, "")
        problem = problem.with_row(about, own, value + room)
    assert found is not None
    return found


def incumbent_pattern(data: DispatchInputs, incumbent: Plan | None) -> Array | None:
    """The incumbent's on/off shifted to now, (N,), NaN beyond its end; None without one."""
    pump = data.parts.pump
    if incumbent is None or pump is None or incumbent.step_s != data.site.step_s:
        return None
    power = _shifted(data, incumbent, incumbent.setpoints.get(f"{pump.id}.power_set_kw", ()))
    if power is None:
        return None
    return np.where(np.isnan(power), np.nan, (power > 0.5 * pump.min_power_kw).astype(float))


def _shifted(data: DispatchInputs, incumbent: Plan, values: Sequence[float]) -> Array | None:
    """A series of the incumbent on this horizon, NaN where it does not reach."""
    late = (data.snapshot.as_of - incumbent.start) / timedelta(seconds=data.site.step_s)
    if not values or late < 0 or late != int(late) or late >= len(values):
        return None
    rest = np.asarray(values[int(late) :], dtype=float)[: data.steps]
    return np.concatenate([rest, np.full(data.steps - len(rest), np.nan)])


def _running_tank(data: DispatchInputs, incumbent: Plan | None) -> float | None:
    """The incumbent's tank temperature, weighted by the power of the heat pump."""
    pump, tank = data.parts.pump, data.parts.tank
    if incumbent is None or pump is None or tank is None:
        return None
    power = np.asarray(incumbent.predicted.get(f"{pump.id}.power_kw", ()))
    temps = np.asarray(incumbent.predicted.get(f"{tank.id}.temp_degc", ()))
    if len(power) != len(temps) or power.sum() <= 0:
        return None
    return float(np.average(temps, weights=power))


def _starts(
    data: DispatchInputs,
    intent: Intent,
    margin: Margins,
    options: SolveOptions,
    found: Found,
    cop: CopPoint,
) -> tuple[ActiveConstraint, ...]:
    def value(other: Intent) -> float | None:
        result = solve_problem(build_problem(data, other, margin, cop=cop), options, branch=False)
        return result.objective

    assert found.objective is not None
    loose = found.objective - (found.bound or found.objective)
    return price_of_starts(intent, found.objective, loose, value, data.site.currency)


def _infeasible(
    data: DispatchInputs,
    intent: Intent,
    options: SolveOptions,
    problem: DispatchProblem,
    found: Found,
    conflicts: tuple[Conflict, ...],
) -> Plan:
    """The conflicts of the intent; without any, the least break of the site's own limits."""
    if found.status is not SolveStatus.INFEASIBLE:
        note = "no plan was found within the search's limits; infeasibility is not proven"
        return _report(problem, found, Assessment(found.status, {}, (note,)), conflicts)
    if conflicts or not options.rescue:
        return _report(problem, found, Assessment(found.status, {}, ()), conflicts)
    rescue = rescue_problem(data, intent)
    saved = solve_problem(rescue, options)
    if saved.x is None:
        note = (
            "the forecast and what is held exceed the site's own power limits: "
            "no plan of the copilot keeps them"
        )
        return _report(problem, found, Assessment(found.status, {}, (note,)), ())
    checked = assess(rescue, saved, options)
    status = checked.status if not checked.notes else SolveStatus.ON_SLACK
    note = "a limit of the site itself cannot be kept from here; this is the least break of it"
    return _report(rescue, saved, Assessment(status, checked.slack, (note, *checked.notes)), ())


def _report(
    problem: DispatchProblem, found: Found, checked: Assessment, conflicts: Sequence[Conflict]
) -> Plan:
    data = problem.data
    points: dict[str, Array] = {}
    traces: dict[str, Array] = {}
    terms: dict[str, float] = {}
    if found.x is not None:
        points = setpoints(problem, problem.intent, found.x)
        traces = predicted(problem, found.x)
        terms = {name: problem.milp.term(name, found.x) for name in problem.milp.costs}
    gap = None
    if found.objective is not None and found.bound is not None:
        gap = relative_gap(found.objective, found.bound)
    return Plan(
        source=SOURCE,
        status=checked.status,
        start=data.snapshot.as_of,
        step_s=data.site.step_s,
        setpoints={name: tuple(map(float, values)) for name, values in points.items()},
        predicted={name: tuple(map(float, values)) for name, values in traces.items()},
        objective=found.objective,
        objective_terms=terms,
        bound=found.bound,
        gap=gap,
        iterations=found.iterations,
        nodes=found.nodes,
        slack=checked.slack,
        margins=margins_by_hour(problem),
        conflicts=tuple(conflicts),
        notes=(*problem.notes, *checked.notes),
    )
