"""The apply nodes of IPAdapter_plus, and its regions. A variant turns its inputs into one
`OldApply`.
"""

from itertools import chain
from typing import Any

import node_helpers
import torch
from torch import Tensor

from comfy.model_patcher import ModelPatcher

from ...apply.attention_mask import checked_mask
from .adapter_link import open_link
from .encoder_views import OldAdapter, OldFeatures
from .image_tiles import cut_tiles
from .old_apply import OldApply, apply_features
from .old_graphs_switch import follows_paper
from .old_node import Inputs, OldNode
from .weight_types import (
    PRECISE_LAYOUT,
    PRECISE_STYLE,
    STRONG_STYLE_AND_COMPOSITION,
    STYLE_AND_COMPOSITION,
)

MOST_TILES = 16  # along a side
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

    def apply_ipadapter(self, *positional: Any, **inputs: Any) -> tuple[ModelPatcher, None]:
        """-> model, None: the second output was the face of a FaceID adapter."""
        all_inputs = self.by_name(positional, inputs)
        adapter = open_link(all_inputs["ipadapter"], self.NAME, all_inputs.get("clip_vision"))
        return apply_pictures(all_inputs["model"], adapter, self.settings(all_inputs)), None

    def settings(self, inputs: Inputs) -> OldApply:
        return OldApply.of(self.NAME, self.BY_FRAME, inputs)


class ApplySimple(ApplyPictures):
    POSITIONAL = "model ipadapter image weight start_at end_at weight_type attn_mask"

    def settings(self, inputs: Inputs) -> OldApply:
        is_style = inputs["weight_type"].startswith("style")
        weight_type = "style transfer" if is_style else inputs["weight_type"]
        return super().settings({**inputs, "weight_type": weight_type})


class ApplyStyleComposition(ApplyPictures):
    """Style from one picture, composition from another, or from the same if there is none."""

    def settings(self, inputs: Inputs) -> OldApply:
        is_strong = inputs.get("expand_style", False)
        style = inputs["image_style"]
        changes = {
            "image": style,
            "image_composition": inputs.get("image_composition", style),
            "weight": inputs.get("weight_style", 1.0),
            "second_weight": inputs.get("weight_composition", 1.0),
            "weight_type": STRONG_STYLE_AND_COMPOSITION if is_strong else STYLE_AND_COMPOSITION,
        }
        return super().settings({**inputs, **changes})


class ApplyPreciseStyle(ApplyPictures):
    def settings(self, inputs: Inputs) -> OldApply:
        boost = inputs.get("style_boost", 1.0)
        return super().settings({**inputs, "weight_type": PRECISE_STYLE, "second_weight": boost})


class ApplyPreciseComposition(ApplyPictures):
    def settings(self, inputs: Inputs) -> OldApply:
        boost = inputs.get("composition_boost", 0.0)
        return super().settings({**inputs, "weight_type": PRECISE_LAYOUT, "second_weight": boost})


class ApplyFromParams(ApplyPictures):
    """One region after the other."""

    def apply_ipadapter(self, *positional: Any, **inputs: Any) -> tuple[ModelPatcher, None]:
        all_inputs = self.by_name(positional, inputs)
        adapter = open_link(all_inputs["ipadapter"], self.NAME, all_inputs.get("clip_vision"))
        params = all_inputs["ipadapter_params"]
        model = all_inputs["model"].clone()
        for number, image in enumerate(params["image"]):
            if image is not None:
                region = {name: params[name][number] for name in REGION_FIELDS}
                model = apply_pictures(model, adapter, self.settings({**all_inputs, **region}))
        return model, None


class RegionalConditioning(OldNode):
    """-> the region's picture and weights, and its texts with the mask."""

    FUNCTION = "conditioning"
    POSITIONAL = (
        "image image_weight prompt_weight weight_type start_at end_at mask positive negative"
    )

    def conditioning(self, *positional: Any, **inputs: Any) -> tuple[Any, ...]:
        all_inputs = self.by_name(positional, inputs)
        mask, texts = (
            all_inputs.get("mask"),
            [all_inputs.get("positive"), all_inputs.get("negative")],
        )
        region = {**all_inputs, "attn_mask": mask, "weight": all_inputs["image_weight"]}
        if mask is not None:
            strength = all_inputs["prompt_weight"]
            area = {"mask": mask, "set_area_to_bounds": False, "mask_strength": strength}
            texts = [
                None if text is None else node_helpers.conditioning_set_values(text, area)
                for text in texts
            ]
        return {name: [region.get(name)] for name in REGION_FIELDS}, *texts


class CombineParams(OldNode):
    FUNCTION = "combine"
    POSITIONAL = "params_1 params_2 params_3 params_4 params_5"

    def combine(self, *positional: Any, **inputs: Any) -> tuple[dict[str, Any]]:
        all_inputs = self.by_name(positional, inputs)
        regions = [all_inputs[name] for name in self.POSITIONAL.split() if name in all_inputs]
        joined = {name: [*chain(*(region[name] for region in regions))] for name in REGION_FIELDS}
        return (joined,)


class ApplyTiled(OldNode):
    """-> model, tiles and masks: each tile of a large reference acts in its part of the image."""

    FUNCTION = "apply_tiled"
    POSITIONAL = (
        "model ipadapter image weight weight_type start_at end_at sharpening combine_embeds"
        " image_negative attn_mask clip_vision embeds_scaling encode_batch_size"
    )

    def apply_tiled(self, *positional: Any, **inputs: Any) -> tuple[ModelPatcher, Tensor, Tensor]:
        all_inputs = self.by_name(positional, inputs)
        model = all_inputs["model"]
        adapter = open_link(all_inputs["ipadapter"], self.NAME, all_inputs.get("clip_vision"))
        mask = checked_mask(all_inputs.get("attn_mask"), self.NAME)
        tiles, masks = cut_tiles(all_inputs["image"], mask, all_inputs["sharpening"], self.NAME)
        for tile, tile_mask in zip(tiles, masks, strict=True):
            part = {**all_inputs, "image": tile, "attn_mask": tile_mask}
            settings = OldApply.of(self.NAME, self.BY_FRAME, part)
            model = apply_pictures(model, adapter, settings)
        return model, torch.cat(tiles), torch.cat(masks)


def apply_pictures(model: ModelPatcher, adapter: OldAdapter, settings: OldApply) -> ModelPatcher:
    """The model with one old apply node's pictures on it. Raises ValueError."""
    node_name, loaded = settings.node_name, adapter.loaded
    if settings.image_composition is not None and not loaded.spec.is_sdxl:
        raise ValueError(
            f"{node_name} takes style and composition from two pictures for SDXL alone, "
            f"but '{loaded.name}' is for {loaded.spec.base_model}: "
            "use two Apply IPAdapter nodes with IPAdapter Weight Map."
        )
    if settings.image is None:
        raise ValueError(f"{node_name} has no picture: connect 'image'.")
    view = min(settings.enhance_tiles, MOST_TILES), settings.enhance_ratio
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
