"""What the rows of every comparison share: who runs, who does not and why, and how long it took."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from api.bench_figure import Figure
from api.peers.peer_list import Peer, Places, open_peer
from api.peers.peer_process import PeerError, PeerProcess
from graph.errors import UnavailableError

START_LIMIT_S = 180.0
NAN = float("nan")


def told(
    peers: tuple[Peer, ...],
    places: Places,
    statement: Mapping[str, Any],
    stack: ExitStack,
    check: Callable[[Mapping[str, Any]], None] | None = None,
) -> tuple[dict[str, PeerProcess], dict[str, str]]:
    """The planners that run, by name and version, told the problem; and of the others, why not.

    `check` raises PeerError where what a planner says of itself shows another problem.
    """
    running: dict[str, PeerProcess] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            process = stack.enter_context(open_peer(peer, places))
            about = process.ask(dict(statement), START_LIMIT_S)
            if check is not None:
                check(about)
        except (UnavailableError, PeerError) as error:
            missing[peer.name] = f"does not run: {error}"
            continue
        running[f"{peer.name} {str(about.get('version', ''))[:20]}".strip()] = process
    return running, missing


def missing_rows(what: str, missing: Mapping[str, str], unit: str) -> list[Figure]:
    """A row for each planner that did not run."""
    return [Figure(f"{what}: {name}", NAN, unit, note=why) for name, why in missing.items()]


def time_row(title: str, cpu_ms: list[float], wall_ms: list[float], target: float | None) -> Figure:
    """Median processor time of a plan after the first; NaN of a single one."""
    if len(cpu_ms) < 2:
        return Figure(f"{title}: a plan", NAN, "ms", note="too few plans to say")
    later = np.array(cpu_ms[1:])
    note = (f"p95 {np.percentile(later, 95):.1f}, first {cpu_ms[0]:.0f}; "
            f"on the clock {np.median(wall_ms[1:]):.1f}")  # fmt: skip
    return Figure(f"{title}: a plan", float(np.median(later)), "ms", target, note=note)
