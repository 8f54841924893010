"""Spans of time in a sentence: horizons, windows and daily hours."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from graph.intent import Window
from graph.site import Site
from planner.intent.moments import (
    DAY_NAMES,
    DAY_S,
    PARTS,
    WEEKDAYS,
    Moment,
    Now,
    read_clock,
    read_day,
    read_moment,
    said,
    wall_to_utc,
)
from planner.intent.peak_hours import tariff_hours
from planner.intent.tokens import Token


@dataclass(frozen=True)
class When:
    """A span as far as it was said. daily: two HH:MM. days: recurring. until: an end was named."""

    start: datetime | None = None
    end: datetime | None = None
    daily: tuple[str, str] | None = None
    days: tuple[str, ...] = ()
    until: bool = False
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    @property
    def window(self) -> Window:
        """The same as a window of the intent."""
        hours = self.daily or (None, None)
        return Window(
            start=self.start, end=self.end, daily_from=hours[0], daily_to=hours[1], days=self.days
        )


Found = tuple[When, int] | None


def read_time(tokens: list[Token], i: int, now: Now, site: Site) -> Found:
    """The time expression at token i and the index after it, or None."""
    for reader in (_until, _from_to, _clock_range, _open_end, _duration):
        found = reader(tokens, i, now)
        if found:
            return found
    return _hours_of_the_day(tokens, i, now, site) or _days(tokens, i, now)


def combine(spans: list[When]) -> When:
    """Several expressions about one thing: a date, hours, weekdays. Clashes become questions."""
    whole = When()
    for span in spans:
        clash = [
            name
            for name in ("start", "end", "daily", "days")
            if getattr(span, name) and getattr(whole, name)
        ]
        questions = ("Two times are given for one wish: which one holds?",) if clash else ()
        whole = When(
            whole.start or span.start,
            whole.end or span.end,
            whole.daily or span.daily,
            whole.days or span.days,
            whole.until or span.until,
            whole.notes + span.notes,
            whole.questions + span.questions + questions,
        )
    return whole


def _until(tokens: list[Token], i: int, now: Now) -> Found:
    n = said(tokens, i, "until", "till", "til", "up until", "lasting until")
    found = read_moment(tokens, i + n, now) if n else None
    if found:
        return replace(_end(found[0], now), until=True), found[1]
    span = _days(tokens, i + n, now) if n else None
    if span is None or span[0].start is None:
        return None
    begin = span[0].start
    note = f"until then is read as until {begin.astimezone(now.zone):%a %d %b %H:%M}"
    return When(end=begin, until=True, notes=(*span[0].notes, note)), span[1]


def _end(moment: Moment, now: Now, after: datetime | None = None) -> When:
    """The instant that `moment` names as an end, after `after` (default: now)."""
    problem = _doubt(moment)
    if problem:
        return When(questions=(problem,))
    if moment.now:
        return When(questions=("Until now? Name a time that is still to come.",))
    notes: tuple[str, ...] = ()
    day, seconds = moment.day or now.today, moment.seconds
    if seconds is None and moment.part:
        seconds = PARTS[moment.part][1 if moment.end_of_day else 0] * 3600
        notes = (f"until {moment.part} is read as until {_hm(seconds)}",)
    elif seconds is None:
        whole = moment.end_of_day or day == now.today
        seconds = DAY_S if whole else 0
        if not whole:
            notes = (f"until {day:%a %d %b} is read as until that day begins, 00:00",)
    instant, remark = wall_to_utc(day, seconds, now, moment.zone_name)
    if moment.day is None and instant <= (after or now.instant):
        instant, remark = wall_to_utc(day + timedelta(days=1), seconds, now, moment.zone_name)
    return When(end=instant, notes=notes, questions=_asked(remark))


def _asked(remark: str) -> tuple[str, ...]:
    return (f"{remark}. Which time is meant?",) if remark else ()


def _doubt(moment: Moment) -> str:
    if moment.doubt:
        return f"{moment.doubt}. Which time is meant?"
    if moment.bare and moment.seconds is not None:
        hour = moment.seconds // 3600 % 12
        return (
            f"Is {hour or 12} in the morning or in the evening meant? "
            f"Write {hour:02d}:00 or {hour + 12:02d}:00."
        )
    if moment.midnight and moment.day is not None:
        return f"Does midnight begin or end {moment.day:%a %d %b}? Write 00:00 or 24:00."
    return ""


def _from_to(tokens: list[Token], i: int, now: Now) -> Found:
    n = said(tokens, i, "from")
    first = read_moment(tokens, i + n, now) if n else None
    if first is None:
        return None
    link = said(tokens, first[1], "to", "until", "till", "through", "-", "–", "—")
    second = read_moment(tokens, first[1] + link, now) if link else None
    if second is None or _unit_follows(tokens, second[1]):
        return None
    until = tokens[first[1]].text in ("until", "till")
    return _span(first[0], second[0], now, until), second[1]


def _unit_follows(tokens: list[Token], i: int) -> bool:
    """Whether this is `from 20 to 24 °C`: a band and no time."""
    from planner.intent.quantities import UNITS

    return any((t.text,) in UNITS for t in tokens[i : i + 1])


def _clock_range(tokens: list[Token], i: int, now: Now) -> Found:
    between = said(tokens, i, "between")
    first = read_clock(tokens, i + between, now, bare_allowed=False)
    if first is None:
        return None
    link = said(tokens, first[1], "and") if between else said(tokens, first[1], "to", "-", "–", "—")
    second = read_moment(tokens, first[1] + link, now, bare_allowed=False) if link else None
    return (_span(first[0], second[0], now, False), second[1]) if second else None


def _span(first: Moment, second: Moment, now: Now, until: bool) -> When:
    """From one moment to another; without a day, hours of each day."""
    clocked = [m for m in (first, second) if m.seconds is not None]
    if any(m.seconds is not None and not m.bare and m.seconds != 0 for m in clocked):
        # One 24-hour time settles how the other is meant: from 8 to 17.
        first, second = replace(first, bare=False), replace(second, bare=False)
    problem = _doubt(first) or _doubt(second)
    if problem:
        return When(questions=(problem,))
    if first.day is None and second.day is None and not first.now:
        return _daily(first, second)
    if second.day_last and first.day is None:
        first = replace(first, day=second.day)
    start = _begin(first, now)
    if second.day is None and first.day is not None:
        second = replace(second, day=first.day)
        if (second.seconds or 0) <= (first.seconds or 0):
            second = replace(second, day=first.day + timedelta(days=1))
    end = _end(second, now, start.start)
    both = combine([start, end])
    if both.start and both.end and both.end <= both.start:
        return replace(both, questions=(*both.questions, _ends_early(both, now)))
    return replace(both, until=until)


def _ends_early(span: When, now: Now) -> str:
    start, end = (t.astimezone(now.zone) for t in (span.start, span.end) if t)
    return f"The time ends ({end:%a %d %b %H:%M}) before it begins ({start:%a %d %b %H:%M})."


def _daily(first: Moment, second: Moment) -> When:
    if first.seconds is None or second.seconds is None:
        return When(questions=("From which time to which time?",))
    if first.seconds == second.seconds or first.seconds % 60 or second.seconds % 60:
        return When(questions=("The hours of the day are empty or in seconds: which are meant?",))
    return When(daily=(_hm(first.seconds), _hm(second.seconds)))


def _begin(moment: Moment, now: Now) -> When:
    problem = _doubt(moment)
    if problem:
        return When(questions=(problem,))
    if moment.now:
        return When(start=now.instant)
    seconds = moment.seconds
    if seconds is None:
        seconds = PARTS[moment.part][0] * 3600 if moment.part else 0
    day = moment.day or now.today
    instant, remark = wall_to_utc(day, seconds, now, moment.zone_name)
    if moment.day is None and instant < now.instant:
        instant, remark = wall_to_utc(day + timedelta(days=1), seconds, now, moment.zone_name)
    return When(start=instant, questions=_asked(remark))


def _open_end(tokens: list[Token], i: int, now: Now) -> Found:
    """After 22:00, from Friday on, before 7:00."""
    if n := said(tokens, i, "from now on", "from now", "starting now", "beginning now"):
        return When(), i + n
    before = said(tokens, i, "before")
    n = before or said(tokens, i, "after", "from", "starting from", "starting at", "starting")
    found = read_moment(tokens, i + n, now, bare_allowed=False) if n else None
    if found is None:
        return None
    j = found[1] + said(tokens, found[1], "on", "onwards", "onward")
    return (_end if before else _begin)(found[0], now), j


_UNITS_S = {
    "hour": 3600, "hours": 3600, "h": 3600, "hrs": 3600, "minutes": 60, "minute": 60, "min": 60,
    "day": DAY_S, "days": DAY_S, "week": 7 * DAY_S, "weeks": 7 * DAY_S,
}  # fmt: skip


def _duration(tokens: list[Token], i: int, now: Now) -> Found:
    """For the next 6 hours; over the coming 2 days. Days are wall-clock days."""
    from planner.intent.lexicon import NUMBER_WORDS

    lead = said(tokens, i, "for", "over", "during", "in", "within")
    j = i + lead + said(tokens, i + lead, "the")
    ahead = said(tokens, j, "next", "coming", "following")
    j += ahead
    if not (lead or ahead) or j >= len(tokens):
        return None
    count = 1.0
    if tokens[j].kind == "number" or tokens[j].text in NUMBER_WORDS:
        number = tokens[j]
        count = number.value if number.kind == "number" else NUMBER_WORDS[number.text]
        j += 1
    elif not (lead and ahead):
        return None  # "next week" is a calendar week
    unit = tokens[j].text if j < len(tokens) else ""
    if unit not in _UNITS_S or count <= 0 or (not ahead and tokens[i].text != "for"):
        return None
    length = count * _UNITS_S[unit]
    if unit.startswith(("day", "week")) and length % DAY_S == 0 and length < 1000 * DAY_S:
        wall = now.local
        seconds = wall.hour * 3600 + wall.minute * 60 + wall.second
        end, _ = wall_to_utc(now.today + timedelta(days=length // DAY_S), seconds, now)
    else:
        end = now.instant + timedelta(seconds=min(length, 1000 * DAY_S))
    return When(end=end, until=True), j + 1


_LEADS = ("on the", "over the", "during the", "for the", "at the", "in the", "on", "over", "during",
          "for", "at", "in", "the")  # fmt: skip


def _hours_of_the_day(tokens: list[Token], i: int, now: Now, site: Site) -> Found:
    """Peak hours, at night, in the evenings, on weekdays, at the weekend."""
    j = i + said(tokens, i, *_LEADS)
    if n := said(tokens, j, "off peak hours", "off peak times", "off peak", "cheap hours",
                 "low tariff", "cheapest hours"):  # fmt: skip
        return _tariff(site, now, False), j + n
    if n := said(tokens, j, "on peak hours", "peak hours", "peak times", "peak time",
                 "peak periods", "peak period", "peak tariff", "peak rates", "on peak",
                 "expensive hours", "most expensive hours", "dearest hours", "peak price hours",
                 "high tariff"):  # fmt: skip
        return _tariff(site, now, True), j + n
    if n := said(tokens, j, "office hours", "working hours", "business hours", "opening hours"):
        name = " ".join(t.text for t in tokens[j : j + n])
        return When(
            questions=(f"When are {name}? Write e.g. from 8:00 to 18:00 on weekdays.",)
        ), j + n
    if n := said(tokens, j, "weekdays", "working days", "workdays"):
        return When(days=WEEKDAYS[:5]), j + n
    if n := said(tokens, j, "weekends"):
        return When(days=WEEKDAYS[5:]), j + n
    if n := said(tokens, j, "daytime", "day time"):
        return When(daily=("06:00", "22:00")), j + n
    if j > i and tokens[i].text == "during" and (n := said(tokens, j, "day")):
        return When(daily=("06:00", "22:00")), j + n
    j += said(tokens, j, "every", "each") or 0
    if j == i:
        return None
    for part, (first, last) in PARTS.items():
        if n := said(tokens, j, part, part + "s"):
            return When(daily=(_hm(first * 3600), _hm(last % 24 * 3600))), j + n
    return None


def _tariff(site: Site, now: Now, dearest: bool) -> When:
    hours, days, problem = tariff_hours(site, now.local, dearest)
    return When(questions=(problem,)) if problem else When(daily=hours, days=days)


def _days(tokens: list[Token], i: int, now: Now) -> Found:
    """Tomorrow, tonight, Friday, next weekend, Saturday and Sunday, Mon/Tue."""
    if n := said(tokens, i, "overnight"):
        return _night(now), i + n
    j = i + said(tokens, i, *_LEADS)
    listed = _day_list(tokens, j)
    if listed:
        return listed
    next_one = said(tokens, j, "next", "this", "coming", "this coming")
    if n := said(tokens, j + next_one, "weekend"):
        return _weekend(now, tokens[j].text == "next"), j + next_one + n
    if n := said(tokens, j, "next week"):
        monday = now.today + timedelta(days=7 - now.today.weekday())
        return _whole_days(monday, 7, now), j + n
    found = read_day(tokens, j, now)
    if found is None:
        return None
    moment, end = found
    if moment.doubt:
        return When(questions=(_doubt(moment),)), end
    if moment.part == "night" and moment.day == now.today:
        return _night(now), end
    return _day_span(moment, now), end


def _day_list(tokens: list[Token], j: int) -> Found:
    days: list[str] = []
    plural = False
    at = j
    while at < len(tokens) and tokens[at].text.removesuffix("s") in DAY_NAMES | {"tue": 1}:
        name = tokens[at].text
        plural |= name not in DAY_NAMES
        days.append(WEEKDAYS[DAY_NAMES.get(name, DAY_NAMES.get(name.removesuffix("s"), 0))])
        at += 1
        link = said(tokens, at, "and", "/", ",") or 0
        after = tokens[at + link].text.removesuffix("s") if at + link < len(tokens) else ""
        if not link or after not in DAY_NAMES:
            break
        at += link
    if not days or (len(days) == 1 and not plural):
        return None
    return When(days=tuple(d for d in WEEKDAYS if d in days)), at


def _day_span(moment: Moment, now: Now) -> When:
    day = moment.day or now.today
    first, last = PARTS[moment.part] if moment.part else (0, 24)
    start, _ = wall_to_utc(day, first * 3600, now)
    end, _ = wall_to_utc(day, last * 3600, now)
    if end <= now.instant:
        name = f"{moment.part or 'day'} of {day:%a %d %b}"
        return When(questions=(f"The {name} is over: which one is meant?",))
    return When(start=start if start > now.instant else None, end=end)


def _whole_days(first: date, count: int, now: Now) -> When:
    start, _ = wall_to_utc(first, 0, now)
    end, _ = wall_to_utc(first + timedelta(days=count), 0, now)
    return When(start=start if start > now.instant else None, end=end)


def _weekend(now: Now, next_one: bool) -> When:
    saturday = now.today + timedelta(days=(5 - now.today.weekday()) % 7)
    if now.today.weekday() == 6:
        saturday -= timedelta(days=1)
    if next_one and saturday <= now.today:
        saturday += timedelta(days=7)
    span = _whole_days(saturday, 2, now)
    note = f"next weekend is read as {saturday:%a %d %b} and the day after"
    return replace(span, notes=(note,)) if next_one else span


def _night(now: Now) -> When:
    if now.local.hour < 6:
        return When(
            questions=(
                "Is the night meant that ends at 06:00, or the one that begins at 22:00? "
                "Write until 06:00, or from 22:00 to 06:00.",
            )
        )
    return _day_span(Moment(day=now.today, part="night"), now)


def _hm(seconds: int) -> str:
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
    return Window(
        start=wall_to_utc(start.date(), first * 60, now)[0],
        end=wall_to_utc(start.date(), last * 60, now)[0],
    )
