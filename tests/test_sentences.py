"""Sentences that differ in what they want give plans that differ as they say, on one snapshot."""

from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import pytest

from agents.decision import LEAST_MARGINS, planning_intent
from agents.inprocess_dispatch import InProcessDispatcher
from agents.router import run_router
from graph.kpis import kpi_table
from planner.intent.compiler import compile_intent
from sandbox.futures import expected_future
from sandbox.scenario import roll_out

MORNING = "2026-01-13T09:00:00-08:00"
ROOMS = "keep the rooms between 20 and 24 °C"
SENTENCES = {
    "cost": f"minimise cost for the next 24 hours, {ROOMS}",
    "emissions": f"minimise emissions for the next 24 hours, {ROOMS}",
    "peak": f"keep the peak import as low as possible for the next 24 hours, {ROOMS}",
    "warm": "minimise cost for the next 24 hours, keep the rooms between 22 and 24 °C",
    "reserve": f"minimise cost for the next 24 hours, {ROOMS}, "
    "keep the battery above 60 % from 18:00 to 21:00",
    "keep off": f"minimise cost for the next 24 hours, {ROOMS}, "
    "keep the heat pump off from 05:00 to 08:00",
}


class Planned:
    """One plan, and what the twin expects of it over the whole horizon."""

    def __init__(self, world, snapshot, text):
        reading = compile_intent(text, world.site, snapshot.as_of)
        assert reading.intent is not None, reading.questions
        assert not reading.not_understood
        intent = planning_intent(world, snapshot, reading.intent)
        record = run_router(
            InProcessDispatcher(), world.site, world.twin, snapshot, intent, margin=LEAST_MARGINS
        )
        self.world, self.snapshot, self.plan = world, snapshot, record.plans[0]
        assert self.plan.status.usable, (text, self.plan.conflicts, self.plan.notes)

    @cached_property
    def traces(self):
        world, snapshot = self.world, self.snapshot
        future = expected_future(world.twin, snapshot)
        found = roll_out(world.twin, snapshot, future, self.plan.setpoints).traces
        return {name: values[0] for name, values in found.items()}

    @cached_property
    def kpis(self):
        snapshot = self.snapshot
        initial = {k: r.value for k, r in snapshot.readings.items() if r.value is not None}
        table = kpi_table(
            self.world.site, self.traces, snapshot.prices, snapshot.step_s, initial, snapshot.as_of
        )
        return {name: float(value) for name, value in table.items()}

    def during(self, signal, first, last):
        """Values of the steps that lie within these local hours."""
        zone, step = self.world.site.zone_info, timedelta(seconds=self.snapshot.step_s)
        begins = [self.snapshot.as_of + k * step for k in range(self.snapshot.horizon_steps)]
        hours = np.array([b.astimezone(zone).hour for b in begins])
        chosen = (hours >= first) & (hours < last)
        assert chosen.any()
        return self.traces[signal][chosen]


@pytest.fixture(scope="module")
def planned(quick_site):
    """Every sentence planned on the same snapshot of the plant, at nine in the morning."""
    from agents.decision import World
    from agents.snapshot_builder import build_snapshot
    from agents.telemetry_feed import TelemetryFeed
    from api.assemble import load_context
    from api.local_gate import DirectReader
    from api.references import emulated
    from safety.policy import declared_rules, with_core

    pack, context = load_context(quick_site)
    plant = emulated(pack, datetime.fromisoformat(MORNING), 1)
    feed = TelemetryFeed(pack.site, pack.telemetry())
    reader = DirectReader(plant)
    image = reader.read()
    feed.update(reader, image.time)
    snapshot = build_snapshot(context, image, feed, 96)
    policies = with_core(pack.policies)
    world = World(pack.site, context.twin, policies, declared_rules(policies))
    return {name: Planned(world, snapshot, text) for name, text in SENTENCES.items()}


def room_mean(plan):
    return np.mean([plan.traces["zone_north.temp_degc"], plan.traces["zone_south.temp_degc"]])


def test_all_sentences_were_planned_on_one_snapshot_and_no_two_plans_are_the_same(planned):
    assert len({p.snapshot.digest for p in planned.values()}) == 1
    commands = [sorted(p.plan.setpoints.items()) for p in planned.values()]
    assert all(a != b for k, a in enumerate(commands) for b in commands[:k])


def test_money_and_emissions_each_win_where_they_are_asked_for(planned):
    cost, emissions = planned["cost"].kpis, planned["emissions"].kpis
    assert emissions["carbon"] < 0.97 * cost["carbon"]
    assert cost["settled_cost"] < emissions["settled_cost"] - 0.5


def test_the_peak_sentence_lowers_the_peak_and_pays_for_it(planned):
    cost, peak = planned["cost"].kpis, planned["peak"].kpis
    assert peak["peak"] < cost["peak"] - 5.0
    assert cost["settled_cost"] < peak["settled_cost"] - 0.5


def test_a_warmer_band_gives_warmer_rooms_at_a_price(planned):
    cost, warm = planned["cost"], planned["warm"]
    assert room_mean(warm) > room_mean(cost) + 1.0
    for zone in ("zone_north", "zone_south"):
        late = warm.traces[f"{zone}.temp_degc"][16:]  # after the rise from what it was
        assert late.min() > 21.7
    assert warm.kpis["settled_cost"] > cost.kpis["settled_cost"] + 0.5


def test_a_reserve_keeps_the_battery_charged_when_it_is_wanted(planned):
    reserved = planned["reserve"].during("battery.soc_pct", 18, 21)
    assert reserved.min() >= 59.5
    assert planned["cost"].during("battery.soc_pct", 18, 21).min() < 50.0
    assert planned["reserve"].kpis["cost"] > planned["cost"].kpis["cost"]


def test_a_machine_kept_off_is_off_and_runs_at_another_time(planned):
    off = planned["keep off"]
    assert off.during("hp.power_kw", 5, 8).max() == 0.0
    assert planned["cost"].during("hp.power_kw", 5, 8).max() > 3.0
    assert off.traces["hp.power_kw"].sum() > 0.5 * planned["cost"].traces["hp.power_kw"].sum()
