"""Bounds, limits and holds as rows, with the slack columns that price the soft ones."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from planner.dispatch_bounds import Bound
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_options import (
    MARGIN_FACTOR,
    PENALTY_FACTOR,
    RECOVERY_FACTOR,
    RECOVERY_HOURS,
    SLACK_TOLERANCE,
)
from planner.dispatch_physics import Expression, HubColumns
from planner.dispatch_prices import unit_saving
from planner.milp import INF, About, Index, MilpBuilder, Term

Array = NDArray[np.float64]


class Mode(StrEnum):
    """PLAN: as stated. ELASTIC: the intent's hard constraints give way. RESCUE: the site's bounds
    on states give way; its bounds on powers and what a person holds never do."""

    PLAN = "plan"
    ELASTIC = "elastic"
    RESCUE = "rescue"


class SlackKind(StrEnum):
    """What the use of a slack column means."""

    SOFT = "soft"  # a soft bound is broken
    MARGIN = "margin"  # a margin is given up, the bound behind it holds
    RECOVERY = "recovery"  # a hard bound on a state that starts outside it
    HOLD = "hold"  # what a person holds cannot be followed (battery full, room too warm)
    ELASTIC = "elastic"  # a hard constraint of the intent gives way, to learn by how much


@dataclass(frozen=True)
class Slack:
    """Columns that let a constraint give way; `columns[i]` acts at `steps[i]`."""

    id: str
    label: str
    unit: str
    kind: SlackKind
    columns: Index
    steps: tuple[int, ...]
    bound: Bound | None = None
    value: float | None = None


@dataclass
class Rows:
    """What adding constraints needs and leaves."""

    builder: MilpBuilder
    data: DispatchInputs
    hub: HubColumns
    mode: Mode
    dearest_kwh: float
    slacks: list[Slack] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    forced_on: Array = field(init=False)  # (N,) 1 runs, 0 stands still, NaN free
    starts_left: dict[int, int] = field(default_factory=dict)  # by local day (ordinal)
    starts_firm: dict[int, int] = field(default_factory=dict)  # without limits that give way

    def __post_init__(self) -> None:
        self.forced_on = np.full(self.data.steps, np.nan)

    def slack(
        self,
        about: About,
        kind: SlackKind,
        price: float | Array,
        *,
        most: float | Array = INF,
        bound: Bound | None = None,
        scalar: bool = False,
        value: float | None = None,
    ) -> Index:
        """New slack columns, one a step of `about` (or one in all), priced unless elastic."""
        count = 1 if scalar else len(about.steps)
        columns = self.builder.columns(count, 0.0, most)
        self.slacks.append(
            Slack(about.id, about.label, about.unit, kind, columns, about.steps, bound, value)
        )
        self.builder.cost("elastic" if kind is SlackKind.ELASTIC else "penalty", columns, price)
        return columns


def add_bound(rows: Rows, bound: Bound) -> None:
    """One bound: hard, soft, elastic or recovering, tightened by its margin."""
    data, expression = rows.data, rows.hub.signals[bound.signal]
    bound = at_period_ends(data, bound)
    steps = np.flatnonzero(bound.mask)
    if not len(steps):
        return
    about = About(bound.id, bound.label, bound.signal, bound.unit, tuple(int(k) for k in steps))
    saving = unit_saving(data, bound.signal, rows.dearest_kwh)
    terms = sliced(expression, steps)
    margin = np.broadcast_to(bound.margin, (data.steps,))[steps]
    if margin.any():
        price = MARGIN_FACTOR * saving
        given = rows.slack(about, SlackKind.MARGIN, price, most=margin, bound=bound)
        terms.append((given, float(bound.sense)))
    if not bound.hard:
        price = PENALTY_FACTOR * bound.rank * saving
        used = rows.slack(about, SlackKind.SOFT, price, bound=bound)
        terms.append((used, float(bound.sense)))
    else:
        if rows.mode is Mode.ELASTIC and bound.index is not None:
            price = bound.rank / ELASTIC_SCALE.get(bound.unit, 1.0)
            one = rows.slack(about, SlackKind.ELASTIC, price, bound=bound, scalar=True)
            terms.append((np.repeat(one, len(steps)), float(bound.sense)))
        if hours := _open_hours(rows, bound):
            price = RECOVERY_FACTOR * bound.rank * saving
            most = np.where((steps + 0.5) * data.hours < hours, INF, 0.0)
            used = rows.slack(about, SlackKind.RECOVERY, price, most=most, bound=bound)
            terms.append((used, float(bound.sense)))
    edge = bound.value[steps] + bound.sense * margin - expression.constant[steps]
    lower, upper = (edge, INF) if bound.sense > 0 else (-INF, edge)
    rows.builder.rows(terms, lower, upper, about=about)


def at_period_ends(data: DispatchInputs, bound: Bound) -> Bound:
    """A bound on a room's temperature, where the grid has long periods: the tightest value of a
    period, at both its ends, where the problem knows the temperature."""
    zones = data.hub.zones
    asset = bound.signal.split(".", 1)[0]
    if not data.grid.coarse or zones is None or asset not in zones.zones:
        return bound
    if not bound.signal.endswith(".temp_degc"):
        return bound
    tight = np.full(len(data.grid.ends), -np.inf)
    np.maximum.at(tight, data.grid.period[bound.mask], (bound.sense * bound.value)[bound.mask])
    long = np.flatnonzero(data.grid.lengths[1:] > 1)
    tight[long] = np.maximum(tight[long], tight[long + 1])
    value, mask = bound.value.copy(), np.zeros_like(bound.mask)
    covered = np.isfinite(tight)
    at = data.grid.ends[covered]
    value[at], mask[at] = bound.sense * tight[covered], True
    return replace(bound, value=value, mask=mask)


# One unit of relaxation weighs the same for each kind of constraint when it is about so large.
ELASTIC_SCALE = {"degC": 1.0, "percent": 10.0, "kW": 5.0, "starts": 1.0, "kWh": 20.0, "kg": 5.0}


def _open_hours(rows: Rows, bound: Bound) -> float:
    """For how long a hard bound on a state is open, hours from now.

    `RECOVERY_HOURS` when the state starts outside it (or on its edge, where losses that nobody
    commands would break it); the whole horizon in the rescue.
    """
    initial = initial_value(rows.data, bound.signal)
    if initial is None:
        return 0.0
    if rows.mode is Mode.RESCUE:
        return 0.0 if bound.index is not None else INF
    inside = bound.sense * (initial - float(bound.value[np.argmax(bound.mask)]))
    if inside < 0 and bound.mask[0]:
        rows.notes.append(
            f"{bound.label}: the plant starts outside ({initial:.4g}); "
            "the plan returns as fast as it can"
        )
    outside = inside < SLACK_TOLERANCE.get(bound.unit, 0.0) and bool(bound.mask[0])
    return RECOVERY_HOURS if outside else 0.0


def initial_value(data: DispatchInputs, signal: str) -> float | None:
    """The present value of a state's signal; None for a flow."""
    asset = signal.split(".", 1)[0]
    if signal.endswith(".soc_pct") and asset in data.energy0:
        return 100.0 * data.energy0[asset] / data.hub.batteries[asset].capacity_kwh
    if not signal.endswith(".temp_degc"):
        return None
    if data.parts.tank is not None and asset == data.parts.tank.id:
        return data.tank0
    zones = data.hub.zones
    if zones is not None and asset in zones.zones:
        return float(data.zone_state[zones.air[zones.zones.index(asset)]])
    return None


