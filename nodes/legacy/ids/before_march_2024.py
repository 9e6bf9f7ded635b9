"""Nodes that IPAdapter_plus had until March 2024, some of them for weeks in 2023: the numbers they gave.

They reached every layer, the middle block included, and resized masks bicubically or to the nearest pixel. Some of
their ids mean another node today; `reading/` tells them apart by their sockets and widgets.
"""

from typing import Any

import torch
from torch import Tensor

import comfy.utils
from comfy.clip_vision import Output
from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.adapter.features import EMBEDS, HIDDEN
from ...pictures import rgb
from ...references.encode import CROP, encode
from .adapter_link import open_link
from .encoder_views import ENCODER_SIZE, OldAdapter, is_stack
from .image_nodes import shuffled
from .image_tiles import cut_masked_tiles
from .old_apply import OldApply, apply_references
from .old_node import Inputs, OldNode, unknown_option
from .weight_types import LINEAR, SCALINGS_BEFORE_MARCH_2024 as SCALINGS


class ApplyFirst(OldNode):
    """`IPAdapterApply`, and FaceID without a face; with noise the negative side sees shuffled pictures."""

    POSITIONAL = (
        "ipadapter model image weight clip_vision weight_type noise attn_mask start_at end_at"
        " unfold_batch insightface faceid_v2 weight_v2"
    )

    def apply_ipadapter(self, *positional: Any, **inputs: Any) -> tuple[ModelPatcher]:
        named = self.by_name(positional, inputs)
        adapter = open_link(named["ipadapter"], self.NAME, named.get("clip_vision"))
        pictures = rgb(named["image"], self.NAME, "image")
        features = encode_both(adapter, pictures, named.get("noise", 0.0))
        settings = first_settings(self.NAME, named)
        return (apply_features(named["model"], adapter, *features, settings),)


class ApplyEncodedFirst(OldNode):
    """`IPAdapterApplyEncoded`: both sides on one link."""

    POSITIONAL = "ipadapter model embeds weight weight_type attn_mask start_at end_at unfold_batch"

    def apply_ipadapter(self, *positional: Any, **inputs: Any) -> tuple[ModelPatcher]:
        named = self.by_name(positional, inputs)
        adapter = open_link(named["ipadapter"], self.NAME)
        features = adapter.embeds_pair({"embeds": named.get("embeds")})
        settings = first_settings(self.NAME, named)
        return (apply_features(named["model"], adapter, *features, settings),)


class ApplyMaskedTiles(OldNode):
    """`IPAdapterTilesMasked`: each tile of the first picture acts where it lies."""

    POSITIONAL = (
        "ipadapter model image weight clip_vision weight_type noise start_at end_at"
        " short_side_tiles tile_weight"
    )

    def apply_ipadapter(self, *positional: Any, **inputs: Any) -> tuple[ModelPatcher]:
        named = {"weight": 0.7, **self.by_name(positional, inputs)}
        model, noise = named["model"], named.get("noise", 0.0)
        adapter = open_link(named["ipadapter"], self.NAME, named.get("clip_vision"))
        pictures, masks = rgb(named["image"], self.NAME, "image"), [None]
        if short_side := named.get("short_side_tiles", 1):
            pictures, area = cut_masked_tiles(pictures, short_side, named.get("tile_weight", 0.6))
            masks = list(area.split(1))
        positive, negative = encode_both(adapter, pictures, noise)
        for number, mask in enumerate(masks):
            tile = slice(number, number + 1) if short_side else slice(None)
            tile_negative = negative[tile] if noise and negative is not None else negative
            settings = first_settings(self.NAME, {**named, "attn_mask": mask})
            model = apply_features(model, adapter, positive[tile], tile_negative, settings)
        return (model,)


