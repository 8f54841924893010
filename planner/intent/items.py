"""Tokens to items: times, numbers with units, phrases of the grammar and of the site."""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

from graph.site import Site
from planner.intent.clock_words import (
    read_at_sign,
    read_hour,
    read_hour_span,
    read_hours_of_days,
    read_military,
    read_spoken_clock,
)
from planner.intent.durations import read_duration, read_factor
from planner.intent.heating_cooling import heating_cooling_phrases
from planner.intent.lexicon import NUMBER_WORDS, Item, K, Phrase, phrases
from planner.intent.moments import Now, said
from planner.intent.notation import (
    notation_rules,
    read_aim_of_unit,
    read_chain,
    read_equals,
    read_implication,
    read_interval,
    read_order,
    read_per,
    read_weight_list,
    read_weights,
)
from planner.intent.notation import read_share as read_soc
from planner.intent.number_words import read_half_of_unit, read_number, read_share
from planner.intent.phrasing import phrasing_rules
from planner.intent.quantities import MONEY_SIGNS, NO_UNIT, UNITS, Amount, Unit
from planner.intent.rewriting import Written, rewrite
from planner.intent.shorthand import read_day_span, shorthand_rules
from planner.intent.spelling import slips, spelled
from planner.intent.symbols import symbols_of
from planner.intent.times import read_time
from planner.intent.tokens import Token
from planner.intent.vocabulary import site_phrases

_LONGEST = 6  # words of the longest phrase that is looked for
_THOUSANDS = re.compile(r"\d{1,3},\d{3}$")


def read_items(text: str, site: Site, now: Now) -> list[Item]:
    """The items of `text` in order; together they cover every token."""
    return items_of(read_tokens(text, site), text, site, now)


def items_of(written: Written, text: str, site: Site, now: Now) -> list[Item]:
    """The items of tokens that were read."""
    known, tokens = _phrases(site), written.tokens
    items: list[Item] = []
    i = 0
    while i < len(tokens):
        kind, value, after = _item(text, tokens, i, site, now, known)
        items.append(Item(kind, value, tokens[i].start, tokens[after - 1].end))
        i = after
    return items


def read_tokens(text: str, site: Site) -> Written:
    """The tokens of `text` as they are read, and what is to be told of how they were written.

    1. Slips of the pen. 2. Arrows. 3. Clock times and numbers in words, shorthand. 4. Notation that
    is made of them.
    """
    known = _phrases(site)
    tokens = [t for t, _ in spelled(text, site, known)]
    symbols = symbols_of(site)
    written = Written(tokens, slips(text, site, known))
    written = rewrite(written, text, read_order, read_weights, read_weight_list)
    written = replace(written, tokens=read_implication(written.tokens))
    written = rewrite(written, text, *notation_rules(symbols),
                      read_aim_of_unit, read_per, read_spoken_clock, read_military,
                      read_hour_span, read_hour, read_at_sign)  # fmt: skip
    written = rewrite(written, text, *shorthand_rules(symbols, text), read_day_span,
                      *phrasing_rules(symbols), read_half_of_unit, read_share, read_number,
                      read_interval)  # fmt: skip
    written = rewrite(written, text, *phrasing_rules(symbols))
    return rewrite(
        written, text, read_chain, read_soc, read_equals, read_hour_span, read_hours_of_days
    )


def _phrases(site: Site) -> dict[Phrase, tuple[K, Any]]:
    known = dict(site_phrases(site))
    for phrase, meaning in phrases().items():
        # The grammar's words win over the site's, except mere function words.
        if meaning[0] is not K.FILLER or phrase not in known:
            known[phrase] = meaning
    return known | heating_cooling_phrases(site)


