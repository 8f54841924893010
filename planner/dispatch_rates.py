"""An intent's limits on how fast a signal changes, as rows."""

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.intent import RateLimit
from graph.units import canonical_unit
from planner.dispatch_constraints import Mode, Rows, SlackKind, initial_value, sliced
from planner.dispatch_options import PENALTY_FACTOR
from planner.dispatch_prices import unit_saving
from planner.milp import INF, About, Index, Term

Bools = NDArray[np.bool_]


def add_rate(rows: Rows, index: int, item: RateLimit, mask: Bools, weight: float) -> None:
    """|x(k) - x(k-1)| <= maximum x time between the two, at the masked steps, one signal at a time.

    Where rooms share decisions over long periods, from the end of one period to the next.

    Raises:
        InputError: a signal that no setpoint moves.
    """
    for signal in item.signals:
        if signal not in rows.hub.signals:
            raise InputError(
                f"no setpoint moves {signal}, so no plan can limit its rate",
                "limit the rate of a room, the tank, the battery or a power",
            )
        _signal(rows, index, item, signal, mask, weight)


def _signal(
    rows: Rows, index: int, item: RateLimit, signal: str, mask: Bools, weight: float
) -> None:
    data = rows.data
    unit = canonical_unit(data.site.signal(signal).unit)
    ends = _ends(rows, signal)
    later, before = ends[1:], ends[:-1]
    counted = mask[later]
    later, before = later[counted], before[counted]
    shown = "K" if unit == "degC" else "%" if unit == "percent" else unit
    name = data.site.signal(signal).label or signal
    label = f"{name} changes by at most {item.maximum:g} {shown} an hour"
    ident = f"intent:{index}:{signal}:rate"
    first = initial_value(data, signal)
    begins = first is not None and bool(mask[ends[0]])
    steps = (int(ends[0]),) * begins + tuple(int(k) for k in later)
    if not steps:
        return
    about = About(ident, label, signal, f"{shown}/h", steps)
    hours = np.concatenate([[data.hours * (ends[0] + 1)] * begins, (later - before) * data.hours])
    slack = _slack(rows, about, item, weight * unit_saving(data, signal, rows.dearest_kwh))
    at = np.concatenate([ends[:1][:begins], later]).astype(np.int64)
    expression = rows.hub.signals[signal]
    terms: list[Term] = sliced(expression, at)
    known = expression.constant[at].copy()
    previous = [(columns, -np.asarray(v)) for columns, v in sliced(expression, before)]
    known[int(begins) :] -= expression.constant[before]
    if begins:
        known[0] -= first
    for sense in (1.0, -1.0):
        if item.direction == ("down" if sense > 0 else "up"):
            continue
        signed = [(c, sense * np.asarray(v)) for c, v in terms]
        if slack is not None:
            signed.append((slack, -hours))
        block = rows.builder.rows(signed, -INF, item.maximum * hours - sense * known, about=about)
        for columns, values in previous:
            rows.builder.add(block[int(begins) :], columns, sense * values)


def _ends(rows: Rows, signal: str) -> Index:
    """The steps at whose ends a signal is compared: those of the grid's periods for a room."""
    data = rows.data
    zones = data.hub.zones
    room = zones is not None and signal.split(".", 1)[0] in zones.zones
    return data.grid.ends if room and data.grid.coarse else np.arange(data.steps)


def _slack(rows: Rows, about: About, item: RateLimit, saving: float) -> Index | None:
    """Columns in units an hour; None where the limit never gives way."""
    if item.hard and rows.mode is Mode.PLAN:
        return None
    if item.hard and rows.mode is Mode.RESCUE:
        return None
    if item.hard:
        one = rows.slack(about, SlackKind.ELASTIC, 1.0, scalar=True, value=item.maximum)
        return np.repeat(one, len(about.steps))
    return rows.slack(about, SlackKind.SOFT, PENALTY_FACTOR * saving * rows.data.hours)
