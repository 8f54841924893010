"""What a site is made of: one record a kind of asset, sizes as on the nameplate.

Signals are named `asset.quantity`. An energy hub expects these quantities by kind:
grid_connection `power_kw` (import positive) · pv `power_kw` · load `power_kw` ·
battery `soc_pct`, `power_kw` and setpoint `power_set_kw` (charging positive) ·
heat_pump `power_kw`, `heat_kw` and setpoint `power_set_kw` · buffer_tank `temp_degc` ·
zone `temp_degc` and setpoint `setpoint_degc` · weather `temp_degc`, `ghi_w_m2`.
A building with air units expects, besides grid, pv, load, battery and weather: air_unit
`power_kw` · zone `temp_degc`, `heat_kw` (delivered by its unit; cooling negative), setpoints
`heating_setpoint_degc`, `cooling_setpoint_degc`.
`equipment` carries whatever signals its pack declares.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from graph.record import Record
from graph.schedules import Hours

AssetId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Asset(Record):
    id: AssetId
    label: str = ""
    synonyms: tuple[str, ...] = Field((), description="what operators call it")


class GridConnection(_Asset):
    """The point of common coupling."""

    kind: Literal["grid_connection"]
    import_limit_kw: float = Field(gt=0)
    export_limit_kw: float = Field(ge=0)


class Photovoltaics(_Asset):
    """A PV plant whose power is forecast, not modelled."""

    kind: Literal["pv"]
    rated_kw: float = Field(gt=0)


class ElectricLoad(_Asset):
    """A load that nobody controls."""

    kind: Literal["load"]
    rated_kw: float = Field(gt=0)


class Reserve(Record):
    """What a battery keeps back for an outage of the grid, softly; people may still use it."""

    energy_kwh: float = Field(0.0, ge=0, description="kept above soc_min_pct")
    power_kw: float = Field(0.0, ge=0, description="of discharging that no plan uses")
    hours: tuple[Hours, ...] = Field((), description="when it is kept; empty: always")


class Battery(_Asset):
    """Electric storage."""

    kind: Literal["battery"]
    capacity_kwh: float = Field(gt=0)
    max_charge_kw: float = Field(gt=0)
    max_discharge_kw: float = Field(gt=0)
    round_trip_efficiency: float = Field(gt=0, le=1)
    soc_min_pct: float = Field(ge=0, le=100)
    soc_max_pct: float = Field(ge=0, le=100)
    wear_cost_per_kwh: float = Field(0.0, ge=0, description="currency a kWh of throughput")
    reserve: Reserve | None = Field(None, description="kept back for an outage of the grid")

    @model_validator(mode="after")
    def _can_keep_its_reserve(self) -> "Battery":
        kept = self.reserve
        if kept is None:
            return self
        room = (self.soc_max_pct - self.soc_min_pct) / 100.0 * self.capacity_kwh
        if kept.energy_kwh > room or kept.power_kw > self.max_discharge_kw:
            raise ValueError(
                f"battery {self.id} cannot keep {kept.energy_kwh:g} kWh and {kept.power_kw:g} kW "
                f"back: it has {room:g} kWh and {self.max_discharge_kw:g} kW"
            )
        return self


class HeatPump(_Asset):
    """An air-to-water heat pump that charges a buffer tank."""

    kind: Literal["heat_pump"]
    min_power_kw: float = Field(gt=0, description="least electric power while running")
    max_power_kw: float = Field(gt=0)
    nominal_cop: float = Field(gt=1)
    min_on_s: float = Field(0.0, ge=0)
    min_off_s: float = Field(0.0, ge=0)
    sink: AssetId = Field(description="the buffer tank")
    source: AssetId = Field(description="the weather asset whose air it draws heat from")


class BufferTank(_Asset):
    """Hot water between heat pump and emitters."""

    kind: Literal["buffer_tank"]
    volume_l: float = Field(gt=0)
    min_degc: float
    max_degc: float


class AirUnit(_Asset):
    """A packaged air unit that heats and cools the zones it serves; heat in kW thermal."""

    kind: Literal["air_unit"]
    heating_kw: float = Field(gt=0, description="greatest heat that it can deliver")
    cooling_kw: float = Field(gt=0, description="greatest sensible cooling that it can deliver")
    nominal_cop_heating: float = Field(gt=0, description="1 for electric resistance")
    nominal_cop_cooling: float = Field(gt=0)
    fan_kw: float = Field(0.0, ge=0, description="electric power of its fan while it ventilates")
    source: AssetId = Field(description="the weather asset whose air it works against")


class Zone(_Asset):
    """A heated or conditioned space with a local thermostat that follows its setpoints."""

    kind: Literal["zone"]
    floor_area_m2: float = Field(gt=0)
    source: AssetId = Field(description="the tank or air unit that serves it")
    group: str = Field("rooms", description="the name under which operators mean all such zones")


class Weather(_Asset):
    """The weather station."""

    kind: Literal["weather"]
    latitude_deg: float | None = Field(None, ge=-90, le=90, description="north positive")
    longitude_deg: float | None = Field(None, ge=-180, le=180, description="east positive")


class Equipment(_Asset):
    """A tank, a pump, a reactor: anything else whose equations are the twin's (kind `ode`)."""

    kind: Literal["equipment"]


Asset = Annotated[
    GridConnection
    | Photovoltaics
    | ElectricLoad
    | Battery
    | HeatPump
    | BufferTank
    | AirUnit
    | Zone
    | Weather
    | Equipment,
    Field(discriminator="kind"),
]
