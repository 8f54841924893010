"""Our planner on the stated battery, asked as every peer is.

python own_dispatch.py      # answers lines of JSON: see drivers/line_server.py
"""

import importlib.util
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from graph.intent import Intent, Objective
from graph.signals import Owner, PointState
from graph.site import Site
from graph.snapshot import Forecast, History, PriceSeries, Snapshot, StateEstimate
from planner.dispatch import plan_dispatch
from planner.dispatch_options import SolveOptions

POINT = "battery.power_set_kw"
BIG_KW = 1000.0


@dataclass(frozen=True)
class BatteryTwin:
    """What the dispatch planner reads of a twin with a battery and nothing to heat."""

    battery_capacity_kwh: float
    battery_charge_efficiency: float
    battery_discharge_efficiency: float
    battery_standby_kw: float = 0.0
    thermostat_tau_h: float = 1.0

    def cop(self, outdoor_degc: Any, tank_degc: Any) -> Any:
        """Nothing here has one."""
        return np.ones(np.broadcast(outdoor_degc, tank_degc).shape)


def site_of(problem: dict[str, Any]) -> Site:
    """The stated problem as a site of ours. Its tariff is a placeholder: questions bring prices."""
    b = problem["battery"]
    all_day = [{"name": "all day", "price": 0.0}]
    signals = [
        ("grid.power_kw", "kW", "sensor"), ("building.power_kw", "kW", "sensor"),
        ("pv.power_kw", "kW", "sensor"), ("battery.soc_pct", "%", "sensor"),
        ("battery.power_kw", "kW", "sensor"), (POINT, "kW", "setpoint"),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    for name, unit, role in signals:
        low, high = (0.0, 100.0) if unit == "%" else (-BIG_KW, BIG_KW)
        if role == "setpoint":
            low, high = -b["discharge_kw"], b["charge_kw"]
        rows.append({"id": name, "unit": unit, "minimum": low, "maximum": high})
        if role == "setpoint":
            rows[-1]["role"] = role
    return Site.model_validate({
        "schema_version": "pilothouse/site/v1", "id": "stated", "name": "Stated battery",
        "time_zone": "UTC", "currency": "USD", "step_s": problem["step_s"],
        "assets": [
            {"id": "grid", "kind": "grid_connection",
             "import_limit_kw": problem["import_limit_kw"],
             "export_limit_kw": problem["export_limit_kw"]},
            {"id": "pv", "kind": "pv", "rated_kw": BIG_KW},
            {"id": "building", "kind": "load", "rated_kw": BIG_KW},
            {"id": "battery", "kind": "battery", "capacity_kwh": b["capacity_kwh"],
             "max_charge_kw": b["charge_kw"], "max_discharge_kw": b["discharge_kw"],
             "round_trip_efficiency": b["eta_charge"] * b["eta_discharge"],
             "wear_cost_per_kwh": _wear(problem),
             "soc_min_pct": 100.0 * b["low_kwh"] / b["capacity_kwh"],
             "soc_max_pct": 100.0 * b["high_kwh"] / b["capacity_kwh"]},
        ],
        "signals": rows,
        "tariff": {"source": "stated", "import_periods": all_day, "export_periods": all_day},
        "baseline": {},
        "autonomy": {"risk_rules": [
            {"level": "low", "max_probability": 1, "roles": ["approver"], "min_persons": 1}]},
    })  # fmt: skip


def _wear(problem: dict[str, Any]) -> float:
    """Wear of the store's throughput as wear at the terminals: the same for a round trip."""
    b, stored = problem["battery"], problem["wear_per_kwh"]
    return float(2.0 * b["eta_charge"] * stored / (1.0 + b["eta_charge"] * b["eta_discharge"]))


def make(problem: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The planner, asked for the least cost; `PILOTHOUSE_LEVEL=yes` sets its option `level`."""
    site, b = site_of(problem), problem["battery"]
    twin = BatteryTwin(b["capacity_kwh"], b["eta_charge"], b["eta_discharge"])
    begin = datetime.fromisoformat(problem["start"])
    steps = problem["horizon"]
    level = os.environ.get("PILOTHOUSE_LEVEL") == "yes"
    options = SolveOptions(level=level)

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        at = begin + timedelta(seconds=problem["step_s"] * question["k"])
        snapshot = _snapshot(site, at, steps, question, b["capacity_kwh"])
        end = at + timedelta(seconds=problem["step_s"] * steps)
        intent = Intent(
            text="least cost", objectives=(Objective(quantity="cost", weight=1.0),),
            constraints=(), start=at, end=end,
        )  # fmt: skip
        plan = plan_dispatch(site, twin, snapshot, intent, options=options)
        status = plan.status.value
        if not plan.status.usable:
            return {"ok": False, "status": f"{status}: {'; '.join(plan.notes)}"[:200]}
        return {"ok": True, "status": status, "power_kw": list(plan.setpoints[POINT])}

    return ask, {"version": "even" if level else ""}


def _snapshot(
    site: Site, at: datetime, steps: int, question: dict[str, Any], capacity_kwh: float
) -> Snapshot:
    def forecast(name: str, values: list[float]) -> Forecast:
        return Forecast(
            signal=name, unit="kW", method="given", values=tuple(values),
            error_paths=((0.0,) * -(-steps // 4),),
        )  # fmt: skip

    stored = min(max(100.0 * question["stored_kwh"] / capacity_kwh, 0.0), 100.0)
    return Snapshot(
        site_id=site.id, site_digest="sha256:stated", twin_digest="sha256:stated", as_of=at,
        step_s=site.step_s, horizon_steps=steps, readings={},
        points={POINT: PointState(applied=0.0, owner=Owner.LOCAL)},
        prices=PriceSeries(
            import_price=tuple(question["import_price"]),
            export_price=tuple(question["export_price"]), carbon_g_per_kwh=(0.0,) * steps,
        ),
        forecasts=(forecast("building.power_kw", question["load_kw"]),
                   forecast("pv.power_kw", question["pv_kw"])),
        estimate=StateEstimate(
            names=("battery.soc_pct",), mean=(stored,), covariance=((0.0,),)
        ),
        history=History(start=at, step_s=site.step_s, signals={}),
    )  # fmt: skip


def serve_lines(make: Any) -> None:
    """Answer on standard input and output with the peers' own `line_server`."""
    path = Path(__file__).parent / "drivers" / "line_server.py"
    spec = importlib.util.spec_from_file_location("line_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.serve(make)


if __name__ == "__main__":
    serve_lines(make)
