"""What a plugin asks for, signed by its author, and what an administrator grants of it."""

from typing import Annotated, Literal

from pydantic import Field

from graph.errors import RefusedError
from graph.record import Record
from plugins.patterns import covers

WORLD = "twin:copilot/advisor@0.1.0"
MIN_FUEL = 100_000  # instantiating the smallest component takes about 1,000
MAX_FUEL = 5_000_000_000  # some 2 s of one core
MAX_MEMORY_MIB = 64
ALWAYS_OFFERED = frozenset({"types", "log", "clock"})

Pattern = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9_]*)\.(\*|[a-z][a-z0-9_]*)$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Asks(Record):
    """Capabilities: what may be read, what may be proposed for, and how much work it may take."""

    telemetry: tuple[Pattern, ...] = Field(
        (), max_length=64, description="points, tariff columns and nameplate figures to read"
    )
    points: tuple[Pattern, ...] = Field((), max_length=32, description="setpoints to propose for")
    fuel: int = Field(200_000_000, ge=MIN_FUEL, le=MAX_FUEL, description="instructions a call")
    memory_mib: int = Field(16, ge=1, le=MAX_MEMORY_MIB, description="of each linear memory")


class PluginManifest(Record):
    """The author's claim about one component; only a signed one is admitted."""

    schema_version: Literal["pilothouse/plugin/v1"] = "pilothouse/plugin/v1"
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")
    version: str = Field(pattern=r"^\d{1,5}\.\d{1,5}\.\d{1,5}$")
    author: str = Field(min_length=1, max_length=120)
    summary: str = Field("", max_length=300)
    component: Digest = Field(description="sha256 of the component's bytes")
    world: str = Field(description=f"the world it was built for: {WORLD}")
    asks: Asks

    @property
    def id(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


class Grant(Asks):
    """What an administrator allows one component: the same or less than it asks."""

    component: Digest = Field(description="the very bytes that the grant is for")


def grant_all(manifest: PluginManifest) -> Grant:
    """The grant that gives a plugin everything it asks for."""
    return Grant(component=manifest.component, **manifest.asks.model_dump())


def check_grant(manifest: PluginManifest, grant: Grant) -> None:
    """Demand that `grant` is for this component and within its asks.

    Raises:
        RefusedError: reason "grant", naming the first excess.
    """
    if grant.component != manifest.component:
        raise RefusedError(
            "grant",
            f"the grant is for {grant.component}, the component is {manifest.component}",
            "a new build needs a new grant",
        )
    for name in ("telemetry", "points"):
        asked = getattr(manifest.asks, name)
        for pattern in getattr(grant, name):
            if not any(covers(a, pattern) for a in asked):
                raise RefusedError(
                    "grant",
                    f"{name} {pattern!r} is granted but {manifest.id} asks only for {list(asked)}",
                    "grant the same or less than the manifest asks",
                )
    for name in ("fuel", "memory_mib"):
        granted, asked = getattr(grant, name), getattr(manifest.asks, name)
        if granted > asked:
            raise RefusedError(
                "grant", f"{name} {granted} is granted but {manifest.id} asks for {asked}"
            )


def offered_interfaces(grant: Grant) -> frozenset[str]:
    """The world's interfaces that a component with this grant may import."""
    extra = {"telemetry"} if grant.telemetry else set()
    if grant.points:
        extra.add("submit")
    return ALWAYS_OFFERED | extra
