"""A second reading of the same words, e.g. by a language model, beside the grammar's.

The grammar's intent is the only one that is ever planned. A second reading can agree, and that is
said; or differ, and then nothing is planned: the operator sees both and says which one is meant.
It is data from outside: it passes the checks that the grammar's reading passes, and what fails
them is reported and not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import Field

from graph.errors import InputError, PilothouseError
from graph.intent import (
    Band,
    Constraint,
    Intent,
    KeepOff,
    MinimumTime,
    Objective,
    RateLimit,
    Reading,
    StartLimit,
    TotalLimit,
    Window,
)
from graph.record import Record, UtcTime
from graph.signals import Role
from graph.site import Site
from graph.units import same_dimension
from planner.intent.compiler import compile_intent
from planner.intent.horizon import LONGEST
from planner.intent.refusals import refused_objectives
from planner.intent.restate import restate
from planner.intent.site_limits import contradictions, refused_constraint, unclear_constraints
from planner.intent.wish import Wish

MOST = 40  # objectives and constraints together: a sentence of 4000 characters has fewer
SAME_TIME = timedelta(minutes=1)


class Wanted(Record):
    """What a second reader makes of a text: the typed result, or questions."""

    objectives: tuple[Objective, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    start: UtcTime | None = None
    end: UtcTime | None = None
    lexicographic: bool = False
    questions: tuple[str, ...] = Field((), description="what must be asked before it can be used")


class SecondReader(Protocol):
    """Anything that reads a text into the typed result."""

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        ...

    def read(self, text: str, site: Site, now: datetime) -> Wanted:
        """The reading.

        Raises:
            PilothouseError: it gave none, or one that is no typed result.
        """
        ...


def read_twice(
    text: str, site: Site, now: datetime, actor: str, reader: SecondReader | None
) -> Reading:
    """The grammar's reading, compared with a second one where there is a reader.

    1. The grammar reads. 2. The reader reads; a failure is stated and changes nothing.
    3. Its result is checked like the grammar's. 4. Agreement is stated; disagreement is a question
    that shows both, and there is no intent.
    """
    ours = compile_intent(text, site, now, actor)
    if reader is None:
        return ours
    try:
        wanted = reader.read(text, site, now)
        theirs = checked(wanted, text, site, now, actor)
    except PilothouseError as error:
        return _noted(ours, f"{reader.name} gave no reading that can be used: {error}")
    if theirs is None:
        asks = "; ".join(q.strip()[:200] for q in wanted.questions[:3]) or "nothing to plan"
        return _asked_too(ours, reader.name, asks)
    if ours.intent is None:
        text_of = restate(theirs, site)
        ask = f"{reader.name} reads: “{text_of}” If that is meant, say it so."
        return ours.model_copy(update={"questions": (*ours.questions, ask)})
    if same(ours.intent, theirs):
        return _noted(ours, f"{reader.name} reads the same")
    ask = (
        f"Two readings: the grammar's is “{ours.restatement}”, that of {reader.name} is "
        f"“{restate(theirs, site)}” Say the one that is meant."
    )
    return ours.model_copy(update={"intent": None, "questions": (*ours.questions, ask)})


def _noted(reading: Reading, note: str) -> Reading:
    return reading.model_copy(update={"assumptions": (*reading.assumptions, note)})


def _asked_too(reading: Reading, name: str, asks: str) -> Reading:
    """The second reader asks where the grammar may not: then nothing is planned."""
    ask = f"{name} asks about these words: {asks}"
    return reading.model_copy(update={"intent": None, "questions": (*reading.questions, ask)})


def checked(wanted: Wanted, text: str, site: Site, now: datetime, actor: str) -> Intent | None:
    """The intent of a second reading; None where it only asks.

    Raises:
        InputError: signals, points or units that the site has not, a limit of the site passed, a
            contradiction, a time that cannot be planned, or too much of anything.
    """
    if wanted.questions or not wanted.objectives:
        return None
    if len(wanted.objectives) + len(wanted.constraints) > MOST:
        raise InputError(f"more than {MOST} wishes")
    start, end = wanted.start or now, wanted.end
    if end is None or not now - SAME_TIME <= start < end <= now + LONGEST:
        raise InputError("a span of time that cannot be planned", "from now on, at most 7 days")
    for constraint in wanted.constraints:
        _known(constraint, site)
    wishes = (Wish(objectives=wanted.objectives),)
    wrong = [
        *refused_objectives(wishes, site),
        *(r for c in wanted.constraints for r in refused_constraint(c, site)),
        *unclear_constraints(wanted.constraints),
        *contradictions(site, wanted.constraints, start, end),
    ]
    if wrong:
        raise InputError(wrong[0])
    return Intent(
        text=text, actor=actor, objectives=wanted.objectives, constraints=wanted.constraints,
        start=start, end=end, lexicographic=wanted.lexicographic and len(wanted.objectives) > 1,
    )  # fmt: skip


def _known(constraint: Constraint, site: Site) -> None:
    specs = {s.id: s for s in site.signals}
    match constraint:
        case Band() | RateLimit():
            names: Sequence[str] = constraint.signals
        case MinimumTime():
            names = constraint.points
        case StartLimit() | KeepOff():
            names = (constraint.point,)
        case TotalLimit():
            names = (constraint.signal,) if constraint.signal else ()
    for name in names:
        if name not in specs:
            raise InputError(f"{name[:80]!r} is no signal of {site.id}")
        setpoint = specs[name].role is Role.SETPOINT
        if isinstance(constraint, StartLimit | KeepOff | MinimumTime) and not setpoint:
            raise InputError(f"{name} is no setpoint")
        if isinstance(constraint, Band | RateLimit) and not same_dimension(
            specs[name].unit, constraint.unit
        ):
            raise InputError(f"{name} is in {specs[name].unit}, not {constraint.unit[:20]}")


@dataclass(frozen=True)
class _Plain:
    """What must agree of two intents, whatever the order and the words."""

    objectives: tuple[object, ...]
    lexicographic: bool
    constraints: frozenset[str]
    span: tuple[int, int]


def same(a: Intent, b: Intent) -> bool:
    """Whether two intents ask for the same, to the minute; order and texts aside."""
    return _plain(a) == _plain(b)


def _plain(intent: Intent) -> _Plain:
    aims = [(o.quantity, round(o.weight, 6)) for o in intent.objectives]
    ordered = tuple(aims) if intent.lexicographic else tuple(sorted(aims))
    minutes = tuple(int(t.timestamp() // 60) for t in (intent.start, intent.end))
    return _Plain(
        ordered, intent.lexicographic,
        frozenset(part for c in intent.constraints for part in _parts(c)),
        (minutes[0], minutes[1]),
    )  # fmt: skip


def _parts(constraint: Constraint) -> list[str]:
    """A constraint as one text a signal and side, so that one band or two half bands are alike."""
    if not isinstance(constraint, Band):
        return [constraint.model_copy(update={"text": ""}).model_dump_json()]
    found = []
    for signal in constraint.signals:
        for side in ("minimum", "maximum"):
            value = getattr(constraint, side)
            if value is not None:
                one = Band(
                    signals=(signal,), unit=constraint.unit, hard=constraint.hard,
                    chance=None if constraint.hard else constraint.chance,
                    window=Window.model_validate(constraint.window.model_dump()),
                ).model_copy(update={side: round(float(value), 6)})  # fmt: skip
                found.append(one.model_dump_json())
    return found
