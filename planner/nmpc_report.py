"""What a solved programme says, in the operator's words: setpoints, traces, breaks, prices.

Setpoints are rounded to what the plant takes, and the twin's own simulator plays them: whatever is
reported comes from that, not from the solver's own trajectory, so a plan reads the same whichever
route found it. Multipliers are given to three figures.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from graph.plan import ActiveConstraint, Conflict
from planner.nmpc_data import Limit, NmpcData
from planner.nmpc_problem import Places
from planner.nmpc_routes import Point
from planner.nmpc_solve import Problem
from planner.nmpc_tree import input_table

Array = NDArray[np.float64]
# Less than this nobody could see: the tolerances of the shadow run, and a share of what one of the
# twin's one-step errors is where there is none for the unit.
TOLERANCE = {"degC": 0.1, "percent": 0.5, "kW": 0.1}
LEAST_TOLERANCE = 1e-3  # of a signal's declared range
AT_BOUND = 1e-5  # of nominal: the solver's own tolerance
LEAST_MULTIPLIER = 1e-6  # of the plan's running cost, per nominal
SPOKEN_UNITS = {"degC": "K", "percent": "%"}


@dataclass(frozen=True)
class Break:
    """A limit that the plan does not keep: by how much (in its unit), where worst, since when.

    `total`: unit hours. `outside`: the plant is outside already, `lasting`: the plan's end is too.
    """

    limit: Limit
    worst: float
    step: int
    total: float
    outside: bool
    lasting: bool


def setpoints(problem: Problem, point: Point) -> dict[str, Array]:
    """Nominal branch's inputs on the site's steps, (H,), rounded, within ranges and moves.

    The last inputs are held to the horizon's end.
    """
    data, at, first = problem.data, problem.programme.at, problem.first
    scaled = point.z[at.u[:, 0]] * data.model.input_scale
    horizon = data.snapshot.horizon_steps
    found = {}
    for row, name in enumerate(data.model.points):
        stages = np.clip(scaled[:, row], _edge(data.least, row, first, "max"),
                         _edge(data.greatest, row, first, "min"))  # fmt: skip
        stages = _rounded(stages, float(data.applied[row]), data, row)
        steps = np.repeat(stages, np.diff(first))
        found[name] = np.concatenate([steps, np.full(horizon - len(steps), steps[-1])])
    return found


def _edge(values: Array, row: int, first: NDArray[np.int64], reduce: str) -> Array:
    parts = np.split(values[row, : first[-1]], first[1:-1])
    return np.array([getattr(np, reduce)(p) for p in parts])


def _rounded(stages: Array, before: float, data: NmpcData, row: int) -> Array:
    """Rounded to the resolution, never so that a move gets greater than it may be."""
    spec = data.site.signal(data.model.points[row])
    held = any(h.point == spec.id for h in data.snapshot.holds)
    grid, reach = spec.resolution, np.inf if held else float(data.move[row])
    rounded = []
    for value in stages:
        near = round(value / grid) * grid
        if abs(near - before) > reach:
            far = before + np.sign(near - before) * reach
            near = (np.floor if near > before else np.ceil)(round(far / grid, 6)) * grid
        near = round(min(max(near, spec.minimum), spec.maximum), 9)
        rounded.append(near)
        before = near
    return np.array(rounded)


def played(problem: Problem, points: dict[str, Array]) -> dict[str, Array]:
    """Signals of the twin under the setpoints over the planned steps, (H,) each."""
    data = problem.data
    end = int(problem.first[-1])
    table = input_table(data, np.array([points[p][: data.steps] for p in data.model.points]))
    values = np.array(data.twin.parameters.values)
    shown = data.twin.run_table(data.x0[None], table[None, :end], values, float(data.site.step_s))
    return {name: row[0] for name, row in shown.items()}


def breaks(problem: Problem, traces: dict[str, Array]) -> tuple[Break, ...]:
    """Limits that the played plan does not keep, without their margins."""
    data, found = problem.data, []
    start = dict(zip(data.model.states, data.x0, strict=True))
    for limit in data.limits:
        trace = traces[limit.signal]
        over = np.maximum(trace - limit.high[: len(trace)], limit.low[: len(trace)] - trace)
        worst, tolerance = float(np.max(over)), tolerance_of(data, limit)
        if worst <= tolerance:
            continue
        now = start.get(limit.signal)
        outside = now is not None and (now < limit.low[0] or now > limit.high[0])
        total = float(np.sum(np.maximum(over, 0.0))) * data.hours
        found.append(
            Break(limit, worst, int(np.argmax(over)), total, outside, bool(over[-1] > tolerance))
        )
    return tuple(found)


def tolerance_of(data: NmpcData, limit: Limit) -> float:
    """What of a limit's signal nobody could see."""
    spec = data.site.signal(limit.signal)
    return TOLERANCE.get(limit.unit, LEAST_TOLERANCE * (spec.maximum - spec.minimum))


