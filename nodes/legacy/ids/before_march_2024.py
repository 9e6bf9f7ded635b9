"""Nodes that IPAdapter_plus had until March 2024, with the numbers they gave.

They reached every layer, the middle block included, and resized masks in their own ways. Some of
their ids mean another node today; `reading/` tells them apart by their sockets and widgets.
"""

from dataclasses import replace

import torch
from torch import Tensor

import comfy.utils

from ....ipadapter_core.adapter.features import EMBEDS, HIDDEN
from ....ipadapter_core.references.embeds_file import is_stack
from ...pictures import rgb
from ...references.encode import CROP, encode
from .adapter_link import open_link
from .encoder_views import ENCODER_SIZE, OldAdapter, OldFeatures
from .faceid_apply import apply_faces
from .image_nodes import shuffled
from .image_tiles import cut_masked_tiles
from .old_apply import OldApply, apply_features
from .old_node import InputValues, OldNode, unknown_option
from .weight_types import LINEAR, SCALINGS_BEFORE_MARCH_2024


class ApplyFirst(OldNode):
    """`IPAdapterApply` and `IPAdapterApplyFaceID`; with noise the negative side sees shuffled
    pictures. Whether a file is plus v2 is read from the file, not from 'faceid_v2'.
    """

    POSITIONAL = (
        "ipadapter model image weight clip_vision weight_type noise attn_mask start_at end_at"
        " unfold_batch insightface faceid_v2 weight_v2"
    )

    def compute(self, ipadapter, model, image, clip_vision=None, noise=0.0, **inputs):
        adapter = open_link(ipadapter, self.NAME, clip_vision, inputs.get("insightface"))
        pictures, settings = rgb(image, self.NAME, "image"), first_settings(self, inputs)
        if adapter.loaded.spec.identity_input is not None:
            structure = inputs.get("weight_v2", 1.0)
            settings = replace(settings, image=pictures, weight_faceidv2=structure)
            return (apply_faces(model, adapter, settings, noise).model,)
        features = encode_both(adapter, pictures, noise)
        return (apply_features(model, adapter.loaded, features, settings),)


class ApplyEncodedFirst(OldNode):
    """`IPAdapterApplyEncoded`: both sides on one link."""

    POSITIONAL = "ipadapter model embeds weight weight_type attn_mask start_at end_at unfold_batch"

    def compute(self, ipadapter, model, embeds=None, **inputs):
        adapter = open_link(ipadapter, self.NAME)
        features = adapter.embeds_pair("embeds", embeds)
        return (apply_features(model, adapter.loaded, features, first_settings(self, inputs)),)


class ApplyMaskedTiles(OldNode):
    """`IPAdapterTilesMasked`: each tile of the first image is applied where it lies."""

    POSITIONAL = (
        "ipadapter model image weight clip_vision weight_type noise start_at end_at"
        " short_side_tiles tile_weight"
    )

    def compute(self, ipadapter, model, image, clip_vision=None, noise=0.0, **inputs):
        adapter = open_link(ipadapter, self.NAME, clip_vision)
        pictures, masks = rgb(image, self.NAME, "image"), [None]
        if short_side := inputs.get("short_side_tiles", 1):
            tile_weight = inputs.get("tile_weight", 0.6)
            pictures, area = cut_masked_tiles(pictures, short_side, tile_weight)
            masks = list(area.split(1))
        positive_features, negative_features, *_ = encode_both(adapter, pictures, noise)
        for number, mask in enumerate(masks):
            tile = slice(number, number + 1) if short_side else slice(None)
            features = OldFeatures(positive_features[tile], negative_features)
            if noise and negative_features is not None:
                features = features._replace(negative_features=negative_features[tile])
            settings = first_settings(self, {"weight": 0.7, **inputs, "attn_mask": mask})
            model = apply_features(model, adapter.loaded, features, settings)
        return (model,)


