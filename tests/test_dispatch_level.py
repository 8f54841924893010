"""Of plans that cost the same, the one with the most even battery power."""

from typing import Any

import numpy as np
import pytest

from api.peers.dispatch_case import microgrid_case
from api.peers.own_dispatch import make
from graph.intent import Band
from planner.dispatch_options import LEVELS, SolveOptions
from tests.test_dispatch import BATTERY, Day, planned, wish

DAY = 96


def stated(monkeypatch: pytest.MonkeyPatch, level: bool, question: dict[str, Any]) -> np.ndarray:
    monkeypatch.setenv("PILOTHOUSE_LEVEL", "yes" if level else "")
    ask, _ = make(microgrid_case(DAY).statement())
    answer = ask(question)
    assert answer["ok"], answer
    return np.array(answer["power_kw"])


def money(question: dict[str, Any], power: np.ndarray) -> float:
    case = microgrid_case(DAY)
    b, h = case.battery, case.hours
    gained = h * (b.eta_charge * np.maximum(power, 0) - np.maximum(-power, 0) / b.eta_discharge)
    grid = np.array(question["load_kw"]) - np.array(question["pv_kw"]) + power
    bill = np.maximum(grid, 0) @ question["import_price"]
    bill -= np.maximum(-grid, 0) @ question["export_price"]
    return float(h * bill - case.worth_per_kwh * gained.sum())


def above(power: np.ndarray) -> float:
    return float(sum(np.maximum(np.abs(power) / 30.0 - level, 0.0).sum() for level in LEVELS))


def test_an_even_plan_costs_the_same_and_works_less_above_each_level(monkeypatch):
    gains = []
    for k in (0, 24, 60):
        question = microgrid_case(DAY).question(k, 30.0, "persistence")
        usual, even = (stated(monkeypatch, level, question) for level in (False, True))
        assert money(question, even) == pytest.approx(money(question, usual), abs=5e-3)
        assert above(even) <= above(usual) + 1e-6
        gains.append(above(usual) - above(even))
    assert max(gains) > 1.0  # an hour at full power is worth 8.5


def test_evenness_gives_way_to_every_wish_and_keeps_the_heat_pump_s_pattern():
    snapshot = Day(cold=3, soc=30).snapshot()
    full = Band(signals=("battery.soc_pct",), minimum=60, unit="%", hard=True)
    intent = wish(snapshot, full.model_copy(update={"minimum": 25.0}), hard=True)
    usual = planned(snapshot, intent)
    even = planned(snapshot, intent, options=SolveOptions(level=True))
    assert even.status is usual.status
    assert even.setpoints["hp.power_set_kw"] == pytest.approx(
        usual.setpoints["hp.power_set_kw"], abs=0.02
    )
    assert min(even.predicted["battery.soc_pct"]) >= 25.0 - 1e-4
    assert even.objective == usual.objective
    assert (
        above(np.array(even.setpoints[BATTERY])) <= above(np.array(usual.setpoints[BATTERY])) + 1e-3
    )
    assert even.active == usual.active
