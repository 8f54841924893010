"""Signals: what the plant says and what it can be told, each with unit, range and quality."""

from enum import StrEnum

from pydantic import Field, model_validator

from graph.record import Record, UtcTime


class Quality(StrEnum):
    """How far a value may be trusted (after OPC UA's three classes)."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


class Role(StrEnum):
    """What a signal is for."""

    MEASUREMENT = "measurement"
    SETPOINT = "setpoint"
    COUNTER = "counter"


class Reading(Record):
    """One value as the plant gave it."""

    value: float | None = Field(description="in the signal's unit; None when there is none")
    time: UtcTime
    quality: Quality = Quality.GOOD


class SignalSpec(Record):
    """A signal as the site pack declares it."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", description="asset.quantity")
    unit: str = Field(description="a unit of the registry: kW, kWh, degC, delta_degC, %, W/m^2, 1")
    role: Role = Role.MEASUREMENT
    label: str = ""
    minimum: float
    maximum: float
    max_rate_per_s: float | None = Field(
        None, gt=0, description="greatest physical change a second; a faster one is a bad reading"
    )
    stale_after_s: float = Field(900.0, gt=0)
    stuck_after_s: float | None = Field(None, gt=0, description="unchanged for this long: suspect")
    critical: bool = Field(False, description="a loop sheds when this signal is bad or late")
    # Setpoints only:
    ramp_per_s: float | None = Field(None, gt=0, description="greatest commanded change a second")
    dwell_s: float = Field(0.0, ge=0, description="least time between two changes")
    deadband: float = Field(0.0, ge=0, description="a smaller change is none")
    resolution: float = Field(0.001, gt=0, description="commands are rounded to this")
    zero_or_above: float | None = Field(
        None, gt=0, description="semi-continuous: 0, or from here to the maximum"
    )
    max_starts_per_day: int | None = Field(
        None, ge=0, description="limit on changes from 0 to above 0 in a local day"
    )
    follows: str | None = Field(None, description="the measurement that must follow this setpoint")
    follow_tolerance: float | None = Field(None, gt=0)
    follow_within_s: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _range_is_a_range(self) -> "SignalSpec":
        if not self.minimum < self.maximum:
            raise ValueError(f"range [{self.minimum}, {self.maximum}] is empty or reversed")
        return self

    @property
    def asset(self) -> str:
        """The id of the asset that carries the signal."""
        return self.id.split(".", 1)[0]


class Owner(StrEnum):
    """Who commands a setpoint just now, as the plant's side says."""

    LOCAL = "local"
    REMOTE = "remote"
    OPERATOR = "operator"


class PointState(Record):
    """Read-back of one setpoint."""

    applied: float = Field(description="the value in force at the plant")
    owner: Owner
    lease_until: UtcTime | None = None
    by: str = Field("", description="the operator's name when owner is OPERATOR")
    until: UtcTime | None = Field(None, description="when an operator's hold ends, if it does")
    local_law: bool = Field(
        False, description="a person keeps the copilot off it, and the plant's own law commands it"
    )
