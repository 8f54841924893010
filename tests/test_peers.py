"""The bench beside other planners: its simulator, its floor, and how little it trusts a peer."""

import importlib.util
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.peers import neutral_simulator as simulator
from api.peers.dispatch_case import DispatchCase, microgrid_case
from api.peers.dispatch_floor import floor_cost
from api.peers.dispatch_loop import run_side_by_side
from api.peers.dispatch_rows import ABOVE_FLOOR_PCT, dispatch_rows
from api.peers.peer_list import DISPATCH, DRIVERS, TANKS, open_peer
from api.peers.peer_process import PeerError, PeerProcess
from api.peers.tanks_loop import (
    TanksCase,
    ask_the_impossible,
    check_same_plant,
    run_tanks,
    tanks_case,
)
from graph.errors import UnavailableError

DAY = 96


@cache
def case() -> DispatchCase:
    return microgrid_case(DAY)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-60, 60), min_size=1, max_size=DAY),
    st.floats(0.7, 1.0),
    st.floats(0.7, 1.0),
)
def test_the_simulator_keeps_every_kwh_and_no_command_leaves_the_battery_s_bounds(
    commands, eta_in, eta_out
):
    battery = replace(case().battery, eta_charge=eta_in, eta_discharge=eta_out)
    problem = replace(case(), battery=battery, import_limit_kw=25.0, export_limit_kw=10.0)
    score = simulator.start(problem)
    for k, command in enumerate(commands):
        simulator.step(problem, score, k, command)
    power = np.array([f.battery_kw for f in score.flows])
    grid = np.array([f.grid_kw for f in score.flows])
    stored = np.array([battery.start_kwh, *(f.stored_kwh for f in score.flows)])
    h, n = problem.hours, len(commands)
    gained = h * (eta_in * np.maximum(power, 0) - np.maximum(-power, 0) / eta_out)
    assert np.allclose(np.diff(stored), gained, rtol=0, atol=1e-9)
    net = problem.actual(problem.load_kw)[:n] - problem.actual(problem.pv_kw)[:n]
    assert np.allclose(grid, net + power, rtol=0, atol=1e-9)
    assert np.all(stored >= battery.low_kwh - 1e-9)
    assert np.all(stored <= battery.high_kwh + 1e-9)
    refused = np.abs(np.array(commands) - power)
    assert score.battery_violations == np.sum(refused > simulator.TOLERANCE_KW)
    beyond = np.maximum(np.maximum(grid - 25.0, -grid - 10.0), 0.0)
    assert score.grid_violations == np.sum(beyond > simulator.TOLERANCE_KW)
    assert score.beyond_kwh == pytest.approx(h * float(np.sum(refused + beyond)), abs=1e-9)
    bill = h * (np.maximum(grid, 0) @ problem.actual(problem.import_price)[:n]
                - np.maximum(-grid, 0) @ problem.actual(problem.export_price)[:n])  # fmt: skip
    assert score.cost == pytest.approx(float(bill), abs=1e-9)


def test_no_control_beats_the_floor_and_the_floor_s_own_control_attains_it():
    floor, powers = floor_cost(case())
    score = simulator.start(case())
    for k, power in enumerate(powers):
        simulator.step(case(), score, k, float(power))
    assert score.battery_violations == score.grid_violations == 0
    assert score.settled(case()) == pytest.approx(floor, rel=1e-7)
    generator = np.random.default_rng(0)
    for _ in range(20):
        other = simulator.start(case())
        for k, power in enumerate(powers):
            simulator.step(case(), other, k, float(power + generator.normal(0.0, 2.0)))
        assert other.settled(case()) > floor


def fake(tmp_path: Path, answer: str, begin: str = "pass") -> PeerProcess:
    """A peer that does `begin`, says that it is ready, and does `answer` for each question."""
    driver = tmp_path / "fake.py"
    driver.write_text(
        "import sys, time, json, os\n"
        f"{begin}\n"
        "sys.stdin.readline(); print('{\"ready\": true}', flush=True)\n"
        f"for line in sys.stdin:\n    {answer}\n    sys.stdout.flush()\n"
    )
    process = PeerProcess((sys.executable, driver), {})
    assert process.ask({}, 20.0) == {"ready": True}
    return process