class EncodeImages(OldNode):
    """`IPAdapterEncoder` of that time: up to four pictures, by the squares of their weights."""

    FUNCTION = "preprocess"

    def compute(self, clip_vision, image_1, ipadapter_plus=False, noise=0.0, **inputs):
        images, weights = [rgb(image_1, self.NAME, "image_1")], [inputs.get("weight_1", 1.0)]
        for number in (2, 3, 4):
            name = f"image_{number}"
            if inputs.get(name) is not None:
                images.append(_resize_like(rgb(inputs[name], self.NAME, name), images[0]))
                weights.append(inputs.get(f"weight_{number}", 1.0))
        pictures = torch.cat(images)
        feature = HIDDEN if ipadapter_plus else EMBEDS

        def features_of(batch: Tensor) -> Tensor:
            return getattr(encode(clip_vision, batch, CROP), feature)

        positive_features = features_of(pictures)
        if noise:
            negative_features = features_of(shuffled(pictures, noise))
        elif ipadapter_plus:
            black = torch.zeros(1, ENCODER_SIZE, ENCODER_SIZE, 3)
            negative_features = features_of(black).expand_as(positive_features)
        else:
            negative_features = torch.zeros_like(positive_features)
        squares = [weight**2 for weight, image in zip(weights, images, strict=True) for _ in image]
        one_each = [1] * (positive_features.ndim - 1)
        factors = positive_features.new_tensor(squares).view(-1, *one_each)
        return (torch.stack((positive_features * factors, negative_features)),)


class BatchEmbeds(OldNode):
    FUNCTION = "batch"

    def compute(self, embed1, embed2):
        return (torch.cat((embed1, embed2), 1 if is_stack(embed1) else 0),)


class EncodePicture(OldNode):
    FUNCTION = "encode"

    def compute(self, clip_vision, image):
        return (encode(clip_vision, rgb(image, self.NAME, "image"), CROP),)


class ApplyEncoderOutput(OldNode):
    """`IPAdapterApply` until 2023-09-15."""

    def compute(self, model, ipadapter, clip_vision_output, weight=1.0, mask=None):
        adapter = open_link(ipadapter, self.NAME)
        is_sd15 = not adapter.loaded.spec.is_sdxl
        # in SDXL a typing error left out the middle block
        settings = nearest_settings(self, weight, mask, with_middle=is_sd15)
        positive_features = adapter.take(clip_vision_output, "clip_vision_output")
        features = OldFeatures(positive_features, adapter.unconditional(is_paper=True))
        return (apply_features(model, adapter.loaded, features, settings),)


def first_settings(node: OldNode, inputs: InputValues) -> OldApply:
    """A node of the releases until March 2024. Raises ValueError for an unknown weight type."""
    name = inputs.get("weight_type", "original")
    if name not in SCALINGS_BEFORE_MARCH_2024:
        raise unknown_option(node.NAME, "weight_type", name, SCALINGS_BEFORE_MARCH_2024)
    scaling = SCALINGS_BEFORE_MARCH_2024[name]
    meaning = {"weight_type": LINEAR, "embeds_scaling": scaling, "mask_filter": "bicubic"}
    by_frame = inputs.get("unfold_batch", False)
    return OldApply.of(node, inputs, by_frame=by_frame, with_middle=True, **meaning)


def nearest_settings(
    node: OldNode, weight: float, mask: Tensor | None = None, with_middle: bool = True
) -> OldApply:
    """A node that resized masks to the nearest pixel, laksjdjf's and those of September 2023."""
    area = {"attn_mask": mask, "mask_input": "mask", "mask_filter": "nearest"}
    return OldApply.of(node, {}, weight=weight, with_middle=with_middle, **area)


def encode_both(adapter: OldAdapter, pictures: Tensor, noise: float) -> OldFeatures:
    """Features of both sides; with noise the negative one sees each picture shuffled."""
    positive_features = adapter.features(pictures, "image")
    if noise:
        return OldFeatures(positive_features, adapter.features(shuffled(pictures, noise), "image"))
    return OldFeatures(positive_features, adapter.unconditional())


def _resize_like(image: Tensor, first_image: Tensor) -> Tensor:
    if image.shape[1:] == first_image.shape[1:]:
        return image
    height, width = first_image.shape[1:3]
    channels = comfy.utils.common_upscale(image.movedim(-1, 1), width, height, "bilinear", "center")
    return channels.movedim(1, -1)
