"""The compliance agent: which rules hold, which do not, why, and what would pass."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agents.ports import AgentRequest, Dispatcher
from graph.proposal import PolicyResult
from graph.site import Site
from safety.policy import RuleSpec, declared_rules, evaluate_policies
from safety.policy_input import PolicyInput, policy_input


def run(request: AgentRequest) -> dict[str, Any]:
    """args: `policies` {name: text}, `input` document, `rules` demanded or None for the declared.

    Returns a `PolicyResult` document. Raises InputError for unusable policies.
    """
    policies: dict[str, str] = request.args["policies"]
    given = request.args.get("rules")
    rules = (
        declared_rules(policies)
        if given is None
        else tuple(RuleSpec.model_validate(rule) for rule in given)
    )
    return evaluate_policies(policies, request.args["input"], rules).model_dump(mode="json")


def check_policies(
    dispatcher: Dispatcher,
    site: Site,
    policies: Mapping[str, str],
    parts: PolicyInput,
    now: datetime,
    rules: tuple[RuleSpec, ...] | None = None,
) -> PolicyResult:
    """Ask the compliance agent.

    Args:
        policies: core pack and the site's, see `safety.policy.with_core`.
        now: the time that deadlines are judged at; a replay takes it from the bundle.
        rules: the ids demanded, as read when the site was loaded; None reads them now.
    """
    args = {
        "policies": dict(policies),
        "input": policy_input(site, parts, now),
        "rules": None if rules is None else [r.model_dump(mode="json") for r in rules],
    }
    reply = dispatcher.call("compliance", AgentRequest(args=args))
    return PolicyResult.model_validate(reply.value)
