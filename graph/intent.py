"""What an operator wants, compiled: objectives, constraints, horizon, order of priority."""

from typing import Annotated, Literal

from pydantic import Field

from graph.record import Record, UtcTime

Quantity = Literal[
    "cost", "energy", "emissions", "peak", "comfort", "wear", "reliability", "throughput", "penalty"
]
# No planner of ours moves these two: the compiler refuses them by name.
UNPLANNED: tuple[Quantity, ...] = ("throughput", "penalty")


class Condition(Record):
    """Holds in the steps in which a forecast lies beyond a value.

    It reads the expected values of the decision's snapshot, so that it is known before the plan is
    made; what the plan itself decides (a room, the battery) cannot be a condition.
    """

    source: str = Field(description="import_price, export_price, carbon, or a forecast signal")
    op: Literal["above", "at_least", "below", "at_most"]
    value: float
    unit: str = Field(description="currency/kWh, g/kWh, or the signal's own")


class Window(Record):
    """Part of the horizon: an absolute span, optionally only between two local times of day.

    With a condition only the steps in which that holds; never the steps of an exception.
    """

    start: UtcTime | None = None
    end: UtcTime | None = None
    daily_from: str | None = Field(None, description="HH:MM local; may be later than daily_to")
    daily_to: str | None = Field(None, description="HH:MM local")
    days: tuple[str, ...] = Field((), description="mon..sun; empty means every day")
    condition: Condition | None = None
    exceptions: tuple["Window", ...] = ()

    @property
    def always(self) -> bool:
        """Whether it covers every hour of every day of its span."""
        limited = self.daily_from or self.daily_to or self.days
        return not (limited or self.condition or self.exceptions)


class Objective(Record):
    """One thing to make small (or, for comfort, large)."""

    quantity: Quantity
    weight: float = Field(1.0, gt=0)
    text: str = Field("", description="the words it came from")


class Band(Record):
    """Keep a signal inside bounds."""

    kind: Literal["band"] = "band"
    signals: tuple[str, ...] = Field(min_length=1)
    minimum: float | None = None
    maximum: float | None = None
    unit: str
    hard: bool = False
    chance: float | None = Field(0.95, gt=0, lt=1, description="of a soft band; None when hard")
    window: Window = Window()
    text: str = ""


class StartLimit(Record):
    """At most so many starts in a local day."""

    kind: Literal["starts"] = "starts"
    point: str = Field(description="the setpoint whose changes from 0 to above 0 are counted")
    maximum: int = Field(ge=0)
    hard: bool = True
    window: Window = Window()
    text: str = ""


class TotalLimit(Record):
    """At most so much energy, money or CO2 over a window."""

    kind: Literal["total"] = "total"
    quantity: Literal["cost", "energy", "emissions"]
    maximum: float
    unit: str
    daily: bool = Field(False, description="in each local day, not over the whole window")
    signal: str | None = Field(None, description="this asset's energy in place of the site's")
    hard: bool = True
    window: Window = Window()
    text: str = ""


class KeepOff(Record):
    """An asset must stand still (maintenance, or because somebody wants it so)."""

    kind: Literal["keep_off"] = "keep_off"
    point: str
    hard: bool = True
    window: Window = Window()
    text: str = ""


class RateLimit(Record):
    """Change a signal no faster than so much an hour."""

    kind: Literal["rate"] = "rate"
    signals: tuple[str, ...] = Field(min_length=1)
    maximum: float = Field(gt=0, description="in `unit` an hour")
    unit: str = Field(description="the signal's; of a temperature its difference is meant")
    direction: Literal["both", "up", "down"] = "both"
    hard: bool = True
    window: Window = Window()
    text: str = ""


class MinimumTime(Record):
    """Once on (or off, or set to a value), stay so for at least so long."""

    kind: Literal["min_time"] = "min_time"
    points: tuple[str, ...] = Field(min_length=1)
    state: Literal["on", "off", "same"]
    minimum_s: float = Field(gt=0)
    hard: Literal[True] = True
    window: Window = Window()
    text: str = ""


Constraint = Annotated[
    Band | StartLimit | TotalLimit | KeepOff | RateLimit | MinimumTime,
    Field(discriminator="kind"),
]


class Intent(Record):
    """A compiled intent. `priority` lists constraint indices, most important first."""

    text: str
    actor: str = "operator"
    objectives: tuple[Objective, ...] = Field(min_length=1)
    constraints: tuple[Constraint, ...] = ()
    start: UtcTime
    end: UtcTime
    priority: tuple[int, ...] = ()
    lexicographic: bool = False


class NotUnderstood(Record):
    """A piece of the text that was not used."""

    text: str
    start: int
    end: int
    why: str
    suggestion: str = ""


class Reading(Record):
    """What the compiler made of a text. `intent` is None until every question is answered."""

    text: str
    intent: Intent | None
    restatement: str
    not_understood: tuple[NotUnderstood, ...] = ()
    questions: tuple[str, ...] = ()
    refused: tuple[str, ...] = Field(
        (),
        description="those of the questions that say no: beyond the site's limits, or unplannable",
    )
    assumptions: tuple[str, ...] = ()
