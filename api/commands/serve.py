"""`pilothouse serve`: the HTTP service of one site."""

import logging
import threading
from pathlib import Path

import click

from api.cli import emit

log = logging.getLogger(__name__)
BEAT_S = 1.0
TICK_S = 15.0


@click.command()
@click.option("--site", "folder", type=click.Path(exists=True, path_type=Path), default=None,
              help="Site pack; the demonstration's microgrid if absent.")  # fmt: skip
@click.option("--workspace", "workspace_folder", required=True, type=click.Path(path_type=Path),
              help="Keys, ledger and state; make one with `pilothouse keys init`.")  # fmt: skip
@click.option("--endpoint", default=None, help="The plant's OPC UA endpoint (default: the site's).")
@click.option("--gate", "gate_url", default=None, help="https://host:port of the gate; without one "
              "the service runs in shadow.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True)
@click.option("--dispatcher", type=click.Choice(["ray", "inprocess"]), default="ray",
              show_default=True)  # fmt: skip
@click.option("--lab", is_flag=True, help="Laboratory: plant time is stepped over the API.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when starting.")
def serve(
    folder: Path | None, workspace_folder: Path, endpoint: str | None, gate_url: str | None,
    host: str, port: int, dispatcher: str, lab: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the service. On the first run the admin's password is printed once.

    It comes up in SHADOW whatever was before: a person sets the loops' modes.
    """
    import uvicorn

    from api.app import Service, make_app
    from api.assemble import (
        make_dispatcher,
        make_operations,
        make_plant,
        opcua_reader,
    )
    from api.auth import Tokens, UserStore
    from api.gate_setup import service_tls
    from api.sites import DEMO_SITE
    from api.workspace import open_workspace
    from graph.sitepack import load_site
    from safety.gate.client import GateClient

    workspace = open_workspace(workspace_folder)
    agents = make_dispatcher(dispatcher)  # starts in the background
    site_folder = folder or DEMO_SITE
    pack = load_site(site_folder)
    reader = opcua_reader(endpoint or pack.site.plant.endpoint, pack)
    gate = GateClient(gate_url, service_tls(workspace)) if gate_url else None
    operations = make_operations(make_plant(site_folder, reader), workspace, agents, gate)
    operations.recover()
    users = UserStore(workspace.users_file)
    secret = users.first_run_secret()
    document = {"url": f"http://{host}:{port}", "site": pack.site.id, "admin_password": secret}
    text = f"{pack.site.name}: http://{host}:{port}"
    if secret:
        text += f"\nfirst run: user admin, password {secret} (shown once)"
    emit(document, as_json, text)
    ended = threading.Event()
    _background(operations, ended, lab)
    app = make_app(Service(operations, users, Tokens(), lab))
    try:
        uvicorn.run(app, host=host, port=port, log_level="warning")
    finally:
        ended.set()
        operations.close()
        agents.close()


def _background(operations: object, ended: threading.Event, lab: bool) -> None:
    """Heartbeat to the gate each second; in real time also what is due, every 15 s."""
    from api.operations import Operations

    assert isinstance(operations, Operations)

    def beat() -> None:
        while not ended.wait(BEAT_S):
            try:
                if operations.copilot.gate is not None:
                    operations.copilot.gate.heartbeat()
            except Exception as error:  # the gate acts by itself when it does not hear from us
                log.warning("heartbeat: %s", error)

    def tick() -> None:
        while not ended.wait(TICK_S):
            try:
                operations.tick()
            except Exception:
                log.exception("tick failed; the plan in force goes on")

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    if not lab:
        threading.Thread(target=tick, name="tick", daemon=True).start()
