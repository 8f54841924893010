"""Every kind of wish: planned, judged by the same mask, and given up by name where it cannot be."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from graph.intent import (
    Band,
    Condition,
    Intent,
    MinimumTime,
    Objective,
    RateLimit,
    TotalLimit,
    Window,
)
from graph.plan import Plan, SolveStatus
from planner.dispatch import plan_dispatch
from planner.dispatch_options import SolveOptions
from sandbox.budgets import budgets
from sandbox.checks import intent_checks
from sandbox.pace import shortest_stay
from sandbox.windows import constraint_mask
from tests.test_dispatch import BATTERY, HP, MIDNIGHT, ROOMS, Day, site, twin

END = MIDNIGHT + timedelta(hours=24)
DEAR = Condition(source="import_price", op="above", value=0.40, unit="USD/kWh")
CHEAP = DEAR.model_copy(update={"op": "at_most"})
OPTIONS = SolveOptions(explain=False)


def wish(*constraints: Any, aims: tuple[str, ...] = ("cost",)) -> Intent:
    objectives = tuple(Objective(quantity=a) for a in aims)  # type: ignore[arg-type]
    return Intent(text="", objectives=objectives, constraints=constraints, start=MIDNIGHT, end=END)


def planned(intent: Intent, day: Day | None = None) -> Plan:
    return plan_dispatch(site(), twin(), (day or Day()).snapshot(), intent, options=OPTIONS)


def excess(intent: Intent, plan: Plan) -> float:
    """The worst excess over its tolerance of the intent's checks on what the plan predicts."""
    traces = {s: np.array(v)[None] for s, v in {**plan.predicted, **plan.setpoints}.items()}
    checks = intent_checks(site(), Day().snapshot(), intent, frozenset(traces))
    assert checks
    return max(float(c.excess(traces)[0]) - c.tolerance for c in checks)


