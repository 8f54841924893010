"""A span of time as far as it was said."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from graph.intent import Window
from planner.intent.half_days import in_part, in_working_day
from planner.intent.moments import DAY_S, Now, wall_to_utc


@dataclass(frozen=True)
class When:
    """A span as far as it was said.

    daily: two HH:MM. days: recurring. until: an end was named. at: it is one moment; clock: its
    step as two HH:MM, where no day was said. open_hours, open_at: clock times in seconds of which
    the half of the day is not known (the question about it is in `questions`). part: the part of
    the day that `daily` stands for. every: it comes back each day. same: the time said before.
    rest: the rest of the day. step_s: of the site, for `open_at`.
    length_s: elapsed time from now, or from a beginning that stands beside it.
    """

    start: datetime | None = None
    end: datetime | None = None
    daily: tuple[str, str] | None = None
    days: tuple[str, ...] = ()
    until: bool = False
    at: bool = False
    clock: tuple[str, str] | None = None
    open_hours: tuple[int, int] | None = None
    part: str = ""
    every: bool = False
    same: bool = False
    rest: bool = False
    open_at: int | None = None
    step_s: int = 0
    length_s: float = 0.0
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    @property
    def window(self) -> Window:
        """The same as a window of the intent."""
        hours = self.daily or (None, None)
        return Window(
            start=self.start, end=self.end, daily_from=hours[0], daily_to=hours[1], days=self.days
        )


def combine(spans: list[When]) -> When:
    """Several expressions about one thing: a date, hours, weekdays. Clashes become questions."""
    whole = When()
    for span in _settled(spans):
        clash = [
            name
            for name in ("start", "end", "daily", "days")
            if getattr(span, name)
            and getattr(whole, name)
            and getattr(span, name) != getattr(whole, name)
        ]
        questions = ("Two times are given for one wish: which one holds?",) if clash else ()
        whole = When(
            whole.start or span.start,
            whole.end or span.end,
            whole.daily or span.daily,
            whole.days or span.days,
            whole.until or span.until,
            whole.at or span.at,
            whole.clock or span.clock,
            whole.open_hours or span.open_hours,
            whole.part or span.part,
            whole.every or span.every,
            whole.same or span.same,
            whole.rest or span.rest,
            whole.open_at if whole.open_at is not None else span.open_at,
            whole.step_s or span.step_s,
            whole.length_s or span.length_s,
            whole.notes + span.notes,
            whole.questions + span.questions + questions,
        )
    backwards = whole.start and whole.end and whole.end <= whole.start
    if backwards and not whole.questions:
        ask = "The time ends before it begins: from when until when?"
        whole = replace(whole, questions=(*whole.questions, ask))
    return whole


def _settled(spans: list[When]) -> list[When]:
    """Spans of which one settles another: `8 to 6` by `on weekdays`, `at night` by `22-05`."""
    days = next((s.days for s in spans if s.days), ())
    part = next((s.part for s in spans if s.part and s.part != "working"), "")
    working = any(s.part == "working" for s in spans) or (
        bool(days) and not set(days) & {"sat", "sun"}
    )
    found = []
    for span in spans:
        if span.open_hours and (part or working):
            hours = in_part(*span.open_hours, part) if part else in_working_day(*span.open_hours)
            if hours:
                daily = (hour_minute(hours[0]), hour_minute(hours[1]))
                note = f"the hours are read as {daily[0]} to {daily[1]}"
                span = replace(span, daily=daily, open_hours=None, questions=(),
                               notes=(*span.notes, note))  # fmt: skip
        if span.open_at is not None and working:
            seconds = span.open_at % (DAY_S // 2)
            seconds += DAY_S // 2 if seconds < 6 * 3600 else 0
            clock = (hour_minute(seconds), hour_minute(seconds + span.step_s))
            note = f"that moment is read as {clock[0]}"
            span = replace(span, clock=clock, at=True, open_at=None, questions=(),
                           notes=(*span.notes, note))  # fmt: skip
        found.append(span)
    begins = next((s.start for s in found if s.start and not s.end), None)
    if begins is not None:  # for two hours from noon
        found = [
            replace(s, end=begins + timedelta(seconds=s.length_s), until=False) if s.length_s else s
            for s in found
        ]
    said = next((s.daily for s in found if s.daily and not s.part), None)
    if said is not None and _asks_working_hours(found):
        # While people are in, that is 8 to 18: the hours that were named settle which are meant.
        found = [replace(s, questions=(), part="") if s.part == "working" else s for s in found]
    if said is None or not part:
        return found
    # The hours that are said are those of the part of the day: every night from 23:00 to 05:30.
    inner = [s for s in found if s.part and s.daily and _within(said, s.daily)]
    return [replace(s, daily=None) if s in inner else s for s in found]


def _asks_working_hours(spans: list[When]) -> bool:
    """Whether one of the spans is working hours that the site does not know."""
    return any(s.part == "working" and s.questions for s in spans)


def _within(inner: tuple[str, str], outer: tuple[str, str]) -> bool:
    """Whether hours begin inside other hours, and overlap them for the greater part."""
    first, last, begin, end = (int(t[:2]) * 60 + int(t[3:]) for t in (*inner, *outer))
    length, whole = (last - first) % 1440 or 1440, (end - begin) % 1440 or 1440
    shared = sum((first + k - begin) % 1440 < whole for k in range(length))
    return 2 * shared > length


def recurring(when: When, every_day: bool) -> When:
    """A moment that comes back: at 18:00 every day, by 7:00 on weekdays."""
    if not when.at or not (every_day or when.days or when.every):
        return when
    if when.clock is None:
        ask = "A day and a time that comes back are given for one wish: which one holds?"
        return replace(when, questions=(*when.questions, ask))
    return replace(when, start=None, end=None, daily=when.clock, at=False, notes=())


def hour_minute(seconds: int) -> str:
    """HH:MM of seconds after midnight."""
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}"


def next_hours(daily: tuple[str, str], now: Now) -> tuple[datetime, datetime]:
    """The daily hours that are running or come next, as an absolute span."""
    first, last = (int(t[:2]) * 3600 + int(t[3:]) * 60 for t in daily)
    length = last if last > first else last + DAY_S
    for ahead in (-1, 0, 1):
        day = now.today + timedelta(days=ahead)
        end, _ = wall_to_utc(day, length, now)
        if end > now.instant:
            return wall_to_utc(day, first, now)[0], end
    raise AssertionError("tomorrow's hours end after now")


def condensed(window: Window, now: Now) -> Window:
    """One day with hours is one absolute span: tomorrow from 14:00 to 16:00."""
    if not (window.start and window.end and window.daily_from and window.daily_to) or window.days:
        return window
    start, end = (t.astimezone(now.zone) for t in (window.start, window.end))
    one_day = start.hour == start.minute == 0 and end.date() == start.date() + timedelta(days=1)
    first, last = (int(t[:2]) * 60 + int(t[3:]) for t in (window.daily_from, window.daily_to))
    if not one_day or end.hour or end.minute or first >= last:
        return window
    hours = {
        "start": wall_to_utc(start.date(), first * 60, now)[0],
        "end": wall_to_utc(start.date(), last * 60, now)[0],
    }
    # A condition and exceptions stay.
    return window.model_copy(update={**hours, "daily_from": None, "daily_to": None})
