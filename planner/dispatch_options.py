"""Settings of the dispatch planner, each with the reason for its default."""

from pydantic import Field

from graph.record import Record
from planner.milp_highs import SolverLimits

RESIDUAL_TOLERANCE = 1e-5  # kW, K, kWh: 100 x finer than any sensor, 10 x HiGHS's own tolerance
# Less use of a soft bound than the sensors resolve is none (same tolerances as the shadow run's).
SLACK_TOLERANCE = {"degC": 0.1, "percent": 0.5, "kW": 0.1}
START_TIEBREAK_KWH = 0.1  # a start is worth at least this much energy: no chattering between ties
AIR_TIEBREAK = 1e-3  # kWh that a kWh of heat or cold is worth at least: idle power is no reason
LEVEL_TIEBREAK = 3e-4  # kWh that a kWh of battery power above a level is worth, once a level
HOLDING_SHARE = 0.1  # of that for a kWh held an hour: ten times the simplex's own tolerance
LEVELS = (0.125, 0.25, 0.5)  # of the rating: below the first an inverter works badly
# Share of money in an objective that names none: no idle waste. All is linear here, so that it
# breaks ties and moves nothing that matters more (see `nmpc_data` for squares).
COST_TIEBREAK = 0.05
PENALTY_FACTOR = 8.0  # price of a soft bound over the greatest saving that breaking it can bring
MARGIN_FACTOR = 2.0  # price of a margin over the same
RECOVERY_FACTOR = 100.0  # price of a hard state bound while the state starts outside it
RECOVERY_HOURS = 4.0  # and for how long that lasts: a cold building warms up in about half of it
PEAK_HOURS = 10.0  # a kW of peak is weighed as so many hours of it at the mean price
PEAK_RESOLUTION_KW = 0.1  # the meter's: a smaller difference of two peaks is none
COMFORT_KWH = 1.0  # one K.h off the comfort band's middle is weighed as so many kWh


REFINEMENTS = 2  # of the COP about the plan; the second moves the tank by less than 0.3 K


class SolveOptions(Record):
    """How hard to try."""

    gap: float = Field(0.01, gt=0, lt=1, description="relative gap at which the search stops")
    absolute_gap: float = Field(
        0.1,
        ge=0,
        description="in currency: a dime is no difference, and near 0 ratios mean nothing",
    )
    nodes: int = Field(4000, ge=0)
    checks: int = Field(120, gt=0, description="of limits in branch and bound: see SolverLimits")
    iterations: int = Field(2_000_000, gt=0)
    abort_after_s: float = Field(30.0, gt=0, description="wall clock; what it cuts off is no plan")
    explain: bool = Field(True, description="multipliers of the active constraints")
    price_starts: bool = Field(False, description="re-solve with one start more and one less")
    refine: bool = Field(True, description="correct the COP for the planned tank temperature")
    keep_pattern: bool = Field(
        False, description="keep the incumbent's on/off where it is whole: one linear programme"
    )
    level: bool = Field(
        False, description="of plans that cost the same, that with the most even battery power"
    )
    rescue: bool = Field(True, description="report the least violation when nothing is feasible")

    @property
    def limits(self) -> SolverLimits:
        """The same for the solver."""
        return SolverLimits(
            self.gap,
            self.absolute_gap,
            self.nodes,
            self.checks,
            self.iterations,
            self.abort_after_s,
        )
