"""Made-up days of an `RcHouse`: weather, snapshots, wishes, plans, and what they cost.

days = Days(summer=True, begin=25.0)
plan = days.plan(margin=Margins(comfort_k=0.2))
trace = days.run(plan)
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from graph.intent import Intent, Objective
from graph.kpis import comfort_edges, comfort_kh, energy_cost
from graph.plan import Plan
from graph.snapshot import Forecast, History, PriceSeries, Snapshot, StateEstimate
from graph.tariff import prices
from planner.dispatch import plan_dispatch
from tests.rc_building import RcHouse, make_building

WINTER = datetime(2026, 1, 20, 8, 0, tzinfo=UTC)  # local midnight of a Tuesday
SUMMER = datetime(2026, 7, 14, 7, 0, tzinfo=UTC)
HEATING, COOLING = "heating_setpoint_degc", "cooling_setpoint_degc"


@cache
def house(zones: int = 2, units: int | None = None, storage: bool = False) -> RcHouse:
    return RcHouse(make_building(zones, units, storage=storage))


@dataclass(frozen=True)
class Days:
    """Made-up weather of one season from a local midnight on, and where the building stands."""

    summer: bool = False
    warmer: float = 0.0
    begin: float = 19.5
    hour: float = 0.0
    steps: int = 96
    house: RcHouse = field(default_factory=house)

    @property
    def start(self) -> datetime:
        return (SUMMER if self.summer else WINTER) + timedelta(hours=self.hour)

    @property
    def x0(self) -> np.ndarray:
        return np.full(len(self.house.zone_states), self.begin)

    def weather(self, more: int = 0) -> dict[str, np.ndarray]:
        zone = self.house.site.zone_info
        times = [self.start + timedelta(seconds=900 * k) for k in range(self.steps + more)]
        local = [t.astimezone(zone) for t in times]
        hours = np.array([t.hour + t.minute / 60 for t in local])
        workday = np.array([t.weekday() < 5 for t in local])
        busy = workday & (hours >= 8) & (hours < 18)
        mean, swing, sun = (28, 8, 850) if self.summer else (2, 5, 300)
        day = np.maximum(np.sin((hours - 6) / 12 * np.pi), 0)
        series = {
            "outdoor.temp_degc": mean + self.warmer + swing * np.sin((hours - 9) / 12 * np.pi),
            "outdoor.ghi_w_m2": sun * day,
            "building.power_kw": 1.0 + 2.0 * busy,
        }
        return series | ({"pv.power_kw": 15 * day} if self.house.site.of_kind("pv") else {})

    def snapshot(self, at: int = 0, x: np.ndarray | None = None, **changes: Any) -> Snapshot:
        """As of step `at`, in state `x`."""
        site, begin = self.house.site, self.start + timedelta(seconds=900 * at)
        starts = [begin + timedelta(seconds=900 * k) for k in range(self.steps)]
        names, mean = self.house.zone_states, list(self.x0 if x is None else x)
        if site.of_kind("battery"):
            names, mean = (*names, "battery.soc_pct"), [*mean, 50.0]
        tables = (site.tariff.import_periods, site.tariff.export_periods)
        bought, sold = (tuple(prices(t, starts, site.zone_info)) for t in tables)
        fields: dict[str, Any] = {
            "site_id": site.id, "site_digest": "sha256:site", "twin_digest": "sha256:twin",
            "as_of": begin, "step_s": 900, "horizon_steps": self.steps, "readings": {},
            "points": {},
            "prices": PriceSeries(import_price=bought, export_price=sold,
                                  carbon_g_per_kwh=tuple(250 + 100 * np.cos(np.arange(self.steps)
                                                                            / 96 * 2 * np.pi))),
            "forecasts": tuple(
                Forecast(signal=n, unit=site.signal(n).unit, method="made up",
                         values=tuple(v[at : at + self.steps]), error_paths=((0.0,),))
                for n, v in self.weather(at).items()
            ),
            "estimate": StateEstimate(names=names, mean=tuple(mean),
                                      covariance=tuple((0.0,) * len(mean) for _ in mean)),
            "history": History(start=begin, step_s=900, signals={}),
        }  # fmt: skip
        return Snapshot(**{**fields, **changes})

    def plan(self, *constraints: Any, **more: Any) -> Plan:
        snapshot = more.pop("snapshot", None) or self.snapshot(**more.pop("changes", {}))
        intent = wish(snapshot, *constraints, weights=more.pop("weights", None))
        return plan_dispatch(self.house.site, self.house, snapshot, intent, **more)

    def run(self, plan: Plan) -> dict[str, np.ndarray]:
        setpoints = plan.setpoints
        return self.house.simulate(self.x0, self.weather(), setpoints, self.start, self.steps)

    def unplanned(self) -> dict[str, np.ndarray]:
        """The plant's own law: fixed setpoints from early morning till evening."""
        return self.house.simulate(self.x0, self.weather(), {}, self.start, self.steps)

    def hours(self, begin: float, end: float) -> slice:
        """Steps between two local hours of the first day."""
        return slice(int((begin - self.hour) * 4), int((end - self.hour) * 4))


def wish(snapshot: Snapshot, *constraints: Any, weights: dict[str, float] | None = None) -> Intent:
    """Cost and nothing else, unless more is said."""
    return Intent(
        text="as wished",
        objectives=tuple(Objective(quantity=q, weight=w)
                         for q, w in (weights or {"cost": 1.0}).items()),
        constraints=constraints,
        start=snapshot.as_of,
        end=snapshot.as_of + timedelta(seconds=900 * snapshot.horizon_steps),
    )  # fmt: skip


def rooms(days: Days, trace: Any, name: str = "temp_degc") -> np.ndarray:
    """(Z, N) of one quantity of every zone, from traces or a plan's setpoints."""
    return np.stack([np.asarray(trace[f"{z}.{name}"]) for z in days.house.zones])


def money_and_comfort(days: Days, trace: Any) -> tuple[float, float]:
    """What the units' electricity costs, and the K.h outside the comfort band in its hours."""
    site, n = days.house.site, len(trace["grid.power_kw"])
    starts = [days.start + timedelta(seconds=900 * k) for k in range(n)]
    bought = prices(site.tariff.import_periods, starts, site.zone_info)
    power = sum(trace[f"{u.id}.power_kw"] for u in site.of_kind("air_unit"))
    low, high = comfort_edges(site, days.start, 900, n)
    cost = energy_cost(power, bought, 0.0, 900)
    return float(cost), float(comfort_kh(rooms(days, trace), low, high, 900))
