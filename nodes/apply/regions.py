"""IPAdapter Region and Apply IPAdapter Regions: several references, each where it belongs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from comfy.clip_vision import ClipVisionModel
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ...ipadapter_core.attention.regions import NORMALISED, OVERLAPS, arrange_masks
from ...ipadapter_core.attention.scaling import V_ONLY
from ...ipadapter_core.messages import Message
from ...ipadapter_core.references.embeds import References
from ..notes import shown_texts, with_texts
from ..references.boxes import box_problem
from ..references.fit import fit_input
from ..references.side_inputs import ReferenceEncoder, SideInputs, negative_inputs
from ..sampling.image_prompt import ImagePrompt, PromptSettings, prompts_for
from ..sampling.patch import add_image_prompts
from ..sockets import (
    EmbedsSocket,
    IPAdapterSocket,
    LoadedAdapter,
    RegionSocket,
    optional_weight_map,
    require_adapter,
    require_type,
)
from . import inputs
from .attention_mask import region_mask, region_notes
from .keys import keys_for
from .lora import add_lora

REGION_NODE, APPLY_NODE = "IPAdapter Region", "Apply IPAdapter Regions"


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
            display_name=REGION_NODE,
            category="ipadapter/regions",
            search_aliases=["regional conditioning", "attention mask", "two references"],
            description="One of several references, with its own adapter, weight, steps and part "
            "of the generated image. Connect it to Apply IPAdapter Regions.",
            inputs=[
                IPAdapterSocket.Input("ipadapter", tooltip="The adapter of this region."),
                *basic_inputs(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The part of the generated image that the reference affects: fully "
                    "where the mask is white, not at all where it is black. Any size; a batch is "
                    "one mask for each generated image. Without a mask: the whole image.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="The image encoder, for 'image'. Not connected: the installed one that "
                    "fits is used, and the node names it.",
                ),
                io.Image.Input(
                    "image", optional=True, tooltip="The reference image of this region."
                ),
                EmbedsSocket.Input(
                    "embeds",
                    optional=True,
                    tooltip="The reference already encoded, instead of 'image'.",
                ),
                EmbedsSocket.Input(
                    "embeds_negative",
                    optional=True,
                    tooltip="The embeds for the negative "
                    "conditioning of this region, from IPAdapter Negative Reference.",
                ),
                *advanced_inputs(),
                io.String.Input(
                    "region_box",
                    default="",
                    optional=True,
                    tooltip="The region as a box, in percent of the generated image: x, y, width, "
                    "height. Type it, or draw it below. Empty: the mask alone, or the whole image "
                    "if there is no mask. With a mask: the part where mask and box "
                    "overlap.",
                ),
            ],
            outputs=[
                RegionSocket.Output("region", tooltip="The region, for Apply IPAdapter Regions.")
            ],
        )

    @classmethod
    def validate_inputs(cls, region_box: object = "") -> bool | str:
        return box_problem(region_box, REGION_NODE, "region_box") or True

    @classmethod
    def execute(
        cls,
        ipadapter: object,
        weight: float,
        start_at: float,
        end_at: float,
        fit: str,
        mask: Tensor | None = None,
        clip_vision: ClipVisionModel | None = None,
        image: Tensor | None = None,
        embeds: object = None,
        embeds_negative: object = None,
        weight_map: object = None,
        scaling: str = V_ONLY,
        keep_prompt: float = 0.0,
        region_box: str = "",
    ) -> io.NodeOutput:
        adapter = require_adapter(ipadapter)
        encoder = ReferenceEncoder(clip_vision, adapter, fit=fit, node=REGION_NODE)
        references = encoder.encode_sides(
            SideInputs(image=image, embeds=embeds), negative_inputs(embeds=embeds_negative)
        )
        if references is None:
            raise ValueError(f"{REGION_NODE} got an empty 'image': connect at least one image.")
        inputs.warn_of_empty_range(REGION_NODE, start_at, end_at)
        settings = PromptSettings(
            weight=weight,
            start_at=start_at,
            end_at=end_at,
            weight_map=optional_weight_map(weight_map),
            scaling=scaling,
            keep_prompt=keep_prompt,
        )
        positive, negative = references
        own_mask = region_mask(mask, region_box, REGION_NODE)
        region = Region(adapter, positive, negative, settings=settings, mask=own_mask)
        notes = region_notes(mask, own_mask)
        return io.NodeOutput((region,), ui=with_texts(encoder.display, *notes))


class ApplyIPAdapterRegions(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        region = RegionSocket.Input(
            "region", tooltip="A region, from IPAdapter Region or IPAdapter Tiles."
        )
        return io.Schema(
            node_id="ApplyIPAdapterRegions",
            display_name=APPLY_NODE,
            category="ipadapter/regions",
            search_aliases=["regional prompt", "ipadapter from params", "combine params", "masks"],
            description="Makes the model follow several references, each in its own region. "
            "Outside of all regions the model follows the text prompt alone.",
            inputs=[
                io.Model.Input("model", tooltip="The SD1.5, SDXL, FLUX.1 or SD3.5 Large model."),
                io.Autogrow.Input(
                    "regions",
                    template=io.Autogrow.TemplatePrefix(region, prefix="region", min=1, max=32),
                    tooltip="The regions. When you connect the last input, another one appears.",
                ),
                io.Int.Input(
                    "feather",
                    default=0,
                    min=0,
                    max=512,
                    tooltip="Width of the masks' soft edges, in pixels of the masks. The area that "
                    "the masks cover together does not grow.",
                ),
                io.Combo.Input(
                    "overlap",
                    options=OVERLAPS,
                    default=NORMALISED,
                    tooltip="What happens where masks overlap. normalised: they share the weight "
                    "and never add up to more than 1; added: each has its full weight.",
                ),
                inputs.lora_strength(),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The model that follows all the references."),
                io.Mask.Output(
                    "masks", tooltip="The mask of each region, after feather and overlap."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: ModelPatcher,
        regions: Mapping[str, object],
        feather: int,
        overlap: str,
        lora_strength: float = 1.0,
    ) -> io.NodeOutput:
        connected = _regions(regions)
        if not connected:
            raise ValueError(f"{APPLY_NODE} has no regions: connect at least one to 'region0'.")
        masks = [
            torch.ones(1, 8, 8) if region.mask is None else region.mask for region in connected
        ]
        masks = arrange_masks(masks, feather, overlap)
        prompts: list[ImagePrompt] = []
        notes: dict[Message, None] = {}
        for region, mask in zip(connected, masks, strict=True):
            keys = keys_for(model, region.adapter, region.positive, region.negative)
            is_everywhere = bool((mask == 1).all())
            prompts += prompts_for(model, keys, region.settings, None if is_everywhere else mask)
            strength = lora_strength if region.settings.weight else 0.0
            model, lora_notes = add_lora(model, region.adapter, strength)
            notes |= dict.fromkeys(lora_notes)
        model = add_image_prompts(model, prompts)
        return io.NodeOutput(model, torch.cat(masks), ui=shown_texts(*notes))


def _regions(inputs: Mapping[str, object]) -> list[Region]:
    """The regions of all connected inputs, in order; one input holds several of IPAdapter Tiles."""
    connected: list[Region] = []
    for name, value in inputs.items():
        if value is not None:
            regions = cast("tuple[object, ...]", require_type(value, tuple, name, REGION_NODE))
            connected += [require_type(region, Region, name, REGION_NODE) for region in regions]
    return connected


def basic_inputs() -> list[Any]:
    return [
        inputs.weight("How strongly the model follows the reference."),
        inputs.start_at("When the reference becomes active: 0 is the first step, 1 the end."),
        inputs.end_at("When the reference becomes inactive: 0 is the first step, 1 the end."),
        fit_input("How the reference becomes square: as in Apply IPAdapter."),
    ]


def advanced_inputs() -> list[Any]:
    return [
        inputs.weight_map("What to take from the reference: a map from IPAdapter Weight Map."),
        inputs.scaling("What the weight multiplies: as in Apply IPAdapter."),
        inputs.keep_prompt(
            "How well the text prompt is protected: at 1 the reference can neither "
            "strengthen nor weaken what the text says, only add to it."
        ),
    ]
