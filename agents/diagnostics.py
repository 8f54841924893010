"""The diagnostics agent: may the inputs be trusted, and does the plant behave as the twin expects?

Data quality is judged signal by signal against its declaration; causes are named by comparing
hypotheses about the residuals. A bad critical input sheds: no decision is made on it.
"""

from typing import Any

from agents.diagnostics_causes import Cause, compare_causes
from agents.diagnostics_quality import quality_findings
from agents.diagnostics_residuals import cusum, residual_window
from agents.ports import AgentRequest
from graph.errors import InputError
from graph.evaluation import Evidence, Finding
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.twin import Twin, make_twin

# A cause below this is in the list of probabilities only.
SHOWN = 0.05
NAMED = 0.5  # more likely than everything else together
# A sensor that controls a loop and is this surely wrong counts as a bad critical input.
CERTAIN = 0.99
CUSUM_LIMIT = 8.0  # with a slack of 0.5: about one false alarm in 10^4 independent samples


def run(request: AgentRequest) -> dict[str, Any]:
    """No args. Returns {"findings": [Finding documents], "causes": {name: probability}}.

    The probabilities sum to 1 and include that nothing is wrong. Raises InputError without a
    context.
    """
    context = request.context
    if context is None:
        raise InputError("the diagnostics agent needs a snapshot")
    twin = make_twin(context.site, context.twin)
    findings, causes = diagnose(context.site, twin, context.snapshot)
    return {
        "findings": [f.model_dump(mode="json") for f in findings],
        "causes": {c.name: c.probability for c in causes},
    }


def diagnose(
    site: Site, twin: Twin, snapshot: Snapshot
) -> tuple[tuple[Finding, ...], tuple[Cause, ...]]:
    """Findings, worst first, and all causes with their probabilities."""
    window = residual_window(twin, snapshot)
    causes = compare_causes(site, twin, window)
    named = [
        _finding(site, cause, window.z)
        for cause in causes
        if cause.kind == "none" or cause.probability >= SHOWN
    ]
    found = [*quality_findings(site, snapshot), *named]
    rank = {"shed": 0, "watch": 1, "none": 2}
    ordered = sorted(found, key=lambda f: (rank[f.action], -f.probability, f.kind, f.subject))
    return tuple(ordered), causes


def _finding(site: Site, cause: Cause, z: dict[str, Any]) -> Finding:
    evidence = [
        Evidence(what="log Bayes factor against nothing wrong", value=cause.log_bayes_factor)
    ]
    if cause.size is not None:
        evidence.append(
            Evidence(what="mean residual in its direction", value=cause.size, unit="std")
        )
    evidence += [
        Evidence(what=f"CUSUM of {channel}", value=cusum(z[channel]), limit=CUSUM_LIMIT, unit="std")
        for channel in cause.channels
        if channel in z
    ]
    return Finding(
        kind=cause.kind,
        subject=cause.subject,
        cause=cause.text,
        probability=cause.probability,
        evidence=tuple(evidence),
        action=_action(site, cause),
    )


def _action(site: Site, cause: Cause) -> str:
    if cause.kind == "none" or cause.probability < NAMED:
        return "none"
    critical = {s.id for s in site.signals if s.critical}
    if cause.kind == "sensor_fault" and cause.subject in critical and cause.probability >= CERTAIN:
        return "shed"
    return "watch"
