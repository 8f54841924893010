"""Engineers' notation in words: a <= x <= b, [a, b], |dx/dt|, N_start(HP), E_x, a*x + b*y, =>."""

import re

from planner.intent.lexicon import K, phrases
from planner.intent.quantities import UNITS
from planner.intent.rewriting import Found, Rule, number_token, spoken, texts, touching
from planner.intent.symbols import Symbols
from planner.intent.tokens import Token

_LESS = ("<=", "<", "≤", "=<")
_STARTS = re.compile(r"n_?(start|starts|on|st)$|starts$")
_ENDS = (".", ";", "\n", ":")
_MOST_BETWEEN = 8  # tokens of the name between two bounds
_MOST_ARROWS = 40  # of a text that are read as implications
_LARGER = ("comfort", "reliability", "throughput")


def read_chain(tokens: list[Token], i: int) -> Found:
    """20 <= x <= 26 °C: x between 20 and 26 °C."""
    minus = tokens[i].kind == "dash" and touching(tokens, i, 2)
    at, i = i, i + minus
    if tokens[i].kind != "number" or (at and not minus and tokens[at - 1].kind == "dash"):
        return None
    unit = _unit_length(tokens, i + 1)
    j = i + 1 + unit
    if texts(tokens, j, 1) not in tuple((s,) for s in _LESS):
        return None
    for k in range(j + 1, min(j + 2 + _MOST_BETWEEN, len(tokens) - 1)):
        if tokens[k].text in _ENDS or tokens[k].kind == "number":
            return None
        if tokens[k].text in _LESS and tokens[k + 1].kind == "number":
            name = tokens[j + 1 : k]
            first, last = tokens[i], tokens[k + 1]
            low, high, extra = (-first.value if minus else first.value), last.value, ""
            share = [t.text for t in name] == ["soc"] and high <= 1.0
            if share and not _unit_length(tokens, k + 2):
                low, high, extra = 100 * low, 100 * high, " %"
            words = [*spoken(first, last, "between"), number_token(low, first, last)]
            words += [*spoken(first, last, "and"), number_token(high, first, last)]
            words += spoken(first, last, extra.strip()) if extra else []
            note = f"{low:g} to {high:g} %" if extra else ""
            return [*name, *words], k + 2 - at, note
    return None


def read_share(tokens: list[Token], i: int) -> Found:
    """SoC >= 0.4: a share of one, where no unit stands behind it."""
    if tokens[i].text != "soc" or i + 2 >= len(tokens):
        return None
    j = i + 1 + (tokens[i + 1].text == "in")
    if texts(tokens, j, 1) == ("between",) and texts(tokens, j + 2, 1) == ("and",):
        ends = tokens[j + 1 : j + 4 : 2]
        if len(ends) == 2 and all(t.kind == "number" and 0 <= t.value <= 1 for t in ends):
            if _unit_length(tokens, j + 4):
                return None
            low, high = (number_token(100 * t.value, t, t) for t in ends)
            found = [tokens[i], tokens[j], low, tokens[j + 2], high]
            note = f"{low.text} to {high.text} %"
            return [*found, *spoken(ends[1], ends[1], "%")], j + 4 - i, note
    number = tokens[i + 2]
    sign = tokens[i + 1].text in (*_LESS, ">=", ">", "≥", "=")
    share = number.kind == "number" and 0 < number.value < 1 and not _unit_length(tokens, i + 3)
    if not (sign and share):
        return None
    value = 100 * number.value
    found = [tokens[i], tokens[i + 1], number_token(value, number, number)]
    return [*found, *spoken(number, number, "%")], 3, f"{value:g} %"


def _unit_length(tokens: list[Token], i: int) -> int:
    return next((n for n in (3, 2, 1) if texts(tokens, i, n) in UNITS), 0)


