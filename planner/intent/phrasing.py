"""Turns of phrase in the grammar's own words: no more buying, power is dearer than, until 27 C."""

from planner.intent.lexicon import K
from planner.intent.quantities import UNITS
from planner.intent.rewriting import Found, Rule, spoken, texts
from planner.intent.symbols import Symbols
from planner.intent.tokens import Token

_MOVES = ("fall", "drop", "sink", "rise", "go", "cool", "heat", "warm", "climb", "sag", "drift",
          "float", "up", "down", "allowed")  # fmt: skip
_FLOWS = ("export", "import", "discharge", "discharging", "exporting", "importing", "charging",
          "charge", "exports", "imports", "feed", "infeed", "starts")  # fmt: skip
_DEAR = ("dearer", "pricier", "costlier", "higher")
_CLOCKS = ("am", "pm", "h", "o'clock", "oclock", "tomorrow", "today", "tonight")
_DOWN_BEFORE = ("is", "are", "be", "unit", "pump", "battery", "hp", "heating", "machine", "bess",
                "units", "pumps")  # fmt: skip
_RUNS = {"running": "on", "runs": "on", "started": "on", "starts": "on", "on": "on",
         "stopped": "off", "stops": "off", "off": "off", "going": "on"}  # fmt: skip


def tops(tokens: list[Token], i: int) -> Found:
    """If the price tops 45 cents: is above."""
    after = tokens[i + 1].kind if i + 1 < len(tokens) else ""
    if tokens[i].text not in ("tops", "hits", "passes", "tops") or after != "number":
        return None
    word = "above" if tokens[i].text != "hits" else "at least"
    return spoken(tokens[i], tokens[i], word), 1, ""


def no_flow(tokens: list[Token], i: int) -> Found:
    """Zero export, no more discharging, nil import."""
    word = texts(tokens, i, 3)
    if word[:1] in (("zero",), ("nil",), ("0",)) and word[1:2] and word[1] in _FLOWS:
        return spoken(tokens[i], tokens[i], "no"), 1, f"no {word[1]}"
    if word[:2] == ("no", "more") and word[2:] and word[2] in _FLOWS[:-1]:
        return spoken(tokens[i], tokens[i + 1], "no"), 2, ""
    return None


def stop_flow(tokens: list[Token], i: int) -> Found:
    """Stop buying: don't; export nothing: no export; freezing outside: below freezing."""
    word = texts(tokens, i, 2)
    if word[:1] == ("stop",) and word[1:] and word[1].endswith("ing"):
        return spoken(tokens[i], tokens[i], "not"), 1, ""
    if word[1:] == ("nothing",) and word[0] in _FLOWS:
        return spoken(tokens[i], tokens[i + 1], f"no {word[0]}"), 2, ""
    if word[1:] == ("freezing",) and word[0] in ("is", "it's"):
        return spoken(tokens[i], tokens[i + 1], "below freezing"), 2, ""
    if word in (("min", "on"), ("min", "off")):
        after = tokens[i + 2].kind if i + 2 < len(tokens) else ""
        words = f"{word[1]} time at least"
        return (spoken(tokens[i], tokens[i + 1], words), 2, "") if after == "number" else None
    return None


def until_value(tokens: list[Token], i: int) -> Found:
    """May fall until 18, is allowed until 27 C: a value, not a time."""
    if tokens[i].text not in ("until", "till", "til") or i + 1 >= len(tokens):
        return None
    number = tokens[i + 1]
    after = texts(tokens, i + 2, 1)
    unit = UNITS.get(after) if after and after[0] not in ("h",) else None
    moves = i > 0 and tokens[i - 1].text in _MOVES
    if number.kind != "number" or (after and after[0] in _CLOCKS):
        return None
    if (unit and unit.dimension in ("temperature", "ratio", "length", "voltage")) or (
        moves and tokens[i - 1].text != "up" and tokens[i - 1].text != "down"
    ):
        return spoken(tokens[i], tokens[i], "to"), 1, "to"
    return None


def up_to(tokens: list[Token], i: int) -> Found:
    """Float up to 26: rise to 26."""
    if texts(tokens, i, 2) != ("up", "to") or not i or tokens[i - 1].text not in _MOVES:
        return None
    if texts(tokens, i + 2, 1) and tokens[i + 2].kind == "number":
        return spoken(tokens[i], tokens[i + 1], "up to")[1:], 2, ""
    return None


def price_is(tokens: list[Token], i: int) -> Found:
    """Power is dearer than: the price is above."""
    word = texts(tokens, i, 5)
    verbs = (("is",), ("gets",), ("becomes",), ("goes",))
    if word[:1] not in (("power",), ("electricity",), ("energy",)) or word[1:2] not in verbs:
        return None
    if word[3:4] == ("than",) and word[2] in (*_DEAR, "cheaper"):
        side = "below" if word[2] == "cheaper" else "above"
        return spoken(tokens[i], tokens[i + 3], f"price is {side}"), 4, ""
    if word[2:5] == ("more", "expensive", "than"):
        return spoken(tokens[i], tokens[i + 4], "price is above"), 5, ""
    return None


def from_grid(tokens: list[Token], i: int) -> Found:
    """From net, from the net; 40 kW off the grid."""
    for n, words in (
        (3, ("from", "the", "net")),
        (2, ("from", "net")),
        (4, ("out", "of", "the", "net")),
    ):
        if texts(tokens, i, n) == words:
            return spoken(tokens[i], tokens[i + n - 1], "from grid"), n, ""
    unit = UNITS.get((tokens[i - 1].text,)) if i else None
    power = unit is not None and unit.dimension in ("power", "energy")
    if power and texts(tokens, i, 3) in (("off", "the", "grid"), ("off", "the", "mains"),
                                         ("off", "the", "utility")):  # fmt: skip
        return spoken(tokens[i], tokens[i], "from"), 1, ""
    return None


