"""`pilothouse plant`: run a site's emulated or simulated plant."""

import threading
from pathlib import Path

import click

from api.times import parse_local


@click.command()
@click.option("--site", "folder", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--port", default=4840, show_default=True)
@click.option("--start", required=True, help="Plant time at the start (the site's zone if none).")
@click.option("--seed", default=1, show_default=True, help="Of disturbances and noise.")
@click.option("--log", "log_path", type=click.Path(path_type=Path), default=None,
              help="Write the plant's own log here at the end (CSV).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def plant(
    folder: Path, port: int, start: str, seed: int, log_path: Path | None, as_json: bool
) -> None:
    """Serve the emulated or simulated plant of a site over OPC UA until it is stopped.

    Its time moves only when it is told to. It has a watchdog and a local/remote switch of its own.
    """
    from api.cli import emit
    from api.signals import stop_on_signals
    from graph.sitepack import load_site
    from scenarios.opcua_server import serve

    pack = load_site(folder)
    begin = parse_local(start, pack.site.time_zone)
    stop = threading.Event()
    stop_on_signals(stop)

    def ready(*_: object) -> None:
        emit({"ready": True, "port": port}, as_json, f"serving {pack.site.id} on port {port}")

    serve(folder, port, begin, seed, log_path, stop, ready)