TIMES = "'cpu_ms': 1.0, 'wall_ms': 1.0"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("sys.exit('out of memory')", "ended with 1: out of memory"),
        ("os.kill(os.getpid(), 9)", "ended with -9"),
        ("print('Welcome to the solver')", "no JSON: b'Welcome"),
        ("print('[' * 100000)", "no JSON"),
        ("print('[1]')", "no object"),
        ("sys.stdout.write('x' * 3000000)", "more than 1000000 bytes"),
        (f"print(json.dumps({{'ok': True, 'power_kw': [1.0], {TIMES}}}))", "no 4 to 96 numbers"),
        (f"print(json.dumps({{'ok': True, 'power_kw': [float('nan')] * 96, {TIMES}}}))", "'nan'"),
        (f"print(json.dumps({{'ok': True, 'power_kw': [True] * 96, {TIMES}}}))", "'True'"),
        ("print(json.dumps({'ok': True, 'power_kw': [0.0] * 96}))", "among cpu_ms"),
    ],
)
def test_a_peer_that_crashes_or_talks_nonsense_gives_up_by_name_and_the_others_go_on(
    tmp_path, answer, said
):
    (tmp_path / "good").mkdir()
    good = f"print(json.dumps({{'ok': True, 'power_kw': [0.0] * 96, {TIMES}}}))"
    with fake(tmp_path, answer) as bad, fake(tmp_path / "good", good) as sound:
        runs = run_side_by_side(replace(case(), steps=8), {"bad": bad, "sound": sound}, "perfect")
    assert runs["bad"].gave_up.startswith("step 0: ")
    assert said in runs["bad"].gave_up
    assert not runs["sound"].gave_up
    assert len(runs["sound"].score.flows) == 8


def test_a_peer_that_hangs_is_killed_with_the_children_that_it_started(tmp_path):
    child = tmp_path / "child"
    begin = (
        "import subprocess; c = subprocess.Popen(['sleep', '60']); "
        f"open({str(child)!r}, 'w').write(str(c.pid))"
    )
    process = fake(tmp_path, "time.sleep(60)", begin)
    with process, pytest.raises(PeerError, match="did not answer within 1 s"):
        process.ask({}, 1.0)
    state = Path(f"/proc/{child.read_text()}/stat")
    end = time.monotonic() + 10.0
    while state.exists() and state.read_text().split()[2] != "Z":
        assert time.monotonic() < end, "the child still runs"
        time.sleep(0.05)


def test_a_peer_that_never_stops_talking_on_standard_error_fills_no_disk(tmp_path):
    talk = "sys.stderr.write('x' * 20_000_000); sys.stderr.flush(); print('{}')"
    with fake(tmp_path, talk) as process:
        for _ in range(3):
            assert process.ask({}, 20.0) == {}
        assert os.fstat(process._errors.fileno()).st_blocks * 512 < 20_000_000


def test_a_failed_solve_is_counted_and_what_it_hands_on_is_followed_all_the_same(tmp_path):
    (tmp_path / "silent").mkdir()
    failed = f"'ok': False, 'status': 'infeasible', {TIMES}"
    handed = f"print(json.dumps({{{failed}, 'power_kw': [2.0] * 96}}))"
    silent = f"print(json.dumps({{{failed}}}))"
    with fake(tmp_path, handed) as one, fake(tmp_path / "silent", silent) as two:
        runs = run_side_by_side(replace(case(), steps=8), {"one": one, "two": two}, "perfect")
    assert runs["one"].failures == runs["two"].failures == 2
    assert runs["one"].last_failure == "infeasible"
    assert [f.battery_kw for f in runs["one"].score.flows] == [2.0] * 8
    assert [f.battery_kw for f in runs["two"].score.flows] == [0.0] * 8


