"""Sensors that fail in a future: a small prior, seeded, and what thermostats then see.

A fault comes to one sensor, at a time spread evenly over the horizon: a bias, drawn from a normal
distribution of its class, or a value that no longer moves. Such futures are rare and matter only by
what local controllers then do, so they are not left to chance: a stratum of futures, each with one
broken sensor, is played beside the sound ones and weighted with the prior. In it constraints are
judged by the true temperatures, not by those that the broken sensor shows.

RATE is an assumption: one fault in about three years of each sensor.
"""

from dataclasses import replace

import numpy as np

from graph.site import Site
from graph.units import canonical_unit
from sandbox.faults import NEVER, Fault
from sandbox.futures import Futures
from sandbox.twin import Twin

RATE_PER_DAY = 0.001
BIAS_STD = {"degC": 1.5, "percent": 5.0}  # by the unit of what is measured
STRATUM = 20  # futures with a broken sensor, enough to see what thermostats make of it
KEY = 1 << 20  # keeps these draws apart from those of the futures themselves


def prior(site: Site, sensors: tuple[str, ...], hours: float) -> float:
    """Probability that any of `sensors` fails within `hours`."""
    count = sum(canonical_unit(site.signal(s).unit) in BIAS_STD for s in sensors)
    return float(-np.expm1(-RATE_PER_DAY * count * hours / 24.0))


def with_sensor_faults(twin: Twin, futures: Futures, steps: int, seed: int) -> Futures:
    """The same futures, each with one sensor that is biased or stuck from some step on.

    Future k's fault comes from its own child of the seed.
    """
    layout, site = twin.layout, twin.site
    sensors = [s for s in layout.sensors if canonical_unit(site.signal(s).unit) in BIAS_STD]
    if not sensors:  # levels and the like: the prior says nothing of them
        return futures
    n = futures.count
    size = {s: np.zeros(n) for s in sensors}
    biased = {s: np.full(n, NEVER, dtype=np.int64) for s in sensors}
    stuck = {s: np.full(n, NEVER, dtype=np.int64) for s in sensors}
    for k in range(n):
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k, KEY)))
        sensor = sensors[int(generator.integers(len(sensors)))]
        begin = int(generator.integers(steps))
        spread = BIAS_STD[canonical_unit(site.signal(sensor).unit)]
        if generator.random() < 0.5:
            biased[sensor][k] = begin
            size[sensor][k] = spread * generator.standard_normal()
        else:
            stuck[sensor][k] = begin
    faults = [Fault("sensor_bias", size[s], s, biased[s]) for s in sensors]
    faults += [Fault("sensor_stuck", 0.0, s, stuck[s]) for s in sensors]
    return replace(futures, faults=(*futures.faults, *faults))