class EncodeImages(OldNode):
    """`IPAdapterEncoder` of that time: up to four pictures, by the squares of their weights."""

    FUNCTION = "preprocess"

    def preprocess(
        self, clip_vision, image_1, ipadapter_plus=False, noise=0.0, weight_1=1.0, **inputs
    ):
        images, weights = [rgb(image_1, self.NAME, "image_1")], [weight_1]
        for number in (2, 3, 4):
            name = f"image_{number}"
            if inputs.get(name) is not None:
                images.append(_resize_like(rgb(inputs[name], self.NAME, name), images[0]))
                weights.append(inputs.get(f"weight_{number}", 1.0))
        pictures = torch.cat(images)
        feature = HIDDEN if ipadapter_plus else EMBEDS

        def features_of(batch: Tensor) -> Tensor:
            return getattr(encode(clip_vision, batch, CROP), feature)

        positive = features_of(pictures)
        if noise:
            negative = features_of(shuffled(pictures, noise))
        elif ipadapter_plus:
            black = torch.zeros(1, ENCODER_SIZE, ENCODER_SIZE, 3)
            negative = features_of(black).expand_as(positive)
        else:
            negative = torch.zeros_like(positive)
        squares = [weight**2 for weight, image in zip(weights, images, strict=True) for _ in image]
        factors = positive.new_tensor(squares).view(-1, *[1] * (positive.ndim - 1))
        return (torch.stack((positive * factors, negative)),)


class BatchEmbeds(OldNode):
    FUNCTION = "batch"

    def batch(self, embed1, embed2):
        return (torch.cat((embed1, embed2), 1 if is_stack(embed1) else 0),)


class EncodePicture(OldNode):
    FUNCTION = "encode"

    def encode(self, clip_vision, image):
        return (encode(clip_vision, rgb(image, self.NAME, "image"), CROP),)


class ApplyEncoderOutput(OldNode):
    """`IPAdapterApply` until 2023-09-15."""

    def apply_ipadapter(self, model, ipadapter, clip_vision_output, weight=1.0, mask=None):
        adapter = open_link(ipadapter, self.NAME)
        is_sd15 = not adapter.loaded.spec.is_sdxl
        # in SDXL a typing error left out the middle block
        settings = nearest_settings(self.NAME, weight, mask, with_middle=is_sd15)
        return (apply_encoder_output(model, adapter, clip_vision_output, settings),)


def first_settings(node: str, inputs: Inputs) -> OldApply:
    """A node of the releases until March 2024. Raises ValueError for an unknown weight type."""
    weight_type = inputs.get("weight_type", "original")
    if weight_type not in SCALINGS:
        raise unknown_option(node, "weight_type", weight_type, SCALINGS)
    by_frame = inputs.get("unfold_batch", False)
    changes = {
        "embeds_scaling": SCALINGS[weight_type],
        "mask_filter": "bicubic",
        "with_middle": True,
    }
    return OldApply.of(node, by_frame, inputs, weight_type=LINEAR, image=None, **changes)


def nearest_settings(
    node: str, weight: float, mask: Tensor | None = None, with_middle: bool = True
) -> OldApply:
    """A node that resized masks to the nearest pixel, laksjdjf's and those of September 2023."""
    area = {"attn_mask": mask, "mask_input": "mask", "mask_filter": "nearest"}
    return OldApply(node=node, weight=weight, with_middle=with_middle, **area)


def encode_both(
    adapter: OldAdapter, pictures: Tensor, noise: float
) -> tuple[Tensor, Tensor | None]:
    """Features of both sides; with noise the negative one sees each picture shuffled."""
    positive = adapter.features(pictures, "image")
    if noise:
        return positive, adapter.features(shuffled(pictures, noise), "image")
    return positive, adapter.unconditional()


def apply_features(
    model: ModelPatcher,
    adapter: OldAdapter,
    positive: Tensor,
    negative: Tensor | None,
    settings: OldApply,
) -> ModelPatcher:
    references = adapter.pair(positive, negative, by_frame=settings.by_frame)
    return apply_references(model, adapter.loaded, references, settings)


def apply_encoder_output(
    model: ModelPatcher,
    adapter: OldAdapter,
    output: Output,
    settings: OldApply,
    name: str = "clip_vision_output",
) -> ModelPatcher:
    """name: the input that the encoder's output came from."""
    positive, negative = adapter.take(output, name), adapter.unconditional(paper=True)
    return apply_features(model, adapter, positive, negative, settings)


def _resize_like(image: Tensor, first_image: Tensor) -> Tensor:
    if image.shape[1:] == first_image.shape[1:]:
        return image
    height, width = first_image.shape[1:3]
    channels = comfy.utils.common_upscale(image.movedim(-1, 1), width, height, "bilinear", "center")
    return channels.movedim(1, -1)
