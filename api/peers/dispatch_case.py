"""One battery behind one grid connection, stated so that every dispatch planner can state it.

Powers are means over a step in kW, energies kWh, prices currency a kWh, charging positive:

    e+ = e + h (eta_c c - d / eta_d),   grid = load - pv + c - d

The load and the PV are what the microgrid pack's plant recorded (its building and its heat pump, by
their own law); tariff, battery and connection are the pack's, without wear.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from api.peers.peer_process import PeerError, PeerProcess, numbers
from graph.assets import Battery, GridConnection
from graph.errors import InputError
from graph.sitepack import load_site
from graph.tariff import prices
from graph.telemetry import read_frame

Array = NDArray[np.float64]
Forecasts = Literal["perfect", "persistence"]
HORIZON = 96
DAY = 96
WEEK = 7 * DAY
# python-microgrid's own benchmark: steps 5854 to 8736, 24 hours ahead.
PUBLISHED_FIRST, PUBLISHED_LAST, PUBLISHED_HORIZON = 5854, 8736, 24
READ_LIMIT_S = 180.0
# Local 21:00, the end of the tariff's peak: there the battery's charge matters least.
FIRST = datetime(2025, 12, 9, 5, 0, tzinfo=UTC)


@dataclass(frozen=True)
class BatteryCase:
    """kWh and kW at the terminals; `low_kwh`, `high_kwh` bound the energy stored."""

    capacity_kwh: float
    charge_kw: float
    discharge_kw: float
    eta_charge: float
    eta_discharge: float
    low_kwh: float
    high_kwh: float
    start_kwh: float


@dataclass(frozen=True)
class DispatchCase:
    """The problem. Series cover `lead` steps before `start`, the steps and a horizon beyond."""

    start: datetime
    step_s: int
    steps: int
    horizon: int
    battery: BatteryCase
    import_limit_kw: float
    export_limit_kw: float
    worth_per_kwh: float  # what a kWh left in the battery at the end is settled at
    wear_per_kwh: float  # what a kWh into or out of the store costs
    lead: int
    import_price: Array
    export_price: Array
    load_kw: Array
    pv_kw: Array

    @property
    def hours(self) -> float:
        """Length of a step."""
        return self.step_s / 3600.0

    def actual(self, series: Array) -> Array:
        """The steps' own part of a series, (steps,)."""
        return series[self.lead : self.lead + self.steps]

    def ahead(self, series: Array, k: int, lag: int = 0) -> Array:
        """The horizon from step k, (horizon,), as it was `lag` steps before."""
        begin = self.lead + k - lag
        return series[begin : begin + self.horizon]

    def question(self, k: int, stored_kwh: float, forecasts: Forecasts) -> dict[str, Any]:
        """What a planner is asked at step k. Prices are known; load and PV are forecast.

        "persistence" gives the load of a week ago and yesterday's PV, for the running step too.
        """
        lags = (0, 0) if forecasts == "perfect" else (WEEK, DAY)
        return {
            "k": k,
            "stored_kwh": stored_kwh,
            "load_kw": self.ahead(self.load_kw, k, lags[0]).tolist(),
            "pv_kw": self.ahead(self.pv_kw, k, lags[1]).tolist(),
            "import_price": self.ahead(self.import_price, k).tolist(),
            "export_price": self.ahead(self.export_price, k).tolist(),
        }

    def statement(self) -> dict[str, Any]:
        """What a planner is told once, as JSON."""
        return {
            "start": self.start.isoformat(),
            "step_s": self.step_s,
            "horizon": self.horizon,
            "battery": self.battery.__dict__,
            "import_limit_kw": self.import_limit_kw,
            "export_limit_kw": self.export_limit_kw,
            "worth_per_kwh": self.worth_per_kwh,
            "wear_per_kwh": self.wear_per_kwh,
        }