def sliced(expression: Expression, steps: NDArray[np.int64]) -> list[Term]:
    """An expression's terms at some steps."""
    return [
        (columns[steps], np.broadcast_to(np.asarray(values, dtype=float), (len(columns),))[steps])
        for columns, values in expression.terms
    ]


def add_holds(rows: Rows) -> None:
    """What a person holds is followed as far as physics allows, at any price."""
    data, hub = rows.data, rows.hub
    for point, values in data.held.items():
        steps = np.flatnonzero(~np.isnan(values))
        asset, wanted = point.split(".", 1)[0], values[steps]
        if not len(steps):
            continue
        label = f"{data.site.signal(point).label or point} as held by the operator"
        about = About(f"hold:{point}", label, point, "kW", tuple(int(k) for k in steps))
        if asset in hub.charge:
            _hold_battery(rows, about, asset, steps, wanted)
        elif hub.heat is not None and data.parts.pump and asset == data.parts.pump.id:
            pump = data.parts.pump
            runs = wanted >= pump.min_power_kw / 2.0  # below half its least power it stands still
            power = np.where(runs, np.clip(wanted, pump.min_power_kw, pump.max_power_kw), 0.0)
            rows.builder.rows([(hub.heat.power[steps], 1.0)], power, power, about=about)
            rows.builder.rows([(hub.heat.on[steps], 1.0)], runs * 1.0, runs * 1.0)
            rows.forced_on[steps] = runs * 1.0
        elif hub.air is not None:
            sense = 1 if point.endswith(".heating_setpoint_degc") else -1
            _hold_thermostat(rows, about, asset, sense, steps, wanted)
        else:
            _hold_zone(rows, about, asset, steps, wanted)


