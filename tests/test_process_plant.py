"""The process plants are the published ones, and behave as plants."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from graph.errors import InputError
from graph.plant import LeasedSetpoint
from graph.simulators import ProcessSimulator
from graph.site import Site
from graph.sitepack import load_site
from scenarios.plants import build_plant
from scenarios.process_models.cstr import JACKET, Cstr
from scenarios.process_models.quadruple_tank import (
    LEVELS,
    MINIMUM_PHASE,
    NONMINIMUM_PHASE,
    VOLTS,
    QuadrupleTank,
)
from scenarios.process_plant import LAB, ProcessStepper
from scenarios.recording import record

PACK = load_site(Path("scenarios/process"))
START = datetime.fromisoformat("2026-03-02T00:00:00+01:00")

# Johansson (2000): levels, time constants in s, zeros in 1/s, as printed.
PAPER = [
    (MINIMUM_PHASE, (12.4, 12.7, 1.8, 1.4), (62, 90, 23, 30), (-0.018, -0.060)),
    (NONMINIMUM_PHASE, (12.6, 13.0, 4.8, 4.9), (63, 91, 39, 56), (0.013, -0.057)),
]


@pytest.mark.parametrize(("tank", "levels", "times", "zeros"), PAPER)
def test_the_tanks_stand_respond_and_turn_back_as_the_paper_prints(
    tank: QuadrupleTank, levels: Any, times: Any, zeros: Any
) -> None:
    """Levels are measured there: a quarter of a centimetre; time constants to 1 s in 60."""
    rest = tank.rest(tank.inputs)
    assert rest == pytest.approx(levels, abs=0.25)
    assert tank.time_constants_s(rest) == pytest.approx(times, abs=1.0)
    assert tank.zeros_per_s(rest) == pytest.approx(zeros, abs=0.001)


@pytest.mark.parametrize("tank", [MINIMUM_PHASE, NONMINIMUM_PHASE])
def test_steady_levels_in_closed_form_are_where_the_equations_come_to_rest(
    tank: QuadrupleTank,
) -> None:
    for v1, v2 in ((3.0, 3.0), (2.5, 3.3)):
        inputs = dict(zip(VOLTS, (v1, v2), strict=True))
        state = tank.rest(tank.inputs)
        for _ in range(600):
            state = tank.move(state, inputs, tank.substep_s)
        assert state == pytest.approx(tank.rest(inputs), rel=1e-6)


def test_a_small_step_grows_with_the_papers_transfer_functions() -> None:
    """Gain and time constant of v1 -> h1 from the nonlinear model: gamma1 c1 / (1 + s T1) with
    c1 = T1 k1 / A1; after one time constant 63 % of it is there."""
    tank = MINIMUM_PHASE
    rest = tank.rest(tank.inputs)
    t1 = tank.time_constants_s(rest)[0]
    inputs = {**tank.inputs, VOLTS[0]: tank.volts + 0.01}
    state, steps = rest, 100
    for _ in range(steps):
        state = tank.move(state, inputs, t1 / steps)
    gain = tank.gamma1 * t1 * tank.k1 / tank.area[0]
    grown = (state[0] - rest[0]) / 0.01
    assert grown == pytest.approx(gain * (1 - np.exp(-1)), rel=0.005)


def test_the_nonminimum_phase_tanks_answer_the_wrong_way_first() -> None:
    """Along the zero's output direction a step ends against where it began."""
    tank = NONMINIMUM_PHASE
    rest = np.array(tank.rest(tank.inputs))
    inputs = {VOLTS[0]: tank.volts + 0.02, VOLTS[1]: tank.volts - 0.02}
    state, path = tuple(rest), []
    for _ in range(400):
        state = tank.move(state, inputs, 2.0)
        path.append(np.array(state) - rest)
    first, last = path[4], path[-1]
    assert first[0] > 0 > last[0]
    assert first[1] < 0 < last[1]


def test_integration_is_converged_and_tanks_neither_run_dry_nor_over() -> None:
    tank = replace(MINIMUM_PHASE)
    inputs = dict(zip(VOLTS, (3.4, 2.4), strict=True))
    coarse = fine = tank.rest(tank.inputs)
    for _ in range(20):
        coarse = tank.move(coarse, inputs, 6.0)
        for _ in range(12):
            fine = tank.move(fine, inputs, 0.5)
        assert coarse == pytest.approx(fine, abs=1e-4)
    for volts, end in ((0.0, 0.0), (5.0, 20.0)):
        state = tank.rest(tank.inputs)
        for _ in range(400):
            state = tank.move(state, dict.fromkeys(VOLTS, volts), 6.0)
        assert state[0] == pytest.approx(end, abs=1e-3)


def test_the_reactor_has_the_three_published_steady_states_and_the_middle_one_is_unstable() -> None:
    """Bequette (1998), module 9, case 2: (8.564, 311.2), (5.518, 339.1), (2.359, 368.1)."""
    reactor = Cstr()
    states = reactor.steady_states(298.0)
    assert [c for c, _ in states] == pytest.approx([8.564, 5.518, 2.359], abs=0.001)
    assert [t for _, t in states] == pytest.approx([311.2, 339.1, 368.1], abs=0.05)
    for state in states:
        assert np.abs(reactor.derivative_per_h(state, 298.0)).max() < 1e-6
    stable = []
    for c, t in states:
        state = (c, t + 0.5)
        for _ in range(4 * 360):
            state = reactor.move(state, reactor.inputs, 10.0)
        stable.append(abs(state[1] - t) < 0.2)
    assert stable == [True, False, True]


