"""Points in time as people say them: clocks, days, parts of a day, in the site's zone."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from planner.intent.tokens import Token

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES = {
    name: index
    for index, names in enumerate(
        (
            "mon monday", "tue tues tuesday", "wed weds wednesday", "thu thur thurs thursday",
            "fri friday", "sat saturday", "sun sunday",
        )
    )
    for name in names.split()
}  # fmt: skip
MONTHS = {
    name: index + 1
    for index, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june",
            "jul july", "aug august", "sep sept september", "oct october", "nov november",
            "dec december",
        )
    )
    for name in names.split()
}  # fmt: skip
# Hours of the parts of a day; the night ends on the next day.
PARTS = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 22), "night": (22, 30)}
DAY_S = 86_400


@dataclass(frozen=True)
class Moment:
    """A point in time, as far as it was said.

    seconds: after local midnight. bare: an hour of 1 to 12 without am or pm. part: of a day.
    zone_name: PST or PDT, said to tell the two 01:30 of a clock change apart. half: am, pm, a part
    of the day or noon was said.
    """

    day: date | None = None
    seconds: int | None = None
    bare: bool = False
    half: bool = False
    part: str = ""
    zone_name: str = ""
    midnight: bool = False
    end_of_day: bool = False
    now: bool = False
    day_last: bool = False
    doubt: str = ""


@dataclass(frozen=True)
class Now:
    """The moment of speaking: instant, zone and wall clock."""

    instant: datetime
    zone: ZoneInfo

    @property
    def local(self) -> datetime:
        """Wall clock at the site."""
        return self.instant.astimezone(self.zone)

    @property
    def today(self) -> date:
        """The site's date."""
        return self.local.date()


def said(tokens: list[Token], i: int, *phrases: str) -> int:
    """Number of tokens at i that one of the phrases takes (the first that fits), else 0."""
    for phrase in phrases:
        parts = phrase.split()
        if [t.text for t in tokens[i : i + len(parts)]] == parts:
            return len(parts)
    return 0


def read_moment(
    tokens: list[Token], i: int, now: Now, bare_allowed: bool = True
) -> tuple[Moment, int] | None:
    """[day] clock, clock [day], day or part of a day at token i, and the index after it."""
    if n := said(tokens, i, "now", "right now"):
        return Moment(now=True), i + n
    end_of_day = said(tokens, i, "the end of the", "the end of", "end of")
    i += end_of_day
    day = read_day(tokens, i, now)
    if day:
        moment, j = day
        j += said(tokens, j, "at")
        if said(tokens, j, ",") and j + 2 < len(tokens) and tokens[j + 1].kind == "number":
            j += said(tokens, j + 2, "o'clock")  # Sunday evening, eight o'clock
        clock = None if end_of_day else read_clock(tokens, j, now, bare_allowed)
        if clock is None:
            return replace(moment, end_of_day=bool(end_of_day)), day[1]
        both = replace(clock[0], day=moment.day, doubt=moment.doubt or clock[0].doubt)
        return _with_part(both, moment.part), clock[1]
    clock = None if end_of_day else read_clock(tokens, i, now, bare_allowed)
    if clock is None:
        return None
    at = clock[1] + said(tokens, clock[1], "on")
    day = read_day(tokens, at, now)
    listed = [t.text for t in tokens[at + 1 : at + 3]] if day else []
    several = listed[:1] in ([","], ["to"], ["through"], ["-"]) and set(listed[1:]) & set(DAY_NAMES)
    if day is None or several:
        return clock  # at 16:00 on Mon, Tue and Wed: hours of several days
    both = replace(clock[0], day=day[0].day, day_last=True, doubt=day[0].doubt or clock[0].doubt)
    return _with_part(both, day[0].part), day[1]


