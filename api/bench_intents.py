"""`bench intents`: published utterances beside what they compile to.

A file of utterances has one JSON object a line:

    {"register": "terse", "site": "microgrid", "text": "min cost; battery >= 30 %",
     "outcome": "compiled", "intent": {...}}

`outcome` is compiled, asked (a question is open) or refused (a wish beyond the site's limits, or
one that cannot be planned). `intent` is the typed result without its texts and defaults, instants
on the site's wall clock (`now` too, by default 2026-01-20T09:30); `says` is a part of what must be
asked or refused, `assumed` of what must be told as an assumption.
Numbers are the same within a ten-thousandth (67 °F is no round number of °C).

`own.jsonl` was written beside the grammar; `blind.jsonl` by somebody who did not know it, and its
compiled forms from what that person meant, before the grammar was run on any. Where such a wish
names nothing to make small, the site's default aim is due, and that it is told. The grammar has
since been widened on the second file: it is no longer blind. `unseen.jsonl` was written likewise
after that, and the grammar has not been widened on it. Each file has its own figures.

Exact: the outcome is the same, and the intent in every slot. Slots: the leaves of the two documents
that agree, over all leaves of either. Silent: an intent came out that is not the one meant, and
nothing of the text was reported as not understood; that must never happen.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from api.bench_figure import Figure
from api.sites import SCENARIOS
from graph.errors import InputError
from graph.intent import Intent, Reading
from graph.site import Site
from graph.sitepack import load_site
from planner.intent.compiler import compile_intent

NOW = "2026-01-20T09:30"
OUTCOMES = ("compiled", "asked", "refused")
EXACT, SLOTS = 0.95, 0.97  # targets


@dataclass(frozen=True)
class Result:
    """One utterance: what was meant and what came out. `slots`: leaves that agree, and all."""

    line: int
    register: str
    text: str
    wanted: str
    got: str
    exact: bool
    silent: bool
    slots: tuple[int, int]
    difference: str
    file: str = ""


def published() -> list[Path]:
    """The files of utterances that come with the package."""
    return sorted((SCENARIOS / "utterances").glob("*.jsonl"))


def read_utterances(path: Path) -> list[dict[str, Any]]:
    """The utterances of one file.

    Raises:
        InputError: no such file, a line that is no JSON object, or one without its fields.
    """
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read", str(error)) from error
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {n}: no JSON", str(error)) from error
        if not isinstance(case, dict) or not isinstance(case.get("text"), str):
            raise InputError(f"{path}, line {n}: no object with a text")
        if case.get("outcome") not in OUTCOMES:
            raise InputError(
                f"{path}, line {n}: outcome {case.get('outcome')!r}", f"one of {OUTCOMES}"
            )
        found.append({"line": n, **case})
    return found


def judge(case: Mapping[str, Any], site: Site) -> Result:
    """One utterance compiled and compared."""
    now = datetime.fromisoformat(str(case.get("now", NOW))).replace(tzinfo=site.zone_info)
    reading = compile_intent(str(case["text"]), site, now)
    got = outcome_of(reading)
    wanted = str(case["outcome"])
    ours = slots_of(document_of(reading.intent, site)) if reading.intent else {}
    meant = slots_of(_plain(case.get("intent") or {}))
    agree = sum(1 for k, v in meant.items() if _same(ours.get(k, _MISSING), v))
    every = len(meant.keys() | ours.keys())
    says = str(case.get("says", ""))
    told = got == "compiled" or any(says in q for q in reading.questions)
    if "assumed" in case:
        told = any(str(case["assumed"]) in a for a in reading.assumptions)
    exact = got == wanted and agree == every and told
    silent = reading.intent is not None and not exact and not reading.not_understood
    return Result(
        line=int(case.get("line", 0)), register=str(case.get("register", "")),
        text=str(case["text"]), wanted=wanted, got=got, exact=exact, silent=silent,
        slots=(agree, every), difference="" if exact else _difference(meant, ours, reading, says),
    )  # fmt: skip


_MISSING = object()


def _same(ours: Any, meant: Any) -> bool:
    if isinstance(ours, float) and isinstance(meant, float):
        return math.isclose(ours, meant, rel_tol=1e-4)
    return bool(ours == meant)


def outcome_of(reading: Reading) -> str:
    """compiled, asked or refused."""
    if reading.intent is not None:
        return "compiled"
    return "refused" if reading.refused else "asked"


def document_of(intent: Intent, site: Site) -> Any:
    """An intent without its texts and defaults, instants on the site's wall clock."""
    document = intent.model_dump(exclude_defaults=True, exclude={"text", "actor"})
    document.setdefault("objectives", [])
    for kind, constraint in zip(
        (c.kind for c in intent.constraints), document.get("constraints", ()), strict=False
    ):
        constraint["kind"] = kind
    return _plain(document, site)


