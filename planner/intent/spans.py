"""Days and hours of days: tomorrow, tonight, next weekend, on weekdays, peak hours."""

from dataclasses import replace
from datetime import date, datetime, timedelta

from graph.site import Site
from graph.tariff import minutes
from planner.intent.moments import (
    DAY_NAMES,
    MONTHS,
    PARTS,
    WEEKDAYS,
    Moment,
    Now,
    doubt_about,
    read_day,
    said,
    wall_to_utc,
)
from planner.intent.peak_hours import tariff_hours
from planner.intent.tokens import Token
from planner.intent.when import When, hour_minute
from planner.intent.words import window_words

Found = tuple[When, int] | None

_LEADS = ("on the", "over the", "during the", "for the", "at the", "in the", "on", "over", "during",
          "for", "at", "in", "the")  # fmt: skip


_DURING = ("in", "during", "over", "within", "for", "at", "throughout")
_SAME = (
    *(f"{lead} {which} {what}" for lead in _DURING
      for which in ("this", "that", "these", "those", "the same", "such")
      for what in ("time", "times", "hours", "period", "span", "window")),
    "same hours", "the same hours", "same hrs", "same time", "meanwhile", "in the meantime",
    "during it", *(f"while it is {away}" for away in ("away", "out", "off", "down", "gone")),
)  # fmt: skip
_OCCUPIED = (
    *(f"{lead} {who} in" for lead in ("while", "when", "whenever")
      for who in ("people are", "staff are", "we are", "somebody is", "anyone is", "tenants are")),
    "while people are here", "when people are here", "while occupied", "when occupied",
    "when the building is occupied", "while the building is occupied",
)  # fmt: skip


def read_hours(tokens: list[Token], i: int, now: Now, site: Site) -> Found:
    """Peak hours, at night, in the evenings, on weekdays, at the weekend."""
    if n := said(tokens, i, *_SAME):
        return When(same=True), i + n
    if n := said(tokens, i, *_OCCUPIED):
        return _working_hours(site, " ".join(t.text for t in tokens[i : i + n])), i + n
    j = i + said(tokens, i, *_LEADS, "when", "while", "whenever")
    if n := said(tokens, j, "off peak hours", "off peak times", "off peak", "cheap hours",
                 "low tariff", "cheapest hours", "power is cheap", "electricity is cheap",
                 "energy is cheap",
                 "prices are low", "low prices", "cheap times", "the price is low"):  # fmt: skip
        return _tariff(site, now, False), j + n
    if n := said(tokens, j, "on peak hours", "peak hours", "peak times", "peak time",
                 "peak periods", "peak period", "peak tariff", "peak rates", "on peak",
                 "expensive hours", "most expensive hours", "dearest hours", "peak price hours",
                 "high tariff", "power is expensive", "electricity is expensive",
                 "energy is expensive", "power is dear",
                 "prices are high", "high prices", "expensive times",
                 "the price is high", "the price peaks",
                 "electricity is dear"):  # fmt: skip
        return _tariff(site, now, True), j + n
    if n := said(tokens, i, "on peak"):
        return _tariff(site, now, True), i + n
    if n := said(tokens, j, "office hours", "working hours", "business hours", "opening hours",
                 "occupied hours", "working time", "work hours", "occupancy hours", "office time",
                 "working times", "occupied periods", "occupied times", "hours of work",
                 "occupancy"):  # fmt: skip
        return _working_hours(site, " ".join(t.text for t in tokens[j : j + n])), j + n
    if n := said(tokens, j, "weekdays", "working days", "workdays"):
        return When(days=WEEKDAYS[:5]), j + n
    if n := said(tokens, j, "weekends"):
        return When(days=WEEKDAYS[5:]), j + n
    if n := said(tokens, j, "daytime", "day time"):
        return When(daily=("06:00", "22:00")), j + n
    if j > i and tokens[i].text == "during" and (n := said(tokens, j, "day")):
        return When(daily=("06:00", "22:00")), j + n
    if tokens[i].text in ("when", "while", "whenever"):
        return None
    every = said(tokens, j, "every", "each", "all")
    j += every
    if j == i:
        return None
    if every and (n := said(tokens, j, "weekday", "working day", "workday", "week day")):
        return When(days=WEEKDAYS[:5], every=True), j + n
    if every and (n := said(tokens, j, "weekend")):
        return When(days=WEEKDAYS[5:], every=True), j + n
    for part, (first, last) in PARTS.items():
        if n := said(tokens, j, part, part + "s"):
            hours = (hour_minute(first * 3600), hour_minute(last % 24 * 3600))
            return When(daily=hours, part=part, every=bool(every)), j + n
    return None


