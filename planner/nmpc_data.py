"""What a snapshot and an intent give to the nonlinear programme, checked and as arrays."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.intent import Band, Intent, KeepOff
from graph.schedules import scheduled
from graph.signals import Role
from graph.site import Site
from graph.snapshot import Snapshot
from graph.units import canonical_unit, convert
from planner.held import held_values
from planner.nmpc_options import NmpcOptions
from planner.nmpc_stage import StageModel
from planner.priority import rank
from planner.series import forecast_series, usable_series
from sandbox.ode_twin import OdeTwin
from sandbox.windows import constraint_mask

Array = NDArray[np.float64]
QUANTITIES = ("cost", "energy", "emissions", "comfort", "wear")
PRICED = ("cost", "energy", "emissions")
# Share of money in an objective that names none: no idle waste. Smaller than in dispatch planning,
# because targets are squares here: a price moves where their minimum lies, however small (at 5 %
# the four tanks' levels by 0.005 cm), where a linear objective only breaks ties with it.
TARGET_TIEBREAK = 1e-3
WEAR_MOVES = 100.0  # times the price of moves where wear is to be small


@dataclass(frozen=True)
class Limit:
    """low <= signal <= high at each step, (H,), infinite where there is none.

    `tier`: "wish" (soft), "demand" (hard, of the intent) or "site". `rank` multiplies the price of
    a wish. `margin`: how far inside a plan stays. `index`: place among the intent's constraints.
    """

    id: str
    label: str
    signal: str
    unit: str
    tier: str
    low: Array
    high: Array
    margin: float = 0.0
    rank: float = 1.0
    index: int | None = None


@dataclass(frozen=True)
class NmpcData:
    """All numbers of one plan over H steps of the site. S states, U points, D disturbances.

    x0 (S,), applied (U,), w (D, H), price (H,) currency a kW of grid power over a step, drift (S,)
    per second, least and greatest (U, H) of each setpoint, move (U,) a step, targets by signal
    (H,), NaN where there is none. `hold` and `law`, (U, H), are where a solve begins
    and begins again: the plan in force, and the way to the plant's own law. `weight`: what share
    of the objective is paid for; `moves_weigh`: times the price of moves.
    """

    site: Site
    twin: OdeTwin
    snapshot: Snapshot
    model: StageModel
    steps: int
    x0: Array
    applied: Array
    w: Array
    price: Array
    drift: Array
    least: Array
    greatest: Array
    move: Array
    limits: tuple[Limit, ...]
    targets: dict[str, Array]
    hold: Array
    law: Array
    weight: float = 1.0
    moves_weigh: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """Length of a step."""
        return self.site.step_s / 3600.0

    @property
    def grid(self) -> str:
        """The signal of the power that is paid for."""
        return f"{self.site.of_kind('grid_connection')[0].id}.power_kw"


def nmpc_data(
    site: Site, twin: OdeTwin, snapshot: Snapshot, intent: Intent, drift: Array,
    options: NmpcOptions,
) -> NmpcData:  # fmt: skip
    """Check and gather. Raises InputError naming what is missing, no number, or not for equations.

    The plan reaches over the horizon or `options.reach_steps` steps, whichever ends first.
    """
    _check_intent(site, intent)
    model = StageModel(twin.model, twin.layout.points)
    steps = min(snapshot.horizon_steps, options.reach_steps)
    w = np.array([forecast_series(snapshot, d)[:steps] for d in model.disturbances])
    least, greatest = _ranges(site, snapshot, intent, model.points, steps)
    applied = np.array([_applied(site, snapshot, p) for p in model.points])
    moves = [site.signal(p).ramp_per_s or np.inf for p in model.points]
    limits, targets = _limits(site, twin, snapshot, intent, steps, options)
    x0, notes = _state(twin, snapshot, model)
    reach = np.array(moves) * site.step_s
    return NmpcData(
        site=site, twin=twin, snapshot=snapshot, model=model, steps=steps, x0=x0,
        applied=applied, w=w.reshape(len(model.disturbances), steps),
        price=_price(site, snapshot, intent, steps), drift=drift, least=least,
        greatest=greatest, move=reach, limits=limits, targets=targets,
        hold=_incumbent(snapshot, model.points, applied, steps),
        law=_to_law(site, snapshot, model, applied, reach, steps), notes=notes,
        weight=sum(_weights(intent).values()),
        moves_weigh=WEAR_MOVES if any(o.quantity == "wear" for o in intent.objectives) else 1.0,
    )  # fmt: skip


def _check_intent(site: Site, intent: Intent) -> None:
    odd = [o.quantity for o in intent.objectives if o.quantity not in QUANTITIES]
    if odd:
        raise InputError(
            f"the planner of equations cannot make {odd[0]} small", f"it knows {_list(QUANTITIES)}"
        )
    for item in intent.constraints:
        if not isinstance(item, Band | KeepOff):
            raise InputError(
                f"the planner of equations keeps no constraint of kind {item.kind}",
                "bound a signal, or keep an asset off",
            )
    for spec in site.setpoints:
        if spec.zero_or_above is not None:
            raise InputError(
                f"{spec.id} goes on and off, which equations cannot plan",
                "take zero_or_above off the setpoint",
            )
    if len(site.of_kind("grid_connection")) != 1:
        raise InputError(f"site {site.id} needs one grid connection to be paid for")


def _applied(site: Site, snapshot: Snapshot, point: str) -> float:
    state = snapshot.points.get(point)
    if state is not None and np.isfinite(state.applied):
        return float(state.applied)
    rules = site.baseline.points.get(point)
    if not rules:
        raise InputError(f"nobody says what {point} is now", "read it back from the plant")
    return float(scheduled(rules, [snapshot.as_of], site.zone_info)[0])


def _state(twin: OdeTwin, snapshot: Snapshot, model: StageModel) -> tuple[Array, tuple[str, ...]]:
    """The estimate within the model's bounds, and what was moved for that."""
    known = dict(zip(snapshot.estimate.names, snapshot.estimate.mean, strict=True))
    missing = [n for n in twin.state_names if not np.isfinite(known.get(n, np.nan))]
    if missing:
        raise InputError(f"the state estimate lacks {_list(missing)}", f"it has {_list(known)}")
    x = np.array([known[n] for n in twin.state_names])
    low, high = model.state_bounds()
    inside = np.clip(x, low, high)
    moved = [n for n, a, b in zip(twin.state_names, x, inside, strict=True) if a != b]
    note = f"the estimate of {_list(moved)} lies outside its physical bounds; planned from the edge"
    return inside, (note,) if moved else ()


