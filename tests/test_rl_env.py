"""The environment of a site: Gymnasium's checks, one definition of money, same seed same bytes."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from api.training_moments import PastMoments, gather
from graph.kpis import kpi_table
from planner.rl.actor import constant_actor, load_actor
from planner.rl.episodes import Moment, expected, recorded, sampled, scattered
from planner.rl.evaluate import Day, Learned, LocalLaw, play
from planner.rl.filtered import Filtered
from planner.rl.observation import PlantState
from planner.rl.reward import comfort_price
from planner.rl.world import BatchWorld

ROOT = Path(__file__).parents[1] / "scenarios"
AT = datetime(2026, 1, 10, 8, 0, tzinfo=UTC)
BATTERY, HEAT_PUMP = 0, 1


@pytest.fixture(scope="module")
def moment():
    past = PastMoments(ROOT / "microgrid")
    return Moment(past.space, past.at(AT))


def random_actions(world, steps, seed=0):
    generator = np.random.default_rng(seed)
    return generator.uniform(-1, 1, (steps, len(world.episodes), len(world.actions.points)))


@pytest.mark.parametrize(
    ("site", "at"),
    [
        ("microgrid", AT),
        ("office_small", datetime(2026, 1, 8, 8, 0, tzinfo=UTC)),
        ("process", datetime(2026, 3, 15, 23, 0, tzinfo=UTC)),
    ],
)
def test_gymnasium_finds_nothing_wrong_with_the_environment_of_any_pack(site, at):
    pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    from planner.rl.gymnasium_env import SiteEnv

    past = PastMoments(ROOT / site)
    past.steps = 8
    env = SiteEnv(past.space, [Moment(past.space, past.at(at))])
    check_env(env, skip_render_check=True)
    env.reset(seed=3)
    ended = [env.step(env.action_space.sample())[3] for _ in range(8)]
    assert ended == [False] * 7 + [True]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(moment):
    pytest.importorskip("gymnasium")
    from planner.rl.gymnasium_env import SiteEnv

    def played(seed):
        env = SiteEnv(moment.space, [moment])
        first, _ = env.reset(seed=seed)
        rows = [env.step(np.full(4, 0.3, np.float32)) for _ in range(6)]
        return b"".join([first.tobytes(), *(r[0].tobytes() + str(r[1]).encode() for r in rows)])

    assert played(7) == played(7)
    assert played(7) != played(8)


def test_rewards_add_up_to_the_kpis_of_the_sandbox(moment):
    world = BatchWorld(moment.space)
    episodes = [scattered(e, np.random.default_rng(k)) for k, e in enumerate(sampled(moment, 3, 1))]
    world.reset(episodes)
    rewards, penalties = 0.0, 0.0
    for row in random_actions(world, world.steps):
        worth = world.step(row)
        rewards, penalties = rewards + worth.reward, penalties + worth.penalty
    site, snapshot, twin = moment.space.site, moment.snapshot, moment.space.twin
    starts = {s: np.array([e.x0[twin.state_names.index(n)] for e in episodes])
              for s, n in twin.layout.state_of.items()}  # fmt: skip
    table = kpi_table(site, world.traces(), snapshot.prices, site.step_s, starts, snapshot.as_of)
    price = comfort_price(float(np.mean(snapshot.prices.import_price)))
    owed = table["settled_cost"] + price * table["comfort"] + penalties
    np.testing.assert_allclose(-rewards, owed, rtol=1e-9, atol=1e-9)
    assert np.ptp(table["settled_cost"]) > 0.5  # three different days, not one three times


def test_a_plant_does_not_depend_on_those_played_beside_it(moment):
    one, other = sampled(moment, 2, 5)
    worlds = [BatchWorld(moment.space), BatchWorld(moment.space)]
    worlds[0].reset([one])
    worlds[1].reset([other, one])
    actions = random_actions(worlds[1], 10)
    for row in actions:
        worlds[0].step(row[1:])
        worlds[1].step(row)
    assert worlds[0].observe()[0].tobytes() == worlds[1].observe()[1].tobytes()


def test_actions_are_setpoints_that_the_gate_would_take(moment):
    world = BatchWorld(moment.space)
    world.reset([expected(moment)])
    space = world.actions
    found = space.setpoints(np.random.default_rng(0).uniform(-3, 3, (500, 4)), np.zeros((500, 4)))
    assert (found >= space.low).all()
    assert (found <= space.high).all()
    power = found[:, HEAT_PUMP]
    assert ((power == 0.0) | (power >= 4.0)).all()
    assert (power == 0.0).any()
    back = space.setpoints(space.actions(found), np.zeros((500, 4)))
    np.testing.assert_allclose(back, found, atol=0.0051)
    nan = space.setpoints(np.array([[np.inf, -np.inf, 0.0, 0.0]]), np.zeros((1, 4)))
    assert np.isfinite(nan).all()


def test_what_lies_ahead_is_in_the_observation_and_wraps_to_the_day_before(moment):
    space, snapshot = moment.space, moment.snapshot
    ahead, names = moment.ahead, space.ahead_names
    assert ahead.shape == (96, len(names))
    assert np.isfinite(ahead).all()
    price = np.array(snapshot.prices.import_price)
    np.testing.assert_allclose(ahead[:, names.index("import_price")], price)
    column = ahead[:, names.index("import_price 0-1h")]
    np.testing.assert_allclose(column[10], price[10:14].mean())
    np.testing.assert_allclose(column[94], np.mean([price[94], price[95], price[0], price[1]]))
    state = PlantState(np.zeros((2, 6)), np.zeros(2, bool), np.zeros(2), np.zeros((2, 1)),
                       np.zeros((2, 4)))  # fmt: skip
    assert space.plant(state).shape[1] + ahead.shape[1] == len(space.names)


def test_behind_the_filter_a_controller_that_never_heats_keeps_every_limit(moment):
    past = PastMoments(ROOT / "microgrid")
    day = Day(recorded(moment, past.disturbances(AT)), (moment,))
    own = play(moment.space, [day], LocalLaw())
    idle = Filtered(Learned("idle", constant_actor(len(moment.space.names), [0, -1, 0, 0])))
    cold = play(moment.space, [day], idle)
    assert own.comfort_kh < 0.5
    assert own.violations == 0
    # Nobody heats, and the filter still keeps every hard limit, by heating itself.
    assert cold.violations == 0
    assert idle.corrected_share > 0.05


@pytest.mark.slow
def test_a_small_training_runs_resumes_and_writes_a_policy(tmp_path):
    for name in ("torch", "onnx", "gymnasium", "stable_baselines3"):
        pytest.importorskip(name)
    from planner.rl.bank import EpisodeBank
    from planner.rl.policy_manifest import load_manifest
    from planner.rl.sb3_ppo import PpoSettings, improve
    from planner.rl.train import BANK_SEED, TrainOptions, begin, train, validation

    found = gather(ROOT / "microgrid", lambda _: None, most_days=2, hours=(0,), compared=1)
    ppo = PpoSettings(environments=2, batch=64, epochs=1)
    options = TrainOptions(minutes=None, steps=384, demonstration_futures=1, bank_futures=2,
                           validation_futures=1, epochs=2, ppo=ppo)  # fmt: skip
    said: list[str] = []
    _, start = begin(found.space, found.training, tmp_path, options, said.append)
    bank = EpisodeBank(found.training, 2, options.seed + BANK_SEED)
    improve(found.space, bank, validation(found.training, options), start, ppo, options.seed,
            tmp_path, until_s=None, until_steps=192, say=said.append)  # fmt: skip
    days = [replace(d, refreshed=d.refreshed[:1]) for d in found.days]
    trained = train(found.space, found.training, days, tmp_path, options, said.append)
    assert any("going on after 1 rounds" in line for line in said)
    assert trained.steps == 384
    assert [s.name for s in trained.scores] == [
        "rule-based baseline", "cloned start", "trained policy", "MPC"
    ]  # fmt: skip
    assert trained.scores[2].corrected_share is not None
    assert load_manifest(tmp_path / "policy.json") == trained.manifest
    assert trained.manifest.columns == found.space.names
    size = len(found.space.names)
    assert load_actor(tmp_path / "best.npz").act(np.zeros((1, size))).shape == (1, 4)
