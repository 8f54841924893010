"""What every step simulator promises, run on each that is installed.

To add one: a function that makes a fresh simulator of a site, in `SIMULATORS`.
"""

import atexit
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from graph.errors import InputError, UnavailableError
from graph.signals import Role
from graph.site import Site
from graph.sitepack import load_site
from scenarios.simulated_plant import SimulatedPlant
from scenarios.step_simulator import BranchingSimulator, ForetellingSimulator, StepSimulator

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"


@dataclass(frozen=True)
class Case:
    """A site, a fresh simulator of it, and commands within every range that all fit together."""

    site: Site
    make: Callable[[], StepSimulator]
    commands: dict[str, float]


def energyplus(_: Path) -> Case:
    pytest.importorskip("pyenergyplus")
    from scenarios.energyplus.build import building
    from scenarios.energyplus.simulator import EnergyPlusPlant

    pack = load_site(SCENARIOS / "office_small")
    begin = datetime.fromisoformat("2026-07-07T00:00:00-08:00")
    return Case(
        pack.site,
        lambda: EnergyPlusPlant(building(pack.folder, pack.site), begin),
        {"zone_core.heating_setpoint_degc": 20.5, "zone_core.cooling_setpoint_degc": 22.0},
    )


def fmu(folder: Path) -> Case:
    from tests.fmu_factory import can_build
    from tests.fmu_pack import START, one_tank

    if not can_build():
        pytest.skip("no C compiler or no FMPy here")
    from scenarios.fmu_plant import FmuPlant

    pack = one_tank(folder)
    fmus = pack.site.plant.simulator
    return Case(pack.site, lambda: FmuPlant.open(pack, fmus, START), {"upper.feed_ls": 20.0})


def boptest(_: Path) -> Case:
    from scenarios.boptest_plant import BoptestStepper
    from tests.boptest_server import boptest_server
    from tests.boptest_site import document

    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    site = Site.model_validate(document(stack.enter_context(boptest_server())))
    spec = site.plant.simulator.model_copy(update={"warm_up_s": 86_400.0})
    begin = datetime.fromisoformat("2026-01-15T06:00:00-08:00")
    return Case(
        site, lambda: BoptestStepper(site, spec, begin),
        {"zone_north.heating_setpoint_degc": 22.0, "zone_south.cooling_setpoint_degc": 26.0},
    )  # fmt: skip


def process(_: Path) -> Case:
    from scenarios.process_plant import ProcessStepper

    site = load_site(SCENARIOS / "process").site
    exact = site.plant.simulator.model_copy(update={"noise": 0.0})  # what is foretold is not noisy
    begin = datetime.fromisoformat("2026-03-20T05:00:00+01:00")
    return Case(
        site, lambda: ProcessStepper(site, exact, begin, 1), {"pump1.voltage_v": 3.4}
    )  # fmt: skip


SIMULATORS: dict[str, Callable[[Path], Case]] = {
    "energyplus": energyplus, "fmu": fmu, "boptest": boptest, "process": process,
}  # fmt: skip


@pytest.fixture(scope="module", params=SIMULATORS)
def case(request, tmp_path_factory):
    return SIMULATORS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def simulator(case):
    """One for all tests that can go on where another left off: some take seconds to start."""
    made = case.make()
    yield made
    made.close()


def plan(case, k):
    """Commands on and off, so that both ways are walked."""
    return case.commands if k % 4 in (1, 2) else {}


def test_each_step_moves_time_by_the_step_and_measures_everything(case, simulator):
    begin, step = simulator.time, timedelta(seconds=simulator.step_s)
    assert begin.tzinfo is not None
    assert simulator.step_s == int(simulator.step_s) >= 1
    for k in range(6):
        values = simulator.step(plan(case, k))
        assert simulator.time == begin + (k + 1) * step
        for spec in case.site.signals:
            assert math.isfinite(values[spec.id]), spec.id


def test_a_command_is_in_force_and_everything_else_is_the_plants_own(case, simulator):
    setpoints = {s.id for s in case.site.setpoints}
    assert set(simulator.local_values) >= setpoints
    for k in range(8):
        commands = plan(case, k)
        values = simulator.step(commands)
        own = simulator.local_values
        for name in setpoints:
            expected = commands.get(name, own[name])
            assert values[name] == pytest.approx(expected, rel=1e-9, abs=1e-9), (k, name)


def test_the_same_commands_give_the_same_bits_others_do_not_and_closed_is_closed(case):
    one, other = case.make(), case.make()
    measured = [s.id for s in case.site.signals if s.role is Role.MEASUREMENT]
    try:
        for k in range(12):
            assert one.step(plan(case, k)) == other.step(plan(case, k))
        differ = False
        for _ in range(40):
            commanded, free = one.step(case.commands), other.step({})
            differ = differ or any(commanded[n] != free[n] for n in measured)
        assert differ, "40 steps of commands changed no measurement"
    finally:
        one.close()
        other.close()
    one.close()
    with pytest.raises(UnavailableError):
        one.step({})


def test_a_wrong_command_is_refused_and_time_stands(case, simulator):
    simulator.step({})
    before, name = simulator.time, next(iter(case.commands))
    for wrong in ({"nothing.setpoint": 1.0}, {name: math.nan}, {name: math.inf}):
        with pytest.raises(InputError):
            simulator.step(wrong)
        assert simulator.time == before
    simulator.step(case.commands)


def test_what_it_foretells_is_what_comes_whatever_is_commanded(case, simulator):
    if not isinstance(simulator, ForetellingSimulator):
        pytest.skip("it foretells nothing")
    begin, step = simulator.time, int(simulator.step_s)
    stepped = [simulator.step(plan(case, k)) for k in range(8)]
    known = 0
    for spec in case.site.signals:
        try:
            truth = simulator.truth(spec.id, begin, 8, step)
        except InputError:
            continue
        known += 1
        # A load may feel the room temperature that was commanded, a little.
        assert np.allclose(truth, [v[spec.id] for v in stepped], rtol=0.02, atol=1e-9), spec.id
    assert known
    with pytest.raises(InputError):
        simulator.truth(next(iter(case.commands)), begin, 8, step)


def test_a_copy_goes_on_like_the_original_and_leaves_it_alone(case, simulator):
    if not isinstance(simulator, BranchingSimulator):
        pytest.skip("it cannot be copied")
    for k in range(5):
        simulator.step(plan(case, k))
    branch = simulator.copy()
    try:
        assert branch.time == simulator.time
        ahead = [branch.step(plan(case, k)) for k in range(3)]
        assert [simulator.step(plan(case, k)) for k in range(3)] == ahead
    finally:
        branch.close()


def test_the_shell_makes_a_plant_of_it(case):
    with SimulatedPlant(case.site, case.make(), watchdog_s=math.inf) as plant:
        plant.advance(2 * plant.simulator.step_s)
        image = plant.image()
        assert set(image.values) == {s.id for s in case.site.signals}
        assert all(r.value is not None for r in image.values.values())
        for spec in case.site.signals:
            value = image.values[spec.id].value
            assert spec.minimum <= value <= spec.maximum, spec.id
