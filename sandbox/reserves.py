"""What a site's batteries keep back for an outage, as bounds over a horizon.

Planner and sandbox ask the same function: what is planned is what is judged.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from graph.assets import Battery
from graph.schedules import covered
from graph.site import Site
from graph.snapshot import Snapshot


@dataclass(frozen=True)
class ReserveBound:
    """`signal` stays at or above `least` at the steps of `mask`, (N,)."""

    signal: str
    label: str
    least: float
    mask: NDArray[np.bool_]


def reserve_bounds(site: Site, snapshot: Snapshot) -> list[ReserveBound]:
    """Charge above the least one, and discharging power left unused, in the reserve's hours.

    Charge counts at the end of a step, so the step at whose end the hours begin counts too.
    """
    found = []
    step = timedelta(seconds=snapshot.step_s)
    begins = [snapshot.as_of + step * k for k in range(snapshot.horizon_steps)]
    for asset in site.assets:
        if not isinstance(asset, Battery) or asset.reserve is None:
            continue
        reserve, name = asset.reserve, asset.label or asset.id
        during = np.ones(len(begins), dtype=bool)
        if reserve.hours:
            during = covered(reserve.hours, begins, site.zone_info)
        if reserve.energy_kwh > 0:
            ends = np.array(during)
            if reserve.hours:
                ends |= covered(reserve.hours, [t + step for t in begins], site.zone_info)
            least = asset.soc_min_pct + 100.0 * reserve.energy_kwh / asset.capacity_kwh
            label = f"{name}: reserve of {reserve.energy_kwh:g} kWh ({least:.3g} %)"
            found.append(ReserveBound(f"{asset.id}.soc_pct", label, least, ends))
        if reserve.power_kw > 0:
            label = f"{name}: reserve of {reserve.power_kw:g} kW"
            least = reserve.power_kw - asset.max_discharge_kw
            found.append(ReserveBound(f"{asset.id}.power_kw", label, least, during))
    return found
