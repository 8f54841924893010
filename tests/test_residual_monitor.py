"""Model error, sensor fault, true change: told apart on faults that EnergyPlus simulates."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

pytest.importorskip("pyenergyplus")

from graph.errors import InputError
from graph.telemetry import Frame
from sandbox.model_errors import from_report
from sandbox.parameters import load_parameters
from sandbox.residual_causes import Cause, Place, White, weigh
from sandbox.residual_monitor import false_alarm_bound
from sandbox.residual_noise import reference_noise, whitener
from sandbox.residual_watch import watch_twin
from sandbox.twin import make_twin
from scenarios.energyplus.faults import EnergyPlusFault
from tests.energyplus_runs import PACK, recorded

PARAMETERS = load_parameters(PACK.folder / PACK.site.twin.parameters)
TWIN = make_twin(PACK.site, PARAMETERS)
BEGIN = datetime.fromisoformat("2026-07-14T01:00:00-07:00")  # midnight of standard time
SINCE = BEGIN + timedelta(days=6)
BEFORE_H = 6 * 24 - 6  # the first judgement: a few hours before the fault


@pytest.fixture(scope="module")
def healthy():
    return recorded(BEGIN - timedelta(days=2), 17)


def test_over_two_healthy_weeks_nothing_is_named_and_nothing_alarms(healthy):
    watched = watch_twin(TWIN, healthy, every_h=6)
    assert len(watched.judgements) > 55
    assert watched.alarms == 0
    assert watched.confirmed == ()
    assert all(j.kinds["none"] > 0.9 for j in watched.judgements)
    for judgement in watched.judgements:
        assert sum(judgement.kinds.values()) == pytest.approx(1.0)
    assert false_alarm_bound(watched.alarms, 2.0) < 1.6  # a week, with 95 % confidence


@pytest.mark.parametrize(
    ("fault", "cause", "size", "days"),
    [
        # The thermostat reads too cold and the room is kept too warm: its signal shows nothing.
        (("thermostat_offset", "zone_east", -1.5), "sensor:zone_east.temp_degc", -1.5, 3.0),
        # A room inside the building: for a day it looks like new equipment.
        (("thermostat_offset", "zone_core", 2.0), "sensor:zone_core.temp_degc", None, 5.5),
        (("open_window", "zone_north", 0.15), "air:zone_north", 0.19, 2.5),
        (("degraded_heat_pump", "unit_west", 0.25), "power:unit_west", 0.33, 3.0),
        (("internal_load", "zone_east", 1.0), "load:zone_east", 0.75, 3.5),
    ],
)
def test_a_fault_inside_the_building_is_named_with_its_place_and_size(fault, cause, size, days):
    frame = recorded(BEGIN, 6 + math.ceil(days), [EnergyPlusFault(*fault, since=SINCE)])
    watched = watch_twin(TWIN, frame.window(BEGIN, SINCE + timedelta(days=days)),
                         first_h=BEFORE_H, every_h=6)  # fmt: skip
    [named] = watched.confirmed
    assert named.cause.name == cause
    expected = "sensor_fault" if fault[0] == "thermostat_offset" else "process_fault"
    assert named.cause.kind == expected
    # 1 / (1 - 0.25) times the power; 0.15 m3/s of air at 1.26 kJ/(m3 K) and little wind; 1 kW, of
    # which half is radiant and goes to the walls first.
    if size is not None:
        assert named.sizes[0] == pytest.approx(size, rel=0.25)
    assert SINCE < watched.named(named) <= SINCE + timedelta(days=days)
    before = [j for j in watched.judgements if j.time <= SINCE]
    assert before
    assert not any(j.alarm for j in before)


def test_a_twin_that_is_wrong_about_a_healthy_plant_is_named_as_the_one_that_is_wrong(healthy):
    wrong = {n: 0.5 for n in PARAMETERS.names if ".c_mass" in n or ".ua_mass" in n}
    values = tuple(
        v * wrong.get(n, 1.0) for n, v in zip(PARAMETERS.names, PARAMETERS.values, strict=True)
    )
    twin = make_twin(PACK.site, PARAMETERS.model_copy(update={"values": values}))
    watched = watch_twin(twin, healthy.rows(0, 8 * 96))
    [named] = watched.confirmed
    assert named.cause.kind == "model_error"
    assert watched.judgements[-1].kinds["model_error"] > 0.95
    document = watched.document()
    assert document["confirmed"][0]["present"]
    assert document["confirmed"][0]["subject"] == "twin of office_small"


def test_hours_without_a_meter_are_left_out_and_alarm_nobody(healthy):
    columns = {n: np.array(v) for n, v in healthy.columns.items()}
    columns["zone_core.heat_kw"][5 * 96 : 6 * 96] = np.nan
    columns["grid.power_kw"][7 * 96 : 7 * 96 + 30] = np.nan
    gappy = Frame(healthy.start, healthy.step_s, columns).rows(0, 10 * 96)
    watched = watch_twin(TWIN, gappy, first_h=120, every_h=12)
    assert watched.judgements
    assert watched.alarms == 0


def test_what_cannot_be_watched_is_refused_by_name(healthy):
    bare = PARAMETERS.report | {"model_errors": None}
    unfitted = make_twin(PACK.site, PARAMETERS.model_copy(update={"report": bare}))
    with pytest.raises(InputError, match="fewer than 5 days"):
        watch_twin(unfitted, healthy)
    with pytest.raises(InputError, match="days of telemetry"):
        watch_twin(TWIN, healthy.rows(0, 96))
    without = {n: v for n, v in healthy.columns.items() if n != "unit_core.power_kw"}
    with pytest.raises(InputError, match=r"unit_core\.power_kw"):
        watch_twin(TWIN, Frame(healthy.start, healthy.step_s, without))


def test_the_days_of_the_fit_are_white_once_they_are_freed_of_what_is_usual():
    errors = from_report(PARAMETERS.report)
    noise = reference_noise(errors)
    table = np.stack([np.nan_to_num(errors.paths[n]).reshape(-1) for n in noise.names], axis=1)
    hours = np.tile(np.arange(24), len(errors.days))
    white = whitener(noise, np.ones(len(table), dtype=bool))(noise.scaled(table, hours))
    raw = noise.scaled(table, hours)

    def lag_one(z):
        return np.mean([np.corrcoef(c[1:], c[:-1])[0, 1] for c in z.T])

    assert lag_one(raw) > 0.4
    assert abs(lag_one(white)) < 0.25
    assert 0.7 < np.std(white) < 1.3


def test_evidence_names_the_shape_that_is_there_and_nothing_when_there_is_none():
    rng = np.random.default_rng(4)
    hours = np.arange(96)
    shapes = np.stack([np.ones(96), np.exp(-hours / 12.0)], axis=1)
    causes = [
        Cause(n, "process_fault", "plant", n, n, (2.0,), least=0.2) for n in ("steady", "fading")
    ]
    white = White(
        rng.standard_normal(96), np.zeros(96, dtype=np.int64), hours, shapes,
        (Place("steady", 0, slice(0, 1)), Place("fading", 0, slice(1, 2))),
        np.zeros((96, 0)), (), 96,
    )  # fmt: skip
    assert weigh(causes, white)[0].name == "nothing"
    for k, name in enumerate(("steady", "fading")):
        found = weigh(causes, replace(white, y=white.y + 6.0 * shapes[:, k]))
        assert found[0].name == name
        assert found[0].sizes[0] == pytest.approx(6.0, abs=1.2)  # drawn to the prior
        assert sum(w.probability for w in found) == pytest.approx(1.0)
