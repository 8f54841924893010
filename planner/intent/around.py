"""Words around a wish: greetings, signatures, headings, reasons and reports of what is going on.

They are set aside only where they hold nothing that could carry a wish (no number, bound, time,
negation, standstill, condition ...), and every piece that is set aside is told. Whatever is in
doubt stays: it is then read, or asked about.
"""

import re
from itertools import pairwise

from planner.intent.gatherings import gatherings
from planner.intent.lexicon import Item, K
from planner.intent.pieces import Piece, pieces

_HELLO = ("team", "folks", "guys", "colleagues", "everyone", "operator", "operators", "dear", "hi",
          "hello", "hey", "good morning", "good evening", "good afternoon", "morning", "greetings",
          "to whom it may concern", "attention", "attn")  # fmt: skip
_BYE = ("thanks", "thank you", "thank", "many thanks", "regards", "kind regards", "best regards",
        "best", "best wishes", "cheers", "sincerely", "yours", "yours sincerely", "br", "rgds",
        "kr", "warm regards", "thx", "ta", "greetings", "yours faithfully", "cordially",
        "with kind regards", "thank you very much", "thanks a lot", "much appreciated")  # fmt: skip
_WHY = ("because", "since", "as", "due", "owing", "reason", "background", "fyi", "context", "given")
_REPORTS = ("is", "are", "was", "were", "has", "have", "had", "it's", "that's", "we're", "they're",
            "been", "will", "came", "comes", "come", "went", "said", "says", "asked", "asks",
            "told", "reported", "got", "i'm", "we've", "they've", "there's", "nobody's",
            "everyone's", "isn't")  # fmt: skip
# What a piece may hold and still carry no wish.
_HARMLESS = (K.FILLER, K.UNKNOWN, K.THEN, K.USE, K.SPEND, K.VAGUE, K.LET, K.KEEP, K.MOVE, K.BREAK)
_NAMED = (K.SUBJECT, K.QUANTITY, K.ATTRIBUTE, K.SOURCE)  # allowed in names and stated reasons
# Words that nobody here knows, and that could carry a wish all the same.
_CARRYING = re.compile(
    r"\d|\b(hours?|occupied|unoccupied|occupancy|outside|days?|nights?|weeks?|months?|years?|seasons?|"
    r"summer|winter|spring|autumn|christmas|easter|holidays?|shifts?|mornings?|evenings?|"
    r"afternoons?|weekends?|lunch|dawn|dusk|sunrise|sunset|always|until|every|each|all|none|half|"
    r"double|twice|quarter|not|no|never|nothing|neither|nor|without|except|unless|instead|less|"
    r"more|fewer|only|limits?|cap|max|min|targets?|bands?|ranges?|degrees?|temperatures?|warm|cold|cool|"
    r"heat|hot|priority|important|cannot|stop|start|off|high|low)\b|n't\b",
    re.IGNORECASE,
)
_DAYTIME = re.compile(
    r"\b(days?|nights?|mornings?|evenings?|afternoons?|weekends?|winter|summer)\b", re.IGNORECASE
)
_META = re.compile(
    r"\b(plan (?:around|without) (?:it|this|that)|plan accordingly|(?:order|adjust|set) your \w+ "
    r"accordingly|take note|please note|note that|let me know|please confirm|please arrange|"
    r"please schedule (?:around|accordingly)|act accordingly|put this in|see below|as (?:agreed|"
    r"discussed|requested|announced|mentioned)[\w ]{0,30})$",
    re.IGNORECASE,
)
_ENDS = (".", ";", "!", "?", "\n")
_MOST_WORDS = 5  # of a greeting or a signature


def set_aside(items: list[Item], text: str) -> tuple[list[Item], tuple[str, ...]]:
    """The items without what is said around the wish, and the pieces that were set aside."""
    items, gathered = gatherings(items, text)
    parts = pieces(items, text)
    dropped: list[Piece] = []
    dropped += _greetings(parts, text)
    dropped += _signature([p for p in parts if p not in dropped], text)
    for n, piece in enumerate(parts):
        off = n > 0 and any(i.kind is K.OFF for i in parts[n - 1].items)
        around = _is_around(piece, parts[n + 1 :], text) or (
            off and _trailing(piece, parts[n + 1 :], text)
        )
        if piece not in dropped and around:
            dropped.append(piece)
    inner = [r for p in parts if p not in dropped for r in _inside(p, text)]
    inner += _events([p for p in parts if p not in dropped])
    gone = {id(i) for p in dropped for i in p.items} | {id(i) for run in inner for i in run}
    said = sorted(
        [
            *gathered,
            *((r[0].start, r[-1].end) for r in inner if not _silent(r)),
            *_places(dropped, text),
        ]
    )
    told = tuple(f"“{text[a:b].strip()}”" for a, b in said if not _mere_courtesy(text[a:b]))
    return [i for i in items if id(i) not in gone], told


def _places(dropped: list[Piece], text: str) -> list[tuple[int, int]]:
    return [(p.items[0].start, p.items[-1].end) for p in dropped
            if not p.holds_only(K.FILLER) or _first(p, text) in _HELLO + _BYE]  # fmt: skip


