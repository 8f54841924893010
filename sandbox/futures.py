"""Sampled futures: weather, load, state, parameters and the twin's own errors as they may turn out.

Future k is drawn from its own child of the seed, so it is the same whatever number is asked for,
and every candidate meets the same futures (common random numbers).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.snapshot import Forecast, Snapshot
from sandbox import model_errors
from sandbox.faults import Fault
from sandbox.twin import Twin

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Futures:
    """n futures over N steps: x0 (n, S), w by signal (n, N), parameters (n, P).

    output_errors: what the twin's outputs are wrong by, by name (n, N), added after a simulation.
    faults: what is broken; of sensors it may differ by future.
    """

    x0: Array
    w: dict[str, Array]
    parameters: Array
    output_errors: dict[str, Array] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @property
    def count(self) -> int:
        """How many."""
        return int(self.x0.shape[0])

    def repeated(self, times: int) -> "Futures":
        """The same futures `times` times over, for as many candidates side by side."""
        return Futures(
            np.tile(self.x0, (times, 1)),
            {k: np.tile(v, (times, 1)) for k, v in self.w.items()},
            np.tile(self.parameters, (times, 1)),
            {k: np.tile(v, (times, 1)) for k, v in self.output_errors.items()},
            tuple(_each(f, lambda v: np.tile(v, times)) for f in self.faults),
        )

    def part(self, first: int, stop: int) -> "Futures":
        """Futures first..stop-1."""
        rows = slice(first, stop)
        return Futures(
            self.x0[rows],
            {k: v[rows] for k, v in self.w.items()},
            self.parameters[rows],
            {k: v[rows] for k, v in self.output_errors.items()},
            tuple(_each(f, lambda v: v[rows]) for f in self.faults),
        )


def sample_futures(twin: Twin, snapshot: Snapshot, n: int, seed: int) -> Futures:
    """Draw n futures: forecast errors, the state, the parameters' posterior, the twin's errors.

    One hindcast's error path is drawn per future and used for all signals, so weather, PV and load
    err together as they did on that day; between the path's leads the error is interpolated
    (from 0 now), and the sum is clipped to the signal's physical range. One day of the twin's own
    errors is drawn likewise, where its fit left any (see `model_errors`). Where those errors hold
    what the parameters get wrong, parameters stand at their fitted values.

    Raises:
        InputError: n < 1, a forecast is missing or too short, paths differ in number, or the
            estimate is of another twin.
    """
    if n < 1:
        raise InputError(f"{n} futures", "ask for at least one")
    layout = twin.layout
    forecasts = [_forecast(snapshot, s) for s in layout.disturbance_signals]
    paths = _common_paths(forecasts)
    mean, root = _state_distribution(twin, snapshot)
    errors = model_errors.from_report(twin.parameters.report)
    exact = errors is not None and errors.of_parameters
    index, x0, parameters, days = [], [], [], []
    for k in range(n):
        generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,)))
        index.append(int(generator.integers(paths)))
        x0.append(mean + root @ generator.standard_normal(len(mean)))
        sampled = twin.parameters.sample(generator)
        parameters.append(np.array(twin.parameters.values) if exact else sampled)
        days.append(float(generator.random()))
    chosen = np.array(index)
    w = {f.signal: _spread(f, chosen, snapshot) for f in forecasts}
    inside, outputs = _split(_error_paths(twin, snapshot, np.array(days)))
    return Futures(_physical(twin, np.array(x0)), w | inside, np.array(parameters), outputs)


def expected_future(twin: Twin, snapshot: Snapshot) -> Futures:
    """The one future in which every forecast, state, parameter and error is its expected value."""
    names = twin.layout.disturbance_signals
    mean, _ = _state_distribution(twin, snapshot)
    w = {s: np.asarray(_forecast(snapshot, s).values, dtype=float)[None] for s in names}
    inside, outputs = _split(_error_paths(twin, snapshot, None))
    return Futures(mean[None], w | inside, np.array(twin.parameters.values)[None], outputs)


def _error_paths(twin: Twin, snapshot: Snapshot, uniform: Array | None) -> dict[str, Array]:
    """The twin's errors by name (n, N): of the days that `uniform` picks, or their mean."""
    errors = model_errors.from_report(twin.parameters.report)
    if errors is None:
        return {}
    start = snapshot.as_of.astimezone(twin.site.zone_info)
    known = snapshot.estimate.model_errors
    recent = {s: np.array(v, dtype=float) for s, v in known.items()}
    grid = (start, float(snapshot.step_s), snapshot.horizon_steps)
    if uniform is None:
        return {s: v[None] for s, v in model_errors.expected(errors, *grid, recent).items()}
    return model_errors.draw(errors, uniform, *grid, recent)


