"""The site's limits always hold: a wish beyond them is refused by name, never cut to fit."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from graph.intent import Band, Constraint, KeepOff, StartLimit, Window
from graph.site import Site
from planner.intent.vocabulary import asset_name
from planner.intent.words import number, unit_sign
from sandbox.windows import window_mask

MINUTE_S = 60.0
Span = tuple[datetime, datetime]


def refused_constraint(constraint: Constraint, site: Site) -> tuple[str, ...]:
    """Why a wish beyond the site's limits is refused; empty for one within them."""
    match constraint:
        case Band():
            return _band(constraint, site)
        case StartLimit():
            limit = site.signal(constraint.point).max_starts_per_day
            if limit is not None and constraint.maximum > limit:
                said = constraint.text.strip()
                return (
                    f"“{said}” is beyond the site's limit of {limit} starts a day: "
                    f"that limit holds. At most how many, up to {limit}?",
                )
    return ()


def _band(band: Band, site: Site) -> tuple[str, ...]:
    unit, low, high = unit_sign(band.unit), band.minimum, band.maximum
    for signal in band.signals:
        first, last = reachable(site, signal)
        name = asset_name(site, signal.split(".", 1)[0])
        if (low is not None and low > last) or (high is not None and high < first):
            return (f"The {name} ({signal}) {reach_words(site, signal)}: what is meant?",)
        least, most = limits(site, signal)
        for value, edge, word in ((low, least, "at least"), (high, most, "at most")):
            if value is None or edge is None:
                continue
            if value < edge if word == "at least" else value > edge:
                return (
                    f"“{band.text.strip()}” is beyond the site's limit for the {name}, {word} "
                    f"{number(edge)} {unit}: that limit holds. What is wished within it?",
                )
    return ()


def unclear_constraints(constraints: Sequence[Constraint]) -> tuple[str, ...]:
    """Bands that leave nothing."""
    found = []
    for band in constraints:
        if not isinstance(band, Band) or band.minimum is None or band.maximum is None:
            continue
        if band.minimum >= band.maximum:
            unit = unit_sign(band.unit)
            empty = f"{number(band.minimum)} {unit} is not below {number(band.maximum)} {unit}"
            text = band.text.strip()
            found.append(f"In “{text}” nothing is left: {empty}. What is meant?")
    return tuple(found)


def limits(site: Site, signal: str) -> tuple[float | None, float | None]:
    """The tightest minimum and maximum that the site declares for a signal."""
    lows = [x.minimum for x in site.limits if x.signal == signal and x.minimum is not None]
    highs = [x.maximum for x in site.limits if x.signal == signal and x.maximum is not None]
    return max(lows, default=None), min(highs, default=None)


def reachable(site: Site, signal: str) -> tuple[float, float]:
    """The range that a signal can be held in: declared range, limits, and its setpoint's range."""
    spec = site.signal(signal)
    least, most = limits(site, signal)
    lows = [spec.minimum, *([least] if least is not None else [])]
    highs = [spec.maximum, *([most] if most is not None else [])]
    if signal.endswith(".temp_degc"):
        for point in site.setpoints:
            if point.asset == spec.asset and point.id.endswith("setpoint_degc"):
                lows.append(point.minimum)
                highs.append(point.maximum)
    return max(lows), min(highs)


def reach_words(site: Site, signal: str) -> str:
    """`reachable` in words: can only be between 16 and 26 °C."""
    (first, last), spec = reachable(site, signal), site.signal(signal)
    unit = unit_sign(spec.unit)
    sides = {s.id for s in site.setpoints if s.asset == spec.asset}
    if signal.endswith(".temp_degc") and f"{spec.asset}.cooling_setpoint_degc" in sides:
        return f"can be heated to {number(last)} {unit} and cooled to {number(first)} {unit}"
    return f"can only be between {number(first)} and {number(last)} {unit}"


def contradictions(
    site: Site, constraints: Sequence[Constraint], start: datetime, end: datetime
) -> tuple[str, ...]:
    """Wishes that leave nothing between them where both hold.

    Bands of one signal, and a standstill beside a band that asks the same machine to run.
    """
    bands = [c for c in constraints if isinstance(c, Band)]
    span, zone = (start, end), site.zone_info
    found = [
        f"“{a.text.strip()}” and “{b.text.strip()}” contradict each other: what stands still "
        "gives nothing. Which one holds?"
        for a in constraints
        for b in bands
        if isinstance(a, KeepOff)
        and _asks_to_run(site, a.point, b)
        and _overlap(a.window, b.window, span, zone)
    ]
    for i, a in enumerate(bands):
        for b in bands[i + 1 :]:
            lows = [x.minimum for x in (a, b) if x.minimum is not None]
            highs = [x.maximum for x in (a, b) if x.maximum is not None]
            if not set(a.signals) & set(b.signals) or not lows or not highs:
                continue
            if max(lows) > min(highs) and _overlap(a.window, b.window, span, zone):
                found.append(
                    f"“{a.text.strip()}” and “{b.text.strip()}” contradict each other: "
                    f"{number(max(lows))} is above {number(min(highs))}. Which one holds?"
                )
    return tuple(found)


def _asks_to_run(site: Site, point: str, band: Band) -> bool:
    """Whether the band leaves out zero for the point, or for the power of its machine."""
    asset = next(p.asset for p in site.setpoints if p.id == point)
    zero_out = (band.minimum or 0.0) > 0.0 or (band.maximum or 0.0) < 0.0
    return zero_out and any(
        s == point or (site.signal(s).asset == asset and site.signal(s).unit == "kW")
        for s in band.signals
    )


def _overlap(a: Window, b: Window, span: Span, zone: ZoneInfo) -> bool:
    """Whether both windows hold in some minute; what depends on a forecast may always hold."""
    bare = [w.model_copy(update={"exceptions": ()}) for w in (a, b)]
    if bare[1] in a.exceptions or bare[0] in b.exceptions:
        return False
    minutes = max(1, int((span[1] - span[0]).total_seconds() // MINUTE_S))
    masks = [
        window_mask(
            w.model_copy(update={"exceptions": tuple(e for e in w.exceptions if not e.condition)}),
            span[0], MINUTE_S, minutes, zone, held=lambda _: np.ones(minutes, dtype=bool),
        )
        for w in (a, b)
    ]  # fmt: skip
    return bool((masks[0] & masks[1]).any())


def outside(constraint: Constraint, start: datetime, end: datetime) -> bool:
    """Whether a constraint's window lies wholly outside the horizon."""
    window = constraint.window
    return bool((window.start and window.start >= end) or (window.end and window.end <= start))
