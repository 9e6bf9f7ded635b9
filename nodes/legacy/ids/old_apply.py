"""One old apply node, whatever its id: IPAdapter_plus's numbers on a clone of the model."""

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.attention.keys import KeysValues
from ....ipadapter_core.attention.scaling import V_ONLY
from ....ipadapter_core.references.embeds import (
    CONCAT,
    PLUS_NORM_AVERAGE,
    References,
    unknown_method,
)
from ....ipadapter_core.weights.blocks import Block, blocks_of
from ....ipadapter_core.weights.weight_map import WeightMap
from ...apply.attention_mask import checked_mask
from ...apply.inputs import warn_of_empty_range
from ...apply.keys import keys_for
from ...sampling.image_prompt import ImagePrompt, PromptSettings, prompts_for
from ...sampling.layers import fitting_layers
from ...sampling.patch import add_image_prompts
from ...sockets import ImageKeys, LoadedAdapter
from . import weight_types
from .encoder_views import OldFeatures
from .input_specs import COMBINE_METHODS
from .old_graphs_switch import follows_paper
from .old_node import InputValues, OldNode, unknown_option
from .weight_types import (
    NEW_SCALINGS,
    NEW_TAKES,
    STYLE_AND_COMPOSITION,
    old_weight_map,
    parse_layer_weights,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class OldApply:
    """An apply node as its inputs say it; fields have the names of the inputs."""

    node_name: str  # its name, for messages
    by_frame: bool = False
    image: Tensor | None = None
    image_composition: Tensor | None = None
    image_negative: Tensor | None = None
    enhance_tiles: int = 1
    enhance_ratio: float = 1.0
    attn_mask: Tensor | None = None
    weight: float | list[float] = 1.0  # a list has one for each frame
    second_weight: float | None = None  # the composition's, or the boost of a precise type
    weight_type: str = weight_types.LINEAR
    layer_weights: str = ""
    weight_faceidv2: float | None = None  # None: the node has no such input
    weight_kolors: float = 1.0
    face_structure: float = 1.0
    combine_embeds: str = "concat"
    start_at: float = 0.0
    end_at: float = 1.0
    embeds_scaling: str = V_ONLY
    mask_input: str = "attn_mask"  # for messages
    mask_filter: str = "bilinear"
    with_middle: bool = False

    @classmethod
    def of(cls, node: OldNode, inputs: InputValues, **changes: Any) -> "OldApply":
        """The inputs that count here; the others have no effect."""
        facts = {"node_name": node.NAME, "by_frame": node.BY_FRAME}
        values = {**facts, **node.VARIANT(**inputs), **changes}
        names = [field.name for field in fields(cls) if field.name in values]
        settings = cls(**{name: values[name] for name in names})
        mask = checked_mask(settings.attn_mask, settings.node_name, settings.mask_input)
        return replace(settings, attn_mask=mask)


class WeightedPart(NamedTuple):
    """Some references with one weight map; factors: times a weight for each frame."""

    references: References
    weight_map: WeightMap
    factors: tuple[float, ...] = ()


def apply_features(
    model: ModelPatcher, adapter: LoadedAdapter, features: OldFeatures, settings: OldApply
) -> ModelPatcher:
    """A clone of the model with one old apply node on it. Raises ValueError."""
    _require_unet_adapter(adapter, settings)
    is_paper = follows_paper(model)
    negative = _negative(adapter, features, settings)
    parts = _weighted_parts(model, adapter, features, settings)
    scaling = _scaling(settings)
    warn_of_empty_range(settings.node_name, settings.start_at, settings.end_at)
    prompts: list[ImagePrompt] = []
    for part in parts:
        sides = part.references, negative
        keys = keys_for(model, adapter, *sides, settings.by_frame, settings.face_structure)
        if adapter.spec.family.is_projected_as_text:
            keys = _with_text_weight(keys, settings.weight_kolors)
        prompt_settings = PromptSettings(
            start_at=settings.start_at,
            end_at=settings.end_at,
            weight_map=part.weight_map,
            scaling=scaling,
            frame_weights=part.factors,
            old_masks="" if is_paper else settings.mask_filter,
        )
        prompts += prompts_for(model, keys, prompt_settings, settings.attn_mask)
    return add_image_prompts(model, prompts)


def _with_text_weight(keys: ImageKeys, weight: float) -> ImageKeys:
    """As if the model's projection of the text were that much stronger for image tokens: keys and
    values have no bias.
    """
    if weight == 1.0 or not isinstance(keys.values, KeysValues):  # frames have no such input
        return keys
    values = keys.values.map_layers(lambda _, key, value: (key * weight, value * weight))
    return replace(keys, values=values)


def _require_unet_adapter(adapter: LoadedAdapter, settings: OldApply) -> None:
    if adapter.spec.family.places:
        raise ValueError(
            f"{settings.node_name} is for SD1.5 and SDXL, but '{adapter.name}' is for "
            f"{adapter.spec.base_model}: use Apply IPAdapter."
        )


def _weighted_parts(
    model: ModelPatcher, adapter: LoadedAdapter, features: OldFeatures, settings: OldApply
) -> list[WeightedPart]:
    """One part; two where style and composition have pictures or lists of weights of their own."""
    is_paper = follows_paper(model)
    maps = OldWeightMaps(blocks_of(fitting_layers(model, adapter)), settings, is_paper)
    positive = _references(adapter, features, settings, is_paper)
    frame_weights = settings.weight if isinstance(settings.weight, list) else []
    factors = tuple(map(float, frame_weights)) if settings.by_frame else ()
    weight = float(settings.weight[0] if isinstance(settings.weight, list) else settings.weight)
    second_weight = maps.second_weight(weight)
    if features.composition is None and not (factors and maps.has_own_second):
        weight_map = maps.make(1.0, 1.0) if factors else maps.make(weight, second_weight)
        return [WeightedPart(positive, weight_map, factors)]
    composition = positive
    if features.composition is not None:
        second = OldFeatures(features.composition, None)
        composition = _references(adapter, second, settings, is_paper)
    return [
        WeightedPart(positive, maps.make(1.0 if factors else weight, 0.0), factors),
        WeightedPart(composition, maps.make(0.0, second_weight)),
    ]


class OldWeightMaps:
    """The weight maps of one node, by its weight type and layer weights."""

    def __init__(self, blocks: tuple[Block, ...], settings: OldApply, is_paper: bool):
        self.blocks, self.settings, self.is_paper = blocks, settings, is_paper
        self.weight_type = _current_type(settings)
        self.layer_weights = parse_layer_weights(settings.layer_weights, blocks, settings.node_name)
        if self.layer_weights and self.weight_type not in weight_types.PRECISE_TYPES:
            self.weight_type = weight_types.LINEAR

    def make(self, weight: float, second_weight: float) -> WeightMap:
        with_middle = self.settings.with_middle or self.is_paper
        weights = self.weight_type, weight, second_weight
        return old_weight_map(self.blocks, *weights, self.layer_weights, with_middle)

    @property
    def has_own_second(self) -> bool:
        """Whether a list of weights does not count for the composition."""
        has_widget = self.settings.second_weight is not None
        return has_widget or self.weight_type == STYLE_AND_COMPOSITION

    def second_weight(self, weight: float) -> float:
        """The composition's, which without a widget is 1 whatever the weight, or a boost."""
        if self.settings.second_weight is not None:
            return self.settings.second_weight
        return 1.0 if self.weight_type == STYLE_AND_COMPOSITION and not self.is_paper else weight


def _references(
    adapter: LoadedAdapter, features: OldFeatures, settings: OldApply, is_paper: bool
) -> References:
    method = _combine_method(features.positive_features, settings)
    if method == "norm average" and not is_paper:
        method = PLUS_NORM_AVERAGE
    references = _of_features(adapter, features.positive_features, features.identities)
    return replace(references, method=method)


def _of_features(
    adapter: LoadedAdapter, features: Tensor, identities: Tensor | None = None
) -> References:
    """References of what an adapter takes; an encoder's features without identities are of
    nobody.
    """
    clip, identity = adapter.spec.clip_input, adapter.spec.identity_input
    if clip is None or identity is None:
        return References.of(features, adapter.spec.inputs[0].name)
    if identities is None:
        identities = torch.zeros(len(features), identity.width)
    return References({identity.name: identities, clip.name: features}, (1.0,) * len(features))


def _negative(
    adapter: LoadedAdapter, features: OldFeatures, settings: OldApply
) -> References | None:
    """As many as positive ones, or the first alone if those are reduced to one reference."""
    negative, count = features.negative_features, len(features.positive_features)
    if negative is None:
        return None
    if len(negative) > 1 and _combine_method(features.positive_features, settings) != CONCAT:
        negative = negative[:1]
    elif len(negative) > 1:
        last = negative[-1:].expand(max(count - len(negative), 0), *negative.shape[1:])
        negative = torch.cat((negative[:count], last))
    return _of_features(adapter, negative)


def _combine_method(features: Tensor, settings: OldApply) -> str:
    """How several references become one. Raises ValueError for an unknown way."""
    if settings.combine_embeds not in COMBINE_METHODS:
        raise unknown_method(settings.combine_embeds, COMBINE_METHODS)
    return CONCAT if settings.by_frame or len(features) == 1 else settings.combine_embeds


def _current_type(settings: OldApply) -> str:
    """The name that a weight type has in the last release. Raises ValueError for an unknown one."""
    name = settings.weight_type
    weight_type = weight_types.RENAMED_TYPES.get(name, name)
    if weight_type not in (*NEW_TAKES, weight_types.STRONG_STYLE_AND_COMPOSITION):
        raise unknown_option(settings.node_name, "weight_type", name, NEW_TAKES)
    return weight_type


def _scaling(settings: OldApply) -> str:
    """The scaling of Apply IPAdapter; `channel penalty` was one, as a weight type."""
    is_penalty = settings.weight_type == "channel penalty"
    scaling = weight_types.MEAN_PENALTY if is_penalty else settings.embeds_scaling
    if scaling not in NEW_SCALINGS:
        raise unknown_option(settings.node_name, "embeds_scaling", scaling, NEW_SCALINGS)
    return NEW_SCALINGS[scaling]
