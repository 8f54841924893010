"""Freezes the plant into the one image that a decision works on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from agents.telemetry_feed import TelemetryFeed
from graph.errors import InputError
from graph.plant import Readings
from graph.record import grid
from graph.signals import Owner, PointState, Reading
from graph.site import Site
from graph.snapshot import Forecast, History, HoldConstraint, PriceSeries, Snapshot, StateEstimate
from graph.tariff import prices
from graph.telemetry import Frame
from planner.forecast import make_forecasts
from sandbox.estimation import estimate
from sandbox.twin import Twin

HISTORY_S = 24 * 3600  # what the estimator and diagnostics look back on


@dataclass(frozen=True)
class SiteContext:
    """What stays the same from decision to decision."""

    site: Site
    site_digest: str
    twin: Twin
    carbon: Frame | None


def build_snapshot(
    context: SiteContext,
    image: Readings,
    feed: TelemetryFeed,
    horizon_steps: int,
    incumbent: Mapping[str, tuple[float, ...]] | None = None,
    forecasts: tuple[Forecast, ...] | None = None,
) -> Snapshot:
    """The image of one moment.

    Args:
        image: the plant's readings at `as_of`.
        feed: telemetry up to `as_of`.
        horizon_steps: how far prices and forecasts reach.
        incumbent: the approved plan still in force, shifted to start now.
        forecasts: in place of our own (perfect foresight in benchmarks).

    Raises:
        InputError: the telemetry ends before `as_of` by more than a step, or carbon runs out.
    """
    site, as_of = context.site, image.time
    frame = feed.frame
    late = (as_of - frame.end).total_seconds()
    if abs(late) > site.step_s:
        raise InputError(
            f"telemetry ends at {frame.end.isoformat()}, the plant says {as_of.isoformat()}",
            "the historian is late, or the recorded series does not reach this day",
        )
    history = recent_history(frame)
    starts = _starts(site, feed, as_of)
    return Snapshot(
        site_id=site.id,
        site_digest=context.site_digest,
        twin_digest=context.twin.parameters.digest,
        as_of=as_of,
        step_s=site.step_s,
        horizon_steps=horizon_steps,
        readings=image.values,
        points=image.points,
        remote_allowed=image.remote_allowed,
        watchdog_healthy=image.watchdog_healthy,
        holds=holds(image.points),
        starts_today={p: n for p, (n, _) in starts.items()},
        last_change={p: t for p, (_, t) in starts.items() if t is not None},
        prices=price_series(context, frame, as_of, horizon_steps),
        forecasts=forecasts or make_forecasts(site, frame, as_of, horizon_steps),
        estimate=present_estimate(context.twin, history, image),
        history=history,
        incumbent=dict(incumbent or {}),
    )


def present_estimate(twin: Twin, history: History, image: Readings) -> StateEstimate:
    """The state, and the twin's own errors of the last hours: what futures begin from."""
    found = estimate(twin, history, image)
    if not twin.parameters.report.get("model_errors"):
        return found
    errors = {
        name: tuple(round(float(v), 4) + 0.0 if np.isfinite(v) else None for v in values)
        for name, values in twin.recent_errors(history).items()
    }
    return found.model_copy(update={"model_errors": errors})


def holds(points: Mapping[str, PointState]) -> tuple[HoldConstraint, ...]:
    """Points that a person holds."""
    return tuple(
        HoldConstraint(
            point=p, value=s.applied, local_law=s.local_law, owner=s.by or "operator", until=s.until
        )
        for p, s in sorted(points.items())
        if s.owner is Owner.OPERATOR
    )


def recent_history(frame: Frame) -> History:
    """The last day of telemetry as a record; missing samples are None."""
    tail = frame.tail(HISTORY_S // frame.step_s)
    start = tail.start
    return History(
        start=start,
        step_s=frame.step_s,
        signals={
            name: tuple(None if np.isnan(v) else float(v) for v in tail.column(name))
            for name in tail.names
        },
    )


def price_series(
    context: SiteContext, frame: Frame, as_of: datetime, horizon_steps: int
) -> PriceSeries:
    """Prices and carbon at the start of each step of the horizon."""
    site = context.site
    times = grid(as_of, site.step_s, horizon_steps)
    tariff, zone = site.tariff, site.zone_info
    return PriceSeries(
        import_price=tuple(prices(tariff.import_periods, times, zone).tolist()),
        export_price=tuple(prices(tariff.export_periods, times, zone).tolist()),
        carbon_g_per_kwh=tuple(carbon_at(context.carbon, times).tolist()),
        peak_so_far_kw=peak_so_far(site, frame, as_of),
    )


def carbon_at(carbon: Frame | None, times: Sequence[datetime]) -> NDArray[np.float64]:
    """Carbon intensity over the interval that each time lies in, g a kWh; 0 without a profile."""
    if carbon is None:
        return np.zeros(len(times))
    first = carbon.start - timedelta(seconds=carbon.step_s)
    index = [int((t - first).total_seconds() // carbon.step_s) for t in times]
    values = carbon.column("g_per_kwh")
    if min(index) < 0 or max(index) >= len(values):
        raise InputError(
            f"the carbon profile covers {first} to {carbon.end}, the horizon ends {times[-1]}",
            "extend the profile, or ask for a shorter horizon",
        )
    return values[index]


def peak_so_far(site: Site, frame: Frame, as_of: datetime) -> float:
    """The highest import of this local month so far, kW."""
    month = as_of.astimezone(site.zone_info).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    rows = frame.window(month, as_of)
    grids = [f"{a.id}.power_kw" for a in site.of_kind("grid_connection")]
    if not grids or not len(rows):
        return 0.0
    total = np.sum([rows.column(g) for g in grids], axis=0)
    known = total[~np.isnan(total)]
    return float(max(known.max(), 0.0)) if known.size else 0.0


def _starts(
    site: Site, feed: TelemetryFeed, as_of: datetime
) -> dict[str, tuple[int, datetime | None]]:
    """By semi-continuous setpoint: starts since local midnight and when it last went on or off."""
    midnight = as_of.astimezone(site.zone_info).replace(hour=0, minute=0, second=0, microsecond=0)
    found: dict[str, tuple[int, datetime | None]] = {}
    for spec in site.setpoints:
        if spec.zero_or_above is None or spec.follows is None:
            continue
        series = feed.minute_readings(spec.follows) or _frame_readings(feed.frame, spec.follows)
        found[spec.id] = count_starts(series, spec.zero_or_above / 2, midnight)
    return found


def _frame_readings(frame: Frame, signal: str) -> list[Reading]:
    tail = frame.tail(2 * 86_400 // frame.step_s)
    pairs = zip(tail.times, tail.column(signal), strict=True)
    return [Reading(value=float(v), time=t) for t, v in pairs if not np.isnan(v)]


def count_starts(
    series: Sequence[Reading], threshold: float, since: datetime
) -> tuple[int, datetime | None]:
    """Changes from at most `threshold` to above it since `since`, and the last change of all."""
    starts, last, before = 0, None, None
    for reading in series:
        on = (reading.value or 0.0) > threshold
        if before is not None and on != before:
            last = reading.time
            starts += int(on and reading.time > since)
        before = on
    return starts, last
