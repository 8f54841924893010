"""Which bounds a plan must keep: the site's, the equipment's, the operator's, the comfort band."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.intent import Band, Intent, Window
from graph.schedules import scheduled
from graph.site import Site
from graph.units import canonical_unit, convert
from planner.dispatch_comfort import READY_EARLY_S, Edges, comfort_band, setback, wished_edges
from planner.dispatch_inputs import DispatchInputs
from planner.margins import Margins
from planner.priority import rank
from sandbox.reserves import reserve_bounds
from sandbox.windows import constraint_mask, value_at_end

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bound:
    """signal >= value (sense +1) or signal <= value (sense -1) at the steps of `mask`.

    `margin`, one or (N,), tightens it, softly. `rank` multiplies the price of a soft one. `index`
    is the place in the intent's constraints, None for the site's own.
    """

    id: str
    label: str
    signal: str
    unit: str
    sense: int
    value: Array
    mask: NDArray[np.bool_]
    hard: bool
    margin: float | Array = 0.0
    rank: float = 1.0
    index: int | None = None


def collect_bounds(
    data: DispatchInputs, intent: Intent, margins: Margins, signals: frozenset[str]
) -> tuple[Bound, ...]:
    """Every bound of the horizon, the site's first.

    Raises:
        InputError: a band on a signal that no setpoint moves, or in a unit that measures another
            thing.
    """
    found = [b for b in _site_bounds(data) if b.signal in signals]
    for index, constraint in enumerate(intent.constraints):
        if isinstance(constraint, Band):
            for signal in constraint.signals:
                if not signal.endswith("setpoint_degc"):
                    found += _band_bounds(data, intent, index, constraint, signal, signals)
    found += _air_room_bounds(data, intent) if data.hub.units else _comfort_bounds(data, intent)
    return tuple(_with_margin(data, bound, margins) for bound in found)


def mask_of(data: DispatchInputs, window: Window, *, at_ends: bool = False) -> NDArray[np.bool_]:
    """The steps of `window`, (N,), as `sandbox.windows.constraint_mask` has them."""
    return constraint_mask(window, data.site, data.snapshot, at_ends=at_ends)


def setpoint_range(data: DispatchInputs, intent: Intent, point: str) -> tuple[Array, Array]:
    """Least and greatest value of a setpoint at each step: its own range and bands on it."""
    spec, steps = data.site.signal(point), data.steps
    lower, upper = np.full(steps, spec.minimum), np.full(steps, spec.maximum)
    for band in intent.constraints:
        if isinstance(band, Band) and point in band.signals:
            mask = mask_of(data, band.window)
            if band.minimum is not None:
                value = _converted(band, band.minimum, spec.unit, point)
                lower[mask] = np.maximum(lower[mask], min(value, spec.maximum))
            if band.maximum is not None:
                value = _converted(band, band.maximum, spec.unit, point)
                upper[mask] = np.minimum(upper[mask], max(value, spec.minimum))
    return lower, upper


def _bound(
    data: DispatchInputs,
    name: str,
    label: str,
    signal: str,
    sense: int,
    value: float | Array,
    *,
    hard: bool,
    mask: NDArray[np.bool_] | None = None,
    rank: float = 1.0,
    index: int | None = None,
) -> Bound:
    everywhere = np.ones(data.steps, dtype=bool)
    unit = canonical_unit(data.site.signal(signal).unit)
    values = np.broadcast_to(np.asarray(value, dtype=float), (data.steps,))
    side = "min" if sense > 0 else "max"
    where = everywhere if mask is None else mask
    return Bound(
        f"{name}:{side}", label, signal, unit, sense, values, where, hard, 0.0, rank, index
    )


def _site_bounds(data: DispatchInputs) -> list[Bound]:
    """Limits of the site and of its equipment, hard, the tighter of the two each time; what its
    batteries keep back, softly."""
    site, found = data.site, []
    low: dict[str, tuple[float, str]] = {}
    high: dict[str, tuple[float, str]] = {}

    def note(signal: str, least: float | None, most: float | None, label: str) -> None:
        if least is not None and least > low.get(signal, (-np.inf, ""))[0]:
            low[signal] = (least, label)
        if most is not None and most < high.get(signal, (np.inf, ""))[0]:
            high[signal] = (most, label)

    for asset in site.assets:
        name = asset.label or asset.id
        if asset.kind == "grid_connection":
            note(f"{asset.id}.power_kw", -asset.export_limit_kw, asset.import_limit_kw, name)
        if asset.kind == "battery":
            note(f"{asset.id}.soc_pct", asset.soc_min_pct, asset.soc_max_pct, name)
        if asset.kind == "buffer_tank":
            note(f"{asset.id}.temp_degc", asset.min_degc, asset.max_degc, name)
    found += [
        _bound(data, f"site:{r.signal}:reserve", r.label, r.signal, 1, r.least, hard=False,
               mask=r.mask)
        for r in reserve_bounds(site, data.snapshot)
    ]  # fmt: skip
    for limit in site.limits:
        name = limit.label or site.signal(limit.signal).label or limit.signal
        note(limit.signal, limit.minimum, limit.maximum, name)
    for sense, bounds in ((1, low), (-1, high)):
        word = "lower" if sense > 0 else "upper"
        for signal, (value, label) in bounds.items():
            text = f"{label}: {word} limit {value:g} {site.signal(signal).unit}"
            found.append(_bound(data, f"site:{signal}", text, signal, sense, value, hard=True))
    return found


def _converted(band: Band, value: float, unit: str, signal: str) -> float:
    try:
        return convert(value, band.unit, unit)
    except InputError as error:
        raise InputError(
            f"the bound {band.text!r} on {signal} is in {band.unit}, the signal in {unit}",
            str(error),
        ) from error


def _band_bounds(
    data: DispatchInputs,
    intent: Intent,
    index: int,
    band: Band,
    signal: str,
    signals: frozenset[str],
) -> list[Bound]:
    if signal not in signals:
        raise InputError(
            f"no setpoint moves {signal}, so no plan can keep it in a band",
            "bound a signal of the grid, battery, heat pump, tank or rooms",
        )
    spec = data.site.signal(signal)
    span = mask_of(data, Window(start=intent.start, end=intent.end))
    window, found = mask_of(data, band.window, at_ends=value_at_end(spec)), []
    for sense, value in ((1, band.minimum), (-1, band.maximum)):
        if value is None:
            continue
        number = _converted(band, value, spec.unit, signal)
        word = "at least" if sense > 0 else "at most"
        label = f"{spec.label or signal} {word} {number:g} {spec.unit}"
        base = _bound(
            data, f"intent:{index}:{signal}", label, signal, sense, number, hard=band.hard,
            mask=window & span, rank=rank(intent, index), index=index,
        )  # fmt: skip
        found.append(base)
        # The plan goes on to the horizon's end; there the wish still counts, softly, so that the
        # intent's last step does not leave a cold building to whoever comes next.
        after = window & ~span
        if after.any():
            found.append(replace(base, id=f"{base.id}:after", mask=after, hard=False, index=None))
    return found


def _comfort_bounds(data: DispatchInputs, intent: Intent) -> list[Bound]:
    """A room that the operator said nothing of keeps the site's comfort band, softly.

    Without one, it keeps what the local law would hold, less 1 K.
    """
    said = {s for c in intent.constraints if isinstance(c, Band) for s in c.signals}
    found = []
    for zone in data.parts.zones:
        signal, comfort = f"{zone}.temp_degc", data.site.comfort
        if signal in said:
            continue
        label = data.site.signal(signal).label or signal
        group = next(getattr(a, "group", "") for a in data.site.assets if a.id == zone)
        if comfort is not None and comfort.group == group:
            for sense, value in ((1, comfort.lower_degc), (-1, comfort.upper_degc)):
                word = "lower" if sense > 0 else "upper"
                text = f"{label}: {word} edge of the comfort band {value:g} degC"
                found.append(
                    _bound(data, f"comfort:{signal}", text, signal, sense, value, hard=False)
                )
        else:
            usual = local_setpoints(data.site, data.starts) - 1.0
            text = f"{label}: not below what the local controller holds, less 1 K"
            found.append(_bound(data, f"comfort:{signal}", text, signal, 1, usual, hard=False))
    return found


def _air_room_bounds(data: DispatchInputs, intent: Intent) -> list[Bound]:
    """Comfort in its hours and the local law's setback outside, softly, beside what is wished."""
    found: list[Bound] = []
    site, start, steps = data.site, data.snapshot.as_of, data.steps
    for zone in data.parts.zones:
        signal = f"{zone}.temp_degc"
        label = site.signal(signal).label or signal
        wished = wished_edges(site, intent, zone, start, steps, data.snapshot)
        band = comfort_band(site, zone, start, steps).beside(wished)
        band = band.tighter(band.tighter(wished).ahead(int(READY_EARLY_S // site.step_s)))
        held = "edge of the comfort band" if site.comfort else "edge of what the local law holds"
        found += _edge_bounds(data, f"comfort:{signal}", f"{label}: {{}} {held}", signal, band)
        outside = setback(site, zone, start, steps).beside(wished)
        text = f"{label}: {{}} setback of the local law"
        found += _edge_bounds(data, f"setback:{signal}", text, signal, outside)
    return found


def _edge_bounds(
    data: DispatchInputs, name: str, text: str, signal: str, edges: Edges
) -> list[Bound]:
    found = []
    for sense, value, word in ((1, edges.low, "lower"), (-1, edges.high, "upper")):
        mask = np.isfinite(value)
        if mask.any():
            seen = np.unique(value[mask])
            label = text.format(word) + (f" {seen[0]:g} degC" if len(seen) == 1 else "")
            finite = np.where(mask, value, 0.0)
            found.append(_bound(data, name, label, signal, sense, finite, hard=False, mask=mask))
    return found


def local_setpoints(site: Site, starts: tuple[datetime, ...]) -> Array:
    """The local law's room setpoint at each step, (N,) degC."""
    return scheduled(site.baseline.zone_setpoint_degc, starts, site.zone_info)


def _with_margin(data: DispatchInputs, bound: Bound, margins: Margins) -> Bound:
    asset = bound.signal.split(".", 1)[0]
    kind = next(a.kind for a in data.site.assets if a.id == asset)
    margin = margins.along(bound.signal, bound.unit, kind, bound.sense, data.steps)
    if kind == "grid_connection" and bound.sense > 0:
        # To stay clear of an export limit must not come to mean that the site has to import.
        most = max(0.0, -float(bound.value[bound.mask].max(initial=-np.inf)))
        margin = min(margin, most) if isinstance(margin, float) else np.minimum(margin, most)
    return replace(bound, margin=margin)
