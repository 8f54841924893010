"""Zone heat where nobody meters it: from electric power, nominal COPs and the setpoints' sign.

A unit's power less its fan is shared among its zones by floor area, turned into heat by the
nameplate's COP, and given the sign of the setpoint that the zone is nearer to. Fresh air is added
as on the drawing board. A model fitted on such heat carries the nameplate's error, and says so.
"""

import numpy as np
from numpy.typing import NDArray

from sandbox.building.equations import COOLING_RATED_DEGC, HEATING_RATED_DEGC
from sandbox.building.names import textbook
from sandbox.building.rows import Rows, mean_over
from sandbox.building.structure import Structure

Array = NDArray[np.float64]


def infer_heat(rows: Rows) -> Rows:
    """The rows with net heat of each zone computed from its unit's power."""
    layout = rows.layout
    plain = Structure({z.id: 1 for z in layout.zones}, {z.id: () for z in layout.zones})
    values = textbook(layout, plain)
    outdoor, on = rows.shared["outdoor_degc"], rows.shared["ventilating"]
    found: dict[str, Array] = {}
    for unit, zones in layout.zones_of.items():
        fan = values[f"{unit}.fan_kw"] * on
        works = np.maximum(rows.power[unit] - fan, 0.0)
        warm = values[f"{unit}.cop_heating_per_k"] * (outdoor - HEATING_RATED_DEGC)
        cold = values[f"{unit}.cop_cooling_per_k"] * (outdoor - COOLING_RATED_DEGC)
        heat = works * np.maximum(values[f"{unit}.cop_heating"] + warm, 1.0)
        chill = works * np.maximum(values[f"{unit}.cop_cooling"] + cold, 1.0)
        for zone in zones:
            air = mean_over(rows.temps[zone])
            cools = air > (rows.low[zone] + rows.high[zone]) / 2.0
            coil = layout.area_share[zone] * np.where(cools, -chill, heat)
            fresh = values[f"{zone}.fan_heat_kw"] + values[f"{zone}.ua_vent_kw_k"] * (outdoor - air)
            found[zone] = np.asarray(coil + on * fresh)
    return rows.with_heat(found)
