"""IPAdapter Region, IPAdapter Tiles and Apply IPAdapter Regions: several references in one picture, each where it belongs."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from comfy_api.latest import io

from ...ipadapter_core.attention.keys import V_ONLY
from ...ipadapter_core.attention.regions import (
    NORMALISED,
    OVERLAPS,
    arrange_masks,
    tile_boxes,
    tile_masks,
)
from ...ipadapter_core.references.embeds import References
from ..pictures import rgb
from ..recall import recall
from ..references.side_inputs import ReferenceEncoder
from ..sampling.image_prompt import PromptSettings, prompts_for
from ..sampling.patch import add_image_prompts
from ..sockets import (
    EmbedsSocket,
    IPAdapterSocket,
    LoadedAdapter,
    RegionSocket,
    require_adapter,
    require_type,
    require_weight_map,
)
from . import inputs
from .attention_mask import checked_mask
from .keys import keys_for

REGION, TILES, APPLY = "IPAdapter Region", "IPAdapter Tiles", "Apply IPAdapter Regions"


@dataclass(frozen=True, eq=False)
class Region:
    """One reference with all its settings; the model comes later."""

    adapter: LoadedAdapter
    positive: References
    negative: References | None
    settings: PromptSettings
    mask: Tensor | None  # None: everywhere


class IPAdapterRegion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="IPAdapterRegion",
            display_name=REGION,
            category="ipadapter/regions",
            search_aliases=["regional conditioning", "attention mask", "two references"],
            description="One reference of several: where it acts, how strongly, when, with which "
            "adapter. For Apply IPAdapter Regions.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter of this region."),
                *_common(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the reference acts: white is fully. Of any size; a batch is "
                    "one for each picture. Without it: everywhere.",
                ),
                io.ClipVision.Input(
                    "clip_vision", optional=True, tooltip="The encoder, for 'image'."
                ),
                io.Image.Input("image", optional=True, tooltip="The reference of this region."),
                EmbedsSocket.Input(
                    "embeds",
                    optional=True,
                    tooltip="The reference already encoded, in place of 'image'.",
                ),
                EmbedsSocket.Input(
                    "embeds_negative", optional=True, tooltip="What the negative side sees there."
                ),
                *_extra(),
            ],
            outputs=[
                RegionSocket.Output("region", tooltip="The region, for Apply IPAdapter Regions.")
            ],
        )

    @classmethod
    def execute(
        cls,
        ipadapter,
        weight,
        start_at,
        end_at,
        fit,
        mask=None,
        clip_vision=None,
        image=None,
        embeds=None,
        embeds_negative=None,
        weight_map=None,
        scaling=V_ONLY,
        keep_prompt=0.0,
    ):
        adapter = require_adapter(ipadapter)
        encoder = ReferenceEncoder(clip_vision, adapter, fit, REGION)
        found = encoder.encode_sides(
            {"image": image, "embeds": embeds}, {"embeds_negative": embeds_negative}
        )
        if found is None:
            raise ValueError(f"{REGION} got an empty 'image': connect at least one picture.")
        settings = PromptSettings(
            weight, start_at, end_at, require_weight_map(weight_map), scaling, keep_prompt
        )
        region = Region(adapter, *found, settings, checked_mask(mask, REGION, "mask"))
        return io.NodeOutput((region,), ui=encoder.shown)


class IPAdapterTiles(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="IPAdapterTiles",
            display_name=TILES,
            category="ipadapter/regions",
            search_aliases=["ipadapter tiled", "large reference", "panorama"],
            description="Cuts a large reference into squares that the encoder sees one by one, "
            "each acting where it lies in the picture.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter."),
                *_common(),
                io.ClipVision.Input("clip_vision", tooltip="The encoder that the adapter needs."),
                io.Image.Input("image", tooltip="The large reference."),
                io.Int.Input(
                    "short_side",
                    default=1,
                    min=1,
                    max=4,
                    tooltip="How many tiles along the shorter side. A nearly square picture is "
                    "cut 2 x 2 at least.",
                ),
                *_extra(),
                EmbedsSocket.Input(
                    "embeds_negative",
                    optional=True,
                    tooltip="What the negative side sees, the same for all tiles.",
                ),
            ],
            outputs=[
                RegionSocket.Output("region", tooltip="All tiles, for Apply IPAdapter Regions."),
                io.Image.Output("tiles", tooltip="The tiles, row by row."),
                io.Mask.Output("masks", tooltip="Where each tile acts."),
            ],
        )

    @classmethod
    def execute(
        cls,
        ipadapter,
        weight,
        start_at,
        end_at,
        fit,
        clip_vision,
        image,
        short_side,
        weight_map=None,
        scaling=V_ONLY,
        keep_prompt=0.0,
        embeds_negative=None,
    ):
        adapter, pictures = require_adapter(ipadapter), rgb(image, TILES, "image")
        if not len(pictures):
            raise ValueError(f"{TILES} got an empty 'image': connect a picture.")
        height, width = pictures.shape[1:3]
        places = tile_boxes(height, width, short_side)
        encoder = ReferenceEncoder(clip_vision, adapter, fit, TILES)

        def cut_out() -> Tensor:
            return torch.cat([pictures[:1, y : y + s, x : x + s] for y, x, s in places])

        # the same tensor for the same picture: the encoder recalls what it has seen by it
        cut = recall(clip_vision.patcher, (image,), ("tiles", tuple(places)), cut_out)
        found = encoder.encode_sides({"image": cut}, {"embeds_negative": embeds_negative})
        assert found is not None  # there is a picture
        positive, negative = found
        settings = PromptSettings(
            weight, start_at, end_at, require_weight_map(weight_map), scaling, keep_prompt
        )
        masks = tile_masks(height, width, places)
        regions = tuple(
            Region(adapter, _only(positive, number), negative, settings, mask)
            for number, mask in enumerate(masks)
        )
        return io.NodeOutput(regions, cut, torch.cat(masks), ui=encoder.shown)


class ApplyIPAdapterRegions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        one = RegionSocket.Input(
            "region", tooltip="A region, from IPAdapter Region or IPAdapter Tiles."
        )
        return io.Schema(
            node_id="ApplyIPAdapterRegions",
            display_name=APPLY,
            category="ipadapter/regions",
            search_aliases=["regional prompt", "ipadapter from params", "combine params", "masks"],
            description="Makes the model follow several references, each in its own region. What "
            "lies outside of every region follows the text alone.",
            inputs=[
                io.Model.Input("model", tooltip="The SD1.5 or SDXL model."),
                io.Autogrow.Input(
                    "regions",
                    template=io.Autogrow.TemplatePrefix(one, prefix="region", min=1, max=32),
                    tooltip="The regions; a new place appears when the last one is taken.",
                ),
                io.Int.Input(
                    "feather",
                    default=0,
                    min=0,
                    max=512,
                    tooltip="How many pixels of the masks their edges are soft. Never past what "
                    "the masks cover together.",
                ),
                io.Combo.Input(
                    "overlap",
                    options=OVERLAPS,
                    default=NORMALISED,
                    tooltip="Where masks overlap: normalised, they share and never add up to more "
                    "than 1; added, each acts fully.",
                ),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The model that follows all the references."),
                io.Mask.Output(
                    "masks", tooltip="Where each region acts, after feather and overlap."
                ),
            ],
        )

    @classmethod
    def execute(cls, model, regions, feather, overlap):
        given = [
            region
            for name, one in regions.items()
            if one is not None
            for region in require_type(one, tuple, name, REGION)
        ]
        if not given:
            raise ValueError(f"{APPLY} has no regions: connect at least one to 'region0'.")
        masks = [torch.ones(1, 8, 8) if one.mask is None else one.mask for one in given]
        masks = arrange_masks(masks, feather, overlap)
        prompts = []
        for region, mask in zip(given, masks, strict=True):
            keys = keys_for(model, region.adapter, region.positive, region.negative)
            everywhere = bool((mask == 1).all())
            prompts += prompts_for(model, keys, region.settings, None if everywhere else mask)
        return io.NodeOutput(add_image_prompts(model, prompts), torch.cat(masks))


def _only(references: References, number: int) -> References:
    features = references.features[number : number + 1]
    return replace(references, features=features, weights=references.weights[number : number + 1])


def _common() -> list[Any]:
    return [
        inputs.weight("How strongly the reference acts."),
        inputs.start_at("When the reference begins to act: 0 is the first step, 1 the end."),
        inputs.end_at("When the reference stops to act: 0 is the first step, 1 the end."),
        inputs.fit("How it becomes square: as in Apply IPAdapter."),
    ]


def _extra() -> list[Any]:
    return [
        inputs.weight_map("What to take of it, from IPAdapter Weight Map."),
        inputs.scaling("What the weight multiplies: as in Apply IPAdapter."),
        inputs.keep_prompt("How much of what points the same way as the text is removed."),
    ]
