"""The horizon of a plan: what was said, or 24 hours from now, and that is said too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from graph.intent import Constraint
from planner.intent.moments import Now
from planner.intent.when import When
from planner.intent.wish import Wish

DEFAULT = timedelta(hours=24)
LONGEST = timedelta(days=7)  # as far as weather forecasts carry; a later wish extends so far


@dataclass(frozen=True)
class Horizon:
    """Start and end of the plan, with what was assumed and what is to be asked."""

    start: datetime
    end: datetime
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()  # those of the questions that say no


def choose_horizon(wishes: Sequence[Wish], constraints: Sequence[Constraint], now: Now) -> Horizon:
    """The horizon that the wishes name; else 24 h, stretched by a wish that ends later."""
    said = [w.horizon for w in wishes if w.horizon]
    ends = {s.end for s in said if s.end}
    if len(ends) > 1:
        ask = "Two ends of the plan are named: which one holds?"
        return Horizon(now.instant, max(ends), questions=(ask,))
    if not ends and any(s.questions for s in said):
        return Horizon(now.instant, now.instant + DEFAULT)
    if not ends:
        return _default(said, constraints, now)
    return _named(said, ends.pop(), now)


def _named(said: list[When], end: datetime, now: Now) -> Horizon:
    starts = [s.start for s in said if s.start]
    explicit = [s.start for s in said if s.start and s.until]
    start = explicit[0] if explicit else now.instant
    notes: tuple[str, ...] = ()
    if starts and not explicit:
        notes = ("the plan begins now and ends with the time that was named",)
    # Seconds within the minute of speaking are no past.
    if start < now.instant.replace(second=0, microsecond=0):
        return Horizon(start, end, questions=("The plan would begin in the past: from when on?",))
    if end <= start:
        return Horizon(start, end, questions=("The plan would end before it begins: until when?",))
    if end - start > LONGEST:
        ask = (
            f"That is {(end - start).days} days; at most {LONGEST.days} can be planned: until when?"
        )
        return Horizon(start, end, questions=(ask,), refused=(ask,))
    return Horizon(start, end, notes)


def _default(said: list[When], constraints: Sequence[Constraint], now: Now) -> Horizon:
    if any(s.start or s.daily or s.days for s in said):
        ask = "Until when is the plan to reach?"
        return Horizon(now.instant, now.instant + DEFAULT, questions=(ask,))
    ends = [c.window.end for c in constraints if c.window.end]
    latest = max(ends, default=now.instant)
    if latest <= now.instant + DEFAULT:
        note = "no end was named: the plan covers 24 hours from now"
        return Horizon(now.instant, now.instant + DEFAULT, (note,))
    local = f"{latest.astimezone(now.zone):%a %d %b %H:%M}"
    if latest <= now.instant + LONGEST:
        note = f"no end was named: the plan reaches until {local}, the latest time in the text"
        return Horizon(now.instant, latest, (note,))
    ask = (
        f"A wish reaches until {local}; at most {LONGEST.days} days can be planned: until when is "
        "the plan to reach?"
    )
    return Horizon(now.instant, now.instant + DEFAULT, questions=(ask,), refused=(ask,))
