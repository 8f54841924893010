"""Lengths of time that are no span of the calendar, and factors: 30 minutes, twice as important."""

from planner.intent.lexicon import NUMBER_WORDS, K
from planner.intent.moments import said
from planner.intent.tokens import Token

_SECONDS = {
    "minutes": 60.0, "minute": 60.0, "mins": 60.0, "min": 60.0, "hours": 3600.0, "hour": 3600.0,
    "hrs": 3600.0, "hr": 3600.0, "h": 3600.0, "seconds": 1.0, "second": 1.0, "s": 1.0, "sec": 1.0,
    "secs": 1.0,
}  # fmt: skip
_HALF = {"half an hour": 1800.0, "a half hour": 1800.0, "half hour": 1800.0,
         "a quarter of an hour": 900.0, "quarter of an hour": 900.0, "one and a half hours": 5400.0,
         "an hour and a half": 5400.0}  # fmt: skip
_TIMES = {"twice": 2.0, "double": 2.0, "half": 0.5, "triple": 3.0, "thrice": 3.0}
_AS = ("as important as", "more important than", "as much as", "more than", "as heavily as",
       "the weight of", "as high as", "as strongly as", "important as")  # fmt: skip
_OPEN_SPANS = ("for", "next", "coming", "following")  # `for 2 hours` is a span: see `times`


def read_duration(tokens: list[Token], i: int) -> tuple[K, float, int] | None:
    """30 minutes, half an hour, 2 h: an item's kind, its seconds and the index after it.

    After `for` only where `at least` or the like stands between: `for 2 hours` is a span of time.
    """
    for words, seconds in _HALF.items():
        if n := said(tokens, i, words):
            return K.DURATION, seconds, i + n
    token = tokens[i]
    count = token.value if token.kind == "number" else float(NUMBER_WORDS.get(token.text, 0))
    if token.text in ("a", "an") and i and tokens[i - 1].text in ("least", "than", "most", "every"):
        count = 1.0
    unit = tokens[i + 1].text if i + 1 < len(tokens) else ""
    if count <= 0 or unit not in _SECONDS or token.text == "once":
        return None
    if i and tokens[i - 1].text in _OPEN_SPANS:
        return None
    return K.DURATION, count * _SECONDS[unit], i + 2


def read_factor(tokens: list[Token], i: int) -> tuple[K, float, int] | None:
    """Twice as important as, three times more important than, half as much as."""
    token, j = tokens[i], i + 1
    times = _TIMES.get(token.text)
    if times is None:
        count = token.value if token.kind == "number" else float(NUMBER_WORDS.get(token.text, 0))
        n = said(tokens, j, "times", "x")
        if not n or count <= 0:
            return None
        times, j = count, j + n
    n = said(tokens, j, *_AS)
    return (K.FACTOR, times, j + n) if n else None
