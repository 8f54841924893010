"""The intent compiler where rooms have a heating and a cooling setpoint."""

from datetime import datetime

import pytest

from graph.intent import Band, KeepOff
from planner.intent.compiler import compile_intent
from tests.rc_building import make_building

SITE = make_building(3, 2)
NOW = datetime(2026, 1, 20, 9, 30, tzinfo=SITE.zone_info)  # a Tuesday
TEMPS = tuple(f"zone_{z}.temp_degc" for z in "abc")


def read(text, site=SITE):
    return compile_intent(f"minimise cost, {text}", site, NOW)


@pytest.mark.parametrize(
    ("text", "low", "high", "signals", "hours", "days"),
    [
        ("keep the rooms between 20 and 24 during working hours on weekdays", 20, 24, TEMPS,
         ("08:00", "18:00"), ("mon", "tue", "wed", "thu", "fri")),
        ("heat wing B to 22 from 07:00 to 09:00", 22, None, TEMPS[1:2], ("07:00", "09:00"), ()),
        ("cool wing C to 23 °C from 13:00 to 15:00", None, 23, TEMPS[2:], ("13:00", "15:00"), ()),
        ("warm the rooms to at least 21 °C", 21, None, TEMPS, (None, None), ()),
        ("heating setpoint of wing A at most 21 °C", None, 21,
         ("zone_a.heating_setpoint_degc",), (None, None), ()),
    ],
)  # fmt: skip
def test_a_bound_on_rooms_with_two_setpoints_means_what_it_says(
    text, low, high, signals, hours, days
):
    reading = read(text)
    assert not reading.questions
    (band,) = reading.intent.constraints
    assert isinstance(band, Band)
    assert (band.minimum, band.maximum, band.signals) == (low, high, signals)
    assert ((band.window.daily_from, band.window.daily_to), band.window.days) == (hours, days)


@pytest.mark.parametrize(
    ("text", "points", "end"),
    [
        ("don't cool before noon", [f"zone_{z}.cooling_setpoint_degc" for z in "abc"], 12),
        ("keep the heating off until 11:00", [f"zone_{z}.heating_setpoint_degc" for z in "abc"],
         11),
        ("no cooling in wing B until 15:00", ["zone_b.cooling_setpoint_degc"], 15),
        ("unit B off until 16:00",
         ["zone_c.heating_setpoint_degc", "zone_c.cooling_setpoint_degc"], 16),
    ],
)  # fmt: skip
def test_heating_or_cooling_is_kept_off_side_by_side(text, points, end):
    reading = read(text)
    assert not reading.questions
    off = reading.intent.constraints
    assert all(isinstance(c, KeepOff) and c.hard for c in off)
    assert [c.point for c in off] == points
    assert {c.window.end for c in off} == {NOW.replace(hour=end, minute=0)}
    again = compile_intent(reading.restatement, SITE, NOW)
    assert [c.model_copy(update={"text": ""}) for c in again.intent.constraints] == [
        c.model_copy(update={"text": ""}) for c in off
    ]


def test_several_rooms_are_restated_at_once():
    assert (
        "; keep the cooling off until Tue 20 Jan 2026 12:00 (hard)."
        in read("don't cool before noon").restatement
    )
    some = read("no heating in wing A and wing B until 11:00").restatement
    assert "keep the heating of the wing a and the wing b off until" in some


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("setpoint of wing A at least 20 °C", "The heating or the cooling setpoint of the wing a?"),
        ("rooms at least 27 °C", "can be heated to 24 °C and cooled to 20 °C"),
        ("precool the rooms before 16:00", "I did not understand"),
        ("keep wing A off until 11:00", "this can: the heating, the cooling"),
    ],
)
def test_what_stays_open_is_asked(text, question):
    assert any(question in q for q in read(text).questions), read(text).questions


def test_working_hours_are_asked_for_where_the_site_has_none_or_several():
    always = make_building(2, comfort={"lower_degc": 20, "upper_degc": 24})
    broken = make_building(2, comfort={"lower_degc": 20, "upper_degc": 24, "hours": [
        {"start": "08:00", "end": "12:00"}, {"start": "13:00", "end": "18:00"}]})  # fmt: skip
    for site in (always, broken):
        reading = read("keep the rooms between 20 and 24 °C during office hours", site)
        assert any("When are office hours?" in q for q in reading.questions)