def _item(
    text: str, tokens: list[Token], i: int, site: Site, now: Now, known: dict[Phrase, Any]
) -> tuple[K, Any, int]:
    if text.startswith(site.time_zone, tokens[i].start):
        end = tokens[i].start + len(site.time_zone)
        return K.FILLER, None, i + sum(tokens[i].start <= t.start < end for t in tokens)
    lasting = read_duration(tokens, i) or read_factor(tokens, i)
    if lasting:
        return lasting
    per = _per_minutes(tokens, i)
    if per:
        return K.PER_TIME, *per
    chance = _chance(tokens, i)
    if chance:
        return K.CHANCE, *chance
    # "the bill is 8 to 10 dollars": a number with a unit is no time, so `from` looks ahead itself.
    when = read_time(tokens, i, now, site)
    if when:
        return K.TIME, *when
    if tokens[i].text == "freezing" and i and tokens[i - 1].text in ("below", "above", "under"):
        return K.NUMBER, Amount(0.0, 0.0, UNITS[("degc",)]), i + 1
    amount = _amount(tokens, i)
    if amount:
        kind = K.NUMBER if amount[0].low == amount[0].high else K.RANGE
        return kind, *amount
    shared = _shares_noun(tokens, i, known)
    if shared:
        return K.SUBJECT, shared, i + 1
    for n in range(min(_LONGEST, len(tokens) - i), 0, -1):
        found = known.get(tuple(t.text for t in tokens[i : i + n]))
        if found and not _or_before_a_number(tokens, i, n):
            return *found, i + n
    return _mark(tokens[i]), tokens[i].text, i + 1


def _shares_noun(tokens: list[Token], i: int, known: dict[Phrase, Any]) -> tuple[str, ...]:
    """The assets of the first of two that share their noun: the north and (the) south rooms."""
    if (tokens[i].text,) in known or tokens[i].kind != "word":
        return ()
    j = i + 1 + (said(tokens, i + 1, "and", ",", "or", "and the") or 0)
    if j == i + 1:
        return ()
    nouns = [tokens[k].text for k in range(j + 1, min(j + 5, len(tokens)))]
    for noun in nouns:  # the north, east and west rooms
        kind, assets = known.get((tokens[i].text, noun), (None, ()))
        if kind is K.SUBJECT and known.get((tokens[j].text, noun)):
            return tuple(assets)
    return ()


def _or_before_a_number(tokens: list[Token], i: int, n: int) -> bool:
    """`20 % or above` is a bound of the 20; in `below 20 or above 90` the `or` joins two."""
    return n > 1 and tokens[i].text == "or" and bool(_number(tokens, i + n))


def _mark(token: Token) -> K:
    if token.text in "()/\"'“”‘’":
        return K.FILLER
    return K.BREAK if token.kind in ("mark", "dash") else K.UNKNOWN


_LENGTHS = {"min": 1 / 60, "minutes": 1 / 60, "mins": 1 / 60, "h": 1.0, "hours": 1.0, "hrs": 1.0,
            "s": 1 / 3600, "sec": 1 / 3600, "seconds": 1 / 3600}  # fmt: skip


def _per_minutes(tokens: list[Token], i: int) -> tuple[float, int] | None:
    """Per 15 min, / 30 min: as hours."""
    j = i + said(tokens, i, "per", "/", "in any", "within any", "every", "in every")
    if j == i or j + 1 >= len(tokens) or tokens[j].kind != "number":
        return None
    size = _LENGTHS.get(tokens[j + 1].text)
    return (tokens[j].value * size, j + 2) if size and tokens[j].value > 0 else None


_OF = ("of the time", "of time", "of cases", "of the cases", "of all cases", "of days",
       "of the days", "probability", "chance", "confidence", "certainty", "likelihood")  # fmt: skip


def _chance(tokens: list[Token], i: int) -> tuple[float, int] | None:
    """In at least 95 % of cases; with 90 % probability."""
    j = i + said(tokens, i, "in", "for", "with a", "with")
    j += said(tokens, j, "at least")
    if j >= len(tokens) or tokens[j].kind != "number":
        return None
    unit = said(tokens, j + 1, "%", "percent", "per cent")
    tail = said(tokens, j + 1 + unit, *_OF) if unit else 0
    share = float(Decimal(repr(tokens[j].value)) / 100)  # 38.3 % is 0.383 exactly
    return (share, j + 1 + unit + tail) if tail else None


