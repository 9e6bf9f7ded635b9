"""Old nodes as newer browsers save them: inside a subgraph, and with every widget listed as a socket."""

from collections.abc import Callable
from typing import Any

from support.workflows.litegraph import Graph, Socket
from support.workflows.scenes import ENCODER, PLUS, loaders, picture, scene

IDENTITY = "6f0d1c52-5f6e-4d1b-9b7a-3c1a4c0e7a11"


def subgraph() -> Graph:
    """Both nodes whose id means another node today lie in it."""
    inner = Graph("inside")
    inner_links: list[dict[str, Any]] = []
    names = [Socket("model", "MODEL"), Socket("image", "IMAGE")]
    names.append(Socket("clip_vision", "CLIP_VISION"))
    encoder = inner.add("IPAdapterEncoder@2023-10-12", True, 0.2, 1, 1, 1, 1)
    adapter = inner.add("IPAdapterModelLoader", PLUS)
    first = inner.add("IPAdapterApplyEncoded", 0.5, "original", 0, 1, False)
    inner.link(encoder[0], first, "embeds")
    inner.link(adapter[0], first, "ipadapter")
    second = inner.add("IPAdapter@laksjdjf", 0.5, "ip-adapter-plus_sd15.bin", "fp16")
    inner.link(first[0], second, "model")
    for link, start, slot, end, place, kind in inner.links:
        inner_links.append(_link(link, start, slot, end, place, kind))
    ends = {
        "model": [(first, "model")],
        "image": [(encoder, "image_1"), (second, "image")],
        "clip_vision": [(encoder, "clip_vision"), (second, "clip_vision")],
    }
    inputs = []
    for slot, (name, kind) in enumerate(names):
        ids = []
        for node, socket in ends[name]:
            number = len(inner_links) + 1
            place = [one["name"] for one in node.inputs].index(socket)
            node.inputs[place]["link"] = number
            inner_links.append(_link(number, -10, slot, node.id, place, kind))
            ids.append(number)
        inputs.append({"id": f"{IDENTITY[:-1]}{slot}", "name": name, "type": kind, "linkIds": ids})
    number = len(inner_links) + 1
    second.outputs[0] |= {"links": [number], "slot_index": 0}
    inner_links.append(_link(number, second.id, 0, -20, 0, "MODEL"))
    output = {"id": f"{IDENTITY[:-1]}9", "name": "MODEL", "type": "MODEL", "linkIds": [number]}
    at = scene("nodes in a subgraph, among them the two whose id means another node today")
    at.graph.definitions.append(
        {
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
            "links": inner_links,
            "extra": {},
        }
    )
    links = {
        "model": at.model,
        "image": picture(at.graph),
        "clip_vision": at.graph.add("CLIPVisionLoader", ENCODER)[0],
    }
    node = at.graph.add_like(IDENTITY, names, [Socket("MODEL", "MODEL")], [])
    for name, output in links.items():
        at.graph.link(output, node, name)
    at.show(node[0])
    return at.graph


def _link(number: int, start: int, slot: int, end: int, place: int, kind: str) -> dict[str, Any]:
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return dict(zip(names, (number, start, slot, end, place, kind), strict=True))


WIDGETS = {  # the widgets of a node as newer browsers list them among the sockets
    "IPAdapterAdvanced": "weight:FLOAT weight_type:COMBO combine_embeds:COMBO start_at:FLOAT end_at:FLOAT embeds_scaling:COMBO",
    "IPAdapterApply": "weight:FLOAT noise:FLOAT weight_type:COMBO start_at:FLOAT end_at:FLOAT unfold_batch:BOOLEAN",
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
