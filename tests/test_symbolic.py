"""One definition gives the same answer to everybody who asks it."""

import math
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import InputError, UnavailableError
from sandbox.symbolic import casadi_sx as sx
from sandbox.symbolic import llvm_kernel
from sandbox.symbolic.batch import BatchSimulator
from sandbox.symbolic.casadi_sx import casadi
from sandbox.symbolic.linear import jacobians, linearise, steady_state
from sandbox.symbolic.model import (
    Equations,
    Names,
    Output,
    Parameter,
    SymbolicModel,
    Variable,
    parameter_vector,
)
from sandbox.symbolic.program import OPERATIONS, compile_program
from sandbox.symbolic.step import Method, step_equations, step_function

SEEDS = st.integers(0, 2**31)


def rooms(count: int = 3) -> SymbolicModel:
    """A ring of rooms with radiation to the sky, held heating and a hysteresis switch."""
    names = [f"t{i}" for i in range(count)]

    def equations(x: Names, u: Names, p: Names) -> Equations:
        flows = {}
        for i, name in enumerate(names):
            beside = x[names[i - 1]] - x[name]
            sky = ((u["outdoor"] + 263.15) / 100) ** 4 - ((x[name] + 273.15) / 100) ** 4
            heat = sx.clip(u[f"q{i}"], 0.0, 2.0 + x["on"])
            flows[name] = p["ua"] * (beside + u["outdoor"] - x[name]) + p["sky"] * sky + heat
        loss = -sum((flows[n] for n in names[1:]), flows[names[0]])
        rates = {n: flows[n] / p[f"c{i}"] / 3600.0 for i, n in enumerate(names)}
        switch = sx.where(x["t0"] < 19.0, 1.0, sx.where(x["t0"] > 21.0, 0.0, x["on"]))
        return Equations(rates, {"t0_end": x["t0"], "loss": loss, "on": x["on"]}, {"on": switch})

    return SymbolicModel(
        "rooms",
        states=(*(Variable(n, "degC", nominal=20.0) for n in names), Variable("on", "1")),
        inputs=(Variable("outdoor", "degC"), *(Variable(f"q{i}", "kW") for i in range(count))),
        parameters=(Parameter("ua", "kW/K", 0.2, "log"), Parameter("sky", "kW", 0.01),
                    *(Parameter(f"c{i}", "kWh/K", 1.0 + i, "log") for i in range(count))),
        outputs=(Output("t0_end", "degC"), Output("loss", "kW", mean=True), Output("on", "1")),
        equations=equations,
    )  # fmt: skip


ROOMS = rooms()


def some_runs(seed: int, futures: int, steps: int = 12) -> tuple[np.ndarray, ...]:
    g = np.random.default_rng(seed)
    x0 = np.hstack([g.uniform(15, 25, (futures, 3)), g.integers(0, 2, (futures, 1))])
    u = np.concatenate(
        [g.uniform(-10, 10, (futures, steps, 1)), g.uniform(-1, 5, (futures, steps, 3))], axis=2
    )
    p = ROOMS.defaults * g.lognormal(0, 0.2, (futures, len(ROOMS.parameters)))
    return x0, u, p


def pendulum(outputs: tuple[Output, ...] = ()) -> SymbolicModel:
    def equations(x: Names, u: Names, p: Names) -> Equations:
        swing = {"angle": x["speed"], "speed": -p["k"] * sx.sin(x["angle"]) + u["torque"]}
        return Equations(swing, {o.name: x["speed"] * x["angle"] for o in outputs})

    return SymbolicModel(
        "pendulum", (Variable("angle", "rad"), Variable("speed", "rad/s")),
        (Variable("torque", "1/s2"),), (Parameter("k", "1/s2", 4.0),), outputs, equations,
    )  # fmt: skip