def _price(site: Site, snapshot: Snapshot, intent: Intent, steps: int) -> Array:
    """Currency a kW of grid power over each step, (H,), of all objectives together."""
    prices, hours, tariff = snapshot.prices, site.step_s / 3600.0, site.tariff
    money = usable_series("import prices", prices.import_price, snapshot.horizon_steps)[:steps]
    carbon = (
        usable_series("carbon", prices.carbon_g_per_kwh, snapshot.horizon_steps)[:steps] / 1000.0
    )
    mean = float(np.mean(money))
    rates = {
        "cost": money + carbon * tariff.carbon_price_per_t / 1000.0,
        "energy": np.full(steps, mean),
        "emissions": mean * carbon / max(float(np.mean(carbon)), 1e-9),
    }
    total = np.zeros(steps)
    for quantity, weight in _weights(intent).items():
        total += weight * rates[quantity]
    return total * hours


def _weights(intent: Intent) -> dict[str, float]:
    """Weights of what is paid for by the kWh, adding up to one, or to a tie-break."""
    asked = {o.quantity: o.weight for o in intent.objectives if o.quantity in PRICED}
    total = sum(asked.values())
    return {q: w / total for q, w in asked.items()} if asked else {"cost": TARGET_TIEBREAK}


def _ranges(
    site: Site, snapshot: Snapshot, intent: Intent, points: tuple[str, ...], steps: int
) -> tuple[Array, Array]:
    """Least and greatest value of each point at each step, (U, H): ranges, wishes, holds."""
    least = np.array([np.full(steps, site.signal(p).minimum) for p in points])
    greatest = np.array([np.full(steps, site.signal(p).maximum) for p in points])
    for item in intent.constraints:
        mask = _mask(site, snapshot, item, steps, at_ends=False)
        if isinstance(item, KeepOff) and item.point in points:
            row = points.index(item.point)
            least[row, mask] = greatest[row, mask] = max(0.0, site.signal(item.point).minimum)
        if isinstance(item, Band):
            for point in set(item.signals) & set(points):
                row, (low, high) = points.index(point), _ends(site, item, point)
                least[row, mask] = np.maximum(least[row, mask], low)
                greatest[row, mask] = np.minimum(greatest[row, mask], high)
    crossed = [p for row, p in enumerate(points) if np.any(least[row] > greatest[row])]
    if crossed:
        raise InputError(
            f"no value of {_list(crossed)} is within its range and what is wished", "widen the wish"
        )
    starts = [snapshot.as_of + timedelta(seconds=site.step_s * k) for k in range(steps)]
    for hold in snapshot.holds:
        if hold.point not in points:
            raise InputError(f"a hold on {hold.point}, which the equations do not know")
        row, values = points.index(hold.point), held_values(site, hold, starts)
        if values is None:
            raise InputError(f"the equations do not know the law that {hold.point} is left to")
        held = ~np.isnan(values)
        least[row, held] = greatest[row, held] = values[held]
    return least, greatest


