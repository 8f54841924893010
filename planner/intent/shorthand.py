"""Short names and abbreviations in place of words: T2, N, north, lower left, bat, wkdays, oos."""

from planner.intent.lexicon import K
from planner.intent.moments import DAY_NAMES
from planner.intent.rewriting import Found, Rule, spoken, texts, touching
from planner.intent.symbols import Symbols
from planner.intent.tokens import Token

_SHORT = {
    "bat": "battery", "batt": "battery", "bats": "battery", "bess": "battery", "wkdays": "weekdays",
    "wkday": "weekdays", "wkends": "weekends", "wknds": "weekends", "wknd": "weekend",
    "wkend": "weekend", "oos": "out of service", "tmrw": "tomorrow", "tmr": "tomorrow",
    "tmw": "tomorrow", "tomo": "tomorrow", "2moro": "tomorrow", "2mrw": "tomorrow",
    "tonite": "tonight", "2nite": "tonight", "btw": "between", "rms": "rooms", "rm": "room",
    "htg": "heating", "clg": "cooling", "sp": "setpoint", "stpt": "setpoint", "setpt": "setpoint",
    "chg": "charge", "dischg": "discharge", "dchg": "discharge", "imp": "import", "exp": "export",
    "hrs": "hours", "pls": "please", "plz": "please", "thx": "thanks", "w/o": "without",
    "approx": "approximately", "maint": "maintenance", "elec": "electricity", "temp": "temperature",
    "eve": "evening", "aft": "after", "bef": "before", "mins": "minutes", "thru": "through",
    "daytimes": "daytime", "em": "emissions", "asap": "now", "unavail": "unavailable",
    "grad": "degrees", "centigrade": "celsius", "°celsius": "celsius",
}  # fmt: skip
_PAIRS = {
    ("w", "/", "o"): "without", ("b", "/", "w"): "between", ("w", "/"): "with",
    ("m", "f"): "weekdays", ("mo", "fr"): "weekdays", ("mon", "fri"): "weekdays",
    ("o", "/", "s"): "out of service", ("24", "/", "7"): "always", ("deg", "."): "degrees",
    ("max", "."): "max", ("min", "."): "min", ("a", ".", "m", "."): "am",
    ("p", ".", "m", "."): "pm",
    ("s", ".", "t", "."): "subject to", ("s", ".", "t"): "subject to", ("temp", "."): "temperature",
    ("approx", "."): "approximately", ("incl", "."): "including", ("1", "st"): "first",
    ("2", "nd"): "second", ("3", "rd"): "third",
}  # fmt: skip
_SITE_WORDS = ("battery",)  # read only where the site has one


def shorthand_rules(symbols: Symbols, text: str) -> tuple[Rule, ...]:
    """The rules for one site and one text."""

    def symbol(tokens: list[Token], i: int) -> Found:
        token = tokens[i]
        if token.kind != "word" or (token.text,) in symbols.known:
            return None
        # T_cool,sp and t_on,min: the subscript goes on behind a comma.
        more = texts(tokens, i + 1, 2)
        if "_" in token.text and more[:1] == (",",) and touching(tokens, i, 3):
            long = symbols.words(f"{token.text}_{more[1]}")
            if long:
                return spoken(token, tokens[i + 2], long), 3, long
        words = symbols.words(token.text)
        return (spoken(token, token, words), 1, words) if words else None

    def corner(tokens: list[Token], i: int) -> Found:
        token = tokens[i]
        zone = symbols.corners.get(token.text)
        written = text[token.start : token.end]
        if zone is None or token.kind != "word" or (token.text,) in symbols.known:
            return None
        if len(token.text) == 1 and not written.isupper():
            return None
        after = [t.text for t in tokens[i + 1 : i + 6]]
        if _in_a_name(tokens, i, symbols) or _measures(tokens, i):
            return None
        if len(token.text) > 1 and any((token.text, w) in symbols.known for w in after):
            return None
        if len(token.text) == 1 and (token.text in "ai" or after[:1] in (["unit"], ["heat"])):
            return None
        count = 1 + (bool(after) and after[0] in _NOUNS)
        last = tokens[i + count - 1]
        return spoken(token, last, zone), count, f"the {symbols.label(zone)}"

    def place(tokens: list[Token], i: int) -> Found:
        pair = texts(tokens, i, 2)
        found = symbols.places.get(" ".join(pair)) if len(pair) == 2 else None
        if found is None or texts(tokens, i + 2, 1) in (("tank",), ("tanks",), ("pump",)):
            return None
        return spoken(tokens[i], tokens[i + 1], found), 2, f"the {found}"

    return (_short_rule(symbols), symbol, corner, place)


_NOUNS = ("rooms", "room", "zone", "zones", "offices", "wing", "side", "rms", "office", "area")


def _in_a_name(tokens: list[Token], i: int, symbols: Symbols) -> bool:
    """Whether a longer name of the site runs over token i: wing B, south heat pump."""
    return any(
        texts(tokens, start, n) in symbols.known
        for n in (2, 3, 4) for start in range(max(0, i - n + 1), i + 1)
    )  # fmt: skip


def _measures(tokens: list[Token], i: int) -> bool:
    """Whether a letter is the unit of the number before it."""
    return i > 0 and len(tokens[i].text) == 1 and tokens[i - 1].text[-1:].isdigit()


def _short_rule(symbols: Symbols) -> Rule:
    def short(tokens: list[Token], i: int) -> Found:
        for n in (4, 3, 2):
            pair = texts(tokens, i, n)
            unit = bool(i) and pair == ("w", "/") and _after_number(tokens, i)
            if len(pair) < n or pair not in _PAIRS or unit:
                continue
            hyphened = "." not in pair and pair[1] != "/" and _hyphen(tokens, i)
            if n > 2 or touching(tokens, i, n) or hyphened:
                return spoken(tokens[i], tokens[i + n - 1], _PAIRS[pair]), n, ""
        word = _SHORT.get(tokens[i].text)
        if word is None or (tokens[i].text,) in symbols.known:
            return None
        if word in _SITE_WORDS and symbols.known.get((word,), (None,))[0] is not K.SUBJECT:
            return None
        return spoken(tokens[i], tokens[i], word), 1, ""

    return short


def _after_number(tokens: list[Token], i: int) -> bool:
    """Whether `W/` is the beginning of a unit, W/m2."""
    return tokens[i - 1].kind == "number"


def _hyphen(tokens: list[Token], i: int) -> bool:
    """Whether one character, the hyphen of Mon-Fri, stands between two words."""
    return i + 1 < len(tokens) and tokens[i + 1].start == tokens[i].end + 1


def read_day_span(tokens: list[Token], i: int) -> Found:
    """Mon-Thu, Tue to Fri after no `from`: each of these days of any week."""
    names = sorted(DAY_NAMES.items(), key=lambda item: item[1])
    first = DAY_NAMES.get(tokens[i].text)
    if first is None or (i and tokens[i - 1].text in ("from", "next", "this", "until", "coming")):
        return None
    j = i + 1 + (texts(tokens, i + 1, 1) in (("-",), ("–",)))
    last = DAY_NAMES.get(tokens[j].text) if j < len(tokens) else None
    hyphen = j > i + 1 or _hyphen(tokens, i)
    if last is None or not hyphen or last <= first:
        return None
    short = {index: name for name, index in reversed(names) if len(name) == 3}
    days = " , ".join(short[d] for d in range(first, last + 1))
    return spoken(tokens[i], tokens[j], days), j + 1 - i, ""
