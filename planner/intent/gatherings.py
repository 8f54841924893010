"""Meetings and visits that say where and when the wish behind them holds."""

import re
from itertools import pairwise

from planner.intent.lexicon import Item, K
from planner.intent.pieces import Piece, pieces

_WORDS = """
    meeting meetings meets meet board visitor visitors visit visits visiting guest guests conference
    training party exam exams class classes client clients customer customers inspection workshop
    seminar seminars presentation lecture tour interview course delivery audit event events function
    reception ceremony rehearsal open house people team staff tenants session
"""
_EVENTS = frozenset(_WORDS.split())


_STANDS = re.compile(r"\b(is|are|sits?|stands?|lives?|located|kept) (located )?in\b", re.IGNORECASE)
_THERE = re.compile(r"\b(there|in there|in it)\b", re.IGNORECASE)


def _is_there(piece: Piece, after: Piece, text: str) -> bool:
    """The server is in the core zone. Never above 27 °C there."""
    said, then = (text[p.items[0].start : p.items[-1].end] for p in (piece, after))
    places = [i for i in piece.items if i.kind is K.SUBJECT]
    plain = piece.holds_only(K.FILLER, K.UNKNOWN, K.SUBJECT) and len(places) == 1
    own = any(i.kind in (K.SUBJECT, K.SIGNAL) for i in after.items)
    amount = any(i.kind in (K.NUMBER, K.RANGE) for i in after.items)
    return bool(plain and amount and not own and _STANDS.search(said) and _THERE.search(then))


def gatherings(items: list[Item], text: str) -> tuple[list[Item], list[tuple[int, int]]]:
    """`client meeting north offices tomorrow 10-12, 22 °C ± 1`: where and when the wish holds.

    What gathers there is set aside; the place and the time go to the wish behind the comma.
    """
    parts = pieces(items, text)
    kept, told = list(items), list[tuple[int, int]]()
    for piece, after in pairwise(parts):
        words = [i for i in piece.items if i.kind is K.UNKNOWN]
        whole = piece.holds_only(K.FILLER, K.UNKNOWN, K.TIME, K.SUBJECT, K.KEEP, K.USE)
        named = {i.kind for i in piece.items} >= {K.TIME, K.SUBJECT}
        events = [
            text[i.start : i.end].lower() for i in words if i.value not in ("since", "because")
        ]
        own = any(i.kind in (K.SUBJECT, K.SIGNAL) and i.value for i in after.items)
        amount = any(i.kind in (K.NUMBER, K.RANGE) for i in after.items)
        there = _is_there(piece, after, text)
        if there and words:
            marks = [i for i in items if i.kind is K.BREAK
                     and piece.items[-1].end <= i.start <= after.items[0].start]  # fmt: skip
            gone = {id(i) for i in (*words, *marks)}
            kept = [i for i in kept if id(i) not in gone]
            told.append((words[0].start, words[-1].end))
            continue
        if not (whole and named and events and piece.ender == "," and amount and not own):
            continue
        if not set(events) <= _EVENTS:
            continue
        marks = [i for i in items if i.kind is K.BREAK
                 and piece.items[-1].end <= i.start <= after.items[0].start]  # fmt: skip
        gone = {id(i) for i in (*words, *marks)}
        kept = [i for i in kept if id(i) not in gone]
        told.append((words[0].start, words[-1].end))
    return kept, told