def _working_hours(site: Site, name: str) -> When:
    """The hours in which the site's comfort band counts, if they are one span of a day."""
    hours = site.comfort.hours if site.comfort else ()
    if len(hours) != 1 or minutes(hours[0].start) >= minutes(hours[0].end):
        ask = f"When are {name}? Write e.g. from 8:00 to 18:00 on weekdays."
        return When(questions=(ask,), part="working")
    span = hours[0]
    end = "00:00" if span.end == "24:00" else span.end
    days = tuple(d for d in WEEKDAYS if d in span.days) if len(set(span.days)) < 7 else ()
    window = When(daily=(span.start, end), days=days)
    words = window_words(window.window, site.zone_info, True).strip()
    return replace(window, notes=(f"{name} are read as the site's comfort hours, {words}",))


def _tariff(site: Site, now: Now, dearest: bool) -> When:
    hours, days, problem = tariff_hours(site, now.local, dearest)
    return When(questions=(problem,)) if problem else When(daily=hours, days=days)


def read_days(tokens: list[Token], i: int, now: Now) -> Found:
    """Tomorrow, tonight, Friday, next weekend, Saturday and Sunday, Mon/Tue."""
    if n := said(tokens, i, "overnight"):
        return _night(now), i + n
    rest = _rest(tokens, i, now) or _month(tokens, i, now)
    if rest:
        return rest
    j = i + said(tokens, i, *_LEADS)
    listed = _day_list(tokens, j)
    if listed:
        return listed
    next_one = said(tokens, j, "next", "this", "coming", "this coming")
    if n := said(tokens, j + next_one, "weekend"):
        return _weekend(now, tokens[j].text == "next"), j + next_one + n
    if n := said(
        tokens,
        j,
        "next week",
        "entire next week",
        "coming week",
        "entire coming week",
        "whole next week",
        "whole coming week",
        "all next week",
    ):
        monday = now.today + timedelta(days=7 - now.today.weekday())
        return _whole_days(monday, 7, now), j + n
    if n := said(tokens, j, "this week"):
        return _whole_days(now.today, 7 - now.today.weekday(), now), j + n
    found = read_day(tokens, j, now)
    if found is None:
        return None
    moment, end = found
    if moment.doubt:
        return When(questions=(doubt_about(moment),)), end
    if moment.part == "night" and moment.day == now.today:
        return _night(now), end
    return _day_span(moment, now), end


def _rest(tokens: list[Token], i: int, now: Now) -> Found:
    """For the rest of the day, the remainder of the week: until it ends."""
    j = i + said(tokens, i, "for the", "over the", "during the", "for", "the")
    n = said(tokens, j, "rest of", "remainder of")
    j += n
    if not n:
        return None
    if m := said(tokens, j, "today", "the day", "this day"):
        end, _ = wall_to_utc(now.today + timedelta(days=1), 0, now)
        return When(end=end, until=True, rest=True), j + m
    if m := said(tokens, j, "the week", "this week"):
        end, _ = wall_to_utc(now.today + timedelta(days=7 - now.today.weekday()), 0, now)
        return When(end=end, until=True, rest=True), j + m
    if m := said(tokens, j, "the month", "this month"):
        return When(end=_month_span(now.today.month, now)[1], until=True), j + m
    month = MONTHS.get(tokens[j].text) if j < len(tokens) else None
    return (When(end=_month_span(month, now)[1], until=True), j + 1) if month else None


def _month(tokens: list[Token], i: int, now: Now) -> Found:
    """For August, this July: the whole month."""
    n = said(tokens, i, "for", "in", "during", "over", "this", "next", "all", "throughout")
    month = MONTHS.get(tokens[i + n].text) if n and i + n < len(tokens) else None
    after = tokens[i + n + 1].kind if i + n + 1 < len(tokens) else ""
    if month is None or after == "number" or tokens[i + n].text == "may":
        return None
    start, end = _month_span(month, now)
    return When(start=start if start > now.instant else None, end=end), i + n + 1


def _month_span(month: int, now: Now) -> tuple[datetime, datetime]:
    year = now.today.year + (month < now.today.month)
    after = date(year + month // 12, month % 12 + 1, 1)
    return wall_to_utc(date(year, month, 1), 0, now)[0], wall_to_utc(after, 0, now)[0]


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
