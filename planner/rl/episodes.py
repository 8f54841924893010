"""Episodes: a snapshot and one way in which its horizon may turn out, sampled or as recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.snapshot import Snapshot
from planner.rl.observation import ObservationSpace
from sandbox.futures import Futures, expected_future, sample_futures
from sandbox.twin import Twin
from sandbox.windows import local_days

Array = NDArray[np.float64]
# How far the start of a training episode is moved from the recorded one, so that the policy has
# seen more of the plant's states than its own law ever leads to: shares of each signal's range
# between the site's limits (or its comfort band's width for rooms).
SCATTER = 0.35
ROOM_SCATTER_K = 1.5


@dataclass(frozen=True)
class Moment:
    """A snapshot with the observation's columns ahead, (N, A)."""

    space: ObservationSpace
    snapshot: Snapshot

    @cached_property
    def ahead(self) -> Array:
        """See `ObservationSpace.ahead`."""
        return self.space.ahead(self.snapshot)

    @cached_property
    def prices(self) -> Array:
        """Import, export (currency a kWh) and carbon (g a kWh) of each step, (3, N)."""
        series = self.snapshot.prices
        rows = (series.import_price, series.export_price, series.carbon_g_per_kwh)
        return np.array(rows, dtype=float)

    @cached_property
    def midnight(self) -> NDArray[np.bool_]:
        """Whether a step begins a new local day, (N,): counts of starts begin again."""
        snapshot, zone = self.snapshot, self.space.site.zone_info
        days = local_days(snapshot.as_of, snapshot.step_s, snapshot.horizon_steps, zone)
        first = np.zeros(snapshot.horizon_steps, dtype=bool)
        for day in days[1:]:
            first[int(np.flatnonzero(day)[0])] = True
        return first


@dataclass(frozen=True)
class Episode:
    """One future of a moment: x0 (S,), w by signal (N,), parameters (P,), errors by name (N,)."""

    moment: Moment
    x0: Array
    w: Mapping[str, Array]
    output_errors: Mapping[str, Array]

    @property
    def steps(self) -> int:
        """Its length."""
        return self.moment.snapshot.horizon_steps


def sampled(moment: Moment, count: int, seed: int) -> list[Episode]:
    """`count` futures of a moment. The parameters stay at their fitted values: what they and the
    model get wrong is in the futures' own errors."""
    return _episodes(moment, sample_futures(moment.space.twin, moment.snapshot, count, seed))


def expected(moment: Moment) -> Episode:
    """The one future in which everything turns out as forecast."""
    return _episodes(moment, expected_future(moment.space.twin, moment.snapshot))[0]


def recorded(moment: Moment, w: Mapping[str, Array]) -> Episode:
    """The moment as it turned out: recorded disturbances by signal (N,), the estimated state.

    Raises:
        InputError: a series is missing, too short or holds NaN.
    """
    steps = moment.snapshot.horizon_steps
    for signal in moment.space.twin.layout.disturbance_signals:
        row = np.asarray(w.get(signal, ()), dtype=float)
        if row.shape != (steps,) or not np.isfinite(row).all():
            raise InputError(
                f"{signal} is not known over all {steps} steps", "choose a day without gaps"
            )
    x0 = np.asarray(moment.snapshot.estimate.mean, dtype=float)
    return Episode(moment, x0, dict(w), {})


def scattered(episode: Episode, generator: np.random.Generator) -> Episode:
    """The episode from another start, drawn around its own."""
    x0 = episode.x0.copy()
    low, high = state_span(episode.moment.space.twin)
    room = np.isnan(low)
    span = np.where(room, ROOM_SCATTER_K / SCATTER, high - low)
    x0 = x0 + SCATTER * span * generator.uniform(-1.0, 1.0, len(x0))
    return replace(episode, x0=np.where(room, x0, np.clip(x0, low, high)))


def state_span(twin: Twin) -> tuple[Array, Array]:
    """The site's limits on each state, (S,) each; NaN for rooms and what has no limits."""
    site, low, high = twin.site, [], []
    rooms = {f"{z.id}.temp_degc" for z in site.of_kind("zone")}
    signal_of = {state: signal for signal, state in twin.layout.state_of.items()}
    limits = {item.signal: item for item in site.limits}
    for name in twin.state_names:
        signal = signal_of.get(name, "")
        item = None if signal in rooms else limits.get(signal)
        both = item is not None and item.minimum is not None and item.maximum is not None
        low.append(float(item.minimum) if both and item and item.minimum is not None else np.nan)
        high.append(float(item.maximum) if both and item and item.maximum is not None else np.nan)
    return np.array(low), np.array(high)


def _episodes(moment: Moment, futures: Futures) -> list[Episode]:
    return [
        Episode(
            moment, futures.x0[k], {s: v[k] for s, v in futures.w.items()},
            {s: v[k] for s, v in futures.output_errors.items()},
        )
        for k in range(futures.count)
    ]  # fmt: skip


def check_lengths(episodes: Sequence[Episode]) -> int:
    """The common length. Raises InputError when they differ or there are none."""
    lengths = {e.steps for e in episodes}
    if len(lengths) != 1:
        raise InputError(f"episodes of {sorted(lengths)} steps", "one length, at least one episode")
    return lengths.pop()
