"""Futures are the same wherever they are played; looks at them are paid for; sensors may fail."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.faults import NEVER, Fault
from sandbox.futures import Futures, expected_future, sample_futures
from sandbox.outcomes import estimates, t_half_width
from sandbox.scenario import roll_out, roll_out_plans
from sandbox.sensor_faults import prior, with_sensor_faults
from sandbox.sequential import Tally, lower_bound, planned_looks, unclear, upper_bound
from sandbox.shadow import evaluate
from tests.shadow_digest import part_traces, shadow_digest, twin
from tests.test_shadow import SITE, STEPS, intent, plan, rooms, shadow, snapshot

ROOT = Path(__file__).resolve().parent.parent
TWIN = twin()
NORTH = "zone_north.temp_degc"


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    from agents.ray_dispatch import _init_ray

    _init_ray(2)
    import ray as started

    yield started
    started.shutdown()


def test_the_same_bytes_come_from_this_process_from_another_and_through_ray(ray: Any) -> None:
    mine = shadow_digest()
    assert mine == shadow_digest()
    other = subprocess.run(
        [sys.executable, "-m", "tests.shadow_digest"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert other.stdout.strip() == mine
    remote = ray.remote(shadow_digest).options(num_cpus=1)
    assert ray.get([remote.remote(), remote.remote()]) == [mine, mine]


def test_futures_played_by_one_worker_or_shared_out_to_two_are_the_same_bytes(ray: Any) -> None:
    whole = part_traces(0, 12)
    remote = ray.remote(part_traces).options(num_cpus=1)
    for shares in ([(0, 12)], [(0, 7), (7, 12)]):
        parts = ray.get([remote.remote(*share) for share in shares])
        assert {s: b"".join(p[s] for p in parts) for s in whole} == whole


def test_a_future_and_its_errors_do_not_depend_on_how_many_are_drawn() -> None:
    few, many = (sample_futures(TWIN, snapshot(), n, 3) for n in (4, 30))
    assert np.array_equal(few.x0, many.x0[:4])
    assert few.w.keys() == many.w.keys()
    assert "tank.unexplained_kw" in few.w
    assert all(np.array_equal(few.w[s], many.w[s][:4]) for s in few.w)
    assert few.output_errors
    for name, error in few.output_errors.items():
        assert np.array_equal(error, many.output_errors[name][:4])


def test_unexplained_heat_widens_what_a_store_may_do_and_leaves_the_mean() -> None:
    image = snapshot()
    drawn = sample_futures(TWIN, image, 150, 1)
    bare = Futures(
        drawn.x0, {s: v for s, v in drawn.w.items() if "unexplained" not in s}, drawn.parameters
    )
    hold = {"hp.power_set_kw": [5.0] * STEPS}
    wide, narrow = (roll_out(TWIN, image, f, hold).traces["tank.temp_degc"] for f in (drawn, bare))
    assert wide[:, -1].std() > 1.3 * narrow[:, -1].std()
    mean = roll_out(TWIN, image, expected_future(TWIN, image), hold).traces["tank.temp_degc"]
    spread = wide[:, -1].std() / np.sqrt(150)
    assert abs(mean[0, -1] - wide[:, -1].mean()) < 0.5 * wide[:, -1].std() + 4 * spread


def test_looks_spend_the_allowed_error_and_no_more() -> None:
    assert [x.count for x in planned_looks(60, 0.05)] == [60]
    assert [x.count for x in planned_looks(200, 0.05)] == [100, 200]
    assert [x.count for x in planned_looks(350, 0.05)] == [100, 200, 350]
    for n in (60, 200, 350, 1000):
        looks = planned_looks(n, 0.05)
        assert sum(x.alpha for x in looks) == pytest.approx(0.05)
        assert looks[-1].alpha >= 0.025
    assert upper_bound(0, 200, 0.05) == pytest.approx(1 - 0.05 ** (1 / 200), abs=1e-12)
    assert lower_bound(60, 60, 0.05) == pytest.approx(0.05 ** (1 / 60), abs=1e-12)


@pytest.mark.parametrize("p", [0.005, 0.03, 0.2])
def test_a_bound_holds_even_for_one_who_stops_where_it_looks_best(p: float) -> None:
    """The worst stopping rule there is: to take the smallest bound of all looks."""
    looks = planned_looks(400, 0.05)
    rows = np.random.default_rng(7).random((4000, 400)) < p
    table = [[upper_bound(k, look.count, look.alpha) for k in range(401)] for look in looks]
    best = np.min(
        [
            np.array(bounds)[rows[:, : look.count].sum(axis=1)]
            for look, bounds in zip(looks, table, strict=True)
        ],
        axis=0,
    )
    assert (best < p).mean() <= 0.05


def test_what_is_clear_is_clear_and_what_is_not_is_named() -> None:
    n = 100
    none, some = np.zeros(n, dtype=bool), np.arange(n) < 4
    sure = np.ones(n, dtype=bool)
    kept = Tally("tank", True, none, none, 0.05)
    assert unclear([kept], sure, True, 0.02) == ""
    assert unclear([kept], np.arange(n) < 52, True, 0.02).startswith("whether it is better")
    assert unclear([Tally("room", False, some, none, 0.05)], sure, True, 0.02) == "room"
    both = Tally("room", False, some, some, 0.05)  # inaction breaks it in the very same futures
    assert unclear([both], sure, True, 0.02) == ""
    assert unclear([Tally("tank", True, some, none, 0.05)], sure, False, 0.02) == ""
    assert unclear([Tally("room", False, np.arange(n) < 7, none, 0.05)], sure, False, 0.02) != ""
    assert unclear([Tally("room", False, np.arange(n) < 40, none, 0.05)], sure, False, 0.02) == ""


def test_a_clear_case_uses_fewer_futures_than_were_asked_and_says_so() -> None:
    clear = shadow(plan(hp=0.0), intent(rooms(hard=True, chance=None)), n=250)
    assert not clear.passed
    assert (clear.futures, clear.asked) == (100, 250)
    assert clear.stopped == "clear after 100 of 250 futures"
    short = shadow(plan(hp=0.0), intent(rooms(hard=True, chance=None)), n=100)
    assert short.kpi_delta["cost"].mean == clear.kpi_delta["cost"].mean  # the same futures
    open_case = shadow(plan(battery=0.0), intent(rooms(minimum=20.95, chance=0.95)), n=40)
    assert open_case.futures == open_case.asked == 40
    assert open_case.stopped.startswith("all 40 used")


def test_a_mean_comes_with_the_interval_of_its_mean() -> None:
    result = shadow(plan(battery=5.0), n=60)
    delta = result.kpi_delta["cost"]
    assert delta.mean_low is not None
    assert delta.mean_high is not None
    assert delta.low <= delta.mean_low < delta.mean < delta.mean_high <= delta.high
    g = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        values = g.exponential(size=80)
        inside += abs(values.mean() - 1.0) <= t_half_width(values, 0.05)
    assert 0.91 <= inside / 400 <= 0.98
    assert estimates(SITE, {"cost": np.array([3.0])})["cost"].mean_low == 3.0


def test_a_biased_or_stuck_sensor_misleads_its_thermostat_and_the_truth_is_judged() -> None:
    image = snapshot()
    futures = sample_futures(TWIN, image, 3, 1)
    faults = (
        Fault("sensor_bias", np.array([0.0, 2.0, 0.0]), NORTH, np.array([NEVER, 0, NEVER])),
        Fault("sensor_stuck", 0.0, NORTH, np.array([NEVER, NEVER, 8])),
    )
    broken = Futures(futures.x0, futures.w, futures.parameters, {}, faults)
    sound = Futures(futures.x0, futures.w, futures.parameters)
    warmer = plan().model_copy(
        update={"setpoints": {"zone_north.setpoint_degc": (21.0,) * 12 + (22.0,) * (STEPS - 12)}}
    )
    (shown,) = roll_out_plans(TWIN, image, broken, [warmer])
    (true,) = roll_out_plans(TWIN, image, broken, [warmer], truth=True)
    (healthy,) = roll_out_plans(TWIN, image, sound, [warmer])
    assert np.array_equal(true[NORTH][0], healthy[NORTH][0])
    late = slice(-24, None)
    assert (shown[NORTH][1] - true[NORTH][1])[late] == pytest.approx(2.0)
    assert (healthy[NORTH][1] - true[NORTH][1])[late].mean() > 1.5  # the room is colder by it
    assert len(set(shown[NORTH][2, 8:])) == 1
    # It waits for a warmth that its sensor never shows.
    assert true[NORTH][2].max() > healthy[NORTH][2].max() + 0.5


def test_each_stratum_future_has_one_broken_sensor_and_the_prior_is_small() -> None:
    futures = sample_futures(TWIN, snapshot(), 20, 1)
    broken = with_sensor_faults(TWIN, futures, STEPS, 4)
    begins = np.array([f.start_step for f in broken.faults])
    assert ((begins < STEPS).sum(axis=0) == 1).all()
    again = with_sensor_faults(TWIN, futures.part(0, 5), STEPS, 4)
    assert np.array_equal(np.array([f.start_step for f in again.faults]), begins[:, :5])
    chance = prior(SITE, TWIN.layout.sensors, 24.0)
    assert 0.003 < chance < 0.005  # four sensors, each once in a thousand days
    result = evaluate(SITE, TWIN, snapshot(), intent(rooms()), [plan(battery=4.0)], 60, 5)
    assert result.sensor_fault_prior == pytest.approx(chance)
    chosen = next(o for o in result.outcomes if o.source == result.candidate)
    assert all(v.faulty_probability is not None for v in chosen.violations)
    alone = upper_bound(0, 60, 0.04)
    clean = [v for v in chosen.violations if v.probability == 0.0]
    assert all(alone < v.upper < alone + chance for v in clean)
