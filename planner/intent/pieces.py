"""Pieces of a sentence: the items between two marks, before clauses are made of them."""

from dataclasses import dataclass

from planner.intent.lexicon import Item, K


@dataclass(frozen=True)
class Piece:
    """Neighbouring items between two marks; `ender` is the mark behind it, `leader` before it."""

    items: tuple[Item, ...]
    leader: str
    ender: str

    def holds_only(self, *kinds: K) -> bool:
        """Whether no item is of another kind."""
        return all(i.kind in kinds for i in self.items)


def pieces(items: list[Item], text: str) -> list[Piece]:
    """The items between marks; a reason (because ...) begins a piece of its own."""
    found: list[Piece] = []
    current: list[Item] = []
    leader = ""
    for item in items:
        mark = text[item.start : item.end] if item.kind is K.BREAK else ""
        word = text[item.start : item.end].lower()
        if mark and not mark[0].isalpha() and mark != "&":
            found += [Piece(tuple(current), leader, mark)] if current else []
            current, leader = [], mark
            continue
        if word in ("because", "since") and current:
            found.append(Piece(tuple(current), leader, word))
            current, leader = [], word
        current.append(item)
    return [*found, Piece(tuple(current), leader, "")] if current else found
