"""The first configuration of a gate in a workspace: its file, its certificates, the service's."""

from pathlib import Path

from api.workspace import Workspace
from graph.sitepack import SitePack
from safety.gate.gate_file import Door, gate_file_from_site, write_gate_file
from safety.policy import declared_rules, with_core
from safety.tls import TlsFiles, issue, make_ca

SERVICE = "service"
CONSOLE = "operator-console"


def setup_gate(
    workspace: Workspace, pack: SitePack, *, port: int, endpoint: str, lab: bool, stepped: bool
) -> Path:
    """Write `gate/gate.yaml` and issue certificates. Returns the file's path.

    The file is the gate's own: after this it is reviewed and changed by people, not by the service.
    """
    site = pack.site
    rules = declared_rules(with_core(pack.policies))
    make_ca(workspace.tls)
    server = issue(workspace.tls, "gate", server=True)
    issue(workspace.tls, SERVICE, server=False)
    issue(workspace.tls, CONSOLE, server=False)
    door = Door(
        port=port,
        ca=server.ca.resolve(),
        certificate=server.certificate.resolve(),
        key=server.key.resolve(),
        root=workspace.root_file.resolve(),
        signing_key=workspace.key_file("gate").resolve(),
        passphrase_env="" if lab else "PILOTHOUSE_PASSPHRASE",
        state_dir=(workspace.gate / "state").resolve(),
        services=(SERVICE,),
        consoles=(CONSOLE,),
        required_rules=tuple(r.id for r in rules if r.hard),
    )
    here = site.model_copy(update={"plant": site.plant.model_copy(update={"endpoint": endpoint})})
    file = gate_file_from_site(here, door, lab=lab, stepped=stepped)
    target = workspace.gate / "gate.yaml"
    write_gate_file(target, file)
    return target


def service_tls(workspace: Workspace) -> TlsFiles:
    """The service's certificate for talking to the gate."""
    return TlsFiles(
        workspace.tls / "ca.pem",
        workspace.tls / f"{SERVICE}.pem",
        workspace.tls / f"{SERVICE}.key",
    )
