"""Runs a plugin before anybody has signed it, on an image of recorded telemetry."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from graph.plan import Plan
from graph.site import Site
from graph.snapshot import Snapshot
from plugins.host import PluginHost
from plugins.limits import HostLimits
from plugins.manifest import Asks, grant_all
from plugins.outcome import PluginRun
from plugins.package import Package
from plugins.submission import plain_text

TEXT_CHARS = 700  # a rationale at its longest, with its author


def recorded_snapshot(folder: Path, at: str | None, hours: float) -> tuple[Site, Snapshot]:
    """The site and its image at `at` (None: the end of its telemetry), `hours` ahead.

    Raises:
        InputError: no telemetry for that time, or the pack cannot be read.
    """
    from agents.snapshot_builder import build_snapshot
    from agents.telemetry_feed import TelemetryFeed
    from api.assemble import load_context
    from api.offline import RecordedPlant, pick_time

    pack, context = load_context(folder)
    frame = pack.telemetry()
    reader = RecordedPlant(pack.site, frame, pick_time(pack, at, frame))
    past = frame.window(frame.start - timedelta(seconds=frame.step_s), reader.at)
    steps = max(1, int(hours * 3600 // pack.site.step_s))
    return pack.site, build_snapshot(context, reader.read(), TelemetryFeed(pack.site, past), steps)


def rehearse(package: Package, snapshot: Snapshot, site: Site, seed: int = 0) -> PluginRun:
    """One run with everything granted that the manifest asks for.

    The host takes no unsigned plugin, so it gets a signature that only this call's own root
    believes: a fresh laboratory key, gone when the call returns.

    Raises:
        RefusedError: the component does not load, or imports what it may not.
    """
    from graph.clock import SystemClock
    from plugins.signatures import sign_manifest, trusted_by
    from safety.keys import lab_signer
    from safety.trust_root import make_root

    signer = lab_signer("rehearsal")
    root = make_root({"engineer": [signer]}, SystemClock().now() + timedelta(hours=1))
    manifest = package.manifest
    with PluginHost(trusted_by(root, 1), HostLimits()) as host:
        host.install(sign_manifest(manifest, signer), package.component, grant_all(manifest))
        return host.run(manifest.name, snapshot, site, seed)


def run_text(asks: Asks, run: PluginRun, site: Site) -> str:
    """What a plugin asked for, used and proposed, for people."""
    calls = ", ".join(f"{name} {n}" for name, n in sorted(run.calls.items())) or "none"
    fuel = "unknown" if run.fuel_used is None else f"{run.fuel_used:,}"
    lines = [
        asks_text(asks),
        f"used: fuel {fuel} of {asks.fuel:,}; host calls: {calls}",
        *(f"log {line.severity}: {line.message}" for line in run.log),
        *(f"refused: {reason}" for reason in run.refusals),
        *(line for plan in run.plans for line in _plan_lines(plan, site)),
    ]
    end = run.outcome.value + (f": {run.detail}" if run.detail else "")
    if not run.outcome.failed and not run.plans:
        end += " (no proposal)"
    return "\n".join([*lines, end])


def asks_text(asks: Asks) -> str:
    """Capabilities on one line."""
    reads, points = ", ".join(asks.telemetry), ", ".join(asks.points)
    may = f"asks: read {reads or 'nothing'}; propose for {points or 'nothing'}"
    return f"{may}; fuel {asks.fuel:,}; memory {asks.memory_mib} MiB"


def _plan_lines(plan: Plan, site: Site) -> list[str]:
    lines = [f"proposes: {plain_text(plan.notes[1], TEXT_CHARS)}"]
    for point, values in plan.setpoints.items():
        changes = sum(a != b for a, b in pairwise(values))
        lines.append(
            f"  {point}: {min(values):g} to {max(values):g} {site.signal(point).unit}, "
            f"mean {sum(values) / len(values):.3g}, {changes} changes in {len(values)} steps"
        )
    return lines


def run_document(asks: Asks, run: PluginRun, snapshot: Snapshot) -> Mapping[str, Any]:
    """The same as JSON."""
    return {
        "plugin": run.plugin,
        "asks": asks.model_dump(mode="json"),
        "site": snapshot.site_id,
        "as_of": snapshot.as_of.isoformat(),
        "steps": snapshot.horizon_steps,
        "run": run.model_dump(mode="json"),
    }
