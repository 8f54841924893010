"""The composition root: which adapter stands behind which port is decided here and nowhere else."""

from datetime import datetime, timedelta
from pathlib import Path

from agents.ports import Dispatcher
from agents.snapshot_builder import SiteContext
from agents.telemetry_feed import TelemetryFeed
from api.copilot import Authority, Copilot, Plant
from api.gate_port import GatePort
from api.operations import Operations
from api.proposals import ProposalDesk
from api.workspace import Workspace
from graph.errors import InputError
from graph.plant import PlantReader
from graph.sitepack import SitePack, load_site
from graph.telemetry import Frame
from safety.event_store import LifecycleStore
from safety.ledger import Ledger
from sandbox.parameters import TwinParameters, load_parameters
from sandbox.twin import make_twin


def load_context(folder: Path, twin: TwinParameters | None = None) -> tuple[SitePack, SiteContext]:
    """The pack and its twin, the pack's own unless given. Raises SitePackError or InputError."""
    pack = load_site(folder)
    parameters = twin or load_parameters(pack.file(pack.site.twin.parameters))
    context = SiteContext(pack.site, pack.digest, make_twin(pack.site, parameters), pack.carbon)
    return pack, context


def recorded_before(pack: SitePack, start: datetime) -> Frame:
    """The pack's telemetry up to `start`: what somebody could know then."""
    frame = pack.telemetry()
    return frame.window(frame.start - timedelta(seconds=frame.step_s), start)


def make_plant(folder: Path, reader: PlantReader) -> Plant:
    """The site, its twin and its telemetry, read through `reader`."""
    pack, context = load_context(folder)
    return Plant(pack, context, reader, TelemetryFeed(pack.site, pack.telemetry()))


def make_authority(workspace: Workspace, origin: str) -> Authority:
    """The service's key, the root of trust and the ledger of a workspace."""
    ledger = Ledger(workspace.ledger_file, f"pilothouse/{origin}", workspace.signer("ledger"))
    return Authority(workspace, workspace.root(), workspace.signer("service"), ledger)


def make_operations(
    plant: Plant, workspace: Workspace, dispatcher: Dispatcher, gate: GatePort | None
) -> Operations:
    """One site's service."""
    authority = make_authority(workspace, plant.pack.site.id)
    copilot = Copilot(plant, authority, dispatcher, gate)
    return Operations(copilot, ProposalDesk(copilot, LifecycleStore(workspace.state_url)))


def make_dispatcher(kind: str) -> Dispatcher:
    """`ray` for actors (it starts in the background), `inprocess` for one process."""
    if kind == "ray":
        from agents.ray_dispatch import RayDispatcher

        return RayDispatcher()
    if kind == "inprocess":
        from agents.inprocess_dispatch import InProcessDispatcher

        return InProcessDispatcher()
    raise InputError(f"unknown dispatcher {kind!r}", "ray or inprocess")


def opcua_reader(plant_endpoint: str, pack: SitePack) -> PlantReader:
    """A reader over OPC UA; it holds nothing that can write."""
    from safety.gate.opcua_plant import OpcUaReader

    site = pack.site
    return OpcUaReader(
        plant_endpoint,
        site.plant.namespace,
        [s.id for s in site.signals],
        [s.id for s in site.setpoints],
    )
