"""From a worker's answer to plans. The worker is not believed: everything is checked once more."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from graph.plan import Plan, SolveStatus
from graph.record import Record
from graph.snapshot import Snapshot
from plugins.limits import HostLimits
from plugins.manifest import PluginManifest
from plugins.outcome import LogLine, Outcome, PluginRun
from plugins.submission import PointRule, check_setpoints, plain_text

# The status list has no word for "nobody solved anything"; only a usable status reaches the
# sandbox, and the sandbox decides. So that nobody takes it for a proof, the notes say it.
NO_SOLVER = "from a plugin, no solver: its status only lets the sandbox judge it"


class _Submission(Record):
    points: dict[str, tuple[float, ...]]
    rationale: str
    confidence: float


class _Answer(Record):
    outcome: Outcome
    detail: str = ""
    submissions: tuple[_Submission, ...] = ()
    refusals: tuple[str, ...] = ()
    log: tuple[tuple[str, str], ...] = ()
    log_dropped: int = 0
    calls: dict[str, int] = Field(default_factory=dict)
    fuel_used: int | None = None


_ANSWER = TypeAdapter(_Answer)


def make_run(manifest: PluginManifest, outcome: Outcome, detail: str, **more: Any) -> PluginRun:
    """The account of a run of `manifest`'s plugin."""
    return PluginRun(
        plugin=manifest.id,
        component=manifest.component,
        author=manifest.author,
        outcome=outcome,
        detail=plain_text(detail, 500),
        **more,
    )


def read_plans(
    manifest: PluginManifest,
    answer: Mapping[str, Any],
    snapshot: Snapshot,
    rules: Mapping[str, PointRule],
    limits: HostLimits,
) -> PluginRun:
    """Turn a worker's answer into a run's account; only a run that ended well has plans."""
    try:
        said = _ANSWER.validate_python(answer)
    except ValidationError as error:
        return make_run(manifest, Outcome.BAD_OUTPUT, str(error.errors()[0]["msg"]))
    outcome, detail = said.outcome, said.detail
    refusals = [plain_text(r, limits.text_chars) for r in said.refusals[: limits.refusals_kept]]
    plans = []
    if outcome is Outcome.OK:
        for submission in said.submissions[: limits.submissions]:
            if wrong := _wrong(submission, snapshot, rules):
                refusals.append(wrong)
            else:
                plans.append(_plan(manifest, submission, snapshot, limits))
        if refusals and not plans:
            outcome, detail = Outcome.REFUSED, refusals[-1]
    return make_run(
        manifest,
        outcome,
        detail,
        plans=tuple(plans),
        refusals=tuple(refusals),
        log=tuple(
            LogLine(severity=plain_text(s, 10), message=plain_text(m, limits.text_chars))
            for s, m in said.log[: limits.log_lines]
        ),
        log_dropped=said.log_dropped,
        calls=said.calls,
        fuel_used=said.fuel_used,
    )


def _wrong(
    submission: _Submission, snapshot: Snapshot, rules: Mapping[str, PointRule]
) -> str | None:
    if not submission.points:
        return "proposal without a setpoint"
    for point, values in submission.points.items():
        rule = rules.get(point)
        unit = rule.unit if rule else ""
        wrong = check_setpoints(point, unit, values, snapshot.horizon_steps, rule)
        if wrong is not None:
            return wrong.message
    return None


def _plan(
    manifest: PluginManifest, submission: _Submission, snapshot: Snapshot, limits: HostLimits
) -> Plan:
    return Plan(
        source=f"plugin:{manifest.id}",
        status=SolveStatus.OPTIMAL,
        start=snapshot.as_of,
        step_s=snapshot.step_s,
        setpoints=submission.points,
        notes=(
            NO_SOLVER,
            f"{manifest.author} says, confidence {submission.confidence:g}: "
            + plain_text(submission.rationale, limits.text_chars),
            f"component {manifest.component}",
        ),
    )
