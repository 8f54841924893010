"""Planner results. A failed, late or loose solve is a status here, never a candidate."""

from enum import StrEnum

from pydantic import Field

from graph.record import Record, UtcTime


class SolveStatus(StrEnum):
    """How a solve ended. Only the first two may become a candidate."""

    OPTIMAL = "optimal"
    WITHIN_GAP = "within_gap"
    GAP_NOT_REACHED = "gap_not_reached"
    ON_SLACK = "on_slack"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    ITERATION_LIMIT = "iteration_limit"
    NODE_LIMIT = "node_limit"
    TIME_LIMIT = "time_limit"
    NUMERICAL_TROUBLE = "numerical_trouble"
    BAD_INPUT = "bad_input"
    SOLVER_MISSING = "solver_missing"
    NOT_SOLVED = "not_solved"

    @property
    def usable(self) -> bool:
        """Whether the result may be tried in the sandbox."""
        return self in (SolveStatus.OPTIMAL, SolveStatus.WITHIN_GAP)


class ActiveConstraint(Record):
    """A constraint that holds the plan where it is, from the LP with the integers fixed."""

    id: str
    label: str = Field(description="in the operator's words")
    signal: str | None = None
    steps: tuple[int, ...] = Field(description="where it binds")
    multiplier: float = Field(description="objective saved per unit of relaxation, summed")
    unit: str = Field(description="currency per unit of the constraint")


class Cure(Record):
    """What one wish alone would have to give for a plan to exist, and what that plan costs."""

    wish: str = Field(description="the wish in plain words")
    label: str = Field(description="the part of it that gives most")
    amount: float = Field(gt=0)
    unit: str
    relaxed_to: float | None = None
    cost: float = Field(description="of the plan, in `currency`: energy, wear, less what is stored")
    currency: str

    @property
    def text(self) -> str:
        """In one clause."""
        to = "" if self.relaxed_to is None else f" (to {self.relaxed_to:.4g})"
        give = f"{self.label} gives {self.amount:.3g} {self.unit}{to}"
        return f"{give}, the plan costs {self.cost:.2f} {self.currency}"


class Conflict(Record):
    """Why nothing is feasible, by how much, and the least relaxation that would cure it.

    Every conflict has its share in the cheapest cure of all: together they leave a plan. `cures`
    says what one wish alone would have to give in place of this one, the others as they are there.
    """

    id: str
    label: str
    amount: float = Field(gt=0, description="least total relaxation in `unit`")
    unit: str
    relaxed_to: float | None = None
    at: UtcTime | None = Field(None, description="when it is worst")
    text: str = Field(description="the cure in one sentence")
    wish: str = Field("", description="the wish in plain words")
    against: tuple[str, ...] = Field((), description="other wishes that it cannot be kept beside")
    limits: tuple[str, ...] = Field((), description="the site's limits and holds in the way")
    cures: tuple[Cure, ...] = Field((), description="of a conflict of wishes, the cheapest first")


class Plan(Record):
    """Setpoint trajectories on the site's step, with the account of the solve behind them."""

    source: str = Field(description="milp-dispatch, baseline, hold-last, plugin:<id>, ...")
    status: SolveStatus
    start: UtcTime
    step_s: int
    setpoints: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="by point; a point that is absent stays with local law"
    )
    predicted: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="expected trajectory by signal, at the end of each step"
    )
    objective: float | None = None
    objective_terms: dict[str, float] = Field(default_factory=dict)
    bound: float | None = None
    gap: float | None = Field(None, description="(objective - bound) / |objective|")
    iterations: int = 0
    nodes: int = 0
    slack: dict[str, float] = Field(default_factory=dict, description="use of soft constraints")
    margins: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="by bound: how far inside it the plan was asked to stay, the most of each hour",
    )
    active: tuple[ActiveConstraint, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Length of the trajectories."""
        return max((len(v) for v in self.setpoints.values()), default=0)
