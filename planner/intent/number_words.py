"""Numbers in words: thirty-five, two hundred, eighteen and a half, three quarters, half a K."""

from planner.intent.rewriting import Found, number_token, spoken, texts
from planner.intent.tokens import Token

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ONES = {name: value for value, name in enumerate(_ONES)}
TENS = {name: 10 * value for value, name in enumerate(_TENS, 2)} | {"fourty": 40}
_HALVED = ("degree", "kelvin", "volt", "kilowatt", "centimetre", "centimeter", "percent", "k")
_SHARES = {("a", "quarter"): 25, ("one", "quarter"): 25, ("a", "half"): 50, ("half",): 50,
           ("three", "quarters"): 75, ("three", "quarter"): 75}  # fmt: skip
_BEFORE_SHARE = ("under", "below", "above", "over", "than", "least", "most", "to", "exceed")
_NOT_AFTER_SHARE = ("to", "past", "of", "an", "a", "hour", "hours", "as", "the")
_CENTS = ("cents", "cent")


def number_at(tokens: list[Token], i: int) -> tuple[float, int] | None:
    """The number in words at token i, of any length, and the index after it."""
    found = _whole(tokens, i)
    if found is None:
        return None
    value, j = found
    if texts(tokens, j, 1) == ("point",):
        digits = ""
        k = j + 1
        while k < len(tokens) and ONES.get(tokens[k].text, 10) < 10:
            digits += str(ONES[tokens[k].text])
            k += 1
        return (float(f"{value:.0f}.{digits}"), k) if digits else (value, j)
    if texts(tokens, j, 3) == ("and", "a", "half"):
        return value + 0.5, j + 3
    if texts(tokens, j, 3) == ("and", "a", "quarter"):
        return value + 0.25, j + 3
    if texts(tokens, j, 3) == ("and", "three", "quarters"):
        return value + 0.75, j + 3
    return value, j


def _whole(tokens: list[Token], i: int) -> tuple[float, int] | None:
    below = _below_hundred(tokens, i)
    word = texts(tokens, i, 2)
    if below is None and word[:1] in (("a",), ("hundred",)):
        below = (1, i + (word[0] == "a")) if "hundred" in word else None
    if below is None:
        return None
    value, j = below
    for name, size in (("hundred", 100), ("thousand", 1000)):
        if texts(tokens, j, 1) == (name,):
            value, j = value * size, j + 1
            k = j + (texts(tokens, j, 1) == ("and",))
            rest = _whole(tokens, k)
            if rest is not None and rest[0] < size:
                value, j = value + rest[0], rest[1]
    return value, j


def _below_hundred(tokens: list[Token], i: int) -> tuple[float, int] | None:
    if i >= len(tokens):
        return None
    word = tokens[i].text
    if word in TENS:
        after = ONES.get(tokens[i + 1].text, 0) if i + 1 < len(tokens) else 0
        return (TENS[word] + after, i + 2) if 0 < after < 10 else (TENS[word], i + 1)
    return (ONES[word], i + 1) if word in ONES else None


def read_number(tokens: list[Token], i: int) -> Found:
    """A number token for a number in words; `one` by itself is often no number and stays."""
    if tokens[i].kind == "number" and texts(tokens, i + 1, 3) == ("and", "a", "half"):
        return [number_token(tokens[i].value + 0.5, tokens[i], tokens[i + 3])], 4, ""
    found = number_at(tokens, i)
    if found is None:
        return None
    value, j = found
    if value == 1 and j == i + 1:
        return None
    return [number_token(value, tokens[i], tokens[j - 1])], j - i, ""


def read_share(tokens: list[Token], i: int) -> Found:
    """`below a quarter`, `half full`: shares of the whole in per cent."""
    for words, share in _SHARES.items():
        n = len(words)
        if texts(tokens, i, n) != words:
            continue
        after = texts(tokens, i + n, 1)
        full = after in (("full",), ("charged",), ("charge",))
        bounded = texts(tokens, i - 1, 1) and i > 0 and tokens[i - 1].text in _BEFORE_SHARE
        if full or (bounded and (not after or after[0] not in _NOT_AFTER_SHARE)):
            return spoken(tokens[i], tokens[i + n - 1], f"{share} %"), n, f"{share} %"
    return None


def read_half_of_unit(tokens: list[Token], i: int) -> Found:
    """Half a degree, three quarters of an hour."""
    halved = texts(tokens, i, 2) in (("half", "a"), ("half", "an"))
    if halved and i + 2 < len(tokens) and tokens[i + 2].text in _HALVED:
        return [number_token(0.5, tokens[i], tokens[i + 1])], 2, ""
    if texts(tokens, i, 5) in (("three", "quarters", "of", "an", "hour"),
                               ("three", "quarter", "of", "an", "hour")):  # fmt: skip
        return spoken(tokens[i], tokens[i + 4], "45 minutes"), 5, ""
    return None
