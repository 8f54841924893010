"""What a site may declare beyond prices and sizes, each where theory says what the optimum does.

The demonstration site without anything to heat: one battery, PV, a load.
"""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from graph.intent import Intent, Objective
from graph.plan import Plan, SolveStatus
from graph.site import Site
from graph.snapshot import Snapshot
from planner.dispatch import plan_dispatch
from sandbox.checks import site_checks
from tests.test_dispatch import BATTERY, BatteryOnly, Day, site

HEATED = ("heat_pump", "buffer_tank", "zone")
DAY_PRICE = 0.3
WORN = 0.01  # currency a kWh of throughput, as the demonstration's pack says
ONE_WAY = 0.95  # of `BatteryOnly`; its round trip is 0.9025, the pack's rule says 0.9


def electric(tariff: dict[str, Any] | None = None, **sizes: dict[str, Any]) -> Site:
    """The site without heating; `sizes` by asset."""
    document = site().model_dump(mode="json")
    gone = {a["id"] for a in document["assets"] if a["kind"] in HEATED}
    document["assets"] = [
        a | sizes.get(a["id"], {}) for a in document["assets"] if a["id"] not in gone
    ]
    for name, key in (("signals", "id"), ("limits", "signal")):
        document[name] = [s for s in document[name] if s[key].split(".")[0] not in gone]
    document["topology"] = [
        e for e in document["topology"] if not {e["source"], e["target"]} & gone
    ]
    if "grid" in sizes:
        document["limits"] = [x for x in document["limits"] if x["signal"] != "grid.power_kw"]
    document["tariff"] |= tariff or {}
    return Site.model_validate(document)


def flat(snapshot: Snapshot, price: Any = DAY_PRICE, sell: float = 0.0, **changes: Any) -> Snapshot:
    """The snapshot at one price (or a series)."""
    n = snapshot.horizon_steps
    series = tuple(np.broadcast_to(np.asarray(price, dtype=float), (n,)).tolist())
    update = {"import_price": series, "export_price": (sell,) * n, **changes}
    return snapshot.model_copy(update={"prices": snapshot.prices.model_copy(update=update)})


def planned(where: Site, snapshot: Snapshot) -> Plan:
    end = snapshot.as_of + timedelta(seconds=900) * snapshot.horizon_steps
    intent = Intent(
        text="cheap", objectives=(Objective(quantity="cost"),), start=snapshot.as_of, end=end
    )
    return plan_dispatch(where, BatteryOnly(), snapshot, intent)


def grid(plan: Plan) -> np.ndarray:
    return np.array(plan.predicted["grid.power_kw"])


def moved(plan: Plan) -> float:
    return float(np.abs(plan.setpoints[BATTERY]).sum()) / 4


def test_a_demand_charge_counts_in_its_window_and_above_the_peak_that_is_paid_already():
    charge = {"demand_charge_per_kw": 40.0,
              "demand_window": {"name": "peak", "start": "10:00", "end": "14:00",
                                "price": 0}}  # fmt: skip
    snapshot = flat(Day(bright=0.0, soc=60).snapshot())
    inside = slice(40, 56)
    free, charged = planned(electric(), snapshot), planned(electric(charge), snapshot)
    assert grid(charged)[inside].max() < grid(free)[inside].max() - 4
    assert np.ptp(grid(charged)[inside]) < 0.5, "a window's peak is cut flat"
    assert grid(charged).max() > grid(charged)[inside].max() + 1, "outside nothing is cut"
    paid = snapshot.prices.model_copy(update={"peak_so_far_kw": 14.0})
    later = planned(electric(charge), snapshot.model_copy(update={"prices": paid}))
    assert grid(later)[inside].max() == pytest.approx(14.0, abs=1e-6)
    over = snapshot.prices.model_copy(update={"peak_so_far_kw": 25.0})
    unmoved = planned(electric(charge), snapshot.model_copy(update={"prices": over}))
    assert unmoved.objective == pytest.approx(free.objective, abs=1e-6)