def read_interval(tokens: list[Token], i: int) -> Found:
    """[20, 24]: between 20 and 24."""
    if tokens[i].text != "[":
        return None
    inner = texts(tokens, i + 1, 4)
    if len(inner) >= 2 and inner[1] == "]" and "," in inner[0]:
        ends = inner[0].split(",")
        count = 3
    elif len(inner) == 4 and inner[3] == "]" and inner[1] in (",", ";", "..", "to", "-"):
        ends, count = [inner[0], inner[2]], 5
    else:
        return None
    if not all(re.fullmatch(r"\d{1,6}(\.\d{1,6})?", e) for e in ends) or len(ends) != 2:
        return None
    last = tokens[i + count - 1]
    found = [*spoken(tokens[i], last, "between"), number_token(float(ends[0]), tokens[i], last)]
    found += [*spoken(tokens[i], last, "and"), number_token(float(ends[1]), tokens[i], last)]
    return found, count, ""


def notation_rules(symbols: Symbols) -> tuple[Rule, ...]:
    """The rules that need the site's names."""

    def rate(tokens: list[Token], i: int) -> Found:
        """|dT_room/dt|, |d(T_cool,sp)/dt|, dP_grid/dt."""
        j = i + (tokens[i].text == "|")
        token = texts(tokens, j, 1)
        if not token or not token[0].startswith("d"):
            return None
        if token[0] == "d" and texts(tokens, j + 1, 1) == ("(",):
            close = next((k for k in range(j + 2, min(j + 8, len(tokens)))
                          if tokens[k].text == ")"), 0)  # fmt: skip
            name = "_".join(t.text for t in tokens[j + 2 : close] if t.text != ",")
            end = close + 1
        else:
            name, end = token[0][1:], j + 1
        if texts(tokens, end, 2) not in (("/", "dt"), ("per", "dt")):
            return None
        end += 2
        end += texts(tokens, end, 1) == ("|",)
        words = symbols.words(name) or symbols.asset(name) or _bare(name)
        if not words:
            return None
        return (
            spoken(tokens[i], tokens[end - 1], f"{words} change"),
            end - i,
            f"the rate of {words}",
        )

    def starts(tokens: list[Token], i: int) -> Found:
        """N_start(HP)."""
        if not _STARTS.fullmatch(tokens[i].text) or "n" not in tokens[i].text[:1]:
            return None
        name, end = _in_brackets(tokens, i + 1, symbols)
        if end == i + 1:
            return spoken(tokens[i], tokens[i], "starts"), 1, ""
        return spoken(tokens[i], tokens[end - 1], f"{name} starts"), end - i, ""

    def least_time(tokens: list[Token], i: int) -> Found:
        """t_on,min(HP) = 1800 s; t_min,off >= 30 min."""
        word = tokens[i].text
        j = i + 1
        if word in ("t_on", "t_off") and texts(tokens, j, 2) == (",", "min"):
            state, j = word[2:], j + 2
        elif word in ("t_on_min", "t_off_min", "t_min_on", "t_min_off"):
            state = "on" if "on" in word else "off"
        elif (
            word == "t_min"
            and texts(tokens, j, 1) == (",",)
            and texts(tokens, j + 1, 1) in (("on",), ("off",))
        ):
            state, j = tokens[j + 1].text, j + 2
        else:
            return None
        name, j = _in_brackets(tokens, j, symbols)
        j += texts(tokens, j, 1) in (("=",), (">=",), ("≥",))
        words = f"{name} {state} time at least".strip()
        return spoken(tokens[i], tokens[j - 1], words), j - i, words

    def total(tokens: list[Token], i: int) -> Found:
        """sum(P_imp): energy; of a power over time."""
        if tokens[i].text not in ("sum", "σ", "∑", "int", "integral", "∫", "Σ"):
            return None
        name, end = _in_brackets(tokens, i + 1, symbols)
        if end == i + 1 or not name:
            return None
        words = name if "energy" in name else f"{name} energy"
        return spoken(tokens[i], tokens[end - 1], words), end - i, ""

    def pair(tokens: list[Token], i: int) -> Found:
        """pumps 1+2; tanks 1 and 2."""
        word = tokens[i].text
        noun = word.removesuffix("s")
        two = texts(tokens, i + 1, 3)
        if len(two) < 3 or two[1] not in ("+", "and", "&", "/", ","):
            return None
        ids = [f"{noun} {two[0]}", f"{noun} {two[2]}"]
        if not all(symbols.known.get(tuple(n.split()), (None,))[0] is K.SUBJECT for n in ids):
            return None
        return spoken(tokens[i], tokens[i + 3], f"{ids[0]} and {ids[1]}"), 4, ""

    return (rate, starts, least_time, total, pair)


