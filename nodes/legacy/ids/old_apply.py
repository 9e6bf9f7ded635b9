"""One old apply node, whatever its name: the numbers IPAdapter_plus gives, hung on a clone of the model."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ....ipadapter_core.references.embeds import References
from ....ipadapter_core.weights.blocks import blocks_of
from ...apply.attention_mask import checked_mask
from ...apply.keys import keys_for
from ...sampling.image_prompt import ImagePrompt, PromptSettings, prompts_for
from ...sampling.layers import fitting_layers
from ...sampling.patch import add_image_prompts
from ...sockets import LoadedAdapter
from . import weight_types

OPTION, PAPER = "ipadapter_old_graphs", "paper"
BOTH = "style and composition"


@dataclass(frozen=True)
class Old:
    """An apply node as its widgets say."""

    node: str
    weight: Any = 1.0  # a number, or a list with one for each picture
    weight_type: str = weight_types.LINEAR
    combine: str = "concat"
    start_at: float = 0.0
    end_at: float = 1.0
    scaling: str = weight_types.V_ONLY
    by_frame: bool = False
    second: float | None = None  # the composition's weight, or the boost of a precise kind
    layers: str = ""
    masks: str = "bilinear"
    middle: bool = False
    mask_input: str = "attn_mask"


@dataclass(frozen=True, eq=False)
class Sides:
    """What an old node looks at, encoded; composition: another picture for the composition's blocks."""

    positive: References
    negative: References | None
    composition: References | None = field(default=None)


def is_paper(model: Any) -> bool:
    """Whether IPAdapter Old Graphs upstream asks for the paper's behaviour."""
    return model.model_options["transformer_options"].get(OPTION) == PAPER


def prompts_of(
    model: Any, adapter: LoadedAdapter, sides: Sides, old: Old, mask: Tensor | None
) -> list[ImagePrompt]:
    """The prompts of one old apply node; the composition's picture makes its own."""
    paper = is_paper(model)
    mask = checked_mask(mask, old.node, old.mask_input)
    made: list[ImagePrompt] = []
    for references, maps in _shares(model, adapter, sides, old, paper):
        keys = keys_for(model, adapter, references, sides.negative, by_frame=old.by_frame)
        for weights, factors in maps:
            settings = PromptSettings(
                start_at=old.start_at,
                end_at=old.end_at,
                weight_map=weights,
                scaling=weight_types.current_scaling(old.weight_type, old.scaling, old.node),
                frame_weights=factors,
                old_masks="" if paper else old.masks,
            )
            made += prompts_for(model, keys, settings, mask)
    return made


def apply(model: Any, adapter: LoadedAdapter, sides: Sides, old: Old, mask: Tensor | None) -> Any:
    return add_image_prompts(model, prompts_of(model, adapter, sides, old, mask))


def _shares(model: Any, adapter: LoadedAdapter, sides: Sides, old: Old, paper: bool):
    """Each picture with the weight maps that it has, and their factors by frame."""
    blocks = blocks_of(fitting_layers(model, adapter))
    kind = weight_types.current_type(old.weight_type, old.node)
    layers = weight_types.parse_layer_weights(old.layers, blocks, old.node)
    if layers and kind not in (weight_types.PRECISE_STYLE, weight_types.PRECISE_LAYOUT):
        kind = weight_types.LINEAR
    middle = old.middle or paper

    def weights(weight: float, second: float):
        return weight_types.old_weight_map(blocks, kind, weight, second, layers, middle)

    many = isinstance(old.weight, list)
    listed = tuple(map(float, old.weight)) if many and old.by_frame else ()
    weight = float(old.weight[0] if many else old.weight)
    second = _second(kind, weight, old.second, paper)
    apart = sides.composition or (listed and (old.second is not None or kind == BOTH))
    if not apart:  # all of it follows the list
        weight, second = (1.0, 1.0) if listed else (weight, second)
        return [(sides.positive, [(weights(weight, second), listed)])]
    first = weights(1.0 if listed else weight, 0.0), listed
    other = weights(0.0, second), ()
    if sides.composition is None:
        return [(sides.positive, [first, other])]
    return [(sides.positive, [first]), (sides.composition, [other])]


def _second(kind: str, weight: float, given: float | None, paper: bool) -> float:
    """`style and composition` without its own node has the composition at 1, whatever the weight."""
    if given is not None:
        return given
    if kind == BOTH and not paper:
        return 1.0
    return weight
