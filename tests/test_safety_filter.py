"""The safety filter: what is safe passes untouched, what is not never reaches the plant.

The properties are tried on a plant of one line, where every set is known, and on the microgrid's
twin with hostile moves and disturbances inside their bounds.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.training_moments import PastMoments
from graph.errors import InputError
from planner.rl.demonstrations import plan_of
from planner.rl.episodes import Moment
from planner.rl.filtered import filter_of
from safety.filter.certify import SafetyFilter, Verdict
from sandbox.filter_model import TwinFilterModel
from sandbox.filter_trial import bounded_futures, hostile_moves, run_trial, viable_states
from sandbox.state_box import largest_box, limit_box
from sandbox.viable_set import resting
from tests.conftest import SOAK

ROOT = Path(__file__).parents[1] / "scenarios"
AT = datetime(2026, 1, 10, 8, 0, tzinfo=UTC)
W = 0.1  # the bound on the line's disturbance
INPUTS = 300 if SOAK == 1 else 10_000
STARTS = 15 if SOAK == 1 else 1000


@dataclass(frozen=True)
class Line:
    """x+ = x + u + w, |w| <= W, |x| <= 1 wanted; the backup law is u = -x / 2.

    Under it |x| <= 1/2 maps into |x| <= 0.35, so that box is an invariant terminal set, and from
    |x| <= 1 it is reached within three steps.
    """

    points = ("line.u",)
    low = np.array([-1.0])
    high = np.array([1.0])
    constraints = ("x at most 1", "x at least -1", "x back in the viable set")
    horizon = 4

    def admissible(self, state, moves):
        return np.clip(moves, -1.0, 1.0)

    def backup_move(self, state):
        return np.array([-state / 2.0])

    def excess(self, state, moves):
        worst = np.full((len(moves), 3), -np.inf)
        for w in (-W, W):
            x = np.full(len(moves), float(state))
            for k in range(self.horizon):
                given = moves[:, k, 0] if k < moves.shape[1] else np.full(len(moves), np.nan)
                x = x + np.where(np.isnan(given), -x / 2.0, given) + w
                worst[:, 0] = np.maximum(worst[:, 0], x - 1.0)
                worst[:, 1] = np.maximum(worst[:, 1], -1.0 - x)
            worst[:, 2] = np.maximum(worst[:, 2], np.abs(x) - 0.5)
        return worst


LINE = Line()
STATES = st.floats(-1.0, 1.0)
MOVES = st.floats(-1.0, 1.0)
ANYTHING = st.floats(allow_nan=True, allow_infinity=True)


@given(STATES, MOVES)
@settings(max_examples=200, deadline=None)
def test_a_move_that_is_safe_already_passes_as_it_is(x, u):
    safe = bool((LINE.excess(x, np.array([[[u]]])) <= 0.0).all())
    found = SafetyFilter(LINE).certify(x, np.array([u]))
    assert (found.verdict is Verdict.UNCHANGED) == safe
    if safe:
        assert found.move[0] == u
        assert found.correction == 0.0
    else:
        assert found.verdict in (Verdict.CORRECTED, Verdict.BACKUP)
        assert 0.0 < found.correction <= 1.0
        assert found.constraint in LINE.constraints
        assert found.excess > 0.0


@given(STATES, st.lists(st.tuples(ANYTHING, st.floats(-W, W)), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_whatever_is_proposed_the_plant_stays_inside_and_a_safe_move_is_always_found(x, steps):
    guarded = SafetyFilter(LINE)
    for u, w in steps:
        found = guarded.certify(x, np.array([u]))
        assert found.safe  # recursively feasible
        assert 0.0 <= found.correction <= 1.0
        assert np.isnan(found.move[0]) or -1.0 <= found.move[0] <= 1.0
        x = x + (LINE.backup_move(x)[0] if np.isnan(found.move[0]) else found.move[0]) + w
        assert abs(x) <= 1.0 + 1e-12


@given(st.floats(2.2, 50.0), MOVES)
@settings(max_examples=50, deadline=None)
def test_outside_the_viable_set_the_least_violation_is_chosen_and_named(x, u):
    found = SafetyFilter(LINE).certify(x, np.array([u]))
    backup = LINE.excess(x, np.empty((1, 0, 1))).max()
    assert found.verdict is Verdict.LEAST_VIOLATION
    assert found.constraint == "x at most 1"
    assert 0.0 < found.excess <= backup
    assert "viable set" in found.reason


def test_the_rest_of_the_last_safe_plan_goes_on_where_a_new_move_is_no_number():
    guarded = SafetyFilter(LINE)
    first = guarded.certify(0.2, np.array([[0.3], [-0.4], [0.1]]))
    assert first.verdict is Verdict.UNCHANGED
    second = guarded.certify(0.5, np.array([np.nan]))
    assert second.verdict is Verdict.LAST_PLAN
    assert second.move[0] == -0.4
    assert "not finite" in second.reason
    with pytest.raises(InputError, match="shape"):
        guarded.certify(0.0, np.zeros((2, 3)))


@pytest.fixture(scope="module")
def moment():
    past = PastMoments(ROOT / "microgrid")
    return Moment(past.space, past.at(AT))


@pytest.fixture(scope="module")
def model(moment) -> TwinFilterModel:
    return filter_of(moment.space.twin, moment).model


@pytest.fixture(scope="module")
def starts(model, moment):
    whole = limit_box(moment.space.twin)
    states, share = viable_states(model, whole.low, whole.high, STARTS, np.random.default_rng(1))
    assert 0.02 < share <= 1.0
    inside = (model.terminal.beyond(states) <= 0.0).all(axis=1)
    return states[inside]


def test_hostile_moves_never_break_a_hard_limit_in_the_twin(model, starts):
    futures = bounded_futures(model, 8, seed=2)
    moves = hostile_moves(model, np.random.default_rng(3))
    assert len(starts) >= STARTS // 20
    for i, x in enumerate(starts):
        trial = run_trial(model, x, futures.part(i % 8, i % 8 + 1), moves, 4)
        assert trial.broken == ()
        assert all(c.safe for c in trial.certified)


def test_whatever_is_said_gets_an_answer_that_the_plant_can_take(model, moment):
    box, generator = model.terminal, np.random.default_rng(4)
    moves, guarded = hostile_moves(model, generator), SafetyFilter(model)
    for _ in range(INPUTS):
        x = box.low + (box.high - box.low) * generator.random(len(box.low))
        found = guarded.certify(resting(model, x), next(moves))
        given_ = found.move[~np.isnan(found.move)]
        low, high = model.low[~np.isnan(found.move)], model.high[~np.isnan(found.move)]
        assert np.isfinite(given_).all()
        assert ((given_ >= low) & (given_ <= high)).all()
        assert 0.0 <= found.correction <= 1.0
        assert found.safe or found.constraint


def test_the_planners_own_moves_pass_as_they_are(model, moment):
    plan = plan_of(moment.space.site, moment.space.twin, moment.snapshot)
    move = np.array([plan.setpoints[p][0] for p in model.points])
    x = np.array(moment.snapshot.estimate.mean)
    found = SafetyFilter(model).certify(resting(model, x), move)
    assert found.verdict is Verdict.UNCHANGED
    np.testing.assert_array_equal(found.move, move)


def test_the_largest_box_holds_no_sampled_state_for_which_it_does_not_hold(moment):
    whole = limit_box(moment.space.twin)
    tank = whole.names.index("tank.temp")

    def warm(states):
        return states[:, tank] > 40.0

    box = largest_box(whole, warm, np.random.default_rng(0), 500)
    assert 39.5 < box.low[tank] < 41.0
    others = np.arange(len(whole.low)) != tank
    assert (box.low[others] == whole.low[others]).all()  # nothing else is to blame
    assert (box.high == whole.high).all()
