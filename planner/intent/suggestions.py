"""What was not understood: where, why, and what might be meant."""

import difflib

from graph.intent import NotUnderstood
from graph.site import Site
from planner.intent.clause import Clause
from planner.intent.lexicon import Item, K, Phrase, phrases
from planner.intent.vocabulary import site_phrases

_EXAMPLES = (
    (
        {K.SUBJECT, K.SIGNAL, K.ATTRIBUTE},
        "name a bound, e.g. at least 20 %, or between 20 and 24 °C",
    ),
    ({K.NUMBER, K.RANGE}, "say what the number bounds, e.g. battery above 20 %"),
    ({K.QUANTITY, K.MINIMISE}, "name an objective, e.g. minimise energy cost"),
)


def not_understood(text: str, items: list[Item], clause: Clause, site: Site) -> list[NotUnderstood]:
    """One entry for each run of neighbouring items."""
    runs: list[list[Item]] = []
    order = {id(i): n for n, i in enumerate(clause.items)}
    for item in items:
        if runs and _adjacent(runs[-1][-1], item, clause, order):
            runs[-1].append(item)
        else:
            runs.append([item])
    return [_entry(text, run, site) for run in runs]


def _adjacent(a: Item, b: Item, clause: Clause, order: dict[int, int]) -> bool:
    between = clause.items[order[id(a)] + 1 : order[id(b)]]
    return all(i.kind is K.FILLER for i in between)


def _entry(text: str, run: list[Item], site: Site) -> NotUnderstood:
    start, end = run[0].start, run[-1].end
    unknown = [i for i in run if i.kind is K.UNKNOWN]
    if unknown:
        why = "no word of the grammar or of this site"
        hints = [h for i in unknown if (h := _close(text[i.start : i.end], site))]
        suggestion = f"did you mean {', '.join(hints)}?" if hints else ""
    else:
        why = "the words are known, but not what they ask for here"
        kinds = {i.kind for i in run}
        suggestion = next((hint for group, hint in _EXAMPLES if kinds & group), "")
    return NotUnderstood(text=text[start:end], start=start, end=end, why=why, suggestion=suggestion)


def _content() -> list[Phrase]:
    """Phrases that carry meaning."""
    return [p for p, (kind, _) in phrases().items() if kind not in (K.FILLER, K.BREAK)]


def _close(word: str, site: Site) -> str:
    known = [" ".join(p) for p in (*site_phrases(site), *_content()) if len(" ".join(p)) > 3]
    found = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.8)
    return found[0] if found else ""
