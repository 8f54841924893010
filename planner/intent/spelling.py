"""Words with a slip of the hand, read as the word of the site or the grammar that is near.

A number is never mended (the letter O in it is read as 0), a short word only where two letters
changed places or one was left out, and a word near two others is left as it is. What was mended is
an assumption that the operator sees.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from graph.site import Site
from planner.intent.lexicon import NUMBER_WORDS, Phrase
from planner.intent.moments import DAY_NAMES, MONTHS, PARTS
from planner.intent.quantities import UNITS
from planner.intent.tokens import Token, tokenize

_SHORTEST = 5  # letters of a word that may be mended; in a shorter one too much is near
_LONG = 8  # from here on two slips may be mended
_TIMES = """
    until till tonight tomorrow today overnight noon midday midnight weekend weekends weekday
    weekdays working business office opening hours next coming following before after between
    within starting beginning o'clock peak dearest expensive cheapest daytime
"""
_TIME_WORDS = frozenset(_TIMES.split())
# Words of plain English that are near a word of the grammar and mean something else.
_OTHER_WORDS = """
    heater heaters charger boiler meter meters counter user users order orders number other others
    river lower upper
    bitter bread butter chance chargers cheat coats cooker daring drooping expert factory failing
    feeling filling hated header heading hearing hearts house latter leading master meeting
    mourning mouth officer officers operator outrage outsider paint pants plane pleased powder
    pricey pride prime print prize produced quiet reduced roofs roomy roots scheduled shade shape
    shops smell soaring space spark spent stage starring startled temperate tempo there these think
    three waiter warning where whole winds world
"""
OTHER_WORDS = frozenset(_OTHER_WORDS.split())


# Slips that no rule finds because what was written, or what was meant, is too short.
_COMMON = {"teh": "the", "hte": "the", "th": "the", "adn": "and", "nad": "and", "al": "all",
           "nto": "not", "fo": "of", "ot": "to", "thn": "than", "tahn": "than", "thna": "than",
           "wtih": "with", "wiht": "with", "abov": "above", "belo": "below", "frm": "from",
           "betw": "between", "taht": "that", "si": "is", "untl": "until", "utnil": "until",
           "mroe": "more", "mor": "more", "moer": "more", "les": "less", "lesss": "less",
           "ech": "each",
           "evry": "every", "temprature": "temperature"}  # fmt: skip
_COMPARED = ("more", "less", "higher", "lower", "warmer", "colder", "hotter", "cooler", "fewer",
             "greater", "faster", "later", "other")  # fmt: skip


def spelled(text: str, site: Site, known: Mapping[Phrase, Any]) -> list[tuple[Token, str]]:
    """The tokens of `text`, each with what was written where it was mended, else with ""."""
    tokens = tokenize(text, frozenset(s.id for s in site.signals))
    words = frozenset(w for phrase in known for w in phrase) | _closed_words()
    found: list[tuple[Token, str]] = []
    for token in tokens:
        last = found[-1][0] if found else None
        if last is not None and last.kind == "number" and _is_zeros(last, token):
            digits = last.text + token.text.replace("o", "0")
            number = Token("number", digits, last.start, token.end, float(digits))
            found[-1] = (number, text[last.start : token.end])
            continue
        near = _mended(token, words) or _in_context(token, last)
        found.append((replace(token, text=near), token.text) if near else (token, ""))
    return [_joined(found, n) for n in range(len(found))]


def _is_zeros(number: Token, word: Token) -> bool:
    """Whether `O` for 0 follows a number: 4O kW."""
    return (number.text.isdigit() and number.end == word.start and len(word.text) <= 3
            and set(word.text) <= set("o0"))  # fmt: skip


def _in_context(token: Token, last: Token | None) -> str:
    """`more then`: than."""
    compared = last is not None and last.text in _COMPARED
    return "than" if token.text == "then" and compared else ""


def _joined(found: list[tuple[Token, str]], n: int) -> tuple[Token, str]:
    """`between 20 an 80`: and; no other `an` stands between two numbers."""
    token, _ = found[n]
    kinds = [found[k][0].kind for k in (n - 1, n + 1) if 0 <= k < len(found)]
    if token.text == "an" and kinds == ["number", "number"]:
        return replace(token, text="and"), "an"
    return found[n]


def slips(text: str, site: Site, known: Mapping[Phrase, Any]) -> tuple[str, ...]:
    """What was mended, as assumptions."""
    return tuple(
        f"“{text[t.start : t.end]}” is read as “{t.text}”"
        for t, written in spelled(text, site, known)
        if written
    )


@cache
def _closed_words() -> frozenset[str]:
    units = {w for phrase in UNITS for w in phrase}
    return frozenset({*DAY_NAMES, *MONTHS, *PARTS, *units, *NUMBER_WORDS, *_TIME_WORDS})


def _mended(token: Token, words: frozenset[str]) -> str:
    written = token.text
    if token.kind != "word" or not written.isascii() or not written.isalpha():
        return ""
    if written in _COMMON and written not in words:
        return _COMMON[written]
    if _is_known(written, words) or written in OTHER_WORDS:
        return ""
    if len(written) < _SHORTEST or _swapped(written, words):
        return _swapped(written, words) or _short(written, words)
    near: dict[int, list[str]] = {}
    for word in words:
        if word in NUMBER_WORDS or not word.isalpha() or word[:1] != written[:1]:
            continue
        most = 2 if min(len(word), len(written)) >= _LONG else 1
        if len(word) < _SHORTEST or abs(len(word) - len(written)) > most:
            continue
        slip = distance(written, word, most)
        if slip <= most:
            near.setdefault(slip, []).append(word)
    nearest = near[min(near)] if near else []
    stems = {w.removesuffix("s") for w in nearest}
    return min(nearest, key=len) if len(stems) == 1 else ""


def _swapped(written: str, words: frozenset[str]) -> str:
    """The one word that two neighbouring letters make, changed about; also the first two."""
    if len(written) < 3:
        return ""
    turned = {written[:k] + written[k + 1] + written[k] + written[k + 2 :]
              for k in range(len(written) - 1)}  # fmt: skip
    near = {w for w in turned & words if w != written and w not in NUMBER_WORDS}
    return near.pop() if len(near) == 1 else ""


def _short(written: str, words: frozenset[str]) -> str:
    """A letter that was not doubled (kep), or left out of a word of five (soth): one word only."""
    near = {w for w in words if w.isalpha() and w not in NUMBER_WORDS and w[:1] == written[:1]
            and len(w) == len(written) + 1 and len(written) >= 3
            and any(w[:k] + w[k + 1 :] == written for k in range(len(w)))}  # fmt: skip
    doubled = {w for w in near if any(a == b for a, b in itertools.pairwise(w))}
    if len(written) < 4:
        near = doubled
    near = {w for w in near if len(w) >= _SHORTEST or w in doubled}
    stems = {w.removesuffix("s") for w in near}
    return min(near, key=len) if len(stems) == 1 else ""


def _is_known(written: str, words: frozenset[str]) -> bool:
    """Whether a word or its plain inflection is in the vocabulary."""
    return written in words or any(
        written.removesuffix(end) in words for end in ("s", "es", "ed", "ing", "ly") if end
    )


def distance(a: str, b: str, most: int) -> int:
    """Letters to insert, drop, replace or swap with a neighbour to turn a into b; `most` + 1 if
    more (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row, older = row, [i, *([0] * len(b))], before
        for j, y in enumerate(b, 1):
            row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                row[j] = min(row[j], older[j - 2] + 1)
        before = last
        if min(row) > most:
            return most + 1
    return row[-1]
