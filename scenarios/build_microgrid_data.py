"""Makes the microgrid pack's weather, load and carbon series from published data sets.

    python -m scenarios.build_microgrid_data ENERGYPLUS_WHEEL CITYLEARN_WHEEL [--out DIR]

The two wheels are `pyenergyplus_lbnl-26.1.0` (its EPW of Fresno) and `CityLearn-2.2b0` (its 2022
data set); `demandlib` and `pvlib` are needed for this script alone. Every series covers July 2025
to June 2026; `time` is the end of the interval, in UTC.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError

FIRST = datetime.fromisoformat("2025-07-01T00:00:00+00:00")
LAST = datetime.fromisoformat("2026-07-01T00:00:00+00:00")
ZONE = ZoneInfo("America/Los_Angeles")
STEP = timedelta(minutes=15)
HOUR = timedelta(hours=1)

EPW = "pyenergyplus/data/weather/USA_CA_Fresno.Air.Terminal.723890_TMY3.epw"
EPW_COLUMNS = {"temp": 6, "ghi": 13, "dni": 14, "dhi": 15, "wind": 21}
CITYLEARN = "citylearn/data/datasets/citylearn_challenge_2022_phase_all/"
# Row 0 of the CityLearn series is the hour that starts here: the prices change at "hour 16" and
# at 21 (the tariff says 16:00 and 21:00), and the last hour of 30 September carries the winter
# price, so the label is the hour's beginning and 24 is midnight of the next day.
CITYLEARN_START = datetime.fromisoformat("2016-08-01T00:00:00")

PV_TILT, PV_AZIMUTH, ALBEDO = 20.0, 180.0, 0.2
ANNUAL_LOAD_KWH = 60_000.0
# Public holidays of California that close a business in the span of the data.
HOLIDAYS = (
    "2025-07-04", "2025-09-01", "2025-11-11", "2025-11-27", "2025-12-25",
    "2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25",
)  # fmt: skip


def read_member(wheel: Path, name: str) -> str:
    """A text file out of a wheel. Raises InputError when it is not there."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(name).decode("utf-8")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel} has no {name}: {error}", "see the script's heading") from error


def _steps(step: timedelta) -> list[datetime]:
    """END labels from FIRST (exclusive) to LAST (inclusive)."""
    return [FIRST + step * (k + 1) for k in range(int((LAST - FIRST) / step))]


def typical_year(epw: str) -> tuple[timezone, dict[str, NDArray[np.float64]]]:
    """The EPW's fixed time zone and its 8760 hour-ending values a column."""
    lines = epw.splitlines()
    offset = timezone(timedelta(hours=float(lines[0].split(",")[8])))
    rows = [line.split(",") for line in lines[8:] if line]
    if len(rows) != 8760:
        raise InputError(f"the EPW has {len(rows)} hours", "expected 8760")
    return offset, {k: np.array([float(r[c]) for r in rows]) for k, c in EPW_COLUMNS.items()}


def hour_of_year(end: datetime, offset: timezone) -> float:
    """Fractional index into the typical year of an END label; it repeats each calendar year.

    The EPW's hour h covers (h - 1, h] in standard time all year round: no clock changes.
    """
    local = end.astimezone(offset)
    begin = datetime(local.year, 1, 1, tzinfo=offset)
    return (local - begin) / HOUR - 1.0


def weather(epw: str) -> dict[str, NDArray[np.float64]]:
    """Quarter-hourly weather and the irradiance on the PV plane and on two facades.

    Temperature and wind are interpolated between the hourly readings. Irradiance keeps each
    hour's mean: inside the hour it is shared out in proportion to the sun's height.
    Tilted planes: isotropic sky (Liu and Jordan 1963, doi 10.1016/0038-092X(63)90006-9).
    """
    offset, year = typical_year(epw)
    ends = _steps(STEP)
    at = np.array([hour_of_year(t, offset) for t in ends])
    hours = np.arange(8760.0)
    out = {k: np.interp(at, hours, year[k], period=8760.0) for k in ("temp", "wind")}
    zenith, azimuth = _sun([t - STEP / 2 for t in ends])
    cosz = np.maximum(np.cos(np.radians(zenith)), 0.0)
    hour = np.ceil(np.round(at, 6)).astype(int) % 8760
    share = _share_in_hour(cosz)
    up = cosz > 0
    ghi, dhi = year["ghi"][hour] * share, year["dhi"][hour] * share
    dni = np.where(up, year["dni"][hour], 0.0)
    out["ghi"] = ghi
    for name, tilt, facing in (
        ("poa", PV_TILT, PV_AZIMUTH), ("south", 90.0, 180.0), ("north", 90.0, 0.0)
    ):  # fmt: skip
        out[name] = _on_plane(zenith, azimuth, ghi, dni, dhi, tilt, facing)
    return out