def read_clock(
    tokens: list[Token], i: int, now: Now, bare_allowed: bool = True
) -> tuple[Moment, int] | None:
    """A time of day: 18:00, 6pm, 6 o'clock, noon; a bare hour only where that is allowed."""
    if i >= len(tokens):
        return None
    token = tokens[i]
    if n := said(tokens, i, "noon", "midday"):
        return Moment(seconds=12 * 3600, half=True), i + n
    if n := said(tokens, i, "midnight"):
        return Moment(seconds=0, midnight=True), i + n
    if token.kind == "clock":
        return _marked_clock(tokens, i, now)
    if token.kind == "spoken":
        return _spoken_clock(tokens, i)
    if token.kind != "number" or token.value != int(token.value) or "," in token.text:
        return None
    return _hour(tokens, i, bare_allowed)


def _marked_clock(tokens: list[Token], i: int, now: Now) -> tuple[Moment, int]:
    parts = [int(p) for p in tokens[i].text.split(":")]
    hour, minute, second = (*parts, 0)[:3]
    j = i + 1
    half, used = _half_of_day(tokens, j)
    if (half and not 1 <= hour <= 12) or minute > 59 or second > 59:
        return Moment(seconds=0, doubt=f"{tokens[i].text} is not a time of day"), j + used
    hour = hour % 12 + (12 if half == "pm" else 0) if half else hour
    seconds = hour * 3600 + minute * 60 + second
    if seconds > DAY_S:
        return Moment(seconds=0, doubt=f"{tokens[i].text} is not a time of day"), j + used
    moment = Moment(seconds=seconds, half=bool(half))
    j += used
    if j < len(tokens) and tokens[j].text.upper() in _zone_names(now):
        moment, j = replace(moment, zone_name=tokens[j].text.upper()), j + 1
    return moment, j


_IN_PART = ("in the morning", "in the afternoon", "in the evening", "at night")
_OF_DAY = ("this afternoon", "this morning", "this evening", "tonight", "tomorrow morning",
           "tomorrow afternoon", "tomorrow evening")  # fmt: skip


def _hour(tokens: list[Token], i: int, bare_allowed: bool) -> tuple[Moment, int] | None:
    hour, j = int(tokens[i].value), i + 1
    half, used = _half_of_day(tokens, j)
    if half and 1 <= hour <= 12:
        seconds = (hour % 12 + (12 if half == "pm" else 0)) * 3600
        return Moment(seconds=seconds, half=True), j + used
    o_clock = said(tokens, j, "o'clock", "oclock")
    j += o_clock
    part = said(tokens, j, *_IN_PART)
    allowed = bare_allowed or o_clock or part or said(tokens, j, *_OF_DAY)
    if not allowed or hour > 24 or (tokens[i].text != f"{hour:d}" and len(tokens[i].text) > 2):
        return None
    if part:
        return _with_part(
            Moment(seconds=hour * 3600, bare=True), tokens[j + part - 1].text
        ), j + part
    return Moment(seconds=hour * 3600, bare=1 <= hour <= 12), j


def _spoken_clock(tokens: list[Token], i: int) -> tuple[Moment, int]:
    """Half past three, with the half of the day where it is said."""
    moment, j = Moment(seconds=round(tokens[i].value * 3600), bare=True), i + 1
    half, used = _half_of_day(tokens, j)
    if half:
        return _with_part(moment, "morning" if half == "am" else "afternoon"), j + used
    part = said(tokens, j, *_IN_PART)
    return (_with_part(moment, tokens[j + part - 1].text), j + part) if part else (moment, j)


def _half_of_day(tokens: list[Token], i: int) -> tuple[str, int]:
    for half in ("am", "pm"):
        if n := said(tokens, i, half, f"{half[0]} . m .", f"{half[0]} . m"):
            return half, n
    return "", 0


def _with_part(moment: Moment, part: str) -> Moment:
    """6 + evening is 18:00; 8 + morning is 08:00."""
    if not part or moment.seconds is None or not moment.bare:
        return moment
    clock = moment.seconds % (12 * 3600)
    late = part in ("afternoon", "evening") or (part == "night" and clock >= 6 * 3600)
    return replace(moment, seconds=clock + 12 * 3600 * late, bare=False, half=True)