def note_of(broken: Break) -> str:
    """One sentence: which limit, by how much."""
    unit = SPOKEN_UNITS.get(broken.limit.unit, broken.limit.unit)
    return f"{broken.limit.label}: missed by up to {broken.worst:.2g} {unit}"


def conflict_of(problem: Problem, broken: Break) -> Conflict:
    """A demand that cannot be kept, and the bound with which there would be a plan."""
    data, limit = problem.data, broken.limit
    unit = SPOKEN_UNITS.get(limit.unit, limit.unit)
    low, high = limit.low[broken.step], limit.high[broken.step]
    below = np.isfinite(low) and not np.isfinite(high)
    amount = float(np.ceil(broken.worst * 1e3) / 1e3)
    relaxed = float(low - amount if below else high + amount)
    at = data.snapshot.as_of + timedelta(seconds=data.site.step_s * (broken.step + 1))
    when = f"{at.astimezone(data.site.zone_info):%a %H:%M}"
    cure = f"; with {relaxed:.4g} {limit.unit} there is a plan" if np.isfinite(relaxed) else ""
    return Conflict(
        id=limit.id, label=limit.label, amount=amount, unit=unit,
        relaxed_to=relaxed if np.isfinite(relaxed) else None, at=at,
        text=f"{limit.label} cannot be kept: {amount:.3g} {unit} beyond reach "
        f"(worst at {when}){cure}.",
    )  # fmt: skip


def terms(problem: Problem, traces: dict[str, Array], points: dict[str, Array]) -> dict[str, float]:
    """Parts of the objective over the planned steps, in currency, kWh and squared deviations."""
    data = problem.data
    end = len(traces[data.grid])
    power, prices = traces[data.grid], data.snapshot.prices
    found = {
        "priced_power": float(power @ data.price[:end]),
        "energy_cost": float(power @ np.asarray(prices.import_price[:end])) * data.hours,
        "import_kwh": float(np.sum(power)) * data.hours,
    }
    for signal, target in data.targets.items():
        off = traces[signal] - target[:end]
        if np.isfinite(off).any():
            found[f"off_target:{signal}"] = float(np.sqrt(np.nanmean(off**2)))
    moved = sum(float(np.sum(np.abs(np.diff(v[:end])))) for v in points.values())
    found["moves"] = moved
    return {name: _figures(value, 9) for name, value in found.items()}


def active(problem: Problem, point: Point) -> tuple[ActiveConstraint, ...]:
    """Bounds, moves and ranges that hold the plan where it is, the dearest first."""
    data, at = problem.data, problem.programme.at
    found = [_limit_active(problem, point, r) for r in range(len(data.limits))]
    for row, name in enumerate(data.model.points):
        unit_size = float(data.model.input_scale[row])
        label = data.site.signal(name).label or name
        ranges = np.abs(point.lam_z[at.u[:, :, row]]).sum(axis=1)
        moves = np.abs(point.lam_g[at.g_move[:, :, row]]).sum(axis=1)
        found.append(_one(problem, f"range:{name}", f"{label}, its range", name, ranges, unit_size))
        found.append(_one(problem, f"move:{name}", f"{label}, its rate", name, moves, unit_size))
    kept = [a for a in found if a is not None]
    return tuple(sorted(kept, key=lambda a: (-a.multiplier, a.id)))


def _limit_active(problem: Problem, point: Point, r: int) -> ActiveConstraint | None:
    at: Places = problem.programme.at
    limit, size = problem.data.limits[r], problem.programme.shape.rows[r].unit_size
    total = np.zeros(problem.programme.shape.stages)
    for places in (at.g_low[:, :, r], at.g_high[:, :, r]):
        if places.min() >= 0:
            total += np.abs(point.lam_g[places]).sum(axis=1)
    return _one(problem, limit.id, limit.label, limit.signal, total, size)


def _one(
    problem: Problem, id: str, label: str, signal: str, worth: Array, size: float
) -> ActiveConstraint | None:
    """From multipliers by stage (N,) of the scaled programme to currency a unit."""
    if worth.sum() < LEAST_MULTIPLIER or not np.all(np.isfinite(worth)):
        return None
    data, first = problem.data, problem.first
    where = np.flatnonzero(worth > LEAST_MULTIPLIER / len(worth))
    steps = tuple(int(k) for w in where for k in range(first[w], first[w + 1]))
    unit = data.site.signal(signal).unit
    return ActiveConstraint(
        id=id, label=label, signal=signal, steps=steps,
        multiplier=_figures(float(worth.sum()) * problem.money / size, 3),
        unit=f"{data.site.currency}/{SPOKEN_UNITS.get(unit, unit)}",
    )  # fmt: skip


def _figures(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}") + 0.0