def _ends(site: Site, band: Band, signal: str) -> tuple[float, float]:
    """The band's ends in the signal's unit, infinite where open. Raises InputError."""
    unit = site.signal(signal).unit
    ends = []
    for value, none in ((band.minimum, -np.inf), (band.maximum, np.inf)):
        if value is None:
            ends.append(none)
        elif canonical_unit(band.unit) == canonical_unit(unit):
            ends.append(value)
        else:
            ends.append(convert(value, band.unit, unit))
    if not all(np.isfinite(v) or v in (-np.inf, np.inf) for v in ends):
        raise InputError(f"a bound on {signal} is not a number")
    return ends[0], ends[1]


def _mask(
    site: Site, snapshot: Snapshot, item: Any, steps: int, *, at_ends: bool
) -> NDArray[np.bool_]:
    return constraint_mask(item.window, site, snapshot, at_ends=at_ends)[:steps]


def _limits(
    site: Site, twin: OdeTwin, snapshot: Snapshot, intent: Intent, steps: int,
    options: NmpcOptions,
) -> tuple[tuple[Limit, ...], dict[str, Array]]:  # fmt: skip
    """Bounds on signals, the site's first, and targets: bands without width, or all for comfort."""
    found, targets = _site_limits(site, steps, options), dict[str, Array]()
    known = {*twin.model.output_names, *twin.layout.state_of}
    comfort = any(o.quantity == "comfort" for o in intent.objectives)
    for index, item in enumerate(intent.constraints):
        if not isinstance(item, Band):
            continue
        for signal in item.signals:
            if site.signal(signal).role is Role.SETPOINT:
                continue
            if signal not in known:
                raise InputError(
                    f"the equations say nothing of {signal}", f"they know {_list(sorted(known))}"
                )
            low, high = _ends(site, item, signal)
            mask = _mask(site, snapshot, item, steps, at_ends=signal in twin.layout.state_of)
            if np.isfinite(low) and np.isfinite(high) and (comfort or low == high):
                middle = targets.setdefault(signal, np.full(steps, np.nan))
                middle[mask] = (low + high) / 2.0
            if low != high:
                found.append(_band(site, intent, index, item, signal, (low, high), mask))
    return tuple(_with_margin(limit, twin, options) for limit in found), targets


def _band(
    site: Site, intent: Intent, index: int, item: Band, signal: str, ends: tuple[float, float],
    mask: NDArray[np.bool_],
) -> Limit:  # fmt: skip
    spec = site.signal(signal)
    return Limit(
        f"intent:{index}:{signal}", item.text or spec.label or signal, signal, spec.unit,
        "demand" if item.hard else "wish", np.where(mask, ends[0], -np.inf),
        np.where(mask, ends[1], np.inf), 0.0, rank(intent, index), index,
    )  # fmt: skip


def _site_limits(site: Site, steps: int, options: NmpcOptions) -> list[Limit]:
    found = []
    for limit in (*site.limits, *options.limits):
        spec = site.signal(limit.signal)
        if spec.role is Role.SETPOINT:
            continue
        low = -np.inf if limit.minimum is None else limit.minimum
        high = np.inf if limit.maximum is None else limit.maximum
        found.append(
            Limit(f"site:{limit.signal}", limit.label or spec.label or limit.signal, limit.signal,
                  spec.unit, "site", np.full(steps, low), np.full(steps, high))
        )  # fmt: skip
    return found


def _with_margin(limit: Limit, twin: OdeTwin, options: NmpcOptions) -> Limit:
    """The limit with a margin of so many standard errors, at most a quarter of its width."""
    std = twin.parameters.residual_std.get(limit.signal, 0.0)
    width = limit.high - limit.low
    narrow = float(np.min(width[np.isfinite(width)], initial=np.inf))
    return replace(limit, margin=min(options.margin_std * std, max(narrow, 0.0) / 4.0))


def _incumbent(snapshot: Snapshot, points: tuple[str, ...], applied: Array, steps: int) -> Array:
    """The plan in force, shifted to now and held beyond its end, else what is applied, (U, H)."""
    rows = []
    for point, now in zip(points, applied, strict=True):
        row = np.asarray(snapshot.incumbent.get(point, ()), dtype=float)[:steps]
        row = row[np.isfinite(row)]
        last = row[-1] if len(row) else now
        rows.append(np.concatenate([row, np.full(steps - len(row), last)]))
    return np.array(rows)


def _to_law(
    site: Site, snapshot: Snapshot, model: StageModel, applied: Array, reach: Array, steps: int
) -> Array:
    """From what is applied as fast as may be to the plant's own law, else to nominal, (U, H)."""
    starts = [snapshot.as_of + timedelta(seconds=site.step_s * k) for k in range(steps)]
    rows = []
    for i, point in enumerate(model.points):
        rules = site.baseline.points.get(point)
        nominal = np.full(steps, model.input_scale[i])
        law = scheduled(rules, starts, site.zone_info) if rules else nominal
        far = reach[i] * np.arange(1, steps + 1)
        rows.append(np.clip(law, applied[i] - far, applied[i] + far))
    return np.array(rows)


def _list(names: Any) -> str:
    return ", ".join(names) or "none"
