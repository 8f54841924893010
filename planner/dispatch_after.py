"""What a plan leaves to whoever comes after it: rooms that can be comfortable when it next counts.

A plan that ends at five in the morning must not leave a building that no unit can warm by six. At
the end of the plan each room must be where its unit, at full capacity and in the weather of the
plan's last step, still brings it inside its edges at the first step after the plan where edges
hold. That is one linear inequality in the final state, kept softly, like the wish itself.
"""

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from graph.intent import Intent
from planner.dispatch_comfort import Edges, comfort_band, wished_edges
from planner.dispatch_constraints import Rows, SlackKind
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_options import PENALTY_FACTOR
from planner.dispatch_prices import unit_saving
from planner.milp import INF, About, Term

Array = NDArray[np.float64]
AFTER_H = 12.0  # further away any building of ours can still be brought anywhere in time
READY_H = 1.0  # what is averaged at the plan's end: the weather that goes on


def add_after(rows: Rows, intent: Intent) -> None:
    """The rows that keep every room on an air unit within reach of its next edges."""
    data, air = rows.data, rows.hub.air
    if air is None:
        return
    most = full_capacity(data)
    for z, zone in enumerate(data.parts.zones):
        edges = edges_from_end(data, intent, zone)
        for sense, values in ((1, edges.low), (-1, edges.high)):
            if np.isfinite(values[0]):
                continue  # the edge holds already, so the plan's own does
            ahead = np.flatnonzero(np.isfinite(values[1:]))
            if len(ahead):
                _within_reach(rows, z, sense, int(ahead[0]), values[1:], most[sense])


def edges_from_end(data: DispatchInputs, intent: Intent, zone: str) -> Edges:
    """A room's edges in the plan's last step and in the `AFTER_H` after it, one value a step."""
    steps = int(AFTER_H / data.hours) + 1
    start = data.snapshot.as_of + timedelta(seconds=data.site.step_s * (data.steps - 1))
    wished = wished_edges(data.site, intent, zone, start, steps)
    return comfort_band(data.site, zone, start, steps).beside(wished).tighter(wished)


def full_capacity(data: DispatchInputs) -> dict[int, Array]:
    """Greatest heat of all zones together (+1) and greatest cooling (-1), each (Z,) kW, at the
    horizon's mean capacity."""
    heat, cold = np.zeros(len(data.parts.zones)), np.zeros(len(data.parts.zones))
    for unit in data.hub.units:
        series = data.units[unit.id]
        for total, each, most, share in (
            (heat, unit.heating_kw, unit.most_heating_kw, series.heating_share),
            (cold, unit.cooling_kw, unit.most_cooling_kw, series.cooling_share),
        ):
            shared = min(1.0, most / float(each.sum())) if len(unit.zones) > 1 else 1.0
            total[list(unit.zones)] = each * shared * float(share.mean())
    return {1: heat, -1: -cold}


def _within_reach(rows: Rows, z: int, sense: int, ahead: int, values: Array, heat: Array) -> None:
    """A^(ahead + 1) x_N + what full capacity and the weather add, is inside the edge there."""
    data, zones, air = rows.data, rows.data.hub.zones, rows.hub.air
    assert zones is not None
    assert air is not None
    weather = data.forcing[:, -int(READY_H / data.hours) :].mean(axis=1)
    gain, known = np.zeros(len(zones.states)), 0.0
    gain[zones.air[z]] = 1.0
    for _ in range(ahead + 1):
        known += float(gain @ (zones.B @ heat + weather))
        gain = gain @ zones.A
    signal = f"{zones.zones[z]}.temp_degc"
    label = data.site.signal(signal).label or signal
    word = "warm" if sense > 0 else "cool"
    about = About(
        f"after:{signal}:{'min' if sense > 0 else 'max'}",
        f"{label}: {word} enough at the plan's end to be comfortable when it next counts",
        signal, "degC", (data.steps - 1,),
    )  # fmt: skip
    price = PENALTY_FACTOR * unit_saving(data, signal, rows.dearest_kwh)
    short = rows.slack(about, SlackKind.SOFT, price, scalar=True, value=float(values[ahead]))
    terms: list[Term] = [(t[-1:], float(g)) for t, g in zip(air.temps, gain, strict=True)]
    terms.append((short, float(sense)))
    edge = float(values[ahead]) - known
    rows.builder.row(terms, *((edge, INF) if sense > 0 else (-INF, edge)), about=about)
