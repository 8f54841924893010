"""The router: which agents a run needs, in which order, and who has the last word.

Diagnostics and market look at the snapshot side by side; optimisation follows unless diagnostics
sheds the loop. Compliance judges the finished proposal later and overrules them all.
"""

from collections.abc import Callable, Sequence
from typing import Any

from agents.langgraph_flow import run_flow
from agents.messages import RunRecord, RunStep, Trigger
from agents.ports import AgentContext, AgentReply, AgentRequest, Dispatcher
from graph.errors import PilothouseError
from graph.evaluation import Finding, MarketView
from graph.intent import Intent
from graph.plan import Plan
from graph.record import Record
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.twin import Twin

__all__ = ["RunRecord", "RunStep", "last_word", "route", "run_router"]

# Who beats whom when they disagree, strongest first.
PRIORITY = ("compliance", "diagnostics", "optimisation", "market")

# Which agents answer to what. An alarm asks what is wrong; planning waits for the answer.
ROUTES: dict[Trigger, tuple[str, ...]] = {
    "intent": ("diagnostics", "market", "optimisation"),
    "schedule": ("diagnostics", "market", "optimisation"),
    "alarm": ("diagnostics",),
}
ORDER = {"diagnostics": 0, "market": 0, "optimisation": 1}


def route(trigger: Trigger, intent: Intent | None) -> tuple[str, ...]:
    """The agents of a run; nothing is planned without an intent."""
    agents = ROUTES[trigger]
    return agents if intent is not None else tuple(a for a in agents if a != "optimisation")


def run_router(
    dispatcher: Dispatcher,
    site: Site,
    twin: Twin,
    snapshot: Snapshot,
    intent: Intent | None,
    trigger: Trigger = "intent",
    margin: Record | None = None,
    options: Record | None = None,
) -> RunRecord:
    """Run the agents that `trigger` needs and put what they say together.

    A failing market agent is noted and the run goes on: prices are in the snapshot. A failing
    diagnostics agent is raised: nobody acts on a plant that nobody has looked at; so is a failing
    optimisation agent.

    Args:
        margin, options: `planner.margins.Margins` and `planner.dispatch_options.SolveOptions`.

    Raises:
        PilothouseError: as `Dispatcher.call` does.
    """
    agents = route(trigger, intent)
    context = AgentContext(site=site, twin=twin.parameters, snapshot=snapshot)
    args = _planning(intent, margin, options)
    nodes = {
        name: _node(dispatcher, name, context, args if name == "optimisation" else {})
        for name in agents
    }
    after = {"optimisation": [a for a in agents if ORDER[a] == 0]}
    known = run_flow(nodes, after)
    return _record(trigger, agents, known)


def _planning(
    intent: Intent | None, margin: Record | None, options: Record | None
) -> dict[str, Any]:
    given = {"intent": intent, "margin": margin, "options": options}
    return {k: v.model_dump(mode="json") for k, v in given.items() if v is not None}


def _node(
    dispatcher: Dispatcher, name: str, context: AgentContext, args: dict[str, Any]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def step(known: dict[str, Any]) -> dict[str, Any]:
        shed = _shed(_findings(known))
        if ORDER[name] > 0 and shed:
            return {name: _step(name, "skipped", detail=f"diagnostics sheds: {shed[0].cause}")}
        request = AgentRequest(context=context, args=args)
        try:
            reply = dispatcher.call(name, request)
        except PilothouseError as error:
            if name != "market":
                raise
            return {name: _step(name, "failed", request=request, detail=str(error))}
        return {
            name: _step(name, "answered", request=request, reply=reply),
            f"{name}.value": reply.value,
        }

    return step


def _step(
    agent: str, outcome: str, *, request: AgentRequest | None = None,
    reply: AgentReply | None = None, detail: str = "",
) -> RunStep:  # fmt: skip
    return RunStep(
        order=ORDER[agent],
        agent=agent,
        request_digest=request.digest if request else "",
        reply_digest=reply.digest if reply else "",
        outcome=outcome,
        detail=detail,
    )


def _record(trigger: Trigger, agents: tuple[str, ...], known: dict[str, Any]) -> RunRecord:
    findings = _findings(known)
    market = known.get("market.value")
    plans = [Plan.model_validate(p) for p in known.get("optimisation.value", {}).get("plans", ())]
    verdict, decided_by, reason = last_word(findings, plans, planned="optimisation" in agents)
    return RunRecord(
        trigger=trigger,
        agents=agents,
        steps=tuple(known[a] for a in sorted(agents, key=lambda a: (ORDER[a], a))),
        findings=findings,
        market=None if market is None else MarketView.model_validate(market),
        plans=tuple(plans),
        verdict=verdict,
        decided_by=decided_by,
        reason=reason,
    )


def last_word(
    findings: Sequence[Finding], plans: Sequence[Plan], planned: bool = True
) -> tuple[str, str, str]:
    """Verdict, who gave it, and why; the agents are asked in the order of `PRIORITY`.

    Compliance is not among them yet: it judges the proposal, and its no beats all of this.
    """
    shed = _shed(findings)
    if shed:
        return "shed", "diagnostics", f"{shed[0].subject}: {shed[0].cause}"
    if not planned:
        return "report", "diagnostics", "nothing was to be planned"
    usable = [p for p in plans if p.status.usable]
    if not usable:
        statuses = ", ".join(f"{p.source}: {p.status}" for p in plans) or "no plan at all"
        return "no_plan", "optimisation", statuses
    return "proceed", "optimisation", f"{usable[0].source}: {usable[0].status}"


def _findings(known: dict[str, Any]) -> tuple[Finding, ...]:
    found = known.get("diagnostics.value", {}).get("findings", ())
    return tuple(Finding.model_validate(f) for f in found)


def _shed(findings: Sequence[Finding]) -> list[Finding]:
    return [f for f in findings if f.action == "shed"]
