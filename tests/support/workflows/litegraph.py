"""Graphs as old browsers saved them: LiteGraph JSON 0.4, link sockets by place, widget values by
place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# type or "type@layout": link sockets in their order -> outputs. Those of IPAdapter_plus and of
# other packs are read off their releases; a widget that was turned into a socket comes after
# them.
_APPLY = (
    "model:MODEL ipadapter:IPADAPTER image:IMAGE image_negative:IMAGE "
    "attn_mask:MASK clip_vision:CLIP_VISION"
)
_STYLE = _APPLY.replace("image:IMAGE", "image_style:IMAGE image_composition:IMAGE")
_EMBEDS = (
    "model:MODEL ipadapter:IPADAPTER pos_embed:EMBEDS neg_embed:EMBEDS "
    "attn_mask:MASK clip_vision:CLIP_VISION"
)
_FIRST = "ipadapter:IPADAPTER clip_vision:CLIP_VISION image:IMAGE model:MODEL"
_PAIR = (
    "weights:FLOAT weights_invert:FLOAT total_frames:INT image_1:IMAGE "
    "image_2:IMAGE weights_strategy:WEIGHTS_STRATEGY"
)
_LAYOUTS = f"""
CheckpointLoaderSimple: -> MODEL:MODEL CLIP:CLIP VAE:VAE
CLIPTextEncode: clip:CLIP -> CONDITIONING:CONDITIONING
RandomConditioning: -> CONDITIONING:CONDITIONING
EmptyLatentImage: -> LATENT:LATENT
KSampler: model:MODEL positive:CONDITIONING negative:CONDITIONING latent_image:LATENT -> LATENT:LATENT
VAEDecode: samples:LATENT vae:VAE -> IMAGE:IMAGE
PreviewImage: images:IMAGE ->
SaveImage: images:IMAGE ->
LoadImage: -> IMAGE:IMAGE MASK:MASK
EmptyImage: -> IMAGE:IMAGE
ImageBatch: image1:IMAGE image2:IMAGE -> IMAGE:IMAGE
RepeatImageBatch: image:IMAGE -> IMAGE:IMAGE
MaskToImage: mask:MASK -> IMAGE:IMAGE
SolidMask: -> MASK:MASK
CLIPVisionLoader: -> CLIP_VISION:CLIP_VISION
CLIPVisionEncode: clip_vision:CLIP_VISION image:IMAGE -> CLIP_VISION_OUTPUT:CLIP_VISION_OUTPUT
ConditioningCombine: conditioning_1:CONDITIONING conditioning_2:CONDITIONING -> CONDITIONING:CONDITIONING
PrimitiveNode: -> value:*
Reroute: in:* -> out:*
Note: ->
IPAdapterOldGraphs: model:MODEL -> model:MODEL
IPAdapter: model:MODEL ipadapter:IPADAPTER image:IMAGE attn_mask:MASK -> MODEL:MODEL
IPAdapterAdvanced: {_APPLY} -> MODEL:MODEL
IPAdapterBatch: {_APPLY} -> MODEL:MODEL
IPAdapterFaceID: {_APPLY} insightface:INSIGHTFACE -> MODEL:MODEL face_image:IMAGE
IPAdapterFaceID@2024-04-22: {_APPLY} insightface:INSIGHTFACE -> MODEL:MODEL
IPAdapterFaceIDKolors: {_APPLY} insightface:INSIGHTFACE -> MODEL:MODEL face_image:IMAGE
IPAAdapterFaceIDBatch: {_APPLY} insightface:INSIGHTFACE -> MODEL:MODEL face_image:IMAGE
IPAdapterTiled: {_APPLY} -> MODEL:MODEL tiles:IMAGE masks:MASK
IPAdapterTiledBatch: {_APPLY} -> MODEL:MODEL tiles:IMAGE masks:MASK
IPAdapterEmbeds: {_EMBEDS} -> MODEL:MODEL
IPAdapterEmbedsBatch: {_EMBEDS} -> MODEL:MODEL
IPAdapterStyleComposition: {_STYLE} -> MODEL:MODEL
IPAdapterStyleCompositionBatch: {_STYLE} -> MODEL:MODEL
IPAdapterMS: {_APPLY} insightface:INSIGHTFACE -> MODEL:MODEL
IPAdapterClipVisionEnhancer: {_APPLY} -> MODEL:MODEL
IPAdapterClipVisionEnhancerBatch: {_APPLY} -> MODEL:MODEL
IPAdapterFromParams: model:MODEL ipadapter:IPADAPTER ipadapter_params:IPADAPTER_PARAMS image_negative:IMAGE clip_vision:CLIP_VISION -> MODEL:MODEL
IPAdapterPreciseStyleTransfer: {_APPLY} -> MODEL:MODEL
IPAdapterPreciseStyleTransferBatch: {_APPLY} -> MODEL:MODEL
IPAdapterPreciseComposition: {_APPLY} -> MODEL:MODEL
IPAdapterPreciseCompositionBatch: {_APPLY} -> MODEL:MODEL
IPAdapterUnifiedLoader: model:MODEL ipadapter:IPADAPTER -> model:MODEL ipadapter:IPADAPTER
IPAdapterUnifiedLoaderCommunity: model:MODEL ipadapter:IPADAPTER -> model:MODEL ipadapter:IPADAPTER
IPAdapterUnifiedLoaderFaceID: model:MODEL ipadapter:IPADAPTER -> MODEL:MODEL ipadapter:IPADAPTER
IPAdapterModelLoader: -> IPADAPTER:IPADAPTER
IPAdapterInsightFaceLoader: -> INSIGHTFACE:INSIGHTFACE
IPAdapterEncoder: ipadapter:IPADAPTER image:IMAGE mask:MASK clip_vision:CLIP_VISION -> pos_embed:EMBEDS neg_embed:EMBEDS
IPAdapterCombineEmbeds: embed1:EMBEDS embed2:EMBEDS embed3:EMBEDS embed4:EMBEDS embed5:EMBEDS -> EMBEDS:EMBEDS
IPAdapterSaveEmbeds: embeds:EMBEDS ->
IPAdapterLoadEmbeds: -> EMBEDS:EMBEDS
IPAdapterNoise: image_optional:IMAGE -> IMAGE:IMAGE
PrepImageForClipVision: image:IMAGE -> IMAGE:IMAGE
IPAdapterWeights: image:IMAGE -> {_PAIR}
IPAdapterWeights@2024-04-12: -> FLOAT:FLOAT
IPAdapterWeights@2024-04-27: image:IMAGE -> {_PAIR.rsplit(" ", 1)[0]}
IPAdapterCombineWeights: -> weights:FLOAT count:INT
IPAdapterWeightsFromStrategy: weights_strategy:WEIGHTS_STRATEGY image:IMAGE -> {_PAIR}
IPAdapterPromptScheduleFromWeightsStrategy: weights_strategy:WEIGHTS_STRATEGY -> prompt_schedule:STRING
IPAdapterRegionalConditioning: image:IMAGE mask:MASK positive:CONDITIONING negative:CONDITIONING -> IPADAPTER_PARAMS:IPADAPTER_PARAMS POSITIVE:CONDITIONING NEGATIVE:CONDITIONING
IPAdapterCombineParams: params_1:IPADAPTER_PARAMS params_2:IPADAPTER_PARAMS params_3:IPADAPTER_PARAMS params_4:IPADAPTER_PARAMS params_5:IPADAPTER_PARAMS -> IPADAPTER_PARAMS:IPADAPTER_PARAMS
IPAdapterCLIPVisionEncode: clip_vision:CLIP_VISION image:IMAGE -> CLIP_VISION_OUTPUT:CLIP_VISION_OUTPUT
IPAdapterApply@2023-09-03: model:MODEL ipadapter:IPADAPTER clip_vision_output:CLIP_VISION_OUTPUT mask:MASK -> MODEL:MODEL
IPAdapterApply@2023-09-15: {_FIRST} -> MODEL:MODEL
IPAdapterApply: {_FIRST} attn_mask:MASK -> MODEL:MODEL
IPAdapterApply@2023-12-28: {_FIRST} attn_mask:MASK insightface:INSIGHTFACE -> MODEL:MODEL
IPAdapterApplyFaceID: ipadapter:IPADAPTER clip_vision:CLIP_VISION insightface:INSIGHTFACE image:IMAGE model:MODEL attn_mask:MASK -> MODEL:MODEL
IPAdapterApplyEncoded@2023-09-29: ipadapter:IPADAPTER embeds:EMBEDS model:MODEL -> MODEL:MODEL
IPAdapterApplyEncoded: ipadapter:IPADAPTER embeds:EMBEDS model:MODEL attn_mask:MASK -> MODEL:MODEL
IPAdapterTilesMasked: {_FIRST} -> MODEL:MODEL
IPAdapterEncoder@2023-09-29: clip_vision:CLIP_VISION image:IMAGE -> EMBEDS:EMBEDS
IPAdapterEncoder@2023-10-12: clip_vision:CLIP_VISION image_1:IMAGE image_2:IMAGE image_3:IMAGE image_4:IMAGE -> EMBEDS:EMBEDS
IPAdapterBatchEmbeds: embed1:EMBEDS embed2:EMBEDS -> EMBEDS:EMBEDS
InsightFaceLoader: -> INSIGHTFACE:INSIGHTFACE
PrepImageForInsightFace: image:IMAGE -> IMAGE:IMAGE
LoadFluxIPAdapter: -> ipadapterFlux:IP_ADAPTER_FLUX
ApplyFluxIPAdapter: model:MODEL ip_adapter_flux:IP_ADAPTER_FLUX image:IMAGE -> MODEL:MODEL
ApplyAdvancedFluxIPAdapter: model:MODEL ip_adapter_flux:IP_ADAPTER_FLUX image:IMAGE -> MODEL:MODEL
IPAdapterFluxLoader: -> ipadapterFlux:IP_ADAPTER_FLUX_INSTANTX
ApplyIPAdapterFlux: model:MODEL ipadapter_flux:IP_ADAPTER_FLUX_INSTANTX image:IMAGE -> MODEL:MODEL
IPAdapter@laksjdjf: model:MODEL image:IMAGE clip_vision:CLIP_VISION mask:MASK -> MODEL:MODEL CLIP_VISION_OUTPUT:CLIP_VISION_OUTPUT
IPAdapter@laksjdjf-2023-08-17: model:MODEL clip_vision_output:CLIP_VISION_OUTPUT -> MODEL:MODEL
"""


class Socket(NamedTuple):
    name: str
    type: str


def _sockets(text: str) -> list[Socket]:
    return [Socket(*each.split(":")) for each in text.split()]


LAYOUTS = {
    kind: tuple(_sockets(side) for side in rest.split("->"))
    for kind, rest in (line.split(":", 1) for line in _LAYOUTS.strip().splitlines())
}


class Output(NamedTuple):
    """Where a link begins."""

    node: Node
    slot: int


@dataclass(eq=False)
class Node:
    """A node of a saved graph; node[0] is its first output."""

    graph: Graph
    id: int
    type: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    values: list[Any]
    mode: int = 0

    def __getitem__(self, slot: int) -> Output:
        return Output(self, slot)

    def __iter__(self) -> Iterator[Output]:
        return (Output(self, slot) for slot in range(len(self.outputs)))

    def saved(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": self.type,
            "pos": [260 * (self.id // 6), 260 * (self.id % 6)],
            "size": {"0": 230, "1": 150},
            "flags": {},
            "order": self.id,
            "mode": self.mode,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "properties": {"Node name for S&R": self.type},
            "widgets_values": self.values,
        }


@dataclass
class Graph:
    """A graph as a browser saves it.

    about: what it covers; fails: for a node that must refuse, the type and words of it.
    """

    about: str
    fails: tuple[str, str] | None = None
    nodes: list[Node] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    definitions: list[dict[str, Any]] = field(default_factory=list)

    def add(self, layout: str, *values: Any, mode: int = 0, **links: Output | None) -> Node:
        """A node with its widget values and what is linked to its sockets, by name."""
        node = self.add_like(layout.split("@")[0], *LAYOUTS[layout], list(values))
        node.mode = mode
        for name, output in links.items():
            if output is not None:
                self.link(output, node, name)
        return node

    def add_like(
        self, kind: str, sockets: list[Socket], outputs: list[Socket], values: list[Any]
    ) -> Node:
        """A node of any kind, a subgraph too."""
        inputs = [{"name": name, "type": of, "link": None} for name, of in sockets]
        result = [{"name": name, "type": of, "links": None, "shape": 3} for name, of in outputs]
        node = Node(self, len(self.nodes) + 1, kind, inputs, result, values)
        self.nodes.append(node)
        return node

    def link(self, output: Output, node: Node, name: str) -> None:
        names = [input["name"] for input in node.inputs]
        start = output.node.outputs[output.slot]
        if name not in names:  # a widget turned into a socket
            options = {"type": start["type"], "link": None, "widget": {"name": name}}
            node.inputs.append({"name": name, **options})
            names.append(name)
        number, slot = len(self.links) + 1, names.index(name)
        node.inputs[slot]["link"] = number
        start["links"] = [*(start["links"] or []), number]
        start["slot_index"] = output.slot
        link = [number, output.node.id, output.slot, node.id, slot, start["type"]]
        self.links.append(link)

    def saved(self) -> dict[str, Any]:
        result = {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": [node.saved() for node in self.nodes],
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }
        return result | (
            {"definitions": {"subgraphs": self.definitions}} if self.definitions else {}
        )
