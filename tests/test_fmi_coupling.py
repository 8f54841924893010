"""Several FMUs and their master: the graph of connections, accuracy, states, loops, runs."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from graph.clock import ManualClock
from graph.errors import InputError
from sandbox.fmi.coupling import plan_coupling
from sandbox.fmi.description_xml import parse_description
from sandbox.fmi.hosted import FmuError
from sandbox.fmi.master import FmuMaster
from sandbox.fmi.runs import FmuRun, Pace, record, replay
from sandbox.fmi.system import FmuPart, FmuSystem
from sandbox.fmi.twin_part import FmuTwinPart
from tests.fmu_factory import (
    GAIN,
    LOWER,
    ROGUE,
    UPPER,
    Model,
    Variable,
    build,
    can_build,
    description2,
)

compiled = pytest.mark.skipif(not can_build(), reason="no C compiler or no FMPy here")
CONNECTIONS = (("up.h", "low.h_up"), ("low.q", "up.q_out"))
FLAGS = {"keep": True, "pack": True, "vary": True}
T_END = 320.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fmus")


def tanks(folder, **flags) -> FmuSystem:
    """Two tanks: the upper one is fed and drains into the lower one, which drains."""
    upper = build(folder, UPPER, name=f"upper{len(flags)}", **flags)
    return FmuSystem(
        {"up": FmuPart(upper), "low": FmuPart(build(folder, LOWER))},
        CONNECTIONS, ("up.q_feed",), ("up.h", "low.h", "low.q"),
    )  # fmt: skip


def monolithic(times, feed):
    """Both tanks in one system of equations, solved by scipy; heights (2, N)."""
    from scipy.integrate import solve_ivp

    def slope(_, h):
        q = 0.02 * (h[0] - h[1])
        return [(feed - q) / 2.0, q - 0.01 * h[1]]

    grid = [0.0, *times]
    return solve_ivp(slope, (0.0, grid[-1]), [1.0, 0.5], "DOP853", grid, rtol=1e-12, atol=1e-14).y[
        :, 1:
    ]


def described(model: Model, **changes):
    text = description2(replace(model, **changes), "CoSimulation", "m", FLAGS)
    return parse_description(text.encode(), f"{model.macro.lower()}.fmu")


# --- the graph, without any process -----------------------------------------------------------


def test_the_plan_orders_components_names_what_is_late_and_what_is_not_connected():
    parts = {"low": described(LOWER), "up": described(UPPER)}
    plan = plan_coupling(parts, [CONNECTIONS[0]], [])
    assert plan.order == ("up", "low")
    assert plan.delayed == plan.loops == ()
    assert plan.unconnected == ("up.q_feed", "up.q_out")
    both = plan_coupling(parts, CONNECTIONS, ["up.q_feed"])
    assert both.order == ("low", "up")
    assert both.delayed == ("up.h -> low.h_up",)
    assert both.unconnected == both.loops == ()


def test_a_loop_of_direct_feedthrough_is_named_and_one_through_a_state_is_none():
    a, b = described(GAIN), described(GAIN)
    plan = plan_coupling({"a": a, "b": b}, [("a.y", "b.u"), ("b.y", "a.u")], [])
    (loop,) = plan.loops
    assert {"a.u", "a.y", "b.u", "b.y"} == set(loop.split(" -> "))
    silent = described(
        GAIN, variables=(GAIN.variables[0], replace(GAIN.variables[1], depends=None))
    )
    (maybe,) = plan_coupling({"a": a, "b": silent}, [("a.y", "b.u"), ("b.y", "a.u")], []).loops
    assert "possible" in maybe
    assert "possible" not in loop


def test_a_connection_converts_units_and_refuses_what_measures_something_else():
    litres = (*LOWER.variables[:-1], replace(LOWER.variables[-1], unit="l/s"))
    parts = {"up": described(UPPER), "low": described(LOWER, variables=litres)}
    wire = plan_coupling(parts, [CONNECTIONS[1]], []).wires[0]
    assert wire.unit(2.0) == pytest.approx(0.002, rel=1e-12)
    metres = (*LOWER.variables[:-1], replace(LOWER.variables[-1], unit="m"))
    with pytest.raises(InputError, match=r"low\.q -> up\.q_out: .*cannot be expressed"):
        plan_coupling(parts | {"low": described(LOWER, variables=metres)}, [CONNECTIONS[1]], [])
    bare = (*LOWER.variables[:-1], replace(LOWER.variables[-1], unit=None))
    plan = plan_coupling(parts | {"low": described(LOWER, variables=bare)}, [CONNECTIONS[1]], [])
    assert plan.unchecked == ("low.q -> up.q_out",)


def test_a_temperature_is_no_difference_of_temperatures():
    def block(attributes: str, unit: str, relative: bool = False):
        ends = Variable("u", "input", 0.0, unit), Variable("y", "output", None, unit)
        model = Model("GAIN", ends, units={unit: attributes})
        text = description2(model, "CoSimulation", "m", FLAGS)
        word = f'unit="{unit}"'
        text = text.replace(word, f'{word} relativeQuantity="true"') if relative else text
        return parse_description(text.encode(), "m.fmu")

    celsius, kelvin = block('K="1" offset="273.15"', "degC"), block('K="1"', "K")
    wire = plan_coupling({"a": celsius, "b": kelvin}, [("a.y", "b.u")], []).wires[0]
    assert wire.unit(20.0) == pytest.approx(293.15, abs=1e-9)
    difference = block('K="1" offset="273.15"', "degC", relative=True)
    gap = block('K="1"', "K", relative=True)
    wire = plan_coupling({"a": difference, "b": gap}, [("a.y", "b.u")], []).wires[0]
    assert wire.unit(20.0) == 20.0


@pytest.mark.parametrize(
    ("connections", "said"),
    [
        ([("up.h", "low.h_up"), ("low.h", "low.h_up")], r"low\.h_up is driven twice: by up\.h"),
        ([("up.q_feed", "low.h_up")], "up.q_feed is input, not output"),
        ([("up.h", "low.q")], "low.q is output, not input"),
        ([("up.height", "low.h_up")], "no variable 'height'"),
        ([("top.h", "low.h_up")], "'top.h' names no component"),
        ([("up.h", "up.q_feed")], "cannot be expressed"),
    ],
)
def test_a_connection_that_cannot_be_says_why(connections, said):
    with pytest.raises(InputError, match=said):
        plan_coupling({"up": described(UPPER), "low": described(LOWER)}, connections, [])


# --- accuracy ---------------------------------------------------------------------------------


@compiled
@pytest.mark.parametrize("fmi", [2, 3])
def test_coupled_tanks_converge_to_the_monolithic_solution_with_order_one(fmi, folder):
    files = [build(folder, m, fmi, name=f"{m.macro.lower()}_{fmi}") for m in (UPPER, LOWER)]
    system = FmuSystem(
        {"up": FmuPart(files[0]), "low": FmuPart(files[1])},
        CONNECTIONS, ("up.q_feed",), ("up.h", "low.h"),
    )  # fmt: skip
    exact = monolithic([T_END], 0.01)[:, -1]
    with FmuMaster(system, inputs={"up.q_feed": 0.01}) as master:
        home = master.snapshot()
        errors = {}
        for scheme in ("gauss_seidel", "jacobi"):
            master.scheme = scheme
            for steps in (16, 32, 64, 128):
                master.restore(home)
                for k in range(1, steps + 1):
                    master.step_to(T_END * k / steps)
                found = [master.values["up.h"], master.values["low.h"]]
                errors[scheme, steps] = float(np.max(np.abs(found - exact)))
    for scheme in ("gauss_seidel", "jacobi"):
        halved = [errors[scheme, n] / errors[scheme, 2 * n] for n in (16, 32, 64)]
        assert halved[-1] == pytest.approx(2.0, abs=0.1)
        assert min(halved) > 1.8
    assert all(errors["gauss_seidel", n] < 0.6 * errors["jacobi", n] for n in (16, 32, 64, 128))


@compiled
def test_adaptive_macro_steps_follow_the_tolerance_and_grow_where_things_slow_down(
    folder,
):
    """A transient of a minute and then hours of calm: small steps first, long ones after."""
    near, far = monolithic([100.0, 2400.0], 0.02).T
    with FmuRun(tanks(folder), step_s=100.0, tolerance=1e-3) as run:
        home, errors, counts = run.keep(), [], []
        for tolerance in (1e-3, 1e-4, 1e-5):
            run.return_to(home)
            run.tolerance = tolerance
            first = record(run, {"up.q_feed": [0.02]}, 1)
            found = np.array([first.outputs["up.h"][-1], first.outputs["low.h"][-1]])
            errors.append(np.max(np.abs(found - near)))
            counts.append(first.macro_steps)
        assert errors[0] > 2 * errors[1] > 4 * errors[2]
        assert counts[0] < counts[1] < counts[2]
        run.return_to(home)
        assert record(run, {"up.q_feed": [0.02]}, 1).digest == first.digest
        run.return_to(home)
        run.tolerance = 1e-4
        rest = record(run, {"up.q_feed": [0.02] * 24}, 24)
        assert rest.times[-1] == 2400.0
        assert rest.outputs["up.h"][-1] == pytest.approx(far[0], abs=2e-3)
        assert rest.macro_steps < 24 * counts[1] / 3  # calm: fewer steps each 100 s


@compiled
def test_what_cannot_be_stepped_adaptively_is_refused_by_name(folder):
    with pytest.raises(InputError, match="needs snapshots, and these FMUs keep none: up "):
        FmuRun(tanks(folder, can_keep=False), step_s=10.0, tolerance=1e-3)
    upper = build(folder, UPPER, variable_step=False, name="rigid")
    system = replace(tanks(folder), parts={**tanks(folder).parts, "up": FmuPart(upper)})
    with pytest.raises(InputError, match="want it fixed: up "):
        FmuRun(system, step_s=10.0, tolerance=1e-3)


# --- loops and failures -----------------------------------------------------------------------


@compiled
def test_an_algebraic_loop_settles_at_the_start_or_is_named(folder):
    """y = 0.5 u + 1 twice in a circle has the solution 2; through m -> mm it has none to reach."""
    file = build(folder, GAIN)
    circle = (("a.y", "b.u"), ("b.y", "a.u"))
    system = FmuSystem({"a": FmuPart(file), "b": FmuPart(file)}, circle, (), ("a.y",))
    with FmuMaster(system) as master:
        assert master.values["a.y"] == pytest.approx(2.0, abs=1e-11)
    steep = replace(
        GAIN,
        variables=(replace(GAIN.variables[0], unit="mm"), replace(GAIN.variables[1], unit="m")),
        units={"m": 'm="1"', "mm": 'm="1" factor="0.001"'},
    )
    part = FmuPart(build(folder, steep, name="steep"))
    with pytest.raises(InputError, match="do not settle") as raised:
        FmuMaster(FmuSystem({"a": part}, (("a.y", "a.u"),), (), ("a.y",)))
    assert "a.u -> a.y -> a.u" in raised.value.hint


@compiled
@pytest.mark.parametrize("scheme", ["jacobi", "gauss_seidel"])
def test_when_one_fmu_crashes_it_is_named_and_the_others_live_on(scheme, folder):
    rogue = FmuPart(build(folder, ROGUE), {"mode": 3.0})
    system = FmuSystem(
        {"a": FmuPart(build(folder, GAIN)), "bad": rogue}, (("bad.y", "a.u"),), ("bad.u",), ("a.y",)
    )
    with FmuRun(system, step_s=1.0, scheme=scheme) as run:
        assert run.step({"bad.u": 0.0})["a.y"] == 1.0
        with pytest.raises(
            FmuError, match=r"FMU bad \(rogue\.fmu\) ended its own process"
        ) as raised:
            run.step({"bad.u": 1.0})
        with pytest.raises(FmuError) as again:
            run.step({"bad.u": 0.0})
        assert again.value is raised.value
        block = run.master.processes["a"]
        block.write({"u": 6.0})
        assert block.read(["y"]) == {"y": 4.0}


@compiled
def test_a_value_that_is_no_number_never_reaches_another_fmu(folder):
    rogue = FmuPart(build(folder, ROGUE), {"mode": 6.0})
    with pytest.raises(FmuError, match="FMU bad: y is nan"):
        FmuMaster(FmuSystem({"bad": rogue}, (), (), ("bad.y",)))


# --- runs -------------------------------------------------------------------------------------


@compiled
@pytest.mark.parametrize(
    ("flags", "how"),
    [({}, "state"), ({"can_pack": False}, "snapshot"), ({"can_keep": False}, "replay")],
)
def test_a_what_if_leaves_the_original_where_it_is_whatever_the_fmus_can_do(flags, how, folder):
    file = build(folder, LOWER, name=f"lower_{how}", **flags)
    system = FmuSystem({"low": FmuPart(file)}, (), ("low.h_up",), ("low.h", "low.q"))
    feed = np.linspace(0.5, 2.0, 30)
    with FmuRun(system, step_s=20.0) as run:
        record(run, {"low.h_up": feed}, 10)
        branch, told = run.what_if({"low.h_up": np.full(5, 9.0)}, 5)
        same, _ = run.what_if({"low.h_up": feed[10:]}, 20)
        rest = record(run, {"low.h_up": feed[10:]}, 20)
    assert told == how
    assert branch.start_s == rest.start_s == 200.0
    assert np.all(branch.outputs["low.h"] > rest.outputs["low.h"][:5])
    assert same.digest == rest.digest


@compiled
def test_a_replay_gives_the_same_bytes_and_other_inputs_do_not(folder):
    system, feed = tanks(folder), {"up.q_feed": 0.01 + 0.01 * np.sin(np.arange(40))}
    with FmuRun(system, step_s=7.0, tolerance=1e-3) as run:
        first = record(run, feed, 40)
    with FmuRun(system, step_s=7.0, tolerance=1e-3) as run:
        again = replay(run, first)
        assert again.digest == first.digest
        with pytest.raises(InputError, match="the run stands at t = 280 s"):
            replay(run, first)
        run.step({"up.q_feed": np.nextafter(0.01, 1.0)})
    assert first.macro_steps > 40
    assert replace(first, inputs={"up.q_feed": feed["up.q_feed"] + 1e-9}).digest != first.digest


@compiled
def test_a_paced_run_waits_for_the_clock_and_tells_how_late_it_was(folder):
    clock, slept = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), []

    def sleep(seconds):
        slept.append(seconds)
        clock.advance(seconds)

    system = FmuSystem({"a": FmuPart(build(folder, GAIN))}, (), ("a.u",), ("a.y",))
    with FmuRun(system, step_s=60.0) as run:
        pace = Pace(clock, speed=30.0, sleep=sleep)
        paced = record(run, {"a.u": [1.0, 2.0, 3.0]}, 3, pace)
        assert slept == [2.0, 2.0, 2.0]
        assert pace.worst_late_s == 0.0
        late = Pace(clock, speed=30.0, sleep=sleep)
        late.begin()
        clock.advance(7.5)
        late.wait(60.0)
        assert late.worst_late_s == 5.5
    assert list(paced.outputs["a.y"]) == [1.5, 2.0, 2.5]


# --- a part of a twin -------------------------------------------------------------------------


@compiled
def test_a_future_is_the_same_whatever_the_number_of_futures_and_of_workers(folder):
    system = FmuSystem({"low": FmuPart(build(folder, LOWER))}, (), ("low.h_up",), ("low.h",))
    levels = 1.0 + np.random.default_rng(3).random((5, 12))
    rollouts = [
        FmuTwinPart(system, step_s=60.0, workers=workers).simulate(
            futures, 12, {"low.h_up": levels[:futures]}
        )
        for workers, futures in ((1, 5), (2, 5), (1, 2))
    ]
    one, two, few = (r.traces["low.h"] for r in rollouts)
    assert one.shape == (5, 12)
    assert np.array_equal(one, two)
    assert np.array_equal(one[:2], few)
    assert [r.starts for r in rollouts] == [1, 2, 1]
    assert rollouts[0].steps_per_s > 0
    with FmuRun(system, step_s=60.0) as run:
        assert np.array_equal(record(run, {"low.h_up": levels[4]}, 12).outputs["low.h"], one[4])
        record(run, {"low.h_up": levels[4]}, 12)
        later = run.master.packed()
        ahead = record(run, {"low.h_up": levels[0]}, 12)
    part = FmuTwinPart(system, step_s=60.0)
    begun = part.simulate(1, 12, {"low.h_up": levels[0]}, state=later)
    assert np.allclose(begun.traces["low.h"][0], ahead.outputs["low.h"], rtol=0, atol=1e-12)


@compiled
def test_futures_may_differ_in_parameters_and_wrong_shapes_are_refused(folder):
    system = FmuSystem({"low": FmuPart(build(folder, LOWER))}, (), ("low.h_up",), ("low.q",))
    part = FmuTwinPart(system, step_s=60.0)
    rollout = part.simulate(2, 3, {"low.h_up": [1.0] * 3}, {"low.k": [0.02, 0.04]})
    assert rollout.starts == 2
    assert rollout.traces["low.q"][1, 0] > rollout.traces["low.q"][0, 0]
    with pytest.raises(InputError, match=r"low\.h_up has shape \(2,\)"):
        part.simulate(1, 3, {"low.h_up": [1.0] * 2})
    with pytest.raises(InputError, match=r"low\.k has shape \(3,\)"):
        part.simulate(2, 3, {"low.h_up": [1.0] * 3}, {"low.k": [1.0] * 3})
