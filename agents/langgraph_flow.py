"""Runs a small graph of steps with LangGraph. It holds one run and nothing that touches a plant.

No checkpointer: a run that is cut off is started again from its snapshot; agents are pure.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypedDict

Node = Callable[[dict[str, Any]], dict[str, Any]]


def _merged(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    twice = left.keys() & right.keys()
    if twice:
        raise ValueError(f"two steps wrote {', '.join(sorted(twice))}")
    return {**left, **right}


class _State(TypedDict):
    known: Annotated[dict[str, Any], _merged]


def run_flow(nodes: Mapping[str, Node], after: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Run each node once all those in `after[node]` have run; returns all that they wrote.

    Nodes that wait for nothing run side by side. A node gets what is known so far and returns what
    it adds; no two may write the same name.
    """
    os.environ["LANGSMITH_TRACING"] = "false"
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(_State)
    last = set(nodes)
    for name, node in nodes.items():
        graph.add_node(name, _wrapped(node))
        before = list(after.get(name, ()))
        graph.add_edge(before or START, name)
        last -= set(before)
    for name in sorted(last):
        graph.add_edge(name, END)
    known: dict[str, Any] = graph.compile().invoke({"known": {}})["known"]
    return known


def _wrapped(node: Node) -> Callable[[_State], _State]:
    def step(state: _State) -> _State:
        return {"known": node(state["known"])}

    return step
