"""A past decision over again with something else: another sentence, another plan, other futures.

1. The bundle is verified; what is not authentic is not taken up again.
2. The decision is made again from its own snapshot, which gives the plan beyond the stretch that
   was signed.
3. Its plan and the other one meet the same futures; what differs is told with interval and p-value.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agents.decision import Decision
from api.replay import decide_again, recorded_reading, recorded_world
from graph.canonical import strict_loads
from graph.errors import InputError, RefusedError, first_error
from graph.plan import Plan
from graph.snapshot import Snapshot
from safety.trust_root import TrustRoot
from safety.verify import verify_bundle
from sandbox.ab import Comparison, compare_plans, comparison_text


@dataclass(frozen=True)
class Counterfactual:
    """What was decided beside what else might have been."""

    seed: int
    futures: int
    restatement: str
    outcome: str
    comparison: Comparison

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seed": self.seed, "futures": self.futures, "restatement": self.restatement,
            "outcome": self.outcome, **self.comparison.model_dump(mode="json"),
        }  # fmt: skip

    def text(self) -> str:
        """For a terminal."""
        lines = [self.restatement] if self.restatement else []
        lines += [f"that would have ended as: {self.outcome}"] if self.outcome else []
        return "\n".join([*lines, comparison_text(self.comparison)])


def counterfactual(
    data: bytes, root: TrustRoot, sentence: str | None, plan_file: Path | None, seed: int | None
) -> Counterfactual:
    """The decision in the bundle against one with `sentence`, or the plan in `plan_file`.

    With neither, against doing nothing. seed: of the futures; None takes those of the decision.

    Raises:
        IntegrityError: the bundle does not verify.
        InputError: both are given, the sentence raises a question, or the file holds no plan.
        RefusedError: the other sentence leads to no plan.
    """
    if sentence is not None and plan_file is not None:
        raise InputError("a sentence and a plan", "give --with-intent or --plan, not both")
    contents = verify_bundle(data, root, now=None, require_approval=False).require()
    signed, world = contents.proposal, recorded_world(contents.bundle.attachments)
    snapshot = Snapshot.model_validate(contents.bundle.attachments.snapshot)
    shadow = signed.sandbox_results.shadow
    futures = shadow.asked or shadow.futures
    was = decide_again(world, snapshot, signed, recorded_reading(world, snapshot, signed))
    taken = chosen_plan(was)
    if taken is None:
        raise RefusedError("not_replayed", f"made again, the decision ended as {was.outcome}")
    restatement, outcome, other = "", "", None
    if sentence is not None:
        reading = recorded_reading(world, snapshot, signed, sentence)
        if reading.intent is None:
            raise InputError("; ".join(reading.questions), "say it as an intent, e.g. with `ask`")
        would = decide_again(world, snapshot, signed, reading)
        restatement, outcome, other = reading.restatement, would.outcome, chosen_plan(would)
        if other is None:
            raise RefusedError("no_plan", f"{would.outcome}: {'; '.join(would.reasons)}")
        other = other.model_copy(update={"source": "with the other sentence"})
    elif plan_file is not None:
        other = read_plan(plan_file, snapshot)
    drawn = signed.provenance.seeds["futures"] if seed is None else seed
    found = compare_plans(
        world.site, world.twin, snapshot, taken.model_copy(update={"source": "as decided"}), other,
        futures, drawn,
    )  # fmt: skip
    return Counterfactual(drawn, futures, restatement, outcome, found)


def chosen_plan(decision: Decision) -> Plan | None:
    """The plan that the decision tried; None when none came so far."""
    if decision.shadow is None:
        return None
    source = decision.shadow.candidate
    known = {p.source: p for p in decision.plans}
    if source in known:
        return known[source]
    whole = known.get(source.rsplit("/", 1)[0])
    if whole is None:
        return None
    # A part of a plan keeps only the batteries' points (see `candidates.electric_part`).
    kept = {p: v for p, v in whole.setpoints.items() if p.startswith("battery")}
    return whole.model_copy(update={"setpoints": kept, "source": source})


def read_plan(path: Path, snapshot: Snapshot) -> Plan:
    """Setpoint trajectories from a JSON file: {point: [value of each step from the decision on]}.

    A whole plan (as `ask --json` prints it) is taken, too.
    """
    document = strict_loads(path.read_bytes())
    if not isinstance(document, dict):
        raise InputError(f"{path} holds no plan", "expected an object: point -> list of values")
    if "setpoints" not in document:
        document = {"setpoints": document}
    given = {
        "source": path.stem, "status": "optimal", "start": snapshot.as_of,
        "step_s": snapshot.step_s,
    }  # fmt: skip
    try:
        return Plan.model_validate(given | document)
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}", "point -> list of values") from error
