"""Values that a subgraph shows on itself: each stands for a typed input of a node inside."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import saved_graph
from .saved_graph import INPUT_BORDER, GraphData, Link, SavedNode

MOST_NESTED = 100  # subgraphs in subgraphs; a malformed graph may hold itself


@dataclass(frozen=True)
class Promoted:
    """The typed input that a value on a subgraph stands for; place: among the values there."""

    place: int
    subgraph: str
    node_key: str
    input_name: str


def inner_source(_reader: str, link: Link) -> list[Any] | None:
    """Where a link comes from; an input that a subgraph promotes keeps the value typed inside."""
    return None if link[1] == INPUT_BORDER else [str(link[1]), link[2]]


def promoted_inputs(node: SavedNode, subgraphs: Mapping[str, GraphData]) -> Iterator[Promoted]:
    """The inputs that the values on a subgraph's node stand for, where these are typed."""
    widgets = (socket for socket in saved_graph.saved_sockets(node) if socket.get("widget"))
    for place, socket in enumerate(widgets):
        subgraph, name = saved_graph.saved_class(node), socket["name"]
        for _ in range(MOST_NESTED):
            target = _target(subgraphs.get(subgraph), name)
            if target is None:
                break
            inner_node, name = target
            if saved_graph.saved_class(inner_node) not in subgraphs:
                yield Promoted(
                    place=place,
                    subgraph=subgraph,
                    node_key=str(inner_node.get("id")),
                    input_name=name,
                )
                break
            subgraph = saved_graph.saved_class(inner_node)


def _target(subgraph: GraphData | None, input_name: str) -> tuple[SavedNode, str] | None:
    """The first node inside that an input of a subgraph leads to, and the name of its input."""
    if subgraph is None:
        return None
    for slot, socket in enumerate(saved_graph.saved_sockets(subgraph)):
        links = saved_graph.links_by_id(subgraph).values() if socket["name"] == input_name else ()
        for link in links:
            if link[1] == INPUT_BORDER and link[2] == slot:
                return _reader(subgraph, link)
    return None


def _reader(subgraph: GraphData, link: Link) -> tuple[SavedNode, str] | None:
    nodes = subgraph.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict) and node.get("id") == link[3]:
            names = [
                socket["name"]
                for socket in saved_graph.saved_sockets(node)
                if socket.get("link") == link[0]
            ]
            return (node, names[0]) if names else None
    return None
