"""What people write by themselves: each turn of phrase means what its plain form means."""

import json
import random
import time
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from api.commands.ask import reading_text
from graph.intent import Reading
from graph.site import Site
from graph.sitepack import load_site
from planner.intent.compiler import compile_intent

FILES = Path("scenarios/utterances")


@cache
def site_of(name: str) -> Site:
    return load_site(Path("scenarios") / name).site


def read(text: str, name: str = "microgrid", now: str = "2026-01-14T09:30") -> Reading:
    site = site_of(name)
    return compile_intent(text, site, datetime.fromisoformat(now).replace(tzinfo=site.zone_info))


def form(reading: Reading) -> Any:
    assert reading.intent is not None, reading.questions
    document = reading.intent.model_dump(exclude={"text", "actor"})
    for part in (*document["constraints"], *document["objectives"]):
        part.pop("text")
    return document


SAME = [
    ("battery not under forty-five percent", "battery at least 45 %"),
    ("battery at least half full by 18:00", "battery at least 50 % by 18:00"),
    ("rooms below twenty-three and a half degrees", "rooms below 23.5 °C"),
    ("import at most 30 kW from 4 to 9 pm", "import at most 30 kW from 16:00 to 21:00"),
    ("import at most 30 kW 1600-2100", "import at most 30 kW from 16:00 to 21:00"),
    ("import at most 30 kW, 16-21 h", "import at most 30 kW from 16:00 to 21:00"),
    ("rooms 20-24 °C from half past eight to a quarter past five on weekdays",
     "rooms 20-24 °C from 8:30 to 17:15 on weekdays"),
    ("rooms 20-24 °C from eight to six, Monday to Friday",
     "rooms 20-24 °C from 8:00 to 18:00 on weekdays"),
    ("heat pump off 23:00 to 05:30 every night", "heat pump off from 23:00 to 05:30 every day"),
    ("switch off the heat pump for two hours from noon",
     "heat pump off from 12:00 to 14:00 today"),
    ("0.3 <= SoC <= 0.8", "battery between 30 and 80 %"),
    ("T_rooms in [20, 24] degC", "rooms between 20 and 24 °C"),
    ("-20 <= P_grid <= 40 kW", "grid.power_kw between -20 and 40 kW"),
    ("|dP_grid/dt| <= 10 kW per 15 min", "ramp grid import by at most 40 kW an hour"),
    ("N_start(HP) <= 3 /d", "at most 3 heat pump starts a day"),
    ("t_on,min(HP) = 1800 s", "run the heat pump for at least 30 minutes at a time"),
    ("E_hp <= 70 kWh/d (soft)", "heat pump should use at most 70 kWh a day"),
    ("min 0.7*cost + 0.3*emissions", "minimise cost weight 0.7 and emissions weight 0.3"),
    ("reliability > comfort > cost", "reliability first, then comfort, then cost"),
    ("price > 0.35 -> P_imp <= 20 kW", "if the price is above 0.35 import at most 20 kW"),
    ("N min 21, S min 20 °C", "north rooms at least 21 °C, south rooms at least 20 °C"),
    ("BESS charging, 15 kW tops", "charge the battery with at most 15 kW"),
    ("gird improt max 4O kW form 16 to 21", "grid import max 40 kW from 16 to 21"),
    ("zero export rest of today", "don't export until the end of today"),
    ("not over 48 °C, the tank", "tank at most 48 °C"),
    ("no more than forty dollars a day on electricity", "spend at most 40 dollars a day"),
    ("if power gets dearer than forty cents, import at most 10 kW",
     "if the price is above 0.40 USD import at most 10 kW"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "plain"), SAME, ids=[s for s, _ in SAME])
def test_another_way_to_say_it_compiles_to_the_same(said: str, plain: str) -> None:
    assert form(read(said)) == form(read(plain))


TANKS = [
    ("6 <= h1,h2 <= 16 cm", "tank1.level_cm and tank2.level_cm between 6 and 16 cm"),
    ("u1 <= 3.4 V", "pump 1 at most 3.4 volts"),
    ("P1 oos 14-15h today", "pump 1 off from 14:00 to 15:00 today"),
    ("lower left never under seven centimetres", "tank 1 never below 7 cm"),
    ("tank 1 above 8, tank 2 above 9, both below 15 cm",
     "tank 1 above 8 cm, tank 2 above 9 cm, tank 1 and tank 2 below 15 cm"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "plain"), TANKS, ids=[s for s, _ in TANKS])
def test_symbols_come_from_the_site(said: str, plain: str) -> None:
    assert form(read(said, "process")) == form(read(plain, "process"))


