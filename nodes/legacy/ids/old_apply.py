"""One old apply node, whatever its id: the numbers IPAdapter_plus gives, on a clone of the model."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from torch import Tensor

from comfy.model_patcher import ModelPatcher

from ....ipadapter_core.attention.keys import V_ONLY
from ....ipadapter_core.references.embeds import References
from ....ipadapter_core.weights.blocks import Block, blocks_of
from ....ipadapter_core.weights.weight_map import WeightMap
from ...apply.attention_mask import checked_mask
from ...apply.keys import keys_for
from ...sampling.image_prompt import ImagePrompt, PromptSettings, prompts_for
from ...sampling.layers import fitting_layers
from ...sampling.patch import add_image_prompts
from ...sockets import LoadedAdapter
from . import weight_types
from .encoder_views import OldReferences
from .old_graphs_switch import follows_paper
from .old_node import Inputs, unknown_option
from .weight_types import NEW_SCALINGS, NEW_TAKES


@dataclass(frozen=True, kw_only=True, eq=False)
class OldApply:
    """An apply node as its inputs say it; fields have the names of the inputs."""

    node: str  # its name, for messages
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
    combine_embeds: str = "concat"
    start_at: float = 0.0
    end_at: float = 1.0
    embeds_scaling: str = V_ONLY
    mask_input: str = "attn_mask"  # for messages
    mask_filter: str = "bilinear"
    with_middle: bool = False

    @classmethod
    def of(cls, node: str, by_frame: bool, inputs: Inputs, **changes: Any) -> "OldApply":
        """The inputs that count here; the others, like those for InsightFace, have no effect."""
        names = {field.name for field in fields(cls)}
        counting = {name: value for name, value in inputs.items() if name in names}
        return cls(**{"node": node, "by_frame": by_frame, **counting, **changes})


class WeightedPart(NamedTuple):
    """Some references with one weight map; factors: times a weight for each frame."""

    references: References
    weight_map: WeightMap
    factors: tuple[float, ...] = ()


def apply_references(
    model: ModelPatcher, adapter: LoadedAdapter, references: OldReferences, settings: OldApply
) -> ModelPatcher:
    """A clone of the model with one old apply node on it. Raises ValueError."""
    paper = follows_paper(model)
    mask = checked_mask(settings.attn_mask, settings.node, settings.mask_input)
    parts = _weighted_parts(model, adapter, references, settings)
    scaling = _scaling(settings)
    prompts: list[ImagePrompt] = []
    for part in parts:
        keys = keys_for(
            model, adapter, part.references, references.negative, by_frame=settings.by_frame
        )
        prompt_settings = PromptSettings(
            start_at=settings.start_at,
            end_at=settings.end_at,
            weight_map=part.weight_map,
            scaling=scaling,
            frame_weights=part.factors,
            old_masks="" if paper else settings.mask_filter,
        )
        prompts += prompts_for(model, keys, prompt_settings, mask)
    return add_image_prompts(model, prompts)


def _weighted_parts(
    model: ModelPatcher, adapter: LoadedAdapter, references: OldReferences, settings: OldApply
) -> list[WeightedPart]:
    """One part; two where style and composition have pictures or lists of weights of their own."""
    paper = follows_paper(model)
    maps = _WeightMaps(blocks_of(fitting_layers(model, adapter)), settings, paper)
    weights = settings.weight if isinstance(settings.weight, list) else [settings.weight]
    weight, second = float(weights[0]), settings.second_weight
    follows_list = isinstance(settings.weight, list) and settings.by_frame
    factors = tuple(map(float, weights)) if follows_list else ()
    has_own_second = second is not None or maps.weight_type == weight_types.STYLE_AND_COMPOSITION
    if second is None:
        second = _second_weight(maps.weight_type, weight, paper)
    if references.composition is None and not (factors and has_own_second):
        weight_map = maps.make(1.0, 1.0) if factors else maps.make(weight, second)
        return [WeightedPart(references.positive, weight_map, factors)]
    return [
        WeightedPart(references.positive, maps.make(1.0 if factors else weight, 0.0), factors),
        WeightedPart(references.composition or references.positive, maps.make(0.0, second)),
    ]


class _WeightMaps:
    """The weight maps of one node."""

    def __init__(self, blocks: tuple[Block, ...], settings: OldApply, paper: bool):
        self.blocks = blocks
        self.weight_type = _current_type(settings)
        self.layer_weights = weight_types.parse_layer_weights(
            settings.layer_weights, blocks, settings.node
        )
        self.with_middle = settings.with_middle or paper
        if self.layer_weights and self.weight_type not in weight_types.PRECISE_TYPES:
            self.weight_type = weight_types.LINEAR

    def make(self, weight: float, second_weight: float) -> WeightMap:
        return weight_types.old_weight_map(
            self.blocks,
            self.weight_type,
            weight,
            second_weight,
            self.layer_weights,
            self.with_middle,
        )


def _current_type(settings: OldApply) -> str:
    """The name that a weight type has in the last release. Raises ValueError for an unknown one."""
    name = settings.weight_type
    weight_type = weight_types.RENAMED_TYPES.get(name, name)
    if weight_type not in (*NEW_TAKES, weight_types.STRONG_STYLE_AND_COMPOSITION):
        raise unknown_option(settings.node, "weight_type", name, NEW_TAKES)
    return weight_type


def _scaling(settings: OldApply) -> str:
    """The scaling of Apply IPAdapter; `channel penalty` was one, as a weight type."""
    is_penalty = settings.weight_type == "channel penalty"
    scaling = weight_types.MEAN_PENALTY if is_penalty else settings.embeds_scaling
    if scaling not in NEW_SCALINGS:
        raise unknown_option(settings.node, "embeds_scaling", scaling, NEW_SCALINGS)
    return NEW_SCALINGS[scaling]


def _second_weight(weight_type: str, weight: float, paper: bool) -> float:
    """`style and composition` as a weight type has the composition at 1, whatever the weight."""
    return 1.0 if weight_type == weight_types.STYLE_AND_COMPOSITION and not paper else weight
