"""Limits over time as rows: starts a day, totals, assets that stand still, ramps and dwell."""

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.intent import Intent, KeepOff, RateLimit, StartLimit, TotalLimit, Window
from graph.units import convert
from planner.dispatch_bounds import mask_of
from planner.dispatch_calendar import local_dates
from planner.dispatch_constraints import ELASTIC_SCALE, Mode, Rows, SlackKind, sliced
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_options import PENALTY_FACTOR
from planner.dispatch_rates import add_rate
from planner.milp import INF, About, Index, Term
from planner.priority import rank
from sandbox.budgets import Budget, budgets

Mask = NDArray[np.bool_]
TOTAL_UNITS = {"energy": "kWh", "emissions": "kg"}
HEATING, COOLING = ".heating_setpoint_degc", ".cooling_setpoint_degc"


def add_limits(rows: Rows, intent: Intent) -> None:
    """Everything of the intent that is not a band, and the setpoints' own declared limits.

    Raises:
        InputError: a start limit on what has no starts, or a total in a unit of another kind.
    """
    span = mask_of(rows.data, Window(start=intent.start, end=intent.end))
    for index, item in enumerate(intent.constraints):
        mask, price = span & mask_of(rows.data, item.window), rank(intent, index)
        if isinstance(item, StartLimit):
            _intent_starts(rows, index, item, mask, price)
        elif isinstance(item, TotalLimit):
            for budget in budgets(item, intent, rows.data.site, rows.data.snapshot):
                _total(rows, index, item, budget, price)
        elif isinstance(item, RateLimit):
            add_rate(rows, index, item, mask, price)
        elif isinstance(item, KeepOff):
            _keep_off(rows, index, item, mask, price)
    for spec in rows.data.site.setpoints:
        pump = rows.data.parts.pump
        if spec.max_starts_per_day is not None and pump is not None and spec.asset == pump.id:
            everywhere = np.ones(rows.data.steps, dtype=bool)
            label = f"{spec.label or spec.id}: site limit of {spec.max_starts_per_day} starts a day"
            about = About(f"site:{spec.id}:starts", label, spec.id, "starts")
            _starts(rows, about, everywhere, spec.max_starts_per_day)
        _dwell_and_ramp(rows, spec.id)


def _intent_starts(rows: Rows, index: int, item: StartLimit, mask: Mask, weight: float) -> None:
    pump, data = rows.data.parts.pump, rows.data
    if pump is None or item.point != f"{pump.id}.power_set_kw":
        raise InputError(
            f"a limit on starts of {item.point}, which is not a heat pump's power setpoint",
            "limit the starts of the heat pump",
        )
    label = f"{pump.label or pump.id}: at most {item.maximum} starts a day"
    about = About(f"intent:{index}:{item.point}:starts", label, item.point, "starts")
    # A soft limit gives way only when a start saves more than an hour of full power.
    soft = PENALTY_FACTOR * weight * rows.dearest_kwh * pump.max_power_kw
    kind, price = (SlackKind.ELASTIC, weight) if item.hard else (SlackKind.SOFT, soft)
    gives = not item.hard or rows.mode is Mode.ELASTIC
    give = None
    if gives:
        named = About(about.id, label, item.point, "starts", tuple(range(data.steps)))
        give = rows.slack(named, kind, price, scalar=True, value=float(item.maximum))
    _starts(rows, about, mask, item.maximum, give)


def _starts(rows: Rows, about: About, mask: Mask, maximum: int, give: Index | None = None) -> None:
    """Starts within each local day <= maximum less those made already today.

    Steps that a person holds do not count: the plan does not decide them.
    """
    data, heat = rows.data, rows.hub.heat
    assert heat is not None
    assert about.signal is not None
    held = data.held.get(about.signal)
    free = mask if held is None else mask & np.isnan(held)
    dates = np.array([d.toordinal() for d in local_dates(data.starts, data.site.zone_info)])
    for day in np.unique(dates):
        steps = np.flatnonzero(free & (dates == day))
        if not len(steps):
            continue
        today = data.snapshot.starts_today.get(about.signal, 0) if day == dates[0] else 0
        if today > maximum:
            rows.notes.append(
                f"{about.label}: {today} were made already; no more are planned today"
            )
        terms: list[Term] = [(heat.start[steps], 1.0)]
        left = max(0, maximum - today)
        rows.starts_left[int(day)] = min(rows.starts_left.get(int(day), left), left)
        if give is None:
            rows.starts_firm[int(day)] = min(rows.starts_firm.get(int(day), left), left)
        else:
            terms.append((give, -1.0))
        named = About(about.id, about.label, about.signal, about.unit, (int(steps[0]),))
        rows.builder.row(terms, -INF, float(left), about=named)


def _total(rows: Rows, index: int, item: TotalLimit, budget: Budget, weight: float) -> None:
    data, steps = rows.data, np.flatnonzero(budget.mask)
    if not len(steps):
        return
    unit = data.site.currency if item.quantity == "cost" else TOTAL_UNITS[item.quantity]
    money = item.quantity == "cost"
    maximum = budget.maximum if money else convert(budget.maximum, item.unit, unit)
    terms, known = _counted(rows, item, steps)
    word = {"cost": "energy cost", "energy": "imported energy", "emissions": "CO2"}[item.quantity]
    if item.signal:
        word = f"energy of {data.site.signal(item.signal).label or item.signal}"
    label = f"{word} at most {maximum:g} {unit}"
    what = item.signal or item.quantity
    about = About(f"intent:{index}:{what}:total", label, item.signal, unit, tuple(steps.tolist()))
    if not item.hard or rows.mode is Mode.ELASTIC:
        scale = ELASTIC_SCALE.get(unit, max(abs(maximum) * 0.1, 1.0))
        worth = {"cost": 1.0, "energy": rows.dearest_kwh, "emissions": rows.dearest_kwh * 10.0}
        hard, soft = weight / scale, PENALTY_FACTOR * weight * worth[item.quantity]
        kind, price = (SlackKind.ELASTIC, hard) if item.hard else (SlackKind.SOFT, soft)
        terms.append((rows.slack(about, kind, price, scalar=True, value=maximum), -1.0))
    rows.builder.row(terms, -INF, maximum - known, about=about)