def microgrid_case(steps: int) -> DispatchCase:
    """The microgrid pack's battery, load, PV and tariff from `FIRST` on.

    Raises:
        InputError: the pack's telemetry does not reach that far, or has a gap there.
    """
    from api.sites import DEMO_SITE

    site = load_site(DEMO_SITE).site
    frame = read_frame(DEMO_SITE / site.data.telemetry)
    begin = FIRST - timedelta(seconds=site.step_s * WEEK)
    span = timedelta(seconds=site.step_s * (WEEK + steps + HORIZON))
    rows = frame.window(begin, begin + span)
    names = ("building.power_kw", "hp.power_kw", "pv.power_kw")
    building, pump, pv = (np.asarray(rows.column(n), dtype=float) for n in names)
    wanted = WEEK + steps + HORIZON
    if len(pv) != wanted or not np.all(np.isfinite(building + pump + pv)):
        raise InputError(
            f"the pack's telemetry has {len(pv)} whole steps from {begin:%Y-%m-%d}, not {wanted}",
            "ask for fewer days",
        )
    starts = [begin + timedelta(seconds=site.step_s * k) for k in range(wanted)]
    bought = prices(site.tariff.import_periods, starts, site.zone_info)
    sold = prices(site.tariff.export_periods, starts, site.zone_info)
    (grid,) = (a for a in site.assets if isinstance(a, GridConnection))
    (battery,) = (a for a in site.assets if isinstance(a, Battery))
    one_way = battery.round_trip_efficiency**0.5
    low, high = (
        battery.capacity_kwh * p / 100.0 for p in (battery.soc_min_pct, battery.soc_max_pct)
    )
    return DispatchCase(
        FIRST, site.step_s, steps, HORIZON,
        BatteryCase(battery.capacity_kwh, battery.max_charge_kw, battery.max_discharge_kw,
                    one_way, one_way, low, high, 0.5 * battery.capacity_kwh),
        grid.import_limit_kw, grid.export_limit_kw, float(np.min(bought)) / one_way, 0.0, WEEK,
        bought, sold, building + pump, np.maximum(pv, 0.0),
    )  # fmt: skip


def published_case(rows: PeerProcess, steps: int) -> DispatchCase:
    """The steps from `PUBLISHED_FIRST` on of python-microgrid's first published microgrid.

    An hour a step. The battery's ratings are its own, the import price has the priced carbon in
    it, and exports earn nothing, so that curtailing is worth no more than exporting. For perfect
    forecasts only.

    Args:
        rows: its driver `pymgrid_data.py`, not asked yet.

    Raises:
        PeerError: the driver has no such rows.
    """
    about = rows.ask({"scenario": 0}, READ_LIMIT_S)
    names = ("low_kwh", "high_kwh", "start_kwh", "efficiency", "charge_kw", "discharge_kw",
             "wear_per_kwh", "import_limit_kw", "export_limit_kw")  # fmt: skip
    size = {n: numbers({n: [about.get(n)]}, n, 1, 1)[0] for n in names}
    count = steps + PUBLISHED_HORIZON
    span = {"first": PUBLISHED_FIRST, "last": PUBLISHED_FIRST + count}
    found = rows.ask(span, READ_LIMIT_S)
    if found.get("ok") is not True:
        raise PeerError(f"has no rows {span}: {str(found.get('status'))[:100]}")
    bought, sold, load, pv = (
        np.array(numbers(found, n, count, count))
        for n in ("import_price", "export_price", "load_kw", "pv_kw")
    )
    eta = size["efficiency"]
    battery = BatteryCase(
        size["high_kwh"], size["charge_kw"], size["discharge_kw"], eta, eta,
        size["low_kwh"], size["high_kwh"], size["start_kwh"],
    )  # fmt: skip
    worth = float(np.min(bought)) / eta
    return DispatchCase(
        FIRST, 3600, steps, PUBLISHED_HORIZON, battery, size["import_limit_kw"],
        size["export_limit_kw"], worth, size["wear_per_kwh"], 0, bought, sold, load, pv,
    )  # fmt: skip
