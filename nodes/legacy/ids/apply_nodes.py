"""The apply nodes of IPAdapter_plus; a variant turns its inputs into IPAdapter Advanced's."""

from dataclasses import replace
from itertools import chain
from typing import Any

import node_helpers
import torch
from torch import Tensor

from comfy.model_patcher import ModelPatcher

from .adapter_link import open_link
from .encoder_views import OldAdapter, OldFeatures
from .faceid_apply import apply_faces
from .image_tiles import cut_tiles
from .old_apply import OldApply, apply_features
from .old_graphs_switch import follows_paper
from .old_node import InputValues, OldNode
from .weight_types import (
    PRECISE_LAYOUT,
    PRECISE_STYLE,
    STRONG_STYLE_AND_COMPOSITION,
    STYLE_AND_COMPOSITION,
    simple_weight_type,
)

MOST_ENHANCER_TILES = 16  # along a side
REGION_FIELDS = "image", "attn_mask", "weight", "weight_type", "start_at", "end_at"


class ApplyPictures(OldNode):
    """Model, adapter and pictures become a model. Other packs call it with any of these inputs."""

    POSITIONAL = (
        "model ipadapter start_at end_at weight weight_style weight_composition expand_style"
        " weight_type combine_embeds weight_faceidv2 image image_style image_composition"
        " image_negative clip_vision attn_mask insightface embeds_scaling layer_weights"
        " ipadapter_params encode_batch_size style_boost composition_boost enhance_tiles"
        " enhance_ratio weight_kolors"
    )

    def compute(self, model, ipadapter, clip_vision=None, insightface=None, **inputs):
        """-> model, and the faces that a FaceID adapter follows; None of another."""
        adapter = open_link(ipadapter, self.NAME, clip_vision, insightface)
        settings = OldApply.of(self, inputs)
        if adapter.loaded.spec.identity_input is not None:
            return apply_faces(model, adapter, settings)
        return apply_pictures(model, adapter, settings), None


class ApplySimple(ApplyPictures):
    """Called with its inputs in the order of the node."""

    POSITIONAL = ""


def simple(weight_type: str, **inputs: Any) -> InputValues:
    return {**inputs, "weight_type": simple_weight_type(weight_type)}


def style_and_composition(
    image_style: Tensor,
    image_composition: Tensor | None = None,
    weight_style: float = 1.0,
    weight_composition: float = 1.0,
    expand_style: bool = False,
    **inputs: Any,
) -> InputValues:
    """Style from one picture, composition from another, or from the same if there is none."""
    return {
        **inputs,
        "image": image_style,
        "image_composition": image_style if image_composition is None else image_composition,
        "weight": weight_style,
        "second_weight": weight_composition,
        "weight_type": STRONG_STYLE_AND_COMPOSITION if expand_style else STYLE_AND_COMPOSITION,
    }


def precise_style(style_boost: float = 1.0, **inputs: Any) -> InputValues:
    return {**inputs, "weight_type": PRECISE_STYLE, "second_weight": style_boost}


def precise_composition(composition_boost: float = 0.0, **inputs: Any) -> InputValues:
    return {**inputs, "weight_type": PRECISE_LAYOUT, "second_weight": composition_boost}


class ApplyFromParams(ApplyPictures):
    """One region after the other."""

    def compute(self, model, ipadapter, ipadapter_params, clip_vision=None, **inputs):
        adapter, model = open_link(ipadapter, self.NAME, clip_vision), model.clone()
        for number, image in enumerate(ipadapter_params["image"]):
            if image is not None:
                region = {name: ipadapter_params[name][number] for name in REGION_FIELDS}
                model = apply_pictures(model, adapter, OldApply.of(self, inputs, **region))
        return model, None


class RegionalConditioning(OldNode):
    """-> the region's picture and weights, and its texts with the mask."""

    FUNCTION = "conditioning"

    def compute(
        self, image_weight, prompt_weight, mask=None, positive=None, negative=None, **inputs
    ):
        values = {**inputs, "attn_mask": mask, "weight": image_weight}
        region = {name: [values.get(name)] for name in REGION_FIELDS}
        area = {"mask": mask, "set_area_to_bounds": False, "mask_strength": prompt_weight}
        texts = positive, negative
        if mask is not None:
            texts = (text and node_helpers.conditioning_set_values(text, area) for text in texts)
        return region, *texts


class CombineParams(OldNode):
    FUNCTION = "combine"

    def compute(self, **params):
        regions = [params[name] for name in sorted(params)]
        return ({name: [*chain(*(each[name] for each in regions))] for name in REGION_FIELDS},)


class ApplyTiled(OldNode):
    """-> model, tiles and masks: each tile of a large reference is applied to its part of the
    image.
    """

    FUNCTION = "apply_tiled"
    POSITIONAL = (
        "model ipadapter image weight weight_type start_at end_at sharpening combine_embeds"
        " image_negative attn_mask clip_vision embeds_scaling encode_batch_size"
    )

    def compute(
        self, model, ipadapter, image, sharpening, attn_mask=None, clip_vision=None, **inputs
    ):
        adapter = open_link(ipadapter, self.NAME, clip_vision)
        whole = OldApply.of(self, inputs, attn_mask=attn_mask)
        tiles, masks = cut_tiles(image, whole.attn_mask, sharpening, self.NAME)
        for tile, tile_mask in zip(tiles, masks, strict=True):
            settings = replace(whole, image=tile, attn_mask=tile_mask)
            model = apply_pictures(model, adapter, settings)
        return model, torch.cat(tiles), torch.cat(masks)


def apply_pictures(model: ModelPatcher, adapter: OldAdapter, settings: OldApply) -> ModelPatcher:
    """The model with one old apply node's pictures on it. Raises ValueError."""
    if adapter.loaded.spec.identity_input is not None:
        return apply_faces(model, adapter, settings).model
    node_name, loaded = settings.node_name, adapter.loaded
    if settings.image_composition is not None and not loaded.spec.is_sdxl:
        raise ValueError(
            f"{node_name} takes style and composition from two images only on SDXL, but "
            f"'{loaded.name}' is for {loaded.spec.base_model}: use two Apply IPAdapter nodes with "
            "IPAdapter Weight Map."
        )
    if settings.image is None:
        raise ValueError(f"{node_name} has no image: connect 'image'.")
    view = min(settings.enhance_tiles, MOST_ENHANCER_TILES), settings.enhance_ratio
    positive = adapter.features(settings.image, "image", *view)
    if settings.image_negative is None:
        negative = adapter.unconditional(follows_paper(model))
    else:
        negative = adapter.features(settings.image_negative, "image_negative")
    composition = None
    if settings.image_composition is not None:
        composition = adapter.features(settings.image_composition, "image_composition", *view)
    features = OldFeatures(positive, negative, composition)
    return apply_features(model, loaded, features, settings)
