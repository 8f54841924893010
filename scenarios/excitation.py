"""What is asked of a plant while its telemetry is recorded, so that a twin can be learned from it.

A room that always stands at its setpoint says nothing about its walls. So each zone is left to its
own law on about half of the days; on the others one to three times for two to eight hours, by day
or night, its heating and cooling setpoints stand elsewhere:
- half of the times a kelvin or two beside the law's;
- half of the times anywhere between the law's least and greatest value (and a kelvin beyond on the
  side that makes the machine work), so that nights see heating and cooling, too.
Other setpoints of which the law says a value move likewise, by up to a tenth of their range.
Cooling stays at least a kelvin above heating, everything stays inside the declared ranges, and
changes come on the site's step. Each zone and day has a random stream of its own: a longer
recording begins like a shorter one, and zones do not depend on each other.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.record import as_utc
from graph.schedules import StartSchedule, scheduled
from graph.signals import SignalSpec
from graph.site import Site

Array = NDArray[np.float64]

SHARE_OF_DAYS = 0.5
STRETCHES_A_DAY = (1, 3)
HOURS = (2.0, 8.0)
SHIFTS_K = (-2.0, -1.0, 1.0, 2.0)
SHARE_OF_RANGE = 0.1
LEAST_GAP_K = 1.0  # between heating and cooling
DAY_S = 86_400


@dataclass(frozen=True)
class _Stretch:
    """Some hours of moved setpoints. Each setpoint draws its value from a stream of its own."""

    key: tuple[int, ...]
    inside: NDArray[np.bool_]

    def stream(self, point: str) -> np.random.Generator:
        return np.random.default_rng(
            np.random.SeedSequence([*self.key, zlib.crc32(point.encode())])
        )


def excitation(site: Site, start: datetime, steps: int, seed: int) -> dict[str, Array]:
    """The plan by setpoint, each (steps,) on the site's step; NaN leaves it to the plant's own law.

    A site without rooms and without `baseline.points` gets an empty plan.
    """
    times = [as_utc(start) + timedelta(seconds=site.step_s * k) for k in range(steps)]
    plan: dict[str, Array] = {}
    for zone in site.of_kind("zone"):
        plan.update(_zone(site, zone.id, times, seed))
    law = site.baseline.points
    for spec in site.setpoints:
        if spec.id in law:
            plan[spec.id] = _point(site, spec, law[spec.id], times, seed)
    return plan


def _zone(site: Site, zone: str, times: Sequence[datetime], seed: int) -> dict[str, Array]:
    rules = {
        f"{zone}.setpoint_degc": (site.baseline.zone_setpoint_degc, 0.0),
        f"{zone}.heating_setpoint_degc": (site.baseline.zone_heating_degc, 1.0),
        f"{zone}.cooling_setpoint_degc": (site.baseline.zone_cooling_degc, -1.0),
    }
    specs = {s.id: s for s in site.setpoints}
    found = {
        point: _moved(site, specs[point], law, sign, _stretches(zone, times, seed), times)
        for point, (law, sign) in rules.items()
        if point in specs and law
    }
    return _apart(found, zone, specs)


def _moved(
    site: Site, spec: SignalSpec, rules: Sequence[StartSchedule], sign: float,
    stretches: Sequence[_Stretch], times: Sequence[datetime],
) -> Array:  # fmt: skip
    """The law's value moved during each stretch; `sign`: which way makes the machine work."""
    law = scheduled(rules, times, site.zone_info)
    low, high = law.min() + min(sign, 0.0), law.max() + max(sign, 0.0)
    values = np.full(len(times), np.nan)
    for stretch in stretches:
        rng = stretch.stream(spec.id)
        beside, shift = rng.random() < 0.5, float(rng.choice(SHIFTS_K))
        level = float(rng.uniform(low, high))
        values[stretch.inside] = law[stretch.inside] + shift if beside else level
    return _settled(values, spec)


def _point(
    site: Site, spec: SignalSpec, rules: Sequence[StartSchedule], times: Sequence[datetime],
    seed: int,
) -> Array:  # fmt: skip
    law = scheduled(rules, times, site.zone_info)
    values = np.full(len(times), np.nan)
    most = SHARE_OF_RANGE * (spec.maximum - spec.minimum)
    for stretch in _stretches(spec.id, times, seed):
        moved = stretch.stream(spec.id).uniform(-most, most)
        values[stretch.inside] = law[stretch.inside] + moved
    return _settled(values, spec)


def _stretches(name: str, times: Sequence[datetime], seed: int) -> list[_Stretch]:
    """Stretches of moved setpoints of a zone or point, in order; a later one wins an overlap."""
    seconds = np.array([t.timestamp() for t in times])
    found = []
    for day in range(int(seconds[0] // DAY_S), int(seconds[-1] // DAY_S) + 1):
        key = (seed, day, zlib.crc32(name.encode()))
        rng = np.random.default_rng(np.random.SeedSequence(key))
        if rng.random() >= SHARE_OF_DAYS:
            continue
        for index in range(int(rng.integers(STRETCHES_A_DAY[0], STRETCHES_A_DAY[1] + 1))):
            begin = day * DAY_S + rng.uniform(0.0, DAY_S)
            end = begin + 3600.0 * rng.uniform(*HOURS)
            found.append(_Stretch((*key, index), (seconds >= begin) & (seconds < end)))
    return found


def _settled(values: Array, spec: SignalSpec) -> Array:
    rounded = np.round(values / spec.resolution) * spec.resolution
    return np.clip(rounded, spec.minimum, spec.maximum)


def _apart(found: dict[str, Array], zone: str, specs: Mapping[str, SignalSpec]) -> dict[str, Array]:
    """Cooling at least `LEAST_GAP_K` above heating wherever both are commanded."""
    heating, cooling = (f"{zone}.{kind}_setpoint_degc" for kind in ("heating", "cooling"))
    if heating in found and cooling in found:
        raised = np.maximum(found[cooling], found[heating] + LEAST_GAP_K)
        found[cooling] = np.minimum(raised, specs[cooling].maximum)
        found[heating] = np.minimum(found[heating], found[cooling] - LEAST_GAP_K)
    return found
