"""Random plans, states and model errors: what a planner and a sandbox may ask of a twin."""

import numpy as np
from numpy.typing import NDArray

from graph.telemetry import Frame
from sandbox.building.twin import BuildingTwin
from sandbox.surrogates.replaced import ModelTwin, Replaced

Array = NDArray[np.float64]
LAW_SHARE = 0.3  # of the stretches in which the local law acts
HOLDS = (0.02, 0.25)  # of the horizon: how long a value is held
LEAST_BAND_K = 1.0
AIR_STD_K, HIDDEN_SHARE = 1.0, 0.03
ERROR_SHARE = 0.05  # of a zone's heating: heat that no model explains
WARMER_STD_K, BUSIER = 3.0, (0.6, 1.4)
MEMORY = 0.9  # of that heat from step to step


def random_schedules(
    twin: ModelTwin, generator: np.random.Generator, futures: int, steps: int
) -> dict[str, Array]:
    """Setpoints (F, N) held for random times over their whole ranges; NaN: the local law."""
    found = {}
    for spec in twin.site.setpoints:
        if spec.id in twin.layout.points:
            edges = spec.minimum, spec.maximum
            found[spec.id] = held_values(generator, futures, steps, *edges, LAW_SHARE)
    if isinstance(twin, BuildingTwin):
        for low, high in zip(twin.layout.heating_points, twin.layout.cooling_points, strict=True):
            law = np.isnan(found[low]) | np.isnan(found[high])
            found[low][law], found[high][law] = np.nan, np.nan
            found[high] = np.maximum(found[high], found[low] + LEAST_BAND_K)
    return found


def varied(
    twin: ModelTwin, w: dict[str, Array], generator: np.random.Generator, futures: int
) -> dict[str, Array]:
    """Recorded disturbances (N,) made warmer, sunnier, busier than they were, or less; (F, N).

    What the weather may still bring is then inside the range, and not only what it has brought.
    """
    found = {}
    for name, values in w.items():
        spec = next(s for s in twin.site.signals if s.id == name)
        if name == twin.layout.outdoor_signal:
            moved = values + generator.normal(0.0, WARMER_STD_K, (futures, 1))
        else:
            moved = values * generator.uniform(*BUSIER, (futures, 1))
        found[name] = np.clip(moved, spec.minimum, spec.maximum)
    return found


def held_values(
    generator: np.random.Generator, futures: int, steps: int, low: float, high: float,
    law_share: float = 0.0,
) -> Array:  # fmt: skip
    """Values (F, N) over a range, each held for a random time; NaN for a share of the holds."""
    table = np.empty((futures, steps))
    for row in table:
        k = 0
        while k < steps:
            hold = max(1, int(steps * generator.uniform(*HOLDS)))
            row[k : k + hold] = generator.uniform(low, high)
            if generator.random() < law_share:
                row[k : k + hold] = np.nan
            k += hold
    return table


def random_errors(
    twin: ModelTwin, generator: np.random.Generator, futures: int, steps: int
) -> dict[str, Array]:
    """What a building's model may be wrong by: heat into zones, power of units, each (F, N)."""
    if not isinstance(twin, BuildingTwin):
        return {}
    size = {f"{z.id}.unexplained_kw": ERROR_SHARE * twin.zone_heat_limits(z.id)[0]
            for z in twin.layout.zones}  # fmt: skip
    size |= {f"{u.id}.power_error_kw": ERROR_SHARE * u.heating_kw / u.nominal_cop_heating
             for u in twin.layout.units}  # fmt: skip
    found = {}
    for name, std in size.items():
        table = np.empty((futures, steps))
        value = generator.normal(0.0, std, futures)
        for k in range(steps):
            table[:, k] = value
            fresh = generator.normal(0.0, std, futures)
            value = MEMORY * value + np.sqrt(1.0 - MEMORY**2) * fresh
        found[name] = table
    return found


def scattered(
    twin: ModelTwin, replaced: Replaced, frame: Frame, row: int, generator: np.random.Generator,
    futures: int, around: Array | None = None,
) -> Array:  # fmt: skip
    """States (F, S) near what was measured at the begin of `row`, or near `around` (F, S)."""
    nominal = np.array([v.nominal for v in twin.model.states])
    middle = np.empty((futures, len(replaced.states)))
    building = isinstance(twin, BuildingTwin)
    for i, state in enumerate(replaced.states):
        signal = replaced.shows.get(state.name)
        if building and signal is None:  # a node behind the air of the same zone
            signal = replaced.shows[f"{state.name.split('.')[0]}.air"]
        seen = float(frame.column(signal)[row - 1]) if signal else float("nan")
        middle[:, i] = seen if np.isfinite(seen) else nominal[i]
    if around is not None:
        middle = around
    std = AIR_STD_K if building else HIDDEN_SHARE * np.maximum(np.abs(nominal), 1e-9)
    scatter = generator.normal(0.0, 1.0, middle.shape) * std
    return np.asarray(np.clip(middle + scatter, replaced.bounds[:, 0], replaced.bounds[:, 1]))