def _amount(tokens: list[Token], i: int) -> tuple[Amount, int] | None:
    """A number or two, with a unit: 20 %, 20-24 °C, between 20 and 24, 21 ± 1 °C, $30."""
    about = _within_of(tokens, i)
    if about:
        return about
    between = said(tokens, i, "between")
    first = _number(tokens, i + between)
    if first is None:
        return None
    low, unit, j, doubt = first
    link = (
        said(tokens, j, "and")
        if between
        else said(tokens, j, "to", "-", "–", "—", "..", "...", "…")
    )
    plus_minus = said(tokens, j, "±", "+/-", "plus minus", "plus or minus",
                      "plus / minus", "+ / -", "give or take", "+ -")  # fmt: skip
    second = _number(tokens, j + link + plus_minus) if link or plus_minus else None
    if second is None:
        return None if between else (Amount(low, low, unit, doubt), j)
    high, second_unit, j, second_doubt = second
    doubt = doubt or second_doubt
    if plus_minus:
        unit = unit if unit.name else _absolute(second_unit)
        if second_unit.dimension not in (unit.dimension, "none", "difference"):
            doubt = doubt or "the two numbers have different units"
        return Amount(low - high, low + high, unit, doubt), j
    if unit.name and second_unit.name and unit != second_unit:
        doubt = doubt or "the two numbers have different units"
    return Amount(low, high, second_unit if second_unit.name else unit, doubt), j


def _within_of(tokens: list[Token], i: int) -> tuple[Amount, int] | None:
    """Within 1 K of 22.5 °C."""
    near = _number(tokens, i + 1) if said(tokens, i, "within") else None
    if near is None or not said(tokens, near[2], "of"):
        return None
    middle = _number(tokens, near[2] + 1)
    if middle is None:
        return None
    unit = middle[1] if middle[1].name else _absolute(near[1])
    same = near[1].dimension in (unit.dimension, "none", "difference")
    doubt = near[3] or middle[3] or ("" if same else "the two numbers have different units")
    return Amount(middle[0] - near[0], middle[0] + near[0], unit, doubt), middle[2]


def _absolute(unit: Unit) -> Unit:
    return Unit("degC", "temperature") if unit.dimension == "difference" else unit


def _number(tokens: list[Token], i: int) -> tuple[float, Unit, int, str] | None:
    money = MONEY_SIGNS.get(tokens[i].text) if i < len(tokens) else None
    i += bool(money)
    negative = (
        i + 1 < len(tokens)
        and tokens[i].kind == "dash"
        and tokens[i].end == tokens[i + 1].start
        and len(tokens[i].text) == 1
    )
    i += negative
    if i >= len(tokens):
        return None
    token = tokens[i]
    if token.kind == "number":
        value = token.value
    elif _counts_once(tokens, i) and not money and not negative:
        value = float(NUMBER_WORDS[token.text])
    else:
        return None
    doubt = ""
    if _THOUSANDS.match(token.text):
        doubt = f"is {token.text} a thousand or a decimal? Write it without the comma"
    unit, after = (replace(UNITS[(money.lower(),)]), i + 1) if money else _unit(tokens, i + 1)
    return (-value if negative else value), unit, after, doubt


def _counts_once(tokens: list[Token], i: int) -> bool:
    """Whether a word is a number; in `once the price rises` and `once started` it is none."""
    if tokens[i].text != "once":
        return tokens[i].text in NUMBER_WORDS
    return i + 1 < len(tokens) and tokens[i + 1].text in ("a", "per", "each", "every", "daily")


def _unit(tokens: list[Token], i: int) -> tuple[Unit, int]:
    for n in (5, 4, 3, 2, 1):
        unit = UNITS.get(tuple(t.text for t in tokens[i : i + n]))
        if unit and i + n <= len(tokens):
            return unit, i + n
    return NO_UNIT, i
