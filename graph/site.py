"""A site as its pack declares it: assets, signals, tariff, limits, baseline law, autonomy."""

from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from graph.assets import Asset, AssetId
from graph.errors import InputError
from graph.record import Record
from graph.schedules import Hours, StartSchedule
from graph.signals import Role, SignalSpec
from graph.simulators import Simulator
from graph.tariff import Tariff


class Edge(Record):
    """A typed edge of the topology."""

    source: AssetId
    target: AssetId
    kind: Literal["feeds", "heats", "measures", "controls"]


class Limit(Record):
    """A limit of the site itself: always hard, checked in the service and again in the gate."""

    signal: str
    minimum: float | None = None
    maximum: float | None = None
    label: str = ""
    basis: str = Field("", description="why it is there: data sheet, contract, standard")


class ComfortBand(Record):
    """The band by which comfort is measured, whatever was asked for."""

    group: str = "rooms"
    lower_degc: float
    upper_degc: float
    hours: tuple[Hours, ...] = Field((), description="when it counts; empty: always")


class BaselineLaw(Record):
    """The plant's own local law: what happens when nobody commands anything."""

    zone_setpoint_degc: tuple[StartSchedule, ...] = Field(
        (), description="rooms on a tank's emitters"
    )
    zone_heating_degc: tuple[StartSchedule, ...] = Field((), description="rooms on air units")
    zone_cooling_degc: tuple[StartSchedule, ...] = Field((), description="rooms on air units")
    ventilation: tuple[Hours, ...] = Field(
        (), description="when air units ventilate whether or not they heat or cool; empty: never"
    )
    tank_on_below_degc: float | None = None
    tank_off_above_degc: float | None = None
    heat_pump_power_kw: float | None = Field(None, gt=0)
    battery: Literal["self_consumption", "idle"] = "self_consumption"
    points: dict[str, tuple[StartSchedule, ...]] = Field(
        default_factory=dict,
        description="by setpoint: what the plant's own law sets any other setpoint to",
    )
    source: str = Field("", description="where these settings were read")

    @property
    def tank_hysteresis(self) -> "TankHysteresis":
        """How the heat pump follows its tank. Raises InputError where the law has none."""
        on, off, power = self.tank_on_below_degc, self.tank_off_above_degc, self.heat_pump_power_kw
        if on is None or off is None or power is None:
            raise InputError("the baseline law says nothing of a tank")
        return TankHysteresis(on, off, power)


class TankHysteresis(NamedTuple):
    """On below, off above (degC), and the electric power in between (kW)."""

    on_below_degc: float
    off_above_degc: float
    power_kw: float


class TwinSpec(Record):
    """Which twin model stands for the plant, and the file with its identified parameters."""

    kind: Literal["energy_hub", "building", "ode"] = "energy_hub"
    parameters: str = Field("twin.json", description="file in the pack, written by `site fit`")
    model: str | None = Field(None, description="file in the pack with the equations of kind `ode`")

    @model_validator(mode="after")
    def _equations_go_with_ode(self) -> "TwinSpec":
        if (self.kind == "ode") != (self.model is not None):
            raise ValueError("kind ode and a file `model` with its equations go together")
        return self


class PlantSpec(Record):
    """How the plant is reached."""

    adapter: Literal["opcua", "recorded", "simulated"] = "opcua"
    endpoint: str = ""
    namespace: str = "urn:pilothouse:plant"
    has_watchdog: bool = Field(
        False, description="the plant returns to local by itself and owns a local/remote switch"
    )
    emulator: str | None = Field(None, description="`package.module` that serves it, if emulated")
    simulator: Simulator | None = Field(None, description="what adapter `simulated` steps")
    cycle_s: float = Field(60.0, gt=0, description="plant time between two cycles of the gate")


class DataFiles(Record):
    """Where the pack keeps its series; columns are signal ids plus `time`."""

    telemetry: str = "data/telemetry.parquet"
    carbon: str | None = Field(None, description="hourly g CO2 a kWh, columns time, g_per_kwh")


class RiskRule(Record):
    """Who must approve at a level of risk."""

    level: Literal["low", "medium", "high"]
    max_probability: float = Field(ge=0, le=1, description="greatest upper bound on a violation")
    roles: tuple[str, ...]
    min_persons: int = Field(ge=1)


class Autonomy(Record):
    """How far the copilot may go here."""

    decision_deadline_s: float = Field(900.0, gt=0)
    proposal_valid_s: float = Field(86_400.0, gt=0)
    lease_s: float = Field(1800.0, gt=0)
    futures: int = Field(200, ge=10)
    hold_last_plan_steps: int = Field(4, ge=0, description="K of: hold the last good plan")
    risk_rules: tuple[RiskRule, ...] = Field(min_length=1)


DefaultAim = Literal["cost", "energy", "emissions", "peak", "wear"]


class Site(Record):
    """Everything that the pack says, checked as a whole."""

    schema_version: Literal["pilothouse/site/v1"]
    id: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    name: str
    time_zone: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    step_s: int = Field(900, ge=60, le=3600)
    assets: tuple[Asset, ...] = Field(min_length=1)
    signals: tuple[SignalSpec, ...] = Field(min_length=1)
    topology: tuple[Edge, ...] = ()
    tariff: Tariff
    limits: tuple[Limit, ...] = ()
    comfort: ComfortBand | None = None
    default_aim: DefaultAim = Field(
        "cost", description="what is made small where a wish names no aim; told as an assumption"
    )
    baseline: BaselineLaw
    twin: TwinSpec = TwinSpec()
    plant: PlantSpec = PlantSpec()
    data: DataFiles = DataFiles()
    learned_policy: str | None = Field(
        None, description="folder in the pack with a signed policy, from `pilothouse train`"
    )
    autonomy: Autonomy

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {name!r}; expected e.g. Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _names_resolve(self) -> "Site":
        from graph.site_checks import check_site

        check_site(self)
        return self

    @property
    def zone_info(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.time_zone)

    def signal(self, signal_id: str) -> SignalSpec:
        """The declaration of `signal_id`. Raises KeyError."""
        for spec in self.signals:
            if spec.id == signal_id:
                return spec
        raise KeyError(signal_id)

    @property
    def setpoints(self) -> tuple[SignalSpec, ...]:
        """All signals that can be commanded."""
        return tuple(s for s in self.signals if s.role is Role.SETPOINT)

    def of_kind(self, kind: str) -> tuple[Asset, ...]:
        """Assets of a kind, in the pack's order."""
        return tuple(a for a in self.assets if a.kind == kind)
