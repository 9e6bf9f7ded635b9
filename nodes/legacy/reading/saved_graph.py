"""How a saved workflow writes nodes, widgets and links, and its nodes read as a prompt has them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..ids.old_node import OldNode
from . import prompts

LINK_FIELDS = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
AUTOGROW = "COMFY_AUTOGROW_V3"  # the type of an input with as many places as are taken
HOST_WIDGETS = {  # widgets of the host's nodes that matter here, in order
    prompts.ENCODER_LOADER: ("clip_name",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "IPAdapterOldGraphs": ("behaviour",),
    "LoadImage": ("image",),
    "EmptyImage": ("width", "height", "batch_size"),
    "ImageScale": ("upscale_method", "width", "height"),
}
OldNodes = Mapping[str, type[OldNode]]
Link = list[Any]


def links_by_id(graph: Mapping[str, Any]) -> dict[int, Link]:
    """By number, each in the order of LINK_FIELDS: subgraphs have them as objects."""
    return {link[0]: link for link in map(as_list, graph.get("links") or [])}


def apart(node: Mapping[str, Any], others: Mapping[str, Any]) -> prompts.ReusedId | None:
    """The other node that a saved one means; others: another pack's nodes by id."""
    kind, values = node.get("type", ""), node.get("widgets_values")
    names = [one["name"] for one in node.get("inputs") or []]
    if kind == "PrepImageForClipVision" and isinstance(values, list) and len(values) > 3:
        names += ["add_weight"] if isinstance(values[3], bool) else []
    return prompts.reused_id(kind, names, others)


def read_node(
    node: Mapping[str, Any],
    links: Mapping[int, Link],
    nodes: OldNodes,
    others: Mapping[str, Any],
    source: Callable[[str, Link], list[Any] | None] = lambda _kind, link: [str(link[1]), link[2]],
) -> dict[str, Any]:
    """Class and inputs: typed values by name, links as [id, slot].

    nodes, others: old nodes of ours and nodes of another pack by id; source: class and link -> where it comes from.
    """
    other = apart(node, others)
    kind, names = (other.here, other.names) if other else (node.get("type", ""), {})
    given = dict(zip(widget_names(kind, nodes), widget_values(node), strict=False))
    if isinstance(node.get("widgets_values"), dict):
        given = dict(node["widgets_values"])
    for one in node.get("inputs") or []:
        if one.get("link") in links and (found := source(kind, links[one["link"]])):
            given[names.get(one["name"], one["name"])] = found
    return {"class_type": kind, "inputs": given}


def widget_values(node: Mapping[str, Any]) -> list[Any]:
    """Its widgets' values in order; a graph saved before a node got its last widgets has fewer."""
    values = node.get("widgets_values")
    return list(values) if isinstance(values, list) else []


def widget_names(kind: str, nodes: OldNodes) -> list[str]:
    """Names of a node's widgets in order, as far as they matter here."""
    if kind not in nodes:
        return list(HOST_WIDGETS.get(kind, ()))
    return [name for name, spec in all_inputs(nodes[kind].INPUT_TYPES()) if is_widget(spec)]


def all_inputs(types: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in ("required", "optional"):
        yield from (types.get(part) or {}).items()


def expand_inputs(types: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The inputs of a node that gets these values; one that grows has as many places as are taken."""
    for name, spec in all_inputs(types):
        if spec[0] != AUTOGROW:
            yield name, spec
            continue
        ((place,),) = (part.values() for part in spec[1]["template"]["input"].values() if part)
        yield from ((one, place) for one in values if one.startswith(f"{name}."))


def is_widget(spec: Any) -> bool:
    return isinstance(spec[0], list) or spec[0] in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def socket_type(spec: Any) -> str:
    return "COMBO" if isinstance(spec[0], list) else spec[0]


def default_value(spec: Any) -> Any:
    options = spec[1] if len(spec) > 1 else {}
    choices = spec[0] if isinstance(spec[0], list) else options.get("options") or [None]
    return options.get("default", choices[0])


def as_list(link: Any) -> list[Any]:
    if isinstance(link, dict):
        return [link.get(key) for key in LINK_FIELDS]
    return list(link)


def as_object(link: list[Any]) -> dict[str, Any]:
    return dict(zip(LINK_FIELDS, link, strict=True))


def last_id(graph: Mapping[str, Any], kind: str) -> int:
    state = graph.get("state") or {}
    known = graph.get(f"last_{kind}_id"), state.get(f"last{kind.capitalize()}Id")
    return max(one for one in (*known, 0) if isinstance(one, int))