def _bare(name: str) -> str:
    return {"t": "temperature", "soc": "soc"}.get(name, "")


def _in_brackets(tokens: list[Token], i: int, symbols: Symbols) -> tuple[str, int]:
    """The asset in (HP), and the index after it; nothing and i where there are no brackets."""
    if texts(tokens, i, 1) != ("(",):
        return "", i
    close = next((k for k in range(i + 1, min(i + 6, len(tokens))) if tokens[k].text == ")"), 0)
    if not close:
        return "", i
    inner = " ".join(t.text for t in tokens[i + 1 : close])
    joined = inner.replace(" ", "_")
    return symbols.words(joined) or symbols.asset(joined) or inner, close + 1


def read_weights(tokens: list[Token], i: int) -> Found:
    """0.7*cost + 0.3*emissions, with `J =` and `-> min` around it: weights of objectives."""
    j = i
    if texts(tokens, j, 2) in (("j", "="), ("objective", "="), ("objective", ":"), ("cost", "="),
                               ("obj", ":"), ("obj", "="), ("f", "=")):  # fmt: skip
        j += 2
    j += texts(tokens, j, 1) in (("min",), ("minimise",), ("minimize",))
    terms: list[tuple[float, str]] = []
    while j < len(tokens) and tokens[j].kind == "number":
        k = j + 1 + (texts(tokens, j + 1, 1) in (("*",), ("·",), ("×",), ("x",)))
        name = _quantity(tokens, k)
        if not name:
            break
        terms.append((tokens[j].value, name[0]))
        j = name[1]
        if texts(tokens, j, 1) != ("+",):
            break
        j += 1
    if len(terms) < 2:
        return None
    if texts(tokens, j, 3) in (("-", ">", "min"), ("=", ">", "min")):
        j += 3
    elif texts(tokens, j, 2) == ("→", "min"):
        j += 2
    words = " and ".join(
        f"{'maximise' if name in _LARGER else 'minimise'} {name} weight {weight:g}"
        for weight, name in terms
    )
    return spoken(tokens[i], tokens[j - 1], words), j - i, ""


def read_weight_list(tokens: list[Token], i: int) -> Found:
    """Weights: cost 60, comfort 30 and wear 10."""
    if tokens[i].text not in ("weights", "weighting", "weightings"):
        return None
    j = i + 1
    j += texts(tokens, j, 1) in ((":",), ("=",), ("are",), ("take",), ("of",), ("use",))
    terms: list[tuple[float, str]] = []
    while name := _quantity(tokens, j):
        k = name[1] + (texts(tokens, name[1], 1) in ((":",), ("=",), ("at",)))
        if k >= len(tokens) or tokens[k].kind != "number":
            break
        terms.append((tokens[k].value, name[0]))
        j = k + 1 + (texts(tokens, k + 1, 1) == ("%",))
        after = j + (texts(tokens, j, 1) == (",",))
        after += texts(tokens, after, 1) == ("and",)
        if after == j or _quantity(tokens, after) is None:
            break
        j = after
    if len(terms) < 2:
        return None
    words = " and ".join(
        f"{'maximise' if name in _LARGER else 'minimise'} {name} weight {weight:g}"
        for weight, name in terms
    )
    return spoken(tokens[i], tokens[j - 1], words), j - i, ""


