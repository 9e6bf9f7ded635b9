"""Nodes of a saved graph, read as a prompt has them."""

from collections.abc import Iterator, Mapping
from typing import Any

from . import prompts
from .base import OldNode

LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
LOADERS = {  # the host's own, and what their first widget names
    "CheckpointLoaderSimple": "ckpt_name",
    "UNETLoader": "unet_name",
    prompts.ENCODER_LOADER: "clip_name",
}
Nodes = Mapping[str, type[OldNode]]


def links_of(graph: Mapping[str, Any]) -> dict[int, list[Any]]:
    """By number, each in the order of LINK: subgraphs have them as objects."""
    return {link[0]: link for link in map(_as_list, graph.get("links") or [])}


def apart(node: Mapping[str, Any], others: Mapping[str, Any]) -> prompts.Apart | None:
    """The other node that a saved one means; others: another pack's nodes by id."""
    kind, values = node.get("type", ""), node.get("widgets_values")
    names = [one["name"] for one in node.get("inputs") or []]
    if kind == "PrepImageForClipVision" and isinstance(values, list) and len(values) > 3:
        names += ["add_weight"] if isinstance(values[3], bool) else []
    return prompts.apart(kind, names, others)


def read(
    node: Mapping[str, Any],
    links: Mapping[int, list[Any]],
    nodes: Nodes,
    others: Mapping[str, Any],
) -> dict[str, Any]:
    """Class and inputs: typed values by name, links as [id, slot]. nodes: old nodes by id."""
    other = apart(node, others)
    kind, names = (other.here, other.names) if other else (node.get("type", ""), {})
    given = dict(zip(widgets_of(kind, nodes), typed(node), strict=False))
    if isinstance(node.get("widgets_values"), dict):
        given = dict(node["widgets_values"])
    for one in node.get("inputs") or []:
        if one.get("link") in links:
            link = links[one["link"]]
            given[names.get(one["name"], one["name"])] = [str(link[1]), link[2]]
    return {"class_type": kind, "inputs": given}


def typed(node: Mapping[str, Any]) -> list[Any]:
    """Its widgets' values in order; a graph saved before a node got its last widgets has fewer."""
    values = node.get("widgets_values")
    return list(values) if isinstance(values, list) else []


def widgets_of(kind: str, nodes: Nodes) -> list[str]:
    """Names of a node's widgets in order, as far as they matter here."""
    if kind in LOADERS:
        return [LOADERS[kind]]
    if kind not in nodes:
        return []
    return [name for name, spec in all_inputs(nodes[kind].INPUT_TYPES()) if is_widget(spec)]


def all_inputs(types: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in ("required", "optional"):
        yield from (types.get(part) or {}).items()


def is_widget(spec: Any) -> bool:
    return isinstance(spec[0], list) or spec[0] in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def _as_list(link: Any) -> list[Any]:
    if isinstance(link, dict):
        return [link.get(key) for key in LINK]
    return list(link)
