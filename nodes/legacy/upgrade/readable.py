"""Which parts of a graph can be read. What cannot be read stays as it is."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

from ..reading import saved_graph

SavedGraph = dict[str, Any]
ReadableNode = dict[str, Any]
LONGEST_ID = 15  # digits; the page counts in numbers that are exact up to here


def readable_nodes(graph: SavedGraph) -> dict[str, ReadableNode]:
    """Nodes by id: those with an id of their own, a type, sockets with names, and widget values."""
    nodes = graph.get("nodes")
    readable = [node for node in nodes if _is_node(node)] if isinstance(nodes, list) else []
    id_counts = Counter(str(node["id"]) for node in readable)
    return {str(node["id"]): node for node in readable if id_counts[str(node["id"])] == 1}


def highest_node_id(graph: SavedGraph, links: Iterable[Sequence[Any]]) -> int:
    """The largest number that a node has, readable or not, or that a link calls one; 0 without."""
    nodes = graph.get("nodes")
    entries = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    ids = [node.get("id") for node in entries] + [end for link in links for end in link[1:4:2]]
    return max((int(text) for text in map(str, ids) if is_number_text(text)), default=0)


def is_number_text(node_id: str) -> bool:
    return node_id.isdecimal() and len(node_id) <= LONGEST_ID


def readable_links(graph: SavedGraph) -> tuple[list[list[Any]], list[object]]:
    """Links in the order of `saved_graph.LINK_FIELDS`, and the entries that are none."""
    entries = graph.get("links")
    links: dict[int, list[Any]] = {}
    rest: list[object] = []
    for entry in entries if isinstance(entries, list) else []:
        link = saved_graph.as_list(entry) if isinstance(entry, dict | list) else []
        if _is_link(link) and link[0] not in links:
            links[link[0]] = link[: len(saved_graph.LINK_FIELDS)]
        else:
            rest.append(entry)
    return list(links.values()), rest


def readable_subgraphs(workflow: SavedGraph) -> list[SavedGraph]:
    definitions = workflow.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    entries = subgraphs if isinstance(subgraphs, list) else []
    return [subgraph for subgraph in entries if isinstance(subgraph, dict)]


def readable_objects(entries: object) -> list[dict[str, Any]]:
    return entries if _are_objects(entries) and entries else []


def is_prompt_node(node: object) -> TypeGuard[dict[str, Any]]:
    """Whether an entry of a prompt has a class and inputs."""
    if not isinstance(node, dict):
        return False
    return isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def _is_node(node: object) -> bool:
    if not isinstance(node, dict) or not _is_id(node.get("id")):
        return False
    return (
        isinstance(node.get("type"), str)
        and _are_sockets(node.get("inputs"))
        and _are_objects(node.get("outputs"))
        and isinstance(node.get("widgets_values", None), list | dict | None)
    )


def _are_sockets(sockets: object) -> bool:
    return _are_objects(sockets) and all(
        isinstance(socket.get("name"), str) and isinstance(socket.get("link"), int | None)
        for socket in sockets or []
    )


def _are_objects(entries: object) -> TypeGuard[list[dict[str, Any]] | None]:
    if entries is None:
        return True
    return isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)


def _is_link(link: list[Any]) -> bool:
    if len(link) < len(saved_graph.LINK_FIELDS):
        return False
    link_id, origin, origin_slot, target, target_slot = link[:5]
    is_placed = all(_is_number(slot) and slot >= 0 for slot in (origin_slot, target_slot))
    return _is_number(link_id) and _is_id(origin) and _is_id(target) and is_placed


def _is_id(value: object) -> bool:
    return _is_number(value) or isinstance(value, str)


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
