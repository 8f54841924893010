"""Asks a workspace's plugins for candidates. What they propose goes the way of every other plan."""

import atexit
import logging
import threading
from functools import cache
from pathlib import Path
from typing import Any

from api.installed_plugins import load_plugin, newest, trust_of
from api.workspace import Workspace
from graph.clock import Clock
from graph.errors import PilothouseError, UnavailableError
from graph.plan import Plan
from graph.site import Site
from graph.snapshot import Snapshot
from plugins.host import PluginHost
from plugins.limits import HostLimits
from plugins.outcome import Outcome

log = logging.getLogger(__name__)


class PluginStore:
    """Asks a workspace's plugins for advice. Processes start with the first question and are kept;
    what is installed, replaced or removed meanwhile is noticed before the next. Thread safe.
    """

    def __init__(self, workspace: Workspace, clock: Clock | None = None) -> None:
        self._workspace, self._clock = workspace, clock
        self._limits = HostLimits()
        # The host asks again whenever it installs, so a new root counts at once.
        self._host = PluginHost(lambda e: trust_of(workspace, clock)(e), self._limits)
        self._marks: dict[str, Any] = {}  # by name: which files were taken or refused
        self._refused: dict[str, str] = {}
        self._lock = threading.Lock()

    def plans(self, snapshot: Snapshot, site: Site) -> tuple[Plan, ...]:
        """Every plugin's proposals, in the order of their names. One that fails is named in the
        log and left out: advice that is missing must not stop a decision.
        """
        with self._lock:
            names = self._refresh()
            return tuple(plan for name in names for plan in self._ask(name, snapshot, site))

    def close(self) -> None:
        """End the plugins' processes."""
        with self._lock:
            self._host.close()
            self._marks.clear()
            self._refused.clear()

    def _ask(self, name: str, snapshot: Snapshot, site: Site) -> tuple[Plan, ...]:
        try:
            run = self._host.run(name, snapshot, site)
        except (PilothouseError, OSError) as error:
            log.warning("plugin %s left out: %s", name, error)
            return ()
        if run.outcome is not Outcome.OK:
            level = logging.INFO if run.outcome is Outcome.DECLINED else logging.WARNING
            log.log(level, "plugin %s left out: %s: %s", run.plugin, run.outcome, run.detail)
        return run.plans

    def _refresh(self) -> list[str]:
        """Bring the host up to date with the folder; returns who can be asked."""
        wanted = newest(self._workspace)
        for name in self._marks.keys() - wanted.keys():
            self._forget(name)
        if not wanted:
            return []
        try:
            trust_of(self._workspace, self._clock)
        except PilothouseError as error:
            log.warning("no plugin is asked: %s", error)
            return []
        for name, folder in wanted.items():
            self._take(name, folder)
        for name, reason in self._refused.items():
            log.warning("plugin %s left out: %s", name, reason)
        return sorted(self._marks.keys() - self._refused.keys())

    def _take(self, name: str, folder: Path) -> None:
        try:
            mark = _mark(self._workspace.root_file, folder)
            if self._marks.get(name) == mark:
                return
            self._forget(name)
            stored = load_plugin(folder, trust_of(self._workspace, self._clock), self._limits)
            self._host.install(stored.envelope, stored.component, stored.grant)
        except (UnavailableError, OSError) as error:  # not the plugin's fault: tried again
            log.warning("plugin %s left out: %s", name, error)
            return
        except PilothouseError as error:
            self._refused[name] = str(error)
        self._marks[name] = mark

    def _forget(self, name: str) -> None:
        if self._marks.pop(name, None) is not None and self._refused.pop(name, None) is None:
            self._host.remove(name)


@cache
def store_of(folder: Path) -> PluginStore:
    """The store of the workspace in `folder`: one a process, so that plugins are compiled once."""
    store = PluginStore(Workspace(folder))
    atexit.register(store.close)
    return store


def plans_from_plugins(workspace: Workspace, snapshot: Snapshot, site: Site) -> tuple[Plan, ...]:
    """What the workspace's plugins propose for `snapshot`; empty without any. Never raises for a
    plugin's failure: it is named in the log and skipped.
    """
    return store_of(workspace.folder.resolve()).plans(snapshot, site)


def _mark(*paths: Path) -> tuple[Any, ...]:
    """What changes when a file under `paths` is replaced or touched."""
    files = [f for p in paths for f in ((p,) if p.is_file() else sorted(p.glob("*")))]
    stats = ((f.name, f.stat()) for f in files)
    return (*(str(p) for p in paths), *((n, s.st_mtime_ns, s.st_size, s.st_ino) for n, s in stats))
