"""Times of day in words and in shorthand: half past three, 0700-1900, 14-15h, 22 h, @ 16:00."""

from planner.intent.moments import DAY_NAMES
from planner.intent.number_words import ONES, TENS
from planner.intent.quantities import UNITS
from planner.intent.rewriting import Found, spoken, texts
from planner.intent.tokens import Token

_BEFORE = ("until", "till", "til", "by", "at", "from", "before", "after", "between", "@", "to",
           "and", "around", "o'clock", "since")  # fmt: skip
_NO_CLOCK_BEFORE = ("for", "next", "least", "most", "every", "than", "coming", "over", "within",
                    "in", "per")  # fmt: skip
_HOUR = ("h", "hrs", "hr", "hours", "uhr", "o'clock", "oclock")
_LINKS = ("-", "–", "—", "to", "until", "till", "and")
_SPOKEN = "spoken"  # a kind of token: an hour of the clock that words named; see moments.read_clock


def _hour_word(tokens: list[Token], i: int) -> float | None:
    if i >= len(tokens):
        return None
    token = tokens[i]
    if token.kind == "number" and token.text.isdigit() and 1 <= token.value <= 12:
        return token.value
    value = ONES.get(token.text, 0)
    return float(value) if 1 <= value <= 12 else None


def read_spoken_clock(tokens: list[Token], i: int) -> Found:
    """Half past three, a quarter to four, ten past five: the half of the day stays open."""
    j = i + (texts(tokens, i, 1) == ("a",))
    word = texts(tokens, j, 2)
    if len(word) < 2 or word[1] not in ("past", "to", "after"):
        return None
    minutes = {"half": 30.0, "quarter": 15.0}.get(word[0])
    if minutes is None and word[1] == "past":
        minutes = float(ONES.get(word[0], TENS.get(word[0], 0))) or None
    hour = _hour_word(tokens, j + 2)
    if minutes is None or hour is None or (word[0] == "half" and word[1] != "past"):
        return None
    value = hour - minutes / 60 if word[1] == "to" else hour + minutes / 60
    token = Token(_SPOKEN, f"{value:g}", tokens[i].start, tokens[j + 2].end, value)
    return [token], j + 3 - i, ""


def _hhmm(token: Token) -> str:
    """07:00 of 0700; empty for a number that is no such time."""
    raw = token.text
    if token.kind != "number" or len(raw) != 4 or not raw.isdigit():
        return ""
    hour, minute = int(raw[:2]), int(raw[2:])
    return f"{hour:02d}:{minute:02d}" if hour <= 24 and minute < 60 else ""


def read_military(tokens: list[Token], i: int) -> Found:
    """0700-1900, until 1730, 0900."""
    first = _hhmm(tokens[i])
    if not first or _unit_at(tokens, i + 1):
        return None
    link = texts(tokens, i + 1, 1)
    second = _hhmm(tokens[i + 2]) if i + 2 < len(tokens) and link and link[0] in _LINKS else ""
    if second and not _unit_at(tokens, i + 3):
        words = [*spoken(tokens[i], tokens[i], first), tokens[i + 1]]
        h = texts(tokens, i + 3, 1) in (("h",), ("hrs",), ("hours",))
        return words + spoken(tokens[i + 2], tokens[i + 2], second), 3 + h, ""
    led = i > 0 and tokens[i - 1].text in _BEFORE
    zero = tokens[i].text.startswith("0")
    year = 1990 <= tokens[i].value <= 2100
    if zero or (led and not year):
        h = texts(tokens, i + 1, 1) in (("h",), ("hrs",), ("hours",))
        return spoken(tokens[i], tokens[i], first), 1 + h, ""
    return None


def _unit_at(tokens: list[Token], i: int) -> bool:
    return i < len(tokens) and (tokens[i].text,) in UNITS and tokens[i].text not in ("h",)


def _hour(token: Token) -> bool:
    return token.kind == "number" and token.text.isdigit() and token.value <= 24