ASIDE = [
    ("Dear operator, battery above 30 %. Regards, Site Services", "Dear operator"),
    ("NEIGHBOURS COMPLAINED. HEAT PUMP OFF TONIGHT", "NEIGHBOURS COMPLAINED"),
    ("heat pump off today from 14:00 to 16:00 for a bearing swap", "for a bearing swap"),
    ("battery above 30 %, we're checking the meter", "we're checking the meter"),
]


@pytest.mark.parametrize(("text", "piece"), ASIDE, ids=[p for _, p in ASIDE])
def test_what_is_said_around_a_wish_is_set_aside_and_that_is_told(text: str, piece: str) -> None:
    reading = read(text)
    assert reading.intent is not None, reading.questions
    told = [a for a in reading.assumptions if a.startswith("Set aside as said around the wish")]
    assert piece in told[0]
    assert f"“{piece}”" in reading_text(reading)


ASKED = [
    "is the battery above 20.5 %?",
    "the rooms need not be above 20 °C at night",
    "battery above 30 % because it must not fall below 50 % tonight",
    "Hello, never above 22 °C",
    "no summer setpoints: rooms 20-24 °C",
    "battery above 30 %. be frugal",
    "first tank at least 40 °C, second at most 50 °C",
    "soc(18:00) >= 80 %",
    "north and south rooms at most 24 °C in total",
    "import at most 30 kW, hands off the rooms",
    "rooms 20-24 °C, both wings at 22",
    "last week import was over 40 kW, keep the tank above 40 °C",
]


@pytest.mark.parametrize("text", ASKED)
def test_a_wish_that_is_read_in_part_only_asks(text: str) -> None:
    assert read(text).intent is None


def test_a_condition_of_a_wish_for_some_hours_of_one_day_is_kept() -> None:
    for text in (
        "battery off tomorrow from 8:00 to 12:00 if the price is above 0.4",
        "if the price is above 0.4 import at most 10 kW tomorrow from 8:00 to 12:00",
    ):
        (constraint,) = form(read(text))["constraints"]
        assert constraint["window"]["condition"]["value"] == 0.4


def test_the_sites_own_aim_is_taken_only_where_none_was_named_and_all_is_understood() -> None:
    green = site_of("microgrid").model_copy(update={"default_aim": "emissions"})
    now = datetime(2026, 1, 14, 9, 30, tzinfo=green.zone_info)
    reading = compile_intent("battery above 30 %", green, now)
    assert [o.quantity for o in reading.intent.objectives] == ["emissions"]  # type: ignore[union-attr]
    assert "No aim was named: CO2 emissions, as this site does by default" in reading.assumptions
    assert "assumed: No aim was named" in reading_text(reading)
    for text in ("battery above 30 %, feed the cat", "good morning", "don't minimise cost"):
        assert compile_intent(text, green, now).intent is None
    named = compile_intent("minimise cost, battery above 30 %", green, now)
    assert not any("No aim" in a for a in named.assumptions)


INSERTED = ("not", "never", "no", "except", "unless", "without", "nothing", "hardly", "if", "5",
            "seven", "30 kW", "below", "except at night", "but not the battery")  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_word_that_could_carry_a_wish_changes_the_reading_or_is_mentioned(seed: int) -> None:
    """Wherever a number, a bound, a negation or an exception is put into an utterance."""
    rng = random.Random(seed)
    files = [(FILES / f"{name}.jsonl").read_text(encoding="utf-8") for name in ("own", "blind")]
    lines = [json.loads(line) for text in files for line in text.splitlines()]
    cases = rng.sample([c for c in lines if c["outcome"] == "compiled"], 40)
    for case in cases:
        now = case.get("now", "2026-01-20T09:30")
        plain = read(case["text"], case["site"], now)
        if plain.intent is None:
            continue
        words, word = case["text"].split(" "), rng.choice(INSERTED)
        at = rng.randrange(len(words) + 1)
        text = " ".join([*words[:at], word, *words[at:]])
        reading = read(text, case["site"], now)
        if reading.intent is None or form(reading) != form(plain):
            continue
        before, after = (
            " ".join([*r.assumptions, *(n.text for n in r.not_understood)]).lower()
            for r in (plain, reading)
        )
        assert after.count(word.lower()) > before.count(word.lower()), text


PIECES = ["is ", "0.5*cost + ", "20 <= x <= ", "for a ", "1 to 2 ", "(", "=> "]


@pytest.mark.parametrize("piece", PIECES)
def test_a_long_text_of_one_piece_is_read_in_a_moment(piece: str) -> None:
    text = (piece * 1200)[:1200] + " ?"
    started = time.process_time()
    read(text)
    assert time.process_time() - started < 5.0
