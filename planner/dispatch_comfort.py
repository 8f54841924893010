"""The edges within which rooms on air units stay: wishes, comfort in its hours, setback outside."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.intent import Band, Intent
from graph.kpis import comfort_edges
from graph.schedules import scheduled
from graph.site import Site
from graph.snapshot import Snapshot
from graph.units import convert
from sandbox.windows import constraint_mask, window_mask

Array = NDArray[np.float64]
# A unit answers a new setpoint within so long; a room that is to be ready at eight is planned to be
# ready then, softly, so that an answer that comes late is not a discomfort.
READY_EARLY_S = 900.0
LAW_SLACK_K = 1.0  # a room without a comfort band may stray so far from the local law


def tightest_ahead(edge: Array, steps: int, sense: float) -> Array:
    """The tightest value of an edge (N,) from each step to `steps` later, (N,).

    sense: 1.0 for a lower edge, -1.0 for an upper one.
    """
    found = edge.copy()
    for k in range(1, min(steps, len(edge) - 1) + 1):
        found[:-k] = sense * np.maximum(sense * found[:-k], sense * edge[k:])
    return found


@dataclass(frozen=True)
class Edges:
    """Lower and upper edge, each (N,) degC, infinite where none is in force."""

    low: Array
    high: Array

    def tighter(self, other: "Edges") -> "Edges":
        """The tighter edge of the two at each step."""
        return Edges(np.maximum(self.low, other.low), np.minimum(self.high, other.high))

    def ahead(self, steps: int) -> "Edges":
        """What will hold within `steps`, where nothing holds yet."""
        low, high = tightest_ahead(self.low, steps, 1.0), tightest_ahead(self.high, steps, -1.0)
        return Edges(
            np.where(np.isinf(self.low), low, -np.inf), np.where(np.isinf(self.high), high, np.inf)
        )

    def beside(self, wished: "Edges") -> "Edges":
        """What is left of these edges beside the operator's own: his replace the same side, and
        the other side stands as long as the two leave a range."""
        gone_low = np.isfinite(wished.low) | (wished.high <= self.low)
        gone_high = np.isfinite(wished.high) | (wished.low >= self.high)
        return Edges(np.where(gone_low, -np.inf, self.low), np.where(gone_high, np.inf, self.high))


def comfort_band(site: Site, zone: str, start: datetime, steps: int) -> Edges:
    """The site's comfort band in its hours; in a room without one, about what the local law holds
    (`LAW_SLACK_K` wider)."""
    if _has_comfort(site, zone):
        return Edges(*comfort_edges(site, start, site.step_s, steps))
    times = [start + timedelta(seconds=site.step_s * k) for k in range(steps)]
    law = site.baseline
    heating = scheduled(law.zone_heating_degc, times, site.zone_info)
    cooling = scheduled(law.zone_cooling_degc, times, site.zone_info)
    return Edges(heating - LAW_SLACK_K, cooling + LAW_SLACK_K)


def setback(site: Site, zone: str, start: datetime, steps: int) -> Edges:
    """The local law's widest setpoints, outside the hours of the comfort band."""
    if not _has_comfort(site, zone):
        return Edges(np.full(steps, -np.inf), np.full(steps, np.inf))
    free = np.isinf(comfort_edges(site, start, site.step_s, steps)[0])
    least = min(rule.value for rule in site.baseline.zone_heating_degc)
    most = max(rule.value for rule in site.baseline.zone_cooling_degc)
    return Edges(np.where(free, least, -np.inf), np.where(free, most, np.inf))


def wished_edges(
    site: Site, intent: Intent, zone: str, start: datetime, steps: int,
    snapshot: Snapshot | None = None,
) -> Edges:  # fmt: skip
    """The operator's bands on a room's temperature, beyond the intent's end too.

    Args:
        snapshot: of which the steps are the horizon. None for later steps, of which nothing is
            forecast: there no condition holds.

    Raises:
        InputError: a band in a unit that measures another thing.
    """
    signal, found = f"{zone}.temp_degc", Edges(np.full(steps, -np.inf), np.full(steps, np.inf))
    for band in intent.constraints:
        if not isinstance(band, Band) or signal not in band.signals:
            continue
        if snapshot is not None:
            mask = constraint_mask(band.window, site, snapshot, at_ends=True)
        else:
            zone_info = site.zone_info
            mask = window_mask(band.window, start, site.step_s, steps, zone_info, at_ends=True)
        low, high = (
            side if value is None else convert(value, band.unit, site.signal(signal).unit)
            for side, value in ((-np.inf, band.minimum), (np.inf, band.maximum))
        )
        found = found.tighter(Edges(np.where(mask, low, -np.inf), np.where(mask, high, np.inf)))
    return found


def _has_comfort(site: Site, zone: str) -> bool:
    group = next(getattr(a, "group", "") for a in site.assets if a.id == zone)
    return site.comfort is not None and site.comfort.group == group
