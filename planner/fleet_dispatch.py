"""Plans several batteries at once: each behind its own meter, with a say in what they add up to.

A linear programme with uncertain net loads. A battery's course is the same in every future, because
its charge does not depend on the loads; what is bought does:

    minimise  sum over houses, hours  worth[b,t] * mean over levels of max(0, level[b,t,j] + p[b,t])
            + ramp      * mean over rises of the upward steps of the total
            + day_peak  * mean over paths of each day's highest total
            + highest   * mean over paths of what the total rises above the highest so far
            - end[b]    * energy left

`level[b,t,j]` are quantiles of the house's net load (load less PV), all equally likely: the mean is
the expected import, piecewise linear in the battery's power p. `rises` are quantiles of the change
of the summed net load from hour to hour, `paths` whole days of it, of which the peaks are counted.
Loads that nobody can tell more than an hour ahead make later corrections worth little, so one
course for all futures loses little against a tree of them. Flows in kW, one step is one hour; B
batteries, T steps.

The matrix depends on the number of steps left today only: `FleetPlanner` keeps one programme for
each, with the basis it ended in the day before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError, UnavailableError
from planner.fleet_futures import FleetFutures
from planner.hub_model import StorageNumbers
from planner.milp import INF, Index, MilpBuilder
from planner.milp_highs import LinearSession, SolverLimits

Array = NDArray[np.float64]
IDLE_WORTH = 1e-6  # a kWh moved for nothing costs this much, so that idle batteries stay idle


@dataclass(frozen=True)
class FleetBattery:
    """What a battery can do: its numbers and the greatest power either way."""

    numbers: StorageNumbers
    max_charge_kw: float
    max_discharge_kw: float


@dataclass(frozen=True)
class FleetCase:
    """What is known at a step.

    energy_kwh: (B,). last_kw: the total in the hour before, batteries included. day_peak_kw and
    highest_kw: highest totals of this day and of all days so far. today: how many of the T steps
    belong to this day.
    """

    energy_kwh: Array
    futures: FleetFutures
    last_kw: float
    day_peak_kw: float
    highest_kw: float
    today: int


@dataclass(frozen=True)
class FleetWorth:
    """What the objective's terms are worth, in one currency of the caller's choice.

    energy: (B, T) a kWh imported. ramp: a kW of an upward step. day_peak: a kW of this day's and of
    the next day's peak. highest: a kW above the highest so far. end: (B,) a kWh left.
    """

    energy: Array
    ramp: float
    day_peak: tuple[float, float]
    highest: float
    end: Array


@dataclass
class _Places:
    charge: list[Index] = field(default_factory=list)
    discharge: list[Index] = field(default_factory=list)
    energy: list[Index] = field(default_factory=list)
    first: list[Index] = field(default_factory=list)
    bought: list[list[Index]] = field(default_factory=list)
    bought_rows: list[list[Index]] = field(default_factory=list)
    steps: list[Index] = field(default_factory=list)
    step_rows: list[Index] = field(default_factory=list)
    peak_rows: list[Index] = field(default_factory=list)
    peaks: tuple[Index, Index] = field(default_factory=lambda: (np.zeros(0, int), np.zeros(0, int)))
    highest: Index = field(default_factory=lambda: np.zeros(0, int))


class FleetPlanner:
    """Plans hour after hour; each plan starts from the basis of the same hour of the day before."""

    def __init__(self, batteries: Sequence[FleetBattery], limits: SolverLimits | None = None):
        self._batteries, self._limits = tuple(batteries), limits or SolverLimits()
        self._programmes: dict[tuple[int, ...], _Programme] = {}

    def plan(self, case: FleetCase, worth: FleetWorth) -> Array:
        """Power of each battery over the horizon, (B, T) kW, charging positive.

        Raises:
            InputError: shapes that don't fit each other.
            UnavailableError: the solver is not installed, or found no plan.
        """
        houses, steps, levels = case.futures.levels.shape
        rises, paths = case.futures.rises, case.futures.paths
        fits = (
            houses == len(self._batteries) == len(case.energy_kwh) == len(worth.end)
            and rises.shape[1] == paths.shape[1] == steps == worth.energy.shape[1]
            and worth.energy.shape[0] == houses
            and case.today >= 1
        )
        if not fits:
            raise InputError("the case's arrays don't fit each other or the batteries")
        shape = (steps, levels, len(rises), len(paths), min(case.today, steps))
        if shape not in self._programmes:
            self._programmes[shape] = _Programme(self._batteries, shape, self._limits)
        return self._programmes[shape].solve(case, worth)


class _Programme:
    """One matrix; what changes from day to day are bounds and costs."""

    def __init__(
        self, batteries: tuple[FleetBattery, ...], shape: tuple[int, ...], limits: SolverLimits
    ) -> None:
        self._batteries, self._shape, self._at = batteries, shape, _Places()
        builder = MilpBuilder()
        for battery in batteries:
            self._storage(builder, battery)
        self._total(builder)
        self._milp = builder.freeze()
        zero = np.zeros(self._milp.columns)
        self._session = LinearSession(self._milp, zero, 0.0, limits)

    def _storage(self, build: MilpBuilder, battery: FleetBattery) -> None:
        steps, levels, at, b = self._shape[0], self._shape[1], self._at, battery.numbers
        charge = build.columns(steps, 0.0, battery.max_charge_kw)
        discharge = build.columns(steps, 0.0, battery.max_discharge_kw)
        energy = build.columns(steps, 0.0, b.capacity_kwh)
        flows = ((charge, -b.eta_charge), (discharge, 1.0 / b.eta_discharge))
        first = [(energy[:1], 1.0), *((c[:1], v) for c, v in flows)]
        at.first.append(build.rows(first, 0.0, 0.0))
        later = [(energy[1:], 1.0), (energy[:-1], -1.0), *((c[1:], v) for c, v in flows)]
        build.rows(later, -b.standby_kw, -b.standby_kw)
        bought, rows = [], []
        for _ in range(levels):
            bought.append(build.columns(steps, 0.0, INF))
            rows.append(build.rows([(bought[-1], 1.0), (charge, -1.0), (discharge, 1.0)], 0.0, INF))
        at.charge.append(charge)
        at.discharge.append(discharge)
        at.energy.append(energy)
        at.bought.append(bought)
        at.bought_rows.append(rows)

    def _total(self, build: MilpBuilder) -> None:
        steps, _, rises, paths, today = self._shape
        at = self._at
        total = build.columns(steps, -INF, INF)
        flows = [(c, -1.0) for c in at.charge] + [(c, 1.0) for c in at.discharge]
        build.rows([(total, 1.0), *flows], 0.0, 0.0)
        at.peaks = (build.columns(paths, 0.0, INF), build.columns(paths, 0.0, INF))
        at.highest = build.columns(paths, 0.0, INF)
        for _ in range(rises):
            rise = build.columns(steps, 0.0, INF)
            begin = build.rows([(rise[:1], 1.0), (total[:1], -1.0)], 0.0, INF)
            rest = build.rows([(rise[1:], 1.0), (total[1:], -1.0), (total[:-1], 1.0)], 0.0, INF)
            at.steps.append(rise)
            at.step_rows.append(np.concatenate([begin, rest]))
        for s in range(paths):
            day = np.where(np.arange(steps) < today, at.peaks[0][s], at.peaks[1][s])
            at.peak_rows.append(build.rows([(day, 1.0), (total, -1.0)], 0.0, INF))
        for peak in at.peaks:
            build.rows([(at.highest, 1.0), (peak, -1.0)], 0.0, INF)

    def solve(self, case: FleetCase, worth: FleetWorth) -> Array:
        """The best course, (B, T)."""
        at, milp = self._at, self._milp
        self._session.reprice(self._cost(worth))
        low, high = milp.row_lower.copy(), milp.row_upper.copy()
        for b, battery in enumerate(self._batteries):
            held = min(max(case.energy_kwh[b], 0.0), battery.numbers.capacity_kwh)
            low[at.first[b]] = high[at.first[b]] = held - battery.numbers.standby_kw
            for j, rows in enumerate(at.bought_rows[b]):
                low[rows] = case.futures.levels[b, :, j]
        for step_rows, rises in zip(at.step_rows, case.futures.rises, strict=True):
            low[step_rows] = rises
            low[step_rows[0]] -= case.last_kw
        for peak_rows, path in zip(at.peak_rows, case.futures.paths, strict=True):
            low[peak_rows] = path
        self._session.move_rows(low, high)
        lower = milp.lower.copy()
        lower[at.peaks[0]] = max(case.day_peak_kw, 0.0)
        lower[at.highest] = max(case.highest_kw, 0.0)
        found = self._session.solve(lower, None)
        if found.x is None or not found.status.usable:
            raise UnavailableError(f"no plan for the fleet: {found.message}")
        x = found.x
        return np.array([x[c] - x[d] for c, d in zip(at.charge, at.discharge, strict=True)])

    def _cost(self, worth: FleetWorth) -> Array:
        at, (_, levels, rises, paths, _) = self._at, self._shape
        cost = np.zeros(self._milp.columns)
        for b in range(len(self._batteries)):
            cost[at.charge[b]] = cost[at.discharge[b]] = IDLE_WORTH
            for bought in at.bought[b]:
                cost[bought] = worth.energy[b] / levels
            cost[at.energy[b][-1]] = -worth.end[b]
        for rise in at.steps:
            cost[rise] = worth.ramp / rises
        for peak, value in zip(at.peaks, worth.day_peak, strict=True):
            cost[peak] = value / paths
        cost[at.highest] = worth.highest / paths
        return cost
