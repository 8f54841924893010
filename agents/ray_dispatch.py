"""Agents as Ray actors: one warm process an agent, started in the background.

A context (site, twin, snapshot) goes into the object store once and is unpacked once an actor.
An actor that dies is restarted and the call made once more: agents are pure, so that is safe; a
second death is reported. Actors get no keys, and drop what looks like a secret from their
environment.
"""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.ports import AgentContext, AgentReply, AgentRequest, Call
from agents.registry import AGENTS, THREAD_VARIABLES, run_agent
from graph.errors import InputError, PilothouseError, UnavailableError

NAMESPACE = "pilothouse"
CONTEXTS_KEPT = 4  # in the object store; a decision uses one or two
STORE_BYTES = 200 * 1024 * 1024
START_S = 120.0
RESTART_POLL_S = 0.1
# Not a deadline of the work (that is in the solver): past this an actor counts as hung.
CALL_S = 300.0
SECRET_WORDS = ("KEY", "SECRET", "PASS", "TOKEN", "CREDENTIAL")

_log = logging.getLogger(__name__)


class AgentActor:
    """What runs in the actor's process."""

    def __init__(self, agent: str) -> None:
        for name in list(os.environ):
            ours = not name.startswith("RAY_")  # Ray's own token lets the actor talk to its cluster
            if ours and any(word in name.upper() for word in SECRET_WORDS):
                del os.environ[name]
        self._agent = agent
        self._key = ""
        self._context: AgentContext | None = None

    def warm(self) -> int:
        """Import the agent and what it needs; returns the process id."""
        from agents.registry import resolve

        resolve(self._agent)
        return os.getpid()

    def run(
        self, key: str, reference: list[Any], args: dict[str, Any]
    ) -> AgentReply | PilothouseError:
        """One call. A named error is returned, not raised: Ray would wrap it in a class of its own.

        reference: the context's, in a list so that Ray does not unpack it on every call.
        """
        if key != self._key:
            import ray

            self._context = ray.get(reference[0]) if reference else None
            self._key = key
        try:
            return run_agent(self._agent, AgentRequest(context=self._context, args=args))
        except PilothouseError as error:
            return error


class RayDispatcher:
    """Starts Ray in a thread at construction; calls wait until it is ready. See `Dispatcher`."""

    def __init__(self, cpus: int = 2) -> None:
        self._cpus = cpus
        self._actors: dict[str, Any] = {}
        self._references: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._started = threading.Event()
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether all actors are warm."""
        return self._started.is_set() and self._failure is None

    @property
    def failure(self) -> str:
        """Why it did not start, or nothing."""
        return "" if self._failure is None else str(self._failure)

    def wait(self, timeout_s: float = START_S) -> None:
        """Wait until it is ready. Raises UnavailableError when it is not in time, or failed."""
        if not self._started.wait(timeout_s):
            raise UnavailableError(f"the agents did not start within {timeout_s:g} s")
        if self._failure is not None:
            raise UnavailableError(f"the agents did not start: {self._failure}")

    def pids(self) -> dict[str, int]:
        """Process id of each agent's actor."""
        import ray

        self.wait()
        ids = ray.get([a.warm.remote() for a in self._actors.values()])
        return dict(zip(self._actors, ids, strict=True))

    def call(self, agent: str, request: AgentRequest) -> AgentReply:
        """See `Dispatcher.call`."""
        return self.call_many([(agent, request)])[0]

    def call_many(self, calls: Sequence[Call]) -> list[AgentReply]:
        """See `Dispatcher.call_many`."""
        for agent, _ in calls:
            if agent not in AGENTS:
                raise InputError(
                    f"there is no agent {agent!r}", f"known: {', '.join(sorted(AGENTS))}"
                )
        self.wait()
        pending = [self._submit(agent, request) for agent, request in calls]
        return [
            self._collect(agent, request, reference)
            for (agent, request), reference in zip(calls, pending, strict=True)
        ]

    def close(self) -> None:
        """Stop the actors and Ray."""
        self._closing.set()
        self._thread.join(START_S)
        self._actors.clear()
        self._references.clear()

    def _live(self) -> None:
        """Start Ray, and stay: its processes are killed when the thread that started them ends."""
        self._start()
        self._closing.wait()
        import ray

        ray.shutdown()

    def _start(self) -> None:
        try:
            _init_ray(self._cpus)
            import ray

            kind = ray.remote(AgentActor).options(num_cpus=0, max_restarts=-1)
            self._actors = {name: kind.remote(name) for name in AGENTS}
            ray.get([a.warm.remote() for a in self._actors.values()], timeout=START_S)
        except Exception as error:  # a thread has nobody to raise to: `wait` tells
            _log.warning("agents did not start: %s", error)
            self._failure = error
        self._started.set()

    def _submit(self, agent: str, request: AgentRequest) -> Any:
        key, reference = self._placed(request.context)
        return self._actors[agent].run.remote(key, reference, request.args)

    def _placed(self, context: AgentContext | None) -> tuple[str, list[Any]]:
        if context is None:
            return "", []
        import ray

        key = context.key
        with self._lock:
            if key not in self._references:
                self._references[key] = ray.put(context)
            self._references.move_to_end(key)
            while len(self._references) > CONTEXTS_KEPT:
                self._references.popitem(last=False)
            return key, [self._references[key]]

    def _collect(self, agent: str, request: AgentRequest, reference: Any) -> AgentReply:
        import ray
        from ray.exceptions import GetTimeoutError, RayActorError, RayError

        for attempt in (1, 2):
            try:
                answer = ray.get(reference, timeout=CALL_S)
                break
            except GetTimeoutError as error:
                ray.kill(self._actors[agent], no_restart=False)  # else it stays busy for ever
                raise UnavailableError(
                    f"agent {agent} did not answer within {CALL_S:g} s"
                ) from error
            except RayActorError as error:
                if attempt == 2:
                    raise UnavailableError(
                        f"agent {agent} died twice in one call", "look at its memory use"
                    ) from error
                _log.warning("agent %s died in a call; calling once more", agent)
                self._wait_alive(agent)
                reference = self._submit(agent, request)
            except RayError as error:
                raise UnavailableError(f"agent {agent} cannot be reached: {error}") from error
        if isinstance(answer, PilothouseError):
            raise answer
        reply: AgentReply = answer
        return reply

    def _wait_alive(self, agent: str) -> None:
        """Wait until a killed actor is back: what is sent to it before is lost with the dead one,
        and would count as a second death.

        Raises:
            UnavailableError: it does not come back in time.
        """
        import ray
        from ray.exceptions import GetTimeoutError, RayActorError

        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                ray.get(self._actors[agent].warm.remote(), timeout=START_S)
                return
            except RayActorError:
                time.sleep(RESTART_POLL_S)
            except GetTimeoutError:
                break
        raise UnavailableError(f"agent {agent} did not come back within {START_S:g} s")


def _init_ray(cpus: int) -> None:
    """Start a Ray of our own. Its processes inherit these variables; nothing is copied anywhere."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    root = str(Path(__file__).resolve().parent.parent)
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if root not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *paths])
    import ray

    ray.init(
        address="local", num_cpus=cpus, namespace=NAMESPACE, include_dashboard=False,
        log_to_driver=False, configure_logging=False, object_store_memory=STORE_BYTES,
    )  # fmt: skip
