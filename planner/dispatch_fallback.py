"""What to do when a solve gives no plan: hold the last one for at most K steps, then do nothing."""

from datetime import timedelta

from graph.plan import Plan, SolveStatus
from graph.site import Site
from graph.snapshot import Snapshot
from planner.dispatch import baseline_plan

HOLD = "hold-last"


def fallback_plan(
    site: Site, snapshot: Snapshot, failed: Plan, incumbent: Plan | None = None
) -> Plan:
    """The plan to go on with after `failed`.

    The incumbent, shifted to now, while it is at most `site.autonomy.hold_last_plan_steps` old and
    still reaches; otherwise the baseline. Points that a person holds by now have the held value.
    Its notes say why and what became of the solve.
    """
    why = f"the solve ended {failed.status.value}"
    held = hold_last(site, snapshot, incumbent) if incumbent is not None else None
    if held is not None:
        return held.model_copy(update={"notes": (f"{why}: {held.notes[0]}", *failed.notes)})
    reason = f"{why} and there is no plan young enough to hold: every point stays with local law"
    base = baseline_plan(site, snapshot)
    return base.model_copy(update={"notes": (reason, *failed.notes)})


def hold_last(site: Site, snapshot: Snapshot, incumbent: Plan) -> Plan | None:
    """The incumbent shifted to now; None when it is too old, unusable or at its end."""
    age = (snapshot.as_of - incumbent.start) / timedelta(seconds=incumbent.step_s)
    steps = int(age)
    young = 0 <= age <= site.autonomy.hold_last_plan_steps and age == steps
    if not incumbent.status.usable or not young or steps >= incumbent.steps:
        return None
    points = {name: values[steps:] for name, values in incumbent.setpoints.items()}
    for hold in snapshot.holds:
        if hold.point in points:
            until = hold.until
            points[hold.point] = tuple(
                hold.value
                if until is None or snapshot.as_of + timedelta(seconds=k * incumbent.step_s) < until
                else value
                for k, value in enumerate(points[hold.point])
            )
    note = f"the plan of {incumbent.start:%H:%M} UTC is held, {steps} steps after it was made"
    return incumbent.model_copy(
        update={
            "source": HOLD,
            "status": SolveStatus.WITHIN_GAP,
            "start": snapshot.as_of,
            "setpoints": points,
            "predicted": {name: v[steps:] for name, v in incumbent.predicted.items()},
            "active": (),
            "notes": (note,),
        }
    )
