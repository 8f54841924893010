"""The whole pipeline in one process against a plant that can be stepped.

Every plan is decided, proven in the sandbox, judged, explained, signed, logged, verified by the
gate's own code and followed; only the wires are missing. The first plan is approved by a laboratory
key that says so, with leave to re-plan inside its envelope.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agents.ports import Dispatcher
from agents.telemetry_feed import TelemetryFeed
from api.approver import sign_decision, standing_for
from api.assemble import load_context, make_authority, recorded_before
from api.copilot import Copilot, Plant
from api.local_gate import DirectReader, LocalGate
from api.operations import REPLAN_S, Operations, until_replan
from api.plant_log import PlantLog
from api.proposals import ProposalDesk
from api.references import day_comfort, day_kpis, emulated, minute_log
from api.workspace import Workspace, create_workspace
from graph.errors import PilothouseError, RefusedError
from graph.record import Record
from safety.event_store import LifecycleStore
from safety.gate.config import config_from_site
from safety.lifecycle import State
from sandbox.parameters import TwinParameters

Say = Callable[[str], None]
SETTLE_S = 300.0


class LoopResult(Record):
    """What a closed loop came to."""

    kpis: dict[str, float]
    comfort_by_zone: dict[str, float]
    proposals: int
    by_state: dict[str, int]
    undecided: tuple[str, ...]
    missed_replans: tuple[str, ...]
    rollbacks: tuple[str, ...]


@dataclass
class Loop:
    """One site, its plant and its copilot in one process."""

    operations: Operations
    plant: Any
    workspace: Workspace
    log_end: datetime

    def approve(self, proposal_id: str, until: datetime) -> State | None:
        """Sign with the laboratory key, with standing leave until `until`."""
        operations, workspace = self.operations, self.workspace
        entry = operations.desk.entry(proposal_id)
        signer = workspace.signer("lab-approver")
        image = operations.copilot.observe()
        state: State | None = None
        for role in entry.proposal.required_approvals.roles:
            envelope = sign_decision(
                entry.proposal, signer, "approve", role, "laboratory run", image.time,
                standing_for(entry.proposal, until),
            )  # fmt: skip
            state = operations.desk.approve(proposal_id, envelope, image).state
        if state is State.ROLLING_OUT:
            operations.engage(proposal_id)
        return state


def open_loop(
    folder: Path, start: datetime, seed: int, work: Path, dispatcher: Dispatcher,
    twin: TwinParameters | None = None,
) -> Loop:  # fmt: skip
    """Build plant, gate and service of a laboratory in this process.

    The service knows the recorded telemetry up to `start`, whatever the pack holds beyond.
    """
    pack, context = load_context(folder, twin)
    plant = emulated(pack, start, seed)
    workspace = create_workspace(work, lab=True)
    reader = DirectReader(plant)
    feed = TelemetryFeed(pack.site, recorded_before(pack, start))
    config = config_from_site(pack.site, stepped=True, lab=True)
    gate = LocalGate(config, plant, workspace.root(), workspace.signer("gate"), workspace.gate)
    gate.cycle_s = pack.site.plant.cycle_s
    gate.set_mode("auto", by="laboratory")
    authority = make_authority(workspace, pack.site.id)
    copilot = Copilot(Plant(pack, context, reader, feed), authority, dispatcher, gate)
    desk = ProposalDesk(copilot, LifecycleStore(workspace.state_url))
    return Loop(Operations(copilot, desk), plant, workspace, start)


def run_loop(
    loop: Loop, text: str, end: datetime, futures: int | None = None, say: Say = lambda _: None
) -> None:
    """Follow `text` until `end`: ask, approve, re-plan hourly; ask again when nothing is in force.

    The sentence is asked anew each day; between, the standing authorisation carries the plans.
    """
    operations = loop.operations
    gate = operations.copilot.gate
    assert gate is not None
    while loop.plant.time < end:
        status = gate.status()
        if status.get("phase") == "rolling_back":
            # The last order's points go back to the local law first; the next plan begins where a
            # step of the site does, else each of its changes would come a part of a step late.
            gate.advance(SETTLE_S)
            operations.tick(futures)
            gate.advance(-loop.plant.time.timestamp() % operations.copilot.site.step_s)
            status = gate.status()
        if not status.get("engaged"):
            _ask(loop, text, end, futures, say)
        gate.advance(min(until_replan(loop.plant.time), (end - loop.plant.time).total_seconds()))
        operations.tick(futures)
        say(f"{loop.plant.time.isoformat()}")
    operations.disengage()


def _ask(loop: Loop, text: str, end: datetime, futures: int | None, say: Say) -> None:
    operations = loop.operations
    decision, snapshot = operations.copilot.decide(text, "laboratory", futures=futures)
    if decision.proposal is None or snapshot is None:
        operations.undecided.append(f"{loop.plant.time.isoformat()}: {decision.outcome}: "
                                    f"{'; '.join(decision.reasons)}")  # fmt: skip
        say(operations.undecided[-1])
        return
    signed = operations.copilot.sign(decision, snapshot)
    operations.desk.open(signed)
    until = min(end, decision.proposal.compiled_intent.end)
    # Its leave ends on the hour, so that the next one begins at the same time of every day.
    until -= timedelta(seconds=until.timestamp() % REPLAN_S)
    try:
        loop.approve(signed.id, max(until, snapshot.as_of + timedelta(hours=1)))
    except (RefusedError, PilothouseError) as error:
        operations.undecided.append(f"{loop.plant.time.isoformat()}: refused: {error}")
        say(operations.undecided[-1])


def loop_result(loop: Loop, start: datetime, end: datetime) -> tuple[LoopResult, PlantLog]:
    """KPIs from the plant's own log, and how the proposals ended."""
    operations = loop.operations
    log = minute_log(loop.plant)
    states: dict[str, int] = {}
    for standing in operations.desk.lives.standings():
        states[str(standing.state)] = states.get(str(standing.state), 0) + 1
    trips = tuple(
        str(f["detail"].get("reason", "")) for f in operations.facts if f["kind"] == "rolled_back"
    )
    result = LoopResult(
        kpis=day_kpis(operations.copilot.plant.pack, log, start, end),
        comfort_by_zone=day_comfort(operations.copilot.plant.pack, log, start, end),
        proposals=len(operations.desk.entries()),
        by_state=states,
        undecided=tuple(operations.undecided),
        missed_replans=tuple(operations.missed_replans),
        rollbacks=trips,
    )
    return result, log
