"""Tokens in place of tokens: what another spelling of the same thing is rewritten with.

A rewritten token keeps the place of the words that it stands for, so that every quotation, and
every remark about what was not understood, shows the operator's own words.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

from planner.intent.tokens import Token


@dataclass(frozen=True)
class Written:
    """Tokens, and what is to be told of how they were read."""

    tokens: list[Token]
    notes: tuple[str, ...] = ()


# What stands in the place of tokens, how many of them, and a remark; or None.
Found = tuple[list[Token], int, str] | None
Rule = Callable[[list[Token], int], Found]


def spoken(first: Token, last: Token, words: str) -> list[Token]:
    """Tokens for `words` in the place of the tokens from `first` to `last`."""
    return [_token(word, first.start, last.end) for word in words.split()]


def number_token(value: float, first: Token, last: Token) -> Token:
    """A number in the place of the tokens from `first` to `last`."""
    return Token("number", f"{value:g}", first.start, last.end, float(value))


def _token(word: str, start: int, end: int) -> Token:
    if word.replace(".", "", 1).isdigit():
        return Token("number", word, start, end, float(word))
    kind = "word"
    if word[0].isdigit() and ":" in word:
        kind = "clock"
    elif word in ("<=", ">=", "<", ">", "%", "±"):
        kind = "sign"
    elif word in ",;.:()/":
        kind = "mark"
    elif word == "-":
        kind = "dash"
    return Token(kind, word, start, end)


def rewrite(written: Written, text: str, *rules: Rule) -> Written:
    """Apply the first rule that fits at each place, once from left to right."""
    tokens, notes = written.tokens, list(written.notes)
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        change = next((c for rule in rules if (c := rule(tokens, i))), None)
        if change is None:
            found.append(tokens[i])
            i += 1
            continue
        new, count, note = change
        if note:
            said = text[tokens[i].start : tokens[i + count - 1].end]
            notes.append(f"“{said}” is read as {note}")
        found += new
        i += count
    return replace(written, tokens=found, notes=tuple(notes))


def texts(tokens: list[Token], i: int, count: int) -> tuple[str, ...]:
    """The texts of `count` tokens from i on; fewer at the end."""
    return tuple(t.text for t in tokens[max(i, 0) : max(i, 0) + count])


def touching(tokens: list[Token], i: int, count: int) -> bool:
    """Whether no space stands between `count` tokens from i on."""
    part = tokens[i : i + count]
    return len(part) == count and all(a.end == b.start for a, b in itertools.pairwise(part))
