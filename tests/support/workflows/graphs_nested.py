"""Old nodes as newer browsers save them: inside a subgraph, and with every widget listed as a
socket.
"""

from collections.abc import Callable
from typing import Any

from support.workflows.litegraph import Graph, Node, Socket
from support.workflows.scenes import ENCODER, PLUS, loaders, picture, scene

IDENTITY = "6f0d1c52-5f6e-4d1b-9b7a-3c1a4c0e7a11"
INPUTS = [
    Socket("model", "MODEL"),
    Socket("image", "IMAGE"),
    Socket("clip_vision", "CLIP_VISION"),
]


def subgraph() -> Graph:
    """Both nodes whose id means another node today lie in it."""
    outer = scene("nodes in a subgraph, among them the two whose id means another node today")
    outer.graph.definitions.append(definition())
    links = {
        "model": outer.model,
        "image": picture(outer.graph),
        "clip_vision": outer.graph.add("CLIPVisionLoader", ENCODER)[0],
    }
    node = outer.graph.add_like(IDENTITY, INPUTS, [Socket("MODEL", "MODEL")], [])
    for name, output in links.items():
        outer.graph.link(output, node, name)
    outer.show(node[0])
    return outer.graph


def definition() -> dict[str, Any]:
    """The subgraph as the page saves it: its nodes, and its inputs and output with their links."""
    inner, ends = inner_nodes()
    links = [_link(*link) for link in inner.links]
    inputs = [
        {"id": f"{IDENTITY[:-1]}{slot}", **_input(links, slot, ends[socket.name])}
        for slot, socket in enumerate(INPUTS)
    ]
    last, number = inner.nodes[-1], len(links) + 1
    last.outputs[0] |= {"links": [number], "slot_index": 0}
    links.append(_link(number, last.id, 0, -20, 0, "MODEL"))
    output = {"id": f"{IDENTITY[:-1]}9", "name": "MODEL", "type": "MODEL", "linkIds": [number]}
    return {
        "id": IDENTITY,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": 4, "lastLinkId": number, "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": "Old nodes",
        "inputNode": {"id": -10, "bounding": [-300, 0, 120, 100]},
        "outputNode": {"id": -20, "bounding": [900, 0, 120, 60]},
        "inputs": inputs,
        "outputs": [output],
        "widgets": [],
        "nodes": [node.saved() for node in inner.nodes],
        "groups": [],
        "links": links,
        "extra": {},
    }


def inner_nodes() -> tuple[Graph, dict[str, list[tuple[Node, str]]]]:
    """The nodes inside, and the sockets that each input of the subgraph leads to."""
    inner = Graph("inside")
    encoder = inner.add("IPAdapterEncoder@2023-10-12", True, 0.2, 1, 1, 1, 1)
    adapter = inner.add("IPAdapterModelLoader", PLUS)
    first = inner.add("IPAdapterApplyEncoded", 0.5, "original", 0, 1, False)
    inner.link(encoder[0], first, "embeds")
    inner.link(adapter[0], first, "ipadapter")
    second = inner.add("IPAdapter@laksjdjf", 0.5, "ip-adapter-plus_sd15.bin", "fp16")
    inner.link(first[0], second, "model")
    return inner, {
        "model": [(first, "model")],
        "image": [(encoder, "image_1"), (second, "image")],
        "clip_vision": [(encoder, "clip_vision"), (second, "clip_vision")],
    }


def _input(links: list[dict[str, Any]], slot: int, ends: list[tuple[Node, str]]) -> dict[str, Any]:
    """An input of the subgraph; its links are added to the others."""
    name, kind = INPUTS[slot]
    numbers = []
    for node, socket in ends:
        number = len(links) + 1
        place = [entry["name"] for entry in node.inputs].index(socket)
        node.inputs[place]["link"] = number
        links.append(_link(number, -10, slot, node.id, place, kind))
        numbers.append(number)
    return {"name": name, "type": kind, "linkIds": numbers}


def _link(number: int, start: int, slot: int, end: int, place: int, kind: str) -> dict[str, Any]:
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return dict(zip(names, (number, start, slot, end, place, kind), strict=True))


WIDGETS = {  # the widgets of a node as newer browsers list them among the sockets
    "IPAdapterAdvanced": "weight:FLOAT weight_type:COMBO combine_embeds:COMBO start_at:FLOAT "
    "end_at:FLOAT embeds_scaling:COMBO",
    "IPAdapterApply": "weight:FLOAT noise:FLOAT weight_type:COMBO start_at:FLOAT end_at:FLOAT "
    "unfold_batch:BOOLEAN",
    "IPAdapterModelLoader": "ipadapter_file:COMBO",
    "IPAdapter@laksjdjf": "weight:FLOAT model_name:COMBO dtype:COMBO",
}


def widgets_as_sockets() -> Graph:
    at = scene("saved by a browser of 2025: widgets stand among the sockets, nodes name their pack")
    graph = at.graph
    links = {"model": at.model, "image": picture(graph), **loaders(graph)}
    at.show(graph.add("IPAdapterAdvanced", 0.8, "ease in", "concat", 0, 1, "K+V", **links)[0])
    at.show(graph.add("IPAdapterApply", 0.7, 0.3, "original", 0, 1, False, **links)[0])
    del links["ipadapter"]
    at.show(graph.add("IPAdapter@laksjdjf", 0.5, "ip-adapter-plus_sd15.bin", "fp16", **links)[0])
    for node in graph.nodes:
        key = "IPAdapter@laksjdjf" if node.type == "IPAdapter" else node.type
        for entry in WIDGETS.get(key, "").split():
            name, kind = entry.split(":")
            widget = {"name": name, "type": kind, "widget": {"name": name}, "link": None}
            node.inputs.append(widget)
    return graph


GRAPHS: dict[str, Callable[[], Graph]] = {
    "subgraph": subgraph,
    "widgets_as_sockets": widgets_as_sockets,
}
