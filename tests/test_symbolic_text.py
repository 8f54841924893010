"""Models made of text, of modes and of other models: what they mean, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import InputError, SitePackError
from sandbox.symbolic.batch import BatchSimulator
from sandbox.symbolic.casadi_sx import casadi, symbols
from sandbox.symbolic.components.heat_pump import heat_pump
from sandbox.symbolic.components.ode import parse_ode
from sandbox.symbolic.components.state_machine import Transition, state_machine
from sandbox.symbolic.components.tank import tank
from sandbox.symbolic.components.thermal import Zone, thermal_network
from sandbox.symbolic.components.transfer_function import transfer_function
from sandbox.symbolic.compose import compose
from sandbox.symbolic.expression import parse_formula
from sandbox.symbolic.model import SymbolicModel, parameter_vector

TANK = """\
name: two tanks
states:
  upper_m: {unit: m, derivative: (inflow - down) / area, lower: 0, nominal: 1}
  lower_m: {unit: m, derivative: (down - out) / area}
inputs:
  inflow: {unit: m3/s, lower: 0}
parameters:
  area: {unit: m2, value: 2.0, space: log}
  k: {unit: m2.5/s, value: 0.01, space: log}
definitions:
  down: k * sqrt(max(upper_m, 0))
  out: k * sqrt(max(lower_m, 0))
outputs:
  outflow: {unit: m3/s, value: out, mean: true}
  overflow: {unit: '1', value: 1 if upper_m > 3 else 0}
