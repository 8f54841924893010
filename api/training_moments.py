"""Where a training's moments come from: the pack's own telemetry, seen as it was then.

Of each ten days two are kept apart (`sandbox.surrogates.training_data`): controllers are compared
on those, and nothing is learned from them. A moment's snapshot holds what was known by then. Only a
day's first snapshot runs the state filter over its history; later ones of the day take the measured
states as they were recorded, and the hidden ones from the day's first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.snapshot_builder import SiteContext, build_snapshot, price_series
from agents.telemetry_feed import TelemetryFeed
from api.assemble import load_context
from graph.errors import InputError
from graph.sitepack import SitePack
from graph.snapshot import Snapshot
from graph.telemetry import Frame
from planner.forecast import make_forecasts
from planner.rl.episodes import Moment, recorded
from planner.rl.evaluate import REFRESH_H, Day
from planner.rl.observation import ObservationSpace
from sandbox.surrogates.training_data import usable_rows
from scenarios.recorded_plant import RecordedPlant

Array = NDArray[np.float64]
Say = Callable[[str], None]
DAY_S = 86_400
TRAINING_HOURS = (0, 6, 12, 18)


@dataclass(frozen=True)
class Moments:
    """What to train on and what to be compared on."""

    pack: SitePack
    context: SiteContext
    space: ObservationSpace
    training: tuple[Moment, ...]
    days: tuple[Day, ...]


class PastMoments:
    """Snapshots of a pack at past moments."""

    def __init__(self, folder: Path) -> None:
        self.pack, self.context = load_context(folder)
        self.frame: Frame = self.pack.telemetry()
        self.space = ObservationSpace(self.context.twin)
        self.steps = DAY_S // self.pack.site.step_s

    def at(self, moment: datetime) -> Snapshot:
        """The whole snapshot. Raises InputError where too little is known by then."""
        image = RecordedPlant(self.pack.site, self.frame, moment).read()
        feed = TelemetryFeed(self.pack.site, self._past(moment))
        return build_snapshot(self.context, image, feed, self.steps)

    def later(self, first: Snapshot, moment: datetime) -> Snapshot:
        """A later snapshot of the same day: new forecasts, prices and readings."""
        image, past = RecordedPlant(self.pack.site, self.frame, moment).read(), self._past(moment)
        mean = list(first.estimate.mean)
        for signal, state in self.context.twin.layout.state_of.items():
            value = image.values[signal].value
            if value is not None:
                mean[first.estimate.names.index(state)] = value
        estimate = first.estimate.model_copy(update={"mean": tuple(mean)})
        return first.model_copy(
            update={
                "as_of": image.time, "readings": image.values, "points": image.points,
                "prices": price_series(self.context, past, image.time, self.steps),
                "forecasts": make_forecasts(self.pack.site, past, image.time, self.steps),
                "estimate": estimate, "last_change": {},
            }
        )  # fmt: skip

    def disturbances(self, moment: datetime) -> dict[str, Array]:
        """What happened in the day after, by signal (N,)."""
        rows = self.frame.window(moment, moment + timedelta(seconds=DAY_S))
        return {s: rows.column(s) for s in self.context.twin.layout.disturbance_signals}

    def starts(self, *, kept: bool) -> list[datetime]:
        """Local midnights whose next day is complete, of the days kept apart or of the others."""
        signals = self.context.twin.layout.disturbance_signals
        rows = usable_rows(self.frame, signals, self.steps, kept)
        zone = self.pack.site.zone_info
        times = [self.frame.start + timedelta(seconds=self.frame.step_s * (int(r) - 1))
                 for r in rows]  # fmt: skip
        return [t for t in times if (t.astimezone(zone).hour, t.astimezone(zone).minute) == (0, 0)]

    def _past(self, moment: datetime) -> Frame:
        return self.frame.window(self.frame.start - timedelta(seconds=self.frame.step_s), moment)


def gather(
    folder: Path, say: Say, *, most_days: int = 20, hours: tuple[int, ...] = TRAINING_HOURS,
    compared: int = 6,
) -> Moments:  # fmt: skip
    """Moments of a pack to train on, and days to compare controllers on.

    most_days: the latest so many days to learn from. compared: the latest so many days kept apart.

    Raises:
        InputError: too little telemetry for either.
    """
    past = PastMoments(folder)
    training: list[Moment] = []
    for start in _spread(past.starts(kept=False), most_days):
        first = _known(past, start)
        if first is None:
            continue
        say(f"reading {start.astimezone(past.pack.site.zone_info):%Y-%m-%d}")
        training.append(Moment(past.space, first))
        for hour in hours[1:]:
            at = start + timedelta(hours=hour)
            if at + timedelta(seconds=DAY_S) <= past.frame.end:
                training.append(Moment(past.space, past.later(first, at)))
    days = [d for s in past.starts(kept=True)[::-1] if (d := _day(past, s)) is not None][:compared]
    if not training or not days:
        raise InputError(
            f"{len(training)} moments to learn from and {len(days)} days to compare on",
            "forecasts look back on two weeks: record a month of telemetry",
        )
    return Moments(past.pack, past.context, past.space, tuple(training), tuple(days[::-1]))


def _spread(starts: list[datetime], most: int) -> list[datetime]:
    """The latest `most` of them."""
    return starts[-most:]


def _known(past: PastMoments, start: datetime) -> Snapshot | None:
    """The snapshot, or None where too little telemetry lies before it."""
    try:
        return past.at(start)
    except InputError:
        return None


def _day(past: PastMoments, start: datetime) -> Day | None:
    first = _known(past, start)
    if first is None:
        return None
    moment = Moment(past.space, first)
    later = [start + timedelta(hours=hour) for hour in range(REFRESH_H, 24, REFRESH_H)]
    rest = [Moment(past.space, past.later(first, at)) for at in later]
    return Day(recorded(moment, past.disturbances(start)), (moment, *rest))
