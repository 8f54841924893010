"""Words with a slip of the hand, read as the word of the site or the grammar that is near.

A number is never mended, nor a short word, and a word near two others is left as it is. What was
mended is an assumption that the operator sees.
"""

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
    bitter bread butter chance chargers cheat coats cooker daring drooping expert factory failing
    feeling filling hated header heading hearing hearts house latter leading master meeting
    mourning mouth officer officers operator outrage outsider paint pants plane pleased powder
    pricey pride prime print prize produced quiet reduced roofs roomy roots scheduled shade shape
    shops smell soaring space spark spent stage starring startled temperate tempo there these think
    three waiter warning where whole winds world
"""
OTHER_WORDS = frozenset(_OTHER_WORDS.split())


def spelled(text: str, site: Site, known: Mapping[Phrase, Any]) -> list[tuple[Token, str]]:
    """The tokens of `text`, each with what was written where it was mended, else with ""."""
    tokens = tokenize(text, frozenset(s.id for s in site.signals))
    words = frozenset(w for phrase in known for w in phrase) | _closed_words()
    found = []
    for token in tokens:
        near = _mended(token, words)
        found.append((replace(token, text=near), token.text) if near else (token, ""))
    return found


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
    if token.kind != "word" or len(written) < _SHORTEST or not written.isascii():
        return ""
    if not written.isalpha() or _is_known(written, words) or written in OTHER_WORDS:
        return ""
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


def _is_known(written: str, words: frozenset[str]) -> bool:
    """Whether a word or its plain inflection is in the vocabulary."""
    return written in words or any(
        written.removesuffix(end) in words for end in ("s", "es", "ed", "ing", "er", "ly") if end
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
