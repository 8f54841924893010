"""Spans of time in a sentence: horizons, windows and daily hours."""

from dataclasses import replace
from datetime import datetime, timedelta

from graph.site import Site
from planner.intent.half_days import settled
from planner.intent.lexicon import NUMBER_WORDS
from planner.intent.moments import (
    DAY_S,
    PARTS,
    WEEKDAYS,
    Moment,
    Now,
    doubt_about,
    read_clock,
    read_day,
    read_moment,
    said,
    wall_to_utc,
)
from planner.intent.quantities import UNITS
from planner.intent.spans import read_days, read_hours
from planner.intent.tokens import Token
from planner.intent.when import When, combine, hour_minute

Found = tuple[When, int] | None


_WORK_WEEK = tuple(
    f"{lead}{first} {link} {last}"
    for lead in ("from ", "")
    for first, last in (("monday", "friday"), ("mon", "fri"))
    for link in ("to", "through", "till", "-", "–")
)


def read_time(tokens: list[Token], i: int, now: Now, site: Site) -> Found:
    """The time expression at token i and the index after it, or None."""
    if week := said(tokens, i, *_WORK_WEEK):
        return When(days=WEEKDAYS[:5]), i + week
    for reader in (_until, _from_to, _moment_range, _clock_range, _open_end, _duration):
        found = reader(tokens, i, now)
        if found:
            return found
    return (
        _instant(tokens, i, now, site)
        or read_hours(tokens, i, now, site)
        or read_days(tokens, i, now)
    )


def _instant(tokens: list[Token], i: int, now: Now, site: Site) -> Found:
    """By 07:00, at 18:00: a wish for one moment, the step of the site at whose end it lies."""
    by = said(tokens, i, "by", "no later than", "not later than", "at the latest by")
    n = by or said(tokens, i, "at")
    found = read_moment(tokens, i + n, now, bare_allowed=False) if n else None
    if found is None or found[0].seconds is None:
        return None
    span = _end(found[0], now)
    if span.end is None:
        bare = found[0].day is None and found[0].bare
        seconds = found[0].seconds if bare else None
        return replace(span, open_at=seconds, step_s=site.step_s), found[1]
    clock = f"{span.end.astimezone(now.zone):%a %d %b %H:%M}"
    note = f"“{'by' if by else 'at'}” is read as a wish for that moment, {clock}"
    end = span.end + timedelta(seconds=site.step_s)
    first, last = (t.astimezone(now.zone).strftime("%H:%M") for t in (span.end, end))
    clock_of_day = (first, last) if found[0].day is None else None
    return replace(
        span, start=span.end, end=end, at=True, clock=clock_of_day, notes=(*span.notes, note)
    ), found[1]


def _until(tokens: list[Token], i: int, now: Now) -> Found:
    whole = said(tokens, i, "up to and including", "until and including", "up until and including",
                 "until the end of", "through to the end of")  # fmt: skip
    day = read_day(tokens, i + whole, now) if whole else None
    if day and not day[0].part:
        return replace(_end(replace(day[0], end_of_day=True), now), until=True), day[1]
    n = said(tokens, i, "until", "till", "til", "up until", "lasting until", "between now and")
    found = read_moment(tokens, i + n, now) if n else None
    if found:
        return replace(_end(found[0], now), until=True), found[1]
    span = read_days(tokens, i + n, now) if n else None
    if span is None or span[0].start is None:
        return None
    begin = span[0].start
    note = f"until then is read as until {begin.astimezone(now.zone):%a %d %b %H:%M}"
    return When(end=begin, until=True, notes=(*span[0].notes, note)), span[1]


def _end(moment: Moment, now: Now, after: datetime | None = None) -> When:
    """The instant that `moment` names as an end, after `after` (default: now)."""
    problem = doubt_about(moment)
    if problem:
        return When(questions=(problem,))
    if moment.now:
        return When(questions=("Until now? Name a time that is still to come.",))
    notes: tuple[str, ...] = ()
    day, seconds = moment.day or now.today, moment.seconds
    if seconds is None and moment.part:
        seconds = PARTS[moment.part][1 if moment.end_of_day else 0] * 3600
        notes = (f"until {moment.part} is read as until {hour_minute(seconds)}",)
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


def _moment_range(tokens: list[Token], i: int, now: Now) -> Found:
    """Mon 13 Jul 00:00 - Fri 17 Jul 24:00: a day and a clock at both ends."""
    first = read_moment(tokens, i, now, bare_allowed=False)
    if first is None or first[0].day is None or first[0].seconds is None or first[0].day_last:
        return None
    link = said(tokens, first[1], "to", "-", "–", "—", "through", "until", "till")
    second = read_moment(tokens, first[1] + link, now, bare_allowed=False) if link else None
    if second is None or second[0].day is None or second[0].seconds is None:
        return None
    return _span(first[0], second[0], now, False), second[1]


def _unit_follows(tokens: list[Token], i: int) -> bool:
    """Whether this is `from 20 to 24 °C`: a band and no time."""
    return any((t.text,) in UNITS for t in tokens[i : i + 1])


def _clock_range(tokens: list[Token], i: int, now: Now) -> Found:
    between = said(tokens, i, "between")
    first = read_clock(tokens, i + between, now)
    if first is None:
        return None
    links = ("and", "to") if between else ("to", "-", "–", "—")
    link = said(tokens, first[1], *links)
    second = read_moment(tokens, first[1] + link, now) if link else None
    # A mere number is an hour only beside what can be nothing else: 4 to 9 pm, eight to noon.
    marked = read_clock(tokens, i + between, now, bare_allowed=False) or (
        link and read_moment(tokens, first[1] + link, now, bare_allowed=False)
    )
    if second is None or not marked or (second[0].bare and _unit_follows(tokens, second[1])):
        return None
    return _span(first[0], second[0], now, False), second[1]


def _span(first: Moment, second: Moment, now: Now, until: bool) -> When:
    """From one moment to another; without a day, hours of each day."""
    first, second = settled(first, second)
    problem = doubt_about(first) or doubt_about(second)
    if problem:
        open_ = first.bare and second.bare and first.day is second.day is None
        hours = (first.seconds or 0, second.seconds or 0) if open_ else None
        return When(questions=(problem,), open_hours=hours)
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
        asked = (*start.questions, *end.questions, _ends_early(both, now))
        return replace(both, questions=asked)
    return replace(both, until=until)


def _ends_early(span: When, now: Now) -> str:
    start, end = (t.astimezone(now.zone) for t in (span.start, span.end) if t)
    return f"The time ends ({end:%a %d %b %H:%M}) before it begins ({start:%a %d %b %H:%M})."


def _daily(first: Moment, second: Moment) -> When:
    if first.seconds is None or second.seconds is None:
        return When(questions=("From which time to which time?",))
    if first.seconds == second.seconds or first.seconds % 60 or second.seconds % 60:
        return When(questions=("The hours of the day are empty or in seconds: which are meant?",))
    return When(daily=(hour_minute(first.seconds), hour_minute(second.seconds)))


def _begin(moment: Moment, now: Now) -> When:
    problem = doubt_about(moment)
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
    if n := said(
        tokens,
        i,
        "from now on",
        "from now",
        "starting now",
        "beginning now",
        "from here on in",
        "from here on",
        "as of now",
        "from today on",
        "from today",
    ):
        return When(), i + n
    before = said(tokens, i, "before")
    if before and (m := said(tokens, i + before, "then", "that")):
        return When(same=True, questions=("Before when? Name the time.",)), i + before + m
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
    return When(end=end, until=True, length_s=length), j + 1