def every_operation() -> SymbolicModel:
    """One output for each operation that CasADi's scalar expressions know, on inputs a and b."""
    ca = casadi()
    written = {
        "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b, "neg": lambda a, b: -a, "pow": lambda a, b: ca.fabs(a) ** b,
        "constpow": lambda a, b: ca.fabs(a) ** 2.7, "cube": lambda a, b: a**3.0,
        "seventh": lambda a, b: a**7.0, "sq": lambda a, b: a * a, "twice": lambda a, b: 2 * a,
        "inv": lambda a, b: 1 / a, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
        "eq": lambda a, b: ca.floor(a) == ca.floor(b),
        "ne": lambda a, b: ca.floor(a) != ca.floor(b),
        "not": lambda a, b: ca.logic_not(a < b), "and": lambda a, b: ca.logic_and(a < b, b < 1),
        "or": lambda a, b: ca.logic_or(a < b, b < 1), "log": lambda a, b: ca.log(ca.fabs(a)),
        "sqrt": lambda a, b: ca.sqrt(ca.fabs(a)), "acosh": lambda a, b: ca.acosh(1 + ca.fabs(a)),
        "log1p": lambda a, b: ca.log1p(ca.fabs(a)), "if_else": lambda a, b: ca.if_else(a < b, a, b),
        "fmod": lambda a, b: ca.fmod(a, b), "copysign": lambda a, b: ca.copysign(a, b),
        "fmin": lambda a, b: ca.fmin(a, b), "fmax": lambda a, b: ca.fmax(a, b),
        "atan2": lambda a, b: ca.atan2(a, b), "hypot": lambda a, b: ca.hypot(a, b),
        "sign": lambda a, b: ca.sign(a), "fabs": lambda a, b: ca.fabs(a),
    }  # fmt: skip
    for name in ("asin", "acos", "atanh"):
        written[name] = partial(lambda f, a, b: f(ca.tanh(a)), getattr(ca, name))
    for name in ("exp", "sin", "cos", "tan", "atan", "floor", "ceil", "sinh", "cosh", "tanh",
                 "asinh", "expm1"):  # fmt: skip
        written[name] = partial(lambda f, a, b: f(a), getattr(ca, name))
    return SymbolicModel(
        "every operation", (), (Variable("a", "1"), Variable("b", "1")), (),
        tuple(Output(n, "1") for n in written),
        lambda x, u, p: Equations({}, {n: f(u["a"], u["b"]) for n, f in written.items()}),
    )  # fmt: skip


