"""The sun on a building: position, diffuse share, irradiance on facades from a horizontal sensor.

1. Position: G. W. Spencer, "Fourier series representation of the position of the sun", Search 2
   (1971) 172: declination and equation of time; hour angle from the longitude.
2. Diffuse share of the global horizontal irradiance from the clearness index: D. G. Erbs,
   S. A. Klein, J. A. Duffie, Solar Energy 28 (1982) 293, doi:10.1016/0038-092X(82)90302-4.
3. Tilted planes with an isotropic sky and a ground of albedo 0.2: J. A. Duffie, W. A. Beckman,
   Solar Engineering of Thermal Processes, 4th ed. (2013), section 2.15.

Angles in radians, azimuth from north over east, times in POSIX seconds; all arrays (N,).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
SOLAR_CONSTANT_W_M2 = 1361.0
ALBEDO = 0.2
# Below about 3 degrees the beam derived from a horizontal sensor is division by next to nothing.
LEAST_COS_ZENITH = 0.052
AZIMUTHS = {"north": 0.0, "east": 90.0, "south": 180.0, "west": 270.0}
YEAR_DAYS = 365.2425


def day_angle(seconds: ArrayLike) -> Array:
    """Angle of the year, 2 pi (day - 1) / length of the year, with the fraction of the day."""
    posix = np.atleast_1d(np.asarray(seconds, dtype=float))
    years = posix.astype("datetime64[s]").astype("datetime64[Y]")
    begin = years.astype("datetime64[s]").astype(float)
    return np.asarray(2.0 * np.pi * (posix - begin) / 86_400.0 / YEAR_DAYS)


def solar_position(
    seconds: ArrayLike, latitude_deg: float, longitude_deg: float
) -> tuple[Array, Array]:
    """Cosine of the zenith angle and azimuth at each time; no refraction."""
    g = day_angle(seconds)
    declination = (
        0.006918 - 0.399912 * np.cos(g) + 0.070257 * np.sin(g) - 0.006758 * np.cos(2 * g)
        + 0.000907 * np.sin(2 * g) - 0.002697 * np.cos(3 * g) + 0.00148 * np.sin(3 * g)
    )  # fmt: skip
    equation_min = 229.18 * (
        0.000075 + 0.001868 * np.cos(g) - 0.032077 * np.sin(g)
        - 0.014615 * np.cos(2 * g) - 0.040849 * np.sin(2 * g)
    )  # fmt: skip
    utc_min = np.mod(np.atleast_1d(np.asarray(seconds, dtype=float)), 86_400.0) / 60.0
    hour_angle = np.radians((utc_min + equation_min + 4.0 * longitude_deg) / 4.0 - 180.0)
    latitude = np.radians(latitude_deg)
    cos_zenith = np.sin(latitude) * np.sin(declination) + (
        np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    )
    azimuth = np.pi + np.arctan2(
        np.sin(hour_angle),
        np.cos(hour_angle) * np.sin(latitude) - np.tan(declination) * np.cos(latitude),
    )
    return np.asarray(cos_zenith), np.asarray(np.mod(azimuth, 2.0 * np.pi))


def diffuse_fraction(ghi: ArrayLike, cos_zenith: ArrayLike, seconds: ArrayLike) -> Array:
    """Erbs' share of the diffuse in the global horizontal irradiance, 0 to 1."""
    g = day_angle(seconds)
    # Spencer's eccentricity correction of the distance to the sun.
    distance = (
        1.00011 + 0.034221 * np.cos(g) + 0.00128 * np.sin(g)
        + 0.000719 * np.cos(2 * g) + 0.000077 * np.sin(2 * g)
    )  # fmt: skip
    above = SOLAR_CONSTANT_W_M2 * distance * np.maximum(cos_zenith, LEAST_COS_ZENITH)
    k = np.clip(np.asarray(ghi, dtype=float) / above, 0.0, 1.0)
    middle = 0.9511 - 0.1604 * k + 4.388 * k**2 - 16.638 * k**3 + 12.336 * k**4
    return np.asarray(np.where(k <= 0.22, 1.0 - 0.09 * k, np.where(k <= 0.8, middle, 0.165)))


def split(ghi: ArrayLike, cos_zenith: Array, seconds: ArrayLike) -> tuple[Array, Array]:
    """Beam normal and diffuse horizontal irradiance in the unit of `ghi`.

    A sun below LEAST_COS_ZENITH gives no beam: all of a low sun's light counts as diffuse.
    """
    total = np.maximum(np.asarray(ghi, dtype=float), 0.0)
    up = cos_zenith > LEAST_COS_ZENITH
    diffuse = np.where(up, diffuse_fraction(total, cos_zenith, seconds) * total, total)
    beam = np.where(up, (total - diffuse) / np.maximum(cos_zenith, LEAST_COS_ZENITH), 0.0)
    return np.asarray(np.minimum(beam, SOLAR_CONSTANT_W_M2)), np.asarray(diffuse)


def facade_irradiance(
    ghi: ArrayLike, seconds: ArrayLike, latitude_deg: float, longitude_deg: float
) -> dict[str, Array]:
    """Irradiance on the horizontal and on four vertical facades, (..., N), W/m2.

    ghi: (..., N), mean global horizontal irradiance of each step; seconds: (N,), its middle.
    """
    total = np.maximum(np.asarray(ghi, dtype=float), 0.0)
    cos_zenith, azimuth = solar_position(seconds, latitude_deg, longitude_deg)
    beam, diffuse = split(total, cos_zenith, seconds)
    sin_zenith = np.sqrt(np.maximum(1.0 - cos_zenith**2, 0.0))
    around = 0.5 * diffuse + 0.5 * ALBEDO * total
    found = {"horizontal": total}
    for name, facing in AZIMUTHS.items():
        incidence = np.maximum(sin_zenith * np.cos(azimuth - np.radians(facing)), 0.0)
        found[name] = np.asarray(beam * incidence + around)
    return found


def middles(begin: datetime, steps: int, step_s: float) -> Array:
    """POSIX seconds of the middle of each step from `begin`."""
    return np.asarray(begin.astimezone(UTC).timestamp() + step_s * (np.arange(steps) + 0.5))


def step_begins(seconds: Sequence[float] | Array, step_s: float) -> list[datetime]:
    """Begins of steps whose middles are given."""
    return [datetime.fromtimestamp(float(s) - step_s / 2.0, UTC) for s in seconds]
