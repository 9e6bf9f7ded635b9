"""Primitives of the page: nodes that hold the value of a widget of those they are linked to."""

from collections.abc import Collection, Mapping
from typing import Any

from .readers import link_source
from .saved_graph import SavedNode, saved_class, widget_values

PRIMITIVE = "PrimitiveNode"
ReadNode = Mapping[str, Any]  # class_type and inputs


def primitive_values(nodes: Mapping[str, SavedNode]) -> dict[str, Any]:
    """The value of each primitive, by key."""
    return {
        node_key: widget_values(node)[0]
        for node_key, node in nodes.items()
        if saved_class(node) == PRIMITIVE and widget_values(node)
    }


def type_primitives(
    node: ReadNode, values: Mapping[str, Any], names: Collection[str] | None = None
) -> dict[str, Any]:
    """A node with the values of its primitives instead of links, as a prompt has it.

    names: of the inputs to read so, None for all.
    """
    inputs = {
        name: values.get(link_source(value) or "", value)
        if names is None or name in names
        else value
        for name, value in node["inputs"].items()
    }
    return {**node, "inputs": inputs}


def changed_values(
    linked: Mapping[str, ReadNode], read: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of primitives today, where all nodes that read one agree.

    linked: nodes with links to primitives; read: the same nodes as they were meant.
    """
    new_values: dict[str, list[Any]] = {}
    for node_key, node in linked.items():
        for name, value in node["inputs"].items():
            source = link_source(value)
            if source is not None and source in values and name in read[node_key]["inputs"]:
                new_values.setdefault(source, []).append(read[node_key]["inputs"][name])
    return {
        source: agreed[0]
        for source, agreed in new_values.items()
        if agreed[0] != values[source] and all(value == agreed[0] for value in agreed)
    }
