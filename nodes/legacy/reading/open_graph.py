"""A saved graph as it is understood here when it is opened: the page then shows nodes, options and files that exist.

What prompts are read as, written back into the graph: `prompts.read_prompt` decides alone.
"""

from collections.abc import Mapping
from typing import Any

from ....ipadapter_core.messages import Message
from . import prompts, saved_graph

FILES = *prompts.ADAPTER_INPUTS, "clip_name"


def open_graph(
    workflow: Mapping[str, Any],
    nodes: saved_graph.OldNodes,
    ours: Mapping[str, Any],
    others: Mapping[str, Any],
) -> tuple[list[list[dict[str, Any]]], list[str]]:
    """The nodes of a saved graph, then of each of its subgraphs, as they are understood, and what was replaced.

    nodes, ours, others: as for `prompts.read_prompt`. Raises KeyError, TypeError, ValueError or AttributeError for
    what is no workflow.
    """
    subgraphs = (workflow.get("definitions") or {}).get("subgraphs") or []
    within = {
        one["id"]: one for one in subgraphs if any(node["type"] in ours for node in one["nodes"])
    }
    fed = {**ours, **within}  # a subgraph with nodes of ours is fed like one of them
    said: dict[str, None] = {}
    made = [_understood(graph, nodes, fed, others, said) for graph in (workflow, *subgraphs)]
    return made, list(said)


def _understood(
    graph: Mapping[str, Any],
    nodes: saved_graph.OldNodes,
    ours: Mapping[str, Any],
    others: Mapping[str, Any],
    said: dict[str, None],
) -> list[dict[str, Any]]:
    links = saved_graph.links_by_id(graph)
    before = {
        str(node["id"]): saved_graph.read_node(node, links, nodes, others)
        for node in graph["nodes"]
    }
    after = prompts.read_prompt(before, nodes, ours, others)
    return [
        _rewritten(node, before[str(node["id"])], after[str(node["id"])], nodes, others, said)
        for node in graph["nodes"]
    ]


def _rewritten(
    node: dict[str, Any],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    nodes: saved_graph.OldNodes,
    others: Mapping[str, Any],
    said: dict[str, None],
) -> dict[str, Any]:
    """The saved node with another id, other names of sockets and other typed values, as far as they differ."""
    node = _renamed(node, saved_graph.apart(node, others))
    old, new = before["inputs"], after["inputs"]
    changed = {name for name in new if name in old and new[name] != old[name]}
    if not changed:
        return node
    for name in sorted(changed):
        said[_replaced(old[name], new[name], name in FILES)] = None
    if isinstance(node["widgets_values"], dict):
        return {
            **node,
            "widgets_values": {**node["widgets_values"], **{n: new[n] for n in changed}},
        }
    return {
        **node,
        "widgets_values": _values(saved_graph.widget_values(node), new, after["class_type"], nodes),
    }


def _values(
    values: list[Any], new: Mapping[str, Any], kind: str, nodes: saved_graph.OldNodes
) -> list[Any]:
    """Typed values in order, with those that a node got later; what is linked keeps the value that it shadows."""
    made: list[Any] = []
    for number, name in enumerate(saved_graph.widget_names(kind, nodes)):
        kept = values[number] if number < len(values) else None
        made.append(kept if isinstance(new.get(name), list) else new.get(name, kept))
    return made + values[len(made) :]


def _renamed(node: dict[str, Any], other: prompts.ReusedId | None) -> dict[str, Any]:
    if other is None:
        return node
    sockets = [
        {**one, "name": other.names.get(one["name"], one["name"])}
        for one in node.get("inputs") or []
    ]
    properties = {**node.get("properties", {}), "Node name for S&R": other.here}
    return {**node, "type": other.here, "inputs": sockets, "properties": properties}


def _replaced(old: Any, new: Any, file: bool) -> Message:
    if file:
        return Message("'<1>' is not here, and '<2>' is of the same kind.", old, new)
    return Message("'<1>' is called '<2>' today.", old, new)