"""


def value_of(text: str, **values: float) -> float:
    ca = casadi()
    names = symbols(list(values))
    formula = parse_formula(text, dict(zip(values, names, strict=True)))
    return float(ca.Function("f", [ca.vertcat(*names)], [formula])(list(values.values())))


NUMBERS = st.floats(0.25, 4.0).map(lambda v: repr(round(v, 3)))
FORMULAS = st.recursive(
    NUMBERS | st.sampled_from(["a", "b"]),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("min({}, {})".format, inner, inner),
        st.builds("max({}, -{})".format, inner, inner),
        st.builds("abs({})".format, inner),
        st.builds("({} if {} < {} else {})".format, inner, inner, inner, inner),
        st.builds("({} if 0.5 < {} <= 3 and not {} > 2 else {})".format, *[inner] * 4),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(FORMULAS, st.floats(0.3, 3.0), st.floats(0.3, 3.0))
def test_a_formula_means_what_python_means_by_it(text: str, a: float, b: float) -> None:
    try:
        expected = eval(text, {}, {"a": a, "b": b, "min": min, "max": max, "abs": abs})
    except ZeroDivisionError:
        return
    assert value_of(text, a=a, b=b) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_functions_and_powers_of_a_formula() -> None:
    found = value_of(
        "sqrt(x)**3 + exp(-x) * log(x) + -x**2 + if_else(x > 2, 1, clip(x, 0, 1.5))", x=2
    )
    exact = np.sqrt(2) ** 3 + np.exp(-2) * np.log(2) - 4 + 1.5
    assert found == pytest.approx(exact)
    assert value_of("tanh(x) + sin(x) - cos(0)", x=0.0) == -1.0


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('true')", "x.__class__", "(lambda: x)()", "[x for x in (1,)]",
     "x[0]", "'x'", "x if x else (y := 2)", "exec('1')", "open('f')", "x @ x", "x // 2", "x % 2",
     "x << 2", "~x", "x == 2", "x is x", "True", "None", "...", "1j", "1e999", "min(x)",
     "sqrt(x, x)", "sqrt(x=2)", "max(*x)", "unknown", "x.y", "f'{x}'", "{x}", "x;x", "", "x = 2",
     "9" * 400, "(" * 250 + "x" + ")" * 250, "-" * 3000 + "x", "x" + "+x" * 1500, "a" * 5000, "x\0",
     "sqrt.__call__(x)", "(x)(x)", "yield x", "min.max(x, x)", "await x"],
)  # fmt: skip
def test_everything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_formula(text, dict(zip("x", symbols(["x"]), strict=True)))


def test_a_power_of_powers_costs_nothing() -> None:
    assert value_of("9**9**9**9 < x", x=1.0) == 0.0


def test_an_ode_from_text_runs_and_rests_where_it_must() -> None:
    model = parse_ode(TANK)
    assert (model.states[0].lower, model.states[0].unit) == (0.0, "m")
    assert model.parameters[1].space == "log"
    batch = BatchSimulator(model, 3600.0, 60, "numpy")
    x, y = batch.run([[1.0, 1.0]], np.full((48, 1), 0.012))
    assert np.allclose(x[0, -1], 1.44, atol=1e-4)  # (inflow / k)^2
    assert y[0, -1, 0] == pytest.approx(0.012, rel=1e-4)
    stored = 2.0 * np.diff(x[0].sum(axis=1), prepend=2.0)
    assert np.allclose(stored, (0.012 - y[0, :, 0]) * 3600.0, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("k * sqrt(max(upper_m, 0))", "k * root(upper_m)", 11, "definitions.down"),
        ("(down - out) / area", "(down - out) / aera", 4, "states.lower_m.derivative"),
        ("(down - out) / area", "os.system", 4, "states.lower_m.derivative"),
        ("value: 2.0", "value: -2.0", 8, "parameters.area.value"),
        ("value: 2.0", "value: two", 8, "parameters.area.value"),
        ("inflow: {unit", "upper_m: {unit", 6, "inputs.upper_m"),
        ("  k: {", "  sqrt: {", 9, "parameters.sqrt"),
        ("derivative: (down - out) / area", "lower: 0", 4, "states.lower_m"),
        ("value: out, mean", "value: out, meen", 14, "outputs.outflow.meen"),
        ("down: k", "down: out * k", 11, "definitions.down"),
    ],
)
def test_a_wrong_ode_is_refused_with_its_line_and_field(
    old: str, new: str, line: int, field: str
) -> None:
    assert old in TANK
    with pytest.raises(SitePackError) as caught:
        parse_ode(TANK.replace(old, new), "pack/model.yaml")
    assert (caught.value.file, caught.value.field) == ("pack/model.yaml", field)
    assert caught.value.line == line


def thermostat(least_s: float) -> SymbolicModel:
    return state_machine(
        {"off": {"heat_kw": 0.0}, "on": {"heat_kw": 4.0}},
        [Transition("off", "on", "room_degc < low_degc", least_s),
         Transition("on", "off", "room_degc > low_degc + band_k", least_s)],
        {"room_degc": "degC"}, {"low_degc": ("degC", 20.0), "band_k": ("K", 1.0)},
        {"heat_kw": "kW"},
    )  # fmt: skip


def heated_room(least_s: float) -> SymbolicModel:
    room = thermal_network([Zone("room", 1, c_air_kwh_k=0.5, ua_out_kw_k=0.1)])
    return compose(
        "heated room", {"room": room, "law": thermostat(least_s)},
        {"law.room_degc": "room.room.temp_degc", "room.room.heat_kw": "law.heat_kw"},
    )  # fmt: skip


def test_a_hysteresis_controller_cycles_with_the_period_of_the_closed_form() -> None:
    model, step = heated_room(0.0), 2.0
    steps = round(12 * 3600 / step)
    u = np.zeros((steps, 2))  # 0 degC outside, no sun
    x, y = BatchSimulator(model, step).run([[20.5, 0.0, 1e6]], u)
    heat = y[0, :, model.output_names.index("law.heat_kw")]
    starts = np.flatnonzero(np.diff(heat) > 2.0)
    hours = np.diff(starts)[1:] * step / 3600
    rise, fall = 5.0 * np.log((40 - 20) / (40 - 21)), 5.0 * np.log(21 / 20)  # tau 5 h, 40 degC
    assert np.allclose(hours, rise + fall, atol=4 * step / 3600)
    air = x[0, :, 0]
    assert air[starts[0] :].min() > 19.99
    assert air.max() < 21.01


def test_a_mode_is_held_for_its_dwell_time() -> None:
    machine = thermostat(600.0)
    g = np.random.default_rng(1)
    u = g.choice([18.0, 23.0], size=(400, 1))  # asks for the other mode at random
    x, _ = BatchSimulator(machine, 60.0).run([[0.0, 1e6]], u)
    mode = x[0, :, 0]
    changes = np.flatnonzero(np.diff(mode))
    assert len(changes) > 10
    assert np.diff(changes).min() == 10  # 600 s of 60 s each, and sometimes no longer
    assert np.isin(mode, [0.0, 1.0]).all()


def test_the_first_of_two_transitions_that_fire_is_taken() -> None:
    machine = state_machine(
        {"idle": {"y": 0.0}, "first": {"y": 1.0}, "second": {"y": 2.0}},
        [Transition("idle", "first", "a > 0"), Transition("idle", "second", "a + b > 0"),
         Transition("first", "idle", "a < 0"), Transition("second", "idle", "a < 0")],
        {"a": "1", "b": "1"},
    )  # fmt: skip
    u = np.array([[1.0, 1.0], [-1.0, 3.0], [-1.0, 3.0], [-1.0, 0.0], [0.0, 0.0]])
    x, _ = BatchSimulator(machine, 1.0).run([[0.0, 0.0]], u)
    assert x[0, :, 0].tolist() == [1.0, 0.0, 2.0, 0.0, 0.0]


def test_a_composed_model_is_the_sum_of_its_parts() -> None:
    parts = {"hp": heat_pump(4.0, 8.0), "tank": tank(400.0, 2),
             "sensor": transfer_function([1.0], [60.0, 1.0], "degC", "degC")}  # fmt: skip
    model = compose(
        "plant", parts,
        {"tank.heat_bottom_kw": "hp.heat_kw", "hp.sink_degc": "tank.bottom_degc",
         "sensor.u": "tank.top_degc"},
    )  # fmt: skip
    assert "tank.heat_bottom_kw" not in model.input_names
    assert "hp.rated_cop" in model.parameter_names
    u = {"hp.power_set_kw": 5.0, "hp.source_degc": 2.0, "tank.ambient_degc": 20.0}
    row = np.array([[u.get(n, 0.0) for n in model.input_names]])
    x, y = BatchSimulator(model, 60.0).run([[40.0, 35.0, 2400.0]], np.repeat(row, 30, axis=0))
    shown = {n: y[0, :, i] for i, n in enumerate(model.output_names)}
    kwh = model.defaults[model.parameter_names.index("tank.c_kwh_k")]
    mean = x[0, :, :2].mean(axis=1)
    stored = kwh * np.diff(mean, prepend=37.5) * 60
    assert np.allclose(stored, shown["hp.heat_kw"] - shown["tank.loss_kw"], rtol=0, atol=1e-9)
    assert np.ptp(shown["hp.cop"]) > 0.1  # the sink really is the tank
    less = BatchSimulator(model, 60.0).run(
        [[40.0, 35.0, 2400.0]], row, parameter_vector(model, {"hp.rated_cop": 2.0})
    )[1]
    assert less[0, 0, model.output_names.index("hp.heat_kw")] < 0.6 * shown["hp.heat_kw"][0]


def test_several_outputs_may_feed_one_input() -> None:
    lag = transfer_function([1.0], [10.0, 1.0])
    model = compose("sum", {"a": lag, "b": lag, "c": transfer_function([2.0], [1.0])},
                    {"c.u": ["a.y", "b.y"]}, ["c.y"])  # fmt: skip
    x, y = BatchSimulator(model, 5.0).run([[0.0, 0.0]], [[1.0, 2.0]] * 3)
    assert np.allclose(y[0, :, 0], 2 * x[0].sum(axis=1) / 10.0)


def test_algebraic_loops_units_and_names_are_refused_by_name() -> None:
    gain, lag = transfer_function([0.5], [1.0]), transfer_function([1.0], [10.0, 1.0])
    parts = {"a": gain, "b": gain, "lag": lag}
    with pytest.raises(InputError, match=r"algebraic loop: .*a\.u.*b\.u"):
        compose("loop", parts, {"a.u": "b.y", "b.u": "a.y"})
    closed = compose("loop", parts, {"a.u": "b.y", "b.u": "lag.y", "lag.u": "a.y"})
    assert closed.input_names == ()
    with pytest.raises(InputError, match=r"no input a\.v"):
        compose("names", parts, {"a.v": "b.y"})
    with pytest.raises(InputError, match=r"no output c\.y"):
        compose("names", parts, {"a.u": "c.y"})
    with pytest.raises(InputError, match=r"hp\.heat_kw in kW cannot feed a\.u in 1"):
        compose("units", {**parts, "hp": heat_pump()}, {"a.u": "hp.heat_kw"})
    with pytest.raises(InputError, match="modes give different outputs"):
        state_machine({"a": {"y": 1.0}, "b": {}}, [], {})
    with pytest.raises(InputError, match="names mode c"):
        state_machine({"a": {}, "b": {}}, [Transition("a", "c", "1 > 0")], {})


PAGES = [Path("docs/reference/models.md"), Path("docs/explanation/one-definition.md")]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_code_on_the_pages_about_models_runs(page: Path) -> None:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert any(kind == "python" for kind, _ in found)
    for kind, body in found:
        if kind == "python":
            exec(compile(body, str(page), "exec"), {})
        else:
            assert kind == "yaml"
            model = parse_ode(body, str(page))
            assert BatchSimulator(model, 60.0, backend="numpy").run([[1.0, 1.0]], [[0.01]] * 3)


def test_the_table_of_models_is_the_library() -> None:
    page = Path("docs/reference/models.md").read_text(encoding="utf-8").split("\n## ")[0]
    told = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) | {"read_ode"}
    makers = set()
    for file in Path("sandbox/symbolic/components").glob("*.py"):
        makers |= set(
            re.findall(r"^def ([a-z]\w*)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
        )
    assert told == makers - {"effectiveness", "interpolate"}
