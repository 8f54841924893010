"""The gate's own limits and timing. They come from its own file, never from a proposal."""

from functools import cached_property
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from graph.record import Record
from graph.signals import Role, SignalSpec
from graph.site import Site


class PointConfig(Record):
    """What the gate allows one setpoint. Units are the signal's own."""

    point: str
    unit: str
    loop: str = Field(description="the loop whose mode governs the point")
    min: float
    max: float
    ramp_per_s: float | None = Field(None, gt=0)
    dwell_s: float = Field(0.0, ge=0, description="least plant time between two changes")
    zero_or_above: float | None = Field(None, gt=0, description="0, or from here to max")
    max_starts_per_day: int | None = Field(None, ge=0, description="in a local day")
    deadband: float = Field(0.0, ge=0)
    resolution: float = Field(0.001, gt=0)
    readback_tolerance: float = Field(gt=0, description="applied may differ so much from written")
    follows: str | None = None
    follow_tolerance: float | None = Field(None, gt=0)
    follow_within_s: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> "PointConfig":
        if not self.min < self.max:
            raise ValueError(f"{self.point}: min {self.min} is not below max {self.max}")
        follow = (self.follows, self.follow_tolerance, self.follow_within_s)
        if any(f is not None for f in follow) and None in follow:
            raise ValueError(
                f"{self.point}: follows, follow_tolerance and follow_within_s belong together"
            )
        return self


class CriticalInput(Record):
    """A signal without which the gate sheds."""

    signal: str
    stale_after_s: float = Field(gt=0)
    min: float | None = None
    max: float | None = None


class Breaker(Record):
    """The action-rate breaker: so many new orders in so much plant time drop to ADVISE."""

    orders: int = Field(3, ge=2)
    within_s: float = Field(60.0, gt=0)


class GateConfig(Record):
    """Everything the gate's core decides by."""

    gate_id: str = Field("gate", pattern=r"^[a-z][a-z0-9_-]*$")
    site_id: str
    time_zone: str
    points: tuple[PointConfig, ...] = Field(min_length=1)
    inputs: tuple[CriticalInput, ...] = ()
    lease_s: float = Field(gt=0, description="longest lease of any write, plant time")
    cycle_s: float = Field(60.0, gt=0, description="plant time between two cycles")
    service_timeout_s: float = Field(30.0, gt=0, description="wall time")
    breaker: Breaker = Breaker()
    has_watchdog: bool = Field(
        False, description="the plant has a watchdog and local/remote ownership; AUTO needs both"
    )
    stepped: bool = Field(False, description="plant time moves only when it is told to")
    frozen_after_s: float = Field(
        120.0, gt=0, description="wall time after which a standing plant clock sheds"
    )
    lab: bool = Field(False, description="accept demonstration keys; never beside a real plant")

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except Exception as error:
            raise ValueError(f"unknown time zone {name!r}; expected e.g. Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _holds_together(self) -> "GateConfig":
        names = [p.point for p in self.points]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"point configured twice: {', '.join(twice)}")
        if self.lease_s < 2 * self.cycle_s:
            raise ValueError(
                f"lease_s {self.lease_s} is shorter than two cycles of {self.cycle_s} s: "
                "a lease could not be renewed before half its life"
            )
        return self

    @cached_property
    def by_point(self) -> dict[str, PointConfig]:
        """Point configurations by id."""
        return {p.point: p for p in self.points}

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone in which days are counted."""
        return ZoneInfo(self.time_zone)

    @property
    def loops(self) -> tuple[str, ...]:
        """All loops, in order, once."""
        return tuple(dict.fromkeys(p.loop for p in self.points))


def config_from_site(
    site: Site, *, gate_id: str = "gate", stepped: bool = False, lab: bool = False
) -> GateConfig:
    """A first configuration from the site's declarations, for a person to review and own.

    Bounds are the tighter of the signal's range and the site's limits; a loop is an asset.
    """
    return GateConfig(
        gate_id=gate_id,
        site_id=site.id,
        time_zone=site.time_zone,
        points=tuple(_point(site, spec) for spec in site.setpoints),
        inputs=tuple(
            CriticalInput(signal=s.id, stale_after_s=s.stale_after_s, min=s.minimum, max=s.maximum)
            for s in site.signals
            if s.critical and s.role is not Role.SETPOINT
        ),
        lease_s=site.autonomy.lease_s,
        has_watchdog=site.plant.has_watchdog,
        stepped=stepped,
        lab=lab,
    )


def _point(site: Site, spec: SignalSpec) -> PointConfig:
    low, high = spec.minimum, spec.maximum
    for limit in site.limits:
        if limit.signal == spec.id:
            low = low if limit.minimum is None else max(low, limit.minimum)
            high = high if limit.maximum is None else min(high, limit.maximum)
    complete = None not in (spec.follows, spec.follow_tolerance, spec.follow_within_s)
    return PointConfig(
        point=spec.id,
        unit=spec.unit,
        loop=spec.asset,
        min=low,
        max=high,
        ramp_per_s=spec.ramp_per_s,
        dwell_s=spec.dwell_s,
        zero_or_above=spec.zero_or_above,
        max_starts_per_day=spec.max_starts_per_day,
        deadband=spec.deadband,
        resolution=spec.resolution,
        readback_tolerance=max(2 * spec.resolution, 1e-6),
        follows=spec.follows if complete else None,
        follow_tolerance=spec.follow_tolerance if complete else None,
        follow_within_s=spec.follow_within_s if complete else None,
    )
