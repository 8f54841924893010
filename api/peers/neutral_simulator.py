"""The one simulator that scores every dispatch planner: energy is kept exactly.

A battery does not follow a command beyond its power or its charge: what it cannot do is left out,
and counted. The connection is not cut: what exceeds its limits flows, is billed, and is counted.
"""

from dataclasses import dataclass, field

from api.peers.dispatch_case import BatteryCase, DispatchCase

# Above a solver's tolerance, far below any meter's: 1 W for a quarter of an hour.
TOLERANCE_KW = 1e-3


@dataclass(frozen=True)
class Flow:
    """One step: terminal power of the battery, grid power (kW), energy stored after it (kWh)."""

    battery_kw: float
    grid_kw: float
    stored_kwh: float
    refused_kw: float


@dataclass
class Score:
    """What a run came to, in the site's currency; violations in steps and in kWh."""

    cost: float = 0.0
    stored_kwh: float = 0.0
    battery_violations: int = 0
    grid_violations: int = 0
    beyond_kwh: float = 0.0
    flows: list[Flow] = field(default_factory=list)

    def settled(self, case: DispatchCase) -> float:
        """Cost less the worth of what the battery gained."""
        return self.cost - case.worth_per_kwh * (self.stored_kwh - case.battery.start_kwh)


def follow(
    battery: BatteryCase, hours: float, stored_kwh: float, command_kw: float
) -> tuple[float, float]:
    """Terminal power that the battery gives to a command, and the energy stored after the step."""
    power = min(max(command_kw, -battery.discharge_kw), battery.charge_kw)
    if power >= 0.0:
        room = max(battery.high_kwh - stored_kwh, 0.0)
        power = min(power, room / (hours * battery.eta_charge))
        return power, stored_kwh + hours * battery.eta_charge * power
    left = max(stored_kwh - battery.low_kwh, 0.0)
    power = max(power, -left * battery.eta_discharge / hours)
    return power, stored_kwh + hours * power / battery.eta_discharge


def start(case: DispatchCase) -> Score:
    """A run that has not begun."""
    return Score(stored_kwh=case.battery.start_kwh)


def step(case: DispatchCase, score: Score, k: int, command_kw: float) -> None:
    """Move the run by one step: the actual load and PV, the command that the planner gave."""
    load, pv = float(case.actual(case.load_kw)[k]), float(case.actual(case.pv_kw)[k])
    power, stored = follow(case.battery, case.hours, score.stored_kwh, command_kw)
    grid = load - pv + power
    bought, sold = max(grid, 0.0), max(-grid, 0.0)
    score.cost += case.hours * (
        bought * float(case.actual(case.import_price)[k])
        - sold * float(case.actual(case.export_price)[k])
    )
    score.cost += case.wear_per_kwh * abs(stored - score.stored_kwh)
    refused = abs(command_kw - power)
    beyond = max(bought - case.import_limit_kw, sold - case.export_limit_kw, 0.0)
    score.battery_violations += refused > TOLERANCE_KW
    score.grid_violations += beyond > TOLERANCE_KW
    score.beyond_kwh += case.hours * (refused + beyond)
    score.stored_kwh = stored
    score.flows.append(Flow(power, grid, stored, refused))
