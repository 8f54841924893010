"""Simulated plants that a site pack can name: which program stands in for the plant, and how its
own names map to the site's signals."""

from typing import Annotated, Literal

from pydantic import Field

from graph.record import Record


class EnergyPlusSimulator(Record):
    """An EnergyPlus building (extra `plants`). Its clock is the weather file's standard time."""

    kind: Literal["energyplus"]
    building: str = Field(description="name in the package's data set, or an .idf file of the pack")
    weather: str = Field(description="name in the package's data set, or an .epw file of the pack")
    zones: dict[str, str] = Field(description="EnergyPlus zone name by zone asset")
    units: dict[str, tuple[str, ...]] = Field(
        description="names of the EnergyPlus coils and fans that make up each air unit"
    )
    design_days: Literal["building", "weather"] = Field(
        "weather", description="size the equipment for the building file's place or the weather's"
    )
    warm_up_days: int = Field(3, ge=1, le=30, description="run under its own law before the start")


class PointMap(Record):
    """One signal's name at a plant and how its number becomes the signal's: value x scale + offset.

    A setpoint goes the other way. `activate`: the switch that hands the point to the plant's own
    law, where the plant has one.
    """

    name: str
    scale: float = 1.0
    offset: float = 0.0
    activate: str | None = None


class BoptestPoint(PointMap):
    """A signal's point, or several that add up to it (the parts of a meter that is not there)."""

    plus: tuple[str, ...] = Field((), description="further points, added before scale and offset")


class BoptestSimulator(Record):
    """A BOPTEST test case behind its REST interface (https://ibpsa.github.io/project1-boptest)."""

    kind: Literal["boptest"]
    url: str = Field(pattern=r"^https?://", description="of the server, e.g. http://127.0.0.1:8000")
    testcase: str = Field(min_length=1)
    points: dict[str, BoptestPoint] = Field(
        description="by signal; setpoints name the `_u` input and its `_activate`"
    )
    warm_up_s: float = Field(604_800.0, ge=0)
    year: int = Field(2026, description="the test case counts seconds from 1 January of no year")
    time_period: str | None = Field(
        None, description="a standard scenario, e.g. peak_heat_day: it sets start, warm-up and end"
    )
    electricity_price: Literal["constant", "dynamic", "highly_dynamic"] | None = Field(
        None, description="the price that the test case's own cost KPI counts"
    )


class FmuComponent(Record):
    """One FMU of a pack, with start values of its parameters."""

    file: str
    parameters: dict[str, float] = Field(default_factory=dict)
    interface: Literal["co_simulation", "model_exchange"] | None = Field(
        None, description="co-simulation where the FMU has it, unless said otherwise"
    )


class FmuConnection(Record):
    """An output that drives an input; both `component.variable`."""

    source: str
    target: str


class FmuSimulator(Record):
    """One FMU or several, coupled by a declared graph of connections."""

    kind: Literal["fmu"]
    components: dict[str, FmuComponent] = Field(min_length=1)
    connections: tuple[FmuConnection, ...] = ()
    points: dict[str, PointMap] = Field(description="by signal; names are `component.variable`")
    local: dict[str, float] = Field(
        default_factory=dict, description="by setpoint: the value of the plant's own law"
    )
    inputs: dict[str, str] = Field(
        default_factory=dict, description="`component.variable` by column of the pack's data/inputs"
    )
    scheme: Literal["gauss_seidel", "jacobi"] = Field(
        "gauss_seidel", description="one after the other with fresh values, or all at once"
    )
    step_s: float = Field(60.0, gt=0)
    tolerance: float | None = Field(None, gt=0, description="adaptive macro step; fixed without it")
    call_s: float = Field(30.0, gt=0, description="wall time that one call of an FMU may take")
    memory_mb: int = Field(2048, ge=256, description="address space of each FMU's process")


class ProcessSimulator(Record):
    """A published process model that comes with this installation."""

    kind: Literal["process"]
    model: Literal["quadruple_tank", "cstr"]
    parameters: dict[str, float] = Field(
        default_factory=dict,
        description="other values than the published ones, by the model's name",
    )
    noise: float = Field(0.0, ge=0, description="standard deviation of the sensors, share of range")


Simulator = Annotated[
    EnergyPlusSimulator | BoptestSimulator | FmuSimulator | ProcessSimulator,
    Field(discriminator="kind"),
]
