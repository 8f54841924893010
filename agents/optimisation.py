"""The optimisation agent: candidates from the planner, and what to do without one."""

from typing import Any

from agents.ports import AgentRequest
from graph.errors import InputError
from graph.intent import Intent
from graph.plan import Plan, SolveStatus
from graph.site import Site
from graph.snapshot import Snapshot
from planner.dispatch_options import SolveOptions
from planner.margins import Margins
from sandbox.twin import Twin, make_twin

HOLD_LAST = "hold-last"
# Where the search ends without reaching its gap, it is asked again with this one, and the plan says
# so: a plan within 5 % of the best beats none, and the sandbox judges it all the same.
WIDER_GAP = 0.05
OUT_OF_WORK = (SolveStatus.ITERATION_LIMIT, SolveStatus.NODE_LIMIT, SolveStatus.GAP_NOT_REACHED)
INCUMBENT = "incumbent"


def run(request: AgentRequest) -> dict[str, Any]:
    """args: `intent`, and optionally `margin` and `options`, all as documents.

    Returns {"plans": [Plan documents]}: the planner's, whatever its status; when it is not usable,
    the approved plan still in force for at most K steps. Raises InputError for a bad request.
    """
    context = request.context
    if context is None or "intent" not in request.args:
        raise InputError("the optimisation agent needs a snapshot and an intent")
    intent = Intent.model_validate(request.args["intent"])
    margin = Margins.model_validate(request.args.get("margin", {}))
    options = SolveOptions.model_validate(request.args.get("options", {}))
    plans = candidates(
        context.site,
        make_twin(context.site, context.twin),
        context.snapshot,
        intent,
        margin,
        options,
    )
    return {"plans": [plan.model_dump(mode="json") for plan in plans]}


def candidates(
    site: Site, twin: Twin, snapshot: Snapshot, intent: Intent, margin: Margins,
    options: SolveOptions,
) -> list[Plan]:  # fmt: skip
    """The planner's plan first; then, if it is not usable, the last good one, held shortly."""
    from planner.plan import make_plan

    incumbent = _incumbent(snapshot, INCUMBENT)
    plan = make_plan(
        site, twin, snapshot, intent, margin=margin, incumbent=incumbent, options=options
    )
    if plan.status in OUT_OF_WORK and plan.gap is not None and plan.gap <= WIDER_GAP:
        wider = options.model_copy(update={"gap": WIDER_GAP})
        plan = make_plan(
            site, twin, snapshot, intent, margin=margin, incumbent=incumbent, options=wider
        )
        note = f"the search did not reach a gap of {options.gap:.0%}; planned to {WIDER_GAP:.0%}"
        plan = plan.model_copy(update={"notes": (*plan.notes, note)})
    held = None if plan.status.usable else hold_last(site, snapshot)
    return [plan] if held is None else [plan, held]


def hold_last(site: Site, snapshot: Snapshot) -> Plan | None:
    """The approved plan in force, cut to the K steps that it may be held; the local law follows."""
    plan, steps = _incumbent(snapshot, HOLD_LAST), site.autonomy.hold_last_plan_steps
    if plan is None or steps == 0:
        return None
    return plan.model_copy(
        update={
            "setpoints": {point: values[:steps] for point, values in plan.setpoints.items()},
            "notes": (f"no usable plan: the last good one is held for at most {steps} steps",),
        }
    )


def _incumbent(snapshot: Snapshot, source: str) -> Plan | None:
    if not snapshot.incumbent:
        return None
    return Plan(
        source=source,
        status=SolveStatus.WITHIN_GAP,  # it was, when it was approved
        start=snapshot.as_of,
        step_s=snapshot.step_s,
        setpoints=snapshot.incumbent,
    )
