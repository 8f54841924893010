"""What the sandbox found: KPI deltas with intervals, violation probabilities with bounds."""

from pydantic import Field

from graph.record import Record


class Estimate(Record):
    """A mean over the sampled futures with a 90 % interval of the futures.

    The interval of the futures says how a day may turn out; that of the mean, how well the mean is
    known after so many futures.
    """

    mean: float
    low: float = Field(description="5 % quantile over futures, corrected where calibration says so")
    high: float = Field(description="95 % quantile over futures, corrected likewise")
    unit: str
    mean_low: float | None = Field(None, description="95 % interval of the mean (Student's t)")
    mean_high: float | None = None


class Violation(Record):
    """How often a constraint broke in the futures."""

    id: str
    label: str
    signal: str | None = None
    hard: bool
    probability: float = Field(ge=0, le=1)
    upper: float = Field(
        ge=0,
        le=1,
        description="one-sided 95 % bound that holds whenever one stopped, broken sensors included",
    )
    allowed: float = Field(ge=0, le=1, description="greatest probability that is accepted")
    worst: float = Field(description="greatest excess in `unit` over all futures")
    unit: str
    baseline_probability: float = Field(0.0, ge=0, le=1, description="same futures, doing nothing")
    faulty_probability: float | None = Field(
        None, ge=0, le=1, description="in futures in which a sensor fails, by true temperatures"
    )


class BandTrace(Record):
    """Quantiles of a signal over futures, for charts and guardrails."""

    signal: str
    unit: str
    step_s: int
    q05: tuple[float, ...]
    q50: tuple[float, ...]
    q95: tuple[float, ...]


class Outcome(Record):
    """One candidate over all futures."""

    source: str
    kpis: dict[str, Estimate]
    violations: tuple[Violation, ...]
    traces: tuple[BandTrace, ...] = ()
    cvar_cost: float = Field(description="mean cost of the worst 5 % of futures")


class ShadowResult(Record):
    """Candidate, do-nothing and runner-up over the same futures."""

    futures: int = Field(description="how many were used")
    asked: int = Field(0, ge=0, description="how many could have been; 0: no more than used")
    stopped: str = Field("", description="why no more were used")
    sensor_fault_prior: float = Field(
        0.0, ge=0, le=1, description="probability that a sensor fails within the horizon"
    )
    seed: int
    horizon_steps: int
    step_s: int
    outcomes: tuple[Outcome, ...]
    kpi_delta: dict[str, Estimate] = Field(description="candidate - baseline, future by future")
    candidate: str
    runner_up: str | None = None
    probability_better: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of futures in which it is no worse on what was asked for first",
    )
    proven_steps: int = Field(
        0, ge=0, description="the first steps in which every constraint is kept as demanded"
    )
    passed: bool
    reasons: tuple[str, ...] = Field(description="why not, or what it passed")


class CanaryMetric(Record):
    """One guardrail or metric as the gate's own code judged it in the twin."""

    name: str
    outcome: str = Field(description="successful, failed, inconclusive or error")
    measurements: int
    failures: int
    detail: str = ""


class CanaryResult(Record):
    """The rollout and its rollback, through the gate's code, against the twin."""

    points: tuple[str, ...]
    duration_s: int
    cycles: int
    writes: int
    metrics: tuple[CanaryMetric, ...]
    rollback_exercised: bool
    rollback_restored: bool = Field(description="every point back with the local law in time")
    rollback_seconds: float = Field(description="plant time from trip to the last release")
    rollback_digest: str = Field(description="digest of the rollback's command sequence")
    passed: bool
    reasons: tuple[str, ...]


class Evidence(Record):
    """A number that speaks for or against a cause."""

    what: str
    value: float
    limit: float | None = None
    unit: str = ""


class Finding(Record):
    """What diagnostics found on one subject."""

    kind: str = Field(description="data_quality, sensor_fault, actuator_fault, model_error, ...")
    subject: str
    cause: str = Field(description="named cause in words")
    probability: float = Field(ge=0, le=1)
    evidence: tuple[Evidence, ...]
    action: str = Field(description="none, watch or shed")


class MarketView(Record):
    """What the horizon is worth: the market agent's first job."""

    currency: str
    cheapest: float
    dearest: float
    spread: float = Field(description="dearest import - cheapest import after storage losses")
    export_mean: float
    carbon_mean_g_per_kwh: float
    carbon_price_per_t: float
    demand_charge_per_kw: float
    storage_value_per_kwh: float = Field(description="terminal value of a stored kWh")
    do_nothing: dict[str, float] = Field(description="the baseline's bill by component")
    notes: tuple[str, ...] = ()