def _plain(value: Any, site: Site | None = None) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v, site) for k, v in value.items() if k != "text"}
    if isinstance(value, list | tuple):
        return [_plain(v, site) for v in value]
    if isinstance(value, datetime) and site is not None:
        return value.astimezone(site.zone_info).strftime("%Y-%m-%dT%H:%M")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def slots_of(document: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a document by their path."""
    if isinstance(document, Mapping):
        parts = [(f"{path}.{k}", v) for k, v in document.items()]
    elif isinstance(document, list):
        parts = [(f"{path}[{k}]", v) for k, v in enumerate(document)]
    else:
        return {path.lstrip("."): document}
    found: dict[str, Any] = {}
    for name, value in parts:
        found |= slots_of(value, name)
    return found


def _difference(
    meant: Mapping[str, Any], ours: Mapping[str, Any], reading: Reading, says: str
) -> str:
    parts = [
        f"{k}: {meant.get(k, 'nothing')} meant, {ours.get(k, 'nothing')} read"
        for k in sorted(meant.keys() | ours.keys())
        if not _same(ours.get(k, _MISSING), meant.get(k, _MISSING))
    ]
    if reading.intent is None:
        parts = [*([f"“{says}” was to be said"] if says else []), f"asked: {reading.questions[0]}"]
    return "; ".join(parts[:4])


def run_bench(paths: Sequence[Path]) -> tuple[list[Figure], list[Result]]:
    """Judge every utterance of some files; of several, each has its own figures.

    Raises:
        InputError: as `read_utterances`; a site that nobody ships; no utterance at all.
    """
    sites: dict[str, Site] = {}
    figures: list[Figure] = []
    results: list[Result] = []
    for path in paths:
        found = []
        for case in read_utterances(path):
            name = str(case.get("site", "microgrid"))
            if name not in sites:
                sites[name] = _shipped(name)
            found.append(replace(judge(case, sites[name]), file=path.name))
        if not found:
            raise InputError(
                f"there are no utterances in {path}", "name a file with one JSON object a line"
            )
        results += found
        prefix = f"{path.stem}: " if len(paths) > 1 else ""
        figures += [replace(f, name=prefix + f.name) for f in figures_of(found)]
    return figures, results


def _shipped(name: str) -> Site:
    folder = SCENARIOS / Path(name).name
    if not (folder / "site.yaml").is_file():
        raise InputError(f"no site {name!r} comes with the package", "e.g. microgrid, office_small")
    return load_site(folder).site


def figures_of(results: Sequence[Result]) -> list[Figure]:
    """Exact match and slot accuracy in all, by register and by outcome; silent wrong readings."""
    found = [
        Figure("wrong readings accepted silently", sum(r.silent for r in results), "", 0.0),
        *_both("all", results, target=True),
    ]
    for register in dict.fromkeys(r.register for r in results):
        found += _both(register, [r for r in results if r.register == register])
    for outcome in OUTCOMES:
        found += _both(f"to be {outcome}", [r for r in results if r.wanted == outcome])
    return found


def _both(name: str, results: Sequence[Result], target: bool = False) -> list[Figure]:
    if not results:
        return []
    exact = sum(r.exact for r in results) / len(results)
    agree, every = (sum(r.slots[i] for r in results) for i in (0, 1))
    note = f"{len(results)} utterances"
    figures = [Figure(f"exact match: {name}", 100 * exact, "%", at_least=True, note=note,
                      target=100 * EXACT if target else None)]  # fmt: skip
    if every:
        share, goal = 100 * agree / every, 100 * SLOTS if target else None
        note = f"{every} slots"
        figures.append(
            Figure(f"slot accuracy: {name}", share, "%", at_least=True, target=goal, note=note)
        )
    return figures


def misses_text(results: Sequence[Result]) -> str:
    """Each miss: where it stands, what was meant and what was read."""
    lines = []
    for r in results:
        if not r.exact:
            mark = "SILENT " if r.silent else ""
            where = f"line {r.line} of {r.file}" if r.file else f"line {r.line}"
            lines.append(f"{mark}{r.register}, {where}: “{r.text}”")
            lines.append(f"    {r.wanted} meant, {r.got} came; {r.difference}")
    return "\n".join(lines)
