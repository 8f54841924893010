"""Diagnostics on the emulated plant: faults are named, health is left alone, bad inputs shed."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.diagnostics import diagnose
from agents.diagnostics_quality import quality_findings
from agents.diagnostics_residuals import cusum
from graph.plant import LeasedSetpoint, Readings
from graph.record import iso
from graph.signals import Quality, Reading
from graph.sitepack import load_site
from graph.snapshot import History, PriceSeries, Snapshot
from graph.telemetry import Frame
from sandbox.energy_hub import HubTwin
from sandbox.estimation import estimate
from sandbox.parameters import load_parameters
from scenarios.emulated_microgrid.plant import EmulatedPlant

FOLDER = Path(__file__).resolve().parent.parent / "scenarios" / "microgrid"
PACK = load_site(FOLDER)
SITE = PACK.site
TWIN = HubTwin(SITE, load_parameters(FOLDER / "twin.json"))
START = datetime(2026, 1, 18, 8, tzinfo=UTC)
BATTERY = "battery.power_set_kw"


@cache
def healthy_plant() -> EmulatedPlant:
    plant = EmulatedPlant(SITE, FOLDER / "data", START, 3, watchdog_s=float("inf"))
    plant.advance(24 * 3600)
    return plant


def snapshot_of(frame: Frame, image: Readings | None = None) -> Snapshot:
    tail = frame.tail(96)
    signals = {
        n: tuple(None if np.isnan(v) else float(v) for v in tail.column(n)) for n in tail.names
    }
    history = History(start=tail.start, step_s=frame.step_s, signals=signals)
    readings = {n: Reading(value=v[-1], time=frame.end) for n, v in signals.items()}
    return Snapshot(
        site_id=SITE.id, site_digest=PACK.digest, twin_digest=TWIN.digest,
        as_of=image.time if image else frame.end, step_s=900, horizon_steps=1,
        readings=image.values if image else readings, points={},
        prices=PriceSeries(import_price=(0.2,), export_price=(0.1,), carbon_g_per_kwh=(0.0,)),
        forecasts=(), estimate=estimate(TWIN, history, image), history=history,
    )  # fmt: skip


def after(fault: str, hours: int, **given: Any) -> Snapshot:
    plant = healthy_plant().copy()
    plant.inject_fault(fault, **given)
    epoch = plant.claim("test")
    for hour in range(hours):
        kw = 20.0 if hour % 2 else -20.0
        plant.write(epoch, hour + 1, [LeasedSetpoint(point=BATTERY, value=kw, ttl_s=3600)])
        plant.advance(3600)
    return snapshot_of(plant.log.frame(900), plant.image())


def test_a_healthy_plant_is_left_alone_on_any_day_of_six_weeks():
    frame = PACK.telemetry()
    for day in range(2, 42, 4):
        end = frame.start + timedelta(days=day, hours=5 * day % 24)
        findings, causes = diagnose(SITE, TWIN, snapshot_of(frame.window(frame.start, end)))
        assert causes[0].name == "nothing"
        assert [f for f in findings if f.action == "shed"] == []
        assert sum(c.probability for c in causes) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("fault", "given", "hours", "name", "action"),
    [
        ("heat_pump_stuck_off", {}, 3, "hp:no_power", "watch"),
        ("battery_derate", {"fraction": 0.4}, 2, "battery:derated", "watch"),
        ("temperature_sensor_drift", {"point": "zone_north.temp_degc", "k_per_h": 1.0}, 6,
         "sensor:zone_north.temp_degc", "shed"),
        ("temperature_sensor_drift", {"point": "zone_south.temp_degc", "k_per_h": 1.0}, 6,
         "sensor:zone_south.temp_degc", "shed"),
    ],
)  # fmt: skip
def test_a_fault_of_the_plant_is_named_with_its_evidence(fault, given, hours, name, action):
    findings, causes = diagnose(SITE, TWIN, after(fault, hours, **given))
    assert causes[0].name == name
    assert causes[0].probability > 0.9
    assert sum(c.probability for c in causes) == pytest.approx(1.0)
    finding = next(f for f in findings if f.subject == causes[0].subject and f.kind != "none")
    assert finding.action == action
    tally = next(e for e in finding.evidence if e.what.startswith("CUSUM"))
    assert tally.value > tally.limit


def test_a_sensor_that_reads_ever_lower_and_a_cold_room_are_told_apart_only_as_far_as_possible():
    found = after("temperature_sensor_drift", 8, point="zone_north.temp_degc", k_per_h=-0.5)
    findings, causes = diagnose(SITE, TWIN, found)
    rivals = {c.name: c.probability for c in causes}
    of_the_room = {n: p for n, p in rivals.items() if "zone_north" in n}
    assert sum(of_the_room.values()) > 0.9
    assert max(of_the_room.values()) < 0.99  # nobody can be sure from residuals alone
    assert all(f.action != "shed" for f in findings)


def test_a_lost_critical_signal_sheds_by_name():
    findings, _ = diagnose(SITE, TWIN, after("sensor_lost", 1, point="battery.soc_pct"))
    assert findings[0].subject == "battery.soc_pct"
    assert findings[0].action == "shed"


@cache
def sound() -> Snapshot:
    return snapshot_of(healthy_plant().log.frame(900), healthy_plant().image())


def changed(signal: str, **reading: Any) -> Snapshot:
    snapshot = sound()
    given = snapshot.readings[signal].model_dump() | reading
    return snapshot.model_copy(
        update={"readings": {**snapshot.readings, signal: Reading.model_validate(given)}}
    )


def past(signal: str, values: tuple[float | None, ...]) -> Snapshot:
    snapshot = sound()
    signals = {**snapshot.history.signals, signal: values}
    history = snapshot.history.model_copy(update={"signals": signals})
    reading = snapshot.readings[signal].model_copy(update={"value": values[-1]})
    return snapshot.model_copy(
        update={"history": history, "readings": {**snapshot.readings, signal: reading}}
    )


ROOM = "zone_north.temp_degc"


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (lambda: changed(ROOM, value=None), "has no value"),
        (lambda: changed(ROOM, quality=Quality.BAD), "reported as bad"),
        (lambda: changed(ROOM, time=iso(sound().as_of - timedelta(minutes=10))), "stale"),
        (lambda: changed(ROOM, time=iso(sound().as_of + timedelta(minutes=10))), "future"),
        (lambda: changed(ROOM, value=60.0), "outside what it can measure"),
        (lambda: past(ROOM, (*(21.0 + k % 2 / 10 for k in range(95)), 44.0)), "faster than"),
        (lambda: past(ROOM, (21.0,) * 96), "stuck"),
    ],
)
def test_each_fault_of_a_critical_reading_is_found_alone_and_sheds(snapshot, words):
    assert quality_findings(SITE, sound()) == []
    (finding,) = quality_findings(SITE, snapshot())
    assert words in finding.cause
    assert (finding.subject, finding.action) == (ROOM, "shed")
    assert finding.evidence[0].limit is not None


def test_what_is_doubtful_but_usable_is_watched_and_not_shed():
    doubtful = quality_findings(SITE, changed(ROOM, quality=Quality.UNCERTAIN))
    holed = quality_findings(
        SITE, past(ROOM, tuple(None if k % 3 == 0 else 21.0 + k % 5 / 50 for k in range(96)))
    )
    unimportant = quality_findings(SITE, changed("tank.temp_degc", value=None))
    for findings in (doubtful, holed, unimportant):
        assert [f.action for f in findings] == ["watch"]


def test_the_cusum_ignores_noise_and_gaps_and_grows_with_a_shift():
    noise = np.random.default_rng(1).normal(size=200)
    assert cusum(noise) < 8
    noise[::7] = np.nan
    assert cusum(noise + 1.0) > 60
    assert cusum(noise - 1.0) > 60
