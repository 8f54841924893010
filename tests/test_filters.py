"""Filters: exact where theory is exact, honest where the model bends, indifferent to lateness."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import InputError
from sandbox.filters import Belief, predict, sigma_points, update
from sandbox.running_filter import PATIENCE, Noise, RunningFilter

T0 = datetime(2026, 1, 20, tzinfo=UTC)
A = np.array([[0.9, 0.1, 0.0], [0.05, 0.8, 0.1], [0.0, 0.02, 0.97]])
Q = np.diag([0.02, 0.01, 0.005])


def linear(x: np.ndarray) -> np.ndarray:
    return x @ A.T + np.array([0.1, -0.2, 0.3])


@pytest.mark.parametrize("method", ["ekf", "ukf"])
def test_on_a_linear_model_both_filters_are_the_kalman_filter(method) -> None:
    belief = Belief(np.array([1.0, 2.0, 3.0]), np.diag([0.5, 0.1, 0.3]) + 0.02)
    x, P = belief.x, belief.P
    generator = np.random.default_rng(4)
    for _ in range(30):
        belief = predict(belief, linear, Q, method)
        x, P = A @ x + [0.1, -0.2, 0.3], A @ P @ A.T + Q
        for index in (0, 2):
            value, R = float(generator.normal()), 0.04
            H = np.eye(3)[index : index + 1]
            gain = P @ H.T / (H @ P @ H.T + R)
            x, P = x + (gain * (value - x[index]))[:, 0], P - gain @ H @ P
            belief = update(belief, index, value, R)
        np.testing.assert_allclose(belief.x, x, atol=1e-9)
        np.testing.assert_allclose(belief.P, P, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 6),
    alpha=st.sampled_from([1e-3, 0.3, 1.0]),
    kappa=st.sampled_from([0.0, 1.0, 2.5]),
)
def test_sigma_points_carry_mean_and_covariance(seed, size, alpha, kappa) -> None:
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(size, size))
    belief = Belief(generator.normal(size=size), root @ root.T)
    points, mean, spread = sigma_points(belief, alpha, 2.0, kappa)
    scale = np.abs(mean).max()
    np.testing.assert_allclose(mean.sum(), 1.0, atol=1e-12 * scale)
    np.testing.assert_allclose(mean @ points, belief.x, atol=1e-10 * scale)
    apart = points - belief.x
    np.testing.assert_allclose((spread[:, None] * apart).T @ apart, belief.P, atol=1e-8)


def test_the_unscented_transform_is_exact_for_a_square_where_the_jacobian_sees_nothing() -> None:
    # x ~ N(m, s^2): E x^2 = m^2 + s^2 and var x^2 = 2 s^4 + 4 m^2 s^2.
    m, s = 0.3, 0.8
    belief = Belief(np.array([m]), np.array([[s * s]]))
    none = np.zeros((1, 1))
    found = predict(belief, np.square, none, "ukf")
    np.testing.assert_allclose(found.x, [m * m + s * s], rtol=1e-12)
    np.testing.assert_allclose(found.P, [[2 * s**4 + 4 * m * m * s * s]], rtol=1e-12)
    blind = predict(Belief(np.zeros(1), np.array([[1.0]])), np.square, none, "ekf")
    assert abs(blind.x[0]) < 1e-12
    assert blind.P[0, 0] < 1e-12


def test_the_unscented_prediction_agrees_with_an_independent_library() -> None:
    kalman = pytest.importorskip("filterpy.kalman")
    from sandbox.filters import ALPHA, BETA, KAPPA

    def bend(x: np.ndarray) -> np.ndarray:
        x = np.atleast_2d(x)
        return np.stack([np.sin(x[:, 0]) * x[:, 1], np.exp(0.3 * x[:, 0]), x[:, 2] ** 2], axis=1)

    belief = Belief(np.array([0.4, 1.5, -0.7]), np.diag([0.2, 0.1, 0.3]) + 0.05)
    points = kalman.MerweScaledSigmaPoints(3, ALPHA, BETA, KAPPA)
    other = kalman.UnscentedKalmanFilter(
        3, 1, 1.0, lambda x: x[:1], lambda x, dt: bend(x)[0], points
    )
    other.x, other.P, other.Q, other.R = belief.x.copy(), belief.P.copy(), Q, np.eye(1) * 0.04
    ours = predict(belief, bend, Q, "ukf")
    other.predict()
    np.testing.assert_allclose(ours.x, other.x, atol=1e-12)
    np.testing.assert_allclose(ours.P, other.P, atol=1e-12)


def reactor(hours: float, substeps: int) -> Callable[[np.ndarray], np.ndarray]:
    """The published stirred tank of `scenarios.process_models.cstr`, as a batch."""
    from scenarios.process_models.cstr import GAS_CONSTANT, Cstr

    made, jacket = Cstr(), 298.0

    def slope(x: np.ndarray) -> np.ndarray:
        c, t = x[:, 0], x[:, 1]
        rate = made.k0_per_h * np.exp(-made.activation / (GAS_CONSTANT * t)) * c
        warm = made.flow_per_h * (made.feed_k - t) + made.heat / made.rho_cp * rate
        return np.stack([made.flow_per_h * (made.feed_kmol_m3 - c) - rate,
                         warm - made.ua / made.rho_cp * (t - jacket)], axis=1)  # fmt: skip

    def step(x: np.ndarray) -> np.ndarray:
        h = hours / substeps
        for _ in range(substeps):
            k1 = slope(x)
            k2 = slope(x + h / 2 * k1)
            k3 = slope(x + h / 2 * k2)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + h * k3))
        return x

    return step


def test_with_a_reaction_between_rare_samples_the_unscented_filter_is_the_better_one() -> None:
    """Concentration is hidden; temperature is sampled each half hour with 0.3 K of noise."""
    step, noise, R = reactor(0.5, 15), np.diag([0.01**2, 0.1**2]), 0.3**2
    first, std = np.array([5.0, 345.0]), np.array([1.5, 4.0])
    runs, steps = 30, 20
    errors = {"ekf": [], "ukf": []}
    normal = {"ekf": [], "ukf": []}
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        truth = (first + std * generator.normal(size=2))[None]
        beliefs = dict.fromkeys(errors, Belief(first, np.diag(std**2)))
        for _ in range(steps):
            truth = step(truth) + generator.normal(size=(1, 2)) * np.sqrt(np.diag(noise))
            seen = float(truth[0, 1] + generator.normal() * R**0.5)
            for method, belief in beliefs.items():
                belief = update(predict(belief, step, noise, method), 1, seen, R)
                off = truth[0] - belief.x
                errors[method].append(off[0])
                normal[method].append(off @ np.linalg.solve(belief.P, off))
                beliefs[method] = belief
    rms = {m: float(np.sqrt(np.mean(np.square(e)))) for m, e in errors.items()}
    assert rms["ukf"] < 0.95 * rms["ekf"], rms
    assert rms["ekf"] < 0.3  # of 1.5 kmol/m3 at the start
    # Both know how wrong they are: the mean of e' P^-1 e is the number of states, 2.
    assert abs(np.mean(normal["ukf"]) - 2.0) < 0.25
    assert abs(np.mean(normal["ukf"]) - 2.0) < abs(np.mean(normal["ekf"]) - 2.0)


# Along the plant's time ------------------------------------------------------------------------

SHOWS = {"a.temp_degc": 0, "c.temp_degc": 2}
NOISE = Noise(Q, dict.fromkeys(SHOWS, 0.04), 900.0)


def running(lag_s: float = 6 * 3600.0) -> RunningFilter:
    def model(begin, step_s, inputs):
        return lambda x: linear(x) + inputs["heat"]

    return RunningFilter(model, Belief(np.zeros(3), np.eye(3)), NOISE, SHOWS, "ekf", lag_s)


def samples(steps: int, seed: int = 1) -> list[dict[str, float]]:
    generator = np.random.default_rng(seed)
    return [{s: float(generator.normal()) for s in SHOWS} for _ in range(steps)]


def begin(k: int) -> datetime:
    return T0 + timedelta(minutes=15 * k)


def taken(
    run: RunningFilter, rows: list[dict[str, float]], first: int = 0
) -> list[dict[str, float]]:
    return [
        dict(run.take(begin(first + k), 900.0, {"heat": 0.01 * (first + k)}, row))
        for k, row in enumerate(rows)
    ]


@settings(max_examples=40, deadline=None)
@given(
    late=st.lists(
        st.tuples(st.integers(0, 19), st.sampled_from(sorted(SHOWS))), max_size=8, unique=True
    ),
    order=st.randoms(use_true_random=False),
)
def test_samples_that_come_late_in_any_order_end_in_the_same_bytes(late, order) -> None:
    rows = samples(20)
    punctual = running()
    taken(punctual, rows)
    run = running()
    taken(run, [{s: v for s, v in row.items() if (k, s) not in late} for k, row in enumerate(rows)])
    order.shuffle(late)
    for k, signal in late:
        run.late(signal, begin(k + 1), rows[k][signal])
    assert run.belief.x.tobytes() == punctual.belief.x.tobytes()
    assert run.belief.P.tobytes() == punctual.belief.P.tobytes()


def test_a_sample_beyond_the_lag_or_the_present_is_refused_by_name() -> None:
    run = running(lag_s=3600.0)
    taken(run, samples(20))
    run.late("a.temp_degc", begin(18), 3.0)
    for time in (begin(10), begin(22)):
        with pytest.raises(InputError, match="outside what can be filtered again"):
            run.late("a.temp_degc", time, 3.0)
    with pytest.raises(InputError, match="does not use b"):
        run.late("b.temp_degc", begin(18), 3.0)


def test_a_sample_that_is_there_already_is_not_replaced_by_a_late_one() -> None:
    run, other = running(), running()
    rows = samples(6)
    taken(run, rows)
    taken(other, rows)
    run.late("a.temp_degc", begin(3), 9.0)
    assert run.belief.x.tobytes() == other.belief.x.tobytes()


def test_a_bad_sample_changes_nothing_and_a_lasting_one_is_believed_at_last() -> None:
    run, other = running(), running()
    rows = [dict.fromkeys(SHOWS, 0.2) for _ in range(30)]
    taken(run, rows)
    taken(other, rows)
    glitch = {"a.temp_degc": 50.0, "c.temp_degc": 0.2}
    (seen,) = taken(run, [glitch], 30)
    taken(other, [{"c.temp_degc": 0.2}], 30)
    assert seen["a.temp_degc"] > 45.0  # the evidence is kept
    assert run.belief.x.tobytes() == other.belief.x.tobytes()
    taken(run, [glitch] * PATIENCE, 31)
    assert abs(run.belief.x[0] - 50.0) < 5.0


def test_missing_samples_only_widen_the_doubt() -> None:
    run = running()
    taken(run, samples(10))
    before = np.diag(run.belief.P)
    taken(run, [{"a.temp_degc": float("nan")}] * 5, 10)
    assert (np.diag(run.belief.P) > before).all()