def _quantity(tokens: list[Token], i: int) -> tuple[str, int] | None:
    for n in (3, 2, 1):
        phrase = texts(tokens, i, n)
        kind, value = phrases().get(phrase, (K.UNKNOWN, None))
        if len(phrase) == n and kind is K.QUANTITY:
            return ("discomfort" if value == "discomfort" else " ".join(phrase)), i + n
    return None


def read_order(tokens: list[Token], i: int) -> Found:
    """reliability > comfort > cost: an order of importance."""
    j = i
    if tokens[i].text in ("lexicographic", "priority", "priorities", "order", "ranking", "lex"):
        j += 1 + (texts(tokens, i + 1, 1) in ((":",), ("=",)))
    names: list[str] = []
    while True:
        name = _quantity(tokens, j)
        if name is None:
            return None
        names.append(name[0])
        j = name[1]
        if texts(tokens, j, 1) not in ((">",), (">>",), ("≻",)):
            break
        j += 1 + (texts(tokens, j + 1, 1) == (">",))
    if len(names) < 2:
        return None
    words = f"{names[0]} first , then " + " , then ".join(names[1:])
    return spoken(tokens[i], tokens[j - 1], words), j - i, ""


def read_implication(tokens: list[Token]) -> list[Token]:
    """`GHI > 500 W/m2 => P_charge >= 10 kW`: if ..., then ... ."""
    found = list(tokens)
    i = arrows = 0
    while i < len(found) and arrows < _MOST_ARROWS:
        pair = texts(found, i, 2)
        arrow = 1 if pair[:1] in (("⇒",), ("→",)) else 0
        arrow = arrow or (2 if pair in (("=", ">"), ("-", ">")) and touching(found, i, 2) else 0)
        if arrow and i:
            begin = next((k + 1 for k in range(i - 1, -1, -1) if found[k].text in _ENDS), 0)
            if begin < i and found[begin].text not in ("if", "when"):
                then = spoken(found[i], found[i + arrow - 1], ",")
                lead = spoken(found[begin], found[begin], "if")
                lead = [Token("word", "if", found[begin].start, found[begin].start)]
                found = [*found[:begin], *lead, *found[begin:i], *then, *found[i + arrow :]]
                i = begin + len(lead)
                arrows += 1
        i += 1
    return found


def read_equals(tokens: list[Token], i: int) -> Found:
    """`h1 = 12`, `u1 := 3 V`: what stands behind is the number of what stands before."""
    if texts(tokens, i, 2) == (":", "=") and touching(tokens, i, 2):
        return [], 2, ""
    if tokens[i].text == "=" and i and i + 1 < len(tokens) and tokens[i + 1].kind == "number":
        return [], 1, ""
    return None


def read_aim_of_unit(tokens: list[Token], i: int) -> Found:
    """min EUR, min kWh: the quantity that is counted in that unit."""
    if tokens[i].text not in ("min", "minimise", "minimize", "minimum") or i + 1 >= len(tokens):
        return None
    unit = UNITS.get((tokens[i + 1].text,))
    if unit is None or unit.dimension not in ("money", "energy"):
        return None
    name = "cost" if unit.dimension == "money" else "energy"
    return spoken(tokens[i], tokens[i + 1], f"minimise {name}"), 2, f"minimise {name}"


def read_per(tokens: list[Token], i: int) -> Found:
    """kWh/d, d^-1, /day: a day; per 15 min stays for `items`."""
    if texts(tokens, i, 4) == ("d", "^", "-", "1") or texts(tokens, i, 4) == ("day", "^", "-", "1"):
        return spoken(tokens[i], tokens[i + 3], "/ day"), 4, ""
    if texts(tokens, i, 4) == ("h", "^", "-", "1"):
        return spoken(tokens[i], tokens[i + 3], "/ h"), 4, ""
    if texts(tokens, i, 2) == ("/", "d") or texts(tokens, i, 2) == ("per", "d"):
        return spoken(tokens[i], tokens[i + 1], "/ day"), 2, ""
    return None
