"""What people hold over a horizon, one rule for both planners."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.schedules import StartSchedule, scheduled
from graph.site import Site
from graph.snapshot import HoldConstraint

Array = NDArray[np.float64]
# Assets whose local law is a mechanism of the twin's (thermostat, hysteresis, self-consumption).
LAW_OF_ITS_OWN = ("battery", "heat_pump")


def law_of(site: Site, point: str) -> tuple[StartSchedule, ...]:
    """The schedule that the local law sets a setpoint to; empty where it declares none."""
    if point.endswith(".heating_setpoint_degc"):
        return site.baseline.zone_heating_degc
    if point.endswith(".cooling_setpoint_degc"):
        return site.baseline.zone_cooling_degc
    return site.baseline.points.get(point, ())


def held_values(site: Site, hold: HoldConstraint, starts: Sequence[datetime]) -> Array | None:
    """The value that a hold keeps the point at, (len(starts),), NaN after it ends.

    None where the point is left to a law that is no schedule: its moves are the twin's affair, and
    the plan only leaves the point out.

    Raises:
        InputError: left to the local law, and the site declares none.
    """
    if not hold.local_law:
        values = np.full(len(starts), hold.value)
    elif rules := law_of(site, hold.point):
        values = scheduled(rules, starts, site.zone_info)
    elif _has_mechanism(site, hold.point):
        return None
    else:
        raise InputError(
            f"{hold.point} is held at the plant's own law, and the site declares none for it",
            "declare it under baseline in site.yaml, or hold a value",
        )
    ended = np.array([hold.until is not None and t >= hold.until for t in starts], dtype=bool)
    return np.where(ended, np.nan, values)


def _has_mechanism(site: Site, point: str) -> bool:
    asset = site.signal(point).asset
    kind = next((a.kind for a in site.assets if a.id == asset), "")
    room = kind == "zone" and point.endswith(".setpoint_degc")
    return kind in LAW_OF_ITS_OWN or (room and bool(site.baseline.zone_setpoint_degc))