def read_hour_span(tokens: list[Token], i: int) -> Found:
    """14-15h, 08-18, 22 to 6 h, between 9 and 17 h, 21 o'clock to 5 o'clock."""
    if not _hour(tokens[i]) or (i and tokens[i - 1].text in _NO_CLOCK_BEFORE):
        return None
    j = i + 1
    first_h = j < len(tokens) and tokens[j].text in _HOUR
    j += first_h
    if j + 1 >= len(tokens) or tokens[j].text not in _LINKS or not _hour(tokens[j + 1]):
        return None
    if tokens[j].text == "and" and not (i and tokens[i - 1].text == "between"):
        return None
    last = j + 1
    h = last + 1 < len(tokens) and tokens[last + 1].text in _HOUR
    padded = tokens[i].text.startswith("0") or tokens[last].text.startswith("0")
    padded = padded and len(tokens[i].text) == len(tokens[last].text) == 2
    padded = padded and tokens[i].value <= 24 and not _unit_at(tokens, last + 1)
    if not (h or padded):
        return None
    named = tokens[last + 1].text in ("o'clock", "oclock") if h else False
    both = max(tokens[i].value, tokens[last].value) > 12 or padded or not named
    if not both:
        return None
    first, second = f"{int(tokens[i].value):02d}:00", f"{int(tokens[last].value):02d}:00"
    found = [*spoken(tokens[i], tokens[i], first), tokens[j]]
    return found + spoken(tokens[last], tokens[last], second), last + 1 + h - i, ""


def read_hour(tokens: list[Token], i: int) -> Found:
    """Until 18h, at 7 h, 13 h: an hour after a word of time."""
    if not _hour(tokens[i]) or not i or i + 1 >= len(tokens):
        return None
    if tokens[i + 1].text not in ("h", "hrs", "uhr", "o'clock", "oclock"):
        return None
    big = tokens[i].value > 12
    if tokens[i - 1].text not in _BEFORE[:8] and not (tokens[i + 1].text == "o'clock" and big):
        return None
    if tokens[i + 1].text in ("o'clock", "oclock") and not big:
        return None  # nine o'clock may be in the evening
    return spoken(tokens[i], tokens[i], f"{int(tokens[i].value):02d}:00"), 2, ""


def read_at_sign(tokens: list[Token], i: int) -> Found:
    """@ 16:00."""
    if tokens[i].text != "@":
        return None
    return spoken(tokens[i], tokens[i], "at"), 1, ""


_NEAR = ("today", "tomorrow", "tonight", "day", "off", "service")
_DAYS = ("weekdays", "weekday", "weekends", "working", "workdays", "time", "hours", "week")


def read_hours_of_days(tokens: list[Token], i: int) -> Found:
    """Thursday 9-12, Mon to Fri 7-18, 8 to 6 Monday to Friday: hours, for days are beside them."""
    if not _hour(tokens[i]) or i + 2 >= len(tokens) or not _hour(tokens[i + 2]):
        return None
    if tokens[i + 1].text not in ("-", "–", "to", "and") or _unit_at(tokens, i + 3):
        return None
    after = [t.text for t in tokens[i + 3 : i + 6] if t.text not in ("on", "every", "each", "all")]
    before = tokens[i - 1].text if i else ""
    near = tokens[i - 2].text if i > 1 and before == "between" else ""
    ahead = before in (*DAY_NAMES, *_DAYS, "tomorrow", "today") or near in (
        *DAY_NAMES,
        *_DAYS,
        *_NEAR,
    )
    behind = bool(after) and (after[0] in DAY_NAMES or after[0] in _DAYS[:5])
    if not (ahead or behind) or before == "from" or (before == "between" and not near):
        return None
    first, last = tokens[i].value, tokens[i + 2].value
    if first > 12:  # weekends 16-26 may be a band
        return None
    clocks = last > 12 or (tokens[i + 1].text in ("-", "–") and 6 <= first < last)
    if before == "between" and (not clocks or tokens[i + 1].text != "and"):
        return None
    if tokens[i + 1].text == "and" and before != "between":
        return None
    if clocks:
        words = f"{first:02.0f}:00 to {last:02.0f}:00"
        return spoken(tokens[i], tokens[i + 2], words), 3, words
    lead = Token("word", "from", tokens[i].start, tokens[i].start)
    return [lead, *tokens[i : i + 3]], 3, ""