def _hold_battery(
    rows: Rows, about: About, asset: str, steps: NDArray[np.int64], wanted: Array
) -> None:
    """Charge or discharge as held, less what a full or an empty battery cannot follow."""
    battery = next(b for b in rows.data.parts.batteries if b.id == asset)
    price = RECOVERY_FACTOR * rows.data.hours * rows.dearest_kwh
    for columns, value in (
        (rows.hub.charge[asset], np.clip(wanted, 0.0, battery.max_charge_kw)),
        (rows.hub.discharge[asset], np.clip(-wanted, 0.0, battery.max_discharge_kw)),
    ):
        short = rows.slack(about, SlackKind.HOLD, price, most=value)
        rows.builder.rows([(columns[steps], 1.0), (short, 1.0)], value, value, about=about)


def _hold_zone(
    rows: Rows, about: About, zone: str, steps: NDArray[np.int64], wanted: Array
) -> None:
    """The local thermostat brings the room to the held setpoint, from below only."""
    signal = f"{zone}.temp_degc"
    about = About(about.id, about.label, signal, "degC", about.steps)
    price = RECOVERY_FACTOR * unit_saving(rows.data, signal, rows.dearest_kwh)
    below = rows.slack(about, SlackKind.HOLD, price)
    above = rows.slack(about, SlackKind.HOLD, price)
    terms = [*sliced(rows.hub.signals[signal], steps), (below, 1.0), (above, -1.0)]
    rows.builder.rows(terms, wanted, wanted, about=about)


def _hold_thermostat(
    rows: Rows, about: About, zone: str, sense: int, steps: NDArray[np.int64], wanted: Array
) -> None:
    """A held heating setpoint keeps its room from being colder, a cooling one from being warmer.

    That it does no more than that is said in `dispatch_air`.
    """
    signal = f"{zone}.temp_degc"
    price = RECOVERY_FACTOR * unit_saving(rows.data, signal, rows.dearest_kwh)
    value, mask = np.zeros(rows.data.steps), np.zeros(rows.data.steps, dtype=bool)
    value[steps], mask[steps] = wanted, True
    bound = at_period_ends(
        rows.data, Bound(about.id, about.label, signal, "degC", sense, value, mask, hard=True)
    )
    at = np.flatnonzero(bound.mask)
    about = About(about.id, about.label, signal, "degC", tuple(int(k) for k in at))
    short = rows.slack(about, SlackKind.HOLD, price)
    terms = [*sliced(rows.hub.signals[signal], at), (short, float(sense))]
    edge = bound.value[at]
    lower, upper = (edge, INF) if sense > 0 else (-INF, edge)
    rows.builder.rows(terms, lower, upper, about=about)