def _counted(rows: Rows, item: TotalLimit, steps: Index) -> tuple[list[Term], float]:
    """What a total counts over some steps: terms, and a part that nothing moves."""
    data = rows.data
    imported, exported = rows.hub.imported[steps], rows.hub.exported[steps]
    if item.signal is not None:
        if item.signal not in rows.hub.signals:
            raise InputError(
                f"no setpoint moves {item.signal}, so no plan can limit its energy",
                "limit the energy of the site, the heat pump or an air unit",
            )
        expression = rows.hub.signals[item.signal]
        terms = [(c, data.hours * np.asarray(v)) for c, v in sliced(expression, steps)]
        return [*terms], data.hours * float(expression.constant[steps].sum())
    if item.quantity == "cost":
        bought: Term = (imported, data.hours * data.import_price[steps])
        return [bought, (exported, -data.hours * data.export_price[steps])], 0.0
    return [
        (imported, data.hours * (data.carbon[steps] if item.quantity == "emissions" else 1.0))
    ], 0.0


def _keep_off(rows: Rows, index: int, item: KeepOff, mask: Mask, weight: float) -> None:
    data, hub, asset = rows.data, rows.hub, item.point.split(".", 1)[0]
    steps = np.flatnonzero(mask)
    if not len(steps):
        return
    if asset in hub.charge:
        terms: list[Term] = [(hub.charge[asset][steps], 1.0), (hub.discharge[asset][steps], 1.0)]
    elif hub.heat is not None and data.parts.pump and asset == data.parts.pump.id:
        terms = [(hub.heat.power[steps], 1.0)]
        if item.hard and rows.mode is not Mode.ELASTIC:
            rows.forced_on[steps] = 0.0
    elif hub.heat is not None and data.hub.zones and asset in data.hub.zones.zones:
        terms = [(hub.heat.heat[data.hub.zones.zones.index(asset)][steps], 1.0)]
    elif hub.air is not None and data.hub.zones and asset in data.hub.zones.zones:
        heating, cooling = hub.air.zones[data.hub.zones.zones.index(asset)]
        terms = [((heating if item.point.endswith(HEATING) else cooling)[steps], 1.0)]
    else:
        raise InputError(f"{item.point} cannot be kept off", "name a setpoint of the plan")
    label = f"{_what_stays_off(data, item.point)} stays off"
    ident = f"intent:{index}:{item.point}:keep_off"
    about = About(ident, label, item.point, "kW", tuple(steps.tolist()))
    if not item.hard:
        price = PENALTY_FACTOR * weight * data.hours * rows.dearest_kwh
        terms.append((rows.slack(about, SlackKind.SOFT, price), -1.0))
    elif rows.mode is Mode.ELASTIC:
        one = rows.slack(
            about, SlackKind.ELASTIC, weight / ELASTIC_SCALE["kW"], scalar=True, value=0.0
        )
        terms.append((np.repeat(one, len(steps)), -1.0))
    rows.builder.rows(terms, -INF, 0.0, about=about)


def _what_stays_off(data: DispatchInputs, point: str) -> str:
    asset = point.split(".", 1)[0]
    name = next(a.label or a.id for a in data.site.assets if a.id == asset)
    sides = {HEATING: "heating", COOLING: "cooling"}
    side = next((word for end, word in sides.items() if point.endswith(end)), "")
    return f"{name}: {side}" if side else name


def _dwell_and_ramp(rows: Rows, point: str) -> None:
    """A setpoint with a dwell longer than a step moves in blocks; its ramp bounds each move.

    Room setpoints are not planned here (they follow from the planned temperatures).
    """
    data, spec = rows.data, rows.data.site.signal(point)
    expression = rows.hub.signals.get(point)
    if expression is None:
        return
    held = data.held.get(point)
    free = np.ones(data.steps, dtype=bool) if held is None else np.isnan(held)
    steps = np.flatnonzero(free[1:] & free[:-1]) + 1
    block = int(np.ceil(spec.dwell_s / data.site.step_s))
    same = steps[steps % block != 0] if block > 1 else steps[:0]
    most = (spec.ramp_per_s or np.inf) * data.site.step_s
    if most < spec.maximum - spec.minimum:
        _difference(rows, point, steps, most)
        before = data.applied(point)
        if before is not None and free[0]:
            terms = [(columns[:1], value) for columns, value in expression.terms]
            rows.builder.rows(terms, before - most, before + most)
    if len(same):
        _difference(rows, point, same, 0.0)


def _difference(rows: Rows, point: str, steps: NDArray[np.int64], most: float) -> None:
    terms: list[Term] = []
    for columns, value in rows.hub.signals[point].terms:
        terms += [(columns[steps], value), (columns[steps - 1], -np.asarray(value))]
    label = f"{rows.data.site.signal(point).label or point}: ramp and dwell"
    about = About(f"site:{point}:rate", label, point, "kW", tuple(steps.tolist()))
    rows.builder.rows(terms, -most, most, about=about)