def cstr_site() -> Site:
    document = yaml.safe_load((PACK.folder / "site.yaml").read_text())
    signal = {"minimum": 0, "maximum": 200}
    document |= {
        "assets": [
            {"id": "grid", "kind": "grid_connection", "import_limit_kw": 9, "export_limit_kw": 0},
            *({"id": n, "kind": "equipment"} for n in ("reactor", "jacket", "chiller")),
        ],
        "signals": [
            {"id": "grid.power_kw", "unit": "kW", **signal},
            {"id": "chiller.power_kw", "unit": "kW", **signal},
            {"id": "reactor.temp_degc", "unit": "degC", **signal},
            {"id": "reactor.conc_kmol_m3", "unit": "kmol/m^3", **signal},
            {"id": JACKET, "unit": "degC", "role": "setpoint", **signal},
        ],
        "topology": [], "limits": [], "baseline": {},
    }  # fmt: skip
    document["plant"]["simulator"] = {"kind": "process", "model": "cstr"}
    return Site.model_validate(document)


def test_the_reactor_is_a_plant_too_and_its_chiller_works_harder_when_it_ignites() -> None:
    site = cstr_site()
    stepper = ProcessStepper(site, ProcessSimulator(kind="process", model="cstr"), START, 1)
    assert stepper.local_values == {JACKET: 25.0}
    cold = stepper.step({})
    assert cold["reactor.temp_degc"] == pytest.approx(38.2, abs=0.05)
    for _ in range(600):
        hot = stepper.step({JACKET: 45.0})
    assert hot["reactor.temp_degc"] > 80.0
    assert hot["chiller.power_kw"] > 2 * cold["chiller.power_kw"]


def test_commands_move_the_plant_and_a_release_brings_the_operating_point_back() -> None:
    plant = build_plant(PACK, START, 1)
    before = plant.image().values[LEVELS[0]].value
    assert before == pytest.approx(12.26, abs=0.3)
    epoch = plant.claim("test")
    plant.write(epoch, 1, [LeasedSetpoint(point=VOLTS[0], value=3.3, ttl_s=3600.0)])
    plant.advance(900)
    raised = plant.image().values
    assert raised[LEVELS[0]].value > before + 1.0
    assert raised["pump1.power_kw"].value == pytest.approx(0.05 * 1.1**3, abs=0.004)
    plant.release(epoch, 2, [VOLTS[0]])
    plant.advance(900)
    assert plant.image().values[LEVELS[0]].value == pytest.approx(before, abs=0.3)
    plant.close()


def test_the_same_seed_is_the_same_day_and_the_laboratory_can_be_foretold() -> None:
    frames = []
    for seed in (1, 1, 2):
        plant = build_plant(PACK, START, seed)
        truth = plant.truth(LAB, START, 4, 900)
        plant.advance(3600)
        frames.append((plant.log.frame(60).columns, truth))
        plant.close()
    (first, foretold), (again, _), (other, _) = frames
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first[LAB], other[LAB])
    seen = first[LAB].reshape(4, 15).mean(axis=1)
    assert foretold == pytest.approx(seen, abs=0.01)


def test_a_branch_of_the_plant_lives_its_own_life() -> None:
    plant = build_plant(PACK, START, 1)
    branch = plant.copy()
    epoch = branch.claim("test")
    branch.write(epoch, 1, [LeasedSetpoint(point=VOLTS[0], value=4.0, ttl_s=3600.0)])
    branch.advance(600)
    plant.advance(600)
    assert branch.image().values[LEVELS[0]].value > plant.image().values[LEVELS[0]].value + 1.0


def test_a_recording_moves_each_pump_by_itself_and_keeps_to_the_ranges() -> None:
    frame = record(PACK, START, 2.0, 7)
    assert (len(frame), frame.step_s) == (2 * 1440, 60)
    assert frame.start == START + timedelta(seconds=60)
    volts = [frame.column(v) for v in VOLTS]
    for values in volts:
        assert 0.02 < np.mean(values != 3.0) < 0.9
        assert np.all(np.abs(values - 3.0) <= 0.5 + 1e-9)
    assert np.any((volts[0] != 3.0) != (volts[1] != 3.0))
    plain = record(PACK, START, 0.1, 7, excite=False)
    assert np.all(plain.column(VOLTS[0]) == 3.0)
    with pytest.raises(InputError, match="whole step"):
        record(PACK, START + timedelta(seconds=7), 1.0, 7)


def test_wrong_parameters_and_signals_are_named() -> None:
    spec = ProcessSimulator(kind="process", model="quadruple_tank", parameters={"gama1": 0.5})
    with pytest.raises(InputError, match=r"no parameter gama1.*gamma1"):
        ProcessStepper(PACK.site, spec, START, 1)
    reactor = ProcessSimulator(kind="process", model="cstr")
    with pytest.raises(InputError, match=r"cstr has no measurement pump1.power_kw"):
        ProcessStepper(PACK.site, reactor, START, 1)
