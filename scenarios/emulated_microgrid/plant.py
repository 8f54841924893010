"""The emulated microgrid: the plant of the demonstration, built unlike the twin that predicts it.

Plant time moves by `advance`. Inside, the plant is stepped every 10 s; each whole minute the
instruments are read and a row is logged. Nothing here knows the twin.
"""

import copy
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.assets import Battery, BufferTank, HeatPump
from graph.clock import Clock
from graph.errors import InputError
from graph.record import as_utc
from graph.signals import Owner, Role
from graph.site import Site
from scenarios.emulated_microgrid import design, faults
from scenarios.emulated_microgrid.battery import BatteryState, step_battery
from scenarios.emulated_microgrid.envelope import ZoneState, steady, step_zone, thermostat
from scenarios.emulated_microgrid.exogenous import DAY_S, Exogenous, Minute
from scenarios.emulated_microgrid.heat_pump import FLOW_KG_S, HeatPumpState, step_heat_pump
from scenarios.emulated_microgrid.local_law import LocalLaw
from scenarios.emulated_microgrid.sensors import instrument
from scenarios.emulated_microgrid.tank import INTAKE_LAYER, SENSOR_LAYER, TankState, step_tank
from scenarios.leased_plant import LeasedPlant
from scenarios.plant_log import LogRow, PlantLog
from scenarios.points import PointTable
from scenarios.sensors import Sensors

STEP_S = 10
WARM_UP_S = 2 * DAY_S
ZONE_IDS = ("zone_north", "zone_south")
HP_SET, BATTERY_SET = "hp.power_set_kw", "battery.power_set_kw"
MEANS = ("grid.power_kw", "building.power_kw", "pv.power_kw", "battery.power_kw", "hp.power_kw",
         "hp.heat_kw", "outdoor.temp_degc", "outdoor.ghi_w_m2")  # fmt: skip


