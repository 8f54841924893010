"""The site pack of the district: its batteries as the planner sees them, and its forecaster."""

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.assets import Battery
from graph.sitepack import load_site
from planner.fleet_dispatch import FleetBattery
from planner.hub_model import StorageNumbers
from planner.lead_forecast import LeadForecaster, read_coefficients

Array = NDArray[np.float64]
# Hour 0 of the data set, local time: its price column changes where the tariff does if so.
FIRST_BEGIN = datetime(2016, 8, 1)  # noqa: DTZ001
COEFFICIENTS = "forecaster.json"


def fleet(folder: Path) -> tuple[FleetBattery, ...]:
    """The pack's batteries in its order, by their nameplates."""
    found = []
    for asset in load_site(folder).site.of_kind("battery"):
        assert isinstance(asset, Battery)
        one_way = asset.round_trip_efficiency**0.5
        numbers = StorageNumbers(asset.capacity_kwh, one_way, one_way)
        found.append(FleetBattery(numbers, asset.max_charge_kw, asset.max_discharge_kw))
    return tuple(found)


def forecaster(folder: Path, rated_kw: Array) -> LeadForecaster:
    """A forecaster that has seen nothing of these houses."""
    return LeadForecaster(read_coefficients(folder / COEFFICIENTS), rated_kw, FIRST_BEGIN)
