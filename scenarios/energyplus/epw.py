"""What the header and the hours of an EnergyPlus weather file (EPW) say of a place.

Format: EnergyPlus Auxiliary Programs, chapter "EnergyPlus Weather File (EPW) Data Dictionary".
"""

from dataclasses import dataclass
from datetime import timedelta, timezone
from pathlib import Path

import numpy as np

from graph.errors import InputError

HEADER_LINES = 8
DRY_BULB = 6  # column of the hourly rows


@dataclass(frozen=True)
class DesignConditions:
    """ASHRAE's design conditions: degC, K, m/s, degrees from north."""

    heating_month: int
    heating_degc: float  # dry bulb that 99.6 % of the hours exceed
    cooling_month: int
    cooling_degc: float  # dry bulb that 0.4 % of the hours exceed
    cooling_wet_bulb_degc: float
    cooling_range_k: float
    heating_wind_m_s: float
    heating_wind_deg: float
    cooling_wind_m_s: float
    cooling_wind_deg: float


@dataclass(frozen=True)
class Place:
    """Where a weather file was recorded."""

    name: str
    latitude_deg: float
    longitude_deg: float
    utc_offset_h: float
    elevation_m: float
    design: DesignConditions | None
    annual_mean_degc: float
    monthly_spread_k: float  # warmest less coldest month's mean

    @property
    def standard_time(self) -> timezone:
        """The file's clock: standard time all year round."""
        return timezone(timedelta(hours=self.utc_offset_h))

    @property
    def pressure_pa(self) -> float:
        """Standard atmosphere at this elevation (ASHRAE Fundamentals 2017, ch. 1, eq. 3)."""
        return float(101_325.0 * (1.0 - 2.25577e-5 * self.elevation_m) ** 5.2559)


def read_place(path: Path) -> Place:
    """Read a weather file's header and dry-bulb column. Raises InputError if it is no EPW."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        location = lines[0].split(",")
        rows = [line.split(",") for line in lines[HEADER_LINES:] if line]
        months = np.array([int(row[1]) for row in rows])
        degc = np.array([float(row[DRY_BULB]) for row in rows])
        means = [float(degc[months == m].mean()) for m in range(1, 13)]
        latitude, longitude, offset, elevation = (float(x) for x in location[6:10])
        return Place(
            name=f"{location[1]} {location[3]} WMO {location[5]}",
            latitude_deg=latitude, longitude_deg=longitude, utc_offset_h=offset,
            elevation_m=elevation, design=_design(lines[1].split(",")),
            annual_mean_degc=float(degc.mean()), monthly_spread_k=max(means) - min(means),
        )  # fmt: skip
    except (OSError, IndexError, ValueError) as error:
        raise InputError(f"{path}: {error}", "expected an EnergyPlus weather file") from error


def _design(header: list[str]) -> DesignConditions | None:
    """The first set of design conditions (ASHRAE Handbook layout of 2009), if there is one."""
    try:
        heat = header[header.index("Heating") + 1 :]
        cool = header[header.index("Cooling") + 1 :]
        return DesignConditions(
            heating_month=int(heat[0]), heating_degc=float(heat[1]),
            cooling_month=int(cool[0]), cooling_range_k=float(cool[1]),
            cooling_degc=float(cool[2]), cooling_wet_bulb_degc=float(cool[3]),
            heating_wind_m_s=float(heat[13]), heating_wind_deg=float(heat[14]),
            cooling_wind_m_s=float(cool[14]), cooling_wind_deg=float(cool[15]),
        )  # fmt: skip
    except (ValueError, IndexError):
        return None
