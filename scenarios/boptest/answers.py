"""What a BOPTEST server says, checked before anybody relies on it.

Every check raises UnavailableError: a server that answers nonsense is a plant that does not answer.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from graph.errors import UnavailableError

MAX_MESSAGE = 500  # characters of the server's own words that we repeat
MAX_POINTS = 10_000


@dataclass(frozen=True)
class PointInfo:
    """One point's metadata. `minimum` and `maximum` are known for `_u` inputs only."""

    name: str
    unit: str
    description: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True)
class Envelope:
    """An answer of status 200: its payload, and what it says beside it (a WARNING of a clip)."""

    payload: Any
    message: str


def parse(data: bytes, what: str) -> Any:
    """JSON from a server; NaN and infinities become NaN, which later checks call missing."""
    try:
        return json.loads(data, parse_constant=lambda _: math.nan)
    except (ValueError, RecursionError) as error:
        raise UnavailableError(f"{what}: the answer is not JSON ({shorten(error)})") from error


def envelope(document: Any, status: int, what: str) -> Envelope:
    """The payload of a {status, message, payload} answer.

    Raises:
        UnavailableError: not that shape, or a status other than 200 in it or around it.
    """
    if not isinstance(document, dict):
        raise UnavailableError(f"{what}: expected an object with status, message and payload")
    message = shorten(document.get("message", ""))
    said = document.get("status", status)
    if status != 200 or said != 200:
        words = message or shorten(document.get("errors") or document.get("error") or "no reason")
        raise UnavailableError(
            f"{what}: status {shorten(said)}: {words}", "the server refused the call"
        )
    if "payload" not in document:
        raise UnavailableError(f"{what}: the answer has no payload")
    return Envelope(document["payload"], message)


def numbers(payload: Any, what: str) -> dict[str, float]:
    """{point: number}. What is no finite number becomes NaN: the point gave nothing this time."""
    if not isinstance(payload, dict):
        raise UnavailableError(f"{what}: expected an object of points, got {shorten(payload)}")
    if len(payload) > MAX_POINTS:
        raise UnavailableError(f"{what}: {len(payload)} points, more than {MAX_POINTS}")
    return {str(name): number(value) for name, value in payload.items()}


def number(value: Any) -> float:
    """A float, NaN for everything that is no finite number (a flag counts 0 or 1)."""
    if isinstance(value, (int, float)):
        try:
            found = float(value)
        except OverflowError:
            return math.nan
        return found if math.isfinite(found) else math.nan
    return math.nan


def points(payload: Any, what: str) -> dict[str, PointInfo]:
    """{point: metadata} as /inputs, /measurements and /forecast_points give it."""
    if not isinstance(payload, dict) or len(payload) > MAX_POINTS:
        raise UnavailableError(f"{what}: expected an object of at most {MAX_POINTS} points")
    found = {}
    for name, about in payload.items():
        if not isinstance(about, dict):
            raise UnavailableError(f"{what}: {shorten(name)}: expected Unit and Description")
        low, high = number(about.get("Minimum")), number(about.get("Maximum"))
        found[name] = PointInfo(
            name=name,
            unit=shorten(about.get("Unit") or ""),
            description=shorten(about.get("Description") or ""),
            minimum=None if math.isnan(low) else low,
            maximum=None if math.isnan(high) else high,
        )
    return found


def series(payload: Any, names: tuple[str, ...], what: str) -> dict[str, list[float]]:
    """{time: [...], point: [...]}: every name there, all of one length, time rising.

    Raises:
        UnavailableError: otherwise. Values that are no finite numbers become NaN; times may not be.
    """
    if not isinstance(payload, dict):
        raise UnavailableError(f"{what}: expected an object of lists, got {shorten(payload)}")
    found: dict[str, list[float]] = {}
    for name in ("time", *names):
        values = payload.get(name)
        if not isinstance(values, list):
            raise UnavailableError(f"{what}: no list {name!r} in the answer")
        found[name] = [number(v) for v in values]
    if len({len(v) for v in found.values()}) != 1:
        sizes = ", ".join(f"{n}: {len(v)}" for n, v in found.items())
        raise UnavailableError(f"{what}: lists differ in length ({sizes})")
    times = found["time"]
    # NaN compares false with everything, so this refuses a missing time, too.
    if not (all(a < b for a, b in pairwise(times)) and all(t == t for t in times)):
        raise UnavailableError(f"{what}: the times do not rise")
    return found


def identifier(document: Any, what: str) -> str:
    """The `testid` of a selection. It becomes part of later addresses, so its form is checked."""
    found = document.get("testid") if isinstance(document, Mapping) else None
    if not isinstance(found, str) or not 0 < len(found) <= 100 or not _plain(found):
        raise UnavailableError(f"{what}: no usable testid in {shorten(document)}")
    return found


def _plain(text: str) -> bool:
    return all(c.isascii() and (c.isalnum() or c in "-_") for c in text)


def shorten(value: Any) -> str:
    """A server's words on one line and not too many of them."""
    text = " ".join(str(value).split())
    printable = "".join(c for c in text if c.isprintable())
    return printable if len(printable) <= MAX_MESSAGE else printable[:MAX_MESSAGE] + "..."
