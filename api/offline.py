"""Asking without a service: what would be proposed on a pack's recorded telemetry. Nothing is
signed, and there is no gate to hand anything to.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agents.decision import Decision, World, decide
from agents.inprocess_dispatch import InProcessDispatcher
from agents.proposal_builder import ProposalFrame
from agents.snapshot_builder import SiteContext, build_snapshot
from agents.telemetry_feed import TelemetryFeed
from api.assemble import load_context
from api.second_reader import configured_reader
from api.sites import DEMO_SITE
from api.times import parse_local
from graph.intent import Intent
from graph.plant import PlantReader, Readings
from graph.sitepack import SitePack
from graph.snapshot import Snapshot
from graph.telemetry import Frame
from planner.intent.second_reader import read_twice
from safety.policy import declared_rules, with_core
from scenarios.recorded_plant import RecordedPlant as RecordedPlant


@dataclass(frozen=True)
class OfflineDecision:
    """A decision with words for a terminal."""

    decision: Decision

    @property
    def proposal(self) -> Any:
        """The unsigned proposal, or None."""
        return self.decision.proposal

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return self.decision.model_dump(mode="json")

    def text(self) -> str:
        """For people."""
        d = self.decision
        lines = [d.reading.restatement, *(f"please say: {q}" for q in d.reading.questions)]
        lines += [f"{d.outcome}: {r}" for r in d.reasons]
        if d.proposal is not None:
            lines += [f"because: {b.text}" for b in d.proposal.causal.because]
            delta = d.proposal.sandbox_results.shadow.kpi_delta
            lines += [f"{k}: {e.mean:+.2f} ({e.low:+.2f} to {e.high:+.2f}) {e.unit}"
                      for k, e in delta.items()]  # fmt: skip
            lines.append("not signed: no service was asked")
        return "\n".join(lines)


def pick_time(pack: SitePack, at: str | None, frame: Frame) -> datetime:
    """The given time on the pack's grid, or the last one that telemetry covers."""
    if at is None:
        return frame.end
    when = parse_local(at, pack.site.time_zone)
    step = pack.site.step_s
    return when - timedelta(seconds=(when.timestamp() % step))


def offline_decision(
    text: str, folder: Path | None, at: str | None, futures: int | None, seed: int
) -> OfflineDecision:
    """The whole decision on recorded telemetry, in this process."""
    pack, context = load_context(folder or DEMO_SITE)
    frame = pack.telemetry()
    reader = RecordedPlant(pack.site, frame, pick_time(pack, at, frame))
    return OfflineDecision(decide_recorded(pack, context, reader, frame, text, futures, seed))


def recorded_world(pack: SitePack, context: SiteContext) -> World:
    """What a decision on recorded telemetry stands on besides its snapshot."""
    policies = with_core(pack.policies)
    return World(pack.site, context.twin, policies, declared_rules(policies))


def recorded_snapshot(
    pack: SitePack, context: SiteContext, image: Readings, frame: Frame, intent: Intent
) -> Snapshot:
    """The snapshot at `image`'s time, with what was known of `frame` by then."""
    past = frame.window(frame.start - timedelta(seconds=frame.step_s), image.time)
    seconds = min(max((intent.end - image.time).total_seconds(), 86_400), 172_800)
    feed = TelemetryFeed(pack.site, past)
    return build_snapshot(context, image, feed, int(seconds // pack.site.step_s))


def decide_recorded(
    pack: SitePack, context: SiteContext, reader: PlantReader, frame: Frame, text: str,
    futures: int | None, seed: int,
) -> Decision:  # fmt: skip
    """One decision at the plant's present moment, with what was known of `frame` by then."""
    image = reader.read()
    reading = read_twice(text, pack.site, image.time, "operator", configured_reader())
    if reading.intent is None:
        return Decision(outcome="needs_answer", reasons=reading.questions, reading=reading)
    snapshot = recorded_snapshot(pack, context, image, frame, reading.intent)
    world = recorded_world(pack, context)
    autonomy = pack.site.autonomy
    end = min(reading.intent.end, image.time + timedelta(seconds=autonomy.proposal_valid_s))
    frame_of = ProposalFrame(
        id=f"{pack.site.id}-shadow", seq=0, nonce="0" * 32, not_before=image.time, expires=end,
        decide_by=min(end, image.time + timedelta(seconds=autonomy.decision_deadline_s)),
        seed=seed, mode="shadow",
    )  # fmt: skip
    return decide(
        world, snapshot, reading, frame_of, InProcessDispatcher(), futures or autonomy.futures
    )
