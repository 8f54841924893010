"""`python -m scenarios.emulated_microgrid`: serve the emulated plant over OPC UA."""

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from graph.errors import PilothouseError
from graph.record import parse_iso
from graph.sitepack import load_site
from scenarios.opcua_server import default_start, serve


def main() -> int:
    """Serve until interrupted. Exit code 2 for wrong input."""
    parser = argparse.ArgumentParser(description="Serve the emulated microgrid over OPC UA.")
    parser.add_argument("--site", type=Path, default=Path(__file__).parents[1] / "microgrid")
    parser.add_argument("--port", type=int, help="default: the port of the site's endpoint")
    parser.add_argument("--start", help="plant time, e.g. 2026-01-20T00:00:00-08:00")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--speed",
        type=float,
        default=0.0,
        help="plant seconds a wall second; 0: only the method advance moves time",
    )
    parser.add_argument("--watchdog-s", type=float, default=10.0)
    parser.add_argument("--log", type=Path, help="write the plant's log here on exit")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    try:
        start = parse_iso(given.start) if given.start else default_start(load_site(given.site).site)
        serve(
            given.site, given.port, start, given.seed, given.log, stop,
            lambda endpoint: print(f"serving {endpoint}", flush=True),
            watchdog_s=given.watchdog_s, speed=given.speed,
        )  # fmt: skip
    except (PilothouseError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
