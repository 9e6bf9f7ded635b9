"""How a saved graph writes nodes, widgets and links, and its nodes read as a prompt has them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..ids import old_graphs_switch
from ..ids.old_node import InputValues
from .encoders import ENCODER_LOADER
from .prompts import OldNodes, Registry, ReusedId, reused_id
from .readers import GETTERS, NAME_WIDGET, SETTERS

LINK_FIELDS = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
# a subgraph's own ends, as nodes that links come from and go to
INPUT_BORDER, OUTPUT_BORDER = -10, -20
AUTOGROW = "COMFY_AUTOGROW_V3"  # the type of an input with as many places as are taken
TYPED = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
OTHER_WIDGETS = {  # widgets of nodes that are not ours and matter here, in order
    **dict.fromkeys((*SETTERS, *GETTERS), (NAME_WIDGET,)),
    ENCODER_LOADER: ("clip_name",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    old_graphs_switch.NODE_ID: ("behaviour",),
    "LoadImage": ("image",),
    "EmptyImage": ("width", "height", "batch_size"),
    "ImageScale": ("upscale_method", "width", "height"),
}
GraphData = Mapping[str, Any]
SavedNode = Mapping[str, Any]
InputTypes = Mapping[str, Any]  # as INPUT_TYPES gives them
InputType = Any  # of one input: type or options, settings
Link = list[Any]  # in the order of LINK_FIELDS
LinkSource = Callable[[str, Link], list[Any] | None]  # class of the reader and link -> [id, slot]


def links_by_id(graph: GraphData) -> dict[int, Link]:
    """Subgraphs have links as objects; what is no link is left out."""
    links = graph.get("links")
    lists = map(as_list, links) if isinstance(links, list) else ()
    return {link[0]: link for link in lists if is_link(link)}


def is_link(link: Link) -> bool:
    ends = link[1:5]
    is_numbered = len(ends) == 4 and all(
        isinstance(number, int) for number in (link[0], *ends[1::2])
    )
    return is_numbered and all(isinstance(node_id, int | str) for node_id in ends[::2])


def saved_sockets(node: SavedNode) -> list[dict[str, Any]]:
    """Its inputs, as far as they have names."""
    sockets = node.get("inputs")
    sockets = sockets if isinstance(sockets, list) else []
    return [
        socket
        for socket in sockets
        if isinstance(socket, dict) and isinstance(socket.get("name"), str)
    ]


def saved_class(node: SavedNode) -> str:
    node_class = node.get("type")
    return node_class if isinstance(node_class, str) else ""


def meant_node(node: SavedNode, foreign_nodes: Registry) -> ReusedId | None:
    """The other node that a saved one means; foreign_nodes: another pack's nodes by id."""
    node_class, saved_values = saved_class(node), node.get("widgets_values")
    names = [socket["name"] for socket in saved_sockets(node)]
    if (
        node_class == "PrepImageForClipVision"
        and isinstance(saved_values, list)
        and len(saved_values) > 3
    ):
        names += ["add_weight"] if isinstance(saved_values[3], bool) else []
    return reused_id(node_class, names, foreign_nodes)


def _direct_source(_reader: str, link: Link) -> list[Any]:
    return [str(link[1]), link[2]]


def read_node(
    node: SavedNode,
    links: Mapping[int, Link],
    old_nodes: OldNodes,
    foreign_nodes: Registry,
    source: LinkSource = _direct_source,
) -> dict[str, Any]:
    """Class and inputs: typed values by name, links as [id, slot].

    old_nodes, foreign_nodes: ours, and another pack's that have an old id; source: where a link
    comes from.
    """
    reused = meant_node(node, foreign_nodes)
    node_class = reused.meant_id if reused else saved_class(node)
    new_names = reused.new_names if reused else {}
    saved_values = node.get("widgets_values")
    if isinstance(saved_values, dict):
        inputs = {name: value for name, value in saved_values.items() if isinstance(name, str)}
    else:
        inputs = dict(zip(widget_names(node_class, old_nodes), widget_values(node), strict=False))
    for socket in saved_sockets(node):
        link_id, name = socket.get("link"), socket["name"]
        link = links.get(link_id) if isinstance(link_id, int) else None
        origin = source(node_class, link) if link is not None else None
        if origin is not None:
            inputs[new_names.get(name, name)] = origin
    return {"class_type": node_class, "inputs": inputs}


def widget_values(node: SavedNode) -> list[Any]:
    """In order; a graph saved before a node got its last widgets has fewer."""
    saved_values = node.get("widgets_values")
    return list(saved_values) if isinstance(saved_values, list) else []


def widget_names(node_class: str, old_nodes: OldNodes) -> list[str]:
    """Names of a node's widgets in order, as far as they matter here."""
    if node_class not in old_nodes:
        return list(OTHER_WIDGETS.get(node_class, ()))
    specs = all_inputs(old_nodes[node_class].INPUT_TYPES())
    return [name for name, spec in specs if is_widget(spec)]


def all_inputs(types: InputTypes) -> Iterator[tuple[str, Any]]:
    for group in ("required", "optional"):
        yield from (types.get(group) or {}).items()


def expand_inputs(types: InputTypes, input_values: InputValues) -> Iterator[tuple[str, Any]]:
    """The inputs of a node that gets these values; one that grows has as many places as are
    taken.
    """
    for name, spec in all_inputs(types):
        if spec[0] != AUTOGROW:
            yield name, spec
            continue
        groups = spec[1]["template"]["input"].values()
        ((place_spec,),) = (group.values() for group in groups if group)
        yield from ((place, place_spec) for place in input_values if place.startswith(f"{name}."))


def is_widget(spec: InputType) -> bool:
    return isinstance(spec[0], list) or spec[0] in TYPED


def socket_type(spec: InputType) -> str:
    return "COMBO" if isinstance(spec[0], list) else spec[0]


def default_value(spec: InputType) -> Any:
    settings = spec[1] if len(spec) > 1 else {}
    choices = spec[0] if isinstance(spec[0], list) else settings.get("options") or [None]
    return settings.get("default", choices[0])


def as_list(link: object) -> Link:
    if isinstance(link, dict):
        return [link.get(field) for field in LINK_FIELDS]
    return list(link) if isinstance(link, list | tuple) else []


def as_object(link: Link) -> dict[str, Any]:
    return dict(zip(LINK_FIELDS, link, strict=True))


def last_id(graph: GraphData, counted: str) -> int:
    """The largest number that a graph has given to its nodes or links."""
    state = graph.get("state")
    state = state if isinstance(state, dict) else {}
    counters = graph.get(f"last_{counted}_id"), state.get(f"last{counted.capitalize()}Id")
    return max(counter for counter in (*counters, 0) if isinstance(counter, int))
