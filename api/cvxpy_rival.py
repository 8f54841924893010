"""The dispatch problem once more, written in cvxpy: a second opinion on the optimum, and a rival in
time. The only importer of cvxpy (S. Diamond, S. Boyd, JMLR 17 (2016) 83); nothing else needs it.

Nothing of `planner.milp` or of the planner's rows is used here: the equations are written again
from the twin's numbers, as a textbook has them. Numbers that change from solve to solve are
parameters in the sense of disciplined parametrised programming, so that a re-solve does not
compile again.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.kpis import WATER_KWH_PER_LITRE_K
from planner.dispatch_inputs import DispatchInputs
from planner.dispatch_options import PENALTY_FACTOR, START_TIEBREAK_KWH

Array = NDArray[np.float64]
MOST_DAYS = 3  # local days that a horizon of two days can touch


@dataclass(frozen=True)
class Wish:
    """Rooms softly inside a band, a charge that is kept, starts a local day."""

    low_degc: float = 20.0
    high_degc: float = 24.0
    reserve_pct: float = 20.0
    starts: int = 4


class BatteryOracle:
    """Prices, load and charge in, least cost out: 6 N + 1 variables; see `bench_battery`."""

    def __init__(self, steps: int, hours: float) -> None:
        import cvxpy as cp

        self._buy, self._sell, self._net = (cp.Parameter(steps) for _ in range(3))
        self._first = cp.Parameter()
        c, d, i, x, lost = (cp.Variable(steps, nonneg=True) for _ in range(5))
        e = cp.Variable(steps + 1)
        cost = hours * (self._buy @ i - self._sell @ x + 0.01 * cp.sum(c + d)) - 0.2 * e[-1]
        rules = [
            c <= 30.0, d <= 30.0, i <= 60.0, x <= 40.0, e >= 8.0, e <= 76.0,
            i - x == self._net + c - d + lost, e[0] == self._first,
            e[1:] == e[:-1] + hours * (0.95 * c - d / 0.95),
        ]  # fmt: skip
        self._problem = cp.Problem(cp.Minimize(cost), rules)

    def solve(self, buy: Array, sell: Array, net: Array, first_kwh: float, solver: str) -> float:
        """The least cost."""
        self._buy.value, self._sell.value, self._net.value = buy, sell, net
        self._first.value = first_kwh
        self._problem.solve(solver=solver)
        return float(self._problem.value)


class HubOracle:
    """A site with heat pump, tank, rooms and one battery under one wish."""

    def __init__(self, data: DispatchInputs, wish: Wish, *, whole: bool) -> None:
        """`whole`: the heat pump is on or off; else the linear relaxation of that."""
        import cvxpy as cp

        self._cp, self._wish, n = cp, wish, data.steps
        zones = data.hub.zones
        assert zones is not None
        rooms, states = len(zones.zones), len(zones.states)
        self._buy, self._sell, self._net, self._cop = (cp.Parameter(n) for _ in range(4))
        self._forcing, self._x0 = cp.Parameter((states, n)), cp.Parameter(states)
        self._tank0, self._energy0, self._on0 = (cp.Parameter() for _ in range(3))
        self._stored, self._start, self._miss = (cp.Parameter(nonneg=True), cp.Parameter(),
                                                 cp.Parameter(rooms, nonneg=True))  # fmt: skip
        self._days, self._left = cp.Parameter((MOST_DAYS, n)), cp.Parameter(MOST_DAYS)
        self._rules: list[Any] = []
        self._cost: Any = 0.0
        self._whole = whole
        power = self._pump_and_rooms(data)
        self._electric(data, power)
        self._problem = cp.Problem(cp.Minimize(self._cost), self._rules)

    def solve(self, data: DispatchInputs, gap: float = 1e-6) -> float:
        """The least cost with these numbers, in currency."""
        cp = self._cp
        self._set(data)
        options = {"mip_rel_gap": gap, "mip_abs_gap": 1e-9} if self._whole else {}
        self._problem.solve(solver=cp.HIGHS, highs_options=options)
        return float(self._problem.value)

    def _pump_and_rooms(self, data: DispatchInputs) -> Any:
        cp, n, h = self._cp, data.steps, data.hours
        pump, tank, zones = data.parts.pump, data.hub.tank, data.hub.zones
        assert pump is not None
        assert tank is not None
        assert zones is not None
        assert data.parts.tank is not None
        power, start = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
        on = cp.Variable(n, boolean=True) if self._whole else cp.Variable(n)
        x, heat = cp.Variable((len(zones.states), n + 1)), cp.Variable((len(zones.zones), n))
        water, miss = cp.Variable(n + 1), cp.Variable((len(zones.zones), n), nonneg=True)
        before = cp.hstack([self._on0, on[:-1]])
        air = x[list(zones.air)]
        spread = (water[:-1] + water[1:]) / 2.0
        lost = tank.loss_kw_k * (spread - tank.ambient_degc)
        given = cp.multiply(self._cop, power) - cp.sum(heat, axis=0)
        mean_air = (air[:, :-1] + air[:, 1:]) / 2.0
        reach = cp.vstack([spread] * len(zones.zones)) - mean_air
        self._rules += [
            on >= 0, on <= 1, start <= 1,
            power >= pump.min_power_kw * on, power <= pump.max_power_kw * on,
            start >= on - before, start <= on, start <= 1 - before,
            x[:, 0] == self._x0, water[0] == self._tank0, heat >= 0,
            x[:, 1:] == zones.A @ x[:, :-1] + zones.B @ heat + self._forcing,
            tank.capacity_kwh_k / h * (water[1:] - water[:-1]) == given - lost,
            heat <= cp.multiply(tank.emitter_kw_k[:, None] * np.ones((1, n)), reach),
            water[1:] >= data.parts.tank.min_degc, water[1:] <= data.parts.tank.max_degc,
            air[:, 1:] + miss >= self._wish.low_degc, air[:, 1:] - miss <= self._wish.high_degc,
        ]  # fmt: skip
        self._rules.append(self._days @ start <= self._left)
        for limit in data.site.limits:  # the site's own bounds on rooms
            z = [k for k, room in enumerate(zones.zones) if limit.signal == f"{room}.temp_degc"]
            self._rules += [air[z, 1:] >= limit.minimum, air[z, 1:] <= limit.maximum] if z else []
        litres = data.parts.tank.volume_l * WATER_KWH_PER_LITRE_K / pump.nominal_cop
        self._cost += cp.sum(self._miss @ miss) + self._start * cp.sum(start)
        self._cost += -self._stored * litres * (water[n] - water[0])
        return power

    def _electric(self, data: DispatchInputs, power: Any) -> None:
        cp, n, h = self._cp, data.steps, data.hours
        (battery,) = data.parts.batteries
        numbers, grid = data.hub.batteries[battery.id], data.site.of_kind("grid_connection")[0]
        charge, discharge, imported, exported = (cp.Variable(n, nonneg=True) for _ in range(4))
        energy = cp.Variable(n + 1)
        flow = numbers.eta_charge * charge - discharge / numbers.eta_discharge - numbers.standby_kw
        least = max(battery.soc_min_pct, self._wish.reserve_pct) / 100.0 * numbers.capacity_kwh
        self._rules += [
            imported - exported == self._net + charge - discharge + power,
            imported - exported <= grid.import_limit_kw,  # type: ignore[union-attr]
            exported - imported <= grid.export_limit_kw,  # type: ignore[union-attr]
            charge / battery.max_charge_kw + discharge / battery.max_discharge_kw <= 1,
            energy[0] == self._energy0, energy[1:] == energy[:-1] + h * flow, energy[1:] >= least,
            energy[1:] <= battery.soc_max_pct / 100.0 * numbers.capacity_kwh,
        ]  # fmt: skip
        share = battery.capacity_kwh / numbers.capacity_kwh / battery.round_trip_efficiency**0.5
        self._cost += h * (self._buy @ imported - self._sell @ exported)
        self._cost += h * battery.wear_cost_per_kwh * cp.sum(charge + discharge)
        self._cost += -self._stored * share * (energy[n] - energy[0])

    def _set(self, data: DispatchInputs) -> None:
        """The numbers of one snapshot."""
        zones, tank, n = data.hub.zones, data.parts.tank, data.steps
        assert zones is not None
        law = data.site.baseline.tank_hysteresis
        middle = np.full(n, (law.on_below_degc + law.off_above_degc) / 2.0)
        first, made = data.days[0], sum(data.snapshot.starts_today.values())
        self._days.value = np.array(
            [np.array(data.days) == first + k for k in range(MOST_DAYS)], float
        )
        self._left.value = np.full(MOST_DAYS, float(self._wish.starts))
        self._left.value[0] = max(0, self._wish.starts - made)
        self._buy.value, self._sell.value = data.import_price, data.export_price
        self._net.value = sum(data.load.values()) - sum(data.pv.values(), np.zeros(n))
        self._cop.value = np.asarray(data.hub.cop(data.outdoor, middle), dtype=float)
        self._forcing.value, self._x0.value = data.forcing, data.zone_state
        self._tank0.value, self._on0.value = data.tank0, float(data.on0)
        self._energy0.value = next(iter(data.energy0.values()))
        self._stored.value = float(np.min(data.import_price))
        mean = float(np.mean(data.import_price))
        self._start.value = START_TIEBREAK_KWH * mean
        dearest = max(float(np.max(np.abs(data.import_price))), mean)
        assert tank is not None
        worst = max(1.0, float(np.min(data.hub.cop(data.outdoor, np.full(n, 45.0)))))
        gain = np.array([zones.B[air, z] for z, air in enumerate(zones.air)])
        self._miss.value = PENALTY_FACTOR * data.hours / gain / worst * dearest
