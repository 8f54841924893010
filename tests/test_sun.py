"""The sun on a building, with pvlib as the oracle."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sandbox.building.sun import (
    LEAST_COS_ZENITH,
    diffuse_fraction,
    facade_irradiance,
    solar_position,
)

pvlib = pytest.importorskip("pvlib")
pd = pytest.importorskip("pandas")

FRESNO = (36.78, -119.72)
YEAR = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=5 * k) for k in range(1752)]
SECONDS = np.array([t.timestamp() for t in YEAR])


def oracle(place: tuple[float, float]) -> "pd.DataFrame":
    return pvlib.solarposition.get_solarposition(pd.DatetimeIndex(YEAR), *place)


@pytest.mark.parametrize("place", [FRESNO, (-33.9, 151.2), (60.2, 24.9)])
def test_the_sun_stands_where_pvlib_says_within_a_third_of_a_degree(
    place: tuple[float, float],
) -> None:
    cos_zenith, azimuth = solar_position(SECONDS, *place)
    true = oracle(place)
    zenith, bearing = np.radians(true["zenith"].values), np.radians(true["azimuth"].values)
    # Angle between the two directions: azimuth alone means little near the zenith.
    sine = np.sqrt(1.0 - cos_zenith**2)
    together = cos_zenith * np.cos(zenith) + sine * np.sin(zenith) * np.cos(azimuth - bearing)
    apart = np.degrees(np.arccos(np.clip(together, -1.0, 1.0)))
    assert apart.max() < 0.34, apart.max()


def test_the_diffuse_share_is_erbs_as_pvlib_computes_it() -> None:
    cos_zenith, _ = solar_position(SECONDS, *FRESNO)
    day = cos_zenith > 0.1
    ghi = 1000.0 * np.maximum(cos_zenith, 0.0) * np.random.default_rng(1).uniform(0.1, 1.0, 1752)
    zenith = np.degrees(np.arccos(cos_zenith))
    index = pd.DatetimeIndex(YEAR)
    true = pvlib.irradiance.erbs(ghi, zenith, index)
    mine = diffuse_fraction(ghi, cos_zenith, SECONDS) * ghi
    # pvlib's solar constant is 0.4 % larger, which moves the clearness index by as much.
    assert np.abs(mine - true["dhi"])[day].max() < 12.0
    assert np.mean(np.abs(mine - true["dhi"])[day]) < 2.0


def test_facades_get_what_pvlib_gives_an_isotropic_sky() -> None:
    cos_zenith, azimuth = solar_position(SECONDS, *FRESNO)
    day = cos_zenith > 0.1
    ghi = np.where(day, 700.0 * cos_zenith, 0.0)
    found = facade_irradiance(ghi, SECONDS, *FRESNO)
    dhi = diffuse_fraction(ghi, cos_zenith, SECONDS) * ghi
    dni = np.where(day, (ghi - dhi) / np.maximum(cos_zenith, LEAST_COS_ZENITH), 0.0)
    zenith, bearing = np.degrees(np.arccos(cos_zenith)), np.degrees(azimuth)
    for name, facing in (("north", 0.0), ("east", 90.0), ("south", 180.0), ("west", 270.0)):
        true = pvlib.irradiance.get_total_irradiance(
            90.0, facing, zenith, bearing, dni, ghi, dhi, albedo=0.2, model="isotropic"
        )["poa_global"]
        assert np.abs(found[name] - true)[day].max() < 1e-6, name
    assert np.array_equal(found["horizontal"], ghi)


def test_night_is_dark_and_low_sun_gives_no_beam() -> None:
    cos_zenith, _ = solar_position(SECONDS, *FRESNO)
    found = facade_irradiance(np.full(1752, 20.0), SECONDS, *FRESNO)
    low = cos_zenith < LEAST_COS_ZENITH
    for name in ("north", "east", "south", "west"):
        assert np.allclose(found[name][low], 0.5 * 20.0 + 0.5 * 0.2 * 20.0)
    dark = facade_irradiance(np.zeros(1752), SECONDS, *FRESNO)
    assert all((values == 0.0).all() for values in dark.values())
