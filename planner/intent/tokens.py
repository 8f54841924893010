"""Text to tokens. Every character of the text belongs to a token or is a space."""

import re
from dataclasses import dataclass

MAX_CHARACTERS = 4000  # a long paragraph; the compiler's work grows with the length


@dataclass(frozen=True)
class Token:
    """A piece of text with its place.

    kind: word, number, clock, date, sign (unit or comparison), dash, mark (punctuation) or other.
    text: lower case, without a possessive ending. value: of a number.
    """

    kind: str
    text: str
    start: int
    end: int
    value: float = 0.0


# Tried in this order at each place.
_KINDS = (
    ("date", re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")),
    ("clock", re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?!\d)")),
    ("number", re.compile(r"\d+(?:[.,]\d+)?")),
    ("sign", re.compile(r"<=|>=|[≤≥<>±%$€£]|\+/-|°\s?[CFcf]?(?!\w)|°")),
    ("dash", re.compile(r"[-–—−]|\.\.\.?|…")),
    ("word", re.compile(r"[^\W\d]\w*(?:['’][a-zA-Z]+)?")),
    ("mark", re.compile(r"[,;.:!?()/\n\"“”'‘’]")),
)


def tokenize(text: str, signal_ids: frozenset[str] = frozenset()) -> list[Token]:
    """Tokens of `text` in order; `signal_ids` such as `hp.heat_kw` stay in one piece."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace() and text[at] != "\n":
            at += 1
            continue
        token = _signal_at(text, at, signal_ids) or _token_at(text, at)
        tokens.append(token)
        at = token.end
    return [t for i, t in enumerate(tokens) if not _joins_words(tokens, i)]


def _signal_at(text: str, at: int, signal_ids: frozenset[str]) -> Token | None:
    found = re.compile(r"[a-z]\w*\.[a-z]\w*").match(text, at)
    if found and found.group() in signal_ids:
        return Token("word", found.group(), at, found.end())
    return None


def _token_at(text: str, at: int) -> Token:
    for kind, pattern in _KINDS:
        found = pattern.match(text, at)
        if found:
            raw = found.group()
            if kind == "number":
                return Token(kind, raw, at, found.end(), float(raw.replace(",", ".")))
            return Token(kind, _plain(raw), at, found.end())
    return Token("other", text[at], at, at + 1)


def _plain(raw: str) -> str:
    lower = raw.lower().replace("’", "'")
    return lower.removesuffix("'s")


def _joins_words(tokens: list[Token], i: int) -> bool:
    """Whether token i is the hyphen of a compound such as heat-pump."""
    if tokens[i].kind != "dash" or not 0 < i < len(tokens) - 1:
        return False
    left, right = tokens[i - 1], tokens[i + 1]
    touching = left.end == tokens[i].start and tokens[i].end == right.start
    return touching and left.kind == "word" and right.kind == "word"