def read_day(tokens: list[Token], i: int, now: Now) -> tuple[Moment, int] | None:
    """A calendar day with an optional part of it: tomorrow evening, Friday, 20 Jan 2026."""
    i += said(tokens, i, "on the", "on", "the")
    if n := said(tokens, i, "tonight"):
        return Moment(day=now.today, part="night"), i + n
    found = _named_day(tokens, i, now) or _date(tokens, i, now)
    if found is None:
        if n := said(tokens, i, *(f"this {part}" for part in PARTS)):
            return Moment(day=now.today, part=tokens[i + 1].text), i + n
        return None
    moment, j = found
    for part in PARTS:
        if n := said(tokens, j, part):
            return replace(moment, part=part), j + n
    return moment, j


def _named_day(tokens: list[Token], i: int, now: Now) -> tuple[Moment, int] | None:
    for phrase, days in (("the day after tomorrow", 2), ("day after tomorrow", 2),
                         ("tomorrow", 1), ("today", 0)):  # fmt: skip
        if n := said(tokens, i, phrase):
            return Moment(day=now.today + timedelta(days=days)), i + n
    j = i + said(tokens, i, "next", "this", "coming", "this coming")
    if j >= len(tokens) or tokens[j].text not in DAY_NAMES:
        return None
    weekday = DAY_NAMES[tokens[j].text]
    dated = _date(tokens, j + 1 + said(tokens, j + 1, ","), now)
    if dated:
        day = dated[0].day
        if day is not None and day.weekday() != weekday:
            wrong = f"{day:%d %b %Y} is a {day:%A}, not a {WEEKDAYS[weekday].capitalize()}"
            return replace(dated[0], doubt=wrong), dated[1]
        return dated
    ahead = (weekday - now.today.weekday() - 1) % 7 + 1
    return Moment(day=now.today + timedelta(days=ahead)), j + 1


def _date(tokens: list[Token], i: int, now: Now) -> tuple[Moment, int] | None:
    if i >= len(tokens):
        return None
    if tokens[i].kind == "date":
        try:
            return Moment(day=date.fromisoformat(tokens[i].text)), i + 1
        except ValueError:
            return Moment(day=now.today, doubt=f"there is no {tokens[i].text}"), i + 1
    pair = tokens[i : i + 2]
    if len(pair) < 2 or {t.kind for t in pair} != {"word", "number"}:
        return None
    number, word = sorted(pair, key=lambda t: t.kind)
    if word.text not in MONTHS or not number.text.isdigit() or number.value > 31:
        return None
    j = i + 2 + said(tokens, i + 2, "st", "nd", "rd", "th")
    year = 0
    if j < len(tokens) and tokens[j].kind == "number" and 2000 <= tokens[j].value < 2200:
        year, j = int(tokens[j].value), j + 1
    try:
        day = date(year or now.today.year, MONTHS[word.text], int(number.value))
        if not year and day < now.today:
            day = day.replace(year=day.year + 1)
    except ValueError:
        return Moment(day=now.today, doubt=f"there is no {number.text} {word.text}"), j
    return Moment(day=day), j


def _zone_names(now: Now) -> set[str]:
    year = now.today.year
    return {datetime(year, m, 1, tzinfo=now.zone).tzname() or "" for m in (1, 7)} - {""}


def wall_to_utc(day: date, seconds: int, now: Now, zone_name: str = "") -> tuple[datetime, str]:
    """The instant of a wall-clock time, and a remark where a clock change makes it special."""
    day, seconds = day + timedelta(days=seconds // DAY_S), seconds % DAY_S
    naive = datetime(day.year, day.month, day.day) + timedelta(seconds=seconds)  # noqa: DTZ001
    first, second = (naive.replace(tzinfo=now.zone, fold=f) for f in (0, 1))
    instant = first.astimezone(UTC)
    if instant.astimezone(now.zone).replace(tzinfo=None) != naive:
        return instant, f"{naive:%H:%M} does not exist on {naive:%d %b %Y}: the clocks go forward"
    if first.utcoffset() != second.utcoffset():
        if zone_name:
            return (first if first.tzname() == zone_name else second).astimezone(UTC), ""
        names = f"{first.tzname()} or {second.tzname()}"
        return instant, f"{naive:%H:%M} comes twice on {naive:%d %b %Y}; write {names} after it"
    return instant, ""


def doubt_about(moment: Moment) -> str:
    """What must be asked before a moment can be used; empty if it is clear."""
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
