"""Held-back days of a plant, what the sandbox states about each, and what then happened.

1. The plant runs on from where its telemetry ends, under its own law and seeded variations of the
   rooms' setpoints, again half a year later, and in three stretches before. The twin is the pack's
   own, or is fitted on the telemetry before the stretch; it has seen none of these days.
2. Twice a day a snapshot is built from what was known by then: telemetry up to the moment and our
   own forecasts. Nothing of the day itself is used but the setpoints that were applied.
3. Futures are sampled as for a decision. Stated: the share in which a room's temperature goes
   beyond a threshold within 6 h and 24 h; 90 % intervals of the day's energy and cost.
4. Beside each case stands climatology: how often the same happened at this hour on days of the
   same kind within the last four weeks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.snapshot_builder import SiteContext, build_snapshot
from agents.telemetry_feed import KEEP_S, TelemetryFeed
from api.assemble import load_context
from api.learned_twin import choose_twin, identify
from api.offline import RecordedPlant
from graph.kpis import energy_cost, imported_kwh
from graph.site import Site
from graph.sitepack import SitePack, load_site
from graph.snapshot import Snapshot
from graph.telemetry import Frame
from sandbox.futures import sample_futures
from sandbox.outcomes import kpis_of
from sandbox.parameters import TwinParameters
from sandbox.scenario import roll_out
from scenarios.excitation import excitation
from scenarios.recording import joined, record

Array = NDArray[np.float64]
DAY_S = 86_400
ORIGIN_HOURS = (0, 12)
HORIZONS_H = (6, 24)
# Written down before any result was seen: from frost-free to overheated, closer where rooms live.
BELOW_DEGC = (16.0, 17.0, 18.0, 19.0, 20.0, 20.5, 21.0, 21.5)
ABOVE_DEGC = (21.0, 21.5, 22.0, 23.0, 24.0, 25.0, 26.0, 27.0)
KPIS = ("energy", "cost")
CLIMATE_DAYS = 28
LEAST_LIKE_DAYS = 8  # fewer of the same kind, and all of the four weeks count
LEAD_IN_DAYS = 45  # of telemetry that forecasts and climatology look back on
# Days to learn from before the telemetry's end: (begin so many days before it, days, seed). A
# simulated plant's weather file repeats every year; none of these lies on a test day's date.
EARLIER = ((224, 42, 3), (136, 42, 5), (42, 42, 4))


@dataclass(frozen=True)
class Block:
    """A stretch of held-back days: the run begins at `start`, cases at `first`."""

    start: datetime
    first: datetime
    calibration_days: int
    test_days: int
    seed: int

    @property
    def days(self) -> int:
        """Length of the run: one more day than cases, for the last horizon."""
        return (self.first - self.start).days + self.calibration_days + self.test_days + 1


@dataclass(frozen=True)
class Case:
    """One moment: what was stated, what happened, what climatology would have said.

    beside: whether it lies in a stretch with days to judge. stated, happened, climate: (events,) in
    the order of `events`. kpis: by name, (samples' mean, low, high, actual, climatology's low and
    high, rank of the actual among the samples).
    """

    origin: datetime
    day: int
    test: bool
    beside: bool
    stated: Array
    happened: Array
    climate: Array
    kpis: dict[str, tuple[float, ...]]


def blocks_of(
    pack: SitePack, calibration_days: int, test_days: int, earlier: bool = False
) -> list[Block]:
    """Where a site's held-back days lie: after its telemetry, and half a year later if it can run.

    earlier: also the stretches of `EARLIER`, to learn from. An emulated plant's weather is a file
    that ends; a simulated one runs in any season.
    """
    end = pack.telemetry().end
    if pack.site.plant.simulator is None:
        return [Block(end, end, calibration_days, test_days, 1)]
    later = end + timedelta(days=183)
    half, other = test_days - test_days // 2, test_days // 2
    first = calibration_days - calibration_days // 2
    lead = timedelta(days=LEAD_IN_DAYS)
    midnight = end.astimezone(pack.site.zone_info)
    begins = [(midnight - timedelta(days=ago)).astimezone(UTC) for ago, _, _ in EARLIER]
    before = [
        Block(begin - lead, begin, days, 0, seed)
        for begin, (_, days, seed) in zip(begins, EARLIER, strict=True)
    ]
    return [
        *(before if earlier else []),
        Block(end, end, first, half, 1),
        Block(later - lead, later, calibration_days - first, other, 2),
    ]


def recorded_block(folder: Path, block: Block) -> tuple[Frame, TwinParameters]:
    """Telemetry of a block and what came before it, and the twin that was known as it began."""
    pack = load_site(folder)
    fresh = record(pack, block.start, block.days, block.seed)
    if block.start < block.first:
        before = fresh.window(block.start, block.first)
        return fresh, identify(pack, before)
    past = pack.telemetry()
    begin = max(past.start - timedelta(seconds=past.step_s),
                block.start - timedelta(days=LEAD_IN_DAYS))  # fmt: skip
    return joined(past.window(begin, block.start), fresh), choose_twin(pack, "auto", block.first)


def events(site: Site) -> list[tuple[str, float, int, bool]]:
    """(signal, threshold in degC, hours, below) of every event."""
    zones = [f"{z.id}.temp_degc" for z in site.of_kind("zone")]
    levels = [(t, True) for t in BELOW_DEGC] + [(t, False) for t in ABOVE_DEGC]
    return [(s, t, h, below) for s in zones for h in HORIZONS_H for t, below in levels]


def cases_of(
    folder: Path, frame: Frame, twin: TwinParameters, block: Block, origins: Sequence[datetime],
    futures: int,
) -> list[Case]:  # fmt: skip
    """Cases at `origins`; those whose actual day or history is not complete are left out."""
    pack, context = load_context(folder, twin)
    # Carbon is not judged here, and its profile may end before these days do.
    context = SiteContext(context.site, context.site_digest, context.twin, None)
    steps = round(block.days * DAY_S / pack.site.step_s)
    plan = excitation(pack.site, block.start, steps, block.seed)
    return [c for o in origins if (c := _case(context, frame, block, plan, o, futures)) is not None]


def origins_of(site: Site, block: Block) -> list[datetime]:
    """Moments of a block at which something is stated, in order."""
    zone = site.zone_info
    begin = block.first.astimezone(zone).date()
    days = block.calibration_days + block.test_days
    moments = [
        datetime(d.year, d.month, d.day, hour, tzinfo=zone)
        for k in range(days)
        for d in [begin + timedelta(days=k)]
        for hour in ORIGIN_HOURS
    ]
    return [m for m in moments if m >= block.first]


def _case(
    context: SiteContext, frame: Frame, block: Block, plan: dict[str, Array], origin: datetime,
    futures: int,
) -> Case | None:  # fmt: skip
    site, step = context.site, context.site.step_s
    steps = max(HORIZONS_H) * 3600 // step
    future = frame.window(origin, origin + timedelta(seconds=steps * step))
    past = frame.window(origin - timedelta(seconds=KEEP_S), origin)
    grid = f"{site.of_kind('grid_connection')[0].id}.power_kw"
    judged = [grid, *(f"{z.id}.temp_degc" for z in site.of_kind("zone"))]
    if len(future) < steps or not all(np.isfinite(future.column(s)).all() for s in judged):
        return None
    image = RecordedPlant(site, past, past.end).read()
    snapshot = build_snapshot(context, image, TelemetryFeed(site, past), steps)
    first = round((origin - block.start).total_seconds() / step)
    applied = {p: v[first : first + steps].tolist() for p, v in plan.items()}
    drawn = sample_futures(context.twin, snapshot, futures, block.seed)
    traces = roll_out(context.twin, snapshot, drawn, applied).traces
    table = kpis_of(site, snapshot, drawn, traces)
    like = like_windows(site, past, origin, steps)
    hours_per_step = step / 3600.0
    stated, happened, climate = [], [], []
    for signal, level, hours, below in events(site):
        rows = int(hours / hours_per_step)
        stated.append(float(_beyond(traces[signal][:, :rows], level, below).mean()))
        happened.append(float(_beyond(future.column(signal)[None, :rows], level, below)[0]))
        before = [_beyond(w.column(signal)[None, :rows], level, below)[0] for w in like]
        climate.append((float(np.sum(before)) + 0.5) / (len(before) + 1.0))
    actual = actual_kpis(snapshot, future.column(grid))
    usual = {k: [actual_kpis(snapshot, w.column(grid))[k] for w in like] for k in KPIS}
    return Case(
        origin=origin,
        day=origin.date().toordinal(),
        test=origin >= block.first + timedelta(days=block.calibration_days),
        beside=block.test_days > 0,
        stated=np.array(stated),
        happened=np.array(happened),
        climate=np.array(climate),
        kpis={k: _kpi_case(table[k], actual[k], usual[k]) for k in KPIS},
    )


def like_windows(site: Site, past: Frame, origin: datetime, steps: int) -> list[Frame]:
    """The same hours of the last four weeks' days of the same kind (working day or weekend)."""
    zone, length = site.zone_info, timedelta(seconds=steps * past.step_s)
    found: list[tuple[bool, Frame]] = []
    for k in range(1, CLIMATE_DAYS + 1):
        begin = origin - timedelta(days=k)
        window = past.window(begin, begin + length)
        if len(window) == steps and all(np.isfinite(v).all() for v in window.columns.values()):
            found.append((begin.astimezone(zone).weekday() >= 5, window))
    weekend = origin.astimezone(zone).weekday() >= 5
    like = [w for kind, w in found if kind == weekend]
    return like if len(like) >= LEAST_LIKE_DAYS else [w for _, w in found]


def actual_kpis(snapshot: Snapshot, grid_kw: Array) -> dict[str, float]:
    """Energy and cost of a measured day at the snapshot's prices."""
    prices, step_s = snapshot.prices, float(snapshot.step_s)
    cost = energy_cost(grid_kw, prices.import_price, prices.export_price, step_s)
    return {"energy": float(imported_kwh(grid_kw, step_s)), "cost": float(cost)}


def _beyond(temperature: Array, level: float, below: bool) -> NDArray[np.bool_]:
    """Whether each row (n, N) goes beyond the level."""
    if below:
        return np.asarray(temperature.min(axis=1) < level)
    return np.asarray(temperature.max(axis=1) > level)


def _kpi_case(samples: Array, actual: float, usual: list[float]) -> tuple[float, ...]:
    low, high = np.quantile(samples, (0.05, 0.95))
    rank = float((samples < actual).mean() + 0.5 * (samples == actual).mean())
    climate = np.quantile(usual, (0.05, 0.95)) if usual else (np.nan, np.nan)
    return (float(samples.mean()), float(low), float(high), actual, *map(float, climate), rank)
