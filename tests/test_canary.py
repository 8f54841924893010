"""The canary runs an order and its rollback through the gate's own core, and what-if compares."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from graph.canonical import canonical_bytes
from graph.errors import InputError
from graph.plant import LeasedSetpoint
from graph.proposal import Guardrail, PointSchedule, Rollout, Stage, VoidGuard
from graph.signals import Owner, PointState, Reading
from graph.sitepack import load_site
from graph.snapshot import Forecast, History, PriceSeries, Snapshot, StateEstimate
from safety.gate.order import Order
from sandbox.canary import run_canary
from sandbox.energy_hub import HubTwin
from sandbox.parameters import initial_parameters
from sandbox.twin_plant import TwinPlant
from sandbox.what_if import what_if

SITE = load_site(Path("scenarios/microgrid")).site
TWIN = HubTwin(SITE, initial_parameters(SITE))
NOW = datetime(2026, 1, 20, 14, tzinfo=UTC)
STEPS = 48
POINTS = ("battery.power_set_kw", "hp.power_set_kw", "zone_north.setpoint_degc")


def snapshot(**changes: object) -> Snapshot:
    levels = {"outdoor.temp_degc": 6.0, "outdoor.ghi_w_m2": 100.0, "pv.power_kw": 4.0,
              "building.power_kw": 12.0}  # fmt: skip
    x = dict(zip(TWIN.state_names, (21.0, 21.0, 21.0, 21.0, 44.0, 50.0), strict=True))
    applied = {"battery.power_set_kw": -8.0, "hp.power_set_kw": 9.0,
               "zone_north.setpoint_degc": 21.0, "zone_south.setpoint_degc": 21.0}  # fmt: skip
    values = {
        **levels, **applied, "zone_north.temp_degc": 21.0, "zone_south.temp_degc": 21.0,
        "tank.temp_degc": 44.0, "battery.soc_pct": 50.0, "battery.power_kw": -8.0,
        "hp.power_kw": 9.0, "hp.heat_kw": 28.0, "grid.power_kw": 9.0,
    }  # fmt: skip
    fields: dict[str, object] = {
        "site_id": SITE.id, "site_digest": "s", "twin_digest": TWIN.digest, "as_of": NOW,
        "step_s": 900, "horizon_steps": STEPS,
        "readings": {s: Reading(value=v, time=NOW) for s, v in values.items()},
        "points": {p: PointState(applied=v, owner=Owner.LOCAL) for p, v in applied.items()},
        "prices": PriceSeries(import_price=(0.3,) * STEPS, export_price=(0.04,) * STEPS,
                              carbon_g_per_kwh=(300.0,) * STEPS),
        "forecasts": tuple(
            Forecast(signal=s, unit=SITE.signal(s).unit, method="flat", values=(v,) * STEPS,
                     error_paths=((0.0,) * 12, (0.5,) * 12))
            for s, v in levels.items()
        ),
        "estimate": StateEstimate(
            names=TWIN.state_names, mean=tuple(x.values()),
            covariance=tuple(tuple(r) for r in (0.01 * np.eye(6)).tolist()),
        ),
        "history": History(start=NOW, step_s=900, signals={}),
    }  # fmt: skip
    return Snapshot.model_validate(fields | changes)


RAILS = (
    Guardrail(name="limit:grid", kind="range", signal="grid.power_kw", maximum=60, for_s=300),
    Guardrail(name="follows:battery", kind="follow", signal="battery.power_kw",
              point="battery.power_set_kw", tolerance=3, for_s=180),
    Guardrail(name="follows:hp", kind="follow", signal="hp.power_kw", point="hp.power_set_kw",
              tolerance=1.5, for_s=1200),
    Guardrail(name="fresh:soc", kind="stale", signal="battery.soc_pct", for_s=300),
)  # fmt: skip


def order(rails: tuple[Guardrail, ...] = RAILS, **changes: object) -> Order:
    def schedule(point: str, unit: str, low: float, high: float, *values: float) -> PointSchedule:
        return PointSchedule(point=point, unit=unit, t=(0.0, 900.0, 1800.0)[: len(values)],
                             value=values, from_value=values[0], min=low, max=high,
                             ttl_s=1800)  # fmt: skip

    fields: dict[str, object] = {
        "proposal_digest": "draft:t", "seq": 1, "nonce": "n", "not_before": NOW,
        "expires": NOW + timedelta(hours=12),
        "schedule": (
            schedule("battery.power_set_kw", "kW", -30, 30, -8.0, 10.0, 12.0),
            schedule("hp.power_set_kw", "kW", 0, 12, 9.0, 9.0, 6.0),
            schedule("zone_north.setpoint_degc", "degC", 19, 24, 21.0, 21.5),
        ),
        "rollout": Rollout(
            stages=(
                Stage(name="canary", points=("battery.power_set_kw",), duration_s=1800),
                Stage(name="full", points=POINTS, duration_s=36_000),
            ),
            guardrails=rails,
        ),
    }  # fmt: skip
    return Order.model_validate(fields | changes)


def test_a_sound_order_passes_and_its_rollback_is_seen_to_work() -> None:
    result = run_canary(SITE, TWIN, snapshot(), order(), 3)
    assert result.passed, result.reasons
    assert result.points == ("battery.power_set_kw",)
    assert result.rollback_exercised
    assert result.rollback_restored
    assert 0 < result.rollback_seconds <= 120
    assert result.cycles > 30
    assert result.writes >= 3  # bumpless, then the change, then a renewal
    outcomes = {m.name: m.outcome for m in result.metrics}
    assert outcomes == dict.fromkeys(("limit:grid", "follows:battery", "fresh:soc"), "successful")


def test_the_same_trial_gives_the_same_bytes() -> None:
    first, again = (run_canary(SITE, TWIN, snapshot(), order(), 3) for _ in range(2))
    assert canonical_bytes(first) == canonical_bytes(again)
    later = snapshot(as_of=NOW + timedelta(minutes=5))
    assert run_canary(SITE, TWIN, later, order(), 3).rollback_digest == first.rollback_digest


def test_without_a_guardrail_to_break_the_order_is_aborted_instead() -> None:
    result = run_canary(SITE, TWIN, snapshot(), order(RAILS[1:2]), 3)
    assert result.rollback_exercised
    assert result.passed, result.reasons


def test_an_order_that_breaks_its_own_guardrail_fails_in_the_canary() -> None:
    tight = RAILS[0].model_copy(update={"maximum": 20.0, "name": "limit:tight"})
    result = run_canary(SITE, TWIN, snapshot(), order((tight,)), 3)
    assert not result.passed
    assert "guardrail:limit:tight" in result.reasons[0]
    assert result.rollback_restored


def test_a_battery_that_cannot_follow_fails_in_the_canary() -> None:
    full = snapshot()
    estimate = full.estimate.model_copy(update={"mean": (21.0, 21.0, 21.0, 21.0, 44.0, 94.9)})
    image = full.model_copy(update={"estimate": estimate})
    charge = order().schedule[0].model_copy(update={"t": (0.0, 120.0), "value": (-8.0, 20.0)})
    wanted = order(schedule=(charge, *order().schedule[1:]))
    result = run_canary(SITE, TWIN, image, wanted, 3)
    assert not result.passed
    assert "not_following:battery.power_set_kw" in result.reasons[0]
    assert result.rollback_restored


def test_what_the_gate_would_refuse_never_gets_past_the_canary() -> None:
    too_much = order().schedule[0].model_copy(update={"value": (-8.0, 50.0, 12.0), "max": 60.0})
    refused = run_canary(
        SITE, TWIN, snapshot(), order(schedule=(too_much, *order().schedule[1:])), 3
    )
    assert not refused.passed
    assert "out_of_range" in refused.reasons[0]
    guard = VoidGuard(signal="zone_north.temp_degc", minimum=22, maximum=24)
    void = run_canary(SITE, TWIN, snapshot(), order(void_if=(guard,)), 3)
    assert "void_guard" in void.reasons[0]
    held = snapshot().points | {
        "hp.power_set_kw": PointState(applied=9.0, owner=Owner.OPERATOR, by="Ada")
    }
    assert "operator_hold" in run_canary(SITE, TWIN, snapshot(points=held), order(), 3).reasons[0]


def test_the_twin_plant_keeps_the_plants_side_of_the_contract() -> None:
    plant = TwinPlant(TWIN, snapshot(), NOW, 1)
    epoch = plant.claim()
    command = LeasedSetpoint(point="battery.power_set_kw", value=5.0, ttl_s=120)
    assert plant.write(epoch, 1, [command])[0].accepted
    assert plant.write(epoch, 1, [command])[0].reason == "replayed_seq"
    assert plant.write(epoch - 1, 2, [command])[0].reason == "stale_epoch"
    plant.advance(60)
    assert plant.read().values["battery.power_kw"].value == pytest.approx(5.0)
    for _ in range(3):
        plant.advance(60)
    state = plant.read().points["battery.power_set_kw"]
    assert state.owner is Owner.LOCAL
    assert state.applied < 0  # the local law nets the load again
    assert plant.read().time == NOW + timedelta(minutes=4)


def test_what_if_changes_one_thing_on_the_same_futures() -> None:
    image = snapshot()
    as_is, warmer, _ = what_if(TWIN, image, {"outdoor_add_k": 5}, 20, 1)
    assert warmer.kpis["energy"].mean < as_is.kpis["energy"].mean
    again, dearer, _ = what_if(TWIN, image, {"price_factor": 2.0}, 20, 1)
    assert again == as_is
    assert dearer.kpis["cost"].mean > 1.5 * as_is.kpis["cost"].mean
    _, off, _ = what_if(
        TWIN, image, {"off": ["hp"], "set": {"zone_north.setpoint_degc": 24}}, 20, 1
    )
    north = next(t for t in off.traces if t.signal == "zone_north.temp_degc")
    power = next(t for t in off.traces if t.signal == "hp.power_kw")
    assert max(power.q95) == 0.0
    assert north.q50[2] > 21.5
    broken = next(v for v in off.violations if v.id == "site:tank.temp_degc:min")
    assert broken.probability > broken.baseline_probability


def test_what_if_names_what_it_does_not_know() -> None:
    for changes, text in (
        ({}, "none given"),
        ({"sunshine": 2}, "sunshine"),
        ({"set": {"boiler.on": 1}}, "boiler.on"),
        ({"set": {"zone_north.setpoint_degc": 60}}, "16 to 26"),
        ({"off": ["grid"]}, "grid"),
        ({"price_factor": "twice"}, "price_factor"),
    ):
        with pytest.raises(InputError) as caught:
            what_if(TWIN, snapshot(), changes, 3, 1)
        assert text in str(caught.value)
