"""Installs plugins and asks them for advice: one process each, nothing of theirs is believed."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from graph.errors import RefusedError
from graph.plan import Plan
from graph.site import Site
from graph.snapshot import Snapshot
from plugins.admission import OpenManifest, admit
from plugins.answers import make_run, read_plans
from plugins.frames import pack, pack_json
from plugins.guest_error import GuestError
from plugins.inputs import point_rules, run_context, run_inputs
from plugins.limits import MIB, HostLimits
from plugins.manifest import Grant, PluginManifest, offered_interfaces
from plugins.outcome import Outcome, PluginRun
from plugins.worker_process import WorkerProcess

_log = logging.getLogger(__name__)
_NO_INPUTS = {"units": {}, "telemetry": [], "rules": {}, "now": 0.0, "steps": 0}


@dataclass
class _Installed:
    manifest: PluginManifest
    grant: Grant
    component: bytes
    worker: WorkerProcess
    lock: threading.Lock = field(default_factory=threading.Lock)
    failures: int = 0
    quarantine: str = ""


def _end(plugin: _Installed) -> None:
    with plugin.lock:
        # A call that waits for the lock must not start the process again.
        plugin.quarantine = "replaced or removed while the call waited"
        plugin.worker.kill()


class PluginHost:
    """Holds the installed plugins. Thread-safe; close it (or use `with`) to end their processes."""

    def __init__(self, open_manifest: OpenManifest, limits: HostLimits) -> None:
        self._open_manifest = open_manifest
        self._limits = limits
        self._plugins: dict[str, _Installed] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def install(
        self, envelope: Mapping[str, Any], component: bytes, grant: Grant
    ) -> PluginManifest:
        """Admit a plugin, compile it in its own process and hear who it says it is.

        An installed version of the same name is replaced once the new one has passed.

        Raises:
            RefusedError: which of the checks of `admit` or of the component's inside said no.
        """
        manifest = admit(envelope, component, grant, self._open_manifest, self._limits)
        plugin = _Installed(manifest, grant, component, WorkerProcess(self._limits.reply_bytes))
        try:
            self._load(plugin)
            self._check_describe(plugin)
        except GuestError as error:
            plugin.worker.kill()
            raise RefusedError(error.outcome, f"{manifest.id}: {error.reason}") from error
        except BaseException:
            plugin.worker.kill()
            raise
        with self._lock:
            old = self._plugins.pop(manifest.name, None)
            self._plugins[manifest.name] = plugin
        if old is not None:
            _end(old)
        return manifest

    def installed(self) -> tuple[PluginManifest, ...]:
        """The manifests, by name."""
        with self._lock:
            return tuple(self._plugins[name].manifest for name in sorted(self._plugins))

    def process_id(self, name: str) -> int:
        """The process that a plugin runs in. Raises RefusedError if it is not installed."""
        return self._find(name).worker.pid

    def remove(self, name: str) -> None:
        """End a plugin. Raises RefusedError for one that is not installed."""
        plugin = self._find(name)
        with self._lock:
            self._plugins.pop(name, None)
        _end(plugin)

    def propose(self, name: str, snapshot: Snapshot, site: Site, seed: int = 0) -> list[Plan]:
        """The plans of one call; empty when it failed, which is logged. See `run`."""
        run = self.run(name, snapshot, site, seed)
        if run.outcome is not Outcome.OK:
            _log.warning("plugin %s: %s: %s", run.plugin, run.outcome, run.detail)
        return list(run.plans)

    def run(self, name: str, snapshot: Snapshot, site: Site, seed: int = 0) -> PluginRun:
        """Ask the plugin once, and account for all that it did. Never raises for what it does.

        The same snapshot, seed, component and grant give the same record, unless wall time ran out.
        """
        plugin = self._find(name)
        with plugin.lock:
            if plugin.quarantine:
                return make_run(plugin.manifest, Outcome.REFUSED, plugin.quarantine)
            run = self._run(plugin, snapshot, site, seed)
            plugin.failures = plugin.failures + 1 if run.outcome.failed else 0
            if plugin.failures >= self._limits.failures_to_quarantine:
                plugin.quarantine = (
                    f"in quarantine after {plugin.failures} failures, "
                    f"the last: {run.outcome}: {run.detail}"
                )
                plugin.worker.kill()
            return run

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            plugins = list(self._plugins.values())
            self._plugins.clear()
        for plugin in plugins:
            _end(plugin)

    def _find(self, name: str) -> _Installed:
        with self._lock:
            found = self._plugins.get(name)
        if found is None:
            raise RefusedError("unknown_plugin", f"no plugin {name!r} is installed")
        return found

    def _load(self, plugin: _Installed) -> None:
        grant = plugin.grant
        request = {
            "op": "load",
            "limits": self._limits.as_json(),
            "offered": sorted(offered_interfaces(grant)),
            "fuel": grant.fuel,
            "memory_bytes": grant.memory_mib * MIB,
        }
        frames = pack_json(request) + pack(plugin.component)
        self._demand_ok(plugin.worker.request(frames, self._limits.admission_s))

    def _check_describe(self, plugin: _Installed) -> None:
        answer = self._call(plugin, {"op": "describe", "inputs": _NO_INPUTS})
        self._demand_ok(answer)
        said, signed = (answer.get("name"), answer.get("version")), plugin.manifest
        if said != (signed.name, signed.version):
            raise GuestError("refused", f"it says it is {said[0]!r} version {said[1]!r}")

    @staticmethod
    def _demand_ok(answer: dict[str, Any]) -> None:
        outcome = str(answer.get("outcome"))
        if outcome not in set(Outcome):
            raise GuestError("bad_output", "an answer without an outcome")
        if outcome != Outcome.OK:
            raise GuestError(outcome, str(answer.get("detail")))

    def _call(self, plugin: _Installed, request: dict[str, Any]) -> dict[str, Any]:
        within_s = self._limits.guest_s + self._limits.grace_s
        return plugin.worker.request(pack_json(request), within_s)

    def _run(self, plugin: _Installed, snapshot: Snapshot, site: Site, seed: int) -> PluginRun:
        request = {
            "op": "propose",
            "inputs": run_inputs(snapshot, site, plugin.grant),
            "context": run_context(snapshot, site, seed),
        }
        try:
            if not plugin.worker.alive:
                plugin.worker.kill()
                plugin.worker = WorkerProcess(self._limits.reply_bytes)
                self._load(plugin)
            answer = self._call(plugin, request)
            rules = point_rules(snapshot, site, plugin.grant)
            return read_plans(plugin.manifest, answer, snapshot, rules, self._limits)
        except GuestError as error:
            return make_run(plugin.manifest, Outcome(error.outcome), error.reason)