def _split(errors: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Heat and power, which act inside a simulation, and errors of temperatures, added after it."""
    after = {s: v for s, v in errors.items() if s.endswith(model_errors.TEMPERATURE)}
    return {s: v for s, v in errors.items() if s not in after}, after


def _physical(twin: Twin, states: Array) -> Array:
    """States of charge within 0 and 100 %."""
    for i, name in enumerate(twin.state_names):
        if name.endswith("soc_pct"):
            states[:, i] = np.clip(states[:, i], 0.0, 100.0)
    return states


def _each(fault: Fault, change: Callable[[Any], Any]) -> Fault:
    """A fault with `change` applied to what differs by future."""
    size, start = fault.size, fault.start_step
    return replace(
        fault,
        size=change(size) if isinstance(size, np.ndarray) else size,
        start_step=change(start) if isinstance(start, np.ndarray) else start,
    )


def _forecast(snapshot: Snapshot, signal: str) -> Forecast:
    try:
        forecast = snapshot.forecast(signal)
    except KeyError:
        raise InputError(
            f"the snapshot has no forecast of {signal}",
            "the twin needs outdoor temperature, irradiance, PV and every load",
        ) from None
    if len(forecast.values) != snapshot.horizon_steps:
        raise InputError(
            f"the forecast of {signal} has {len(forecast.values)} steps",
            f"expected {snapshot.horizon_steps}",
        )
    return forecast


def _common_paths(forecasts: list[Forecast]) -> int:
    counts = {f.signal: len(f.error_paths) for f in forecasts}
    if not counts:  # a plant that nothing acts on from outside
        return 1
    if len(set(counts.values())) != 1:
        raise InputError(
            f"forecasts differ in their number of error paths: {counts}",
            "all signals of a snapshot share the path index",
        )
    return next(iter(counts.values()))


def _state_distribution(twin: Twin, snapshot: Snapshot) -> tuple[Array, Array]:
    estimate = snapshot.estimate
    if estimate.names != twin.state_names:
        raise InputError(
            f"the state estimate holds {', '.join(estimate.names)}",
            f"the twin's states are {', '.join(twin.state_names)}",
        )
    values, vectors = np.linalg.eigh(np.asarray(estimate.covariance, dtype=float))
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    return np.asarray(estimate.mean, dtype=float), root


def _spread(forecast: Forecast, chosen: NDArray[np.int64], snapshot: Snapshot) -> Array:
    paths = np.asarray(forecast.error_paths, dtype=float)
    leads = forecast.error_step_s * np.arange(paths.shape[1] + 1)
    at = snapshot.step_s * np.arange(1, snapshot.horizon_steps + 1)
    errors = np.stack([np.interp(at, leads, np.concatenate([[0.0], path])) for path in paths])
    values = np.asarray(forecast.values, dtype=float)[None] + errors[chosen]
    low = -np.inf if forecast.minimum is None else forecast.minimum
    high = np.inf if forecast.maximum is None else forecast.maximum
    return np.asarray(np.clip(values, low, high))