KINDS = {
    "a rate of the tank": RateLimit(signals=("tank.temp_degc",), maximum=3, unit="degC",
                                    direction="up"),
    "a rate of the battery": RateLimit(signals=("battery.power_kw",), maximum=20.0, unit="kW"),
    "a least running time": MinimumTime(points=(HP,), state="on", minimum_s=3 * 3600),
    "a least standing time": MinimumTime(points=(HP,), state="off", minimum_s=9 * 3600),
    "a least holding time": MinimumTime(points=(BATTERY,), state="same", minimum_s=3 * 3600),
    "the energy of one asset": TotalLimit(quantity="energy", maximum=20, unit="kWh",
                                          signal="hp.power_kw"),
    "a budget a day": TotalLimit(quantity="energy", maximum=108, unit="kWh", daily=True),
    "a band while power is cheap": Band(
        signals=("grid.power_kw",), maximum=12, unit="kW", hard=True, chance=None,
        window=Window(condition=CHEAP)),
    "a band except in some hours": Band(
        signals=("battery.soc_pct",), minimum=60, unit="percent", hard=True, chance=None,
        window=Window(start=MIDNIGHT + timedelta(hours=3),
                      exceptions=(Window(daily_from="16:00", daily_to="23:45"),))),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_each_kind_is_kept_by_the_plan_and_broken_by_the_plan_without_it(kind: str) -> None:
    intent = wish(KINDS[kind])
    assert excess(intent, planned(wish())) > 0
    plan = planned(intent)
    assert plan.status.usable, plan.notes
    assert excess(intent, plan) <= 1e-6


def test_a_condition_holds_where_the_forecast_says_so_and_nowhere_beyond_it() -> None:
    snapshot = Day().snapshot()
    mask = constraint_mask(Window(condition=DEAR), site(), snapshot)
    assert (mask == (np.array(snapshot.prices.import_price) > 0.40)).all()
    assert mask.any()
    assert not mask.all()
    cold = Condition(source="outdoor.temp_degc", op="below", value=46, unit="degF")
    below = np.array(snapshot.forecast("outdoor.temp_degc").values) < 70 / 9
    assert (constraint_mask(Window(condition=cold), site(), snapshot) == below).all()
    without = Window(exceptions=(Window(condition=DEAR),))
    assert (constraint_mask(without, site(), snapshot) == ~mask).all()


def test_a_condition_on_what_the_plan_decides_is_bad_input_by_name() -> None:
    own = Condition(source="battery.soc_pct", op="below", value=30, unit="%")
    band = Band(signals=ROOMS, minimum=18, unit="degC", window=Window(condition=own))
    plan = planned(wish(band))
    assert plan.status is SolveStatus.BAD_INPUT
    assert "battery.soc_pct" in plan.notes[0]


def test_drifting_while_power_is_dear_is_cheaper_than_holding_the_band() -> None:
    def held(low: float, window: Window) -> Band:
        return Band(signals=ROOMS, minimum=low, maximum=24, unit="degC", window=window)

    firm = planned(wish(held(20.5, Window())), Day(cold=6))
    drifting = planned(
        wish(held(20.5, Window(exceptions=(Window(condition=DEAR),))),
             held(18.0, Window(condition=DEAR))),
        Day(cold=6),
    )  # fmt: skip
    cost = [p.objective_terms["energy_cost"] for p in (firm, drifting)]
    assert cost[1] < cost[0] - 0.1
    assert min(drifting.predicted[ROOMS[0]]) < 20.3


def test_a_budget_gives_a_horizon_its_share_of_a_longer_window() -> None:
    item = TotalLimit(quantity="energy", maximum=300, unit="kWh")
    longer = wish(item).model_copy(update={"end": MIDNIGHT + timedelta(hours=72)})
    (one,) = budgets(item, longer, site(), Day().snapshot())
    assert one.maximum == pytest.approx(100)
    (whole,) = budgets(item, wish(item), site(), Day().snapshot())
    assert whole.maximum == 300
    daily = item.model_copy(update={"daily": True})
    late = Day(hour=18).snapshot()
    until = wish(daily).model_copy(
        update={"start": late.as_of, "end": late.as_of + (END - MIDNIGHT)}
    )
    first, second = budgets(daily, until, site(), late)
    assert first.maximum == pytest.approx(75)
    assert second.maximum == pytest.approx(225)
    assert not (first.mask & second.mask).any()


def test_reliability_keeps_the_battery_fuller_than_cost_does() -> None:
    charge = [
        float(np.mean(planned(wish(aims=aims)).predicted["battery.soc_pct"]))
        for aims in (("cost",), ("reliability",))
    ]
    assert charge[1] > charge[0] + 20
    assert charge[1] > 85


@pytest.mark.parametrize("quantity", ["throughput", "penalty"])
def test_what_no_model_counts_is_bad_input_by_name(quantity: str) -> None:
    plan = planned(wish(aims=(quantity,)))
    assert plan.status is SolveStatus.BAD_INPUT
    assert quantity in plan.notes[0]


def test_the_shortest_stay_counts_what_went_before_and_not_what_goes_on() -> None:
    trace = np.array([[5.0, 5, 0, 0, 0, 5, 0, 5, 5]])
    every = np.ones(9, dtype=bool)
    assert shortest_stay(trace, "on", 1, 60, every, True, 600)[0] == 60
    assert shortest_stay(trace, "off", 1, 60, every, True, 600)[0] == 60
    assert shortest_stay(trace[:, :5], "on", 1, 60, every, True, 600)[0] == 720
    assert shortest_stay(trace[:, :5], "off", 1, 60, every, True, 600)[0] == np.inf
    assert shortest_stay(trace[:, :5], "same", 0, 60, every, True, 0)[0] == 120


def test_a_document_from_before_these_kinds_still_loads() -> None:
    old = {
        "text": "x", "actor": "operator", "start": "2026-01-20T08:00:00Z",
        "end": "2026-01-21T08:00:00Z", "priority": [], "lexicographic": False,
        "objectives": [{"quantity": "cost", "weight": 1.0, "text": ""}],
        "constraints": [{"kind": "total", "quantity": "energy", "maximum": 9.0, "unit": "kWh",
                         "hard": True, "text": "",
                         "window": {"start": None, "end": None, "daily_from": None,
                                    "daily_to": None, "days": []}}],
    }  # fmt: skip
    intent = Intent.model_validate(old)
    assert intent.constraints[0].window == Window()
    assert intent == Intent.model_validate(intent.model_dump(mode="json"))