def _inside(piece: Piece, text: str) -> list[list[Item]]:
    """Purposes and remarks inside a wish: for a firmware update, (compressor check)."""
    found: list[list[Item]] = []
    run: list[Item] = []
    for item in (*piece.items, None):
        word = text[item.start : item.end].lower() if item else ""
        if item is not None and word in ("for", "("):
            run = [item]
        elif item is not None and run and item.kind in (K.FILLER, K.UNKNOWN):
            run.append(item)
        else:
            found += [run] if run else []
            run = []
        if word == ")" and run:
            found, run = [*found, run], []
    wish = any(i.kind in (K.OFF, K.NUMBER, K.RANGE, K.SUBJECT) for i in piece.items)
    return [r for r in found if wish and _remark(r, text)]


def _remark(run: list[Item], text: str) -> bool:
    unknown = [i for i in run if i.kind is K.UNKNOWN]
    return 0 < len(unknown) <= 4 and not _CARRYING.search(text[run[0].start : run[-1].end])


def _events(parts: list[Piece]) -> list[list[Item]]:
    """An open house on Saturday from 9 to 15. ... during that time: only the time is used."""
    found: list[list[Item]] = []
    for piece, after in pairwise(parts):
        same = [i for i in after.items if i.kind is K.TIME and i.value.same]
        timed = [i for i in piece.items if i.kind is K.TIME and not i.value.same]
        if same and timed and piece.holds_only(K.FILLER, K.UNKNOWN, K.TIME, K.KEEP, K.USE):
            unknown = [i for i in piece.items if i.kind is K.UNKNOWN]
            found += [unknown, same] if unknown else []
    return found


def _silent(run: list[Item]) -> bool:
    return all(i.kind is K.TIME for i in run)


def _mere_courtesy(said: str) -> bool:
    return said.strip().lower() in (*_HELLO, *_BYE, "please", "thank you")


def _words(piece: Piece, text: str) -> list[str]:
    return text[piece.items[0].start : piece.items[-1].end].lower().split()


def _first(piece: Piece, text: str) -> str:
    words = _words(piece, text)
    for n in (4, 3, 2, 1):
        if " ".join(words[:n]) in (*_HELLO, *_BYE):
            return " ".join(words[:n])
    return words[0] if words else ""


def _greetings(parts: list[Piece], text: str) -> list[Piece]:
    """Dear control room, / Hi team! at the beginning."""
    found: list[Piece] = []
    for piece in parts[:2]:
        short = len(_words(piece, text)) <= _MOST_WORDS
        name = piece.holds_only(*_HARMLESS, *_NAMED)
        if not (_first(piece, text) in _HELLO and short and name and piece.ender):
            break
        found.append(piece)
    return found


def _signature(parts: list[Piece], text: str) -> list[Piece]:
    """Thanks, Dana / Best regards, Energy Mgmt / - Lee / (slash) Erik at the end."""
    for back in range(min(4, len(parts)), 0, -1):
        tail = parts[-back:]
        if _first(tail[0], text) in _BYE and all(_is_name(p, text) for p in tail):
            return tail
    return []


def _is_name(piece: Piece, text: str) -> bool:
    words = text[piece.items[0].start : piece.items[-1].end].split()
    courteous = _first(piece, text) in _BYE
    capital = all(w[0].isupper() or not w[0].isalpha() or len(w) < 4 for w in words)
    shouted = text.isupper()
    own = piece.holds_only(K.FILLER, K.UNKNOWN)
    named = capital and not shouted and piece.holds_only(*_HARMLESS, *_NAMED)
    if " ".join(words).lower().rstrip(",.!") in _BYE:
        return True
    return len(words) <= _MOST_WORDS and (
        (courteous and piece.holds_only(*_HARMLESS)) or own or named
    )


def _trailing(piece: Piece, after: list[Piece], text: str) -> bool:
    """One or two unknown words behind a standstill, at the end of a sentence: `, filter`."""
    said = text[piece.items[0].start : piece.items[-1].end]
    unknown = [i for i in piece.items if i.kind is K.UNKNOWN]
    last = not after or piece.ender in _ENDS
    short = len(said.split()) <= 2 and len(unknown) > 0
    noun = not said.split()[-1].lower().endswith("ly")
    mere = piece.holds_only(K.UNKNOWN, K.CHANGE)
    return (piece.leader == "," and last and short and noun and mere
            and not _CARRYING.search(said))  # fmt: skip


def _is_around(piece: Piece, after: list[Piece], text: str) -> bool:
    """Whether a piece is a heading, a reason or a report, without anything of a wish."""
    words = _words(piece, text)
    said = text[piece.items[0].start : piece.items[-1].end]
    unknown = any(i.kind is K.UNKNOWN for i in piece.items)
    if words and _META.search(said) and piece.holds_only(*_HARMLESS, *_NAMED, K.NOT, K.HARD):
        return not piece.holds_only(K.FILLER) and len(words) <= 8
    if not unknown or not words:
        return False
    timed = any(i.kind is K.TIME for p in after[:2] for i in p.items)
    spoken = _DAYTIME.sub("", said) if piece.ender == ":" and timed else said
    if _CARRYING.search(spoken):
        return False
    why = piece.leader in ("because", "since") or words[0] in _WHY
    if why and piece.holds_only(*_HARMLESS, *_NAMED, K.CHANGE):
        return True
    if piece.ender == ":" and after:
        own = any(i.kind in (K.SUBJECT, K.SIGNAL) for i in after[0].items)
        own = own and not any(i.kind is K.SUBJECT and len(i.value) > 1 for i in piece.items)
        return piece.holds_only(*_HARMLESS, *((K.SUBJECT,) if own else ()))
    if not piece.holds_only(*_HARMLESS):
        return False
    return any(
        w in _REPORTS or (w.endswith("ed") and n) for n, w in enumerate(words) if n or w != "is"
    )
