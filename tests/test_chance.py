"""Margins from the futures' own spread keep the stated chance, in closed loop, and no more."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from graph.errors import InputError
from graph.intent import Band
from graph.plan import Plan
from graph.snapshot import Snapshot
from planner.chance import chance_margins, joint_margin
from planner.dispatch import plan_dispatch
from planner.margins import Margins
from sandbox.energy_hub import HubTwin
from sandbox.futures import sample_futures
from sandbox.scenario import roll_out
from tests.test_dispatch import ROOMS, Day, Reading, site, twin, wish

STEPS, HOUR = 24, 4
SCALES = (0.0, 0.5, 1.0, 2.0)
SPREADS = {"outdoor.temp_degc": 1.5, "outdoor.ghi_w_m2": 40.0, "building.power_kw": 2.0}
ESTIMATE = np.array([0.05, 0.15, 0.05, 0.15, 0.3, 1.0])  # standard errors of the six states
START = (20.4, 20.6, 20.4, 20.6, 44.0, 50.0)


def uncertain(hour: int, mean: Any = START, scale: float = 1.0, hp_kw: float = 0.0) -> Snapshot:
    """A winter day at one price, with forecasts and a state that are unsure by `scale`."""
    snapshot = Day(cold=2, bright=0.3, hour=hour, steps=STEPS).snapshot()
    draw = np.random.default_rng(5)
    walks = {n: draw.standard_normal((40, 6)).cumsum(axis=1) for n in sorted(SPREADS)}
    forecasts = tuple(
        f.model_copy(update={"error_paths": tuple(map(tuple, scale * SPREADS.get(f.signal, 0.0)
                             * walks.get(f.signal, np.zeros((40, 6))) / np.sqrt(6)))})
        for f in snapshot.forecasts
    )  # fmt: skip
    covariance = np.diag((scale * ESTIMATE) ** 2)
    flat = snapshot.prices.model_copy(update={"import_price": (0.3,) * STEPS})
    estimate = snapshot.estimate.model_copy(
        update={"mean": tuple(map(float, mean)), "covariance": tuple(map(tuple, covariance))}
    )
    readings = {"hp.power_kw": Reading(value=hp_kw, time=snapshot.as_of)}
    return snapshot.model_copy(
        update={"forecasts": forecasts, "estimate": estimate, "prices": flat, "readings": readings}
    )


def planned(snapshot: Snapshot, margins: Margins | None = None) -> Plan:
    return plan_dispatch(site(), twin(), snapshot, wish(snapshot, starts=24), margin=margins)


def margins_for(
    snapshot: Snapshot, seed: int = 1, count: int = 100, model: HubTwin | None = None
) -> Margins:
    plan = planned(snapshot)
    assert plan.status.usable, plan.notes
    return chance_margins(
        model or twin(), snapshot, wish(snapshot), plan, Margins(), futures=count, seed=seed,
        reach_steps=HOUR,
    )  # fmt: skip


def of(margins: Margins, signal: str) -> Any:
    return next(p for p in margins.profiles if p.signal == signal)


def test_in_closed_loop_each_room_keeps_its_band_with_the_stated_chance_and_not_without_margins():
    """Planned anew each hour from a noisy estimate, on futures that nobody saw."""
    hours, broken = 30, {True: np.zeros(2), False: np.zeros(2)}
    for tight in (True, False):
        noise = np.random.default_rng(3)
        truth, hp_kw = np.array(START), 0.0
        for hour in range(hours):
            snapshot = uncertain(hour, truth + ESTIMATE * noise.standard_normal(6), 1.0, hp_kw)
            plan = planned(snapshot, margins_for(snapshot, hour, 50) if tight else None)
            assert plan.status.usable, plan.notes
            future = sample_futures(twin(), snapshot, 1, 10_000 + hour)
            done = roll_out(twin(), snapshot, future, plan.setpoints)
            shown = np.array([done.traces[room][0, :HOUR] for room in ROOMS])
            broken[tight] += shown.min(axis=1) < 20.0
            truth = np.array([done.states[n][0, HOUR - 1] for n in twin().state_names])
            hp_kw = float(done.traces["hp.power_kw"][0, HOUR - 1])
    most = stats.binom.ppf(0.99, hours, 0.05)
    assert np.all(broken[True] <= most), broken
    assert np.all(broken[False] > most), broken


def test_a_plan_with_its_margins_breaks_a_band_in_as_many_unseen_futures_as_stated():
    snapshot = uncertain(0, (20.2, 20.4, 20.2, 20.4, 44.0, 50.0))
    margins = margins_for(snapshot, count=200)
    plan = planned(snapshot, margins)
    seen = sample_futures(twin(), snapshot, 500, 99)
    done = roll_out(twin(), snapshot, seen, plan.setpoints)
    for room in ROOMS:
        share = float((done.traces[room][:, :HOUR] < 20.0).any(axis=1).mean())
        assert share <= stats.binom.ppf(0.999, 500, 0.05) / 500, (room, share)


def test_more_uncertainty_asks_for_wider_margins_and_none_for_none():
    known = twin().parameters
    none = tuple((0.0,) * len(known.names) for _ in known.names)
    sure = HubTwin(site(), known.model_copy(update={"covariance": none}))
    wide = [of(margins_for(uncertain(0, scale=s), model=sure), ROOMS[0]) for s in SCALES]
    lows = [max(p.low) for p in wide]
    assert lows[0] == 0.0
    assert max(wide[0].high) == 0.0
    assert 0.02 < lows[1] < lows[2] < lows[3]


def test_the_plan_shows_its_margins_by_hour_and_pays_for_them():
    snapshot = uncertain(0)
    margins = margins_for(snapshot)
    free, tight = planned(snapshot), planned(snapshot, margins)
    assert free.margins == {}
    shown = tight.margins[f"intent:0:{ROOMS[0]}:min"]
    asked = of(margins, ROOMS[0]).low
    assert len(shown) == STEPS // HOUR
    assert shown[0] == pytest.approx(max(asked[:HOUR]))
    assert shown[1:] == pytest.approx([max(asked)] * (len(shown) - 1))
    assert tight.objective > free.objective
    late = np.array(tight.predicted[ROOMS[0]][HOUR:])
    assert late.min() >= 20.0 + max(asked) - 1e-6


def test_a_hard_wish_is_kept_with_a_greater_chance_than_a_soft_one():
    snapshot = uncertain(0)
    plan = planned(snapshot)
    low = []
    for chance in (0.8, 0.95, None):
        band = Band(signals=ROOMS, minimum=20, unit="degC", hard=chance is None, chance=chance)
        intent = wish(snapshot).model_copy(update={"constraints": (band,)})
        found = chance_margins(twin(), snapshot, intent, plan, Margins(), futures=200, seed=4,
                               reach_steps=HOUR)  # fmt: skip
        low.append(max(of(found, ROOMS[0]).low))
    assert low[0] < low[1] < low[2]


def test_the_margin_holds_at_every_step_at_once_for_the_next_future():
    """Of many samples of 99 futures, the next one stays below all along with the stated chance."""
    generator = np.random.default_rng(0)
    kept = 0
    for _ in range(400):
        walks = generator.standard_normal((100, 8)).cumsum(axis=1)
        kept += bool(np.all(walks[99] <= joint_margin(walks[:99], 0.9)))
    assert abs(kept / 400 - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 400)


def test_too_few_futures_for_a_chance_are_refused():
    with pytest.raises(InputError, match="10 futures cannot show a chance"):
        joint_margin(np.zeros((10, 4)), 0.95)