def test_every_operation_means_the_same_compiled_in_numpy_and_in_casadi() -> None:
    model = every_operation()
    tested = {n.op for n in compile_program(step_equations(model)).nodes}
    assert set(OPERATIONS) - tested == {"assign"}
    u = np.random.default_rng(5).uniform(-3, 3, (40, 1, 2))
    u[0], u[1] = [[0.5, 0.5]], [[-2.0, -2.0]]  # ties
    x0 = np.empty((40, 0))
    _, compiled = BatchSimulator(model, 1.0, backend="compiled").run(x0, u)
    _, plain = BatchSimulator(model, 1.0, backend="numpy").run(x0, u)
    function = step_function(model, 1.0)
    exact = np.array([np.array(function([], row, [])[1]).ravel() for row in u[:, 0]])
    assert np.isfinite(exact).all()
    for found in (compiled, plain):
        assert np.allclose(found[:, 0], exact, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("method", ["rk4", "euler", "implicit"])
def test_the_backends_and_the_step_function_agree(method: Method) -> None:
    x0, u, p = some_runs(3, 19)
    compiled = BatchSimulator(ROOMS, 900.0, 3, "compiled", method).run(x0, u, p)
    plain = BatchSimulator(ROOMS, 900.0, 3, "numpy", method).run(x0, u, p)
    for a, b in zip(compiled, plain, strict=True):
        assert np.allclose(a, b, rtol=1e-9, atol=1e-12)
    step = step_function(ROOMS, 900.0, 3, method)
    x = x0[7]
    for k in range(u.shape[1]):
        x, y = (np.array(v).ravel() for v in step(x, u[7, k], p[7]))
        assert np.allclose(x, compiled[0][7, k], rtol=1e-9, atol=1e-12)
        assert np.allclose(y, compiled[1][7, k], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", ["compiled", "numpy"])
@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, 40))
def test_a_future_is_the_same_bytes_whatever_runs_beside_it(
    backend: str, seed: int, futures: int
) -> None:
    x0, u, p = some_runs(seed, futures, 4)
    model = every_operation()
    batch = BatchSimulator(ROOMS, 900.0, 2, backend)  # type: ignore[arg-type]
    elementary = BatchSimulator(model, 1.0, 1, backend)  # type: ignore[arg-type]
    states, outputs = batch.run(x0, u, p)
    ab = np.random.default_rng(seed).normal(0, 3, (futures, 2, 2))
    _, values = elementary.run(np.empty((futures, 0)), ab)
    chosen = np.random.default_rng(seed).permutation(futures)[: max(1, futures // 3)]
    again = batch.run(x0[chosen], u[chosen], p[chosen])
    assert again[0].tobytes() == states[chosen].tobytes()
    assert again[1].tobytes() == outputs[chosen].tobytes()
    _, some = elementary.run(np.empty((len(chosen), 0)), ab[chosen])
    assert some.tobytes() == values[chosen].tobytes()


def test_the_number_of_threads_does_not_reach_the_result() -> None:
    x0, u, p = some_runs(11, 300, 40)
    first = BatchSimulator(ROOMS, 900.0, 2, threads=1).run(x0, u, p)
    for threads in (2, 3, 7):
        simulator = BatchSimulator(ROOMS, 900.0, 2, threads=threads)
        assert simulator._workers(38, 24_000) == min(threads, 7)  # they really are used
        other = simulator.run(x0, u, p)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("backend", ["compiled", "numpy"])
def test_shared_inputs_and_parameters_equal_the_same_ones_repeated(backend: str) -> None:
    x0, u, _ = some_runs(2, 21)
    batch = BatchSimulator(ROOMS, 900.0, 1, backend)  # type: ignore[arg-type]
    shared = batch.run(x0, u[0])
    repeated = batch.run(x0, np.repeat(u[:1], 21, axis=0), np.tile(ROOMS.defaults, (21, 1)))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(shared, repeated, strict=True))


@pytest.mark.parametrize(("method", "order"), [("rk4", 4), ("implicit", 2), ("euler", 1)])
def test_a_method_has_the_order_it_claims(method: Method, order: int) -> None:
    model = pendulum((Output("power", "1", mean=True),))
    x0, u = np.array([[1.2, 0.3]]), np.array([[0.5]])
    exact = BatchSimulator(model, 1.0, 4096).run(x0, u)
    errors = []
    for substeps in (16, 32, 64):
        found = BatchSimulator(model, 1.0, substeps, method=method).run(x0, u)
        errors.append([np.abs(f - e).max() for f, e in zip(found, exact, strict=True)])
    for state_or_mean in range(2):
        column = np.array(errors)[:, state_or_mean]
        measured = np.log2(column[:-1] / column[1:])
        assert np.allclose(measured, order, atol=0.35), measured


def test_the_implicit_method_holds_a_stiff_model_where_the_explicit_one_explodes() -> None:
    def equations(x: Names, u: Names, p: Names) -> Equations:
        return Equations({"x": -(x["x"] - u["to"]) / p["tau_s"]}, {"x": x["x"]})

    model = SymbolicModel(
        "lag", (Variable("x", "1"),), (Variable("to", "1"),), (Parameter("tau_s", "s", 1.0),),
        (Output("x", "1"),), equations,
    )  # fmt: skip
    u = np.ones((60, 1))
    stiff, _ = BatchSimulator(model, 900.0, method="implicit").run([[0.0]], u)
    assert abs(stiff[0, -1, 0] - 1.0) < 1e-9
    explicit, _ = BatchSimulator(model, 900.0).run([[0.0]], u)
    assert not abs(explicit[0, -1, 0]) < 1e6


@pytest.mark.parametrize("method", ["rk4", "euler", "implicit"])
def test_reported_means_close_the_energy_balance_to_rounding(method: Method) -> None:
    x0, u, p = some_runs(8, 5)
    states, outputs = BatchSimulator(ROOMS, 900.0, 3, method=method).run(x0, u, p)
    c = p[:, None, 2:]
    before = np.concatenate([x0[:, None, :3], states[:, :-1, :3]], axis=1)
    stored = ((states[:, :, :3] - before) * c).sum(axis=2)
    assert np.allclose(-outputs[:, :, 1] * 0.25, stored, rtol=0, atol=1e-11)


def test_discrete_states_jump_at_the_end_of_substeps_and_hold_in_between() -> None:
    x0, u, p = some_runs(4, 50, 30)
    states, outputs = BatchSimulator(ROOMS, 60.0).run(x0, u, p)
    air, on = states[:, :, 0], states[:, :, 3]
    assert set(np.unique(on)) == {0.0, 1.0}
    assert (on[air < 19.0] == 1.0).all()
    assert (on[air > 21.0] == 0.0).all()
    before = np.concatenate([x0[:, None, 3], on[:, :-1]], axis=1)
    between = (air >= 19.0) & (air <= 21.0)
    assert between.any()
    assert (on[between] == before[between]).all()
    assert np.array_equal(outputs[:, :, 2], on)


def test_not_a_number_stays_in_its_own_future_and_is_not_swallowed() -> None:
    x0, u, p = some_runs(6, 24)
    u[5, 3, 1] = np.nan  # through a clip: C's fmin would drop it
    for backend in ("compiled", "numpy"):
        states, _ = BatchSimulator(ROOMS, 900.0, backend=backend).run(x0, u, p)
        assert np.isfinite(states[5, :3]).all()
        assert np.isnan(states[5, 3:, 0]).all()
        assert np.isfinite(np.delete(states, 5, axis=0)).all()


def test_a_linearisation_is_the_exact_response_of_a_linear_model() -> None:
    from scipy.signal import cont2discrete

    model = pendulum((Output("power", "1"),))
    a, b, c, d = jacobians(model, [0.4, 0.2], [0.1])
    assert np.allclose(a, [[0, 1], [-4 * math.cos(0.4), 0]])
    assert np.allclose(c, [[0.2, 0.4]])
    exact = cont2discrete((a, b, c, d), 0.7)
    found = linearise(model, [0.4, 0.2], [0.1], None, 0.7)
    for ours, scipys in zip(found, exact[:4], strict=True):
        assert np.allclose(ours, scipys, rtol=1e-12, atol=1e-14)
    small = 1e-6
    moved = BatchSimulator(model, 0.1, 50).run([[0.4 + small, 0.2], [0.4 - small, 0.2]], [[0.1]])
    slope = (moved[0][0, 0] - moved[0][1, 0]) / (2 * small)
    # At another point than a steady state the linearisation drifts: short step, loose bound.
    assert np.allclose(slope, linearise(model, [0.4, 0.2], [0.1], None, 0.1)[0][:, 0], atol=5e-3)


def test_a_steady_state_is_one_and_a_failure_says_how_far_off_it_is() -> None:
    u = [5.0, 1.0, 0.5, 0.2]
    x = steady_state(ROOMS, u, guess=[20.0, 20.0, 20.0, 1.0])
    assert x[3] == 1.0
    later, _ = BatchSimulator(ROOMS, 86_400.0, 96).run([[*x[:3], 0.0]], np.array([u]))
    assert np.allclose(later[0, 0, :3], x[:3], atol=1e-6)
    spinning = pendulum()
    with pytest.raises(UnavailableError, match="per second"):
        steady_state(spinning, [5.0])  # more torque than gravity can hold
    drift = SymbolicModel("drift", (Variable("x", "1"),), (Variable("u", "1"),), (), (),
                          lambda x, u, p: Equations({"x": u["u"]}, {}))  # fmt: skip
    with pytest.raises(UnavailableError, match="no steady state"):
        steady_state(drift, [1.0])


def test_wrong_shapes_names_and_steps_are_refused_by_name() -> None:
    x0, u, _ = some_runs(0, 2)
    batch = BatchSimulator(ROOMS, 900.0, backend="numpy")
    with pytest.raises(InputError, match="x0 has shape"):
        batch.run(x0[:, :2], u)
    with pytest.raises(InputError, match="u holds 3 futures and x0 2"):
        batch.run(x0, np.concatenate([u, u[:1]]))
    with pytest.raises(InputError, match="no parameter cx"):
        parameter_vector(ROOMS, {"cx": 1.0})
    with pytest.raises(InputError, match="positive"):
        BatchSimulator(ROOMS, 0.0)
    with pytest.raises(InputError, match="no equation for states on"):
        _ = SymbolicModel("half", ROOMS.states, (), (), (),
                          lambda x, u, p: Equations({n: x[n] for n in ("t0", "t1", "t2")}, {})
                          ).written  # fmt: skip


def lag(tag: float) -> SymbolicModel:
    """A model that no other test has compiled."""
    return SymbolicModel(f"lag {tag}", (Variable("x", "1"),), (), (), (),
                         lambda x, u, p: Equations({"x": sx.exp(-tag * x["x"])}, {}))  # fmt: skip


def test_compiled_code_is_kept_privately_and_damage_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiling: list[str] = []
    real = llvm_kernel._machine_code
    monkeypatch.setattr(
        llvm_kernel, "_machine_code",
        lambda llvm, machine, source: compiling.append(source) or real(llvm, machine, source),
    )  # fmt: skip
    expected, _ = BatchSimulator(lag(0.125), 1.0, 4, "numpy").run([[0.5]], np.empty((3, 0)))

    def fresh() -> np.ndarray:
        llvm_kernel._kept.clear()
        return BatchSimulator(lag(0.125), 1.0, 4, "compiled").run([[0.5]], np.empty((3, 0)))[0]

    assert np.allclose(fresh(), expected, rtol=1e-12)
    folder = tmp_path / "pilothouse" / "kernels"
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert np.allclose(fresh(), expected, rtol=1e-12)
    assert len(compiling) == 1
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(bytes(content))
    assert np.allclose(fresh(), expected, rtol=1e-12)
    assert len(compiling) == 2
    kept.unlink()
    folder.chmod(0o770)
    assert np.allclose(fresh(), expected, rtol=1e-12)
    assert "open to others" in caplog.text
    assert not list(folder.iterdir())


def test_without_the_compiler_roll_outs_still_run() -> None:
    code = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "from tests.test_symbolic import ROOMS, some_runs\n"
        "from sandbox.symbolic.batch import BatchSimulator\n"
        "from graph.errors import UnavailableError\n"
        "x0, u, p = some_runs(1, 3)\n"
        "batch = BatchSimulator(ROOMS, 900.0)\n"
        "print(batch.backend, batch.run(x0, u, p)[0].shape)\n"
        "try: BatchSimulator(ROOMS, 900.0, backend='compiled').run(x0, u, p)\n"
        "except UnavailableError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("numpy (3, 12, 4)\n")
    assert 'backend="numpy"' in done.stdout


def test_what_rests_on_parameters_alone_is_evaluated_once_a_roll_out() -> None:
    program = compile_program(step_equations(rooms()))
    inner = [program.nodes[k].op for k in program.needed(program.pieces["slope"], 2)]
    assert "div" not in inner  # every capacity is a held reciprocal
    assert [program.nodes[k].op for k in program.held(0)].count("inv") == 3