def out_of_service(tokens: list[Token], i: int) -> Found:
    """The unit is out, is away, is down; north unit down 14:10-14:30."""
    if not i or tokens[i].text not in ("down", "out", "away"):
        return None
    before, after = tokens[i - 1].text, texts(tokens, i + 1, 1)
    if texts(tokens, i - 3, 2) == ("while", "it"):
        return None
    ends = not after or after[0] in ("from", "today", "tomorrow", "between", "on", "for", "until",
                                     "all", ",", ".", ";", "at", "this", "over", "(")  # fmt: skip
    ends = ends or (bool(after) and tokens[i + 1].kind in ("clock", "number", "date"))
    verb = before in ("is", "are", "be", "being", "go", "goes") and tokens[i].text != "down"
    if ends and (verb or before in _DOWN_BEFORE) and before not in ("go", "goes"):
        return spoken(tokens[i], tokens[i], "out of service"), 1, "out of service"
    return None


def shut_down(tokens: list[Token], i: int) -> Found:
    """Shut the east unit down, take it out: off."""
    if tokens[i].text not in ("down", "out", "offline") or not i:
        return None
    verbs = [t.text for t in tokens[max(0, i - 5) : i]]
    verb = next((v for v in reversed(verbs) if v in ("shut", "take", "bring", "switch")), "")
    marks = any(t.kind in ("mark", "number") for t in tokens[max(0, i - 5) : i])
    number = i + 1 < len(tokens) and tokens[i + 1].text in ("to", "below", "by", "of")
    if not verb or marks or number or (verb in ("take", "bring") and tokens[i].text == "out"):
        return None
    return spoken(tokens[i], tokens[i], "off"), 1, ""


def then_time(tokens: list[Token], i: int) -> Found:
    """South rooms 22-23 C then: in the time that was named."""
    last = i + 1 >= len(tokens) or tokens[i + 1].text in (".", ";", "!", "\n")
    before = tokens[i - 1] if i else None
    if tokens[i].text != "then" or not last or before is None or before.kind in ("mark", "dash"):
        return None
    return spoken(tokens[i], tokens[i], "during that time"), 1, ""


def nothing_above(tokens: list[Token], i: int) -> Found:
    """Nothing above 50 kW from the grid: not above."""
    sides = ("above", "over", "below", "under", "more", "less")
    if tokens[i].text != "nothing" or texts(tokens, i + 1, 1) not in [(s,) for s in sides]:
        return None
    return spoken(tokens[i], tokens[i], "not"), 1, ""


def one_o_clock(tokens: list[Token], i: int) -> Found:
    """Between one and six, from one to three, at one pm."""
    if tokens[i].text != "one" or not i:
        return None
    led = tokens[i - 1].text in (
        "between",
        "from",
        "until",
        "at",
        "by",
        "before",
        "after",
        "to",
        "and",
    )
    after = texts(tokens, i + 1, 2)
    clock = after[:1] in (("am",), ("pm",), ("o'clock",)) or after == ("in", "the")
    span = after[:1] in (("and",), ("to",), ("until",)) and i + 2 < len(tokens)
    span = span and tokens[i - 1].text in ("between", "from")
    return (spoken(tokens[i], tokens[i], "1"), 1, "") if led and (clock or span) else None


def phrasing_rules(symbols: Symbols) -> tuple[Rule, ...]:
    """The rules for one site."""

    def each_run(tokens: list[Token], i: int) -> Found:
        """Once the compressor is running, ...: once started, of the compressor."""
        lead = 2 if texts(tokens, i, 2) in (("every", "time"), ("each", "time")) else 1
        if lead == 1 and tokens[i].text not in ("once", "whenever", "when", "after"):
            return None
        j = i + lead + (texts(tokens, i + lead, 1) == ("the",))
        for n in (3, 2, 1):
            name = texts(tokens, j, n)
            if symbols.known.get(name, (K.UNKNOWN,))[0] is not K.SUBJECT:
                continue
            k = j + n
            k += texts(tokens, k, 1) in (("is",), ("has",), ("was",))
            state = _RUNS.get(" ".join(texts(tokens, k, 1)), "")
            if not state:
                return None
            k += 1
            k += texts(tokens, k, 1) == (",",)
            again = "once it starts" if state == "on" else "once it stops"
            return spoken(tokens[i], tokens[k - 1], f"{' '.join(name)} {again}"), k - i, ""
        return None

    def either(tokens: list[Token], i: int) -> Found:
        """Either pump: both pumps."""
        if tokens[i].text not in ("either", "neither") or i + 1 >= len(tokens):
            return None
        plural = tokens[i + 1].text.removesuffix("s") + "s"
        if tokens[i].text == "neither" or (plural,) not in symbols.known:
            return None
        return spoken(tokens[i], tokens[i + 1], plural), 2, ""

    def listed(tokens: list[Token], i: int) -> Found:
        """h1,h2: and."""
        if tokens[i].text != "," or not 0 < i < len(tokens) - 1:
            return None
        names = ((tokens[i - 1].text,), (tokens[i + 1].text,))
        close = tokens[i - 1].end == tokens[i].start and tokens[i].end == tokens[i + 1].start
        both = all(symbols.known.get(n, (K.UNKNOWN,))[0] in (K.SUBJECT, K.SIGNAL) for n in names)
        return (spoken(tokens[i], tokens[i], "and"), 1, "") if close and both else None

    return (each_run, either, listed, tops, no_flow, until_value, up_to, price_is, from_grid,
            out_of_service, one_o_clock, shut_down, then_time, nothing_above,
            stop_flow)  # fmt: skip