def test_our_planner_pays_no_more_than_the_floor_where_the_forecasts_are_perfect():
    floor, _ = floor_cost(case())
    with ExitStack() as stack:
        ours = stack.enter_context(open_peer(DISPATCH[0], {}))
        assert ours.ask(case().statement(), 60.0)["ready"] is True
        run = run_side_by_side(case(), {"ours": ours}, "perfect")["ours"]
    assert not run.gave_up
    assert run.failures == run.score.battery_violations == run.score.grid_violations == 0
    assert 100.0 * (run.score.settled(case()) / floor - 1.0) <= ABOVE_FLOOR_PCT


def test_a_peer_that_cannot_be_installed_is_a_row_with_its_reason():
    why = UnavailableError("emhass does not install: ERROR: no network", "is pip online?")
    figures = dispatch_rows(1, {"emhass": why, "pymgrid": why}, lambda line: None)
    rows = {f.name: f for f in figures}
    assert "no network" in rows["battery 1 d: python-microgrid"].note
    assert rows["battery 1 d: python-microgrid"].row()["value"] is None
    assert rows["battery 1 d, perfect: pilothouse"].ok
    assert "battery 1 d, persistence: pilothouse: over the best peer" not in rows


@cache
def eight_steps() -> TanksCase:
    return tanks_case(8)


def test_the_drivers_equations_are_the_plant_s_own():
    spec = importlib.util.spec_from_file_location("tanks", DRIVERS / "tanks.py")
    assert spec is not None
    assert spec.loader is not None
    stated = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stated)
    problem = eight_steps().statement()
    for x0 in ([12.3, 12.8, 1.6, 1.4], [5.0, 17.0, 9.0, 0.3]):
        case = replace(eight_steps(), task=replace(eight_steps().task, x0=np.array(x0)))
        about = {"rates": stated.checked_rates({**problem, "x0": x0})}
        check_same_plant(case, about)
        about["rates"][2] += 1e-6
        with pytest.raises(PeerError, match="another plant"):
            check_same_plant(case, about)


def test_our_controller_of_the_tanks_follows_its_targets_within_its_bounds():
    case = eight_steps()
    ours = next(p for p in TANKS if p.environment)  # interpreted: no compiler is needed
    with open_peer(ours, {}) as process:
        check_same_plant(case, process.ask(case.statement(), 60.0))
        run = run_tanks(case, {"ours": process})["ours"]
    assert not run.gave_up
    assert run.failures == run.violations == 0
    # The levels start 0.1 cm off their targets and are measured to 0.04 cm.
    still = float(np.sum((case.task.x0[:2] - case.task.target[0]) ** 2 * case.task.track))
    assert run.at_ends / case.steps < still


def test_a_controller_s_failed_solve_is_counted_with_what_it_hands_on(tmp_path):
    (tmp_path / "silent").mkdir()
    failed = f"'ok': False, 'status': 'infeasible', {TIMES}"
    handed = f"print(json.dumps({{{failed}, 'u': [9.0, 3.0]}}))"
    silent = f"print(json.dumps({{{failed}}}))"
    with fake(tmp_path, handed) as one, fake(tmp_path / "silent", silent) as two:
        runs = run_tanks(eight_steps(), {"one": one, "two": two})
        assert ask_the_impossible(eight_steps(), one) == (False, True, "infeasible")
        assert ask_the_impossible(eight_steps(), two) == (False, False, "infeasible")
    assert [(r.failures, r.handed_on) for r in runs.values()] == [(8, 8), (8, 0)]
    assert runs["one"].violations == 8  # a pump is commanded beyond its range
    assert runs["two"].u.tolist() == [3.0, 3.0]


def test_the_drivers_import_nothing_of_ours():
    rooms = ("api", "graph", "planner", "sandbox", "safety", "plugins", "agents", "scenarios")
    for driver in DRIVERS.glob("*.py"):
        for line in driver.read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] not in rooms, f"{driver.name}: {line}"
