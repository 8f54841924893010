"""Agents by name, as module paths: importing one loads what it needs, and only then."""

import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from agents.ports import AgentFailedError, AgentReply, AgentRequest
from graph.errors import InputError, PilothouseError

AGENTS = {
    "diagnostics": "agents.diagnostics",
    "market": "agents.market",
    "optimisation": "agents.optimisation",
    "compliance": "agents.compliance",
}
# Sums come out in another order with another number of threads: one thread, equal bits.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip

Agent = Callable[[AgentRequest], dict[str, Any]]


def run_agent(name: str, request: AgentRequest) -> AgentReply:
    """Run agent `name` here. Raises as `Dispatcher.call` does."""
    agent = resolve(name)
    try:
        return AgentReply(agent=name, value=agent(request))
    except PilothouseError:
        raise
    except Exception as error:
        raise AgentFailedError(
            f"agent {name} failed: {type(error).__name__}: {error}", "this is a defect; report it"
        ) from error


@cache
def resolve(name: str) -> Agent:
    """The agent called `name`, imported and with its numerical libraries held to one thread."""
    if name not in AGENTS:
        raise InputError(f"there is no agent {name!r}", f"known: {', '.join(sorted(AGENTS))}")
    agent: Agent = import_module(AGENTS[name]).run
    pin_threads()
    return agent


def pin_threads() -> None:
    """Hold the numerical libraries of this process to one thread each.

    Variables reach libraries that are loaded later, threadpoolctl those that are loaded already.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits=1)