class EmulatedPlant(LeasedPlant):
    """A steppable plant with owners, leases, fencing and a watchdog of its own.

    Args:
        site: the microgrid's declaration; its baseline law drives the local controllers.
        data_dir: the pack's `data` folder (weather.parquet, load.parquet).
        start: plant time at which the run begins, on a whole minute.
        seed: of all disturbances and of the sensors' noise.
        clock: wall time for the watchdog.
        watchdog_s: wall seconds without a heartbeat after which all points turn local; infinite
            for stepped runs that must not depend on wall time.
        warm_up_s: how long the plant runs by itself before `start`; the log keeps these rows.

    Raises:
        InputError: a start off the minute or outside the data, another site than the microgrid.
        SitePackError: a data file is missing or wrong.
    """

    _now: int
    _sampled: int

    def __init__(
        self, site: Site, data_dir: Path, start: datetime, seed: int, *,
        clock: Clock | None = None, watchdog_s: float = 10.0, warm_up_s: int = WARM_UP_S,
    ) -> None:  # fmt: skip
        begin = as_utc(start).timestamp()
        if begin % 60 or warm_up_s % 60:
            raise InputError(f"the plant cannot start at {start}", "start on a whole minute")
        super().__init__(clock, watchdog_s)
        self.site = site
        self._exogenous = Exogenous(data_dir, site.zone_info, seed)
        self._build(int(begin), warm_up_s)
        self._run(warm_up_s // STEP_S)

    def _build(self, begin: int, warm_up_s: int) -> None:
        self._battery, self._tank, self._pump = _machines(self.site)
        self._now = begin - warm_up_s
        world = self._exogenous.minute(self._now + STEP_S)
        inside = self.site.baseline.zone_setpoint_degc[-1].value
        self._zones = [steady(inside, world.temp) for _ in ZONE_IDS]
        self._layers = TankState([47.0, 46.0, 45.0, 43.0, 41.0, 39.0], self._tank.volume_l)
        self._heat_pump = HeatPumpState()
        self._cells = BatteryState(40.0, self._battery.capacity_kwh)
        self._faults = faults.Faults()
        self._law = LocalLaw(self.site.baseline, self.site.zone_info)
        initial = {p.id: inside if p.unit == "degC" else 0.0 for p in self.site.setpoints}
        self._table = PointTable(self.site.setpoints, initial)
        measured = tuple(s.id for s in self.site.signals if s.role is not Role.SETPOINT)
        self._sensors = Sensors(measured, instrument)
        self.log = PlantLog(self.site.signals, tuple(self._table.points), begin)
        self._noise_day, self._noise = -1, [[0.0]]
        self._sums = dict.fromkeys(MEANS, 0.0)
        self._aux_kw = design.CONTROLS_KW
        self._sampled = self._now
        self._instant(world)
        self._measure(1)

    # --- time ---------------------------------------------------------------------------------

    def advance(self, dt_s: float) -> None:
        """Move plant time forward by a multiple of 10 s. Raises InputError for other spans."""
        steps = dt_s / STEP_S
        if not (math.isfinite(steps) and steps > 0 and steps == int(steps)):
            raise InputError(
                f"the plant cannot advance by {dt_s} s", f"expected a multiple of {STEP_S} s"
            )
        self.check_watchdog()
        self._run(int(steps))

    def _run(self, steps: int) -> None:
        for _ in range(steps):
            self._step()

    def _step(self) -> None:
        self._now += STEP_S
        world = self._exogenous.minute(self._now)
        self._table.expire(self._now)
        self._local(world)
        self._heat(world)
        self._electric(world)
        if self._now % 60 == 0:
            self._measure(60 // STEP_S)
            self._record()

    def _local(self, world: Minute) -> None:
        """The local controllers move the points that are theirs."""
        table, seen = self._table, self._sensors.values
        wanted = self._law.zone_setpoint(self._now)
        for zone in ZONE_IDS:
            table.follow(f"{zone}.setpoint_degc", wanted, STEP_S)
        is_local = table.points[HP_SET].owner is Owner.LOCAL
        heat = self._law.heat_pump_kw(seen["tank.temp_degc"], self._heat_pump.on, is_local)
        table.follow(HP_SET, heat, STEP_S)
        residual = world.load_kw + self._heat_pump.power_kw + self._aux_kw - world.pv_kw
        window = (self._battery.soc_min_pct, self._battery.soc_max_pct)
        rated = min(self._battery.max_charge_kw, self._battery.max_discharge_kw)
        power = self._law.battery_kw(residual, seen["battery.soc_pct"], window, rated)
        table.follow(BATTERY_SET, power, STEP_S)

    def _heat(self, world: Minute) -> None:
        """Heat pump, tank and zones, in the direction of the heat."""
        pump, layers, broken = self._heat_pump, self._layers, self._faults
        step_heat_pump(
            pump, STEP_S, self._table.points[HP_SET].applied, world.temp,
            layers.layers[INTAKE_LAYER],
            broken.heat_pump_stuck_off,
            (self._pump.min_power_kw, self._pump.max_power_kw,
             self._pump.min_on_s, self._pump.min_off_s),
        )  # fmt: skip
        north, south = self._zones
        between = design.COUPLING_KW_K + design.PARTITION_DOOR_KW_K * min(world.gains_kw[0], 1.0)
        exchange = between * (north.air - south.air)
        drawn_kg_s = drawn_kw = 0.0
        for i, (name, zone) in enumerate(zip(ZONE_IDS, self._zones, strict=True)):
            self._move_valve(name, zone)
            flow, heat = step_zone(
                design.ZONES[name], zone, STEP_S, layers.layers[0], world.temp, world.wind,
                world.facade[i], world.gains_kw[i], max(world.door[i], broken.door.get(name, 0.0)),
                -exchange if i == 0 else exchange,
            )  # fmt: skip
            drawn_kg_s, drawn_kw = drawn_kg_s + flow, drawn_kw + heat
        charging = pump.on or abs(pump.heat_kw) > 0.5
        charge_kw = pump.heat_kw if charging else 0.0
        step_tank(layers, STEP_S, charge_kw, FLOW_KG_S if charging else 0.0, drawn_kw, drawn_kg_s)
        self._aux_kw = design.CONTROLS_KW + (design.PUMP_KW if drawn_kg_s > 0 else 0.0)

    def _move_valve(self, name: str, zone: ZoneState) -> None:
        stuck = self._faults.valve.get(name)
        measured = self._sensors.values[f"{name}.temp_degc"]
        if stuck is not None:
            zone.valve = stuck
        elif measured is not None:  # a thermostat without a reading leaves its valve where it is
            setpoint = self._table.points[f"{name}.setpoint_degc"].applied
            zone.valve = thermostat(zone, setpoint, measured, STEP_S)

    def _electric(self, world: Minute) -> None:
        rated = self._battery.max_charge_kw * self._faults.battery_fraction
        step_battery(self._cells, STEP_S, self._table.points[BATTERY_SET].applied, rated)
        self._instant(world)

    def _instant(self, world: Minute) -> None:
        """Add this step's powers to the minute's sums."""
        sums, hp, battery = self._sums, self._heat_pump, self._cells.power_kw
        grid = world.load_kw + hp.power_kw + battery + self._aux_kw - world.pv_kw
        for name, value in zip(
            MEANS,
            (grid, world.load_kw, world.pv_kw, battery, hp.power_kw, hp.heat_kw,
             world.temp, world.ghi),
            strict=True,
        ):  # fmt: skip
            sums[name] += value

    # --- instruments --------------------------------------------------------------------------

    def _measure(self, count: int) -> None:
        """Read all instruments: means of the minute, states of this moment."""
        day, second = divmod(self._now - 1, DAY_S)
        if day != self._noise_day:
            self._noise = self._exogenous.noise(self._now, len(self._sensors.signals))
            self._noise_day = day
        truth = {name: total / count for name, total in self._sums.items()}
        self._sums = dict.fromkeys(MEANS, 0.0)
        truth["battery.soc_pct"] = self._cells.soc_pct
        truth["tank.temp_degc"] = self._layers.layers[SENSOR_LAYER]
        for name, zone in zip(ZONE_IDS, self._zones, strict=True):
            truth[f"{name}.temp_degc"] = zone.air
        self._sensors.measure(truth, self._noise[second // 60], self._faults, self._now)
        self._sampled = self._now

    def _record(self) -> None:
        seen, points = self._sensors.values, self._table.points
        values = tuple(
            points[name].applied if name in points else seen[name] for name in self.log.signals
        )
        owners = tuple(p.owner.value for p in points.values())
        self.log.rows.append(LogRow(self._now, values, owners))

    def truth(self, signal: str, start: datetime, steps: int, step_s: int) -> NDArray[np.float64]:
        """What weather, load and PV will be: means over `steps` intervals from `start`.

        For benches that compare with perfect foresight, and for nothing else. Knows
        outdoor.temp_degc, outdoor.ghi_w_m2, pv.power_kw, building.power_kw; shape (steps,).
        """
        return self._exogenous.truth(signal, as_utc(start), steps, step_s)

    def energy(self) -> dict[str, float]:
        """The battery's and the tank's energy books since the warm-up began, in kWh."""
        return {
            "battery_ac": self._cells.ac_kwh, "battery_lost": self._cells.lost_kwh,
            "battery_stored": self._cells.stored_kwh, "tank_charged": self._layers.charged_kwh,
            "tank_drawn": self._layers.drawn_kwh, "tank_lost": self._layers.lost_kwh,
            "tank_stored": self._layers.stored_kwh,
        }  # fmt: skip

    # --- laboratory ---------------------------------------------------------------------------

    def inject_fault(self, name: str, **parameters: Any) -> None:
        """Break something; `faults.KNOWN` lists names and parameters. Raises InputError."""
        names = {
            "measurement": set(self._sensors.signals), "setpoint": set(self._table.points),
            "zone": set(ZONE_IDS),
        }  # fmt: skip
        faults.inject(self._faults, name, parameters, names, self._now)
        self._set_ignoring(self._faults.ignored)

    def clear_faults(self) -> None:
        """Everything works again."""
        self._faults = faults.Faults()
        self._set_ignoring(set())

    def copy(self) -> "EmulatedPlant":
        """A branch that lives its own life under the same weather; the past log is shared."""
        branch = object.__new__(EmulatedPlant)
        branch.__dict__.update(self.__dict__)
        for name in ("_zones", "_layers", "_heat_pump", "_cells", "_faults", "_table", "_sensors"):
            setattr(branch, name, copy.deepcopy(getattr(self, name)))
        branch._law = copy.copy(self._law)
        branch._sums = dict(self._sums)
        branch.log = self.log.branch()
        return branch


def _machines(site: Site) -> tuple[Battery, BufferTank, HeatPump]:
    by_id: Mapping[str, Any] = {a.id: a for a in site.assets}
    kinds = {"battery": Battery, "tank": BufferTank, "hp": HeatPump}
    for name, kind in kinds.items():
        if not isinstance(by_id.get(name), kind):
            raise InputError(f"site {site.id} has no {name}", "this plant emulates the microgrid")
    return by_id["battery"], by_id["tank"], by_id["hp"]