def test_an_export_limit_is_kept_by_making_room_in_the_battery_which_costs():
    snapshot = flat(Day(bright=1.4, soc=80).snapshot(), sell=0.28)
    plans = [planned(electric(grid={"export_limit_kw": most}), snapshot) for most in (40.0, 5.0)]
    assert all(p.status.usable for p in plans)
    assert -grid(plans[0]).min() > 6
    assert -grid(plans[1]).min() <= 5 + 1e-6
    assert plans[1].objective > plans[0].objective + 0.01
    never = planned(
        electric(grid={"export_limit_kw": 0.0}), flat(Day(bright=2.0, soc=94).snapshot())
    )
    # No setpoint throws solar power away: the least break of the site's limits is reported.
    assert never.status is SolveStatus.ON_SLACK
    assert any("a limit of the site itself cannot be kept" in n for n in never.notes)


def test_a_carbon_price_moves_load_once_the_difference_pays_for_the_losses():
    """A kWh moved from a clean to a dirty hour saves p dirty - p clean / eta^2, less the wear."""
    clean, dirty = 0.1, 0.5  # kg a kWh
    carbon = tuple(1000 * dirty if 40 <= k < 56 else 1000 * clean for k in range(96))
    snapshot = flat(Day(bright=0.0, soc=10).snapshot(), carbon_g_per_kwh=carbon)
    worn = WORN * (1 + 1 / ONE_WAY**2)
    lost = DAY_PRICE * (1 / ONE_WAY**2 - 1)
    pays = 1000 * (worn + lost) / (dirty - clean / ONE_WAY**2)
    still, shifts = (
        planned(electric({"carbon_price_per_t": pays * f}), snapshot) for f in (0.9, 1.1)
    )
    assert moved(still) < 0.2
    assert moved(shifts) > 20
    assert grid(shifts)[40:56].mean() < grid(still)[40:56].mean() - 3


def test_stored_energy_is_worth_the_cheapest_hour_and_is_sold_only_above_that():
    """Held, a kWh is worth price / sqrt(round trip); used in the last hour, its price x eta."""
    snapshot = Day(bright=0.0, soc=60).snapshot()
    worth = DAY_PRICE / np.sqrt(0.9) + WORN * ONE_WAY
    plans = {}
    for factor in (0.97, 1.03):
        price = np.full(96, DAY_PRICE)
        price[-4:] = worth / ONE_WAY * factor
        plans[factor] = planned(electric(), flat(snapshot, price))
    kept = [p.predicted["battery.soc_pct"][-1] for p in plans.values()]
    assert kept[0] == pytest.approx(60, abs=0.5)
    assert kept[1] < 50


def test_a_reserve_is_kept_in_its_hours_and_its_price_is_what_it_forgoes():
    hours = [{"start": "16:00", "end": "24:00"}]
    reserve = {"reserve": {"energy_kwh": 30.0, "power_kw": 25.0, "hours": hours}}
    snapshot = Day(bright=0.5, soc=60).snapshot()
    free, kept = planned(electric(), snapshot), planned(electric(battery=reserve), snapshot)
    least = 10 + 100 * 30 / 80
    soc, power = (np.array(kept.predicted[f"battery.{s}"]) for s in ("soc_pct", "power_kw"))
    assert soc[63:].min() >= least - 1e-6
    assert power[64:].min() >= -5 - 1e-6
    assert kept.objective > free.objective
    assert np.array(free.predicted["battery.soc_pct"])[63:].min() < least
    labels = {a.label for a in kept.active}
    assert {"Battery: reserve of 30 kWh (47.5 %)", "Battery: reserve of 25 kW"} <= labels


def test_the_sandbox_judges_the_reserve_that_the_planner_keeps():
    reserve = {"reserve": {"energy_kwh": 30.0, "hours": [{"start": "16:00"}]}}
    where, snapshot = electric(battery=reserve), Day().snapshot()
    signals = frozenset(s.id for s in where.signals)
    check = next(
        c for c in site_checks(where, snapshot, signals) if c.id.endswith("soc_pct:reserve")
    )
    assert not check.hard
    soc = np.full((2, 96), 47.5)
    soc[1, 70] = 40.0
    soc[:, 10] = 20.0
    np.testing.assert_allclose(check.excess({"battery.soc_pct": soc}), [0.0, 7.5])


def test_a_reserve_beyond_the_battery_is_refused_by_name():
    with pytest.raises(ValueError, match="cannot keep 90 kWh"):
        electric(battery={"reserve": {"energy_kwh": 90.0}})
