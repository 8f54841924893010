"""`pilothouse gate`: run the gate beside the plant."""

import threading
from pathlib import Path

import click

from api.cli import emit
from graph.errors import InputError


@click.command()
@click.option("--config", type=click.Path(exists=True, path_type=Path), default=None,
              help="The gate's own file.")  # fmt: skip
@click.option("--init", "site_folder", type=click.Path(exists=True, path_type=Path), default=None,
              help="Write a first file for this site into the workspace, and stop.")  # fmt: skip
@click.option("--workspace", type=click.Path(path_type=Path), default=None)
@click.option("--port", default=8471, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def gate(
    config: Path | None, site_folder: Path | None, workspace: Path | None, port: int, as_json: bool
) -> None:
    """Run the gate: the only process that can write to the plant.

    It comes up in SHADOW, takes nothing but verified bundles, and gives everything back when told
    to stop.
    """
    if site_folder is not None and workspace is not None:
        _init(site_folder, workspace, port, as_json)
        return
    if config is None:
        raise InputError("which gate?", "give --config FILE, or --init SITE --workspace FOLDER")
    from api.signals import stop_on_signals
    from safety.gate.server import serve_gate

    stop = threading.Event()
    stop_on_signals(stop)
    serve_gate(
        config,
        lambda port: emit({"ready": True, "port": port}, as_json, f"gate listens on port {port}"),
        stop,
    )


def _init(site_folder: Path, folder: Path, port: int, as_json: bool) -> None:
    from api.gate_setup import setup_gate
    from api.workspace import open_workspace
    from graph.sitepack import load_site

    pack = load_site(site_folder)
    file = setup_gate(
        open_workspace(folder), pack, port=port, endpoint=pack.site.plant.endpoint, lab=False,
        stepped=False,
    )  # fmt: skip
    emit({"file": str(file)}, as_json, f"wrote {file}: review its limits before you run it")