def _sun(middles: Sequence[datetime]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
    import pvlib  # type: ignore[import-untyped,import-not-found,unused-ignore]

    position: Any = pvlib.solarposition.get_solarposition(
        pd.DatetimeIndex(middles), latitude=36.78, longitude=-119.72, altitude=102.0
    )
    return position["zenith"].to_numpy(dtype=float), position["azimuth"].to_numpy(dtype=float)


def _share_in_hour(cosz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights with mean 1 over each hour's four quarters, in proportion to cos(zenith)."""
    quarters = cosz.reshape(-1, 4)
    mean = quarters.mean(axis=1, keepdims=True)
    return np.where(mean > 0, quarters / np.where(mean > 0, mean, 1.0), 1.0).reshape(-1)


def _on_plane(
    zenith: NDArray[np.float64], azimuth: NDArray[np.float64], ghi: NDArray[np.float64],
    dni: NDArray[np.float64], dhi: NDArray[np.float64], tilt: float, facing: float,
) -> NDArray[np.float64]:  # fmt: skip
    z, a, b, g = np.radians(zenith), np.radians(azimuth), np.radians(tilt), np.radians(facing)
    incidence = np.cos(z) * np.cos(b) + np.sin(z) * np.sin(b) * np.cos(a - g)
    beam = dni * np.maximum(incidence, 0.0)
    sky = dhi * (1 + np.cos(b)) / 2 + ALBEDO * ghi * (1 - np.cos(b)) / 2
    result: NDArray[np.float64] = beam + sky
    return result


def load() -> NDArray[np.float64]:
    """BDEW standard load profile G25 (trade, revision of 2025) in kW, by the local wall clock."""
    import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from demandlib import bdew  # type: ignore[import-untyped,import-not-found,unused-ignore]

    wall = pd.date_range("2025-01-01", "2027-01-01", freq="15min", inclusive="left")
    profile = bdew.G25(wall, holidays=[date.fromisoformat(day) for day in HOLIDAYS])
    # The profile is in kW for 1 GWh a year; two years are laid out.
    scaled = profile.to_numpy(dtype=float) * (2 * ANNUAL_LOAD_KWH / (profile.sum() * 0.25))
    first = wall[0].to_pydatetime()
    begins = [(t - STEP).astimezone(ZONE).replace(tzinfo=None) for t in _steps(STEP)]
    return np.array([scaled[round((t - first) / STEP)] for t in begins])


def carbon(rows: str, ends: Sequence[datetime]) -> NDArray[np.float64]:
    """g CO2 a kWh in the hours with these END labels: the same month, hour and weekday of the
    2016/17 series."""
    values = [float(r["carbon_intensity"]) for r in csv.DictReader(io.StringIO(rows))]
    return np.array([1000.0 * values[_citylearn_row(t - HOUR, len(values))] for t in ends])


def _citylearn_row(begin: datetime, rows: int) -> int:
    """The row whose hour has the nearest date with the weekday and hour of `begin`."""
    local = begin.astimezone(ZONE).replace(tzinfo=None)
    year = 2016 if local.month >= CITYLEARN_START.month else 2017
    twin = local.replace(year=year)
    shift = (local.weekday() - twin.weekday() + 3) % 7 - 3
    row = round((twin + timedelta(days=shift) - CITYLEARN_START) / HOUR)
    return row + 168 if row < 0 else row - 168 if row >= rows else row


def check_tariff(rows: str) -> None:
    """The periods of site.yaml reproduce the data set's price column, hour by hour."""
    import yaml

    from graph.tariff import Period

    pack = Path(__file__).parent / "microgrid" / "site.yaml"
    declared = yaml.safe_load(pack.read_text(encoding="utf-8"))["tariff"]["import_periods"]
    periods = [Period.model_validate(p) for p in declared]
    for k, row in enumerate(csv.DictReader(io.StringIO(rows))):
        begin = CITYLEARN_START + k * HOUR
        price = next(p.price for p in periods if p.covers(begin))
        if price != float(row["electricity_pricing"]):
            raise InputError(
                f"{begin}: site.yaml says {price}, the data set {row['electricity_pricing']}",
                "derive the periods again",
            )


def write_series(
    path: Path, ends: Sequence[datetime], columns: dict[str, NDArray[np.float64]]
) -> None:
    """Write Parquet: `time` (END labels, UTC) and the columns; say how large it is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = {"time": pa.array(ends, pa.timestamp("s", tz="UTC"))}
    data |= {name: pa.array(values, pa.float64()) for name, values in columns.items()}
    pq.write_table(pa.table(data), path, compression="zstd", compression_level=19)
    print(f"{path}: {len(ends)} rows, {path.stat().st_size / 1024:.0f} KiB")


def main() -> None:
    """Write weather.parquet, load.parquet and carbon.parquet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("energyplus_wheel", type=Path)
    parser.add_argument("citylearn_wheel", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "microgrid" / "data")
    given = parser.parse_args()
    check_tariff(read_member(given.citylearn_wheel, CITYLEARN + "pricing.csv"))
    given.out.mkdir(parents=True, exist_ok=True)
    series = weather(read_member(given.energyplus_wheel, EPW))
    digits = {"temp": 2, "wind": 1}
    write_series(
        given.out / "weather.parquet",
        _steps(STEP),
        {_LABELS[k]: np.round(v, digits.get(k, 0)) for k, v in series.items()},
    )
    write_series(
        given.out / "load.parquet", _steps(STEP), {"building.power_kw": np.round(load(), 3)}
    )
    hours = _steps(HOUR)
    source = read_member(given.citylearn_wheel, CITYLEARN + "carbon_intensity.csv")
    grams = carbon(source, hours)
    write_series(given.out / "carbon.parquet", hours, {"g_per_kwh": np.round(grams, 1)})


_LABELS = {
    "temp": "outdoor.temp_degc",
    "ghi": "outdoor.ghi_w_m2",
    "wind": "outdoor.wind_m_s",
    "poa": "pv.poa_w_m2",
    "south": "facade_south.w_m2",
    "north": "facade_north.w_m2",
}

if __name__ == "__main__":
    main()
