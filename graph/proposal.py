"""The signed predicate `control-proposal/v1` and the statements made over its digest.

Field names follow the published action-proposal and provenance-manifest contracts.
"""

from typing import Any, Literal

from pydantic import Field

from graph.evaluation import CanaryResult, Estimate, ShadowResult
from graph.intent import Intent
from graph.record import Record, UtcTime

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATES = "https://pilothouse.dev/predicates"
PROPOSAL_TYPE = f"{PREDICATES}/control-proposal/v1"
APPROVAL_TYPE = f"{PREDICATES}/control-approval/v1"
APPLIED_TYPE = f"{PREDICATES}/applied-state/v1"
RESOLUTION_TYPE = f"{PREDICATES}/prediction-resolution/v1"


class PointSchedule(Record):
    """One setpoint's trajectory and the envelope it must stay in."""

    point: str
    unit: str
    t: tuple[float, ...] = Field(description="seconds after not_before")
    value: tuple[float, ...]
    from_value: float = Field(description="value in force when proposed")
    min: float
    max: float
    ramp_per_s: float | None = None
    ttl_s: float = Field(gt=0, description="lease of each write")
    fallback: Literal["local"] = "local"
    priority: int = 8


class ProposedPolicy(Record):
    """What is to be applied."""

    setpoint: float | None = Field(None, description="the value, when one point has one value")
    schedule: tuple[PointSchedule, ...]
    valid_for: str = Field(description="ISO 8601 duration")


class Because(Record):
    """A link of the because-chain. `checked`: intervening on the cause moved the effect."""

    cause: str
    effect: str
    text: str
    size: float | None = None
    unit: str = ""
    source: str = Field(description="solve, intervention or topology")
    checked: bool
    signals: tuple[str, ...] = ()


class Effect(Record):
    """Measured effect of an intervention."""

    cause: str
    effect: str
    size: float
    interval: tuple[float, float]
    unit: str


class Causal(Record):
    """Why, and how sure."""

    because: tuple[Because, ...]
    effects: tuple[Effect, ...]
    assumptions: tuple[str, ...]
    refutations: tuple[str, ...] = Field(description="claims that were tried and did not hold")


class Counterfactuals(Record):
    """What else could happen."""

    inaction: dict[str, Estimate]
    runner_up: dict[str, Estimate] | None
    flip: tuple[str, ...] = Field(
        description="what would have to change for the decision to change"
    )


class Guardrail(Record):
    """A trip condition in the gate's closed grammar: it knows nothing beyond these forms."""

    name: str
    kind: Literal["range", "follow", "predicted", "stale"]
    signal: str
    minimum: float | None = None
    maximum: float | None = None
    point: str | None = Field(
        None,
        description="follow: the setpoint that the signal must follow; predicted: one of those "
        "that the band was predicted under, if there is any",
    )
    tolerance: float | None = None
    t: tuple[float, ...] = Field((), description="predicted: seconds after not_before")
    low: tuple[float, ...] = Field((), description="predicted: lower edge of the band")
    high: tuple[float, ...] = Field((), description="predicted: upper edge of the band")
    for_s: float = Field(ge=0, description="how long it must hold before it trips (plant time)")
    interval_s: float = Field(60.0, gt=0)
    failure_limit: int = Field(0, ge=0)
    inconclusive_limit: int = Field(3, ge=0)


class Stage(Record):
    """A part of the rollout."""

    name: Literal["canary", "full"]
    points: tuple[str, ...]
    duration_s: float = Field(gt=0)


class Rollout(Record):
    """Stages in order, and what stops them."""

    stages: tuple[Stage, ...]
    guardrails: tuple[Guardrail, ...]


class Rollback(Record):
    """The way back."""

    revert_to: str
    trigger: tuple[str, ...]
    steps: tuple[str, ...]
    ttl: str
    tested_digest: str
    irreversible: tuple[str, ...] = Field((), description="what cannot be undone, e.g. a start")


class Risk(Record):
    """Level and figures; `prob_violate` is also spelled out as prob_violate_<signal> fields."""

    level: Literal["low", "medium", "high"]
    prob_violate: dict[str, float]
    prob_sla_breach: float
    cvar: float
    knowledge_limits: tuple[str, ...]


class Verdict(Record):
    """What one rule said."""

    rule: str
    verdict: Literal["pass", "fail"]
    hard: bool
    reason: str
    would_pass: str = Field("", description="what would make it pass")


class PolicyResult(Record):
    """The whole policy decision; a missing verdict is a failure."""

    bundle_digest: str
    decision_id: str
    engine: str
    verdicts: tuple[Verdict, ...]
    overrides: tuple[str, ...] = ()
    allowed: bool


class RequiredApprovals(Record):
    """Who must say yes."""

    roles: tuple[str, ...]
    min_persons: int = Field(ge=1)


class VoidGuard(Record):
    """Void once the signal leaves this range (checked at approval and at actuation)."""

    signal: str
    minimum: float
    maximum: float


class TwinEvidence(Record):
    """Which image and which twin the decision rests on."""

    id: str
    snapshot_digest: str
    site_digest: str
    twin_digest: str
    as_of: UtcTime
    fidelity_gaps: tuple[str, ...]


class ModelProvenance(Record):
    """Provenance manifest of one model (SBOM-like)."""

    model: str
    hash: str
    trained_on: dict[str, tuple[str, ...]]
    hyperparameters: dict[str, Any]
    attestations: tuple[str, ...]


class Provenance(Record):
    """Where everything came from."""

    models: tuple[ModelProvenance, ...]
    code: str
    sbom: tuple[str, ...]
    plugins: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    seeds: dict[str, int]
    fingerprint: dict[str, str] = Field(description="processor and libraries of the decision")


class SandboxResults(Record):
    """Shadow, canary and the KPI deltas in short."""

    shadow: ShadowResult
    canary: CanaryResult
    kpi_delta: dict[str, float]


class ControlProposal(Record):
    """The predicate."""

    id: str
    seq: int = Field(ge=0)
    nonce: str
    not_before: UtcTime
    expires: UtcTime
    decide_by: UtcTime
    actor: str
    target: str
    intent: str
    compiled_intent: Intent
    restatement: str
    twin: TwinEvidence
    baseline_digest: str
    proposed_policy: ProposedPolicy
    technical_basis: str
    confidence: float = Field(ge=0, le=1)
    causal: Causal
    counterfactuals: Counterfactuals
    alternatives: tuple[str, ...]
    risk: Risk
    sandbox_results: SandboxResults
    policy: PolicyResult
    rollout: Rollout
    rollback: Rollback
    void_if: tuple[VoidGuard, ...]
    provenance: Provenance
    required_approvals: RequiredApprovals
    mode: Literal["shadow", "advise", "approve", "auto"] = Field(
        "approve", description="mode of the loops when it was made"
    )
    under: str | None = Field(
        None, description="digest of the proposal whose standing approval covers this one"
    )


class StandingAuthorisation(Record):
    """Leave to re-plan inside a signed envelope without asking again."""

    points: dict[str, tuple[float, float]] = Field(description="range by point")
    until: UtcTime
    max_risk: Literal["low", "medium", "high"]
    max_bundles: int = Field(ge=1)


class Approval(Record):
    """A person's signed yes or no over a proposal's digest."""

    proposal_digest: str
    decision: Literal["approve", "reject"]
    person: str
    role: str
    reason: str
    at: UtcTime
    not_after: UtcTime
    standing: StandingAuthorisation | None = None
    lab: bool = Field(False, description="made by a demonstration key, not by a person")
