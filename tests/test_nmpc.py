"""Nonlinear MPC of the four tanks: optimal, offset-free on the true plant, within its moves, and
honest about what cannot be had."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from agents.snapshot_builder import build_snapshot
from agents.telemetry_feed import TelemetryFeed
from api.assemble import load_context
from graph.intent import Band, Intent, Objective, TotalLimit
from graph.plan import Plan, SolveStatus
from graph.signals import Owner, PointState
from graph.simulators import ProcessSimulator
from graph.site import BaselineLaw, Site
from graph.snapshot import History, HoldConstraint, Snapshot
from planner import nmpc_routes
from planner.dispatch import plan_dispatch
from planner.nmpc import plan_nmpc
from planner.nmpc_data import nmpc_data
from planner.nmpc_options import NmpcOptions
from planner.nmpc_solve import Problem, make_problem, solve, stage_lengths
from planner.nmpc_tree import branches_of
from sandbox.ode_twin import OdeTwin
from sandbox.parameters import TwinParameters
from sandbox.symbolic import compiled_c
from sandbox.symbolic.casadi_sx import casadi
from scenarios.process_models.quadruple_tank import LEVELS, MINIMUM_PHASE, VOLTS
from scenarios.process_plant import ProcessStepper
from scenarios.recorded_plant import RecordedPlant
from tests.rc_days import Days, house
from tests.rc_days import wish as days_wish

PACK, CONTEXT = load_context(Path("scenarios/process"))
SITE, TWIN = PACK.site, CONTEXT.twin
assert isinstance(TWIN, OdeTwin)
FRAME = PACK.telemetry()
STEPS = 40
FAST = NmpcOptions(stages=10, reach_steps=30)
RESOLUTION_V = 0.001


def _snapshot() -> Snapshot:
    image = RecordedPlant(SITE, FRAME, FRAME.end).read()
    feed = TelemetryFeed(SITE, FRAME.window(FRAME.start - timedelta(seconds=60), FRAME.end))
    return build_snapshot(CONTEXT, image, feed, STEPS)


SNAPSHOT = _snapshot()


def wish(*bands: Band, quantity: Any = "cost") -> Intent:
    end = SNAPSHOT.as_of + timedelta(hours=24)
    return Intent(
        text="test", objectives=(Objective(quantity=quantity),), constraints=bands,
        start=SNAPSHOT.as_of, end=end,
    )  # fmt: skip


def band(signal: str, low: float | None, high: float | None, *, hard: bool = False) -> Band:
    return Band(signals=(signal,), minimum=low, maximum=high, unit="cm", hard=hard,
                chance=None if hard else 0.95)  # fmt: skip


def at(levels: Any, volts: Any = (3.0, 3.0), snapshot: Snapshot = SNAPSHOT) -> Snapshot:
    """The snapshot with another state and other values in force, without a plan before."""
    estimate = snapshot.estimate.model_copy(update={"mean": tuple(map(float, levels))})
    points = {
        p: PointState(applied=float(v), owner=Owner.LOCAL)
        for p, v in zip(VOLTS, volts, strict=True)
    }
    return snapshot.model_copy(update={"estimate": estimate, "points": points})


def plan(intent: Intent, snapshot: Snapshot = SNAPSHOT, site: Site = SITE,
         options: NmpcOptions = FAST, twin: OdeTwin = TWIN) -> Plan:  # fmt: skip
    return plan_nmpc(site, twin, snapshot, intent, options=options)


def problem_of(intent: Intent, snapshot: Snapshot = SNAPSHOT) -> Problem:
    data = nmpc_data(SITE, TWIN, snapshot, intent, np.zeros(4), FAST)
    return make_problem(data, branches_of(data, FAST), FAST)


TARGETS = wish(band(LEVELS[0], 12.4, 12.4), band(LEVELS[1], 12.7, 12.7), quantity="comfort")


def test_a_solution_meets_the_optimality_conditions() -> None:
    """Stationary, feasible, complementary: checked on the programme, not taken from the solver."""
    problem = problem_of(wish(band(LEVELS[0], 11, 13), band(LEVELS[1], 11, 13)))
    found = solve(problem, FAST)
    assert found.point is not None
    ca, nlp, n, z = casadi(), problem.programme.nlp, problem.numbers, found.point
    lagrangian = nlp["f"] + ca.dot(ca.MX(z.lam_g), nlp["g"]) + ca.dot(ca.MX(z.lam_z), nlp["x"])
    conditions = ca.Function(
        "c", [nlp["x"], nlp["p"]], [ca.gradient(lagrangian, nlp["x"]), nlp["g"]]
    )
    gradient, g = (np.array(v).ravel() for v in conditions(z.z, n.p))
    assert np.max(np.abs(gradient)) < 1e-5
    for value, low, high, dual in (
        (g, n.low_g, n.high_g, z.lam_g), (z.z, n.low_z, n.high_z, z.lam_z)
    ):  # fmt: skip
        assert np.all(value > low - 1e-6)
        assert np.all(value < high + 1e-6)
        room = np.where(dual > 0, high - value, value - low)
        assert np.max(np.minimum(np.abs(dual), room)) < 1e-4


def test_targets_are_reached_where_the_paper_says_that_the_tanks_rest() -> None:
    """The plan's last voltages hold 12.4 and 12.7 cm by the closed form, to the fit's errors."""
    found = plan(TARGETS, at((9.0, 15.0, 1.0, 2.0)))
    assert found.status is SolveStatus.OPTIMAL, found.notes
    last = {p: found.setpoints[p][-1] for p in VOLTS}
    assert MINIMUM_PHASE.rest(last)[:2] == pytest.approx((12.4, 12.7), abs=0.05)
    for level, target in zip(LEVELS, (12.4, 12.7), strict=False):
        assert found.predicted[level][-1] == pytest.approx(target, abs=0.02)


def test_the_cheapest_plan_keeps_to_the_edges_that_cost_least() -> None:
    """Less voltage is less power, so both wishes bind below, and their prices say so."""
    found = plan(wish(band(LEVELS[0], 11, 13), band(LEVELS[1], 11, 13)))
    assert found.status is SolveStatus.OPTIMAL
    for level in LEVELS[:2]:
        assert found.predicted[level][-1] == pytest.approx(11.1, abs=0.05)  # 11 and the margin
    assert [a.signal for a in found.active[:2]] == list(LEVELS[:2])
    dearer = plan(wish(band(LEVELS[0], 11.5, 13), band(LEVELS[1], 11, 13)))
    assert found.objective is not None
    assert dearer.objective is not None
    saved = (dearer.objective - found.objective) / 0.5
    assert found.active[0].multiplier == pytest.approx(saved, rel=0.25)


def _loop(minutes: int, mend: bool) -> np.ndarray:
    """Levels (minutes, 4) of a true plant whose valve lets through 5 % less than the twin has."""
    spec = ProcessSimulator(kind="process", model="quadruple_tank", noise=0.001,
                            parameters={"gamma1": 0.665})  # fmt: skip
    plant = ProcessStepper(SITE, spec, SNAPSHOT.as_of, 3)
    rows: list[dict[str, float]] = [plant.step({}) for _ in range(22)]
    snapshot, true = SNAPSHOT, []
    for _ in range(minutes):
        shown = rows[-1]
        history = History(
            start=plant.time, step_s=60 if mend else 30,
            signals={k: tuple(r[k] for r in rows[-22:]) for k in shown},
        )  # fmt: skip
        snapshot = at([shown[n] for n in LEVELS], [shown[p] for p in VOLTS], snapshot)
        snapshot = snapshot.model_copy(update={"history": history})
        found = plan(TARGETS, snapshot, options=NmpcOptions(stages=6, reach_steps=20))
        assert found.status.usable, found.notes
        rows.append(plant.step({p: found.setpoints[p][0] for p in VOLTS}))
        snapshot = snapshot.model_copy(
            update={"incumbent": {p: v[1:] for p, v in found.setpoints.items()}}
        )
        true.append(plant._state)
    return np.array(true)


def test_a_wrong_twin_leaves_no_offset_on_the_true_plant() -> None:
    """Without the drift learnt from the last minutes the same loop stays off."""
    off = np.abs(_loop(40, mend=True)[-10:, :2].mean(axis=0) - (12.4, 12.7))
    without = np.abs(_loop(25, mend=False)[-10:, :2].mean(axis=0) - (12.4, 12.7))
    assert off.max() < 0.06  # cm; the sensors' noise is 0.02
    assert without.max() > 3 * off.max()


SLOW = SITE.model_copy(update={"signals": tuple(
    s.model_copy(update={"ramp_per_s": 0.004}) if s.id in VOLTS else s for s in SITE.signals
)})  # fmt: skip


@settings(max_examples=8, deadline=None, derandomize=True,
          phases=(Phase.explicit, Phase.generate))  # fmt: skip
@example(levels=(0.0, 0.0, 0.0, 0.0), volts=(0.0, 0.0), low=5.0)
@example(levels=(20.0, 20.0, 20.0, 20.0), volts=(5.0, 5.0), low=5.0)
@given(
    levels=st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0, 20), st.floats(0, 20)),
    volts=st.tuples(st.floats(0, 5), st.floats(0, 5)),
    low=st.floats(5, 16),
)
def test_moves_and_ranges_hold_from_any_state(levels: Any, volts: Any, low: float) -> None:
    short = NmpcOptions(stages=6, reach_steps=12)
    found = plan(wish(band(LEVELS[0], low, low + 1)), at(levels, volts), SLOW, short)
    assert found.status.usable or found.status is SolveStatus.ON_SLACK, (found.status, found.notes)
    for point, now in zip(VOLTS, volts, strict=True):
        moves = np.diff([now, *found.setpoints[point]])
        assert np.max(np.abs(moves)) <= 0.004 * 60 + 1e-9
        assert min(found.setpoints[point]) >= 0.0
        assert max(found.setpoints[point]) <= 5.0


def test_a_wish_that_can_be_kept_is_kept_and_one_that_cannot_is_named() -> None:
    kept = plan(wish(band(LEVELS[0], 12, 13)), at((12.5, 12.5, 1.6, 1.4)))
    assert kept.slack == {}
    missed = plan(
        wish(band(LEVELS[0], 14.5, 15.5), band(LEVELS[1], 5.5, 6)), at((12.5, 12.5, 1.6, 1.4))
    )
    assert missed.status is SolveStatus.OPTIMAL
    assert missed.slack
    assert set(missed.slack) <= {f"intent:0:{LEVELS[0]}", f"intent:1:{LEVELS[1]}"}
    assert any("missed by up to" in n and "no plan does better" in n for n in missed.notes)


def test_a_demand_that_cannot_be_kept_is_a_conflict_and_its_cure_is_one() -> None:
    start = at((12.5, 12.5, 1.6, 1.4))
    demands = (band(LEVELS[0], 17, None, hard=True), band(LEVELS[1], None, 7, hard=True))
    refused = plan(wish(*demands), start)
    assert refused.status is SolveStatus.INFEASIBLE
    assert refused.setpoints == {}
    cures = {c.id.split(":")[2]: c for c in refused.conflicts}
    assert cures
    assert all("cannot be kept" in c.text for c in cures.values())
    relaxed = tuple(
        d.model_copy(update={
            "minimum": cures[d.signals[0]].relaxed_to if d.minimum else None,
            "maximum": cures[d.signals[0]].relaxed_to if d.maximum else None,
        }) if d.signals[0] in cures else d
        for d in demands
    )  # fmt: skip
    assert plan(wish(*relaxed), start).status.usable


def test_a_limit_of_the_site_that_is_broken_already_is_returned_to() -> None:
    found = plan(wish(), at((19.5, 12.0, 6.0, 1.4), (5.0, 3.0)), SLOW)
    assert found.status is SolveStatus.OPTIMAL, found.notes
    assert any("Lower left tank: missed" in n for n in found.notes)
    assert found.predicted[LEVELS[0]][-1] < 18
    assert found.slack[f"site:{LEVELS[0]}"] > 0


def unsure(std: float) -> OdeTwin:
    """The twin that knows the first valve to `std` of its logarithm."""
    parameters = TWIN.parameters
    size, k = len(parameters.names), parameters.names.index("gamma1")
    rows = tuple(tuple(std**2 * (i == j == k) for j in range(size)) for i in range(size))
    document = {**parameters.model_dump(mode="json"), "covariance": rows}
    return OdeTwin(SITE, TwinParameters.model_validate(document))


def test_a_plan_over_the_tree_keeps_the_bound_where_the_nominal_plan_breaks_it() -> None:
    twin, start = unsure(0.03), at((12.5, 12.5, 1.6, 1.4))
    intent = wish(band(LEVELS[0], 11, 14), band(LEVELS[1], 9, 14))
    shared = NmpcOptions(stages=10, reach_steps=10, shared=10, margin_std=0.0)
    robust = plan(intent, start, options=shared, twin=twin)
    nominal = plan(intent, start, options=shared.model_copy(update={"branches": 1}), twin=twin)
    assert any("3 branches: gamma1" in n for n in robust.notes)
    data = nmpc_data(SITE, twin, start, intent, np.zeros(4), shared)
    theta = branches_of(data, shared).theta

    def lowest(found: Plan) -> float:
        assert found.status.usable
        schedules = {p: np.array(v[:10]) for p, v in found.setpoints.items()}
        w = {"lab.power_kw": np.full(10, 0.2)}
        x0 = np.tile(np.array(start.estimate.mean), (3, 1))
        rollout = twin.simulate(x0, w, schedules, start.as_of, parameters=theta.T)
        return float(rollout.traces[LEVELS[0]].min())

    assert lowest(nominal) < 10.5
    assert lowest(robust) > 10.98


def test_only_the_first_stages_are_shared_by_the_branches() -> None:
    twin = unsure(0.03)
    data = nmpc_data(SITE, twin, SNAPSHOT, wish(band(LEVELS[0], 11, 14)), np.zeros(4), FAST)
    problem = make_problem(data, branches_of(data, FAST), FAST)
    found = solve(problem, FAST)
    assert found.point is not None
    inputs = found.point.z[problem.programme.at.u]
    assert np.ptp(inputs[0], axis=0) == pytest.approx([0, 0], abs=1e-6)
    assert np.ptp(inputs[-1], axis=0).max() > 0.01


def _forecasts(values: tuple[float, ...]) -> Snapshot:
    changed = tuple(f.model_copy(update={"values": values}) for f in SNAPSHOT.forecasts)
    return SNAPSHOT.model_copy(update={"forecasts": changed})


GOOD = wish(band(LEVELS[0], 11, 13))
BAD = {
    "forecasts that are no numbers": (_forecasts((float("nan"),) * STEPS), GOOD, {},
                                      SolveStatus.BAD_INPUT, "lab.power_kw: not a number"),
    "a horizon longer than the data": (_forecasts((0.2,) * 12), GOOD, {}, SolveStatus.BAD_INPUT,
                                       "12 steps for a horizon of 40"),
    "no forecast": (SNAPSHOT.model_copy(update={"forecasts": ()}), GOOD, {}, SolveStatus.BAD_INPUT,
                    "no forecast of lab.power_kw"),
    "a state that is no number": (at((float("nan"), 12, 1, 1)), GOOD, {}, SolveStatus.BAD_INPUT,
                                  "estimate lacks tank1.level_cm"),
    "an empty set": (SNAPSHOT, wish(Band(signals=(VOLTS[0],), minimum=4, maximum=3, unit="V")), {},
                     SolveStatus.BAD_INPUT, "no value of pump1.voltage_v"),
    "a kind of constraint that equations do not have": (
        SNAPSHOT, GOOD.model_copy(update={"constraints": (
            TotalLimit(quantity="energy", maximum=1, unit="kWh"),)}), {},
        SolveStatus.BAD_INPUT, "no constraint of kind total"),
    "an unknown aim": (SNAPSHOT, wish(quantity="peak"), {}, SolveStatus.BAD_INPUT, "peak"),
    "an unknown route": (SNAPSHOT, GOOD, {"route": "magic"}, SolveStatus.BAD_INPUT, "no route"),
    "one millisecond": (SNAPSHOT, GOOD, {"abort_after_s": 0.001}, SolveStatus.TIME_LIMIT,
                        "stopped after 0.001 s"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_named_status_and_no_setpoint(name: str) -> None:
    snapshot, intent, changed, status, words = BAD[name]
    found = plan(intent, snapshot, options=FAST.model_copy(update=changed))
    assert found.status is status
    assert found.setpoints == {}
    assert words in " ".join(found.notes)


def test_a_solver_that_casadi_lacks_is_said_to_be_missing(monkeypatch: Any) -> None:
    gone = nmpc_routes.Route("worhp", "worhp", {})
    monkeypatch.setitem(nmpc_routes.ROUTES, "worhp", gone)
    found = plan(GOOD, options=FAST.model_copy(update={"route": "worhp"}))
    assert found.status is SolveStatus.SOLVER_MISSING
    assert "this CasADi has no worhp" in found.notes[0]


def test_a_failed_solve_is_no_plan_and_the_other_route_is_tried(monkeypatch: Any) -> None:
    lame = replace(nmpc_routes.ROUTES["sqp+hpipm"], name="lame")
    lame = replace(lame, options={**lame.options, "max_iter": 1})
    monkeypatch.setitem(nmpc_routes.ROUTES, "lame", lame)
    failed = plan(GOOD, at((6, 17, 0.3, 3)), options=FAST.model_copy(update={"route": "lame"}))
    assert failed.status is SolveStatus.ITERATION_LIMIT
    assert failed.setpoints == {}
    monkeypatch.setattr("planner.nmpc_solve.DEFAULT", "lame")
    assert plan(GOOD, at((6, 17, 0.3, 3))).status.usable


def test_what_a_person_holds_is_not_moved() -> None:
    hold = HoldConstraint(point=VOLTS[0], value=3.2, owner="anna")
    found = plan(GOOD, SNAPSHOT.model_copy(update={"holds": (hold,)}))
    assert found.status.usable
    assert set(found.setpoints[VOLTS[0]]) == {3.2}


def test_a_hold_at_a_law_that_nobody_declares_is_refused_by_both_planners_alike() -> None:
    left = HoldConstraint(point=VOLTS[0], value=3.2, owner="anna", local_law=True)
    held = SNAPSHOT.model_copy(update={"holds": (left,)})
    assert plan(GOOD, held).status.usable, "the pack declares a law for its pumps"
    lawless = SITE.model_copy(update={"baseline": BaselineLaw()})
    ours = plan_nmpc(lawless, TWIN, held, GOOD, options=FAST)
    office = house()
    point = "zone_a.heating_setpoint_degc"
    cold = office.site.baseline.model_copy(update={"zone_heating_degc": ()})
    site = office.site.model_copy(update={"baseline": cold})
    snapshot = Days().snapshot(holds=(left.model_copy(update={"point": point}),))
    theirs = plan_dispatch(site, office, snapshot, days_wish(snapshot))
    for found, name in ((ours, VOLTS[0]), (theirs, point)):
        assert found.status is SolveStatus.BAD_INPUT
        assert not found.setpoints
        assert (
            f"{name} is held at the plant's own law, and the site declares none" in found.notes[0]
        )


def test_the_same_question_gives_the_same_bytes_compiled_or_not(
    tmp_path: Path, monkeypatch: Any
) -> None:
    small = NmpcOptions(stages=4, reach_steps=4)
    first = plan(GOOD, options=small)
    assert first.status.usable
    assert plan(GOOD, options=small, twin=OdeTwin(SITE, TWIN.parameters)) == first
    if compiled_c.c_compiler() is None:
        return
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled = small.model_copy(update={"code": "compiled"})
    assert plan(GOOD, options=compiled) == first
    [library] = (tmp_path / "pilothouse" / "kernels").glob("*.so")
    assert compiled_c.stored_library(library.stem) == library
    other = tmp_path / "other.so"  # a new file: what is loaded now still runs from the old one
    other.write_bytes(library.read_bytes()[:-1] + b"?")
    other.replace(library)  # not what was written: never loaded
    assert compiled_c.stored_library(library.stem) is None


@pytest.mark.parametrize("route", ["ipopt", "sqp+qrqp", "sqp+piqp"])
def test_other_routes_find_the_same_plan(route: str) -> None:
    """To a hundredth of a volt; an interior point stays that far inside."""
    small = NmpcOptions(stages=6, reach_steps=6)
    ours = plan(TARGETS, at((11.0, 13.5, 1.5, 1.5)), options=small)
    theirs = plan(
        TARGETS, at((11.0, 13.5, 1.5, 1.5)), options=small.model_copy(update={"route": route})
    )
    for point in VOLTS:
        assert theirs.setpoints[point] == pytest.approx(ours.setpoints[point], abs=0.01)


def test_stages_cover_the_reach_with_fine_steps_first() -> None:
    assert stage_lengths(120, 24, 1) == ((12, 1), (12, 9))
    assert stage_lengths(10, 24, 1) == ((10, 1),)
    assert stage_lengths(120, 24, 5) == ((24, 5),)
    for steps in range(1, 60):
        for dwell in (1, 3):
            lengths = stage_lengths(steps, 10, dwell)
            assert 0 < sum(n * length for n, length in lengths) <= steps
            assert all(length >= min(dwell, steps) for n, length in lengths if n)


def test_the_bench_loops_agree_on_what_control_costs() -> None:
    """Both plants for a few steps: the default route fails nowhere and pays what IPOPT pays."""
    from api.bench_planner import rooms, run_loop, tanks

    for task in (tanks(6), rooms(4)):
        ours = run_loop(task, nmpc_routes.DEFAULT, "interpreted", 4)
        theirs = run_loop(task, "ipopt", "interpreted", 4)
        assert ours.failures == theirs.failures == 0
        assert ours.cost == pytest.approx(theirs.cost, rel=0.01)
