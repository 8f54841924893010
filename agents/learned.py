"""A learned policy as a second source of candidates, beside the planner's.

Its plan goes the way of every other: sandbox, compliance, explanation, signature. No constraint
holds it in place and no multiplier prices one, so of the why only what was tried is known: what
each part of it does, how it compares with the planner's plan and with doing nothing, and whether
the policy itself answers differently when a cause is changed.
"""

from graph.plan import Plan
from graph.proposal import Causal, ModelProvenance
from graph.snapshot import Snapshot
from planner.rl.onnx_policy import ControlPolicy
from planner.rl.policy_plan import plan_of_policy
from sandbox.twin import Twin

LEARNED = "policy:"  # how the source of a learned policy's plan begins
NO_MULTIPLIERS = (
    "the plan comes from a learned policy: no solve stands behind it, so no binding constraint and "
    "no price of one is known; what is said of it was found by trying"
)


def learned_plans(policy: ControlPolicy | None, twin: Twin, snapshot: Snapshot) -> tuple[Plan, ...]:
    """The policy's candidate, or its refusal as an unusable plan with the reason as its note."""
    return () if policy is None else (plan_of_policy(policy, twin, snapshot),)


def is_learned(plan: Plan) -> bool:
    """Whether a learned policy made it."""
    return plan.source.startswith(LEARNED)


def told_honestly(causal: Causal) -> Causal:
    """The explanation of a learned policy's plan, with what cannot be known of it."""
    return causal.model_copy(update={"assumptions": (*causal.assumptions, NO_MULTIPLIERS)})


def policy_provenance(policy: ControlPolicy) -> ModelProvenance:
    """The manifest entry of the policy."""
    manifest = policy.manifest
    compared = "; ".join(f"{c.name} {c.total:.2f}" for c in manifest.compared)
    attestations = [f"signed by {person}" for person in policy.persons]
    if compared:
        attestations.append(f"total a day on days apart: {compared}")
    return ModelProvenance(
        model=f"learned policy {policy.source}",
        hash=manifest.digest,
        trained_on={
            "site": (manifest.site,), "twin": (manifest.twin_digest,),
            "examples": (manifest.data_digest,), "network": (manifest.network_digest,),
            "code": (manifest.code_digest,),
        },
        hyperparameters={**manifest.hyperparameters, "algorithm": manifest.algorithm,
                         "seed": manifest.seed},
        attestations=tuple(attestations),
    )  # fmt: skip
